package issuance_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/device"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// What must be gone after an erasure.
const (
	janesName = "Jane Doe Secret"
	janesNote = "Jane called in secret"
	janesDesk = "Jane's secret desk"
)

// janes is the order of a customer who will ask to be forgotten.
var janes = fmt.Sprintf(`{"customername":%q,"expirationdate":"2030-01-31","notes":%q,"reference":%q,"email":%q,`+
	`"maxdevices":2,"services":[{"serviceName":"A","serviceValue":"b"}]}`,
	janesName, janesNote, secretReference, secretEmail)

const asked = `{"reason":"asked for by letter"}`

// removedSignatures are a token.SignatureRemover that keeps what was removed, and fails where it has an error.
type removedSignatures struct {
	err     error
	removed []string
}

func (s *removedSignatures) Forget(_ context.Context, licenseID string, deviceIDs []string) error {
	if s.err != nil {
		return s.err
	}
	for _, id := range append([]string{""}, deviceIDs...) {
		s.removed = append(s.removed, licenseID+"/"+id)
	}
	return nil
}

// janesReferences are those of the license that sellToJane issues.
func janesReferences(context.Context, string) ([]string, error) {
	return []string{secretReference}, nil
}

// sellToJane issues the license with the key "issue", has a device take a seat, and changes it with the key "change".
func (v vendor) sellToJane() license.License {
	v.t.Helper()
	a := v.with("issue", "POST", "/licenses", janes)
	if a.status != http.StatusCreated {
		v.t.Fatalf("got %d %s", a.status, a.text)
	}
	l := v.stored(a.LicenseID)
	v.occupy(l, theDevice, janesDesk, licensetest.Now.Add(hour))
	if a := v.with("change", "PATCH", "/licenses/"+byReference(secretReference), `{"gracedays":7}`); a.GraceDays != 7 {
		v.t.Fatalf("got %d %s", a.status, a.text)
	}
	return v.stored(l.ID)
}

func (v vendor) erase(id, body string) answer {
	v.t.Helper()
	return v.call("POST", "/licenses/{licenseid}/erase", id, body, nil)
}

// eraseOnce sends the erasure with a key and If-Match, each time as another request.
func (v vendor) eraseOnce(key, ifMatch, id string) answer {
	v.t.Helper()
	event := events.APIGatewayProxyRequest{
		HTTPMethod: "POST", Resource: "/licenses/{licenseid}/erase", Path: "/licenses/" + id + "/erase", Body: asked,
		Headers:        map[string]string{"Idempotency-Key": key, "If-Match": ifMatch},
		PathParameters: map[string]string{"licenseid": id},
	}
	event.RequestContext.RequestID = uuid.NewString()
	event.RequestContext.Identity.UserArn = principal
	return v.handle(event)
}

// wantErased wants nothing personal of the license to be left anywhere, and its seats, if it is there.
func (v vendor) wantErased(id string) {
	v.t.Helper()
	record, err := v.folder.Licenses.Record(v.t.Context(), id)
	isGone := errors.Is(err, license.ErrNotFound)
	if err != nil && !isGone || license.HoldsPersonal(record) || !isGone && record["erased"] == nil {
		v.t.Errorf("the record is %v, %v", record, err)
	}
	if _, err := v.folder.Licenses.Referenced(v.t.Context(), secretReference); !errors.Is(err, license.ErrNotFound) {
		v.t.Errorf("the reference leads on: %v", err)
	}
	seats, err := v.folder.Devices.Seats(v.t.Context(), id)
	if err != nil || isGone != (seats == nil) || seats != nil && seats.Held[theDevice].Name != "" {
		v.t.Errorf("the seats are %+v, %v", seats, err)
	}
	for key, request := range map[string][]string{
		"issue":  {"POST", "/licenses", janes},
		"change": {"PATCH", "/licenses/" + byReference(secretReference), `{"gracedays":7}`},
	} {
		a := v.with(key, request[0], request[1], request[2])
		if a.status != http.StatusUnprocessableEntity || a.Code != "IDEMPOTENCY_KEY_REUSED" {
			v.t.Errorf("%s again: %d %s", key, a.status, a.text)
		}
	}
	if n := v.count(); n != 1 && !isGone || n != 0 && isGone {
		v.t.Errorf("there are %d licenses", n)
	}
}

