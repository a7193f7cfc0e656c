package issuance_test

import (
	"net/http"
	"strings"
	"testing"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// TestUpdatesUntil: the forms of the field, as a license is issued and as it is changed, and what is shown of each.
func TestUpdatesUntil(t *testing.T) {
	const wrong = "wrong"
	for name, test := range map[string]struct {
		value string
		shown string // empty: not at all
		says  string // of a value that is wrong
	}{
		"a day":                  {`"2027-01-31"`, "2027-01-31T23:59:59.999Z", ""},
		"an instant":             {`"2027-01-31T12:00:00.1239+01:00"`, "2027-01-31T11:00:00.123Z", ""},
		"the last day":           {`"9999-12-30"`, "9999-12-30T23:59:59.999Z", ""},
		"the end of all days":    {`"9999-12-31"`, "", ""},
		"never":                  {`"never"`, "", ""},
		"null":                   {`null`, "", ""},
		"in the past":            {`"2020-01-31"`, "2020-01-31T23:59:59.999Z", ""},
		"the first of instants":  {`"0001-01-01T00:00:00Z"`, wrong, "after the first of all instants"},
		"the millisecond behind": {`"0001-01-01T00:00:00.001Z"`, "0001-01-01T00:00:00.001Z", ""},
		"empty":                  {`""`, wrong, "must be an ISO 8601 date"},
		"no day":                 {`"2027-02-30"`, wrong, "must be an ISO 8601 date"},
		"in another case":        {`"Never"`, wrong, "must be an ISO 8601 date"},
		"a number":               {`1893628800`, wrong, "must be a string: an ISO 8601 date, or never or null"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			id := v.post(`{"customername":"E","expirationdate":"2030-01-31","updatesuntil":"2026-01-31"}`).LicenseID
			for method, a := range map[string]answer{
				"POST":  v.post(`{"customername":"E","expirationdate":"2030-01-31","updatesuntil":` + test.value + `}`),
				"PATCH": v.patch(id, `{"updatesuntil":`+test.value+`}`),
			} {
				if test.shown == wrong {
					if a.status != http.StatusBadRequest || len(a.Errors) != 1 || a.Errors[0].Field != "updatesuntil" ||
						!strings.Contains(a.Errors[0].Message, test.says) {
						t.Errorf("%s: got %d %s", method, a.status, a.text)
					}
					continue
				}
				if a.status >= http.StatusBadRequest || a.UpdatesUntil != test.shown ||
					strings.Contains(a.text, "updatesuntil") != (test.shown != "") {
					t.Errorf("%s: got %d %s", method, a.status, a.text)
				}
				if stored := v.stored(a.LicenseID).Record()["updatesuntil"]; test.shown != "" && stored != test.shown ||
					test.shown == "" && stored != nil {
					t.Errorf("%s stored %v", method, stored)
				}
			}
		})
	}
}

// TestOddUpdatesUntil: what another tool has written in a form of its own is shown as a problem, and a patch mends it.
func TestOddUpdatesUntil(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	record := v.stored(id).Record()
	record["updatesuntil"] = "soon"
	if err := v.folder.Licenses.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	a := v.call("GET", "/licenses/{licenseid}", id, "", nil)
	if a.Status != "unreadable" || a.UpdatesUntil != "" || !strings.Contains(a.text, `"field":"updatesuntil"`) {
		t.Errorf("got %d %s", a.status, a.text)
	}
	for _, body := range []string{`{"updatesuntil":null}`, `{"updatesuntil":"2027-01-31"}`} {
		if err := v.folder.Licenses.PutRecord(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		a := v.patch(id, body)
		if a.status != http.StatusOK || a.Status != "active" || strings.Contains(a.text, "problems") {
			t.Errorf("%s: got %d %s", body, a.status, a.text)
		}
		if l := v.stored(id); l.Status(licensetest.Now) != license.Active {
			t.Errorf("%s left %v", body, l.Problems)
		}
	}
}
