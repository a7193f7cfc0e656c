package license_test

import (
	"errors"
	"testing"

	"openlicenser/shared/license"
	"openlicenser/shared/license/licensetest"
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
					if !errors.As(err, &impossible) || impossible.Message == "" || licensetest.Diff(before, after) != "" {
						t.Errorf("got %+v, %v; want a refusal", after, err)
					}
				case err != nil:
					t.Error(err)
				case want == nothing:
					if diff := licensetest.Diff(before, after); diff != "" {
						t.Errorf("changed:\n%s", diff)
					}
				case after.Status(licensetest.Now) != want || after.Version != before.Version+1 || after.RequestID != change.RequestID ||
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
		if after, err := l.Renew(date, licensetest.Change("")); !errors.As(err, &invalid) || licensetest.Diff(l, after) != "" {
			t.Errorf("%s: got %+v, %v", name, after, err)
		}
	}
	l := licensetest.Issue(t)
	if after, err := l.Renew(license.FormatDate(l.ExpirationDate), licensetest.Change("")); err != nil || after.Version != l.Version {
		t.Errorf("the same date: %+v, %v", after, err)
	}
}

// TestReinstateEndsBoth: a license that was suspended and then revoked is usable again.
func TestReinstateEndsBoth(t *testing.T) {
	l := licensetest.Issue(t)
	l.Suspended, l.Revoked = true, true
	if got, err := l.Reinstate(licensetest.Change("a mistake")); err != nil || got.Status(licensetest.Now) != license.Active {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestPatch(t *testing.T) {
	before := licensetest.Issue(t)
	name, grace := "Another", 7
	after, err := before.Patch(license.Patch{CustomerName: &name, GraceDays: &grace}, licensetest.Change("moved"))
	want := before
	want.CustomerName, want.GraceDays, want.Version, want.ChangeReason, want.RequestID = name, grace, 2, "moved", after.RequestID
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
