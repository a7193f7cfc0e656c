package lifetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

func pro() vendorapi.Plan {
	return vendorapi.Plan{
		Plan:     "pro",
		Services: []license.Service{{Name: "Reports", Value: "reports"}, {Name: "Export", Value: "export"}},
		AppURLs:  []license.AppURL{{URL: "https://app.example.com"}},
		Notes:    "edition pro", GraceDays: 14, DurationDays: 365, UpdatesDays: 365,
	}
}

// said returns a plan without what the server says of it.
func said(p vendorapi.Plan) vendorapi.Plan {
	p.Version, p.Changed, p.ChangedBy, p.ETag = 0, vendorapi.Instant{}, "", ""
	return p
}

// wantPlan wants a plan in the last response.
func (d driver) wantPlan(p vendorapi.Plan, err error, status int, want vendorapi.Plan) vendorapi.Plan {
	d.Helper()
	if err != nil || d.last.status != status || p.ETag == "" {
		d.Fatalf("got %d %s %v, %v, want %d", d.last.status, d.last.body, d.last.header, err, status)
	}
	if diff := cmp.Diff(said(want), said(p), cmpopts.EquateEmpty()); diff != "" {
		d.Errorf("plan (-want +got):\n%s", diff)
	}
	return p
}

// plans makes some, issues and changes licenses with them, and takes them away. There may be no others.
func (d driver) plans() {
	d.Helper()
	made := d.makePlans()
	l := d.issueFromPlan()
	d.upgrade(l)
	d.removePlans(made, l)
}

func (d driver) makePlans() vendorapi.Plan {
	d.Helper()
	put := func(p vendorapi.Plan, o vendorapi.Options) (vendorapi.Plan, error) {
		return d.api.PutPlan(d.Context(), p, o)
	}
	isNew := vendorapi.Options{IfNoneMatch: "*"}
	p, err := put(pro(), isNew)
	p = d.wantPlan(p, err, http.StatusCreated, pro())
	if !strings.HasSuffix(d.last.header.Get("Location"), "/plans/pro") || p.Version != 1 || p.Changed.IsZero() {
		d.Errorf("made %+v, %v", p, d.last.header)
	}
	_, err = put(pro(), isNew)
	d.refused(err, http.StatusPreconditionFailed, "PLAN_EXISTS")
	same, err := put(p, vendorapi.Options{}) // as it was answered
	if same = d.wantPlan(same, err, http.StatusOK, pro()); same.ETag != p.ETag {
		d.Errorf("the same again is %+v", same)
	}
	seats := pro()
	seats.MaxDevices, seats.LeaseMinutes = 3, 60
	_, err = put(seats, vendorapi.Options{IfMatch: `"0-0"`})
	d.refused(err, http.StatusPreconditionFailed, "STALE")
	changed, err := put(seats, vendorapi.Options{IfMatch: p.ETag})
	if changed = d.wantPlan(changed, err, http.StatusOK, seats); changed.Version != 2 || changed.ETag == p.ETag {
		d.Errorf("changed to %+v", changed)
	}
	got, err := d.api.Plan(d.Context(), "pro")
	got = d.wantPlan(got, err, http.StatusOK, seats)
	if diff := cmp.Diff(changed, got); diff != "" {
		d.Errorf("(-changed +read):\n%s", diff)
	}
	_, err = put(vendorapi.Plan{Plan: "a b", DurationDays: 36501}, vendorapi.Options{})
	d.refused(err, http.StatusBadRequest, "INVALID_FIELDS", "plan", "durationdays")
	d.call(http.MethodPut, "/plans/pro", `{"color":"red"}`)
	d.wantProblem(http.StatusBadRequest, "INVALID_FIELDS", []string{"color"})
	if _, err := put(vendorapi.Plan{Plan: "Trial.14", DurationDays: 14}, isNew); err != nil {
		d.Error(err)
	}
	d.wantPlans("Trial.14", "pro")
	return changed
}

func (d driver) wantPlans(want ...string) {
	d.Helper()
	var names []string
	for p, err := range d.api.Plans(d.Context()) {
		if err != nil {
			d.Fatal(err)
		}
		names = append(names, p.Plan)
	}
	if !slices.Equal(names, want) {
		d.Errorf("the plans are %v, want %v", names, want)
	}
}

