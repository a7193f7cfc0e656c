package audit_test

import (
	"testing"

	"openlicenser/shared/audit"
)

// TestBucketOf holds the first ten bits of SHA-256, which other verifiers compute too.
func TestBucketOf(t *testing.T) {
	for id, want := range map[string]int{"an-id": 78, "": 910, "019ab000-0000-7000-8000-000000000000": 414} {
		if got := audit.BucketOf(id); got != want {
			t.Errorf("%q: got %d, want %d", id, got, want)
		}
	}
}
