package dynamo_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/dynamo"
)

func hashForTests(record attribute.Map) (string, error) {
	if record["notes"] == "unreadable" {
		return "", errors.New("unreadable")
	}
	return fmt.Sprint("hash of ", record["notes"]), nil
}

func TestRecordHashes(t *testing.T) {
	t.Run("All", func(t *testing.T) {
		w, client := serve(t,
			ok(`{"Items":[{"licenseid":{"S":"a"},"notes":{"S":"1"}}],"LastEvaluatedKey":{"licenseid":{"S":"a"}}}`),
			ok(`{"Items":[{"licenseid":{"S":"b"},"notes":{"S":"2"}}]}`))
		var got []checkpoint.RecordHash
		for hash, err := range dynamo.NewRecordHashes(client, "licenses", hashForTests).All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, hash)
		}
		want := []checkpoint.RecordHash{{LicenseID: "a", Hash: "hash of 1"}, {LicenseID: "b", Hash: "hash of 2"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.wantRequest(t, 1, "Scan", `{"TableName":"licenses","ExclusiveStartKey":{"licenseid":{"S":"a"}}}`)
	})
	t.Run("AllEndsWithAnError", func(t *testing.T) {
		_, client := serve(t, ok(`{"Items":[{"licenseid":{"S":"a"},"notes":{"S":"unreadable"}},{"licenseid":{"S":"b"}}]}`))
		seen := 0
		for _, err := range dynamo.NewRecordHashes(client, "licenses", hashForTests).All(t.Context()) {
			if seen++; err == nil {
				t.Error("no error")
			}
		}
		if seen != 1 {
			t.Errorf("saw %d", seen)
		}
	})
	t.Run("Of", func(t *testing.T) {
		w, client := serve(t, ok(`{"Item":{"licenseid":{"S":"a"},"notes":{"S":"1"}}}`), ok(`{}`))
		hashes := dynamo.NewRecordHashes(client, "licenses", hashForTests)
		hash, err := hashes.Of(t.Context(), "a")
		none, errNone := hashes.Of(t.Context(), "b")
		if hash != "hash of 1" || none != "" || errors.Join(err, errNone) != nil {
			t.Errorf("got %q, %q, %v, %v", hash, none, err, errNone)
		}
		w.wantRequest(t, 0, "GetItem", `{"TableName":"licenses","ConsistentRead":true,"Key":{"licenseid":{"S":"a"}}}`)
	})
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, answers...)
			_, err := dynamo.NewRecordHashes(client, "t", hashForTests).Of(t.Context(), "a")
			wantFault(t, err, "get license", "said by the server of nothing")
		})
	}
}
