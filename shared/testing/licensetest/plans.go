package licensetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"openlicenser/shared/license"
)

// Plan returns a plan of all that a plan can say, as it is made at Now.
func Plan(t testing.TB, name string) license.Plan {
	t.Helper()
	return ReplacePlan(t, license.Plan{}, license.Plan{
		Name:     name,
		Services: []license.Service{{Name: "TEST", Value: "EmbeddedPowerBI"}, {Name: "日本語", Value: "<&>"}},
		AppURLs:  []license.AppURL{{URL: "https://app.example.com/?a=1&b=<2>"}},
		Notes:    "a note, ¿qué? 🎉", GraceDays: 14, MaxDevices: 3, LeaseMinutes: 60, MaxLeaseMinutes: 120,
		DurationDays: 365, UpdatesDays: license.MaxPlanDays,
	})
}

// ReplacePlan returns what takes the place of before.
func ReplacePlan(t testing.TB, before, by license.Plan) license.Plan {
	t.Helper()
	after, err := before.Replace(by, 0, Change(""))
	if err != nil {
		t.Fatal(err)
	}
	return after
}

// TestPlans tests that a store keeps the contract of license.PlanStore. Each call of open returns a new and empty
// store.
func TestPlans(t *testing.T, open func(t *testing.T) license.PlanStore) {
	for name, test := range map[string]func(*testing.T, license.PlanStore){
		"Get/ErrNoPlan":            getNoPlan,
		"Put/ThenGet":              putThenGet,
		"Put/Replaces":             putReplaces,
		"Put/ErrPlanConflict":      putStale,
		"Put/Concurrent":           putConcurrently,
		"Delete/ThenGet":           deleteThenGet,
		"Delete/ErrPlanConflict":   deleteStale,
		"List/InOrder":             listInOrder,
		"List/MoreThanAPageOfScan": listMany,
		"ContextEnded":             plansContextEnded,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func mustPut(t *testing.T, s license.PlanStore, before, after license.Plan) {
	t.Helper()
	if err := s.Put(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
}

// wantPlan wants the plan to be stored, or none of its name where it has no Version.
func wantPlan(t *testing.T, s license.PlanStore, want license.Plan) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Name)
	if want.Version == 0 {
		wantErr(t, err, license.ErrNoPlan)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// names returns the names of a page.
func names(t *testing.T, s license.PlanStore, after string, limit int) string {
	t.Helper()
	page, err := s.List(t.Context(), after, limit)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range page {
		all = append(all, p.Name)
	}
	return strings.Join(all, " ")
}

func getNoPlan(t *testing.T, s license.PlanStore) {
	mustPut(t, s, license.Plan{}, Plan(t, "pro"))
	for _, name := range []string{"Pro", "pr", "pro2", "", "a/b", strings.Repeat("x", 3000)} {
		wantPlan(t, s, license.Plan{Name: name})
	}
}

func putThenGet(t *testing.T, s license.PlanStore) {
	for _, p := range []license.Plan{
		Plan(t, "pro"), Plan(t, "Pro"), Plan(t, strings.Repeat("x", 64)),
		ReplacePlan(t, license.Plan{}, license.Plan{Name: "nothing"}),
		ReplacePlan(t, license.Plan{}, license.Plan{Name: "leases", LeaseMinutes: 10}),
	} {
		mustPut(t, s, license.Plan{}, p)
		wantPlan(t, s, p)
	}
}

func putReplaces(t *testing.T, s license.PlanStore) {
	first := Plan(t, "pro")
	mustPut(t, s, license.Plan{}, first)
	second := ReplacePlan(t, first, license.Plan{Name: "pro", Notes: "nothing else"})
	mustPut(t, s, first, second)
	wantPlan(t, s, second)
	if second.Version != 2 {
		t.Errorf("version %d", second.Version)
	}
}

func putStale(t *testing.T, s license.PlanStore) {
	first := Plan(t, "pro")
	second := ReplacePlan(t, first, license.Plan{Name: "pro", Notes: "second"})
	wantErr(t, s.Put(t.Context(), first, second), license.ErrPlanConflict) // it is gone, or never was
	wantPlan(t, s, license.Plan{Name: "pro"})
	mustPut(t, s, license.Plan{}, first)
	anew := first
	anew.Changed, anew.RequestID = first.Changed.AddDate(0, 0, -1), "another"
	for name, before := range map[string]license.Plan{
		"there is one":       {},
		"another version":    second,
		"of an earlier plan": anew, // which was removed since, and this one made
	} {
		other := ReplacePlan(t, before, license.Plan{Name: "pro", Notes: name})
		wantErr(t, s.Put(t.Context(), before, other), license.ErrPlanConflict)
		wantPlan(t, s, first)
	}
}

// putConcurrently: of all that replace the same state one wins, and the others are told.
func putConcurrently(t *testing.T, s license.PlanStore) {
	before := license.Plan{}
	for round := range 5 {
		var group sync.WaitGroup
		var mu sync.Mutex
		var won []license.Plan
		for n := range 8 {
			after := ReplacePlan(t, before, license.Plan{Name: "pro", Notes: fmt.Sprint(round, " ", n)})
			group.Go(func() {
				err := s.Put(t.Context(), before, after)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, after)
				} else if !errors.Is(err, license.ErrPlanConflict) {
					t.Errorf("got error %v", err)
				}
			})
		}
		group.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d have won", round, len(won))
		}
		wantPlan(t, s, won[0])
		before = won[0]
	}
}

