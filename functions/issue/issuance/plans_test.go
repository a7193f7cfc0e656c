package issuance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/functions/issue/issuance"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/licensetest"
)

// plan calls a route of one plan, with headers and a request id of its own.
func (v vendor) plan(method, name, body string, header map[string]string) answer {
	v.t.Helper()
	event := events.APIGatewayProxyRequest{
		HTTPMethod: method, Resource: "/plans/{plan}", Body: body, Headers: header,
		PathParameters: map[string]string{"plan": name},
	}
	id, err := license.NewID()
	if err != nil {
		v.t.Fatal(err)
	}
	event.RequestContext.RequestID, event.RequestContext.Path = id, "/dev/plans/"+name
	event.RequestContext.Identity.UserArn = principal
	return v.handle(event)
}

// putPlan makes or replaces a plan.
func (v vendor) putPlan(name, body string) answer {
	v.t.Helper()
	a := v.plan("PUT", name, body, nil)
	if a.status != http.StatusCreated && a.status != http.StatusOK {
		v.t.Fatalf("got %d %s", a.status, a.text)
	}
	return a
}

// allPlans returns the names of all plans.
func (v vendor) allPlans() string {
	v.t.Helper()
	a := v.call("GET", "/plans", "", "", map[string]string{"limit": "100"})
	if a.status != http.StatusOK || a.header["Cache-Control"] != "no-store" {
		v.t.Fatalf("got %d %v %s", a.status, a.header, a.text)
	}
	return names(a)
}

func names(a answer) string {
	var all []string
	for _, p := range a.Plans {
		all = append(all, p.Plan)
	}
	return strings.Join(all, " ")
}

func match(etag string) map[string]string { return map[string]string{"If-Match": etag} }

var isNew = map[string]string{"If-None-Match": "*"}

const fullPlan = `{"plan":"pro","services":[{"serviceName":"A","serviceValue":"b"}],` +
	`"appurls":[{"URL":"https://app.example.com"}],"notes":"n","gracedays":14,"maxdevices":3,"leaseminutes":60,` +
	`"maxleaseminutes":120,"durationdays":365,"updatesdays":366,` +
	`"version":1,"changed":"2026-11-01T12:00:00.001Z","changedby":"` + principal + `"}`

// TestPutPlan: made, shown, replaced, and sent back as it was answered.
func TestPutPlan(t *testing.T) {
	v := newVendor(t)
	made := v.plan("PUT", "pro", fullPlan, nil)
	if made.status != http.StatusCreated || made.text != fullPlan || made.header["Location"] != "/dev/plans/pro" ||
		made.header["ETag"] == "" || made.header["Cache-Control"] != "no-store" {
		t.Fatalf("got %d %v %s", made.status, made.header, made.text)
	}
	got := v.plan("GET", "pro", "", nil)
	if got.status != http.StatusOK || got.text != fullPlan || got.header["ETag"] != made.header["ETag"] {
		t.Errorf("got %d %v %s", got.status, got.header, got.text)
	}
	again := v.plan("PUT", "pro", got.text, nil)
	if again.status != http.StatusOK || again.text != fullPlan || again.header["ETag"] != made.header["ETag"] ||
		again.header["Location"] != "" {
		t.Errorf("sent back: %d %v %s", again.status, again.header, again.text)
	}
	v.ports.Now = func() time.Time { return licensetest.Now.Add(time.Minute) }
	replaced := v.plan("PUT", "pro", `{"durationdays":14}`, nil)
	const want = `{"plan":"pro","services":[],"appurls":[],"notes":"","durationdays":14,` +
		`"version":2,"changed":"2026-11-01T12:01:00.000Z","changedby":"` + principal + `"}`
	if replaced.status != http.StatusOK || replaced.text != want || replaced.header["ETag"] == made.header["ETag"] {
		t.Errorf("replaced: %d %v %s", replaced.status, replaced.header, replaced.text)
	}
	if a := v.plan("PUT", "Pro", `{}`, nil); a.status != http.StatusCreated || v.allPlans() != "Pro pro" {
		t.Errorf("in another case: %d %s", a.status, a.text)
	}
	for _, name := range []string{"none", "a b", "", strings.Repeat("x", 65)} {
		if a := v.plan("GET", name, "", nil); a.status != http.StatusNotFound || a.Code != "PLAN_NOT_FOUND" {
			t.Errorf("%q: got %d %s", name, a.status, a.text)
		}
	}
}

