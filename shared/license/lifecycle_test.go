package license_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// TestTransitions: every state and every transition.
func TestTransitions(t *testing.T) {
	const (
		laterEnd = "2030-01-01T00:00:00Z"
		refused  = license.Status("refused")
		nothing  = license.Status("nothing changes")
	)
	states := map[license.Status]func(*license.License){
		license.Active:    func(*license.License) {},
		license.Grace:     func(l *license.License) { l.ExpirationDate, l.GraceDays = licensetest.Now, 9 },
		license.Expired:   func(l *license.License) { l.ExpirationDate = licensetest.Now },
		license.Suspended: func(l *license.License) { l.Suspended = true },
		license.Revoked:   func(l *license.License) { l.Revoked = true },
	}
	transitions := map[string]struct {
		do   func(license.License, license.Change) (license.License, error)
		want map[license.Status]license.Status
	}{
		"revoke": {license.License.Revoke, map[license.Status]license.Status{
			license.Active: license.Revoked, license.Grace: license.Revoked, license.Expired: license.Revoked,
			license.Suspended: license.Revoked, license.Revoked: nothing,
		}},
		"suspend": {license.License.Suspend, map[license.Status]license.Status{
			license.Active: license.Suspended, license.Grace: license.Suspended, license.Expired: license.Suspended,
			license.Suspended: nothing, license.Revoked: refused,
		}},
		"reinstate with a reason": {license.License.Reinstate, map[license.Status]license.Status{
			license.Active: nothing, license.Grace: nothing, license.Expired: nothing,
			license.Suspended: license.Active, license.Revoked: license.Active,
		}},
		"reinstate without a reason": {
			func(l license.License, c license.Change) (license.License, error) {
				c.Reason = ""
				return l.Reinstate(c)
			},
			map[license.Status]license.Status{
				license.Active: nothing, license.Grace: nothing, license.Expired: nothing,
				license.Suspended: license.Active, license.Revoked: refused,
			}},
		"renew": {
			func(l license.License, c license.Change) (license.License, error) { return l.Renew(laterEnd, c) },
			map[license.Status]license.Status{
				license.Active: license.Active, license.Grace: license.Active, license.Expired: license.Active,
				license.Suspended: license.Suspended, license.Revoked: refused,
			}},
	}
	for name, transition := range transitions {
		for state, enter := range states {
			t.Run(name+"/"+string(state), func(t *testing.T) {
				before := licensetest.Issue(t)
				enter(&before)
				if got := before.Status(licensetest.Now); got != state {
					t.Fatalf("begins as %s", got)
				}
				change := licensetest.Change("why")
				after, err := transition.do(before, change)
				want := transition.want[state]
				var impossible *license.TransitionError
				switch {
				case want == refused:
					if !errors.As(err, &impossible) || impossible.Message == "" ||
						licensetest.Diff(before, after) != "" {
						t.Errorf("got %+v, %v; want a refusal", after, err)
					}
				case err != nil:
					t.Error(err)
				case want == nothing:
					if diff := licensetest.Diff(before, after); diff != "" {
						t.Errorf("changed:\n%s", diff)
					}
				case after.Status(licensetest.Now) != want || after.Version != before.Version+1 ||
					after.RequestID != change.RequestID ||
					after.ChangedBy != change.By || !after.Changed.Equal(change.At):
					t.Errorf("got %+v, want status %s", after, want)
				}
			})
		}
	}
}

func TestRenewRefuses(t *testing.T) {
	for name, date := range map[string]string{
		"earlier": "2026-12-01", "in the past": "2020-01-01", "no date": "soon",
	} {
		l := licensetest.Issue(t)
		var invalid *license.InvalidError
		if after, err := l.Renew(date, licensetest.Change("")); !errors.As(err, &invalid) ||
			licensetest.Diff(l, after) != "" {
			t.Errorf("%s: got %+v, %v", name, after, err)
		}
	}
	l := licensetest.Issue(t)
	if after, err := l.Renew(license.FormatDate(l.ExpirationDate), licensetest.Change("")); err != nil ||
		after.Version != l.Version {
		t.Errorf("the same date: %+v, %v", after, err)
	}
}

