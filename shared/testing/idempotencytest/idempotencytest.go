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
		"Release/ThenPut":     release,
		"Begin/WholeLife":     begin,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func request() idempotency.Request {
	return idempotency.Request{
		Key: idempotency.RecordKey("someone", "key-1"), Fingerprint: idempotency.Fingerprint("POST", "/licenses", "{}"),
		ID: "request-1", At: now, NewID: "license-1",
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
	second.ID, second.NewID = "request-2", "license-2"
	want("at the same moment", second, false, idempotency.ErrInFlight)
	other := second
	other.Fingerprint = "another"
	want("another request", other, false, idempotency.ErrOtherRequest)

	second.At = first.At.Add(time.Minute)
	took := want("after the first has died", second, true, nil)
	if took.Request.ID != "request-1" || took.Request.NewID != "license-1" || !took.Request.At.Equal(first.At) {
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
