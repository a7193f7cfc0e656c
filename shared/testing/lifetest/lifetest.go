// Package lifetest drives the whole life of a license over HTTP, wherever the API runs: the local server, the built
// functions, the SAM CLI. It knows the API as its clients do, and nothing of what answers it.
package lifetest

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"openlicenser/shared/audit"
)

// Service is an API to drive.
type Service struct {
	URL string
	// Settle hands the stream of changes, which has this many, to the audit function. Nil where that happens by itself.
	Settle func(changes int)
}

// license is what the vendor's API answers.
type license struct {
	LicenseID, LicenseKey, Status, CustomerID, CustomerName, ExpirationDate, Notes, ChangedBy, ChangeReason string

	Version int
	etag    string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

type driver struct {
	*testing.T
	Service
}

// Run issues licenses, and does to them all that can be done.
func Run(t *testing.T, service Service) {
	d := driver{t, service}
	l := d.issue()
	d.refuseToIssue()
	d.public(l)
	d.read(l)
	d.list(l)
	l = d.change(l)
	l = d.transitions(l)
	d.remove(l)
	d.audit(l, 11) // nine changes of the one license, and two others were issued
}

func (d driver) call(method, path, body string, header ...string) answer {
	d.Helper()
	request, err := http.NewRequestWithContext(d.Context(), method, d.URL+path, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		d.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text}
}

func (d driver) decode(a answer, into any) {
	d.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		d.Fatalf("%v: %s", err, a.body)
	}
}

// license wants an answer to hold a license.
func (d driver) license(a answer, status int) (l license) {
	d.Helper()
	if a.status != status {
		d.Fatalf("got %d %s, want %d", a.status, a.body, status)
	}
	d.decode(a, &l)
	if l.etag = a.header.Get("ETag"); l.etag == "" {
		d.Errorf("no ETag: %v", a.header)
	}
	return l
}

// refused wants a problem detail.
func (d driver) refused(a answer, status int, code string, fields ...string) {
	d.Helper()
	if contentType := a.header.Get("Content-Type"); a.status != status || contentType != "application/problem+json" {
		d.Errorf("got %d %q %s, want %d %s", a.status, contentType, a.body, status, code)
		return
	}
	var problem struct {
		Code   string
		Status int
		Errors []struct{ Field string }
	}
	d.decode(a, &problem)
	if problem.Status != status || problem.Code != code {
		d.Errorf("got %s, want %d %s", a.body, status, code)
	}
	var wrong []string
	for _, f := range problem.Errors {
		wrong = append(wrong, f.Field)
	}
	if !slices.Equal(wrong, fields) {
		d.Errorf("the wrong fields are %v, want %v", wrong, fields)
	}
}

const order = `{"customername":"Example & Söhne","expirationdate":"2099-01-31","notes":"order 4711",` +
	`"services":[{"serviceName":"Reports","serviceValue":"reports"}],"appurls":[{"URL":"https://app.example.com"}]}`

