package vendorapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// TestPlans: what is sent for each call, and that what one was answered can be sent back.
func TestPlans(t *testing.T) {
	const plan = `{"plan":"pro","services":[{"serviceName":"A","serviceValue":"a"}],"appurls":[],"notes":"",` +
		`"gracedays":14,"durationdays":365,"version":2,"changed":"2026-11-01T12:00:00.001Z","changedby":"shop"}`
	s, c := scripted(t,
		response(200, plan, "ETag", `"2-x"`), response(200, plan, "ETag", `"3-x"`), response(204, ""),
		response(404, `{"code":"PLAN_NOT_FOUND"}`))
	got, err := c.Plan(t.Context(), "pro")
	if err != nil || got.ETag != `"2-x"` || got.GraceDays != 14 || got.DurationDays != 365 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if text, err := json.Marshal(got); err != nil || string(text) != plan {
		t.Errorf("read as %s, %v", text, err)
	}
	all := vendorapi.Options{IfMatch: `"2-x"`, IfNoneMatch: "*", IdempotencyKey: "key"}
	if put, err := c.PutPlan(t.Context(), got, all); err != nil || put.ETag != `"3-x"` {
		t.Errorf("put: %+v, %v", put, err)
	}
	if err := c.DeletePlan(t.Context(), "pro", all); err != nil {
		t.Errorf("delete: %v", err)
	}
	if none, err := c.Plan(t.Context(), "a/b"); err == nil || none.Plan != "" {
		t.Errorf("of an unknown one: %+v, %v", none, err)
	}
	for n, want := range []string{
		"GET /prod/plans/pro", `PUT /prod/plans/pro "2-x" *  ` + plan, `DELETE /prod/plans/pro "2-x" *`,
		"GET /prod/plans/a%2Fb",
	} {
		r := s.sent[n]
		sent := strings.Join([]string{
			r.Method, r.URL.EscapedPath(), r.Header.Get("If-Match"), r.Header.Get("If-None-Match"),
			r.Header.Get("Idempotency-Key"), s.bodies[n],
		}, " ")
		if strings.TrimRight(sent, " ") != want {
			t.Errorf("sent %s, want %s", sent, want)
		}
	}
}

// TestAllPlans: a list goes on as long as there is a cursor, and ends with an error.
func TestAllPlans(t *testing.T) {
	s, c := scripted(t,
		response(200, `{"plans":[{"plan":"a"},{"plan":"b"}],"cursor":"x+y"}`), response(200, `{"plans":[]}`),
		response(200, `{"plans":[{"plan":"a"}],"cursor":"x"}`), response(400, `{"code":"INVALID_FIELDS"}`))
	list := func() (names string) {
		for p, err := range c.Plans(t.Context()) {
			if err != nil {
				names += "error"
			}
			names += p.Plan
		}
		return names
	}
	if names := list(); names != "ab" || s.sent[1].URL.String() !=
		"https://api.example.com/prod/plans?cursor=x%2By&limit=100" {
		t.Errorf("listed %s; asked for %s", names, s.sent[1].URL)
	}
	if names := list(); names != "aerror" {
		t.Errorf("listed %s", names)
	}
}

// TestFieldsThatOverrideAPlan: an empty list, an empty text and a 0 are sent, and what is nil is not.
func TestFieldsThatOverrideAPlan(t *testing.T) {
	s, c := scripted(t, response(201, `{"plan":"pro","updatesuntil":"2027-01-31T23:59:59.999Z"}`),
		response(201, `{}`), response(200, `{}`))
	none, zero := "", 0
	l, err := c.Issue(t.Context(), vendorapi.LicenseDraft{CustomerName: "E", Plan: "pro"}, vendorapi.Options{})
	if err != nil || l.Plan != "pro" || license.FormatDate(l.UpdatesUntil.Time) != "2027-01-31T23:59:59.999Z" {
		t.Errorf("got %+v, %v", l, err)
	}
	l, err = c.Issue(t.Context(), vendorapi.LicenseDraft{
		CustomerName: "E", Plan: "pro", UpdatesUntil: "never", Services: []license.Service{},
		AppURLs: []license.AppURL{}, Notes: &none, GraceDays: &zero, MaxDevices: &zero, LeaseMinutes: &zero,
		MaxLeaseMinutes: &zero,
	}, vendorapi.Options{})
	if err != nil || l.Plan != "" || !l.UpdatesUntil.IsZero() {
		t.Errorf("got %+v, %v", l, err)
	}
	never := "never"
	patch := vendorapi.LicensePatch{Plan: &none, UpdatesUntil: &never}
	if _, err := c.Change(t.Context(), "1", patch, vendorapi.Options{IfMatch: "*"}); err != nil {
		t.Error(err)
	}
	for n, want := range []string{
		`{"plan":"pro","customername":"E"}`,
		`{"plan":"pro","customername":"E","updatesuntil":"never","services":[],"appurls":[],"notes":"","gracedays":0,` +
			`"maxdevices":0,"leaseminutes":0,"maxleaseminutes":0}`,
		`{"plan":"","updatesuntil":"never"}`,
	} {
		if s.bodies[n] != want {
			t.Errorf("sent %s, want %s", s.bodies[n], want)
		}
	}
}
