package embedded_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
)

func TestRecordHashes(t *testing.T) {
	licenses := open(t, t.TempDir()).Licenses
	hashes := embedded.RecordHashes{Licenses: licenses, Hash: func(record attribute.Map) (string, error) {
		return fmt.Sprint("hash of ", record["notes"]), nil
	}}
	want := map[string]string{"a": "hash of 1", "b": "hash of 2"}
	for id, notes := range map[string]string{"a": "1", "b": "2"} {
		if err := licenses.PutRecord(t.Context(), attribute.Map{"licenseid": id, "notes": notes}); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for hash, err := range hashes.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got[hash.LicenseID] = hash.Hash
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if none, err := hashes.Of(t.Context(), "c"); none != "" || err != nil {
		t.Errorf("got %q, %v", none, err)
	}
	errHash := errors.New("no hash")
	hashes.Hash = func(attribute.Map) (string, error) { return "", errHash }
	seen := 0
	for _, err := range hashes.All(t.Context()) {
		if seen++; !errors.Is(err, errHash) {
			t.Errorf("got %v", err)
		}
	}
	if seen != 1 {
		t.Errorf("saw %d", seen)
	}
}
