package issuance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
)

// get sends a query whose parameters may stand several times.
func (v vendor) get(resource, id string, query map[string][]string) answer {
	v.t.Helper()
	event := events.APIGatewayProxyRequest{
		HTTPMethod: "GET", Resource: resource, PathParameters: map[string]string{"licenseid": id},
		QueryStringParameters: map[string]string{}, MultiValueQueryStringParameters: query,
	}
	for name, values := range query {
		event.QueryStringParameters[name] = values[len(values)-1]
	}
	event.RequestContext.Identity.UserArn = principal
	return v.handle(event)
}

// TestQueryDropsNoFilter: what cannot be meant is refused, by name, and no parameter is left out.
func TestQueryDropsNoFilter(t *testing.T) {
	v := newVendor(t)
	l := v.issue()
	for name, test := range map[string]struct {
		query map[string][]string
		field string // refused; empty: none
	}{
		"one value":                    {map[string][]string{"status": {"active"}}, ""},
		"the same value twice":         {map[string][]string{"status": {"active", "active"}}, ""},
		"two values":                   {map[string][]string{"status": {"revoked", "active"}}, "status"},
		"two limits":                   {map[string][]string{"limit": {"1", "2"}}, "limit"},
		"a value and none":             {map[string][]string{"status": {"active", ""}}, "status"},
		"an empty status":              {map[string][]string{"status": {""}}, "status"},
		"an empty customer":            {map[string][]string{"customerid": {""}}, "customerid"},
		"an empty name":                {map[string][]string{"customername": {""}}, "customername"},
		"two names":                    {map[string][]string{"customername": {"e", "ex"}}, "customername"},
		"two addresses":                {map[string][]string{"email": {"a@b.c", "d@e.f"}}, "email"},
		"two references":               {map[string][]string{"reference": {"1", "2"}}, "reference"},
		"two orders":                   {map[string][]string{"order": {"asc", "desc"}}, "order"},
		"two dates":                    {map[string][]string{"expiringafter": {"2020", "2021"}}, "expiringafter"},
		"an empty date":                {map[string][]string{"expiringbefore": {""}}, "expiringbefore"},
		"an empty limit":               {map[string][]string{"limit": {""}}, "limit"},
		"an empty cursor":              {map[string][]string{"cursor": {""}}, "cursor"},
		"an empty unknown one":         {map[string][]string{"x": {""}}, "x"},
		"a name in another case":       {map[string][]string{"Status": {"active"}}, "Status"},
		"a value in no UTF-8":          {map[string][]string{"customername": {"a\xe9"}}, "customername"},
		"a name in no UTF-8":           {map[string][]string{"\xe9": {"x"}}, "\ufffd"},
		"what is left of %zz":          {map[string][]string{"customerid": {"%zz"}}, "customerid"},
		"what is left of a; semicolon": {map[string][]string{"status": {"active;limit=1"}}, "status"},
	} {
		a := v.get("/licenses", "", test.query)
		isRefused := a.status == http.StatusBadRequest && len(a.Errors) == 1 && a.Errors[0].Field == test.field
		isListed := a.status == http.StatusOK && len(a.Licenses) == 1
		if isRefused == (test.field == "") || isListed != (test.field == "") {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	wrong := map[string][]string{"status": {"x"}, "limit": {"1", "2"}}
	if a := v.get("/licenses/{licenseid}/audit", l.LicenseID, wrong); len(a.Errors) != 2 {
		t.Errorf("the audit trail: got %d %s", a.status, a.text)
	}
}

// TestQueryOfRoutesWithoutOne: a parameter has no effect there, so it is refused before there is one of another kind.
func TestQueryOfRoutesWithoutOne(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	for route := range v.ports.router(t).Routes {
		if route == "GET /licenses" || route == "GET /licenses/{licenseid}/audit" {
			continue
		}
		method, resource, _ := strings.Cut(route, " ")
		body := map[string]string{
			"POST /licenses":                   order,
			"PATCH /licenses/{licenseid}":      `{"notes":"x"}`,
			"DELETE /licenses/{licenseid}":     `{"reason":"x"}`,
			"POST /licenses/{licenseid}/renew": `{"expirationdate":"2040-01-31"}`,
		}[route]
		a := v.call(method, resource, id, body, map[string]string{"dryrun": "true"})
		if a.status != http.StatusBadRequest || len(a.Errors) != 1 || a.Errors[0].Field != "dryrun" {
			t.Errorf("%s: got %d %s", route, a.status, a.text)
		}
	}
	if a := v.call("GET", "/licenses/{licenseid}", id, "", nil); a.Version != 1 || v.count() != 1 {
		t.Errorf("something was changed: %s", a.text)
	}
}

// TestCursorHasOneSpelling: base64 has several for the same bytes.
func TestCursorHasOneSpelling(t *testing.T) {
	v := newVendor(t)
	v.issue()
	v.issue()
	cursor := v.call("GET", "/licenses", "", "", map[string]string{"limit": "1"}).Cursor
	if len(cursor)%4 == 0 { // 16 bytes of MAC and a UUID are 52, so the last character has unused bits
		t.Fatalf("the cursor %s has no unused bits", cursor)
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, cursor[len(cursor)-1])
	for name, spelling := range map[string]string{
		"unused bits":     cursor[:len(cursor)-1] + alphabet[last+1:last+2],
		"a line feed":     cursor[:8] + "\n" + cursor[8:],
		"CRLF":            cursor + "\r\n",
		"padding":         cursor + strings.Repeat("=", 4-len(cursor)%4),
		"the other signs": strings.NewReplacer("-", "+", "_", "/").Replace(cursor) + "+",
		"white space":     cursor + " ",
	} {
		a := v.call("GET", "/licenses", "", "", map[string]string{"cursor": spelling})
		if a.status != http.StatusBadRequest || len(a.Errors) != 1 || a.Errors[0].Field != "cursor" {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	if a := v.call("GET", "/licenses", "", "", map[string]string{"cursor": cursor}); len(a.Licenses) != 1 {
		t.Errorf("the cursor itself: got %d %s", a.status, a.text)
	}
}