// TestPutPlanRefuses: what is said of each field, and that nothing is made.
func TestPutPlanRefuses(t *testing.T) {
	const (
		number = "must be a whole number"
		days   = "must be a whole number from 1 to 36500, or absent or 0 for none"
		name   = "must be 1 to 64 letters, digits, dots, underscores and hyphens, and begin with a letter or a digit"
	)
	v := newVendor(t)
	for body, want := range map[string]string{
		`{"color":"red"}`: "color is unknown; known are appurls, changed, changedby, durationdays, gracedays, " +
			"leaseminutes, maxdevices, maxleaseminutes, notes, plan, services, updatesdays, version",
		`{"plan":"Pro"}`:                      "plan must be the name in the path, or absent",
		`{"plan":7}`:                          "plan must be a string",
		`{"durationdays":36501}`:              "durationdays " + days,
		`{"durationdays":-1}`:                 "durationdays " + days,
		`{"durationdays":"1"}`:                "durationdays " + number,
		`{"updatesdays":1.5}`:                 "updatesdays " + number,
		`{"updatesdays":36501}`:               "updatesdays " + days,
		`{"gracedays":366}`:                   "gracedays must be a whole number from 0 to 365",
		`{"leaseminutes":129601}`:             "leaseminutes must be a whole number from 10 to 129600, or absent",
		`{"services":[{"serviceName":"a"}]}`:  "services[0].serviceValue is required and must not be blank",
		`{"appurls":[{"URL":"a","port":1}]}`:  `appurls must be a list of {"URL": "…"}`,
		`{"customername":"E","version":true}`: "customername is unknown; known are",
	} {
		a := v.plan("PUT", "pro", body, nil)
		if a.status != http.StatusBadRequest || a.Code != "INVALID_FIELDS" || len(a.Errors) != 1 ||
			!strings.HasPrefix(a.Errors[0].Field+" "+a.Errors[0].Message, want) {
			t.Errorf("%s: got %d %s, want %s", body, a.status, a.text, want)
		}
	}
	for _, odd := range []string{"a b", ".a", "é", strings.Repeat("x", 65)} {
		a := v.plan("PUT", odd, `{}`, nil)
		if a.Code != "INVALID_FIELDS" || len(a.Errors) != 1 || a.Errors[0].Message != name {
			t.Errorf("%q: got %d %s", odd, a.status, a.text)
		}
	}
	for _, body := range []string{"", "[]", `{"notes":"a","notes":"b"}`} {
		if a := v.plan("PUT", "pro", body, nil); a.Code != "MALFORMED_BODY" {
			t.Errorf("%s: got %d %s", body, a.status, a.text)
		}
	}
	if all := v.allPlans(); all != "" {
		t.Errorf("made %s", all)
	}
	nulls := `{"plan":null,"services":null,"appurls":null,"notes":null,"gracedays":null,"maxdevices":null,` +
		`"leaseminutes":null,"maxleaseminutes":null,"durationdays":null,"updatesdays":null,"version":null}`
	if a := v.putPlan("pro", nulls); !strings.HasPrefix(a.text,
		`{"plan":"pro","services":[],"appurls":[],"notes":"","version":1,`) {
		t.Errorf("of nulls: %s", a.text)
	}
}

