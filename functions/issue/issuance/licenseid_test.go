package issuance_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

const (
	lower = "869b100f-06b7-44cc-80df-b4c4bf728461"
	upper = "869B100F-06B7-44CC-80DF-B4C4BF728461"
	mixed = "869b100F-06B7-44CC-80DF-B4C4BF728461"
)

// put writes a record as another tool does, and as it is a moment later.
func (v vendor) put(id string, more attribute.Map) {
	v.t.Helper()
	record := attribute.Map{"licenseid": id, "expirationdate": "2030-01-03"}
	maps.Copy(record, more)
	record = license.Adopt(record, v.ports.Now()).Apply(record)
	if err := v.folder.Licenses.PutRecord(v.t.Context(), record); err != nil {
		v.t.Fatal(err)
	}
}

// TestEitherCase: every route finds a license in either case of its id, and says how it is stored.
func TestEitherCase(t *testing.T) {
	for name, test := range map[string]struct{ stored, asked string }{
		"stored upper, asked mixed":    {upper, mixed},
		"stored lower, asked in upper": {lower, upper},
		"stored lower, asked mixed":    {lower, mixed},
		"stored lower, asked so":       {lower, lower},
		"stored upper, asked in lower": {upper, lower},
		"stored upper, asked so":       {upper, upper},
		"stored mixed, asked so":       {mixed, mixed},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			v.put(test.stored, nil)
			for _, step := range []struct {
				route, body string
				status      int
			}{
				{"GET", "", 200},
				{"GET /key", "", 200},
				{"GET /audit", "", 200},
				{"PATCH", `{"notes":"x"}`, 200},
				{"POST /suspend", "", 200},
				{"POST /reinstate", "", 200},
				{"POST /renew", `{"expirationdate":"2031-01-03"}`, 200},
				{"POST /revoke", "", 200},
				{"POST /erase", `{"reason":"x"}`, 200},
				{"DELETE", `{"reason":"x"}`, 204},
			} {
				method, action, _ := strings.Cut(step.route, " ")
				a := v.callIfMatch(method, "/licenses/{licenseid}"+action, test.asked, "*", step.body)
				isOther := a.LicenseID != "" && a.LicenseID != test.stored
				lacksHash := action == "/audit" && a.RecordHash == ""
				if a.status != step.status || isOther || lacksHash {
					t.Errorf("%s: got %d %s", step.route, a.status, a.text)
				}
			}
			if v.count() != 0 {
				t.Errorf("%d licenses are left", v.count())
			}
		})
	}
}

// TestBothCases: where another tool has made two licenses of one id, each is found by its own spelling.
func TestBothCases(t *testing.T) {
	v := newVendor(t)
	v.put(lower, nil)
	v.put(upper, nil)
	for _, id := range []string{lower, upper} {
		if a := v.call("GET", "/licenses/{licenseid}", id, "", nil); a.LicenseID != id {
			t.Errorf("%s: got %d %s", id, a.status, a.text)
		}
	}
}

// countedReads counts the reads of single licenses.
type countedReads struct {
	license.Store
	asked *[]string
}

func (s countedReads) Get(ctx context.Context, id string) (license.License, error) {
	*s.asked = append(*s.asked, id)
	return s.Store.Get(ctx, id)
}

// TestOneReadMore: only where the first finds nothing, and only where there is another spelling.
func TestOneReadMore(t *testing.T) {
	v := newVendor(t)
	v.put(lower, nil)
	const digits = "86910001-0617-4411-8011-141414728461"
	for _, test := range []struct {
		asked string
		want  []string
	}{
		{lower, []string{lower}},
		{upper, []string{upper, lower}},
		{mixed, []string{mixed, lower}},
		{digits, []string{digits}},
		{"no-uuid", nil},
	} {
		var asked []string
		w := v
		w.ports.Licenses = countedReads{v.ports.Licenses, &asked}
		w.call("GET", "/licenses/{licenseid}", test.asked, "", nil)
		if strings.Join(asked, " ") != strings.Join(test.want, " ") {
			t.Errorf("%s: read %v, want %v", test.asked, asked, test.want)
		}
	}
}