// issue issues a license, and again with the same Idempotency-Key.
func (d driver) issue() license {
	d.Helper()
	key := uuid.NewString()
	issued := d.call(http.MethodPost, "/licenses", order, "Idempotency-Key", key)
	l := d.license(issued, http.StatusCreated)
	if id, err := uuid.Parse(l.LicenseID); err != nil || id.Version() != 7 {
		d.Errorf("the license id is %s", l.LicenseID)
	}
	if !strings.HasSuffix(issued.header.Get("Location"), "/licenses/"+l.LicenseID) {
		d.Errorf("the location is %q", issued.header.Get("Location"))
	}
	if l.Status != "active" || l.Version != 1 || l.CustomerName != "Example & Söhne" || l.ExpirationDate != "2099-01-31T23:59:59.999Z" || strings.Count(l.LicenseKey, ".") != 2 {
		d.Errorf("issued %s", issued.body)
	}

	again := d.call(http.MethodPost, "/licenses", order, "Idempotency-Key", key)
	if again.status != http.StatusCreated || string(again.body) != string(issued.body) || again.header.Get("ETag") != l.etag ||
		again.header.Get("Idempotency-Replayed") != "true" || issued.header.Get("Idempotency-Replayed") != "" {
		d.Errorf("again: %d %s %v", again.status, again.body, again.header)
	}
	d.refused(d.call(http.MethodPost, "/licenses", strings.Replace(order, "4711", "4712", 1), "Idempotency-Key", key),
		http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")
	return l
}

func (d driver) refuseToIssue() {
	d.Helper()
	d.refused(d.call(http.MethodPost, "/licenses", `{"customername":"","expirationdate":"soon","color":"red"}`),
		http.StatusBadRequest, "INVALID_FIELDS", "color", "customername", "expirationdate")
	d.refused(d.call(http.MethodPost, "/licenses", `{"customername":`), http.StatusBadRequest, "MALFORMED_BODY")
}

// verify wants an error, or a token if that is empty.
func (d driver) verify(key, want string) (token string) {
	d.Helper()
	a := d.call(http.MethodPost, "/verify-license", fmt.Sprintf(`{"licensekey":%q}`, key))
	var body struct{ Message, Error string }
	d.decode(a, &body)
	status := http.StatusBadRequest
	if want == "" {
		status = http.StatusOK
	}
	if a.status != status || body.Error != want || (body.Message == "") == (want == "") {
		d.Errorf("verified: %d %s, want %d %s", a.status, a.body, status, want)
	}
	return body.Message
}

// public trades the key for a token, and checks that with the keys that the API publishes.
func (d driver) public(l license) {
	d.Helper()
	token, err := jwt.ParseSigned(d.verify(l.LicenseKey, ""), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		d.Fatal(err)
	}
	var set jose.JSONWebKeySet
	d.decode(d.call(http.MethodGet, "/.well-known/jwks.json", ""), &set)
	if len(set.Keys) != 1 || token.Headers[0].KeyID != set.Keys[0].KeyID {
		d.Fatalf("the token's key is %q, the JWK set %+v", token.Headers[0].KeyID, set)
	}
	var claims map[string]any
	if err := token.Claims(set.Keys[0].Key, &claims); err != nil {
		d.Fatal(err)
	}
	for name, want := range map[string]any{
		"licenseid": l.LicenseID, "customername": "Example & Söhne", "sub": "authorization_token", "expirationDate": l.ExpirationDate,
		"appurls": `[{"URL":"https://app.example.com"}]`, "services": `[{"serviceName":"Reports","serviceValue":"reports"}]`,
	} {
		if claims[name] != want {
			d.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	block, _ := pem.Decode(d.call(http.MethodGet, "/public-key.pem", "").body)
	if block == nil {
		d.Fatal("the public key is not PEM")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		d.Fatal(err)
	}
	if err := token.Claims(public, &claims); err != nil {
		d.Errorf("with the PEM: %v", err)
	}

	forged := l.LicenseKey[:len(l.LicenseKey)-6] + "AAAAAA"
	d.verify(forged, "INVALID_LICENSE")
	d.verify("", "MISSING_LICENSE_KEY")
	a := d.call(http.MethodPost, "/verify-license", "[]")
	if a.status != http.StatusBadRequest || string(a.body) != `{"error":"BAD_LICENSE_SERVER_REQUEST"}` {
		d.Errorf("no object: %d %s", a.status, a.body)
	}
}

func (d driver) get(id string) license {
	d.Helper()
	return d.license(d.call(http.MethodGet, "/licenses/"+id, ""), http.StatusOK)
}

func (d driver) read(l license) {
	d.Helper()
	read := d.get(l.LicenseID)
	if read.etag != l.etag || read.Notes != "order 4711" || read.LicenseKey != "" {
		d.Errorf("read %+v", read)
	}
	d.wantKey(l)
	d.refused(d.call(http.MethodGet, "/licenses/"+uuid.NewString(), ""), http.StatusNotFound, "LICENSE_NOT_FOUND")
}

func (d driver) wantKey(l license) {
	d.Helper()
	var body struct{ LicenseKey string }
	d.decode(d.call(http.MethodGet, "/licenses/"+l.LicenseID+"/key", ""), &body)
	if body.LicenseKey != l.LicenseKey {
		d.Errorf("the key is another one: %q", body.LicenseKey)
	}
}

// listed answers the ids of a list, read in pages of one.
func (d driver) listed(query string) (ids []string) {
	d.Helper()
	for cursor := ""; ; {
		a := d.call(http.MethodGet, "/licenses?limit=1&"+query+cursor, "")
		var page struct {
			Licenses []license
			Cursor   string
		}
		d.decode(a, &page)
		if a.status != http.StatusOK || len(page.Licenses) > 1 {
			d.Fatalf("list: %d %s", a.status, a.body)
		}
		for _, l := range page.Licenses {
			ids = append(ids, l.LicenseID)
		}
		if page.Cursor == "" {
			return ids
		}
		if len(ids) > 100 {
			d.Fatal("the list does not end")
		}
		cursor = "&cursor=" + url.QueryEscape(page.Cursor)
	}
}

func (d driver) wantListed(query string, want ...string) {
	d.Helper()
	if diff := cmp.Diff(want, d.listed(query)); diff != "" {
		d.Errorf("%q lists (-want +got):\n%s", query, diff)
	}
}

// list issues two more licenses, one of them for the same customer. There may be no others.
func (d driver) list(l license) {
	d.Helper()
	next := d.license(d.call(http.MethodPost, "/licenses", `{"customername":"Example & Söhne","customerid":"`+l.CustomerID+`","expirationdate":"2098-01-31"}`), http.StatusCreated)
	other := d.license(d.call(http.MethodPost, "/licenses", `{"customername":"Other Ltd","expirationdate":"2097-01-31"}`), http.StatusCreated)

	d.wantListed("", other.LicenseID, next.LicenseID, l.LicenseID)
	d.wantListed("customerid="+l.CustomerID, next.LicenseID, l.LicenseID)
	d.wantListed("status=active", l.LicenseID, next.LicenseID, other.LicenseID)
	d.wantListed("status=suspended")
	d.wantListed("status=revoked")
	d.wantListed("expiringbefore=2098-06-01", next.LicenseID, other.LicenseID)
	d.wantListed("status=active&expiringbefore=2098-06-01&customerid="+l.CustomerID, next.LicenseID)
	d.refused(d.call(http.MethodGet, "/licenses?status=new&limit=0&cursor=x", ""), http.StatusBadRequest, "INVALID_FIELDS", "limit", "status", "cursor")
}

// change patches, which takes the entity tag that was read.
func (d driver) change(l license) license {
	d.Helper()
	path, patch := "/licenses/"+l.LicenseID, `{"notes":"order 4711, paid","reason":"the invoice was paid"}`
	d.refused(d.call(http.MethodPatch, path, patch), http.StatusPreconditionRequired, "IF_MATCH_REQUIRED")
	d.refused(d.call(http.MethodPatch, path, patch, "If-Match", `"0-0"`), http.StatusPreconditionFailed, "STALE")
	changed := d.license(d.call(http.MethodPatch, path, patch, "If-Match", l.etag), http.StatusOK)
	if changed.Version != 2 || changed.Notes != "order 4711, paid" || changed.ChangeReason != "the invoice was paid" || changed.CustomerName != l.CustomerName || changed.etag == l.etag {
		d.Errorf("changed to %+v", changed)
	}
	d.refused(d.call(http.MethodPatch, path, patch, "If-Match", l.etag), http.StatusPreconditionFailed, "STALE")
	if read := d.get(l.LicenseID); read != changed {
		d.Errorf("changed to %+v, read %+v", changed, read)
	}
	changed.LicenseKey = l.LicenseKey
	return changed
}

// transitions goes through every status that a person sets, and has each verified at once.
func (d driver) transitions(l license) license {
	d.Helper()
	for _, step := range []struct{ do, body, status, verified string }{
		{"suspend", `{"reason":"unpaid"}`, "suspended", "LICENSE_SUSPENDED"},
		{"reinstate", `{"reason":"paid"}`, "active", ""},
		{"renew", `{"expirationdate":"2099-12-31","reason":"another year"}`, "active", ""},
		{"revoke", `{"reason":"contract ended"}`, "revoked", "LICENSE_REVOKED"},
		{"reinstate", `{"reason":"revoked by mistake"}`, "active", ""},
	} {
		path := "/licenses/" + l.LicenseID + "/" + step.do
		if step.do == "reinstate" && l.Status == "revoked" {
			d.refused(d.call(http.MethodPost, path, ""), http.StatusConflict, "STATUS_FORBIDS")
		}
		d.refused(d.call(http.MethodPost, path, step.body, "If-Match", `"0-0"`), http.StatusPreconditionFailed, "STALE")
		key := uuid.NewString()
		done := d.license(d.call(http.MethodPost, path, step.body, "Idempotency-Key", key), http.StatusOK)
		if done.Status != step.status || done.Version != l.Version+1 || !strings.Contains(step.body, done.ChangeReason) {
			d.Errorf("%s: %+v", step.do, done)
		}
		if again := d.license(d.call(http.MethodPost, path, step.body, "Idempotency-Key", key), http.StatusOK); again != done {
			d.Errorf("%s again: %+v, want %+v", step.do, again, done)
		}
		d.verify(l.LicenseKey, step.verified)
		if step.status != "active" {
			d.wantListed("status="+step.status, l.LicenseID)
		}
		if step.status == "revoked" {
			d.refused(d.call(http.MethodPost, "/licenses/"+l.LicenseID+"/renew", `{"expirationdate":"2100-01-31"}`), http.StatusConflict, "STATUS_FORBIDS")
		}
		done.LicenseKey = l.LicenseKey
		l = done
	}
	if l.ExpirationDate != "2099-12-31T23:59:59.999Z" {
		d.Errorf("renewed to %s", l.ExpirationDate)
	}
	d.refused(d.call(http.MethodPost, "/licenses/"+l.LicenseID+"/renew", `{"expirationdate":"2098-12-31"}`), http.StatusBadRequest, "INVALID_FIELDS", "expirationdate")
	d.wantKey(l)
	return l
}

func (d driver) remove(l license) {
	d.Helper()
	path := "/licenses/" + l.LicenseID
	d.refused(d.call(http.MethodDelete, path, `{"reason":"issued by mistake"}`), http.StatusPreconditionRequired, "IF_MATCH_REQUIRED")
	d.refused(d.call(http.MethodDelete, path, "", "If-Match", l.etag), http.StatusBadRequest, "INVALID_FIELDS", "reason")
	if a := d.call(http.MethodDelete, path, `{"reason":"issued by mistake"}`, "If-Match", l.etag); a.status != http.StatusNoContent || len(a.body) > 0 {
		d.Errorf("removed: %d %s", a.status, a.body)
	}
	d.refused(d.call(http.MethodGet, path, ""), http.StatusNotFound, "LICENSE_NOT_FOUND")
	d.verify(l.LicenseKey, "INVALID_LICENSE")
}

// audit wants the trail of what was done, in a chain that verifies. It outlives the license.
func (d driver) audit(l license, changes int) {
	d.Helper()
	if d.Settle != nil {
		d.Settle(changes)
	}
	want := []string{"ISSUED", "CHANGED the invoice was paid", "SUSPENDED unpaid", "REINSTATED paid", "RENEWED another year",
		"REVOKED contract ended", "REINSTATED revoked by mistake", "REVOKED issued by mistake", "DELETED issued by mistake"}
	var entries []audit.Entry
	for deadline := time.Now().Add(30 * time.Second); len(entries) < len(want) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		entries = d.trail(l.LicenseID)
	}
	var got []string
	for i, e := range entries {
		got = append(got, strings.TrimSpace(string(e.Action)+" "+e.Reason))
		if l.ChangedBy == "" && i < len(want) { // without a principal, as under sam local, the trail keeps no reason
			want[i], _, _ = strings.Cut(want[i], " ")
		}
		if e.Actor == "" || l.ChangedBy != "" && e.Actor != l.ChangedBy {
			d.Errorf("entry %d is of %q, the license was changed by %q", e.Sequence, e.Actor, l.ChangedBy)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.Errorf("trail (-want +got):\n%s", diff)
	}
	if _, err := audit.Verify(l.LicenseID, audit.Head{}, entries); err != nil {
		d.Error(err)
	}
}

// trail reads in pages of four.
func (d driver) trail(id string) (entries []audit.Entry) {
	d.Helper()
	for cursor := ""; ; {
		var page struct {
			Entries []audit.Entry
			Cursor  string
		}
		a := d.call(http.MethodGet, "/licenses/"+id+"/audit?limit=4"+cursor, "")
		d.decode(a, &page)
		if a.status != http.StatusOK || len(page.Entries) > 4 || len(entries) > 100 {
			d.Fatalf("trail: %d %s", a.status, a.body)
		}
		entries = append(entries, page.Entries...)
		if page.Cursor == "" {
			return entries
		}
		cursor = "&cursor=" + url.QueryEscape(page.Cursor)
	}
}
