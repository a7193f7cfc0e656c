package issuance_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// wrong returns what a refusal says of fields.
func wrong(t *testing.T, a answer) (texts []string) {
	t.Helper()
	if a.status != http.StatusBadRequest || a.Code != "INVALID_FIELDS" {
		t.Errorf("got %d %s", a.status, a.text)
	}
	for _, f := range a.Errors {
		texts = append(texts, f.Field+" "+f.Message)
	}
	return texts
}

// fields returns what a license has of what a plan can say, by the names of its attributes.
func fields(l license.License) map[string]any {
	record, had := l.Record(), map[string]any{}
	for _, name := range []string{
		"plan", "services", "appurls", "notes", "gracedays", "maxdevices", "leaseminutes", "maxleaseminutes",
		"expirationdate", "updatesuntil",
	} {
		if value, isThere := record[name]; isThere {
			had[name] = value
		}
	}
	return had
}

// TestIssueFromPlan: each field is copied unless the request says something of it, be it nothing. A null says nothing.
func TestIssueFromPlan(t *testing.T) {
	v := newVendor(t)
	v.putPlan("pro", fullPlan)
	issued := func(members string) map[string]any {
		t.Helper()
		a := v.post(`{"plan":"pro","customername":"E"` + members + `}`)
		if a.status != http.StatusCreated || a.Plan != "pro" {
			t.Fatalf("%s: got %d %s", members, a.status, a.text)
		}
		return fields(v.stored(a.LicenseID))
	}
	whole := issued("")
	all := fields(license.License{
		Plan: "pro", Services: `[{"serviceName":"A","serviceValue":"b"}]`,
		AppURLs: `[{"URL":"https://app.example.com"}]`, Notes: "n", GraceDays: 14, MaxDevices: 3, LeaseMinutes: 60,
		MaxLeaseMinutes: 120,
		// from the instant of the issue, 12:00:00.001
		ExpirationDate: time.Date(2027, 11, 1, 12, 0, 0, int(time.Millisecond), time.UTC),
		UpdatesUntil:   time.Date(2027, 11, 2, 12, 0, 0, int(time.Millisecond), time.UTC),
	})
	if diff := cmp.Diff(all, whole); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	nulls := `,"expirationdate":null,"updatesuntil":null,"services":null,"appurls":null,"notes":null,` +
		`"gracedays":null,"maxdevices":null,"leaseminutes":null,"maxleaseminutes":null,"reference":null`
	if diff := cmp.Diff(all, issued(nulls)); diff != "" {
		t.Errorf("nulls (-want +got):\n%s", diff)
	}
	const gone = "gone"
	for members, changed := range map[string]map[string]any{
		`"services":[]`: {"services": "[]"},
		`"services":[{"serviceName":"C","serviceValue":"d"},{"serviceName":"E","serviceValue":"f"}]`: {"services": `[` +
			`{"serviceName":"C","serviceValue":"d"},{"serviceName":"E","serviceValue":"f"}]`},
		`"appurls":[]`:                  {"appurls": "[]"},
		`"notes":""`:                    {"notes": ""},
		`"notes":"own"`:                 {"notes": "own"},
		`"gracedays":0`:                 {"gracedays": gone},
		`"gracedays":7`:                 {"gracedays": 7},
		`"maxdevices":9`:                {"maxdevices": 9},
		`"leaseminutes":0`:              {"leaseminutes": gone, "maxleaseminutes": gone},
		`"leaseminutes":30`:             {"leaseminutes": 30},
		`"maxleaseminutes":0`:           {"maxleaseminutes": gone},
		`"updatesuntil":"never"`:        {"updatesuntil": gone},
		`"updatesuntil":"2020-01-31"`:   {"updatesuntil": "2020-01-31T23:59:59.999Z"},
		`"expirationdate":"2030-01-31"`: {"expirationdate": "2030-01-31T23:59:59.999Z"},
		`"expirationdate":"never"`:      {"expirationdate": "9999-12-31T23:59:59.999Z", "gracedays": gone},
	} {
		want := map[string]any{}
		for name, value := range all {
			if changed[name] == nil {
				want[name] = value
			}
		}
		for name, value := range changed {
			switch value := value.(type) {
			case int:
				want[name] = license.License{GraceDays: value}.Record()["gracedays"]
			case string:
				if value != gone {
					want[name] = value
				}
			}
		}
		if members == `"leaseminutes":0` {
			members += `,"maxleaseminutes":0` // which would be shorter than a token's lifetime
		}
		if diff := cmp.Diff(want, issued(","+members)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", members, diff)
		}
	}
	without := `{"customername":"E","expirationdate":"never","maxdevices":0`
	for _, none := range []string{without + `}`, without + `,"plan":""}`, without + `,"plan":null}`} {
		a := v.post(none)
		if a.status != http.StatusCreated || strings.Contains(a.text, `"plan"`) || a.Notes != "" {
			t.Errorf("%s: got %d %s", none, a.status, a.text)
		}
	}
}

