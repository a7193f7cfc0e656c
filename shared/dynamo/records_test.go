package dynamo_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/dynamo"
)

func hashRecord(t *testing.T, record attribute.Map) string {
	t.Helper()
	hash, err := audit.HashStored(record)
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func hashesOf(client dynamo.RecordsAPI) checkpoint.StoredRecords {
	return checkpoint.StoredRecords{Records: dynamo.NewRecords(client, "licenses")}
}

func TestRecordHashes(t *testing.T) {
	ours := hashRecord(t, attribute.Map{"licenseid": "a", "version": attribute.Number("1")})
	foreign := hashRecord(t, attribute.Map{"licenseid": "b"})
	t.Run("All", func(t *testing.T) {
		w, client := serve(t,
			ok(`{"Items":[{"licenseid":{"S":"a"},"version":{"N":"1"}}],"LastEvaluatedKey":{"licenseid":{"S":"a"}}}`),
			ok(`{"Items":[{"licenseid":{"S":"b"}}]}`))
		var got []checkpoint.RecordHash
		for hash, err := range hashesOf(client).Hashes(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, hash)
		}
		want := []checkpoint.RecordHash{{LicenseID: "a", Hash: ours}, {LicenseID: "b", Hash: foreign, Foreign: true}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.wantRequest(t, 1, "Scan", `{"TableName":"licenses","ExclusiveStartKey":{"licenseid":{"S":"a"}},
			"Segment":0,"TotalSegments":1}`)
	})
	t.Run("AllEndsWithAnError", func(t *testing.T) {
		_, client := serve(t, ok(`{"Items":[{"licenseid":{"S":"a"}}],"LastEvaluatedKey":{"licenseid":{"S":"a"}}}`),
			fault(400, "AccessDeniedException", ""))
		var seen []error
		for _, err := range hashesOf(client).Hashes(t.Context()) {
			seen = append(seen, err)
		}
		if len(seen) != 2 || seen[0] != nil || seen[1] == nil {
			t.Errorf("saw %v", seen)
		}
	})
	t.Run("Record", func(t *testing.T) {
		w, client := serve(t, ok(`{"Item":{"licenseid":{"S":"a"},"version":{"N":"1"}}}`), noItem("licenses"))
		hashes := hashesOf(client)
		record, err := hashes.Record(t.Context(), "a")
		none, errNone := hashes.Record(t.Context(), "b")
		if hashRecord(t, record) != ours || none != nil || errors.Join(err, errNone) != nil {
			t.Errorf("got %v, %v, %v, %v", record, none, err, errNone)
		}
		w.wantRequest(t, 0, "GetItem",
			`{"TableName":"licenses","ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL",
			"Key":{"licenseid":{"S":"a"}}}`)
	})
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, answers...)
			_, err := checkpoint.StoredRecords{Records: dynamo.NewRecords(client, "t")}.Record(t.Context(), "a")
			wantFault(t, err, "get license", "said by the server of nothing")
		})
	}
}
