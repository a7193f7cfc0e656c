package license_test

import (
	"context"
	"iter"
	"testing"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// lostResponses are records whose amendments are made and then reported as conflicts, as where the repetition of a
// request whose response was lost meets its own effect.
type lostResponses struct{ record attribute.Map }

func (r *lostResponses) Record(context.Context, string) (attribute.Map, error) { return r.record, nil }

func (r *lostResponses) Amend(_ context.Context, _ string, a license.Amendment) error {
	r.record = a.Apply(r.record)
	return license.ErrConflict
}

func (r *lostResponses) Segment(context.Context, int, int) iter.Seq2[attribute.Map, error] {
	panic("nobody scans")
}

// TestMendTellsOfLostResponses: what was put back is told of, whatever became of the response.
func TestMendTellsOfLostResponses(t *testing.T) {
	foreign := attribute.Map{"licenseid": "a", "expirationdate": "2030-01-03"}
	event := license.Event{
		Old: licensetest.Issue(t).Record(), New: foreign, Time: licensetest.Now, SequenceNumber: "7",
	}
	r := &lostResponses{record: foreign}
	for n, want := range []bool{true, false} { // the event comes again
		if mended, err := license.Mend(t.Context(), r, "a", event); err != nil || mended.PutBack != want {
			t.Errorf("%d: got %+v, %v", n, mended, err)
		}
	}
}

// TestChangedBeforeAdoption: our first change of a record keeps when it was changed before.
func TestChangedBeforeAdoption(t *testing.T) {
	before, err := license.FromRecord(attribute.Map{
		"licenseid": "a", "expirationdate": "2030-01-03", "changedtimestamp": attribute.Number("1718622505782"),
	})
	if err != nil {
		t.Fatal(err)
	}
	set, _ := license.Delta(before, licensetest.Revoke(t, before, "why"))
	if got := set["ixissued"]; got != "2024-06-17T11:08:25.782Z a" {
		t.Errorf("issued %v", got)
	}
}

// TestOddDevices: what another tool has written of devices is mended by what sets it, and a patch is held to what it
// sends.
func TestOddDevices(t *testing.T) {
	record := licensetest.Issue(t).Record()
	record["maxdevices"], record["seatsepoch"] = attribute.Number("5"), "odd"
	l, err := license.FromRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	five := 5
	mended, err := l.Patch(license.Patch{MaxDevices: &five}, licensetest.Change(""))
	if err != nil || mended.Status(licensetest.Now) != license.Active ||
		mended.SeatsEpoch != licensetest.Now.UnixMilli() {
		t.Errorf("got %+v, %v", mended, err)
	}
	record["maxdevices"], record["seatsepoch"] = "odd", attribute.Number("1")
	if l, err = license.FromRecord(record); err != nil {
		t.Fatal(err)
	}
	const want = "What maxdevices is cannot be understood; change it first."
	if _, err := l.ResetDevices(licensetest.Change("why")); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}

	month := 30 * 24 * 60
	limited, err := licensetest.Issue(t).Patch(
		license.Patch{MaxDevices: &five, MaxLeaseMinutes: &month, TokenMinutes: month}, licensetest.Change(""))
	if err != nil {
		t.Fatal(err)
	}
	// Meanwhile tokens are valid for longer.
	for devices, isGood := range map[int]bool{4: true, 0: false} {
		patch := license.Patch{MaxDevices: &devices, TokenMinutes: 3 * month}
		if _, err := limited.Patch(patch, licensetest.Change("")); (err == nil) != isGood {
			t.Errorf("to %d devices: %v", devices, err)
		}
	}
}