// TestIssueFromPlanRefuses: what is wrong, where it came from, and what to do.
func TestIssueFromPlanRefuses(t *testing.T) {
	const (
		unknown = "plan must be the name of a plan; GET /plans lists them, PUT /plans/{plan} makes one"
		noEnd   = "expirationdate is required: an ISO 8601 date, as 2030-01-31, or never, or a plan with durationdays"
		leases  = "leaseminutes and maxleaseminutes are for a license with maxdevices"
		from    = ` (from plan "leases")`
		blank   = "customername is required and must not be blank"
		grace   = "gracedays must be 0 for a license without an end"
	)
	v := newVendor(t)
	v.putPlan("leases", `{"leaseminutes":60,"maxleaseminutes":120}`)
	v.putPlan("year", `{"durationdays":365,"gracedays":14}`)
	for body, want := range map[string][]string{
		`{"plan":"none"}`:    {unknown}, // what else is missing could be in the right one
		`{"plan":"Leases"}`:  {unknown},
		`{"plan":"a b"}`:     {unknown},
		`{"plan":"leases/"}`: {unknown},
		`{"plan":"none","notes":7,"color":1}`: {
			"color is unknown; known are appurls, customerid, customername, email, expirationdate, gracedays, " +
				"leaseminutes, maxdevices, maxleaseminutes, notes, plan, reference, services, updatesuntil",
			"notes must be a string", unknown,
		},
		`{"plan":7,"customername":"E"}`:                                             {"plan must be a string", noEnd},
		`{"customername":"E"}`:                                                      {noEnd},
		`{"plan":"leases","customername":"E","maxdevices":1}`:                       {noEnd},
		`{"plan":"year","customername":"E","expirationdate":""}`:                    {noEnd},
		`{"plan":"leases","customername":"E","expirationdate":"never"}`:             {leases + from},
		`{"plan":"leases","customername":"","expirationdate":"never"}`:              {blank, leases + from},
		`{"plan":"year","customername":"E","leaseminutes":60}`:                      {leases},
		`{"plan":"year","customername":"E","expirationdate":"never","gracedays":1}`: {grace},
		`{"plan":"leases","customername":"E","expirationdate":"never","maxdevices":1,"leaseminutes":600}`: {
			"maxleaseminutes must not be less than leaseminutes, which is 600" + from,
		},
		`{"plan":"leases","customername":"E","expirationdate":"never","maxdevices":1,"maxleaseminutes":30}`: {
			"maxleaseminutes must not be less than leaseminutes, which is 60" + from,
		},
	} {
		if diff := cmp.Diff(want, wrong(t, v.post(body))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	if v.count() != 0 {
		t.Errorf("%d licenses", v.count())
	}
}

// TestPlanWithLongerLeases: a plan that was made while tokens were valid for longer is refused when it is used, and the
// message says whose fault that is.
func TestPlanWithLongerLeases(t *testing.T) {
	v := newVendor(t)
	p := licensetest.ReplacePlan(t, license.Plan{}, license.Plan{
		Name: "old", MaxDevices: 1, LeaseMinutes: 129601, DurationDays: 1,
	})
	if err := v.folder.Plans.Put(t.Context(), license.Plan{}, p); err != nil {
		t.Fatal(err)
	}
	const want = `leaseminutes must be a whole number from 10 to 129600, or absent or 0 for as long as a token is ` +
		`valid, the most (from plan "old")`
	id := v.issue().LicenseID
	for method, a := range map[string]answer{
		"POST":  v.post(`{"plan":"old","customername":"E"}`),
		"PATCH": v.patch(id, `{"plan":"old"}`),
	} {
		if diff := cmp.Diff([]string{want}, wrong(t, a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", method, diff)
		}
	}
}

// TestNothingIsInherited: a plan that is replaced or removed changes no license.
func TestNothingIsInherited(t *testing.T) {
	v := newVendor(t)
	v.putPlan("pro", fullPlan)
	id := v.post(`{"plan":"pro","customername":"E"}`).LicenseID
	before := v.call("GET", "/licenses/{licenseid}", id, "", nil)
	v.putPlan("pro", `{"services":[{"serviceName":"other","serviceValue":"o"}],"maxdevices":1,"durationdays":1}`)
	replaced := v.call("GET", "/licenses/{licenseid}", id, "", nil)
	v.plan("DELETE", "pro", "", nil)
	removed := v.call("GET", "/licenses/{licenseid}", id, "", nil)
	if replaced.text != before.text || removed.text != before.text {
		t.Errorf("was %s, then %s, then %s", before.text, replaced.text, removed.text)
	}
	if a := v.patch(id, `{"notes":"x"}`); a.status != http.StatusOK || a.Plan != "pro" {
		t.Errorf("changed after that: %d %s", a.status, a.text)
	}
}

// TestPatchToPlan: what a license allows is the plan's, as far as the plan has it and the patch says nothing of it.
func TestPatchToPlan(t *testing.T) {
	v := newVendor(t)
	v.putPlan("pro", fullPlan)
	v.putPlan("free", `{"services":[{"serviceName":"F","serviceValue":"f"}],"notes":"of the plan","durationdays":1}`)
	id := v.post(`{"customername":"E","expirationdate":"2030-01-31","updatesuntil":"2028-01-31","notes":"own",` +
		`"maxdevices":7,"gracedays":1}`).LicenseID
	before := fields(v.stored(id))
	for _, step := range []struct {
		patch   string
		version int64
		changed map[string]any
	}{
		{`{"plan":"pro","maxdevices":9,"appurls":[]}`, 2, map[string]any{
			"plan": "pro", "services": `[{"serviceName":"A","serviceValue":"b"}]`, "gracedays": 14, "maxdevices": 9,
			"leaseminutes": 60, "maxleaseminutes": 120,
		}},
		{`{"plan":"pro","maxdevices":9,"appurls":null}`, 2, nil},
		{`{"plan":"free"}`, 3, map[string]any{"plan": "free", "services": `[{"serviceName":"F","serviceValue":"f"}]`}},
		{`{"plan":null}`, 4, map[string]any{"plan": nil}},
		{`{"plan":null}`, 4, nil},
		{`{"plan":"pro","services":null,"leaseminutes":0,"maxleaseminutes":0,"expirationdate":"never",` +
			`"gracedays":0}`, 5,
			map[string]any{
				"plan": "pro", "services": `[]`, "appurls": `[{"URL":"https://app.example.com"}]`, "gracedays": nil,
				"maxdevices": 3, "leaseminutes": nil, "maxleaseminutes": nil,
				"expirationdate": "9999-12-31T23:59:59.999Z",
			}},
		{`{"plan":"pro"}`, 6, map[string]any{ // its days of grace are left out
			"services": `[{"serviceName":"A","serviceValue":"b"}]`, "leaseminutes": 60, "maxleaseminutes": 120,
		}},
		{`{"plan":"","expirationdate":"2030-01-31"}`, 7, map[string]any{
			"plan": nil, "expirationdate": "2030-01-31T23:59:59.999Z",
		}},
	} {
		a := v.patch(id, step.patch)
		if a.status != http.StatusOK {
			t.Fatalf("%s: got %d %s", step.patch, a.status, a.text)
		}
		want := map[string]any{}
		for name, value := range before {
			want[name] = value
		}
		for name, value := range step.changed {
			switch value := value.(type) {
			case nil:
				delete(want, name)
			case int:
				want[name] = license.License{GraceDays: value}.Record()["gracedays"]
			default:
				want[name] = value
			}
		}
		l := v.stored(id)
		if diff := cmp.Diff(want, fields(l)); diff != "" || l.Version != step.version {
			t.Errorf("%s left version %d (-want +got):\n%s", step.patch, l.Version, diff)
		}
		before = fields(l)
	}
	const leases = "leaseminutes and maxleaseminutes are for a license with maxdevices"
	for patch, want := range map[string]string{
		`{"plan":"none"}`: "plan must be the name of a plan; GET /plans lists them, PUT /plans/{plan} makes one",
		`{"plan":7}`:      "plan must be a string, or null",
		`{"plan":"pro","expirationdate":"never","gracedays":1}`: "gracedays must be 0 for a license without an end",
		`{"plan":"pro","maxdevices":0}`:                         leases + ` (from plan "pro")`,
	} {
		if diff := cmp.Diff([]string{want}, wrong(t, v.patch(id, patch))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", patch, diff)
		}
	}
	if diff := cmp.Diff(before, fields(v.stored(id))); diff != "" {
		t.Errorf("the refused ones changed something:\n%s", diff)
	}
}

// TestOnceWhateverBecameOfThePlan: a request whose response was lost is answered with what it did, though its plan was
// replaced or removed since.
func TestOnceWhateverBecameOfThePlan(t *testing.T) {
	for name, end := range map[string]func(vendor){
		"replaced": func(v vendor) { v.putPlan("pro", `{"durationdays":1}`) },
		"invalid":  func(v vendor) { v.putPlan("pro", `{"durationdays":1,"leaseminutes":10}`) },
		"removed":  func(v vendor) { v.plan("DELETE", "pro", "", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			keys, licenses, clock := v.ports.Idempotency, v.ports.Licenses, licensetest.Now
			v.ports.Now = func() time.Time { return clock }
			v.putPlan("pro", fullPlan)
			lost := func(method, path, body string) { // its last write, the response, is lost
				c := &crash{at: 3}
				v.ports.Idempotency, v.ports.Licenses = crashingKeys{keys, c}, crashingLicenses{licenses, c}
				v.with("key of "+method, method, path, body)
				v.ports.Idempotency, v.ports.Licenses = keys, licenses
				clock = clock.Add(time.Minute) // the lease has ended
			}
			const order, upgrade = `{"plan":"pro","customername":"E"}`, `{"plan":"pro","reason":"upgrade"}`
			lost("POST", "/licenses", order)
			path := "/licenses/" + v.issue().LicenseID
			lost("PATCH", path, upgrade)
			end(v)
			issued := v.with("key of POST", "POST", "/licenses", order)
			if issued.status != http.StatusCreated || issued.ExpirationDate != "2027-11-01T12:00:00.000Z" ||
				issued.LicenseKey == "" || issued.ShortKey == "" || issued.header["ETag"] == "" ||
				!strings.HasSuffix(issued.header["Location"], issued.LicenseID) || v.count() != 2 {
				t.Errorf("issued again: %d %s, %d licenses", issued.status, issued.text, v.count())
			}
			again := v.with("key of POST", "POST", "/licenses", order)
			if again.text != issued.text || again.header["Idempotency-Replayed"] != "true" {
				t.Errorf("and again: %d %s", again.status, again.text)
			}
			upgraded := v.with("key of PATCH", "PATCH", path, upgrade)
			if upgraded.status != http.StatusOK || upgraded.Version != 2 || upgraded.LeaseMinutes != 60 {
				t.Errorf("upgraded again: %d %s", upgraded.status, upgraded.text)
			}
		})
	}
}

// TestDatesOfALaterAttempt: they count from the first one, of which nothing is left.
func TestDatesOfALaterAttempt(t *testing.T) {
	v := newVendor(t)
	licenses, clock := v.ports.Licenses, licensetest.Now
	v.ports.Now = func() time.Time { return clock }
	v.putPlan("pro", `{"durationdays":1,"updatesdays":2}`)
	const order = `{"plan":"pro","customername":"E"}`
	v.ports.Licenses = crashingLicenses{licenses, &crash{at: 1}}
	if a := v.with("key", "POST", "/licenses", order); a.status != http.StatusInternalServerError || v.count() != 0 {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	v.ports.Licenses, clock = licenses, clock.Add(time.Hour)
	a := v.with("key", "POST", "/licenses", order)
	if a.status != http.StatusCreated || a.ExpirationDate != "2026-11-02T12:00:00.000Z" ||
		a.UpdatesUntil != "2026-11-03T12:00:00.000Z" {
		t.Errorf("got %d %s", a.status, a.text)
	}
}
