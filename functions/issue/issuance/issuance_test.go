package issuance_test

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/functions/issue/issuance"
	"openlicenser/shared/api"
	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/device"
	"openlicenser/shared/embedded"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/testing/telemetrytest"
	"openlicenser/shared/token"
)

// What no log may hold.
const (
	secretReference = "order 4711/Ä secret"
	secretEmail     = "jane.doe@example.com"
)

func TestMain(m *testing.M) {
	telemetrytest.Main(m, secretReference, url.PathEscape(secretReference), secretEmail)
}

const principal = "arn:aws:iam::123456789012:user/shop"

// ports are what the parts of the vendor's API are made of.
type ports struct {
	Licenses      license.Store
	Trail         audit.Store
	Devices       device.Store
	Plans         license.PlanStore
	Records       checkpoint.Records
	Secrets       token.Secrets
	Idempotency   idempotency.Store
	Checkpoints   checkpoint.Reader
	CheckpointKey checkpoint.Key
	Now           func() time.Time
	References    func(context.Context, string) ([]string, error) // may be nil
	Signatures    token.SignatureRemover                          // may be nil
}

const (
	origin        = "openlicenser/test/audit"
	tokenLifetime = 90 * 24 * time.Hour
)

// parts returns the whole API.
func (p ports) parts() (issuance.Licenses, issuance.Plans, issuance.Keys, issuance.Trail) {
	keys := issuance.Keys{Licenses: p.Licenses, Secrets: p.Secrets, Issuer: "Test Issuer", Now: p.Now}
	return issuance.Licenses{
			Store: p.Licenses, Idempotency: p.Idempotency, Keys: keys, Secrets: p.Secrets, Trail: p.Trail,
			Devices: p.Devices, Plans: p.Plans, Now: p.Now, TokenLifetime: tokenLifetime,
			References: p.References, Signatures: p.Signatures,
		},
		issuance.Plans{Store: p.Plans, Secrets: p.Secrets, Now: p.Now, TokenLifetime: tokenLifetime},
		keys,
		issuance.Trail{
			Store: p.Trail, Licenses: p.Licenses, Records: p.Records, Checkpoints: p.Checkpoints,
			CheckpointKey: p.CheckpointKey, Origin: origin, Secrets: p.Secrets, Now: p.Now,
		}
}

