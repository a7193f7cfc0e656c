package embedded_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
)

func TestRecordHashes(t *testing.T) {
	licenses := open(t, t.TempDir()).Licenses
	hashes := checkpoint.StoredHashes{Records: licenses}
	var want []checkpoint.RecordHash
	for _, record := range []attribute.Map{{"licenseid": "a", "version": attribute.Number("1")}, {"licenseid": "b"}} {
		if err := licenses.PutRecord(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		hash, err := audit.HashRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, checkpoint.RecordHash{
			LicenseID: record["licenseid"].(string), Hash: hash, Foreign: record["version"] == nil,
		})
	}
	var got []checkpoint.RecordHash
	for hash, err := range hashes.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, hash)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if none, err := hashes.Of(t.Context(), "c"); none.Hash != "" || err != nil {
		t.Errorf("got %v, %v", none, err)
	}
	if hash, err := hashes.Of(t.Context(), "a"); hash != want[0] || err != nil {
		t.Errorf("got %v, %v", hash, err)
	}
}