// TestPlanConditions: If-Match and If-None-Match, each where there is a plan and where there is none.
func TestPlanConditions(t *testing.T) {
	const stale, exists, notStar = "STALE", "PLAN_EXISTS", "INVALID_IF_NONE_MATCH"
	none := func(text string) map[string]string { return map[string]string{"If-None-Match": text} }
	both := func(etag string) map[string]string {
		return map[string]string{"If-Match": etag, "If-None-Match": "*"}
	}
	for name, test := range map[string]struct {
		method  string
		isThere bool
		header  map[string]string // ETAG stands for the plan's
		want    string            // the code of a refusal
	}{
		"made":                         {"PUT", false, nil, ""},
		"made, new":                    {"PUT", false, isNew, ""},
		"made, with an ETag":           {"PUT", false, match(`"1-x"`), stale},
		"made, with *":                 {"PUT", false, match("*"), stale},
		"replaced":                     {"PUT", true, nil, ""},
		"replaced, new":                {"PUT", true, isNew, exists},
		"replaced, with its ETag":      {"PUT", true, match("ETAG"), ""},
		"replaced, with a weak one":    {"PUT", true, match("W/ETAG"), ""},
		"replaced, with one of two":    {"PUT", true, match(`"0-0", ETAG`), ""},
		"replaced, with *":             {"PUT", true, match("*"), ""},
		"replaced, with another":       {"PUT", true, match(`"2-x"`), stale},
		"replaced, with none":          {"PUT", true, match(""), "INVALID_IF_MATCH"},
		"replaced, with both":          {"PUT", true, both("ETAG"), exists},
		"made, with both":              {"PUT", false, both("*"), stale},
		"new, but an ETag":             {"PUT", false, none(`"1-x"`), notStar},
		"new, but empty":               {"PUT", false, none(""), notStar},
		"new, but two":                 {"PUT", false, none("*, *"), notStar},
		"new, with spaces":             {"PUT", false, none(" * "), ""},
		"removed":                      {"DELETE", true, nil, ""},
		"removed, with its ETag":       {"DELETE", true, match("ETAG"), ""},
		"removed, with *":              {"DELETE", true, match("*"), ""},
		"removed, with another":        {"DELETE", true, match(`"2-x"`), stale},
		"removed, with none":           {"DELETE", true, match(`""x`), "INVALID_IF_MATCH"},
		"removed, where there is none": {"DELETE", false, nil, "PLAN_NOT_FOUND"},
		"the same, with an ETag":       {"DELETE", false, match(`"1-x"`), "PLAN_NOT_FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			before := ""
			header := maps.Clone(test.header)
			if test.isThere {
				a := v.putPlan("pro", `{"notes":"before"}`)
				before = a.text
				if m, isSent := header["If-Match"]; isSent {
					header["If-Match"] = strings.Replace(m, "ETAG", a.header["ETag"], 1)
				}
			}
			body := `{"notes":"after"}`
			if test.method == "DELETE" {
				body = ""
			}
			a := v.plan(test.method, "pro", body, header)
			after := v.plan("GET", "pro", "", nil)
			if test.want != "" {
				isAsBefore := after.text == before
				if !test.isThere {
					isAsBefore = after.Code == "PLAN_NOT_FOUND"
				}
				if a.Code != test.want || !isAsBefore {
					t.Errorf("got %d %s, left %s", a.status, a.text, after.text)
				}
				return
			}
			if a.status >= http.StatusBadRequest || test.method == "PUT" && after.Notes != "after" ||
				test.method == "DELETE" && (a.status != http.StatusNoContent || after.Code != "PLAN_NOT_FOUND") {
				t.Errorf("got %d %s, left %s", a.status, a.text, after.text)
			}
		})
	}
}

