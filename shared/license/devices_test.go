package license_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

func number(n int) *int { return &n }

// TestResetDevices: the epoch is one that the license never had, whatever clocks say.
func TestResetDevices(t *testing.T) {
	l := licensetest.Issue(t)
	var impossible *license.TransitionError
	if after, err := l.ResetDevices(licensetest.Change("x")); !errors.As(err, &impossible) ||
		licensetest.Diff(l, after) != "" {
		t.Errorf("without devices: %+v, %v", after, err)
	}
	l.MaxDevices, l.SeatsEpoch = 2, 7
	for name, test := range map[string]struct {
		epoch int64
		at    time.Time
		want  int64
	}{
		"later":                   {7, licensetest.Now, licensetest.Now.UnixMilli()},
		"in the same millisecond": {licensetest.Now.UnixMilli(), licensetest.Now, licensetest.Now.UnixMilli() + 1},
		"by a clock that is behind": {
			licensetest.Now.UnixMilli(), licensetest.Now.Add(-time.Hour), licensetest.Now.UnixMilli() + 1,
		},
	} {
		before, change := l, licensetest.Change("replaced")
		before.SeatsEpoch, change.At = test.epoch, test.at
		after, err := before.ResetDevices(change)
		if err != nil || after.SeatsEpoch != test.want || after.Version != before.Version+1 ||
			after.ChangeReason != "replaced" || after.MaxDevices != 2 {
			t.Errorf("%s: %+v, %v", name, after, err)
		}
	}
}

// TestResetMendsTheEpoch: a stored epoch that cannot be understood is replaced, by a reset and by a new maxdevices.
func TestResetMendsTheEpoch(t *testing.T) {
	record := licensetest.Issue(t).Record()
	record["maxdevices"], record["seatsepoch"] = record["version"], "7"
	l, err := license.FromRecord(record)
	if err != nil || l.DevicesAreKnown() || l.Status(licensetest.Now) != license.Unreadable {
		t.Fatalf("got %+v, %v", l, err)
	}
	none := maps.Clone(record)
	delete(none, "maxdevices")
	unlimited, err := license.FromRecord(none)
	if err != nil {
		t.Fatal(err)
	}
	reset, errReset := l.ResetDevices(licensetest.Change("x"))
	given, errGiven := unlimited.Patch(license.Patch{MaxDevices: number(1)}, licensetest.Change("x"))
	if err := errors.Join(errReset, errGiven); err != nil {
		t.Fatal(err)
	}
	for name, after := range map[string]license.License{"reset": reset, "given": given} {
		set, _ := license.Delta(l, after)
		if !after.DevicesAreKnown() || set["seatsepoch"] == nil {
			t.Errorf("%s sets %v; problems %v", name, set, after.Problems)
		}
	}
}
