package embedded_test

import (
	"context"
	"testing"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

func TestRewriterContract(t *testing.T) {
	licensetest.TestRewriter(t, func(t *testing.T) licensetest.Harness {
		folder := open(t, t.TempDir())
		return licensetest.Harness{
			Store: folder.Licenses, PutRecord: folder.Licenses.PutRecord, Record: folder.Licenses.Record,
		}
	})
}

// TestRewriteErasureScrubs: an erasure that is made again leaves nothing in the file, as the first one.
func TestRewriteErasureScrubs(t *testing.T) {
	folder := open(t, t.TempDir())
	l := licensetest.Issue(t)
	if err := folder.Licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	before, err := folder.Licenses.Record(t.Context(), l.ID)
	if err != nil {
		t.Fatal(err)
	}
	erased := license.Amendment{Set: attribute.Map{
		"customername": license.ErasedName, "notes": "", "erased": "mark",
	}}.Apply(before)
	w, err := license.NewRewrite(before, erased, 2, licensetest.Change("restored"), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Licenses.Rewrite(t.Context(), l.ID, w); err != nil {
		t.Fatal(err)
	}
	changes, err := folder.Changes.Oldest(t.Context(), 9)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Changes.Remove(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := folder.AwaitScrub(ctx); err != nil {
		t.Errorf("there is nothing to scrub: %v", err)
	}
}
