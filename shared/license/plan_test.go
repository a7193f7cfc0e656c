package license_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// wrongFields returns the texts of an *InvalidError, in order.
func wrongFields(t *testing.T, err error) []string {
	t.Helper()
	var invalid *license.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got error %v", err)
	}
	var texts []string
	for _, f := range invalid.Fields {
		texts = append(texts, f.Field+" "+f.Message)
	}
	return texts
}

func TestIsPlanName(t *testing.T) {
	for _, name := range []string{"a", "Z", "0", "pro", "Pro-2.1_eu", "a..", strings.Repeat("x", 64)} {
		if !license.IsPlanName(name) {
			t.Errorf("%q is none", name)
		}
	}
	for _, name := range []string{
		"", ".", "..", ".a", "-a", "_a", "a b", "a/b", "a%20b", "é", "a\n", "a\x00", "ａ", strings.Repeat("x", 65),
	} {
		if license.IsPlanName(name) {
			t.Errorf("%q is one", name)
		}
	}
}

// TestPlanLimits: those of a license, but that leases may stand alone, and those of its own fields.
func TestPlanLimits(t *testing.T) {
	const tokenMinutes = 1000
	for name, test := range map[string]struct {
		plan  license.Plan
		wrong string // how the error begins; empty where all is right
	}{
		"nothing":             {license.Plan{}, ""},
		"name":                {license.Plan{Name: "a b"}, "plan must be 1 to 64 letters"},
		"most days of grace":  {license.Plan{GraceDays: license.MaxGraceDays}, ""},
		"more days of grace":  {license.Plan{GraceDays: license.MaxGraceDays + 1}, "gracedays must be"},
		"notes too long":      {license.Plan{Notes: strings.Repeat("é", license.MaxNotes+1)}, "notes must be at most"},
		"too many services":   {license.Plan{Services: services(license.MaxServices+1, "a")}, "services must hold"},
		"a blank service":     {license.Plan{Services: services(1, " ")}, "services[0].serviceValue is required"},
		"a URL of none":       {license.Plan{AppURLs: []license.AppURL{{URL: "ftp://a"}}}, "appurls[0].URL "},
		"devices":             {license.Plan{MaxDevices: license.MaxDevices}, ""},
		"too many devices":    {license.Plan{MaxDevices: license.MaxDevices + 1}, "maxdevices must be"},
		"leases alone":        {license.Plan{LeaseMinutes: 10, MaxLeaseMinutes: license.MaxLeaseMinutes}, ""},
		"a lease too short":   {license.Plan{LeaseMinutes: 9}, "leaseminutes must be a whole number from 10 to 1000"},
		"as long as a token":  {license.Plan{LeaseMinutes: tokenMinutes}, ""},
		"longer than a token": {license.Plan{LeaseMinutes: tokenMinutes + 1}, "leaseminutes must be"},
		"less than the lease": {
			license.Plan{LeaseMinutes: 60, MaxLeaseMinutes: 59},
			"maxleaseminutes must not be less than leaseminutes, which is 60",
		},
		"less than a token":      {license.Plan{MaxLeaseMinutes: 999}, "maxleaseminutes must not be less"},
		"a day":                  {license.Plan{DurationDays: 1, UpdatesDays: 1}, ""},
		"the most days":          {license.Plan{DurationDays: 36500, UpdatesDays: 36500}, ""},
		"too many days":          {license.Plan{DurationDays: 36501}, "durationdays must be a whole number from 1"},
		"negative days":          {license.Plan{DurationDays: -1}, "durationdays must be"},
		"too many of updates":    {license.Plan{UpdatesDays: 36501}, "updatesdays must be"},
		"negative ones":          {license.Plan{UpdatesDays: -1}, "updatesdays must be"},
		"updates after its end":  {license.Plan{DurationDays: 1, UpdatesDays: 2}, ""},
		"grace without duration": {license.Plan{GraceDays: 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if test.plan.Name == "" {
				test.plan.Name = "pro"
			}
			p, err := license.Plan{}.Replace(test.plan, tokenMinutes, licensetest.Change(""))
			if test.wrong == "" {
				if err != nil || p.Version != 1 {
					t.Errorf("got %+v, %v", p, err)
				}
				return
			}
			if wrong := wrongFields(t, err); len(wrong) != 1 || !strings.HasPrefix(wrong[0], test.wrong) {
				t.Errorf("got %q, want %s", wrong, test.wrong)
			}
		})
	}
}