// wantUntelling wants a response to tell nothing personal.
func (v vendor) wantUntelling(a answer) {
	v.t.Helper()
	all := fmt.Sprint(a.header, a.text)
	for _, told := range []string{janesName, janesNote, janesDesk, secretReference, secretEmail} {
		if strings.Contains(all, told) {
			v.t.Errorf("%q is in %s", told, all)
		}
	}
}

// TestErase: all that tells about the customer goes, and the license can be used as before.
func TestErase(t *testing.T) {
	for name, path := range map[string]func(license.License) string{
		"ID":           func(l license.License) string { return l.ID },
		"IDInUpper":    func(l license.License) string { return strings.ToUpper(l.ID) },
		"ByReference":  func(license.License) string { return byReference(secretReference) },
		"IDWithoutKey": func(l license.License) string { return l.ID },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			signatures := &removedSignatures{}
			v.ports.Signatures = signatures
			before := v.sellToJane()
			var a answer
			if name == "IDWithoutKey" {
				a = v.erase(path(before), asked)
			} else {
				a = v.with("erase", "POST", "/licenses/"+path(before)+"/erase", asked)
				again := v.with("erase", "POST", "/licenses/"+path(before)+"/erase", asked)
				if again.text != a.text || again.header["Idempotency-Replayed"] != "true" {
					t.Errorf("again: %d %s", again.status, again.text)
				}
			}
			if a.status != http.StatusOK || a.LicenseID != before.ID || a.Status != "active" || a.Erased == "" ||
				a.CustomerName != "erased" || a.Version != 3 || a.ChangeReason != "asked for by letter" ||
				a.ChangedBy != principal || len(a.Services) != 1 || a.header["ETag"] == "" {
				t.Errorf("got %d %v %s", a.status, a.header, a.text)
			}
			v.wantUntelling(a)
			v.wantErased(before.ID)
			if want := []string{before.ID + "/", before.ID + "/" + theDevice}; !slices.Equal(signatures.removed, want) {
				t.Errorf("removed the signatures %v", signatures.removed)
			}
			now := v.call("GET", "/licenses/{licenseid}", before.ID, "", nil)
			if now.text != a.text || now.header["ETag"] != a.header["ETag"] {
				t.Errorf("read again: %s", now.text)
			}
			key := v.call("GET", "/licenses/{licenseid}/key", before.ID, "", nil)
			if key.status != http.StatusOK {
				t.Errorf("its key: %d %s", key.status, key.text)
			}
			again := v.erase(before.ID, `{"reason":"erased by another tool, once more"}`)
			if again.status != http.StatusOK || again.Erased == a.Erased || again.Version != 4 {
				t.Errorf("once more: %d %s", again.status, again.text)
			}
			if a := v.post(janes); a.status != http.StatusCreated || a.LicenseID == before.ID {
				t.Errorf("the reference for another license: %d %s", a.status, a.text)
			}
		})
	}
}