// TestNever: a license without an end is renewed to nothing else, and has no days of grace.
func TestNever(t *testing.T) {
	change := licensetest.Change("")
	none, seven := 0, 7
	never, date := "never", "2030-01-31"
	patch := func(l license.License, p license.Patch) (license.License, []string) {
		t.Helper()
		patched, err := l.Patch(p, change)
		var invalid *license.InvalidError
		if err != nil && !errors.As(err, &invalid) {
			t.Fatal(err)
		}
		var wrong []string
		if invalid != nil {
			for _, f := range invalid.Fields {
				wrong = append(wrong, f.Field)
			}
		}
		return patched, wrong
	}
	of := licensetest.Issue(t)
	endless, err := of.Renew(never, change)
	if err != nil || !endless.IsEndless() || of.IsEndless() ||
		endless.Record()["expirationdate"] != "9999-12-31T23:59:59.999Z" {
		t.Fatalf("renewed to %s, %v", endless.ExpirationDate, err)
	}
	if endless.Status(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)) != license.Active {
		t.Error("it ends")
	}
	if again, err := endless.Renew(never, change); err != nil || again.Version != endless.Version {
		t.Errorf("renewed again: %+v, %v", again, err)
	}
	var invalid *license.InvalidError
	if _, err := endless.Renew("9999-12-30", change); !errors.As(err, &invalid) ||
		!strings.Contains(err.Error(), "must be never") {
		t.Errorf("renewed to a date: %v", err)
	}
	graced, _ := patch(of, license.Patch{GraceDays: &seven})
	foreign := endless
	foreign.GraceDays = 7
	for name, test := range map[string]struct {
		l     license.License
		p     license.Patch
		wrong string
	}{
		"an end":                   {endless, license.Patch{ExpirationDate: &date}, ""},
		"an end and days of grace": {endless, license.Patch{ExpirationDate: &date, GraceDays: &seven}, ""},
		"no days of grace":         {endless, license.Patch{GraceDays: &none}, ""},
		"days of grace":            {endless, license.Patch{GraceDays: &seven}, "gracedays"},
		"never, with days of grace": {
			of, license.Patch{ExpirationDate: &never, GraceDays: &seven}, "gracedays",
		},
		"never, where days of grace stand":  {graced, license.Patch{ExpirationDate: &never}, "expirationdate"},
		"never, and no more days of grace":  {graced, license.Patch{ExpirationDate: &never, GraceDays: &none}, ""},
		"another field of a foreign record": {foreign, license.Patch{CustomerName: &date}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if _, wrong := patch(test.l, test.p); strings.Join(wrong, " ") != test.wrong {
				t.Errorf("%v is wrong, want %q", wrong, test.wrong)
			}
		})
	}
	if _, err := graced.Renew(never, change); !errors.As(err, &invalid) || invalid.Fields[0].Field != "expirationdate" {
		t.Errorf("renewed where days of grace stand: %v", err)
	}
}

// TestReinstateWantsAReason: what cannot be seen is none.
func TestReinstateWantsAReason(t *testing.T) {
	revoked := licensetest.Revoke(t, licensetest.Issue(t), "")
	var impossible *license.TransitionError
	for _, reason := range []string{"", " ", "\u200b"} {
		if _, err := revoked.Reinstate(licensetest.Change(reason)); !errors.As(err, &impossible) {
			t.Errorf("%q: %v", reason, err)
		}
	}
}

// TestReinstateEndsBoth: a license that was suspended and then revoked is usable again.
func TestReinstateEndsBoth(t *testing.T) {
	l := licensetest.Issue(t)
	l.Suspended, l.Revoked = true, true
	if got, err := l.Reinstate(licensetest.Change("a mistake")); err != nil ||
		got.Status(licensetest.Now) != license.Active {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPatch(t *testing.T) {
	before := licensetest.Issue(t)
	name, grace := "Another", 7
	after, err := before.Patch(license.Patch{CustomerName: &name, GraceDays: &grace}, licensetest.Change("moved"))
	want := before
	want.CustomerName, want.GraceDays = name, grace
	want.Version, want.ChangeReason, want.RequestID = 2, "moved", after.RequestID
	if diff := licensetest.Diff(want, after); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	same, err := after.Patch(license.Patch{CustomerName: &name, GraceDays: &grace}, licensetest.Change("again"))
	if err != nil || same.Version != after.Version {
		t.Errorf("a patch that changes nothing: %+v, %v", same, err)
	}
	blank, negative := " ", -1
	var invalid *license.InvalidError
	got, err := before.Patch(license.Patch{CustomerName: &blank, GraceDays: &negative}, licensetest.Change(""))
	if !errors.As(err, &invalid) || len(invalid.Fields) != 2 || licensetest.Diff(before, got) != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}
