package embedded_test

import (
	"testing"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

func TestPlansContract(t *testing.T) {
	licensetest.TestPlans(t, func(t *testing.T) license.PlanStore { return open(t, t.TempDir()).Plans })
}

// TestPlansLast: what was made is there when the folder is opened again.
func TestPlansLast(t *testing.T) {
	path := t.TempDir()
	folder := open(t, path)
	want := licensetest.Plan(t, "pro")
	if err := folder.Plans.Put(t.Context(), license.Plan{}, want); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, path).Plans.Get(t.Context(), "pro")
	if err != nil {
		t.Fatal(err)
	}
	if diff := licensetest.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