// TestEraseKeepsNoGuess: what is kept of an erasure that was asked for by a reference does not confirm a guess of it.
func TestEraseKeepsNoGuess(t *testing.T) {
	v := newVendor(t)
	v.sellToJane()
	path := "/licenses/" + byReference(secretReference) + "/erase"
	if a := v.with("erase", "POST", path, asked); a.status != http.StatusOK {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	key := idempotency.RecordKey(principal, "erase")
	guess := idempotency.Record{Request: idempotency.Request{Key: key, ID: "guess"}}
	kept, err := v.folder.Idempotency.Put(t.Context(), guess, licensetest.Now)
	if err != nil || kept == nil || kept.Response == nil {
		t.Fatalf("kept is %+v, %v", kept, err)
	}
	for _, reference := range []string{secretReference, url.PathEscape(secretReference)} {
		for _, path := range []string{path, "/licenses/ref:" + reference + "/erase"} {
			if kept.Fingerprint == idempotency.Fingerprint("POST", path, asked) {
				t.Errorf("the fingerprint confirms %s", path)
			}
		}
	}
	other := v.post(orderOf("order 5"))
	if a := v.with("erase", "POST", "/licenses/"+byReference("order 5")+"/erase", asked); a.status != 422 {
		t.Errorf("the key for another license: %d %s", a.status, a.text)
	}
	if now := v.stored(other.LicenseID); now.IsErased() {
		t.Error("the other license is erased")
	}
}

// TestErasedTakesNothingPersonal: not even by a change that is fine otherwise.
func TestErasedTakesNothingPersonal(t *testing.T) {
	v := newVendor(t)
	id := v.sellToJane().ID
	v.erase(id, asked)
	for body, fields := range map[string]string{
		`{"email":"` + secretEmail + `"}`:        "email",
		`{"reference":"order 5","gracedays":14}`: "reference",
		`{"notes":"x","customername":"Jane"}`:    "customername notes",
		`{"notes":null,"email":null}`:            "",
		`{"customername":"erased","notes":""}`:   "",
		`{"gracedays":14}`:                       "",
	} {
		a := v.callIfMatch("PATCH", "/licenses/{licenseid}", id, "*", body)
		var wrong []string
		for _, e := range a.Errors {
			wrong = append(wrong, e.Field)
		}
		if got := strings.Join(wrong, " "); got != fields || (a.status == http.StatusOK) != (fields == "") {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
	if record, err := v.folder.Licenses.Record(t.Context(), id); err != nil || license.HoldsPersonal(record) {
		t.Errorf("%v, %v", record, err)
	}
}

// TestEraseRefuses: a refusal erases nothing.
func TestEraseRefuses(t *testing.T) {
	v := newVendor(t)
	l := v.sellToJane()
	for body, code := range map[string]string{
		``:                         "INVALID_FIELDS",
		`{}`:                       "INVALID_FIELDS",
		`{"reason":" "}`:           "INVALID_FIELDS",
		`{"reason":7}`:             "INVALID_FIELDS",
		`{"reason":"x","color":1}`: "INVALID_FIELDS",
		`[]`:                       "MALFORMED_BODY",
		`{"reason":"` + strings.Repeat("x", license.MaxReason+1) + `"}`: "INVALID_FIELDS",
		`{"reason":"jane doe SECRET has asked"}`:                        "INVALID_FIELDS",
		`{"reason":"of ` + strings.ToUpper(secretEmail) + `"}`:          "INVALID_FIELDS",
		`{"reason":"see ` + secretReference + `"}`:                      "INVALID_FIELDS",
	} {
		a := v.erase(l.ID, body)
		isReason := len(a.Errors) == 1 && (a.Errors[0].Field == "reason" || a.Errors[0].Field == "color")
		if a.status != http.StatusBadRequest || a.Code != code || isReason != (code == "INVALID_FIELDS") {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
		v.wantUntelling(a)
	}
	for _, unknown := range []string{
		"00000000-0000-4000-8000-00000000dead", "ref:no such order", "no-uuid",
	} {
		if a := v.erase(unknown, asked); a.status != http.StatusNotFound || a.Code != "LICENSE_NOT_FOUND" {
			t.Errorf("%s: %d %s", unknown, a.status, a.text)
		}
		path := "/licenses/" + strings.ReplaceAll(unknown, " ", "%20") + "/erase"
		if a := v.with("unknown", "POST", path, asked); a.status != http.StatusNotFound {
			t.Errorf("%s with a key: %d %s", unknown, a.status, a.text)
		}
	}
	v.ports.References = func(context.Context, string) ([]string, error) { return []string{"an earlier order"}, nil }
	if a := v.erase(l.ID, `{"reason":"of An earlier Order"}`); a.status != http.StatusBadRequest {
		t.Errorf("with a reference of its history: %d %s", a.status, a.text)
	}
	if diff := licensetest.Diff(l, v.stored(l.ID)); diff != "" {
		t.Errorf("a refusal has changed the license:\n%s", diff)
	}
}

// TestEraseIfMatch: the state that the caller has seen is erased, or none.
func TestEraseIfMatch(t *testing.T) {
	v := newVendor(t)
	id := v.sellToJane().ID
	read := v.call("GET", "/licenses/{licenseid}", id, "", nil)
	erase := func(ifMatch string) answer {
		return v.callIfMatch("POST", "/licenses/{licenseid}/erase", id, ifMatch, asked)
	}
	if a := erase(`"0-0"`); a.status != http.StatusPreconditionFailed || a.Code != "STALE" {
		t.Errorf("stale: %d %s", a.status, a.text)
	}
	if a := erase(read.header["ETag"]); a.status != http.StatusOK {
		t.Errorf("as it was read: %d %s", a.status, a.text)
	}
	v.record()
	v.callIfMatch("DELETE", "/licenses/{licenseid}", id, "*", `{"reason":"x"}`)
	if a := erase(read.header["ETag"]); a.status != http.StatusPreconditionFailed {
		t.Errorf("of one that is gone: %d %s", a.status, a.text)
	}
	if a := erase("*"); a.status != http.StatusNoContent {
		t.Errorf("of one that is gone, in any state: %d %s", a.status, a.text)
	}
}

// TestEraseRemoved: what is left of a license that was deleted goes, and the stream tells of it by a record that is put
// and removed. It is as often as one likes.
func TestEraseRemoved(t *testing.T) {
	for name, path := range map[string]func(id string) string{
		"ID": func(id string) string { return id }, "IDInUpper": strings.ToUpper,
		"ByReference": func(string) string { return byReference(secretReference) },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			signatures := &removedSignatures{}
			v.ports.Signatures = signatures
			if name != "ByReference" {
				v.ports.References = func(_ context.Context, id string) ([]string, error) {
					return []string{"", secretReference, "of another"}, nil
				}
			}
			other := v.post(orderOf("of another"))
			id := v.sellToJane().ID
			v.callIfMatch("DELETE", "/licenses/{licenseid}", other.LicenseID, "*", `{"reason":"x"}`)
			v.callIfMatch("DELETE", "/licenses/{licenseid}", id, "*", `{"reason":"x"}`)
			if a := v.erase(path(id), asked); a.status != http.StatusNotFound {
				t.Errorf("without a chain: %d %s", a.status, a.text)
			}
			v.record()
			before, err := v.folder.Changes.Length()
			if err != nil {
				t.Fatal(err)
			}
			a := v.with("erase", "POST", "/licenses/"+path(id)+"/erase", asked)
			again := v.with("erase", "POST", "/licenses/"+path(id)+"/erase", asked)
			if a.status != http.StatusNoContent || again.status != http.StatusNoContent ||
				again.header["Idempotency-Replayed"] != "true" {
				t.Errorf("got %d %s, then %d %s", a.status, a.text, again.status, again.text)
			}
			v.wantUntelling(a)
			v.wantErased(id)
			if got, _ := v.folder.Licenses.Referenced(t.Context(), "of another"); got != other.LicenseID {
				t.Errorf("the reference of another leads to %q", got)
			}
			if !slices.Equal(signatures.removed, []string{id + "/"}) {
				t.Errorf("removed the signatures %v", signatures.removed)
			}
			changes, err := v.folder.Changes.Oldest(t.Context(), 100)
			if err != nil || len(changes) != int(before)+2 {
				t.Fatalf("%d changes after %d, %v", len(changes), before, err)
			}
			put := changes[before].New
			want := attribute.Map{
				"licenseid": id, "isrevoked": true, "isdeleted": true, "version": attribute.Number("1"),
				"changedby": principal, "changereason": "asked for by letter", "erased": put["erased"],
				"changedtimestamp": put["changedtimestamp"], "requestid": put["requestid"],
			}
			if diff := cmp.Diff(want, put); diff != "" || put["erased"] == nil || changes[before+1].New != nil {
				t.Errorf("(-want +put):\n%s, then %v", diff, changes[before+1])
			}
			v.record()
			if a := v.erase(id, asked); a.status != http.StatusNoContent {
				t.Errorf("once more: %d %s", a.status, a.text)
			}
		})
	}
}

// TestEraseMarked: a license that a crash has left between its mark and its removal is erased and removed.
func TestEraseMarked(t *testing.T) {
	v := newVendor(t)
	id := v.sellToJane().ID
	v.ports.Devices = faultyDevices{Store: v.folder.Devices, remove: errInternal}
	v.callIfMatch("DELETE", "/licenses/{licenseid}", id, "*", `{"reason":"x"}`)
	if !v.stored(id).Deleted {
		t.Fatal("it is not marked")
	}
	if a := v.erase(id, asked); a.status != http.StatusInternalServerError || a.LicenseID != id {
		t.Errorf("while the seats cannot be removed: %d %s", a.status, a.text)
	}
	v.ports.Devices = v.folder.Devices
	if a := v.erase(id, asked); a.status != http.StatusNoContent {
		t.Errorf("got %d %s", a.status, a.text)
	}
	v.wantErased(id)
}

// TestEraseOddRecord: what cannot be understood is erased as well.
func TestEraseOddRecord(t *testing.T) {
	v := newVendor(t)
	const id = "00000000-0000-4000-8000-000000000001"
	err := v.folder.Licenses.PutRecord(t.Context(), attribute.Map{
		"licenseid": id, "customername": attribute.Number("7"), "isrevoked": "no", "expirationdate": "soon",
		"phone": "123", "notes": attribute.Map{"who": janesName},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := v.erase(id, asked)
	if a.status != http.StatusOK || a.Status != "unreadable" || a.CustomerName != "erased" || a.Version != 1 {
		t.Errorf("got %d %s", a.status, a.text)
	}
	want := attribute.Map{
		"licenseid": id, "customername": "erased", "isrevoked": "no", "expirationdate": "soon", "notes": "",
	}
	record, err := v.folder.Licenses.Record(t.Context(), id)
	for name := range record {
		if _, wanted := want[name]; !wanted && license.IsPersonal(name) && name != "changereason" || err != nil {
			t.Errorf("%s is left, %v", name, err)
		}
	}
	for name, value := range want {
		if diff := cmp.Diff(value, record[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// crashingDevices is a device.Store that is cut off.
type crashingDevices struct {
	device.Store
	*crash
}

func (s crashingDevices) ForgetNames(ctx context.Context, id string) error {
	return s.write(func() error { return s.Store.ForgetNames(ctx, id) })
}

func (s crashingDevices) Remove(ctx context.Context, id string) error {
	return s.write(func() error { return s.Store.Remove(ctx, id) })
}

// crashingSignatures is a token.SignatureRemover that is cut off.
type crashingSignatures struct {
	*removedSignatures
	*crash
}

func (s crashingSignatures) Forget(ctx context.Context, id string, devices []string) error {
	return s.write(func() error { return s.removedSignatures.Forget(ctx, id, devices) })
}

// TestEraseCrash cuts the function off at every write, before and after it takes effect. The same request again, by id,
// or with its key by reference too, finishes all of it. So it is with a license that was deleted before.
func TestEraseCrash(t *testing.T) {
	for _, isGone := range []bool{false, true} {
		for _, way := range []string{"by id", "by id with a key", "by reference with a key"} {
			writes := 4 // the record, the responses, the names, the signatures
			if isGone {
				writes = 6 // and the seats and the record again
			}
			if way != "by id" {
				writes += 2 // the request and its response
			}
			for at := 1; at <= writes; at++ {
				for _, persists := range []bool{false, true} {
					name := fmt.Sprintf("gone %t, %s, cut off at write %d (%t)", isGone, way, at, persists)
					t.Run(name, func(t *testing.T) { eraseCrash(t, isGone, way, at, persists) })
				}
			}
		}
	}
}

func eraseCrash(t *testing.T, isGone bool, way string, at int, persists bool) {
	t.Parallel()
	v := newVendor(t)
	clock, signatures := licensetest.Now, &removedSignatures{}
	v.ports.Now = func() time.Time { return clock }
	v.ports.Signatures = signatures
	id := v.sellToJane().ID
	v.ports.References = janesReferences
	if isGone {
		v.callIfMatch("DELETE", "/licenses/{licenseid}", id, "*", `{"reason":"x"}`)
		v.record()
	}
	etag := v.call("GET", "/licenses/{licenseid}", id, "", nil).header["ETag"]
	whole := v.ports
	erase := func() answer {
		switch way {
		case "by id":
			return v.erase(id, asked)
		case "by id with a key":
			return v.with("erase", "POST", "/licenses/"+id+"/erase", asked)
		}
		return v.with("erase", "POST", "/licenses/"+byReference(secretReference)+"/erase", asked)
	}
	c := &crash{at: at, persists: persists}
	v.ports.Idempotency, v.ports.Licenses = crashingKeys{whole.Idempotency, c}, crashingLicenses{whole.Licenses, c}
	v.ports.Devices, v.ports.Signatures = crashingDevices{whole.Devices, c}, crashingSignatures{signatures, c}
	a := erase()
	if c.writes < at {
		t.Fatalf("only %d writes", c.writes)
	}
	v.wantUntelling(a)
	isLast := way != "by id" && c.at == c.writes && a.status < 300 // the response was lost, and went out
	if !isLast && a.status != http.StatusInternalServerError {
		t.Errorf("cut off: %d %s", a.status, a.text)
	}
	if a.Code == "ERASURE_UNFINISHED" && a.LicenseID != id {
		t.Errorf("what is unfinished: %s", a.text)
	}
	v.ports = whole
	clock = clock.Add(time.Minute) // the lease has ended
	again := erase()
	if want := map[bool]int{false: http.StatusOK, true: http.StatusNoContent}[isGone]; again.status != want {
		t.Errorf("again: %d %s, the license had %s", again.status, again.text, etag)
	}
	v.wantErased(id)
	if !slices.Contains(signatures.removed, id+"/") {
		t.Errorf("removed the signatures %v", signatures.removed)
	}
}

// TestEraseCrashWithIfMatch: a later attempt meets what the first one has done, and goes on.
func TestEraseCrashWithIfMatch(t *testing.T) {
	v := newVendor(t)
	clock := licensetest.Now
	v.ports.Now = func() time.Time { return clock }
	id := v.sellToJane().ID
	etag := v.call("GET", "/licenses/{licenseid}", id, "", nil).header["ETag"]
	v.ports.Devices = faultyDevices{Store: v.folder.Devices, forget: device.ErrConflict}
	a := v.eraseOnce("erase", etag, id)
	if a.status != http.StatusInternalServerError || a.Code != "ERASURE_UNFINISHED" {
		t.Errorf("got %d %s", a.status, a.text)
	}
	v.ports.Devices = v.folder.Devices
	clock = clock.Add(time.Minute)
	if a := v.eraseOnce("erase", etag, id); a.status != http.StatusOK {
		t.Errorf("again: %d %s", a.status, a.text)
	}
	if a := v.eraseOnce("another", etag, id); a.status != http.StatusPreconditionFailed {
		t.Errorf("another request: %d %s", a.status, a.text)
	}
	v.wantErased(id)
}

// TestEraseFaults: nothing is erased where it is not known what there is, and no fault tells anything.
func TestEraseFaults(t *testing.T) {
	v := newVendor(t)
	l := v.sellToJane()
	v.ports.References = func(context.Context, string) ([]string, error) { return nil, errInternal }
	a := v.erase(l.ID, asked)
	if a.status != http.StatusInternalServerError || a.Code != "INTERNAL_ERROR" {
		t.Errorf("got %d %s", a.status, a.text)
	}
	if diff := licensetest.Diff(l, v.stored(l.ID)); diff != "" {
		t.Errorf("the license has changed:\n%s", diff)
	}
	v.ports.References = nil
	v.ports.Signatures = &removedSignatures{err: errInternal}
	a = v.erase(l.ID, asked)
	if a.status != http.StatusInternalServerError || a.Code != "ERASURE_UNFINISHED" || a.LicenseID != l.ID {
		t.Errorf("got %d %s", a.status, a.text)
	}
	v.wantUntelling(a)
}

// meanwhile does something once, before the first erasure is written.
type meanwhile struct {
	license.Store
	do func()
}

func (m *meanwhile) Erase(ctx context.Context, before, after license.License, references []string) error {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Store.Erase(ctx, before, after, references)
}

// TestEraseMeanwhile: what others do between read and write is erased too.
func TestEraseMeanwhile(t *testing.T) {
	for name, do := range map[string]func(v vendor, l license.License){
		"Patched": func(v vendor, l license.License) {
			v.callIfMatch("PATCH", "/licenses/{licenseid}", l.ID, "*", `{"notes":"`+janesNote+` again"}`)
		},
		"Replaced": func(v vendor, l license.License) {
			v.put(l.ID, attribute.Map{"customername": janesName, "notes": janesNote, "phone": "1"})
		},
		"Erased": func(v vendor, l license.License) { v.erase(l.ID, asked) },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			l := v.sellToJane()
			v.ports.References = janesReferences
			between := v
			v.ports.Licenses = &meanwhile{v.folder.Licenses, func() { do(between, l) }}
			if a := v.erase(l.ID, asked); a.status != http.StatusOK || a.CustomerName != "erased" {
				t.Errorf("got %d %s", a.status, a.text)
			}
			v.wantErased(l.ID)
		})
	}
	t.Run("Removed", func(t *testing.T) {
		v := newVendor(t)
		l := v.sellToJane()
		between := v
		v.ports.Licenses = &meanwhile{v.folder.Licenses, func() {
			between.callIfMatch("DELETE", "/licenses/{licenseid}", l.ID, "*", `{"reason":"x"}`)
			between.record()
		}}
		if a := v.erase(byReference(secretReference), asked); a.status != http.StatusNoContent {
			t.Errorf("got %d %s", a.status, a.text)
		}
		v.wantErased(l.ID)
	})
	t.Run("PutAgain", func(t *testing.T) { // by another tool, in place of the record that was to go
		v := newVendor(t)
		l := v.sellToJane()
		v.callIfMatch("DELETE", "/licenses/{licenseid}", l.ID, "*", `{"reason":"x"}`)
		v.record()
		between := v
		v.ports.Licenses = &meanwhile{v.folder.Licenses, func() {
			between.put(l.ID, attribute.Map{"customername": janesName})
		}}
		if a := v.erase(byReference(secretReference), asked); a.status != http.StatusOK {
			t.Errorf("got %d %s", a.status, a.text)
		}
		if now := v.stored(l.ID); now.CustomerName != "erased" || !now.IsErased() {
			t.Errorf("got %+v", now)
		}
	})
}

// TestEraseRaces: of erasures, changes and requests with a key at once, nothing personal is left at the end.
func TestEraseRaces(t *testing.T) {
	v := newVendor(t)
	id := v.sellToJane().ID
	var group sync.WaitGroup
	for n := range 30 {
		group.Go(func() {
			switch n % 3 {
			case 0:
				for {
					a := v.erase(id, asked)
					if a.status == http.StatusOK {
						return
					}
					if a.status != http.StatusConflict {
						t.Errorf("got %d %s", a.status, a.text)
						return
					}
				}
			case 1:
				v.callIfMatch("PATCH", "/licenses/{licenseid}", id, "*", fmt.Sprintf(`{"notes":"%s %d"}`, janesNote, n))
			default:
				v.with(fmt.Sprint("key ", n), "PATCH", "/licenses/"+id, `{"email":"`+secretEmail+`"}`)
			}
		})
	}
	group.Wait()
	v.wantErased(id)
	for n := range 30 {
		if n%3 == 2 {
			v.wantUntelling(v.with(fmt.Sprint("key ", n), "PATCH", "/licenses/"+id, `{"email":"`+secretEmail+`"}`))
		}
	}
}

// TestEraseRemovedRaces: of those who erase a license that is gone at once, each is told that it is done.
func TestEraseRemovedRaces(t *testing.T) {
	v := newVendor(t)
	id := v.sellToJane().ID
	v.ports.References = janesReferences
	v.callIfMatch("DELETE", "/licenses/{licenseid}", id, "*", `{"reason":"x"}`)
	v.record()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			a := v.erase(id, asked)
			for a.status == http.StatusConflict || a.status == http.StatusInternalServerError {
				a = v.erase(id, asked)
			}
			if a.status != http.StatusNoContent {
				t.Errorf("got %d %s", a.status, a.text)
			}
		})
	}
	group.Wait()
	v.wantErased(id)
}

// beforeRemoval does something once, before a record is removed.
type beforeRemoval struct {
	license.Store
	do func(l license.License) error
}

func (b *beforeRemoval) Remove(ctx context.Context, l license.License) error {
	if do := b.do; do != nil {
		b.do = nil
		if err := do(l); err != nil {
			return err
		}
	}
	return b.Store.Remove(ctx, l)
}

// TestEraseRemovedMeanwhile: others may be at work on the record that is put and removed.
func TestEraseRemovedMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(v vendor, l license.License) error
		status int
	}{
		"removed by others": {func(v vendor, l license.License) error {
			return v.folder.Licenses.Remove(v.t.Context(), l)
		}, http.StatusNoContent},
		"erased by others": {func(v vendor, l license.License) error {
			return v.folder.Licenses.Erase(v.t.Context(), l, licensetest.Erase(v.t, l, "mark-2"), nil)
		}, http.StatusNoContent},
		"put again by another tool": {func(v vendor, l license.License) error {
			return v.folder.Licenses.PutRecord(v.t.Context(), attribute.Map{"licenseid": l.ID})
		}, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			id := v.sellToJane().ID
			v.callIfMatch("DELETE", "/licenses/{licenseid}", id, "*", `{"reason":"x"}`)
			v.record()
			v.ports.Licenses = &beforeRemoval{v.folder.Licenses, func(l license.License) error { return test.do(v, l) }}
			if a := v.erase(id, asked); a.status != test.status {
				t.Errorf("got %d %s", a.status, a.text)
			}
		})
	}
}
