package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
)

func TestRecordHashes(t *testing.T) {
	licenses := open(t, t.TempDir()).Licenses
	hashes := checkpoint.StoredRecords{Records: licenses}
	var want []checkpoint.RecordHash
	for _, record := range []attribute.Map{{"licenseid": "a", "version": attribute.Number("1")}, {"licenseid": "b"}} {
		if err := licenses.PutRecord(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		hash, err := audit.HashStored(record)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, checkpoint.RecordHash{
			LicenseID: record["licenseid"].(string), Hash: hash, Foreign: record["version"] == nil,
		})
	}
	var got []checkpoint.RecordHash
	for hash, err := range hashes.Hashes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, hash)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none, err := hashes.Record(t.Context(), "c"); none != nil || err != nil {
		t.Errorf("got %v, %v", none, err)
	}
	record, err := hashes.Record(t.Context(), "b")
	if diff := cmp.Diff(attribute.Map{"licenseid": "b"}, record); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestSegmentOfManyRecords: fewer, as many and more than are read at once, and every way to stop.
func TestSegmentOfManyRecords(t *testing.T) {
	t.Cleanup(embedded.SetRecordsPage(2))
	licenses := open(t, t.TempDir()).Licenses
	for n := range 6 {
		var want, got []string
		for i := range n {
			want = append(want, fmt.Sprint("license ", i))
		}
		for record, err := range licenses.Segment(t.Context(), 0, 2) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(record["licenseid"]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d records (-want +got):\n%s", n, diff)
		}
		for range licenses.Segment(t.Context(), 0, 2) {
			break
		}
		for record := range licenses.Segment(t.Context(), 1, 2) {
			t.Errorf("the second segment has %v", record)
		}
		record := attribute.Map{"licenseid": fmt.Sprint("license ", n)}
		if err := licenses.PutRecord(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	for record, err := range licenses.Segment(ended, 0, 1) {
		if record != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v, %v", record, err)
		}
	}
}