func deleteThenGet(t *testing.T, s license.PlanStore) {
	first, other := Plan(t, "pro"), Plan(t, "pro2")
	mustPut(t, s, license.Plan{}, first)
	mustPut(t, s, license.Plan{}, other)
	if err := s.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	wantPlan(t, s, license.Plan{Name: "pro"})
	wantPlan(t, s, other)
	mustPut(t, s, license.Plan{}, first)
	wantPlan(t, s, first)
}

func deleteStale(t *testing.T, s license.PlanStore) {
	first := Plan(t, "pro")
	for _, p := range []license.Plan{first, {Name: "pro"}} { // where there is none
		wantErr(t, s.Delete(t.Context(), p), license.ErrPlanConflict)
	}
	mustPut(t, s, license.Plan{}, first)
	for _, p := range []license.Plan{
		ReplacePlan(t, first, license.Plan{Name: "pro"}), {Name: "pro"}, {Name: "pro", Version: 1},
	} {
		wantErr(t, s.Delete(t.Context(), p), license.ErrPlanConflict)
		wantPlan(t, s, first)
	}
}

// listInOrder: byte by byte, behind a name that need not be there.
func listInOrder(t *testing.T, s license.PlanStore) {
	if got := names(t, s, "", 10); got != "" {
		t.Errorf("at first there are %s", got)
	}
	for _, name := range []string{"b", "a.2", "B", "a-1", "a", "a_3", "0"} {
		mustPut(t, s, license.Plan{}, Plan(t, name))
	}
	for _, test := range []struct {
		after string
		limit int
		want  string
	}{
		{"", 10, "0 B a a-1 a.2 a_3 b"},
		{"", 2, "0 B"},
		{"B", 3, "a a-1 a.2"},
		{"a.", 2, "a.2 a_3"},
		{"a.2", 10, "a_3 b"},
		{"b", 10, ""},
		{"zz", 10, ""},
	} {
		if got := names(t, s, test.after, test.limit); got != test.want {
			t.Errorf("%d behind %q: %s, want %s", test.limit, test.after, got, test.want)
		}
	}
	page, err := s.List(t.Context(), "a_3", 1)
	if err != nil || len(page) != 1 || Diff(Plan(t, "b").Services, page[0].Services) != "" {
		t.Errorf("got %+v, %v", page, err)
	}
}

// listMany lists more than the megabyte that DynamoDB reads at once.
func listMany(t *testing.T, s license.PlanStore) {
	large := license.Plan{}
	for n := range 100 {
		service := license.Service{Name: strings.Repeat("n", 200), Value: fmt.Sprint(n, strings.Repeat("v", 200))}
		large.Services = append(large.Services, service)
	}
	var want []string
	for n := range 40 {
		large.Name = fmt.Sprintf("plan-%03d", n)
		mustPut(t, s, license.Plan{}, ReplacePlan(t, license.Plan{}, large))
		want = append(want, large.Name)
	}
	if got := names(t, s, "", 100); got != strings.Join(want, " ") {
		t.Errorf("got %s", got)
	}
	if got := names(t, s, "plan-036", 2); got != "plan-037 plan-038" {
		t.Errorf("got %s", got)
	}
}

func plansContextEnded(t *testing.T, s license.PlanStore) {
	first := Plan(t, "pro")
	mustPut(t, s, license.Plan{}, first)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, errGet := s.Get(ended, "pro")
	_, errList := s.List(ended, "", 10)
	for name, err := range map[string]error{
		"Get": errGet, "List": errList, "Put": s.Put(ended, license.Plan{}, Plan(t, "other")),
		"Delete": s.Delete(ended, first),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	wantPlan(t, s, first)
	wantPlan(t, s, license.Plan{Name: "other"})
}