// TestTrailInEitherCase: the trail and its proof, and a cursor of the one spelling leads on in the other.
func TestTrailInEitherCase(t *testing.T) {
	v := newVendor(t)
	history := audittest.History(t, 3)
	id := history[0].LicenseID
	other := strings.ToUpper(id)
	if other == id {
		t.Fatalf("the id %s has no letters", id)
	}
	for _, event := range history {
		if err := (audit.Recorder{Store: v.folder.AuditTrail}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	maker := checkpoint.Maker{
		Trail: v.folder.AuditTrail, Archive: v.ports.Checkpoints.(checkpoint.Archive),
		Signer: v.ports.CheckpointKey.(checkpoint.Signer), Origin: origin,
	}
	if _, err := maker.Make(t.Context(), licensetest.Now); err != nil {
		t.Fatal(err)
	}
	first := v.call("GET", "/licenses/{licenseid}/audit", other, "", map[string]string{"limit": "2"})
	if len(first.Entries) != 2 || first.Entries[0].LicenseID != id {
		t.Fatalf("got %d %s", first.status, first.text)
	}
	for _, spelling := range []string{id, other} {
		next := map[string]string{"limit": "2", "cursor": first.Cursor}
		a := v.call("GET", "/licenses/{licenseid}/audit", spelling, "", next)
		if len(a.Entries) != 1 || a.Head.Sequence != 3 {
			t.Errorf("%s: got %d %s", spelling, a.status, a.text)
		}
	}
	a := v.call("GET", "/licenses/{licenseid}/audit/proof", other, "", nil)
	var proof checkpoint.Proof
	if err := json.Unmarshal([]byte(a.text), &proof); err != nil || !strings.HasPrefix(proof.Leaf, id+" 3 ") {
		t.Errorf("the proof: got %d %s, %v", a.status, a.text, err)
	}
}

// TestCustomerInBothCases: a customer's licenses are all in its list, in whichever spelling each has its id.
func TestCustomerInBothCases(t *testing.T) {
	v := newVendor(t)
	for _, spelling := range []string{lower, upper, lower, upper, lower} {
		v.put(licensetest.Issue(t).ID, attribute.Map{"customerid": spelling})
	}
	for _, limit := range []string{"1", "2", "3", "5", "100"} {
		for _, asked := range []string{lower, upper, mixed} {
			seen := map[string]int{}
			query := map[string]string{"customerid": asked, "limit": limit}
			for range 20 {
				page := v.call("GET", "/licenses", "", "", query)
				for _, l := range page.Licenses {
					seen[l.LicenseID]++
				}
				query["cursor"] = page.Cursor
				if page.Cursor == "" {
					break
				}
			}
			for id, times := range seen {
				if times != 1 {
					t.Errorf("%s is listed %d times", id, times)
				}
			}
			if len(seen) != 5 {
				t.Errorf("limit %s, %s: %d licenses, want 5", limit, asked, len(seen))
			}
		}
	}
}

// TestCustomerInEitherCase: the filter finds what is stored in either case, and the cursor stays with what the first
// page has found.
func TestCustomerInEitherCase(t *testing.T) {
	for name, test := range map[string]struct{ stored, asked string }{
		"stored upper, asked mixed":    {upper, mixed},
		"stored lower, asked in upper": {lower, upper},
		"stored upper, asked in lower": {upper, lower},
		"stored upper, asked so":       {upper, upper},
		"stored lower, asked mixed":    {lower, mixed},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			for range 3 {
				v.put(licensetest.Issue(t).ID, attribute.Map{"customerid": test.stored})
			}
			seen := map[string]bool{}
			query := map[string]string{"customerid": test.asked, "limit": "2"}
			for {
				page := v.call("GET", "/licenses", "", "", query)
				if page.status != http.StatusOK {
					t.Fatalf("got %d %s", page.status, page.text)
				}
				for _, l := range page.Licenses {
					seen[l.LicenseID] = true
				}
				if page.Cursor == "" {
					break
				}
				query["cursor"] = page.Cursor
			}
			if len(seen) != 3 {
				t.Errorf("%d licenses, want 3", len(seen))
			}
			query["customerid"] = "00000000-0000-4000-8000-00000000000f"
			if a := v.call("GET", "/licenses", "", "", query); a.status == http.StatusOK && len(a.Licenses) > 0 {
				t.Errorf("another customer: got %s", a.text)
			}
		})
	}
}