// TestPlanReplace: who made it and when, the stored form of what was asked for, and nothing where nothing changes.
func TestPlanReplace(t *testing.T) {
	change := licensetest.Change("")
	asked := license.Plan{
		Name: "pro", AppURLs: []license.AppURL{{URL: "HTTPS://BÜCHER.example"}}, Version: 7, ChangedBy: "somebody",
	}
	first, err := license.Plan{}.Replace(asked, 0, change)
	if err != nil || first.Version != 1 || !first.Changed.Equal(change.At) || first.ChangedBy != change.By ||
		first.RequestID != change.RequestID {
		t.Fatalf("got %+v, %v", first, err)
	}
	if first.AppURLs[0].URL != "https://xn--bcher-kva.example" {
		t.Errorf("the URL is %s", first.AppURLs[0].URL)
	}
	change.At, change.By, change.RequestID = change.At.Add(time.Hour), "another", "r2"
	for name, again := range map[string]license.Plan{
		"as it was asked for": asked, "as it is": first,
		"an empty list": {Name: "pro", AppURLs: asked.AppURLs, Services: []license.Service{}},
	} {
		same, err := first.Replace(again, 0, change)
		if diff := licensetest.Diff(first, same); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	second, err := first.Replace(license.Plan{Name: "pro"}, 0, change)
	if err != nil || second.Version != 2 || second.ChangedBy != "another" || len(second.AppURLs) != 0 {
		t.Errorf("got %+v, %v", second, err)
	}
}

// TestPlanFromRecord: what is not as it was written is an error, and never another plan.
func TestPlanFromRecord(t *testing.T) {
	want := licensetest.Plan(t, "pro")
	record := want.Record()
	got, err := license.PlanFromRecord(record)
	if diff := licensetest.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, value := range map[string]any{
		"plan": attribute.Number("7"), "services": `[{"serviceName":7}]`, "appurls": "x", "notes": true,
		"gracedays": attribute.Number("366"), "maxdevices": "3", "leaseminutes": attribute.Number("1.5"),
		"maxleaseminutes": attribute.Number("-1"), "durationdays": attribute.Number("36501"), "updatesdays": "7",
		"version": attribute.Number("0"), "changedtimestamp": "2026", "changedby": false, "requestid": []any{},
	} {
		odd := maps.Clone(record)
		odd[name] = value
		if p, err := license.PlanFromRecord(odd); err == nil || !strings.Contains(err.Error(), name+" ") {
			t.Errorf("%s: got %+v, %v", name, p, err)
		}
		if _, isThere := record[name]; !isThere {
			t.Errorf("the record has no %s", name)
		}
	}
}

// TestIssueFromPlan: a copy of each field, and dates that are whole days after the issue, to the millisecond.
func TestIssueFromPlan(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	// A year later it is summer there. A day is one of UTC, of 24 hours.
	at := time.Date(2027, time.March, 27, 12, 30, 59, int(123*time.Millisecond), berlin)
	plan := licensetest.Plan(t, "pro")
	draft := plan.Draft(at)
	draft.CustomerName = "Customer"
	change := licensetest.Change("")
	change.At = at
	l, err := draft.Issue("id", change)
	if err != nil {
		t.Fatal(err)
	}
	want := license.License{
		Plan: "pro", Services: `[{"serviceName":"TEST","serviceValue":"EmbeddedPowerBI"},` +
			`{"serviceName":"日本語","serviceValue":"<&>"}]`,
		AppURLs: `[{"URL":"https://app.example.com/?a=1&b=<2>"}]`, Notes: plan.Notes, GraceDays: 14, MaxDevices: 3,
		LeaseMinutes: 60, MaxLeaseMinutes: 120,
		ExpirationDate: time.Date(2028, time.March, 26, 11, 30, 59, int(123*time.Millisecond), time.UTC),
		UpdatesUntil:   time.Date(2127, time.March, 3, 11, 30, 59, int(123*time.Millisecond), time.UTC),

		ID: "id", CustomerID: l.CustomerID, CustomerName: "Customer", SeatsEpoch: at.UnixMilli(), Version: 1,
		Created: at, Changed: at, ChangedBy: change.By, RequestID: change.RequestID,
	}
	if diff := licensetest.Diff(want, l); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	empty := license.Plan{Name: "none", Version: 1}.Draft(at)
	if empty.ExpirationDate != "" || empty.UpdatesUntil != nil || len(empty.Origin.Fields) != 0 {
		t.Errorf("of a plan of nothing: %+v", empty)
	}
	draft.Services[0].Name = "changed"
	if plan.Services[0].Name != "TEST" {
		t.Error("the draft is no copy")
	}
}

// TestGraceOfAPlan: left out for a license without an end, whatever says that it has none.
func TestGraceOfAPlan(t *testing.T) {
	plan := license.Plan{Name: "pro", GraceDays: 14, DurationDays: 365}
	change := licensetest.Change("")
	for end, want := range map[string]int{"never": 0, "9999-12-31": 0, "2030-01-31": 14, "": -1} {
		d := plan.Draft(licensetest.Now)
		d.CustomerName, d.ExpirationDate = "Customer", end
		if l, err := d.Issue("id", change); (err == nil) != (want >= 0) || l.GraceDays != max(want, 0) {
			t.Errorf("issued until %q: %d days, %v", end, l.GraceDays, err)
		}
	}
	own := plan.Draft(licensetest.Now)
	own.CustomerName, own.ExpirationDate, own.Origin = "Customer", "never", own.Origin.Without("gracedays")
	_, err := own.Issue("id", change)
	const refusal = "gracedays must be 0 for a license without an end"
	if wrong := wrongFields(t, err); !slices.Equal(wrong, []string{refusal}) {
		t.Errorf("its own days of grace: %q", wrong)
	}

	endless := licensetest.Issue(t)
	endless.ExpirationDate = license.Never
	for name, test := range map[string]struct {
		license license.License
		end     *string
		want    int
	}{
		"no end":              {endless, nil, 0},
		"an end":              {licensetest.Issue(t), nil, 14},
		"gets an end":         {endless, new("2030-01-31"), 14},
		"gets no end":         {licensetest.Issue(t), new("never"), 0},
		"an end that is none": {licensetest.Issue(t), new("soon"), -1},
	} {
		l, err := test.license.Patch(license.Patch{ExpirationDate: test.end}.WithPlan(plan), change)
		if (err == nil) != (test.want >= 0) || test.want >= 0 && l.GraceDays != test.want {
			t.Errorf("%s: %d days, %v", name, l.GraceDays, err)
		}
	}
	odd := endless.Record()
	odd["gracedays"] = "some"
	l, err := license.FromRecord(odd)
	if err != nil {
		t.Fatal(err)
	}
	if l, err = l.Patch(license.Patch{}.WithPlan(plan), change); err != nil || !l.HasProblem("gracedays") {
		t.Errorf("odd days of grace were taken for none: %+v, %v", l, err)
	}
}

// TestPatchWithPlan: what the plan has of what a license allows, and nothing of what is the license's own.
func TestPatchWithPlan(t *testing.T) {
	before := licensetest.Issue(t)
	before.UpdatesUntil, before.MaxDevices, before.SeatsEpoch = licensetest.Now, 7, 1
	plan := licensetest.Plan(t, "pro")
	change := licensetest.Change("upgrade")
	after, err := before.Patch(license.Patch{MaxDevices: number(9)}.WithPlan(plan), change)
	if err != nil {
		t.Fatal(err)
	}
	want := before
	want.Plan, want.MaxDevices, want.LeaseMinutes, want.MaxLeaseMinutes, want.GraceDays = "pro", 9, 60, 120, 14
	want.Services = license.JSONList(plan.Record()["services"].(string))
	want.Version, want.Changed, want.ChangedBy = 2, change.At, change.By
	want.ChangeReason, want.RequestID = "upgrade", change.RequestID
	if diff := licensetest.Diff(want, after); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	label, err := after.Patch(license.Patch{}.WithPlan(license.Plan{Name: "free"}), change)
	want = after
	want.Plan, want.Version = "free", 3
	if diff := licensetest.Diff(want, label); diff != "" || err != nil {
		t.Errorf("a plan of nothing: %v (-want +got):\n%s", err, diff)
	}
	none, err := label.Patch(license.Patch{Plan: new("")}, change)
	want.Plan, want.Version = "", 4
	if diff := licensetest.Diff(want, none); diff != "" || err != nil {
		t.Errorf("without its label: %v (-want +got):\n%s", err, diff)
	}
	if _, isThere := none.Record()["plan"]; isThere {
		t.Errorf("the record is %v", none.Record())
	}
}

// TestErrorsNameThePlan: where the value that is wrong came from it, or is wrong because of one that did.
func TestErrorsNameThePlan(t *testing.T) {
	plan := license.Plan{
		Name: "pro", Services: services(1, " "), AppURLs: []license.AppURL{{URL: "x"}}, Notes: "\x00", GraceDays: 366,
		LeaseMinutes: 60, MaxLeaseMinutes: 120,
	}
	from := func(draft license.Draft, own ...string) []string {
		t.Helper()
		draft.CustomerName, draft.ExpirationDate, draft.Origin = "E", "2030-01-31", draft.Origin.Without(own...)
		_, err := draft.Issue("id", licensetest.Change(""))
		var named []string
		for _, text := range wrongFields(t, err) {
			field, message, _ := strings.Cut(text, " ")
			if strings.HasSuffix(message, ` (from plan "pro")`) && strings.Count(message, "plan") == 1 {
				field += "!"
			}
			named = append(named, field)
		}
		return named
	}
	all := []string{"services[0].serviceValue!", "appurls[0].URL!", "notes!", "gracedays!", "leaseminutes!"}
	if got := from(plan.Draft(licensetest.Now)); !slices.Equal(got, all) {
		t.Errorf("got %v, want %v", got, all)
	}
	some := []string{"services[0].serviceValue!", "appurls[0].URL", "notes", "gracedays!", "leaseminutes!"}
	if got := from(plan.Draft(licensetest.Now), "appurls", "notes", "leaseminutes"); !slices.Equal(got, some) {
		t.Errorf("got %v, want %v", got, some)
	}
	none := []string{"services[0].serviceValue!", "appurls[0].URL!", "notes!", "gracedays!", "leaseminutes"}
	if got := from(plan.Draft(licensetest.Now), "leaseminutes", "maxleaseminutes"); !slices.Equal(got, none) {
		t.Errorf("got %v, want %v", got, none)
	}

	leases := license.Plan{Name: "pro", MaxDevices: 1, LeaseMinutes: 60}
	for own, want := range map[string]string{
		"maxleaseminutes":              ` (from plan "pro")`,
		"maxleaseminutes leaseminutes": "",
	} {
		d := leases.Draft(licensetest.Now)
		d.CustomerName, d.ExpirationDate, d.MaxLeaseMinutes = "E", "never", 59
		d.Origin = d.Origin.Without(strings.Fields(own)...)
		_, err := d.Issue("id", licensetest.Change(""))
		text := fmt.Sprint("maxleaseminutes must not be less than leaseminutes, which is 60", want)
		if wrong := wrongFields(t, err); !slices.Equal(wrong, []string{text}) {
			t.Errorf("own %s: got %q", own, wrong)
		}
	}
	_, err := licensetest.Issue(t).Patch(license.Patch{}.WithPlan(license.Plan{Name: "pro", LeaseMinutes: 60}),
		licensetest.Change(""))
	const want = `leaseminutes and maxleaseminutes are for a license with maxdevices (from plan "pro")`
	if wrong := wrongFields(t, err); !slices.Equal(wrong, []string{want}) {
		t.Errorf("a patch: got %q", wrong)
	}
}

// TestWithoutAnEnd: what is missing can come from a plan where a license is issued, and there alone.
func TestWithoutAnEnd(t *testing.T) {
	_, issued := license.Draft{CustomerName: "E"}.Issue("id", licensetest.Change(""))
	_, patched := licensetest.Issue(t).Patch(license.Patch{ExpirationDate: new("")}, licensetest.Change(""))
	const want = "expirationdate is required: an ISO 8601 date, as 2030-01-31, or never"
	for err, want := range map[error]string{issued: want + ", or a plan with durationdays", patched: want} {
		if wrong := wrongFields(t, err); !slices.Equal(wrong, []string{want}) {
			t.Errorf("got %q, want %s", wrong, want)
		}
	}
}