// issueFromPlan issues a license that has but one device more than the plan says, and wants that of its token.
func (d driver) issueFromPlan() vendorapi.License {
	d.Helper()
	draft := vendorapi.LicenseDraft{Plan: "pro", CustomerName: customerName, MaxDevices: new(4), Notes: new("")}
	key := vendorapi.Options{IdempotencyKey: uuid.NewString()}
	l, err := d.api.Issue(d.Context(), draft, key)
	l = d.wantLicense(l, err, http.StatusCreated)
	year := l.Created.AddDate(0, 0, 365)
	if l.Plan != "pro" || l.MaxDevices != 4 || l.LeaseMinutes != 60 || *l.GraceDays != 14 || l.Notes != "" ||
		!l.ExpirationDate.Equal(year) || !l.UpdatesUntil.Equal(year) ||
		string(l.Services) != `[{"serviceName":"Reports","serviceValue":"reports"},`+
			`{"serviceName":"Export","serviceValue":"export"}]` {
		d.Errorf("issued %s", d.last.body)
	}
	again, err := d.api.Issue(d.Context(), draft, key)
	if again = d.wantLicense(again, err, http.StatusCreated); again.LicenseID != l.LicenseID {
		d.Errorf("again: %s", d.last.body)
	}
	_, err = d.api.Issue(d.Context(), vendorapi.LicenseDraft{Plan: "none"}, vendorapi.Options{})
	d.refused(err, http.StatusBadRequest, "INVALID_FIELDS", "plan")
	_, err = d.api.Issue(d.Context(), vendorapi.LicenseDraft{
		Plan: "pro", CustomerName: customerName, MaxDevices: new(0),
	}, vendorapi.Options{})
	d.refused(err, http.StatusBadRequest, "INVALID_FIELDS", "leaseminutes")
	if !strings.Contains(err.Error(), `(from plan "pro")`) {
		d.Errorf("got error %v", err)
	}
	if got := d.updatesClaim(l.LicenseKey); got != license.FormatDate(year) {
		d.Errorf("the token says updatesuntil %v", got)
	}
	return l
}

// updatesClaim returns the claim updatesuntil of the token that a device gets, and nil where there is none.
func (d driver) updatesClaim(key string) any {
	d.Helper()
	body := fmt.Sprintf(`{"licensekey":%q,"fingerprint":"a-fingerprint"}`, key)
	var answered struct{ Message string }
	d.decode(d.call(http.MethodPost, "/verify-license", body), &answered)
	token, err := jwt.ParseSigned(answered.Message, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		d.Fatalf("%v: %d %s", err, d.last.status, d.last.body)
	}
	var claims map[string]any
	if err := token.UnsafeClaimsWithoutVerification(&claims); err != nil {
		d.Fatal(err)
	}
	return claims["updatesuntil"]
}

// upgrade moves the license to another plan and back, and takes its end of updates away.
func (d driver) upgrade(l vendorapi.License) {
	d.Helper()
	change := func(patch vendorapi.LicensePatch) vendorapi.License {
		d.Helper()
		changed, err := d.api.Change(d.Context(), l.LicenseID, patch, vendorapi.Options{IfMatch: "*"})
		return d.wantLicense(changed, err, http.StatusOK)
	}
	trial := change(vendorapi.LicensePatch{Plan: new("Trial.14")})
	if trial.Plan != "Trial.14" || string(trial.Services) != string(l.Services) || end(trial) != end(l) {
		d.Errorf("a plan that has nothing of it has changed %s", d.last.body)
	}
	back := change(vendorapi.LicensePatch{Plan: new("pro"), UpdatesUntil: new("never")})
	if back.Plan != "pro" || back.MaxDevices != 3 || !back.UpdatesUntil.IsZero() || end(back) != end(l) {
		d.Errorf("moved to %s", d.last.body)
	}
	if got := d.updatesClaim(l.LicenseKey); got != nil {
		d.Errorf("the token says updatesuntil %v", got)
	}
	if none := change(vendorapi.LicensePatch{Plan: new("")}); none.Plan != "" || none.MaxDevices != 3 {
		d.Errorf("without its label: %s", d.last.body)
	}
	_, err := d.api.Change(d.Context(), l.LicenseID, vendorapi.LicensePatch{Plan: new("none")},
		vendorapi.Options{IfMatch: "*"})
	d.refused(err, http.StatusBadRequest, "INVALID_FIELDS", "plan")
}

// removePlans takes the plans away. The license stays as it is.
func (d driver) removePlans(p vendorapi.Plan, l vendorapi.License) {
	d.Helper()
	before := d.get(l.LicenseID)
	remove := func(name, ifMatch string) error {
		return d.api.DeletePlan(d.Context(), name, vendorapi.Options{IfMatch: ifMatch})
	}
	d.refused(remove("pro", `"0-0"`), http.StatusPreconditionFailed, "STALE")
	for name, etag := range map[string]string{"pro": p.ETag, "Trial.14": ""} {
		if err := remove(name, etag); err != nil || d.last.status != http.StatusNoContent || len(d.last.body) > 0 {
			d.Errorf("removed: %d %s, %v", d.last.status, d.last.body, err)
		}
		d.refused(remove(name, ""), http.StatusNotFound, "PLAN_NOT_FOUND")
	}
	_, err := d.api.Plan(d.Context(), "pro")
	d.refused(err, http.StatusNotFound, "PLAN_NOT_FOUND")
	d.wantPlans()
	if diff := cmp.Diff(before, d.get(l.LicenseID)); diff != "" {
		d.Errorf("the license (-before +after):\n%s", diff)
	}
}