// TestPlanETag: a plan that was removed and made again is another one, though both count from 1.
func TestPlanETag(t *testing.T) {
	v := newVendor(t)
	first := v.putPlan("pro", `{}`).header["ETag"]
	if a := v.plan("DELETE", "pro", "", match(first)); a.status != http.StatusNoContent || a.text != "" ||
		a.header["Cache-Control"] != "no-store" {
		t.Fatalf("got %d %v %s", a.status, a.header, a.text)
	}
	v.ports.Now = func() time.Time { return licensetest.Now.Add(time.Second) }
	if second := v.putPlan("pro", `{}`).header["ETag"]; second == first {
		t.Errorf("both have the ETag %s", first)
	}
	if a := v.plan("PUT", "pro", `{"notes":"x"}`, match(first)); a.Code != "STALE" {
		t.Errorf("got %d %s", a.status, a.text)
	}
}

// TestListPlans: in the order of names, page by page, each by a cursor of this list.
func TestListPlans(t *testing.T) {
	v := newVendor(t)
	if a := v.call("GET", "/plans", "", "", nil); a.text != `{"plans":[]}` {
		t.Errorf("at first: %d %s", a.status, a.text)
	}
	var want []string
	for n := range 25 {
		name := fmt.Sprintf("plan-%02d", n)
		v.putPlan(name, `{}`)
		want = append(want, name)
	}
	first := v.call("GET", "/plans", "", "", nil)
	if names(first) != strings.Join(want[:20], " ") || first.Cursor == "" {
		t.Errorf("by default: %s %q", names(first), first.Cursor)
	}
	var got []string
	query := map[string]string{"limit": "5"}
	for pages := 1; ; pages++ {
		a := v.call("GET", "/plans", "", "", query)
		got = append(got, strings.Fields(names(a))...)
		if a.Cursor == "" {
			if pages != 5 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		query["cursor"] = a.Cursor
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	v.issue()
	v.issue()
	other := v.call("GET", "/licenses", "", "", map[string]string{"limit": "1"}).Cursor
	for name, query := range map[string]map[string]string{
		"cursor": {"cursor": other}, "limit": {"limit": "101"}, "status": {"status": "active"},
	} {
		a := v.call("GET", "/plans", "", "", query)
		if a.Code != "INVALID_FIELDS" || len(a.Errors) != 1 || a.Errors[0].Field != name {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	if a := v.call("GET", "/licenses", "", "", map[string]string{"cursor": first.Cursor}); a.Code != "INVALID_FIELDS" {
		t.Errorf("a cursor of plans for licenses: %d %s", a.status, a.text)
	}
}

// TestLargePlans: a page is no longer than what Lambda returns, and the next one goes on behind it.
func TestLargePlans(t *testing.T) {
	v := newVendor(t)
	large := license.Plan{}
	for n := range license.MaxServices {
		value := fmt.Sprint(strings.Repeat("v", 250), n)
		large.Services = append(large.Services, license.Service{Name: strings.Repeat("n", 250), Value: value})
	}
	for n := range 90 {
		large.Name = fmt.Sprintf("plan-%02d", n)
		p := licensetest.ReplacePlan(t, license.Plan{}, large)
		if err := v.folder.Plans.Put(t.Context(), license.Plan{}, p); err != nil {
			t.Fatal(err)
		}
	}
	listed, query := 0, map[string]string{"limit": "100"}
	for pages := 1; ; pages++ {
		a := v.call("GET", "/plans", "", "", query)
		if len(a.text) > 5<<20 || len(a.Plans) == 0 {
			t.Fatalf("a page of %d plans and %d bytes", len(a.Plans), len(a.text))
		}
		listed += len(a.Plans)
		if a.Cursor == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		query["cursor"] = a.Cursor
	}
	if listed != 90 {
		t.Errorf("listed %d", listed)
	}
}

// TestPlanChangesAreLogged: no trail tells who changed a plan. What is no name is in no log.
func TestPlanChangesAreLogged(t *testing.T) {
	v := newVendor(t)
	var log strings.Builder
	licenses, plans, keys, trail := v.ports.parts()
	router, err := issuance.NewRouter(telemetry.NewLogger(&log), licenses, plans, keys, trail)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ method, name string }{{"PUT", "pro"}, {"DELETE", "pro"}, {"PUT", "made up"}} {
		log.Reset()
		event := events.APIGatewayProxyRequest{
			HTTPMethod: step.method, Resource: "/plans/{plan}", Body: `{}`,
			PathParameters: map[string]string{"plan": step.name},
		}
		event.RequestContext.Identity.UserArn = principal
		if _, err := router.Invoke(t.Context(), apitest.Event(event)); err != nil {
			t.Fatal(err)
		}
		var record map[string]any
		if err := json.Unmarshal([]byte(log.String()), &record); err != nil {
			t.Fatalf("%v: %s", err, log.String())
		}
		want := any(step.name)
		if !license.IsPlanName(step.name) {
			want = nil
		}
		if record["plan"] != want || record["principal"] != principal || strings.Contains(log.String(), "made up") {
			t.Errorf("%s %s: %s", step.method, step.name, log.String())
		}
	}
}

// faultyPlans is a license.PlanStore whose calls fail with the error, where it has one. Before each write it has others
// do something. A write that persists takes effect all the same.
type faultyPlans struct {
	license.PlanStore
	read, write error
	persists    bool
	before      func()
}

func (f faultyPlans) Get(ctx context.Context, name string) (license.Plan, error) {
	if f.read != nil {
		return license.Plan{}, f.read
	}
	return f.PlanStore.Get(ctx, name)
}

func (f faultyPlans) List(ctx context.Context, after string, limit int) ([]license.Plan, error) {
	if f.read != nil {
		return nil, f.read
	}
	return f.PlanStore.List(ctx, after, limit)
}

func (f faultyPlans) Put(ctx context.Context, before, after license.Plan) error {
	return f.do(func() error { return f.PlanStore.Put(ctx, before, after) })
}

func (f faultyPlans) Delete(ctx context.Context, p license.Plan) error {
	return f.do(func() error { return f.PlanStore.Delete(ctx, p) })
}

func (f faultyPlans) do(write func() error) error {
	if f.before != nil {
		f.before()
	}
	if f.write == nil {
		return write()
	}
	if f.persists {
		return errors.Join(f.write, write())
	}
	return f.write
}

// TestPlanFaults: a fault of the table is a 500 that tells nothing of it, and whoever sends a write again gets what
// they asked for, whether the first one took effect or not.
func TestPlanFaults(t *testing.T) {
	const body = `{"notes":"after"}`
	for name, faults := range map[string]faultyPlans{
		"read": {read: errInternal}, "write": {write: errInternal}, "lost": {write: errInternal, persists: true},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			before := v.putPlan("pro", `{"notes":"before"}`).text
			faults.PlanStore = v.folder.Plans
			fault := func(do func() answer) {
				t.Helper()
				v.ports.Plans = faults
				a := do()
				v.ports.Plans = v.folder.Plans
				if a.status != http.StatusInternalServerError || a.Code != "INTERNAL_ERROR" ||
					strings.Contains(a.text, "arn:") {
					t.Errorf("got %d %s", a.status, a.text)
				}
			}
			if faults.read != nil {
				fault(func() answer { return v.plan("GET", "pro", "", nil) })
				fault(func() answer { return v.call("GET", "/plans", "", "", nil) })
				fault(func() answer { return v.post(`{"plan":"pro","customername":"E","expirationdate":"never"}`) })
				id := v.issue().LicenseID
				fault(func() answer { return v.patch(id, `{"plan":"pro"}`) })
				if v.count() != 1 || v.stored(id).Version != 1 {
					t.Errorf("%d licenses, version %d", v.count(), v.stored(id).Version)
				}
			}
			fault(func() answer { return v.plan("PUT", "pro", body, nil) })
			if after := v.plan("GET", "pro", "", nil); (after.text == before) == faults.persists {
				t.Errorf("the fault left %s", after.text)
			}
			if a := v.plan("PUT", "pro", body, nil); a.status != http.StatusOK || a.Notes != "after" || a.Version != 2 {
				t.Errorf("put again: %d %s", a.status, a.text)
			}
			fault(func() answer { return v.plan("DELETE", "pro", "", nil) })
			want := http.StatusNoContent
			if faults.persists {
				want = http.StatusNotFound
			}
			if a := v.plan("DELETE", "pro", "", nil); a.status != want {
				t.Errorf("removed again: %d %s", a.status, a.text)
			}
		})
	}
}

// TestPlanConflicts: where others change the plan between reading and writing, a write begins anew, on the conditions
// that it came with.
func TestPlanConflicts(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		others string // what they put, or nothing to remove it
		header map[string]string
		code   string // of a refusal
		notes  string // what is left; empty where the plan is gone
	}{
		"put":                  {"PUT", "theirs", nil, "", "ours"},
		"put, gone":            {"PUT", "", nil, "", "ours"},
		"put, with an ETag":    {"PUT", "theirs", match("ETAG"), "STALE", "theirs"},
		"put, gone, an ETag":   {"PUT", "", match("ETAG"), "STALE", ""},
		"put, with *":          {"PUT", "theirs", match("*"), "", "ours"},
		"remove":               {"DELETE", "theirs", nil, "", ""},
		"remove, gone":         {"DELETE", "", nil, "", ""},
		"remove, with an ETag": {"DELETE", "theirs", match("ETAG"), "STALE", "theirs"},
		"remove, gone, ETag":   {"DELETE", "", match("ETAG"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			header := maps.Clone(test.header)
			etag := v.putPlan("pro", `{"notes":"before"}`).header["ETag"]
			if m, isSent := header["If-Match"]; isSent {
				header["If-Match"] = strings.Replace(m, "ETAG", etag, 1)
			}
			others, done := v, false
			v.ports.Plans = faultyPlans{PlanStore: v.folder.Plans, before: func() {
				switch {
				case done:
				case test.others == "":
					others.plan("DELETE", "pro", "", nil)
				default:
					others.putPlan("pro", `{"notes":"theirs"}`)
				}
				done = true
			}}
			body := `{"notes":"ours"}`
			if test.method == "DELETE" {
				body = ""
			}
			a := v.plan(test.method, "pro", body, header)
			if a.Code != test.code || (a.status >= http.StatusBadRequest) != (test.code != "") {
				t.Errorf("got %d %s", a.status, a.text)
			}
			if left := others.plan("GET", "pro", "", nil); left.Notes != test.notes ||
				(left.Code == "PLAN_NOT_FOUND") != (test.notes == "") {
				t.Errorf("left %s", left.text)
			}
		})
	}
	t.Run("new, made by others", func(t *testing.T) {
		v := newVendor(t)
		others := v
		v.ports.Plans = faultyPlans{PlanStore: v.folder.Plans, before: func() { others.putPlan("pro", `{}`) }}
		if a := v.plan("PUT", "pro", `{"notes":"ours"}`, isNew); a.Code != "PLAN_EXISTS" {
			t.Errorf("got %d %s", a.status, a.text)
		}
	})
	t.Run("always", func(t *testing.T) {
		v := newVendor(t)
		v.putPlan("pro", `{}`)
		v.ports.Plans = faultyPlans{PlanStore: v.folder.Plans, write: license.ErrPlanConflict}
		for method, body := range map[string]string{"PUT": `{"notes":"ours"}`, "DELETE": ""} {
			if a := v.plan(method, "pro", body, nil); a.status != http.StatusConflict || a.Code != "CONFLICT" {
				t.Errorf("%s: got %d %s", method, a.status, a.text)
			}
		}
	})
}