func (p ports) router(t testing.TB) api.Router {
	t.Helper()
	licenses, plans, keys, trail := p.parts()
	router, err := issuance.NewRouter(telemetrytest.Log, licenses, plans, keys, trail)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// vendor calls the API as the vendor does.
type vendor struct {
	t      *testing.T
	ports  ports
	folder *embedded.Folder
}

func newVendor(t *testing.T) vendor {
	t.Helper()
	folder, err := embedded.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	path := t.TempDir()
	archive, errArchive := embedded.OpenCheckpoints(path)
	key, errKey := embedded.OpenCheckpointKey(path)
	if err := errors.Join(errArchive, errKey); err != nil {
		t.Fatal(err)
	}
	return vendor{t, ports{
		Licenses:      folder.Licenses,
		Trail:         folder.AuditTrail,
		Devices:       folder.Devices,
		Plans:         folder.Plans,
		Records:       checkpoint.StoredRecords{Records: folder.Licenses},
		Secrets:       folder.Secrets,
		Idempotency:   folder.Idempotency,
		Checkpoints:   archive,
		CheckpointKey: key,
		Now:           func() time.Time { return licensetest.Now.Add(1234567 * time.Nanosecond) },
	}, folder}
}

// answer is any response of the API.
type answer struct {
	status int
	header map[string]string
	text   string

	Code           string
	Errors         []license.FieldError
	LicenseID      string
	LicenseKey     string
	ShortKey       string
	Status         any // of the license, or of the problem
	ExpirationDate string
	UpdatesUntil   string
	Plan           string
	Notes          string
	GraceDays      int
	MaxDevices     int
	LeaseMinutes   int
	Plans          []struct{ Plan string }
	CustomerID     string
	ChangedBy      string
	ChangeReason   string
	Version        int
	Services       []license.Service
	AppURLs        []license.AppURL
	Reference      string
	Email          string
	CustomerName   string
	Erased         string
	Licenses       []struct {
		LicenseID, Status string
		Problems          []license.FieldError
	}
	Entries []audit.Entry
	Cursor  string
	Head    struct {
		Sequence int64
		Hash     string
	}
	RecordHash string
	LeftBy     int64
}

func (v vendor) handle(event events.APIGatewayProxyRequest) answer {
	v.t.Helper()
	response, err := v.ports.router(v.t).Invoke(v.t.Context(), apitest.Event(event))
	if err != nil {
		v.t.Fatal(err)
	}
	apitest.CheckEvent(v.t, event, response)
	return v.read(response)
}

// invoke runs the event of any front.
func (v vendor) invoke(text []byte) answer {
	v.t.Helper()
	var event api.Event
	if err := json.Unmarshal(text, &event); err != nil {
		v.t.Fatal(err)
	}
	response, err := v.ports.router(v.t).Invoke(v.t.Context(), event)
	if err != nil {
		v.t.Fatal(err)
	}
	apitest.CheckInvocation(v.t, text, response)
	return v.read(response)
}

func (v vendor) read(response events.APIGatewayProxyResponse) answer {
	v.t.Helper()
	a := answer{status: response.StatusCode, header: response.Headers, text: response.Body}
	if !strings.HasSuffix(response.Headers["Content-Type"], "json") {
		return a
	}
	if err := json.Unmarshal([]byte(response.Body), &a); err != nil {
		v.t.Fatalf("%v: %s", err, response.Body)
	}
	return a
}

func (v vendor) call(method, resource, id, body string, query map[string]string) answer {
	v.t.Helper()
	event := events.APIGatewayProxyRequest{
		HTTPMethod: method, Resource: resource, Body: body,
		PathParameters: map[string]string{"licenseid": id}, QueryStringParameters: query,
	}
	event.RequestContext.RequestID = "request-1"
	event.RequestContext.Path = "/dev" + resource
	event.RequestContext.Identity.UserArn = principal
	return v.handle(event)
}

func (v vendor) issue() answer {
	v.t.Helper()
	a := v.call("POST", "/licenses", "", `{"customername":"Example","expirationdate":"2030-01-31",`+
		`"services":[{"serviceName":"A","serviceValue":"b"}],"appurls":[{"URL":"https://app.example.com"}]}`, nil)
	if a.status != http.StatusCreated {
		v.t.Fatalf("got %d %s", a.status, a.text)
	}
	return a
}

func TestIssue(t *testing.T) {
	v := newVendor(t)
	a := v.issue()
	if a.header["Location"] != "/dev/licenses/"+a.LicenseID ||
		a.header["ETag"] == "" || a.header["Cache-Control"] != "no-store" {
		t.Errorf("headers %v", a.header)
	}
	if a.Status != "active" || a.ExpirationDate != "2030-01-31T23:59:59.999Z" ||
		a.Version != 1 || a.ChangedBy != principal {
		t.Errorf("got %s", a.text)
	}
	if len(a.Services) != 1 || a.Services[0].Value != "b" || len(a.AppURLs) != 1 {
		t.Errorf("got %s", a.text)
	}
	ring, err := v.folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{a.LicenseKey, a.ShortKey} {
		if id, err := token.ReadLicenseKey(ring, key, licensetest.Now); err != nil || id != a.LicenseID {
			t.Errorf("the license key %s is for %q, %v", key, id, err)
		}
	}

	got := v.call("GET", "/licenses/{licenseid}", a.LicenseID, "", nil)
	if got.status != http.StatusOK || got.header["ETag"] != a.header["ETag"] || got.LicenseKey+got.ShortKey != "" {
		t.Errorf("read again: %d %v %s", got.status, got.header, got.text)
	}
	key := v.call("GET", "/licenses/{licenseid}/key", a.LicenseID, "", nil)
	if key.status != http.StatusOK || key.LicenseKey != a.LicenseKey || key.ShortKey != a.ShortKey {
		t.Errorf("the key again: %d %s, want %s", key.status, key.text, a.text)
	}
}

func TestIssueReportsAllThatIsWrong(t *testing.T) {
	v := newVendor(t)
	a := v.call("POST", "/licenses", "", `{"customername":7,"customerid":"x","expirationdate":"2020-01-31",
		"services":[{"serviceName":""}],"appurls":[{"URL":"re:example\\.com"},{"URL":"ftp://a"}],
		"notes":"a\u0000","gracedays":366,"expires":1}`, nil)
	var fields []string
	for _, f := range a.Errors {
		fields = append(fields, f.Field)
	}
	want := []string{"customername", "expires", "expirationdate", "services[0].serviceName", "services[0].serviceValue",
		"appurls[0].URL", "appurls[1].URL", "notes", "gracedays", "customerid"}
	if a.status != http.StatusBadRequest || a.Code != "INVALID_FIELDS" ||
		a.header["Content-Type"] != "application/problem+json" || a.header["Cache-Control"] != "no-store" {
		t.Errorf("got %d %v %s", a.status, a.header, a.text)
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if list := v.call("GET", "/licenses", "", "", nil); len(list.Licenses) != 0 {
		t.Errorf("the refused request made a license: %s", list.text)
	}
}

func TestRevoke(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	first := v.call("POST", "/licenses/{licenseid}/revoke", id, `{"reason":"contract ended"}`, nil)
	if first.status != http.StatusOK || first.Status != "revoked" ||
		first.ChangeReason != "contract ended" || first.Version != 2 {
		t.Fatalf("got %d %s", first.status, first.text)
	}
	again := v.call("POST", "/licenses/{licenseid}/revoke", id, `{"reason":"another"}`, nil)
	if again.status != http.StatusOK || again.text != first.text {
		t.Errorf("a second revocation changed something: %d %s", again.status, again.text)
	}
	changes, err := v.folder.Changes.Oldest(t.Context(), 10)
	if err != nil || len(changes) != 2 {
		t.Errorf("%d changes, %v", len(changes), err)
	}
	for name, body := range map[string]string{
		"reason is a number": `{"reason":1}`,
		"unknown field":      `{"why":"x"}`,
		"no object":          `[]`,
		"reason too long":    `{"reason":"` + strings.Repeat("é", license.MaxReason+1) + `"}`,
	} {
		if a := v.call("POST", "/licenses/{licenseid}/revoke", id, body, nil); a.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	if a := v.call("POST", "/licenses/{licenseid}/revoke", v.issue().LicenseID, "", nil); a.Status != "revoked" {
		t.Errorf("without a body: got %d %s", a.status, a.text)
	}
}

// callIfMatch sends no If-Match where ifMatch is empty.
func (v vendor) callIfMatch(method, resource, id, ifMatch, body string) answer {
	v.t.Helper()
	if ifMatch == "" {
		return v.call(method, resource, id, body, nil)
	}
	event := events.APIGatewayProxyRequest{
		HTTPMethod: method, Resource: resource, Body: body, Headers: map[string]string{"if-match": ifMatch},
		PathParameters: map[string]string{"licenseid": id, "device": theDevice},
	}
	event.RequestContext.Identity.UserArn = principal
	return v.handle(event)
}

// TestStrictBody: what two readers could read differently is refused.
func TestStrictBody(t *testing.T) {
	v := newVendor(t)
	for name, test := range map[string]struct{ members, code string }{
		"a member twice": {`"notes":"a","notes":"b"`, "MALFORMED_BODY"},
		"a nested member twice": {
			`"services":[{"serviceName":"a","serviceName":"b","serviceValue":"c"}]`, "MALFORMED_BODY",
		},
		"half of a surrogate pair":     {`"notes":"\ud800"`, "MALFORMED_BODY"},
		"not UTF-8":                    {"\"notes\":\"\xff\"", "MALFORMED_BODY"},
		"a second value":               {`"notes":""}{`, "MALFORMED_BODY"},
		"a member in another case":     {`"Notes":"a"`, "INVALID_FIELDS"},
		"a nested one in another case": {`"services":[{"servicename":"a","serviceValue":"b"}]`, "INVALID_FIELDS"},
		"an unknown nested member": {
			`"appurls":[{"URL":"https://app.example.com","url":"https://app.example.com"}]`, "INVALID_FIELDS",
		},
		"a nested null":                 {`"services":[{"serviceName":null,"serviceValue":"b"}]`, "INVALID_FIELDS"},
		"null in place of a nested one": {`"appurls":[null]`, "INVALID_FIELDS"},
		"a fraction":                    {`"gracedays":1.5`, "INVALID_FIELDS"},
	} {
		order := `{"customername":"Example","expirationdate":"2030-01-31",` + test.members + `}`
		a := v.call("POST", "/licenses", "", order, nil)
		if a.status != http.StatusBadRequest || a.Code != test.code {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	if n := v.count(); n != 0 {
		t.Errorf("%d licenses", n)
	}
}

func TestLifeCycle(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	for _, step := range []struct {
		route, body string
		status      int
		want        string // the license's status, or the problem's code
	}{
		{"suspend", `{"reason":"unpaid"}`, 200, "suspended"},
		{"suspend", ``, 200, "suspended"},
		{"renew", `{"expirationdate":"2031-01-31"}`, 200, "suspended"},
		{"reinstate", ``, 200, "active"},
		{"renew", `{"expirationdate":"2029-01-31"}`, 400, "INVALID_FIELDS"},
		{"renew", `{}`, 400, "INVALID_FIELDS"},
		{"renew", ``, 400, "MALFORMED_BODY"},
		{"revoke", `{"reason":"ended"}`, 200, "revoked"},
		{"suspend", ``, 409, "STATUS_FORBIDS"},
		{"renew", `{"expirationdate":"2032-01-31"}`, 409, "STATUS_FORBIDS"},
		{"reinstate", ``, 409, "STATUS_FORBIDS"},
		{"reinstate", `{"reason":"a mistake"}`, 200, "active"},
	} {
		a := v.call("POST", "/licenses/{licenseid}/"+step.route, id, step.body, nil)
		if got := stdcmp.Or(a.Code, fmt.Sprint(a.Status)); a.status != step.status || got != step.want {
			t.Fatalf("%s %s: got %d %s", step.route, step.body, a.status, a.text)
		}
	}
	a := v.call("GET", "/licenses/{licenseid}", id, "", nil)
	if a.Version != 6 || a.ExpirationDate != "2031-01-31T23:59:59.999Z" || a.ChangeReason != "a mistake" {
		t.Errorf("got %s", a.text)
	}
}

// TestEnd: what the vendor may send as the end of a license, and what is shown and stored.
func TestEnd(t *testing.T) {
	const never = "9999-12-31T23:59:59.999Z"
	for name, test := range map[string]struct{ sent, answered, stored string }{
		"instant":          {"2030-01-31T12:00:00Z", "2030-01-31T12:00:00.000Z", "2030-01-31T12:00:00.000Z"},
		"midnight":         {"2030-01-31T00:00Z", "2030-01-31T00:00:00.000Z", "2030-01-31T00:00:00.000Z"},
		"with an offset":   {"2030-01-31T12:00:00+02", "2030-01-31T10:00:00.000Z", "2030-01-31T10:00:00.000Z"},
		"basic form":       {"20300131T120000Z", "2030-01-31T12:00:00.000Z", "2030-01-31T12:00:00.000Z"},
		"day":              {"2030-01-31", "2030-01-31T23:59:59.999Z", "2030-01-31T23:59:59.999Z"},
		"day, basic form":  {"20300131", "2030-01-31T23:59:59.999Z", "2030-01-31T23:59:59.999Z"},
		"never":            {"never", "", never},
		"last of all days": {"9999-12-31", "", never},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			body := fmt.Sprintf(`{"customername":"Example","expirationdate":%q}`, test.sent)
			issued := v.call("POST", "/licenses", "", body, nil)
			wantEnd := func(a answer) {
				t.Helper()
				isNull := strings.Contains(a.text, `"expirationdate":null`)
				if a.status >= 300 || a.ExpirationDate != test.answered || isNull != (test.answered == "") {
					t.Errorf("got %d %s", a.status, a.text)
				}
				record, err := v.folder.Licenses.Record(t.Context(), a.LicenseID)
				if err != nil || record["expirationdate"] != test.stored {
					t.Errorf("stored is %v, %v", record, err)
				}
			}
			wantEnd(issued)
			wantEnd(v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil))
			list := v.call("GET", "/licenses", "", "", map[string]string{"status": "active"})
			if len(list.Licenses) != 1 {
				t.Errorf("listed: %s", list.text)
			}
			end := fmt.Sprintf(`{"expirationdate":%q}`, test.sent)
			other := v.call("POST", "/licenses", "", `{"customername":"Example","expirationdate":"2029-01-31"}`, nil)
			wantEnd(v.call("POST", "/licenses/{licenseid}/renew", other.LicenseID, end, nil))
			other = v.call("POST", "/licenses", "", `{"customername":"Example","expirationdate":"never"}`, nil)
			wantEnd(v.callIfMatch("PATCH", "/licenses/{licenseid}", other.LicenseID, "*", end))
		})
	}
}

// TestEndRefused: nothing is changed, and the field that was sent is named.
func TestEndRefused(t *testing.T) {
	v := newVendor(t)
	const post, patch = "POST /licenses", "PATCH /licenses/{licenseid}"
	const renew = "POST /licenses/{licenseid}/renew"
	endless := v.call("POST", "/licenses", "", `{"customername":"Example","expirationdate":"never"}`, nil)
	const withGrace = `{"customername":"Example","expirationdate":"2030-01-31","gracedays":7}`
	graced := v.call("POST", "/licenses", "", withGrace, nil)
	for name, test := range map[string]struct{ route, id, body, field, says string }{
		"grace without an end": {
			post, "", `{"customername":"E","expirationdate":"never","gracedays":1}`, "gracedays", "must be 0",
		},
		"grace for one without": {patch, endless.LicenseID, `{"gracedays":7}`, "gracedays", "must be 0"},
		"never for one with grace": {
			patch, graced.LicenseID, `{"expirationdate":"never"}`, "expirationdate", "set gracedays to 0",
		},
		"renewal of one with grace": {
			renew, graced.LicenseID, `{"expirationdate":"never"}`, "expirationdate", "set gracedays to 0",
		},
		"renewal to a date": {
			renew, endless.LicenseID, `{"expirationdate":"9998-01-31"}`, "expirationdate", "must be never",
		},
		"null for a new one": {
			post, "", `{"customername":"E","expirationdate":null}`, "expirationdate", "is required",
		},
		"null in a patch": {
			patch, graced.LicenseID, `{"expirationdate":null}`, "expirationdate", "must be a string",
		},
		"null in a renewal": {
			renew, graced.LicenseID, `{"expirationdate":null}`, "expirationdate", "is required",
		},
		"name null for a new one": {
			post, "", `{"customername":null,"expirationdate":"2030-01-31"}`, "customername", "is required",
		},
		"unknown and null": {
			post, "", `{"customername":"E","expirationdate":"2030-01-31","colour":null}`, "colour", "is unknown",
		},
		"yesterday": {
			post, "", `{"customername":"E","expirationdate":"2026-10-31"}`, "expirationdate", "in the future",
		},
		"never in another spelling": {
			post, "", `{"customername":"E","expirationdate":"NEVER"}`, "expirationdate", "or never",
		},
		"day of another convention": {
			post, "", `{"customername":"E","expirationdate":"31.01.2030"}`, "expirationdate", "ISO 8601",
		},
		"grace of a day and a half": {
			post, "", `{"customername":"E","expirationdate":"2030-01-31","gracedays":1.5}`, "gracedays", "whole number",
		},
		"grace beyond all bounds": {
			post, "", `{"customername":"E","expirationdate":"2030-01-31","gracedays":1e999999999}`,
			"gracedays", "whole number",
		},
		"grace of a whole number up": {
			post, "", `{"customername":"E","expirationdate":"2030-01-31","gracedays":3.66e2}`, "gracedays", "0 to 365",
		},
		"grace as a text": {
			post, "", `{"customername":"E","expirationdate":"2030-01-31","gracedays":"14"}`,
			"gracedays", "whole number",
		},
	} {
		t.Run(name, func(t *testing.T) {
			method, resource, _ := strings.Cut(test.route, " ")
			a := v.callIfMatch(method, resource, test.id, "*", test.body)
			if a.status != http.StatusBadRequest ||
				len(a.Errors) != 1 || a.Errors[0].Field != test.field ||
				!strings.Contains(a.Errors[0].Message, test.says) {
				t.Errorf("got %d %s", a.status, a.text)
			}
		})
	}
	for _, issued := range []answer{endless, graced} {
		if a := v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil); a.Version != 1 {
			t.Errorf("a refused request changed something: %s", a.text)
		}
	}
	if n := v.count(); n != 2 {
		t.Errorf("%d licenses", n)
	}
}

// TestWholeNumbers: a number without a fraction is an integer, however it is written.
func TestWholeNumbers(t *testing.T) {
	v := newVendor(t)
	for text, want := range map[string]int{
		"14": 14, "14.0": 14, "1.4e1": 14, "1.40E+1": 14, "140e-1": 14, "0.14e2": 14,
		"0": 0, "-0.0": 0, "0e5": 0, "3.65e2": 365, "3650.00e-1": 365,
	} {
		order := `{"customername":"E","expirationdate":"2030-01-31","gracedays":` + text + `}`
		a := v.call("POST", "/licenses", "", order, nil)
		if a.status != http.StatusCreated || !strings.Contains(a.text, fmt.Sprintf(`"gracedays":%d,`, want)) {
			t.Errorf("%s: got %d %s", text, a.status, a.text)
		}
	}
	issued := v.issue()
	a := v.callIfMatch("PATCH", "/licenses/{licenseid}", issued.LicenseID, "*", `{"gracedays":7.0}`)
	if !strings.Contains(a.text, `"gracedays":7,`) {
		t.Errorf("patched: %d %s", a.status, a.text)
	}
}

// TestNulls: a null of a generated client is absent, but in a merge patch.
func TestNulls(t *testing.T) {
	v := newVendor(t)
	issued := v.call("POST", "/licenses", "", `{"customername":"Example","expirationdate":"2030-01-31",`+
		`"customerid":null,"services":null,"appurls":null,"notes":null,"gracedays":null}`, nil)
	if issued.status != http.StatusCreated || !license.IsUUID(issued.CustomerID) ||
		len(issued.Services) != 0 || len(issued.AppURLs) != 0 {
		t.Fatalf("got %d %s", issued.status, issued.text)
	}
	for _, step := range []struct{ route, body string }{
		{"POST /renew", `{"expirationdate":"2031-01-31","reason":null}`},
		{"POST /suspend", `{"reason":null}`},
		{"POST /reinstate", `{"reason":null}`},
		{"PATCH ", `{"notes":"x","reason":null}`},
		{"PATCH ", `{"services":null,"appurls":null,"notes":null,"gracedays":null,"tokenkeyid":null}`},
	} {
		method, path, _ := strings.Cut(step.route, " ")
		a := v.callIfMatch(method, "/licenses/{licenseid}"+path, issued.LicenseID, "*", step.body)
		if a.status != http.StatusOK || a.ChangeReason != "" {
			t.Errorf("%s %s: got %d %s", step.route, step.body, a.status, a.text)
		}
	}
	for _, body := range []string{`{"reason":null}`, "{\"reason\":\"\u200b\"}"} {
		a := v.callIfMatch("DELETE", "/licenses/{licenseid}", issued.LicenseID, "*", body)
		if a.status != http.StatusBadRequest || len(a.Errors) != 1 ||
			!strings.Contains(a.Errors[0].Message, "is required") {
			t.Errorf("removed with %s: %d %s", body, a.status, a.text)
		}
	}
}

func TestPatch(t *testing.T) {
	v := newVendor(t)
	issued := v.issue()
	patch := func(ifMatch, body string) answer {
		t.Helper()
		return v.callIfMatch("PATCH", "/licenses/{licenseid}", issued.LicenseID, ifMatch, body)
	}
	if a := patch("", `{"notes":"x"}`); a.status != http.StatusPreconditionRequired || a.Code != "IF_MATCH_REQUIRED" {
		t.Errorf("without If-Match: %d %s", a.status, a.text)
	}
	changed := patch(issued.header["ETag"], `{"customername":"Renamed","appurls":null,"reason":"moved"}`)
	if changed.status != http.StatusOK || len(changed.AppURLs) != 0 || len(changed.Services) != 1 ||
		changed.ChangeReason != "moved" || changed.Version != 2 {
		t.Errorf("got %d %s", changed.status, changed.text)
	}
	a := patch(issued.header["ETag"], `{"notes":"x"}`)
	if a.status != http.StatusPreconditionFailed || a.Code != "STALE" {
		t.Errorf("stale: %d %s", a.status, a.text)
	}
	a = patch(`"other", `+changed.header["ETag"], `{"customername":"Renamed"}`)
	if a.status != http.StatusOK || a.header["ETag"] != changed.header["ETag"] {
		t.Errorf("a patch that changes nothing: %d %s", a.status, a.text)
	}
	for name, body := range map[string]string{
		"null where a value is required": `{"customername":null}`,
		"another id":                     `{"licenseid":"x"}`,
		"another customer":               `{"customerid":"x"}`,
		"status":                         `{"status":"active"}`,
		"a list in place of an object":   `[]`,
		"blank":                          `{"customername":" "}`,
		"past":                           `{"expirationdate":"2020-01-01"}`,
	} {
		if a := patch("*", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	for name, body := range map[string]string{
		"a pin that is none":      `{"tokenkeyid":"key-1"}`,
		"a pin of 33 bytes":       `{"tokenkeyid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9XsA"}`,
		"a pin with unused bits":  `{"tokenkeyid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt"}`,
		"a pin that is a number":  `{"tokenkeyid":1}`,
		"a pin with a line break": `{"tokenkeyid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs\n"}`,
		"a short pin":             `{"tokenkeyid":"NzbL"}`,
	} {
		a := patch("*", body)
		if a.status != http.StatusBadRequest || !strings.Contains(a.text, `"field":"tokenkeyid"`) {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	if a := v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil); a.Version != 2 {
		t.Errorf("a refused patch changed something: %s", a.text)
	}
}

// TestPin: a license is pinned to a token key, and let go again.
func TestPin(t *testing.T) {
	v := newVendor(t)
	issued := v.issue()
	for _, test := range []struct{ body, want string }{
		{
			`{"tokenkeyid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}`,
			`"tokenkeyid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"`,
		},
		{`{"notes":"x"}`, `"tokenkeyid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"`},
		{`{"tokenkeyid":null}`, ""},
	} {
		a := v.callIfMatch("PATCH", "/licenses/{licenseid}", issued.LicenseID, "*", test.body)
		if a.status != http.StatusOK {
			t.Fatalf("%s: got %d %s", test.body, a.status, a.text)
		}
		a = v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil)
		if strings.Contains(a.text, "tokenkeyid") != (test.want != "") || !strings.Contains(a.text, test.want) {
			t.Errorf("%s: got %s", test.body, a.text)
		}
	}
}

func TestDelete(t *testing.T) {
	v := newVendor(t)
	issued := v.issue()
	remove := func(ifMatch, body string) answer {
		t.Helper()
		return v.callIfMatch("DELETE", "/licenses/{licenseid}", issued.LicenseID, ifMatch, body)
	}
	for name, test := range map[string]struct {
		ifMatch, body string
		status        int
	}{
		"without If-Match":    {"", `{"reason":"a mistake"}`, http.StatusPreconditionRequired},
		"stale":               {`"0-0"`, `{"reason":"a mistake"}`, http.StatusPreconditionFailed},
		"without a reason":    {"*", ``, http.StatusBadRequest},
		"with a blank reason": {"*", `{"reason":" "}`, http.StatusBadRequest},
	} {
		if a := remove(test.ifMatch, test.body); a.status != test.status {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	if a := v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil); a.Version != 1 {
		t.Fatalf("a refused removal changed something: %s", a.text)
	}

	// The mark is written, and the function cut off before the removal.
	licenses := v.ports.Licenses
	v.ports.Licenses = unremovable{licenses}
	if a := remove(issued.header["ETag"], `{"reason":"a mistake"}`); a.status != http.StatusInternalServerError {
		t.Errorf("cut off: %d %s", a.status, a.text)
	}
	v.ports.Licenses = licenses
	if a := v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil); a.Status != "revoked" {
		t.Errorf("between mark and removal: %s", a.text)
	}
	a := v.call("POST", "/licenses/{licenseid}/reinstate", issued.LicenseID, `{"reason":"x"}`, nil)
	if a.Code != "STATUS_FORBIDS" {
		t.Errorf("reinstated: %d %s", a.status, a.text)
	}
	if a := remove(issued.header["ETag"], `{"reason":"a mistake"}`); a.status != http.StatusNoContent {
		t.Errorf("again: %d %s", a.status, a.text)
	}
	if a := remove("*", `{"reason":"a mistake"}`); a.status != http.StatusNotFound {
		t.Errorf("a third time: %d %s", a.status, a.text)
	}
	changes, err := v.folder.Changes.Oldest(t.Context(), 10)
	if err != nil || len(changes) != 3 || changes[2].New != nil || changes[2].Old["changereason"] != "a mistake" {
		t.Errorf("changes %v, %v", changes, err)
	}
}

// unremovable fails each removal.
type unremovable struct{ license.Store }

func (unremovable) Remove(context.Context, license.License) error { return errInternal }

// TestNoLostUpdate: of 50 writers at once, each changes another field or the same one, and each change counts.
func TestNoLostUpdate(t *testing.T) {
	v := newVendor(t)
	issued := v.issue()
	var group sync.WaitGroup
	var mu sync.Mutex
	acknowledged := 0
	for n := range 50 {
		group.Go(func() {
			for {
				read := v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil)
				note := fmt.Sprintf(`{"notes":"%d"}`, n)
				a := v.callIfMatch("PATCH", "/licenses/{licenseid}", issued.LicenseID, read.header["ETag"], note)
				switch a.status {
				case http.StatusOK:
					mu.Lock()
					acknowledged++
					mu.Unlock()
					return
				case http.StatusPreconditionFailed, http.StatusConflict: // another writer was first: read again
				default:
					t.Errorf("got %d %s", a.status, a.text)
					return
				}
			}
		})
	}
	group.Wait()
	a := v.call("GET", "/licenses/{licenseid}", issued.LicenseID, "", nil)
	if acknowledged != 50 || a.Version != 51 {
		t.Errorf("%d changes acknowledged, version %d", acknowledged, a.Version)
	}
}

// TestRevokeForeign: a license that another tool wrote.
func TestRevokeForeign(t *testing.T) {
	v := newVendor(t)
	const id = "869b100f-06b7-44cc-80df-b4c4bf728461"
	err := v.folder.Licenses.PutRecord(t.Context(), attribute.Map{"licenseid": id, "expirationdate": "2030-01-03"})
	if err != nil {
		t.Fatal(err)
	}
	if a := v.call("POST", "/licenses/{licenseid}/revoke", id, "", nil); a.Status != "revoked" || a.Version != 1 {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

// TestForeign: what other tools may write is shown as openapi.yaml says, which each response is held to.
func TestForeign(t *testing.T) {
	for name, record := range map[string]attribute.Map{
		"least": {},
		"objects of another shape": {
			"services": `[{"name":1},{}]`, "appurls": []any{attribute.Map{"address": attribute.Number("1")}},
		},
		"microseconds for milliseconds": {
			"changedtimestamp": attribute.Number("1718622505782000"),
			"createdtimestamp": attribute.Number("1718622505782000"),
		},
		"instant before the calendar": {"changedtimestamp": attribute.Number("-1718622505782000")},
		"other types": {
			"customerid": true, "notes": attribute.Number("1"), "version": "x", "changedtimestamp": "x",
		},
		"many days of grace": {"gracedays": attribute.Number("36500")},
		"first and last year": {
			"expirationdate": "9999-12-31T23:59:59.999Z", "changedtimestamp": attribute.Number("-62135596800000"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			const id = "869b100f-06b7-44cc-80df-b4c4bf728461"
			v.put(id, record)
			if a := v.call("GET", "/licenses/{licenseid}", id, "", nil); a.status != http.StatusOK {
				t.Errorf("got %d %s", a.status, a.text)
			}
			if a := v.call("GET", "/licenses", "", "", nil); len(a.Licenses) != 1 || a.Licenses[0].LicenseID != id {
				t.Errorf("list: got %d %s", a.status, a.text)
			}
		})
	}
}

// TestNoShortKey: a license whose id another tool has made in a form of its own has a long key alone.
func TestNoShortKey(t *testing.T) {
	for id, want := range map[string]bool{
		"869b100f-06b7-44cc-80df-b4c4bf728461": true,
		"869B100F-06B7-44CC-80DF-B4C4BF728461": false,
	} {
		v := newVendor(t)
		if err := v.folder.Licenses.PutRecord(t.Context(), attribute.Map{"licenseid": id}); err != nil {
			t.Fatal(err)
		}
		a := v.call("GET", "/licenses/{licenseid}/key", id, "", nil)
		if a.status != http.StatusOK || a.LicenseKey == "" || strings.Contains(a.text, `"shortkey"`) != want {
			t.Errorf("%s: got %d %s", id, a.status, a.text)
		}
	}
}

// TestOddRecords: the vendor can look at what cannot be understood, mend it, and end it. What products are told
// meanwhile is in the tests of verification.
func TestOddRecords(t *testing.T) {
	const id = "869b100f-06b7-44cc-80df-b4c4bf728461"
	odd := attribute.Map{
		"licenseid": id, "expirationdate": "03/01/2030", "services": nil, "appurls": "https://app.example.com",
		"gracedays": attribute.Number("1.5"), "customername": attribute.Number("7"), "notes": "a note",
	}
	put := func(t *testing.T, change attribute.Map) vendor {
		v := newVendor(t)
		record := maps.Clone(odd)
		maps.Copy(record, change)
		v.put(id, record)
		return v
	}
	t.Run("read", func(t *testing.T) {
		a := put(t, nil).call("GET", "/licenses/{licenseid}", id, "", nil)
		for _, field := range []string{"expirationdate", "services", "appurls", "gracedays", "customername"} {
			if !strings.Contains(a.text, `{"field":"`+field+`","message":"`) ||
				strings.Contains(a.text, `"`+field+`":`) {
				t.Errorf("%s: %s", field, a.text)
			}
		}
		if a.status != http.StatusOK || a.Status != "unreadable" ||
			!strings.Contains(a.text, `"notes":"a note"`) || a.header["ETag"] == "" {
			t.Errorf("got %d %s", a.status, a.text)
		}
	})
	t.Run("read, revoked", func(t *testing.T) {
		a := put(t, attribute.Map{"isrevoked": true}).call("GET", "/licenses/{licenseid}", id, "", nil)
		if a.status != http.StatusOK || a.Status != "revoked" || !strings.Contains(a.text, `"problems":[`) {
			t.Errorf("got %d %s", a.status, a.text)
		}
	})
	t.Run("list", func(t *testing.T) {
		v := put(t, nil)
		for _, query := range []map[string]string{nil, {"status": "unreadable"}} {
			a := v.call("GET", "/licenses", "", "", query)
			if len(a.Licenses) != 1 || a.Licenses[0].LicenseID != id || a.Licenses[0].Status != "unreadable" ||
				len(a.Licenses[0].Problems) != 5 {
				t.Errorf("%v: got %d %s", query, a.status, a.text)
			}
		}
	})
	t.Run("key", func(t *testing.T) {
		if a := put(t, nil).call("GET", "/licenses/{licenseid}/key", id, "", nil); a.status != http.StatusOK {
			t.Errorf("got %d %s", a.status, a.text)
		}
	})
	for route, want := range map[string]string{
		"/revoke": "revoked", "/suspend": "suspended", "/reinstate": "unreadable",
	} {
		t.Run(route, func(t *testing.T) {
			v := put(t, attribute.Map{"isrevoked": "false", "issuspended": "no"})
			if route == "/suspend" {
				v = put(t, attribute.Map{"issuspended": "no"})
			}
			a := v.call("POST", "/licenses/{licenseid}"+route, id, `{"reason":"mended"}`, nil)
			if a.status != http.StatusOK || a.Status != want ||
				strings.Contains(a.text, `{"field":"is`+strings.TrimPrefix(route, "/")) {
				t.Errorf("got %d %s", a.status, a.text)
			}
		})
	}
	t.Run("reinstate without a reason", func(t *testing.T) {
		v := put(t, attribute.Map{"isrevoked": "true"})
		if a := v.call("POST", "/licenses/{licenseid}/reinstate", id, "", nil); a.status != http.StatusConflict {
			t.Errorf("got %d %s", a.status, a.text)
		}
	})
	t.Run("PATCH mends all of it", func(t *testing.T) {
		v := put(t, nil)
		a := v.callIfMatch("PATCH", "/licenses/{licenseid}", id, "*", `{"customername":"Customer",
			"expirationdate":"2030-01-03T00:00:00Z","services":null,"appurls":null,"gracedays":0}`)
		if a.status != http.StatusOK || a.Status != "active" || strings.Contains(a.text, "problems") {
			t.Errorf("got %d %s", a.status, a.text)
		}
		for status, want := range map[string]int{"unreadable": 0, "active": 1} {
			list := v.call("GET", "/licenses", "", "", map[string]string{"status": status})
			if len(list.Licenses) != want {
				t.Errorf("mended, and %s: %s", status, list.text)
			}
		}
	})
	t.Run("DELETE", func(t *testing.T) {
		v := put(t, nil)
		a := v.callIfMatch("DELETE", "/licenses/{licenseid}", id, "*", `{"reason":"junk"}`)
		if a.status != http.StatusNoContent {
			t.Errorf("got %d %s", a.status, a.text)
		}
		if a := v.call("GET", "/licenses/{licenseid}", id, "", nil); a.status != http.StatusNotFound {
			t.Errorf("it is still there: %d %s", a.status, a.text)
		}
	})
}

func TestRevokeConcurrently(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			a := v.call("POST", "/licenses/{licenseid}/revoke", id, "", nil)
			if a.Status != "revoked" || a.Version != 2 {
				t.Errorf("got %d %s", a.status, a.text)
			}
		})
	}
	group.Wait()
}

func TestList(t *testing.T) {
	v := newVendor(t)
	var want []string
	for range 5 {
		want = append([]string{v.issue().LicenseID}, want...)
	}
	var got []string
	query := map[string]string{"limit": "2"}
	for {
		page := v.call("GET", "/licenses", "", "", query)
		for _, l := range page.Licenses {
			got = append(got, l.LicenseID)
		}
		if page.Cursor == "" {
			break
		}
		query["cursor"] = page.Cursor
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, query := range map[string]map[string]string{
		"limit 0": {"limit": "0"}, "limit 101": {"limit": "101"}, "limit x": {"limit": "x"},
		"limit +5": {"limit": "+5"}, "limit 01": {"limit": "01"}, "limit 5.0": {"limit": "5.0"},
		"cursor": {"cursor": "!"}, "cursor of nothing": {"cursor": "YQ"},
		"customer": {"customerid": "x"}, "unknown": {"sort": "up"},
		"status": {"status": "ACTIVE"}, "no status": {"status": ""},
		"date": {"expiringbefore": "soon"}, "no date": {"expiringbefore": ""},
		"after what": {"expiringafter": "2026-13-01"}, "before all time": {"expiringbefore": "0001-01-01"},
		"after all time": {"expiringafter": "0001-01-01T00:00:00Z"}, "order": {"order": "up"},
		"no order":            {"order": ""},
		"order in upper case": {"order": "ASC"}, "no name": {"customername": ""}, "no address": {"email": ""},
		"no reference": {"reference": ""}, "name too long": {"customername": strings.Repeat("é", 257)},
		"address too long":   {"email": strings.Repeat("a", 255)},
		"reference too long": {"reference": strings.Repeat("é", 257)},
		"customer in braces": {"customerid": "{869b100f-06b7-44cc-80df-b4c4bf728461}"},
	} {
		if a := v.call("GET", "/licenses", "", "", query); a.status != http.StatusBadRequest || len(a.Errors) != 1 {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
}

// TestListFilters: each filter, the order, and filters together. The contract of the stores has every combination.
func TestListFilters(t *testing.T) {
	v := newVendor(t)
	soon := v.post(`{"customername":"Soon & Söhne","expirationdate":"2026-12-01","reference":"order 1/a",` +
		`"email":"Jane@Example.com"}`)
	later := v.post(`{"customername":"Ｌater","expirationdate":"2027-12-01","email":"jane@example.com"}`)
	v.call("POST", "/licenses/{licenseid}/suspend", later.LicenseID, "", nil)
	endless := v.post(`{"customername":"late sooner","expirationdate":"never"}`)
	const odd = "869b100f-06b7-44cc-80df-b4c4bf728461"
	v.put(odd, attribute.Map{"expirationdate": "03/01/2030", "customername": "Odd"})
	names := map[string]string{
		soon.LicenseID: "soon", later.LicenseID: "later", endless.LicenseID: "endless", odd: "odd",
	}

	for name, test := range map[string]struct{ query, want string }{
		"none":                   {"", "odd endless later soon"},
		"the oldest first":       {"order=asc", "soon later endless odd"},
		"active":                 {"status=active", "endless soon"},
		"active, ascending":      {"status=active&order=asc", "soon endless"},
		"suspended":              {"status=suspended", "later"},
		"revoked":                {"status=revoked", ""},
		"unreadable":             {"status=unreadable", "odd"},
		"before a date":          {"expiringbefore=2027-01-01", "soon"},
		"not on the date":        {"expiringbefore=2026-12-01", ""},
		"before the next day":    {"expiringbefore=2026-12-02", "soon"},
		"not its last moment":    {"expiringbefore=2026-12-01T23:59:59.999Z", ""},
		"from its last moment":   {"expiringafter=2026-12-01T23:59:59.999Z", "endless later soon"},
		"after its last moment":  {"expiringafter=2026-12-02", "endless later"},
		"between, what ends 1st": {"expiringafter=2026-12-01&expiringbefore=2028-01-01&order=asc", "soon later"},
		"nothing between":        {"expiringafter=2027-01-01&expiringbefore=2027-01-01", ""},
		"the latest first":       {"expiringbefore=2029-01-01", "later soon"},
		"name":                   {"customername=soon", "soon"},
		"name, its case":         {"customername=SOON%20%26%20s%C3%B6", "soon"},
		"name, its width":        {"customername=late", "endless later"},
		"name, from Z on":        {"customername=late&order=desc", "later endless"},
		"name, not its inside":   {"customername=ooner", ""},
		"name and status":        {"customername=late&status=suspended", "later"},
		"address, its case":      {"email=JANE@example.com", "later soon"},
		"address, ascending":     {"email=jane@example.com&order=asc", "soon later"},
		"address and name":       {"email=jane@example.com&customername=soon", "soon"},
		"address, whole":         {"email=jane@example", ""},
		"reference":              {"reference=order%201/a", "soon"},
		"reference, case counts": {"reference=Order%201/a", ""},
		"reference, whole":       {"reference=order%201", ""},
		"what is no reference":   {"reference=" + odd, ""},
		"reference and another":  {"reference=order%201/a&status=active&customername=so", "soon"},
		"reference, but not":     {"reference=order%201/a&status=suspended", ""},
		"customer":               {"customerid=" + later.CustomerID, "later"},
		"customer, and not":      {"customerid=" + later.CustomerID + "&status=active", ""},
		"all together": {
			"expiringafter=2026-01-01&expiringbefore=2029-01-01&status=suspended&email=jane@example.com&order=asc" +
				"&customername=l&customerid=" + strings.ToUpper(later.CustomerID), "later",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []string{"1", "2", "100"} {
				query, err := url.ParseQuery(test.query)
				if err != nil {
					t.Fatal(err)
				}
				query.Set("limit", limit)
				var got []string
				for range 20 {
					page := v.get("/licenses", "", query)
					if page.status != http.StatusOK {
						t.Fatalf("got %d %s", page.status, page.text)
					}
					for _, l := range page.Licenses {
						got = append(got, names[l.LicenseID])
					}
					if page.Cursor == "" {
						break
					}
					query.Set("cursor", page.Cursor)
				}
				if list := strings.Join(got, " "); list != test.want {
					t.Errorf("limit %s lists %q, want %q", limit, list, test.want)
				}
			}
		})
	}
	more := map[string]string{"reference": "order 1/a", "cursor": "x"}
	if a := v.call("GET", "/licenses", "", "", more); len(a.Errors) != 1 {
		t.Errorf("a list of one license has no cursor: %d %s", a.status, a.text)
	}
}

func TestBodyTooLarge(t *testing.T) {
	v := newVendor(t)
	body := `{"notes":"` + strings.Repeat("a", 256<<10) + `"}`
	a := v.call("POST", "/licenses", "", body, nil)
	if a.status != http.StatusRequestEntityTooLarge || a.Code != "BODY_TOO_LARGE" {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

// TestCursorAfterRotation: a cursor leads on at an instance that has not read the new secret yet.
func TestCursorAfterRotation(t *testing.T) {
	v := newVendor(t)
	v.issue()
	v.issue()
	before, err := v.folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := before.Rotate(token.NewSecret(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	v.ports.Secrets = fixedRing(rotated)
	cursor := v.call("GET", "/licenses", "", "", map[string]string{"limit": "1"}).Cursor
	for name, ring := range map[string]token.Ring{"old": before, "new": rotated} {
		v.ports.Secrets = fixedRing(ring)
		if a := v.call("GET", "/licenses", "", "", map[string]string{"cursor": cursor}); len(a.Licenses) != 1 {
			t.Errorf("the %s ring: %d %s", name, a.status, a.text)
		}
	}
}

type fixedRing token.Ring

func (r fixedRing) Ring(context.Context) (token.Ring, error)    { return token.Ring(r), nil }
func (r fixedRing) Refresh(context.Context) (token.Ring, error) { return token.Ring(r), nil }

// TestForgedCursor: a cursor leads to the next page of its own list only.
func TestForgedCursor(t *testing.T) {
	v := newVendor(t)
	first, second := v.issue(), v.issue()
	cursor := v.call("GET", "/licenses", "", "", map[string]string{"limit": "1"}).Cursor
	own := map[string]string{"cursor": cursor}
	next := v.call("GET", "/licenses", "", "", own)
	if len(next.Licenses) != 1 || next.Licenses[0].LicenseID != first.LicenseID {
		t.Fatalf("its own list: %d %s", next.status, next.text)
	}
	changed := []byte(cursor)
	changed[len(changed)-2] ^= 1
	list := func(filter, value string) answer {
		return v.call("GET", "/licenses", "", "", map[string]string{"cursor": cursor, filter: value})
	}
	for name, a := range map[string]answer{
		"changed":            v.call("GET", "/licenses", "", "", map[string]string{"cursor": string(changed)}),
		"cut":                v.call("GET", "/licenses", "", "", map[string]string{"cursor": cursor[:20]}),
		"of another filter":  list("customerid", second.CustomerID),
		"of another status":  list("status", "active"),
		"of another date":    list("expiringbefore", "2030-01-01"),
		"of a later date":    list("expiringafter", "2020-01-01"),
		"of another order":   list("order", "asc"),
		"of the same order":  list("order", "desc"), // which was not said
		"of another name":    list("customername", "e"),
		"of an address":      list("email", "a@example.com"),
		"of a reference":     list("reference", "4711"),
		"of another license": v.call("GET", "/licenses/{licenseid}/audit", first.LicenseID, "", own),
	} {
		if a.status != http.StatusBadRequest || len(a.Errors) != 1 || a.Errors[0].Field != "cursor" {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
}

func TestAudit(t *testing.T) {
	v := newVendor(t)
	history := audittest.History(t, 5)
	for _, event := range history {
		if err := (audit.Recorder{Store: v.folder.AuditTrail}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	var entries []audit.Entry
	query := map[string]string{"limit": "2"}
	for {
		page := v.call("GET", "/licenses/{licenseid}/audit", history[0].LicenseID, "", query)
		entries = append(entries, page.Entries...)
		if isLast := page.Cursor == ""; isLast != (page.Head.Hash != "") {
			t.Errorf("a page with the cursor %q has the head %+v", page.Cursor, page.Head)
		}
		if page.Cursor == "" {
			last := entries[len(entries)-1]
			if page.Head.Hash != last.Hash || page.Head.Sequence != last.Sequence || page.RecordHash != "" {
				t.Errorf("the last page ends with %+v of record %s", page.Head, page.RecordHash)
			}
			break
		}
		query["cursor"] = page.Cursor
	}
	if len(entries) != len(history) {
		t.Fatalf("%d entries, want %d", len(entries), len(history))
	}
	l := v.issue()
	record, err := v.folder.Licenses.Record(t.Context(), l.LicenseID)
	if err != nil {
		t.Fatal(err)
	}
	changed := maps.Clone(record)
	changed["notes"] = "changed"
	for n, images := range [][2]attribute.Map{{nil, record}, {record, changed}} {
		err := (audit.Recorder{Store: v.folder.AuditTrail}).Record(t.Context(), audit.Event{
			ID: fmt.Sprint(n), SequenceNumber: fmt.Sprint(n + 1), LicenseID: l.LicenseID,
			Old: images[0], New: images[1],
		})
		if err != nil {
			t.Fatal(err)
		}
		page := v.call("GET", "/licenses/{licenseid}/audit", l.LicenseID, "", nil)
		isAsLast := page.RecordHash == page.Entries[n].RecordHash
		if isAsLast != (n == 0) || page.LeftBy != int64(n) { // the second change is on the trail alone
			t.Errorf("after entry %d the record has the hash %s, as entry %d has left it",
				n+1, page.RecordHash, page.LeftBy)
		}
		if got := string(page.Entries[n].Changes["notes"].New); got != []string{`{"S":""}`, `{"S":"changed"}`}[n] {
			t.Errorf("entry %d discloses %s", n+1, got)
		}
	}
	if _, err := audit.Verify(history[0].LicenseID, audit.Head{}, entries); err != nil {
		t.Error(err)
	}
	a := v.call("GET", "/licenses/{licenseid}/audit", "869b100f-06b7-44cc-80df-b4c4bf728461", "", nil)
	if a.text != `{"entries":[],"head":{"sequence":0,"hash":""}}` {
		t.Errorf("of no license: %d %s", a.status, a.text)
	}
}

func TestNotFound(t *testing.T) {
	v := newVendor(t)
	for _, id := range []string{"869b100f-06b7-44cc-80df-b4c4bf728461", "no-uuid", ""} {
		for route, method := range map[string]string{"": "GET", "/key": "GET", "/revoke": "POST"} {
			a := v.call(method, "/licenses/{licenseid}"+route, id, "", nil)
			if a.status != http.StatusNotFound || a.Code != "LICENSE_NOT_FOUND" {
				t.Errorf("%s of %q: %d %s", route, id, a.status, a.text)
			}
		}
	}
	if a := v.call("PUT", "/licenses", "", "", nil); a.status != http.StatusNotFound || a.Code != "NO_SUCH_ROUTE" {
		t.Errorf("no such route: %d %s", a.status, a.text)
	}
}

// faultyStore fails each call with an error that must not reach a caller.
type faultyStore struct{ license.Store }

var errInternal = errors.New("arn:aws:secret-internals")

func (faultyStore) Create(context.Context, license.License) error { return errInternal }
func (faultyStore) Get(context.Context, string) (license.License, error) {
	return license.License{}, fmt.Errorf("%w: %w", license.ErrUnreadable, errInternal)
}
func (faultyStore) List(context.Context, license.Query) (license.Page, error) {
	return license.Page{}, errInternal
}

// TestManyErrors: a body that is wrong in a hundred thousand ways makes no response of megabytes, and what a caller has
// made up is in no log.
func TestManyErrors(t *testing.T) {
	var log bytes.Buffer
	v := newVendor(t)
	licenses, plans, keys, trail := v.ports.parts()
	router, err := issuance.NewRouter(telemetry.NewLogger(&log), licenses, plans, keys, trail)
	if err != nil {
		t.Fatal(err)
	}
	post := func(body string) answer {
		log.Reset()
		event := events.APIGatewayProxyRequest{HTTPMethod: "POST", Resource: "/licenses", Body: body}
		response, err := router.Invoke(t.Context(), apitest.Event(event))
		if err != nil {
			t.Fatal(err)
		}
		a := answer{status: response.StatusCode, text: response.Body}
		if err := json.Unmarshal([]byte(a.text), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	var unknown strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&unknown, `"Jane Doe %d":1,`, i)
	}
	for name, body := range map[string]string{
		"services": `{"services":[` + strings.Repeat("{},", 80_000) + `{}]}`,
		"URLs":     `{"appurls":[` + strings.Repeat(`{"URL":"x"},`, 499) + `{"URL":"x"}]}`,
		"unknown":  `{` + unknown.String() + `"customername":"Example"}`,
	} {
		a := post(body)
		if a.status != http.StatusBadRequest || len(a.Errors) == 0 || len(a.Errors) > 100 {
			t.Errorf("%s: %d, %d errors", name, a.status, len(a.Errors))
		}
		if log.Len() > 10_000 || strings.Contains(log.String(), "Jane") {
			t.Errorf("%s: logged %d bytes: %.500s", name, log.Len(), log.String())
		}
	}
	a := post(`{"customername":"","Jane Doe":1}`)
	if !strings.Contains(a.text, "Jane Doe") || !strings.Contains(log.String(), "invalid: (unknown), customername, ") {
		t.Errorf("got %s, logged %s", a.text, log.String())
	}
}

func TestFaultsStayInside(t *testing.T) {
	v := newVendor(t)
	v.ports.Licenses = faultyStore{}
	id := "869b100f-06b7-44cc-80df-b4c4bf728461"
	for name, test := range map[string]struct {
		a    answer
		code string
	}{
		"create": {
			v.call("POST", "/licenses", "", `{"customername":"E","expirationdate":"2030-01-31"}`, nil),
			"INTERNAL_ERROR",
		},
		"get":  {v.call("GET", "/licenses/{licenseid}", id, "", nil), "UNREADABLE_LICENSE"},
		"list": {v.call("GET", "/licenses", "", "", nil), "INTERNAL_ERROR"},
	} {
		if test.a.status != http.StatusInternalServerError || test.a.Code != test.code ||
			strings.Contains(test.a.text, "arn:") {
			t.Errorf("%s: got %d %s", name, test.a.status, test.a.text)
		}
	}
}

// TestEvents runs every sample event of this function.
func TestEvents(t *testing.T) {
	want := map[string]struct {
		status int
		body   string // a part of it
	}{
		"create":       {http.StatusCreated, `"customername":"Example Ltd"`},
		"invalid":      {http.StatusBadRequest, `"field":"customername"`},
		"malformed":    {http.StatusBadRequest, `"code":"MALFORMED_BODY"`},
		"get":          {http.StatusOK, `"status":"active"`},
		"get-unknown":  {http.StatusNotFound, `"code":"LICENSE_NOT_FOUND"`},
		"list":         {http.StatusOK, `"licenses":[{"licenseid":"00000000-0000-4000-8000-000000000001"`},
		"list-invalid": {http.StatusBadRequest, `"field":"limit"`},
		"key":          {http.StatusOK, `{"licensekey":"eyJ`},
		"revoke":       {http.StatusOK, `"changereason":"contract ended"`},

		"list-by-name":     {http.StatusOK, `"licenses":[{"licenseid":"00000000-0000-4000-8000-000000000001"`},
		"get-by-reference": {http.StatusOK, `"reference":"order 4711/a"`},
		"reference-taken":  {http.StatusConflict, `"licenseid":"00000000-0000-4000-8000-000000000001"`},

		"audit":              {http.StatusOK, `{"entries":[`},
		"suspend":            {http.StatusOK, `"status":"suspended"`},
		"reinstate":          {http.StatusOK, `"status":"active"`},
		"renew":              {http.StatusOK, `"expirationdate":"2100-01-31T23:59:59.999Z"`},
		"erase":              {http.StatusOK, `"customername":"erased"`},
		"patch":              {http.StatusOK, `"appurls":[{"URL":"https://new.example.com"}]`},
		"delete":             {http.StatusNoContent, ``},
		"create-for-devices": {http.StatusCreated, `"maxdevices":3,"leaseminutes":20160,"maxleaseminutes":129600`},
		"devices":            {http.StatusOK, `{"limit":2,"devices":[{"id":"` + theDevice + `","name":"front desk"`},
		"reset-devices":      {http.StatusNoContent, ``},
		"create-from-plan":   {http.StatusCreated, `"updatesuntil":"2099-01-31T23:59:59.999Z","plan":"pro"`},
		"patch-to-plan":      {http.StatusOK, `"plan":"pro","services":[{"serviceName":"TEST"`},
		"put-plan":           {http.StatusOK, `"durationdays":365,"updatesdays":365,"version":2`},
		"put-plan-new":       {http.StatusPreconditionFailed, `"code":"PLAN_EXISTS"`},
		"get-plan":           {http.StatusOK, `{"plan":"pro","services":[{"serviceName":"TEST"`},
		"list-plans":         {http.StatusOK, `{"plans":[{"plan":"pro","services":[`},
		"delete-plan":        {http.StatusNoContent, ``},
		"release-device":     {http.StatusNoContent, ``},

		"patch-stale": {http.StatusPreconditionFailed, `"code":"STALE"`},

		"audit-proof":    {http.StatusNotFound, `"code":"NO_CHECKPOINT"`},
		"tree-roots":     {http.StatusNotFound, `"code":"TREE_NOT_FOUND"`},
		"tree-pages":     {http.StatusNotFound, `"code":"TREE_NOT_FOUND"`},
		"checkpoint":     {http.StatusNotFound, `"code":"NO_CHECKPOINT"`},
		"checkpoint-key": {http.StatusOK, `openlicenser/test/audit+`},

		"catch-all-get":           {http.StatusOK, `"licenseid":"00000000-0000-4000-8000-000000000001"`},
		"catch-all-revoke":        {http.StatusOK, `"changedby":"arn:aws:iam::123456789012:user/shop"`},
		"function-url-open":       {http.StatusForbidden, `"code":"ACCESS_DENIED"`},
		"function-url-create":     {http.StatusCreated, `"changedby":"arn:aws:iam::123456789012:user/shop"`},
		"http-api-list":           {http.StatusOK, `{"licenses":[{"licenseid":"00000000-0000-4000-8000-000000000001"`},
		"http-api-revoke":         {http.StatusOK, `"changedby":"arn:aws:iam::123456789012:user/shop"`},
		"http-api-checkpoint-key": {http.StatusOK, `openlicenser/test/audit+`},
	}
	sampled := lambdatest.SampleEvents[json.RawMessage](t, "../../../events/issue")
	if len(sampled) != len(want) {
		t.Fatalf("%d events for %d expectations", len(sampled), len(want))
	}
	for name, event := range sampled {
		t.Run(name, func(t *testing.T) {
			expected, known := want[name]
			if !known {
				t.Fatal("no expectation for this file")
			}
			v := newVendor(t)
			l := licensetest.Issue(t)
			l.ID, l.Reference = "00000000-0000-4000-8000-000000000001", "order 4711/a"
			l.MaxDevices, l.SeatsEpoch = 2, 1
			v.occupy(l, theDevice, "front desk", licensetest.Now.Add(time.Hour))
			if err := errors.Join(
				v.folder.Licenses.Create(t.Context(), l),
				v.folder.Plans.Put(t.Context(), license.Plan{}, licensetest.Plan(t, "pro")),
			); err != nil {
				t.Fatal(err)
			}
			v.t = t
			a := v.invoke(event)
			isPublic := strings.Contains(name, "checkpoint")
			if (a.header["Access-Control-Allow-Origin"] == "*") != isPublic {
				t.Errorf("headers %v", a.header)
			}
			if a.status != expected.status || !strings.Contains(a.text, expected.body) {
				t.Errorf("got %d %s, want %d %s", a.status, a.text, expected.status, expected.body)
			}
		})
	}
}
