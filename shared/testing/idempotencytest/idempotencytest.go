// Package idempotencytest holds the contract that every idempotency.Store is held to.
package idempotencytest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/idempotency"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// TestStore holds a store to the contract. Each call of open gives a new and empty store.
func TestStore(t *testing.T, open func(t *testing.T) idempotency.Store) {
	for name, test := range map[string]func(*testing.T, idempotency.Store){
		"Put/ThenFindIt":      putThenFind,
		"Put/SameRequestID":   putWithSameRequestID,
		"Put/Concurrent":      putConcurrently,
		"Put/Expired":         putExpired,
		"Put/ExpiredOfMany":   putExpiredOfMany,
		"TakeOver/OnlyOne":    takeOver,
		"TakeOver/Completed":  takeOverCompleted,
		"Complete/ThenFindIt": complete,
		"Complete/ErrGone":    completeGone,
		"Release/ThenPut":     release,
		"Forget/ThenBegin":    forget,
		"Forget/UnderWay":     forgetUnderWay,
		"Begin/WholeLife":     begin,
		"Begin/License":       beginLicense,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func request() idempotency.Request {
	return idempotency.Request{
		Key: idempotency.RecordKey("someone", "key-1"), Fingerprint: idempotency.Fingerprint("POST", "/licenses", "{}"),
		ID: "request-1", At: now, NewID: "license-1", LicenseID: "license-1",
	}
}

func record() idempotency.Record {
	return idempotency.Record{
		Request: request(), LeaseEnds: now.Add(time.Minute), Expires: now.Add(idempotency.Lifetime),
	}
}

func put(t *testing.T, store idempotency.Store, r idempotency.Record, at time.Time) *idempotency.Record {
	t.Helper()
	existing, err := store.Put(t.Context(), r, at)
	if err != nil {
		t.Fatal(err)
	}
	return existing
}

// find returns the record that is there, as another request meets it.
func find(t *testing.T, store idempotency.Store) *idempotency.Record {
	t.Helper()
	other := record()
	other.ID = "another request"
	return put(t, store, other, now)
}

func putThenFind(t *testing.T, store idempotency.Store) {
	if existing := put(t, store, record(), now); existing != nil {
		t.Fatalf("an empty store holds %+v", existing)
	}
	other := record()
	other.ID, other.Fingerprint = "request-2", "another"
	want := record()
	if diff := cmp.Diff(&want, put(t, store, other, now)); diff != "" {
		t.Errorf("(-put +found):\n%s", diff)
	}
}

// putWithSameRequestID puts two records of one request id. Clients can choose the ids of their requests, and do it
// badly.
func putWithSameRequestID(t *testing.T, store idempotency.Store) {
	put(t, store, record(), now)
	again := record()
	again.NewID = "license-2"
	if existing := put(t, store, again, now); existing == nil || existing.NewID != "license-1" {
		t.Errorf("another request of the same id met %+v", existing)
	}
}

func putConcurrently(t *testing.T, store idempotency.Store) {
	var group sync.WaitGroup
	var first atomic.Int32
	for n := range 50 {
		r := record()
		r.ID = fmt.Sprint("request-", n)
		group.Go(func() {
			existing, err := store.Put(t.Context(), r, now)
			if err != nil {
				t.Error(err)
			} else if existing == nil {
				first.Add(1)
			}
		})
	}
	group.Wait()
	if first.Load() != 1 {
		t.Errorf("%d were the first", first.Load())
	}
}

func putExpired(t *testing.T, store idempotency.Store) {
	put(t, store, record(), now)
	next := record()
	next.ID = "request-2"
	if existing := put(t, store, next, record().Expires.Add(-time.Second)); existing == nil {
		t.Error("forgotten a second too early")
	}
	if existing := put(t, store, next, record().Expires.Add(time.Second)); existing != nil {
		t.Error("not forgotten a second after its time")
	}
}

// putExpiredOfMany: a record that has expired counts as absent, however many others have expired before it.
func putExpiredOfMany(t *testing.T, store idempotency.Store) {
	const others = 50
	for n := range others {
		r := record()
		r.Key, r.Expires = idempotency.RecordKey("someone", fmt.Sprint("other-", n)), record().Expires.Add(-time.Hour)
		put(t, store, r, now)
	}
	put(t, store, record(), now)
	at := record().Expires.Add(time.Second)
	next := record()
	next.ID, next.NewID, next.Expires = "request-2", "license-2", at.Add(idempotency.Lifetime)
	if existing := put(t, store, next, at); existing != nil {
		t.Errorf("not forgotten a second after its time: %+v", existing)
	}
	for n := range others {
		again := next
		again.ID = fmt.Sprint("request-2-", n)
		if existing := put(t, store, again, at); existing == nil || existing.NewID != "license-2" {
			t.Fatalf("put again %d times, it met %+v in place of the second record", n, existing)
		}
	}
}

func takeOver(t *testing.T, store idempotency.Store) {
	put(t, store, record(), now)
	from, to := record().LeaseEnds, now.Add(time.Hour)
	if err := store.TakeOver(t.Context(), record().Key, from, to); err != nil {
		t.Fatal(err)
	}
	if err := store.TakeOver(t.Context(), record().Key, from, to); !errors.Is(err, idempotency.ErrInFlight) {
		t.Errorf("the second: got %v", err)
	}
	if existing := find(t, store); existing == nil || !existing.LeaseEnds.Equal(to) {
		t.Errorf("found %+v", existing)
	}
}

func takeOverCompleted(t *testing.T, store idempotency.Store) {
	put(t, store, record(), now)
	if err := store.Complete(t.Context(), record().Key, idempotency.Response{Status: 201}); err != nil {
		t.Fatal(err)
	}
	err := store.TakeOver(t.Context(), record().Key, record().LeaseEnds, now.Add(time.Hour))
	if !errors.Is(err, idempotency.ErrInFlight) {
		t.Errorf("got %v", err)
	}
}

func complete(t *testing.T, store idempotency.Store) {
	put(t, store, record(), now)
	want := &idempotency.Response{Status: 201, Header: map[string]string{"ETag": `"1"`}, Body: `{"a":"é<>"}`}
	if err := store.Complete(t.Context(), record().Key, *want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, find(t, store).Response); diff != "" {
		t.Errorf("(-stored +found):\n%s", diff)
	}
}

func completeGone(t *testing.T, store idempotency.Store) {
	err := store.Complete(t.Context(), record().Key, idempotency.Response{Status: 201})
	if !errors.Is(err, idempotency.ErrGone) {
		t.Errorf("got %v", err)
	}
	if existing := put(t, store, record(), now); existing != nil {
		t.Errorf("it has made %+v", existing)
	}
}

// recordOf returns a record of another key, about a license.
func recordOf(key, licenseID string) idempotency.Record {
	r := record()
	r.Key, r.LicenseID, r.NewID = idempotency.RecordKey("someone", key), licenseID, "new id of "+key
	return r
}

// forget: fingerprints and responses of the license go, also of what has expired, and no others. The keys stay in use.
func forget(t *testing.T, store idempotency.Store) {
	expired := recordOf("expired", "license-1")
	expired.Expires = now.Add(-time.Hour)
	records := map[string]idempotency.Record{
		"made": record(), "changed": recordOf("changed", "license-1"), "expired": expired,
		"excepted": recordOf("excepted", "license-1"), "another's": recordOf("another's", "license-2"),
		"nobody's": recordOf("nobody's", ""),
	}
	response := idempotency.Response{Status: 200, Header: map[string]string{"ETag": `"1"`}, Body: "Jane"}
	for _, r := range records {
		if existing := put(t, store, r, now.Add(-2*time.Hour)); existing != nil {
			t.Fatalf("there is %+v", existing)
		}
		if err := store.Complete(t.Context(), r.Key, response); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := store.Forget(t.Context(), "license-1", records["excepted"].Key); err != nil {
			t.Fatal(err)
		}
	}
	for name, r := range records {
		later := r
		later.ID = "another request"
		want := r
		want.Response = &response
		if name == "made" || name == "changed" || name == "expired" {
			want.Fingerprint, want.Response = "", nil
		}
		if diff := cmp.Diff(&want, put(t, store, later, now.Add(-2*time.Hour))); diff != "" {
			t.Errorf("%s (-want +found):\n%s", name, diff)
		}
	}
	for name, want := range map[string]error{
		"made": idempotency.ErrOtherRequest, "changed": idempotency.ErrOtherRequest, "excepted": nil,
	} {
		again := records[name].Request
		again.ID = "another request"
		if _, err := idempotency.Begin(t.Context(), store, again, now.Add(time.Minute)); !errors.Is(err, want) {
			t.Errorf("%s again: %v", name, err)
		}
	}
}

// forgetUnderWay: a request that ends after its record was forgotten leaves no response in it.
func forgetUnderWay(t *testing.T, store idempotency.Store) {
	put(t, store, record(), now)
	if err := store.Forget(t.Context(), "license-1", ""); err != nil {
		t.Fatal(err)
	}
	err := store.Complete(t.Context(), record().Key, idempotency.Response{Status: 200, Body: "Jane"})
	if !errors.Is(err, idempotency.ErrGone) {
		t.Errorf("got %v", err)
	}
	if found := find(t, store); found == nil || found.Response != nil || found.Fingerprint != "" {
		t.Errorf("found %+v", found)
	}
}

func release(t *testing.T, store idempotency.Store) {
	put(t, store, record(), now)
	if err := store.Release(t.Context(), record().Key); err != nil {
		t.Fatal(err)
	}
	if existing := put(t, store, record(), now); existing != nil {
		t.Errorf("still there: %+v", existing)
	}
}

func begin(t *testing.T, store idempotency.Store) {
	attempt := func(r idempotency.Request) (idempotency.Outcome, error) {
		return idempotency.Begin(t.Context(), store, r, r.At.Add(time.Minute))
	}
	want := func(name string, r idempotency.Request, again bool, wantErr error) idempotency.Outcome {
		t.Helper()
		got, err := attempt(r)
		if !errors.Is(err, wantErr) || got.Again != again {
			t.Fatalf("%s: got %+v, %v", name, got, err)
		}
		return got
	}
	first := request()
	want("first", first, false, nil)
	second := first
	second.ID, second.NewID, second.LicenseID = "request-2", "license-2", "license-2"
	want("at the same moment", second, false, idempotency.ErrInFlight)
	other := second
	other.Fingerprint = "another"
	want("another request", other, false, idempotency.ErrOtherRequest)

	second.At = first.At.Add(time.Minute)
	took := want("after the first has died", second, true, nil)
	if took.Request.ID != "request-1" || took.Request.NewID != "license-1" ||
		took.Request.LicenseID != "license-1" || !took.Request.At.Equal(first.At) {
		t.Errorf("goes on as %+v", took.Request)
	}
	want("while it goes on", second, false, idempotency.ErrInFlight)
	if err := store.Complete(t.Context(), first.Key, idempotency.Response{Status: 200, Body: "done"}); err != nil {
		t.Fatal(err)
	}
	if got := want("after the response", second, false, nil); got.Response == nil || got.Response.Body != "done" {
		t.Errorf("got %+v", got)
	}
	want("another request after the response", other, false, idempotency.ErrOtherRequest)
}

// beginLicense: a key is for one license. A request that makes one has another id for it each time, and one whose
// license is found no more has none.
func beginLicense(t *testing.T, store idempotency.Store) {
	first := recordOf("change", "license-1").Request
	if _, err := idempotency.Begin(t.Context(), store, first, first.At.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := store.Complete(t.Context(), first.Key, idempotency.Response{Status: 200}); err != nil {
		t.Fatal(err)
	}
	for licenseID, want := range map[string]error{
		"license-1": nil, "": nil, "license-2": idempotency.ErrOtherRequest,
	} {
		again := first
		again.ID, again.NewID, again.LicenseID = "request-2", "another new id", licenseID
		outcome, err := idempotency.Begin(t.Context(), store, again, first.At.Add(time.Minute))
		if !errors.Is(err, want) || err == nil && outcome.Request.LicenseID != "license-1" {
			t.Errorf("%q: got %+v, %v", licenseID, outcome, err)
		}
	}
}
