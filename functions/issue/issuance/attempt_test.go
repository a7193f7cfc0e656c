package issuance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/audit"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/licensetest"
)

const order = `{"customername":"Example","expirationdate":"2030-01-31"}`

// with sends a request with an Idempotency-Key, each time as another request.
func (v vendor) with(key, method, path, body string) answer {
	v.t.Helper()
	event := events.APIGatewayProxyRequest{HTTPMethod: method, Resource: path, Path: path, Body: body,
		Headers: map[string]string{"Idempotency-Key": key, "If-Match": "*"}}
	if id, isLicense := strings.CutPrefix(path, "/licenses/"); isLicense {
		id, action, _ := strings.Cut(id, "/")
		event.Resource = strings.TrimSuffix("/licenses/{licenseid}/"+action, "/")
		event.PathParameters = map[string]string{"licenseid": id}
	}
	id, err := license.NewID()
	if err != nil {
		v.t.Fatal(err)
	}
	event.RequestContext.RequestID = id
	event.RequestContext.Identity.UserArn = principal
	return v.handle(event)
}

func (v vendor) count() int {
	v.t.Helper()
	return len(v.call("GET", "/licenses", "", "", map[string]string{"limit": "100"}).Licenses)
}

func TestSameKeySameAnswer(t *testing.T) {
	v := newVendor(t)
	first := v.with("key-1", "POST", "/licenses", order)
	again := v.with("key-1", "POST", "/licenses", order)
	if first.status != http.StatusCreated ||
		again.status != first.status || again.text != first.text ||
		again.header["ETag"] != first.header["ETag"] {
		t.Errorf("first %d %s, again %d %s", first.status, first.text, again.status, again.text)
	}
	if first.header["Idempotency-Replayed"] != "" || again.header["Idempotency-Replayed"] != "true" {
		t.Error("only the second answer is a repetition")
	}
	if other := v.with("key-2", "POST", "/licenses", order); other.LicenseID == first.LicenseID {
		t.Error("another key got the same license")
	}
	if v.count() != 2 {
		t.Errorf("%d licenses, want 2", v.count())
	}
	for name, a := range map[string]answer{
		"another body":  v.with("key-1", "POST", "/licenses", strings.Replace(order, "Example", "Other", 1)),
		"another route": v.with("key-1", "POST", "/licenses/"+first.LicenseID+"/revoke", order),
	} {
		if a.status != http.StatusUnprocessableEntity || a.Code != "IDEMPOTENCY_KEY_REUSED" {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
}

// TestInvalidKey: a key that is none is not taken for an absent one, so nothing is changed.
func TestInvalidKey(t *testing.T) {
	v := newVendor(t)
	path := "/licenses/" + v.issue().LicenseID
	for name, key := range map[string]string{
		"too long": strings.Repeat("k", 256), "not ASCII": "clé", "control character": "a\nb",
		"empty": "", "blank": "  ", "a tab": "\t",
	} {
		for _, a := range []answer{
			v.with(key, "POST", "/licenses", order),
			v.with(key, "PATCH", path, `{"notes":"x"}`),
			v.with(key, "POST", path+"/revoke", ""),
		} {
			if a.status != http.StatusBadRequest || a.Code != "INVALID_IDEMPOTENCY_KEY" {
				t.Errorf("%s: %d %s", name, a.status, a.text)
			}
		}
	}
	event := events.APIGatewayProxyRequest{HTTPMethod: "POST", Resource: "/licenses", Path: "/licenses", Body: order}
	for name, test := range map[string]struct {
		keys   []string
		status int
	}{
		"two keys":                {[]string{"a", "b"}, http.StatusBadRequest},
		"a key and an empty line": {[]string{"a", ""}, http.StatusBadRequest},
		"the same key twice":      {[]string{"a", "a"}, http.StatusCreated},
	} {
		event.MultiValueHeaders = map[string][]string{"idempotency-key": test.keys}
		if a := v.handle(event); a.status != test.status {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	a := v.call("GET", "/licenses/{licenseid}", strings.TrimPrefix(path, "/licenses/"), "", nil)
	if a.Version != 1 || v.count() != 2 {
		t.Errorf("something was changed: %s, %d licenses", a.text, v.count())
	}
}

// TestSameKeyInEitherCase: the id in another case names the same license, so the request is the same.
func TestSameKeyInEitherCase(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	first := v.with("key-1", "POST", "/licenses/"+id+"/suspend", "")
	again := v.with("key-1", "POST", "/licenses/"+strings.ToUpper(id)+"/suspend", "")
	if again.status != http.StatusOK || again.text != first.text || again.header["Idempotency-Replayed"] != "true" {
		t.Errorf("first %d %s, again %d %s", first.status, first.text, again.status, again.text)
	}
	another := "/licenses/" + v.issue().LicenseID + "/suspend"
	if a := v.with("key-1", "POST", another, ""); a.Code != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("another license: %d %s", a.status, a.text)
	}
}

// TestRefusalIsNotKept: it changed nothing, and may be mended under the same key.
func TestRefusalIsNotKept(t *testing.T) {
	v := newVendor(t)
	if a := v.with("key-1", "POST", "/licenses", `{}`); a.status != http.StatusBadRequest {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	if a := v.with("key-1", "POST", "/licenses", order); a.status != http.StatusCreated {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

// TestKeyAtTheSameMoment: 50 requests in parallel make one license.
func TestKeyAtTheSameMoment(t *testing.T) {
	v := newVendor(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for range 50 {
		group.Go(func() {
			for {
				a := v.with("key-1", "POST", "/licenses", order)
				if a.status == http.StatusConflict && a.Code == "IDEMPOTENCY_IN_FLIGHT" {
					time.Sleep(time.Millisecond)
					continue
				}
				if a.status != http.StatusCreated {
					t.Errorf("got %d %s", a.status, a.text)
				}
				mu.Lock()
				ids[a.LicenseID] = true
				mu.Unlock()
				return
			}
		})
	}
	group.Wait()
	if len(ids) != 1 || v.count() != 1 {
		t.Errorf("answers name %d licenses, the store holds %d", len(ids), v.count())
	}
}

// crash counts the writes of a function, and cuts it off at one of them: that one and all that follow fail.
type crash struct {
	at       int  // the number of the write, from 1
	persists bool // whether that write still happens
	writes   int
}

var errCrash = errors.New("cut off")

func (c *crash) write(do func() error) error {
	c.writes++
	switch {
	case c.writes < c.at:
		return do()
	case c.writes == c.at && c.persists:
		return errors.Join(errCrash, do())
	default:
		return errCrash
	}
}

type crashingKeys struct {
	idempotency.Store
	*crash
}

func (s crashingKeys) Put(
	ctx context.Context, r idempotency.Record, now time.Time,
) (existing *idempotency.Record, err error) {
	err = s.write(func() (err error) { existing, err = s.Store.Put(ctx, r, now); return err })
	return existing, err
}

func (s crashingKeys) TakeOver(ctx context.Context, key string, from, to time.Time) error {
	return s.write(func() error { return s.Store.TakeOver(ctx, key, from, to) })
}

func (s crashingKeys) Forget(ctx context.Context, licenseID, except string) error {
	return s.write(func() error { return s.Store.Forget(ctx, licenseID, except) })
}

func (s crashingKeys) Complete(ctx context.Context, key string, a idempotency.Response) error {
	return s.write(func() error { return s.Store.Complete(ctx, key, a) })
}

type crashingLicenses struct {
	license.Store
	*crash
}

func (s crashingLicenses) Create(ctx context.Context, l license.License) error {
	return s.write(func() error { return s.Store.Create(ctx, l) })
}

func (s crashingLicenses) Update(ctx context.Context, before, after license.License) error {
	return s.write(func() error { return s.Store.Update(ctx, before, after) })
}

func (s crashingLicenses) Erase(
	ctx context.Context, before, after license.License, references []string,
) error {
	return s.write(func() error { return s.Store.Erase(ctx, before, after, references) })
}

func (s crashingLicenses) Remove(ctx context.Context, l license.License) error {
	return s.write(func() error { return s.Store.Remove(ctx, l) })
}

// TestCrash cuts the function off at every write, before and after it takes effect. The client sends the request again
// until there is a response, and it has then taken effect once.
func TestCrash(t *testing.T) {
	for at := 1; at <= 3; at++ {
		for _, persists := range []bool{false, true} {
			v := newVendor(t)
			keys, licenses, clock := v.ports.Idempotency, v.ports.Licenses, licensetest.Now
			v.ports.Now = func() time.Time { return clock }
			send := func(method, path, body string) answer {
				c := &crash{at: at, persists: persists}
				v.ports.Idempotency, v.ports.Licenses = crashingKeys{keys, c}, crashingLicenses{licenses, c}
				v.with("key of "+path, method, path, body)
				if c.writes < at {
					t.Fatalf("%s: only %d writes", path, c.writes)
				}
				v.ports.Idempotency, v.ports.Licenses = keys, licenses
				clock = clock.Add(time.Minute) // the lease has ended
				a := v.with("key of "+path, method, path, body)
				if again := v.with("key of "+path, method, path, body); again.text != a.text {
					t.Errorf("%s, cut off at write %d (%t): answered %s, then %s",
						path, at, persists, a.text, again.text)
				}
				return a
			}

			issued := send("POST", "/licenses", order)
			if issued.status != http.StatusCreated || issued.Version != 1 || issued.LicenseKey == "" || v.count() != 1 {
				t.Errorf("cut off at write %d (%t): %d %s; %d licenses",
					at, persists, issued.status, issued.text, v.count())
				continue
			}
			path := "/licenses/" + issued.LicenseID
			if a := send("POST", path+"/suspend", `{"reason":"unpaid"}`); a.Status != "suspended" || a.Version != 2 {
				t.Errorf("suspend, cut off at write %d (%t): %d %s", at, persists, a.status, a.text)
			}
			if a := send("PATCH", path, `{"notes":"changed"}`); a.status != http.StatusOK || a.Version != 3 {
				t.Errorf("patch, cut off at write %d (%t): %d %s", at, persists, a.status, a.text)
			}
		}
	}
}

// record has the changes so far recorded in the trail, as the audit function does.
func (v vendor) record() {
	v.t.Helper()
	changes, err := v.folder.Changes.Oldest(v.t.Context(), 1000)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range changes {
		number := strconv.FormatUint(c.SequenceNumber, 10)
		event := audit.Event{
			ID: "event-" + number, SequenceNumber: number, Time: c.Time,
			LicenseID: c.LicenseID, Old: c.Old, New: c.New,
		}
		if err := (audit.Recorder{Store: v.folder.AuditTrail}).Record(v.t.Context(), event); err != nil {
			v.t.Fatal(err)
		}
	}
}

// TestOnceWhateverFollowed: an attempt whose response was not kept has taken effect, and does not again when others
// have changed the license since.
func TestOnceWhateverFollowed(t *testing.T) {
	v := newVendor(t)
	keys, licenses, clock := v.ports.Idempotency, v.ports.Licenses, licensetest.Now
	v.ports.Now = func() time.Time { return clock }
	lost := func(key, method, path, body string) { // its last write, the response, is lost
		c := &crash{at: 3}
		v.ports.Idempotency, v.ports.Licenses = crashingKeys{keys, c}, crashingLicenses{licenses, c}
		v.with(key, method, path, body)
		v.ports.Idempotency, v.ports.Licenses = keys, licenses
		clock = clock.Add(time.Minute) // the lease has ended
	}
	lost("issue", "POST", "/licenses", order)
	id := v.call("GET", "/licenses", "", "", nil).Licenses[0].LicenseID
	path := "/licenses/" + id

	lost("revoke", "POST", path+"/revoke", `{"reason":"unpaid"}`)
	if a := v.with("reinstate", "POST", path+"/reinstate", `{"reason":"paid"}`); a.Status != "active" {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	v.record()
	a := v.with("revoke", "POST", path+"/revoke", `{"reason":"unpaid"}`)
	if a.status != http.StatusOK || a.Status != "active" {
		t.Errorf("revoked again: %d %s", a.status, a.text)
	}
	a = v.callIfMatch("DELETE", "/licenses/{licenseid}", id, "*", `{"reason":"a mistake"}`)
	if a.status != http.StatusNoContent {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	v.record()
	for range 2 {
		a = v.with("issue", "POST", "/licenses", order)
		if a.status != http.StatusGone || a.Code != "LICENSE_GONE" || v.count() != 0 {
			t.Errorf("issued again: %d %s", a.status, a.text)
		}
	}
}

// crowded lists nothing for now.
type crowded struct{ license.Store }

func (crowded) List(context.Context, license.Query) (license.Page, error) {
	return license.Page{}, fmt.Errorf("list: %w", license.ErrBusy)
}

// TestListBusy: where the store has too little capacity, a list says when to come again.
func TestListBusy(t *testing.T) {
	v := newVendor(t)
	v.ports.Licenses = crowded{v.ports.Licenses}
	event := events.APIGatewayProxyRequest{HTTPMethod: "GET", Resource: "/licenses", Path: "/licenses"}
	event.RequestContext.RequestID, event.RequestContext.Identity.UserArn = "request", principal
	response, err := v.ports.router(t).Invoke(t.Context(), apitest.Event(event))
	if err != nil {
		t.Fatal(err)
	}
	apitest.CheckEvent(t, event, response)
	if response.StatusCode != http.StatusServiceUnavailable || response.Headers["Retry-After"] != "10" ||
		!strings.Contains(response.Body, `"code":"BUSY"`) {
		t.Errorf("got %d %v %s", response.StatusCode, response.Headers, response.Body)
	}
}

// TestBusy: where the store takes no change for now, the response says when to come again, and the same key then takes
// effect.
func TestBusy(t *testing.T) {
	v := newVendor(t)
	v.issue()
	v.folder.Changes.Limit(1)
	event := events.APIGatewayProxyRequest{
		HTTPMethod: "POST", Resource: "/licenses", Path: "/licenses", Body: order,
		Headers: map[string]string{"Idempotency-Key": "busy"},
	}
	event.RequestContext.RequestID, event.RequestContext.Identity.UserArn = "request", principal
	call := func() (a struct{ Code string }, response events.APIGatewayProxyResponse) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		response, err := v.ports.router(v.t).Invoke(ctx, apitest.Event(event))
		if err := errors.Join(err, json.Unmarshal([]byte(response.Body), &a)); err != nil {
			t.Fatal(err)
		}
		apitest.CheckEvent(t, event, response)
		return a, response
	}
	a, response := call()
	if response.StatusCode != http.StatusServiceUnavailable || a.Code != "BUSY" ||
		response.Headers["Retry-After"] == "" {
		t.Errorf("got %d %v %s", response.StatusCode, response.Headers, response.Body)
	}
	if list := v.call("GET", "/licenses", "", "", nil); len(list.Licenses) != 1 {
		t.Errorf("a busy store has taken the license: %s", list.text)
	}
	v.folder.Changes.Limit(0)
	_, response = call()
	if response.StatusCode != http.StatusCreated || response.Headers["Idempotency-Replayed"] != "" {
		t.Errorf("again: %d %s", response.StatusCode, response.Body)
	}
}
