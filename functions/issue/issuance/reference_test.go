package issuance_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/licensetest"
)

// orderOf is an order with a reference.
func orderOf(reference string) string {
	return fmt.Sprintf(`{"customername":"Example","expirationdate":"2030-01-31","reference":%q}`, reference)
}

// byReference is what a REST API hands over in place of a license id: the path as it was sent.
func byReference(reference string) string { return url.PathEscape("ref:" + reference) }

func (v vendor) post(body string) answer {
	v.t.Helper()
	return v.call("POST", "/licenses", "", body, nil)
}

// wantTaken wants a refusal that names the license which has the reference.
func wantTaken(t *testing.T, a answer, id string) {
	t.Helper()
	if a.status != http.StatusConflict || a.Code != "REFERENCE_TAKEN" || a.LicenseID != id || len(a.Errors) > 0 {
		t.Errorf("got %d %s, want that license %s has the reference", a.status, a.text, id)
	}
}

// TestReference: an order that comes again makes no second license, even when the license is gone.
func TestReference(t *testing.T) {
	v := newVendor(t)
	first := v.post(orderOf(secretReference))
	if first.status != http.StatusCreated || first.Reference != secretReference {
		t.Fatalf("got %d %s", first.status, first.text)
	}
	decomposed := strings.Replace(secretReference, "Ä", "A\u0308", 1)
	other := v.issue()
	for name, again := range map[string]func() answer{
		"the same":           func() answer { return v.post(orderOf(secretReference)) },
		"decomposed":         func() answer { return v.post(orderOf(decomposed)) },
		"with a key":         func() answer { return v.with("key", "POST", "/licenses", orderOf(secretReference)) },
		"to another license": func() answer { return v.patch(other.LicenseID, `{"reference":"`+secretReference+`"}`) },
	} {
		t.Run(name, func(t *testing.T) { wantTaken(t, again(), first.LicenseID) })
	}
	if a := v.post(orderOf(strings.ToLower(secretReference))); a.status != http.StatusCreated {
		t.Errorf("in another case: %d %s", a.status, a.text)
	}
	if a := v.call("GET", "/licenses/{licenseid}", other.LicenseID, "", nil); a.Version != 1 || a.Reference != "" {
		t.Errorf("the refused patch changed something: %s", a.text)
	}
	if n := v.count(); n != 3 {
		t.Errorf("%d licenses", n)
	}
	a := v.callIfMatch("DELETE", "/licenses/{licenseid}", byReference(secretReference), "*", `{"reason":"a mistake"}`)
	if a.status != http.StatusNoContent {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	wantTaken(t, v.post(orderOf(secretReference)), first.LicenseID)
	if a := v.call("GET", "/licenses/{licenseid}", first.LicenseID, "", nil); a.status != http.StatusNotFound {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

func (v vendor) patch(id, body string) answer {
	v.t.Helper()
	return v.callIfMatch("PATCH", "/licenses/{licenseid}", id, "*", body)
}

// TestGiveReference: to a license that has none, once.
func TestGiveReference(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	for _, step := range []struct {
		body      string
		status    int
		reference string
		version   int
	}{
		{`{"reference":null}`, http.StatusOK, "", 1},
		{`{"reference":""}`, http.StatusOK, "", 1},
		{`{"reference":" 4711"}`, http.StatusBadRequest, "", 1},
		{`{"reference":"` + id + `"}`, http.StatusBadRequest, "", 1},
		{`{"reference":4711}`, http.StatusBadRequest, "", 1},
		{`{"reference":"4711","reason":"the order came"}`, http.StatusOK, "4711", 2},
		{`{"reference":"4711"}`, http.StatusOK, "4711", 2},
		{`{"reference":"4712"}`, http.StatusBadRequest, "4711", 2},
		{`{"reference":""}`, http.StatusBadRequest, "4711", 2},
		{`{"reference":null}`, http.StatusBadRequest, "4711", 2},
	} {
		a := v.patch(id, step.body)
		isNamed := len(a.Errors) == 1 && a.Errors[0].Field == "reference"
		if a.status != step.status || isNamed != (step.status == http.StatusBadRequest) {
			t.Errorf("%s: got %d %s", step.body, a.status, a.text)
		}
		if a := v.call("GET", "/licenses/{licenseid}", id, "", nil); a.Reference != step.reference ||
			a.Version != step.version {
			t.Errorf("%s left %s", step.body, a.text)
		}
	}
	if a := v.call("GET", "/licenses/{licenseid}", byReference("4711"), "", nil); a.LicenseID != id {
		t.Errorf("by its reference: %d %s", a.status, a.text)
	}
	wantTaken(t, v.post(orderOf("4711")), id)
}

// TestEveryRouteByReference: every route with a license id takes a reference in its place, whatever stands in it.
func TestEveryRouteByReference(t *testing.T) {
	for _, reference := range []string{
		"4711", secretReference, "a/b", "50%", "50%25", "a+b&c=d?e#f", "ref:x", "..", "\u0301a", "日本 🎉", "a;b,c:d@e",
	} {
		v := newVendor(t)
		issued := v.post(orderOf(reference))
		if issued.status != http.StatusCreated {
			t.Fatalf("%q: got %d %s", reference, issued.status, issued.text)
		}
		steps := []struct{ route, body string }{
			{"GET ", ""}, {"GET /key", ""}, {"GET /audit", ""}, {"GET /audit/proof", ""},
			{"PATCH ", `{"notes":"x","maxdevices":1}`}, {"GET /devices", ""},
			{"DELETE /devices/{device}", `{"reason":"x"}`}, {"DELETE /devices", `{"reason":"x"}`},
			{"POST /suspend", ""}, {"POST /reinstate", ""},
			{"POST /renew", `{"expirationdate":"2031-01-31"}`}, {"POST /revoke", ""},
			{"DELETE ", `{"reason":"x"}`},
		}
		driven := map[string]bool{"POST /licenses/{licenseid}/erase": true} // at the end
		for _, step := range steps {
			method, action, _ := strings.Cut(step.route, " ")
			route := method + " /licenses/{licenseid}" + action
			driven[route] = true
			a := v.callIfMatch(method, "/licenses/{licenseid}"+action, byReference(reference), "*", step.body)
			isWanted := a.status == http.StatusOK && (a.LicenseID == "" || a.LicenseID == issued.LicenseID)
			switch {
			case method == http.MethodDelete:
				isWanted = a.status == http.StatusNoContent
			case action == "/audit/proof":
				isWanted = a.Code == "NO_CHECKPOINT" // which is asked for after the license was found
			}
			if !isWanted {
				t.Errorf("%s of %q: got %d %s", step.route, reference, a.status, a.text)
			}
		}
		for route := range v.ports.router(t).Routes {
			if strings.Contains(route, "{licenseid}") && !driven[route] {
				t.Errorf("%s is not driven", route)
			}
		}
		if v.count() != 0 {
			t.Errorf("%q: %d licenses are left", reference, v.count())
		}
		v.record()
		trail := v.call("GET", "/licenses/{licenseid}/audit", byReference(reference), "", nil)
		if len(trail.Entries) == 0 || trail.Entries[0].LicenseID != issued.LicenseID {
			t.Errorf("the trail of %q, which is gone: %d %s", reference, trail.status, trail.text)
		}
		a := v.call("GET", "/licenses/{licenseid}", byReference(reference), "", nil)
		if a.status != http.StatusNotFound || a.Code != "LICENSE_NOT_FOUND" {
			t.Errorf("%q, which is gone: %d %s", reference, a.status, a.text)
		}
		a = v.call("POST", "/licenses/{licenseid}/erase", byReference(reference), `{"reason":"asked"}`, nil)
		if a.status != http.StatusNoContent {
			t.Errorf("%q erased: %d %s", reference, a.status, a.text)
		}
		trail = v.call("GET", "/licenses/{licenseid}/audit", byReference(reference), "", nil)
		if trail.Code != "LICENSE_NOT_FOUND" {
			t.Errorf("%q, which is erased, leads to %d %s", reference, trail.status, trail.text)
		}
	}
}

// TestReferenceByFront: each front hands a path over in its own way.
func TestReferenceByFront(t *testing.T) {
	v := newVendor(t)
	issued := v.post(orderOf("Ä 50%25/b"))
	const iam = `"authorizer":{"iam":{"userArn":"` + principal + `"}}`
	for name, event := range map[string]string{
		"REST API, in another spelling": `{"httpMethod":"GET","resource":"/licenses/{licenseid}",
			"path":"/licenses/ref%3AA%CC%88%2050%2525%2Fb",
			"pathParameters":{"licenseid":"ref%3AA%CC%88%2050%2525%2Fb"}}`,
		"REST API, catch-all": `{"httpMethod":"GET","resource":"/{proxy+}","path":"/licenses/ref:%C3%84%2050%2525%2Fb",
			"pathParameters":{"proxy":"licenses/ref:%C3%84%2050%2525%2Fb"}}`,
		"HTTP API": `{"version":"2.0","routeKey":"GET /licenses/{licenseid}","rawPath":"/licenses/ref:Ä 50%25/b",
			"pathParameters":{"licenseid":"ref:Ä 50%25/b"},"requestContext":{"http":{"method":"GET"},` + iam + `}}`,
		"HTTP API, payload 1.0": `{"version":"1.0","httpMethod":"GET","resource":"/licenses/{licenseid}",
			"path":"/licenses/ref:Ä 50%25/b","pathParameters":{"licenseid":"ref:Ä 50%25/b"},
			"requestContext":{` + iam + `}}`,
		"function URL": `{"version":"2.0","routeKey":"$default","rawPath":"/licenses/ref:%C3%84%2050%2525%2Fb",
			"requestContext":{"http":{"method":"GET"},` + iam + `}}`,
	} {
		if a := v.invoke([]byte(event)); a.status != http.StatusOK || a.LicenseID != issued.LicenseID {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
}

// countedReferences counts the references that are looked up.
type countedReferences struct {
	license.Store
	asked *int
}

func (s countedReferences) Referenced(ctx context.Context, reference string) (string, error) {
	*s.asked++
	return s.Store.Referenced(ctx, reference)
}

// TestUnknownReference: what leads to no license is a 404, and nothing is read for what no reference can be.
func TestUnknownReference(t *testing.T) {
	v := newVendor(t)
	id, asked := v.post(orderOf("4711")).LicenseID, 0
	v.ports.Licenses = countedReferences{v.ports.Licenses, &asked}
	for sent, reads := range map[string]int{
		"ref:4712": 1, "ref:": 0, "ref:%20": 0, "ref:" + id: 0, "ref:%204711": 0, "REF:4711": 0,
		"ref4711": 0, "4711": 0,
		"ref:" + strings.Repeat("a", license.MaxReference): 1, "ref:" + strings.Repeat("a", license.MaxReference+1): 0,
		"ref:%FF": 0, "%zz": 0, "ref:%zz": 1,
	} {
		for action, method := range map[string]string{"": "GET", "/audit": "GET", "/revoke": "POST"} {
			asked = 0
			a := v.call(method, "/licenses/{licenseid}"+action, sent, "", nil)
			if a.status != http.StatusNotFound || a.Code != "LICENSE_NOT_FOUND" || asked != reads {
				t.Errorf("%s %s: got %d %s after %d reads", sent, action, a.status, a.text, asked)
			}
		}
	}
}

// TestFortyOrders: of forty at once with one reference one is issued, whatever keys they have.
func TestFortyOrders(t *testing.T) {
	for name, test := range map[string]struct {
		send   func(v vendor, n int) answer
		issued int // how many are told so
	}{
		"without a key": {func(v vendor, _ int) answer { return v.post(orderOf("4711")) }, 1},
		"each with its key": {
			func(v vendor, n int) answer { return v.with(fmt.Sprint(n), "POST", "/licenses", orderOf("4711")) }, 1,
		},
		"all with one key": {
			func(v vendor, _ int) answer { return v.with("key", "POST", "/licenses", orderOf("4711")) }, 40,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			var group sync.WaitGroup
			answers := make([]answer, 40)
			for n := range answers {
				group.Go(func() {
					for answers[n].status == 0 || answers[n].Code == "IDEMPOTENCY_IN_FLIGHT" {
						answers[n] = test.send(v, n)
					}
				})
			}
			group.Wait()
			list := v.call("GET", "/licenses", "", "", nil)
			if len(list.Licenses) != 1 {
				t.Fatalf("%d licenses", len(list.Licenses))
			}
			issued := 0
			for _, a := range answers {
				if a.status == http.StatusCreated {
					issued++
				} else {
					wantTaken(t, a, list.Licenses[0].LicenseID)
				}
				if a.LicenseID != list.Licenses[0].LicenseID {
					t.Errorf("got %d %s", a.status, a.text)
				}
			}
			if issued != test.issued {
				t.Errorf("%d are told that the license is issued, want %d", issued, test.issued)
			}
		})
	}
}

// TestCrashWithReference cuts the function off at every write, before and after it takes effect. License and reference
// are both there then or both not, and the next attempt leads to the one license.
func TestCrashWithReference(t *testing.T) {
	for _, key := range []string{"", "key"} {
		writes := map[string]int{"": 1, "key": 3}[key]
		for at := 1; at <= writes; at++ {
			for _, persists := range []bool{false, true} {
				v := newVendor(t)
				keys, licenses, clock := v.ports.Idempotency, v.ports.Licenses, licensetest.Now
				v.ports.Now = func() time.Time { return clock }
				send := func(method, path, body string) answer {
					if key == "" {
						if id, isLicense := strings.CutPrefix(path, "/licenses/"); isLicense {
							return v.patch(id, body)
						}
						return v.post(body)
					}
					return v.with(key+path, method, path, body)
				}
				cut := func(method, path, body, reference string) answer {
					c := &crash{at: at, persists: persists}
					v.ports.Idempotency, v.ports.Licenses = crashingKeys{keys, c}, crashingLicenses{licenses, c}
					send(method, path, body)
					if c.writes < at {
						t.Fatalf("%s: only %d writes", path, c.writes)
					}
					v.ports.Idempotency, v.ports.Licenses = keys, licenses
					v.wantBothOrNeither(reference)
					clock = clock.Add(time.Minute) // the lease has ended
					a := send(method, path, body)
					v.wantBothOrNeither(reference)
					return a
				}
				when := fmt.Sprintf("key %q, cut off at write %d (%t)", key, at, persists)
				issued, want := cut("POST", "/licenses", orderOf("4711"), "4711"), http.StatusCreated
				if key == "" && persists {
					want = http.StatusConflict // which names the license
				}
				if issued.status != want || issued.LicenseID == "" || v.count() != 1 {
					t.Errorf("%s: %d %s; %d licenses", when, issued.status, issued.text, v.count())
				}
				other := v.post(order)
				given := cut("PATCH", "/licenses/"+other.LicenseID, `{"reference":"4712"}`, "4712")
				if given.status != http.StatusOK || given.Reference != "4712" || given.Version != 2 {
					t.Errorf("%s: %d %s", when, given.status, given.text)
				}
			}
		}
	}
}

// wantBothOrNeither wants a reference to lead to a license that has it, or to none.
func (v vendor) wantBothOrNeither(reference string) {
	v.t.Helper()
	id, err := v.folder.Licenses.Referenced(v.t.Context(), reference)
	having := 0
	for _, l := range v.call("GET", "/licenses", "", "", nil).Licenses {
		a := v.call("GET", "/licenses/{licenseid}", l.LicenseID, "", nil)
		if a.Reference == reference {
			having++
		}
		if (a.Reference == reference) != (l.LicenseID == id) {
			v.t.Errorf("the reference leads to %q, %v, and a license is %s", id, err, a.text)
		}
	}
	if isFree := errors.Is(err, license.ErrNotFound); isFree != (having == 0) || err != nil && !isFree {
		v.t.Errorf("the reference leads to %q, %v; %d licenses have it", id, err, having)
	}
}

// TestGoneByReference: an order whose response was lost, and whose license is removed since, is a 410 under its key.
// The reference tells, before anything is in the trail.
func TestGoneByReference(t *testing.T) {
	v := newVendor(t)
	keys, licenses, clock := v.ports.Idempotency, v.ports.Licenses, licensetest.Now
	v.ports.Now = func() time.Time { return clock }
	c := &crash{at: 3} // the response
	v.ports.Idempotency, v.ports.Licenses = crashingKeys{keys, c}, crashingLicenses{licenses, c}
	v.with("key", "POST", "/licenses", orderOf("4711"))
	v.ports.Idempotency, v.ports.Licenses = keys, licenses
	clock = clock.Add(time.Minute)
	a := v.callIfMatch("DELETE", "/licenses/{licenseid}", byReference("4711"), "*", `{"reason":"a mistake"}`)
	if a.status != http.StatusNoContent {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	for range 2 {
		a := v.with("key", "POST", "/licenses", orderOf("4711"))
		if a.status != http.StatusGone || a.Code != "LICENSE_GONE" || v.count() != 0 {
			t.Errorf("got %d %s", a.status, a.text)
		}
	}
}

// ownReference tells of a license that its own reference is taken, as a store does whose condition for the license was
// in the way of another write.
type ownReference struct{ license.Store }

func (s ownReference) Create(ctx context.Context, l license.License) error {
	if _, err := s.Store.Get(ctx, l.ID); err == nil {
		return &license.ReferenceTakenError{Reference: l.Reference, LicenseID: l.ID}
	}
	return s.Store.Create(ctx, l)
}

// TestOwnReference: a license that is there is the answer to the request that has made it.
func TestOwnReference(t *testing.T) {
	v := newVendor(t)
	keys, licenses, clock := v.ports.Idempotency, v.ports.Licenses, licensetest.Now
	v.ports.Now = func() time.Time { return clock }
	c := &crash{at: 3}
	v.ports.Idempotency, v.ports.Licenses = crashingKeys{keys, c}, ownReference{crashingLicenses{licenses, c}}
	v.with("key", "POST", "/licenses", orderOf("4711"))
	v.ports.Idempotency, v.ports.Licenses = keys, ownReference{licenses}
	clock = clock.Add(time.Minute)
	a := v.with("key", "POST", "/licenses", orderOf("4711"))
	if a.status != http.StatusCreated || a.Version != 1 || a.LicenseKey == "" || v.count() != 1 {
		t.Errorf("got %d %s; %d licenses", a.status, a.text, v.count())
	}
}

// TestSameKeyByReference: a reference in another encoding or form of Unicode names the same license, so the request is
// the same.
func TestSameKeyByReference(t *testing.T) {
	v := newVendor(t)
	v.post(orderOf("é/1"))
	other := v.post(orderOf("é/2"))
	first := v.with("key", "POST", "/licenses/ref:%C3%A9%2F1/suspend", "")
	for _, sent := range []string{"ref:%C3%A9%2f1", "ref%3A%C3%A9%2F1", "ref:e%CC%81%2F1"} {
		a := v.with("key", "POST", "/licenses/"+sent+"/suspend", "")
		if a.status != http.StatusOK || a.text != first.text || a.header["Idempotency-Replayed"] != "true" {
			t.Errorf("%s: got %d %s", sent, a.status, a.text)
		}
	}
	if a := v.with("key", "POST", "/licenses/ref:%C3%A9%2F2/suspend", ""); a.Code != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("another license: %d %s", a.status, a.text)
	}
	if a := v.call("GET", "/licenses/{licenseid}", other.LicenseID, "", nil); a.Version != 1 {
		t.Errorf("the other license: %s", a.text)
	}
}

// TestEmail: an address is the vendor's alone. It is changed and removed, and is in no license key.
func TestEmail(t *testing.T) {
	v := newVendor(t)
	issued := v.post(`{"customername":"Example","expirationdate":"2030-01-31","email":"` + secretEmail +
		`","reference":"` + secretReference + `"}`)
	if issued.status != http.StatusCreated || issued.Email != secretEmail {
		t.Fatalf("got %d %s", issued.status, issued.text)
	}
	for _, segment := range strings.Split(issued.LicenseKey, ".")[:2] {
		text, err := base64.RawURLEncoding.DecodeString(segment)
		if err != nil || strings.Contains(string(text), secretEmail) || strings.Contains(string(text), "4711") {
			t.Errorf("in the license key stands %s, %v", text, err)
		}
	}
	for _, step := range []struct {
		body   string
		status int
		email  string
	}{
		{`{"email":"Jane <` + secretEmail + `>"}`, http.StatusBadRequest, secretEmail},
		{`{"email":7}`, http.StatusBadRequest, secretEmail},
		{`{"email":"other@example.com"}`, http.StatusOK, "other@example.com"},
		{`{"email":null}`, http.StatusOK, ""},
		{`{"email":null}`, http.StatusOK, ""},
	} {
		a := v.patch(issued.LicenseID, step.body)
		isNamed := len(a.Errors) == 1 && a.Errors[0].Field == "email"
		if a.status != step.status || isNamed != (step.status == http.StatusBadRequest) {
			t.Errorf("%s: got %d %s", step.body, a.status, a.text)
		}
		a = v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil)
		if a.Email != step.email || strings.Contains(a.text, `"email"`) != (step.email != "") {
			t.Errorf("%s left %s", step.body, a.text)
		}
	}
}

// TestNothingPersonalInLogs: what the vendor writes of a customer is in no log, whatever becomes of the request.
// TestMain looks for it.
func TestNothingPersonalInLogs(t *testing.T) {
	v := newVendor(t)
	order := `{"customername":"Example","expirationdate":"2030-01-31","email":"` + secretEmail + `","reference":"` +
		secretReference + `"}`
	wants := func(a answer, status int) {
		t.Helper()
		if a.status != status {
			t.Errorf("got %d %s, want %d", a.status, a.text, status)
		}
	}
	wants(v.post(order), http.StatusCreated)
	wants(v.post(order), http.StatusConflict)
	wants(v.post(strings.ReplaceAll(order, "@", "@@")), http.StatusBadRequest)
	wants(v.post(strings.ReplaceAll(order, secretReference, secretReference+"\u200e ")), http.StatusBadRequest)
	list := map[string]string{"email": secretEmail, "reference": secretReference}
	wants(v.call("GET", "/licenses", "", "", list), http.StatusOK)
	list[secretEmail], list["limit"] = secretReference, "x"
	wants(v.call("GET", "/licenses", "", "", list), http.StatusBadRequest)
	wants(v.call("GET", "/licenses/{licenseid}", byReference(secretReference), "", nil), http.StatusOK)
	wants(v.call("GET", "/licenses/{licenseid}", byReference(secretReference+"x"), "", nil), http.StatusNotFound)
	unrouted := events.APIGatewayProxyRequest{
		HTTPMethod: "PUT", Resource: "/{proxy+}", Path: "/licenses/" + byReference(secretReference),
	}
	response, err := v.ports.router(t).Invoke(t.Context(), apitest.Event(unrouted))
	if err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("no route: %d, %v", response.StatusCode, err)
	}
	v.ports.Licenses = faultyStore{v.ports.Licenses}
	wants(v.post(order), http.StatusInternalServerError)
	wants(v.call("GET", "/licenses/{licenseid}", byReference(secretReference), "", nil), http.StatusInternalServerError)
	wants(v.call("GET", "/licenses", "", "", map[string]string{"email": secretEmail}), http.StatusInternalServerError)
	damaged := v.call("GET", "/licenses", "", "", map[string]string{"reference": secretReference})
	wants(damaged, http.StatusOK)
	if len(damaged.Licenses) != 1 || damaged.Licenses[0].Status != "unreadable" {
		t.Errorf("by its reference, a record that cannot be read at all: %s", damaged.text)
	}
}
