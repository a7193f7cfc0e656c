package issuance_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/attribute"
)

// patchIfMatch sends a patch with a line of If-Match for each of the given ones.
func (v vendor) patchIfMatch(id, notes string, lines ...string) answer {
	v.t.Helper()
	event := events.APIGatewayProxyRequest{
		HTTPMethod: "PATCH", Resource: "/licenses/{licenseid}", Path: "/licenses/" + id,
		PathParameters:    map[string]string{"licenseid": id},
		Headers:           map[string]string{"If-Match": lines[len(lines)-1]},
		MultiValueHeaders: map[string][]string{"If-Match": lines},
		Body:              fmt.Sprintf(`{"notes":%q}`, notes),
	}
	event.RequestContext.Identity.UserArn = principal
	return v.handle(event)
}

// TestIfMatch: %s stands for the opaque tag of the license as it is.
func TestIfMatch(t *testing.T) {
	const fine, stale, unreadable = http.StatusOK, http.StatusPreconditionFailed, http.StatusBadRequest
	v := newVendor(t)
	id := v.issue().LicenseID
	for n, test := range []struct {
		name  string
		lines []string
		want  int
	}{
		{"strong", []string{`"%s"`}, fine},
		{"weak, as compressing proxies make it", []string{`W/"%s"`}, fine},
		{"unquoted", []string{`%s`}, fine},
		{"weak and unquoted", []string{`W/%s`}, fine},
		{"any", []string{`*`}, fine},
		{"any, with white space", []string{" *\t"}, fine},
		{"the last of a list", []string{`"0-0","a,b" , W/"%s"`}, fine},
		{"the first of a list", []string{`"%s", "0-0"`}, fine},
		{"unquoted in a list", []string{`0-0,%s, "x"`}, fine},
		{"a list with empty elements", []string{`, ,"%s",, `}, fine},
		{"on the second of two lines", []string{`"0-0"`, `"%s"`}, fine},
		{"on the first of two lines", []string{`"%s"`, `"0-0"`}, fine},
		{"another one", []string{`"0-0"`}, stale},
		{"another weak one", []string{`W/"0-0"`}, stale},
		{"the tag in a tag with commas", []string{`"a,%s,b"`}, stale},
		{"a longer one", []string{`"%s0"`}, stale},
		{"a shorter one", []string{`"1"`}, stale},
		{"the empty tag", []string{`""`}, stale},
		{"a tag with bytes beyond ASCII", []string{`"é"`}, stale},
		{"empty", []string{``}, unreadable},
		{"blank", []string{` `}, unreadable},
		{"commas alone", []string{`,,`}, unreadable},
		{"no closing quote", []string{`"%s`}, unreadable},
		{"no opening quote", []string{`%s"`}, unreadable},
		{"a space in the tag", []string{`"%s "`}, unreadable},
		{"a space in an unquoted tag", []string{`%s x`}, unreadable},
		{"no comma", []string{`"%s" "0-0"`}, unreadable},
		{"nothing between the tags", []string{`"%s""0-0"`}, unreadable},
		{"weak in lower case", []string{`w/"%s"`}, unreadable},
		{"weakness alone", []string{`W/`}, unreadable},
		{"any in a list", []string{`*, "%s"`}, unreadable},
		{"any and a line", []string{`*`, `"%s"`}, unreadable},
		{"a control character", []string{"\"%s\x01\""}, unreadable},
		{"one fine and one unreadable", []string{`"%s"`, `"`}, unreadable},
	} {
		before := v.call("GET", "/licenses/{licenseid}", id, "", nil)
		lines := make([]string, len(test.lines))
		for i, line := range test.lines {
			lines[i] = strings.ReplaceAll(line, "%s", strings.Trim(before.header["ETag"], `"`))
		}
		a := v.patchIfMatch(id, fmt.Sprint("change ", n), lines...)
		code := map[int]string{fine: "", stale: "STALE", unreadable: "INVALID_IF_MATCH"}[test.want]
		if a.status != test.want || a.Code != code {
			t.Errorf("%s: %q: got %d %s", test.name, lines, a.status, a.text)
		}
		after := v.call("GET", "/licenses/{licenseid}", id, "", nil)
		if changed := after.Version != before.Version; changed != (test.want == fine) {
			t.Errorf("%s: version %d became %d", test.name, before.Version, after.Version)
		}
	}
}

// TestIfMatchOfEveryRoute: what takes If-Match refuses one that it cannot read, and changes nothing.
func TestIfMatchOfEveryRoute(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	for route, body := range map[string]string{
		"PATCH /licenses/{licenseid}":          `{"notes":"x"}`,
		"DELETE /licenses/{licenseid}":         `{"reason":"x"}`,
		"POST /licenses/{licenseid}/revoke":    ``,
		"POST /licenses/{licenseid}/suspend":   ``,
		"POST /licenses/{licenseid}/reinstate": ``,
		"POST /licenses/{licenseid}/renew":     `{"expirationdate":"2040-01-31"}`,
		"POST /licenses/{licenseid}/erase":     `{"reason":"x"}`,
	} {
		method, resource, _ := strings.Cut(route, " ")
		for _, ifMatch := range []string{" ", `"`, `*, *`} {
			a := v.callIfMatch(method, resource, id, ifMatch, body)
			if a.status != http.StatusBadRequest || a.Code != "INVALID_IF_MATCH" {
				t.Errorf("%s with %q: got %d %s", route, ifMatch, a.status, a.text)
			}
		}
	}
	if a := v.call("GET", "/licenses/{licenseid}", id, "", nil); a.Version != 1 {
		t.Errorf("something was changed: %s", a.text)
	}
}

// TestForeignETags: a license whose instant of change is no number has an ETag of its own for each state that another
// tool gives it.
func TestForeignETags(t *testing.T) {
	const id = "869b100f-06b7-44cc-80df-b4c4bf728461"
	v := newVendor(t)
	read := func() string {
		t.Helper()
		a := v.call("GET", "/licenses/{licenseid}", id, "", nil)
		if a.status != http.StatusOK {
			t.Fatalf("got %d %s", a.status, a.text)
		}
		return a.header["ETag"]
	}
	seen := map[string]string{}
	for name, record := range map[string]attribute.Map{
		"least":                      {},
		"NULL":                       {"changedtimestamp": nil},
		"a text":                     {"changedtimestamp": "2026-11-01"},
		"another text":               {"changedtimestamp": "2026-11-02"},
		"another name":               {"customername": "Example Ltd"},
		"another date":               {"expirationdate": "2031-01-03"},
		"another service":            {"services": `[{"serviceName":"a","serviceValue":"b"}]`},
		"revoked":                    {"isrevoked": true},
		"suspended":                  {"issuspended": true},
		"suspended and revoked":      {"isrevoked": true, "issuspended": true},
		"services of no form":        {"services": "x"},
		"version of no form":         {"version": "1"},
		"another version of no form": {"version": "2"},
		"another version":            {"version": attribute.Number("2")},
	} {
		v.put(id, record)
		tag := read()
		if read() != tag {
			t.Errorf("%s: the ETag changes by itself", name)
		}
		if other, isTaken := seen[tag]; isTaken && name != "NULL" && other != "NULL" { // which is as good as absent
			t.Errorf("%s and %s have the ETag %s", name, other, tag)
		}
		seen[tag] = name
	}

	v.put(id, attribute.Map{"notes": "first"})
	first := read()
	v.put(id, attribute.Map{"notes": "second"})
	for _, method := range []string{"PATCH", "DELETE"} {
		a := v.callIfMatch(method, "/licenses/{licenseid}", id, first, `{"reason":"x"}`)
		if a.status != http.StatusPreconditionFailed {
			t.Errorf("%s after another tool's change: got %d %s", method, a.status, a.text)
		}
	}
	a := v.callIfMatch("PATCH", "/licenses/{licenseid}", id, read(), `{"notes":"third"}`)
	if a.status != http.StatusOK || a.header["ETag"] != read() {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

// TestNoNotModified: a license's status changes while its ETag stays, so there is no 304.
func TestNoNotModified(t *testing.T) {
	v := newVendor(t)
	issued := v.issue()
	event := events.APIGatewayProxyRequest{
		HTTPMethod: "GET", Resource: "/licenses/{licenseid}",
		PathParameters: map[string]string{"licenseid": issued.LicenseID},
		Headers:        map[string]string{"If-None-Match": issued.header["ETag"]},
	}
	if a := v.handle(event); a.status != http.StatusOK || a.LicenseID != issued.LicenseID {
		t.Errorf("got %d %s", a.status, a.text)
	}
}
