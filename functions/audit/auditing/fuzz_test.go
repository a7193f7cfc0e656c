package auditing_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/audit"
	"openlicenser/shared/testing/audittest"
)

// change names what an entry records: by license, event and the number's value.
type change struct{ licenseID, eventID, number string }

func changeOf(r events.DynamoDBEventRecord) change {
	key := r.Change.Keys["licenseid"]
	if key.DataType() != events.DataTypeString {
		return change{}
	}
	return change{key.String(), r.EventID, strings.TrimLeft(r.Change.SequenceNumber, "0")}
}

// FuzzStream: whatever the stream tells, the function does not end by it. What it does not report as failed has exactly
// one entry, also when the batch comes again, there is none of anything else, and the chains verify. Seeds are short,
// because the fuzzer minimizes texts.
func FuzzStream(f *testing.F) {
	record := func(event, number, images string) string {
		return `{"eventID":"` + event + `","dynamodb":{"Keys":{"licenseid":{"S":"x"}},` +
			`"SequenceNumber":"` + number + `",` + images + `}}`
	}
	const first = `{"licenseid":{"S":"x"},"version":{"N":"1"}}`
	const second = `{"licenseid":{"S":"x"},"version":{"N":"2"},"isrevoked":{"BOOL":true}}`
	issued := record("a", "9", `"NewImage":`+first)
	changed := record("b", "10", `"OldImage":`+first+`,"NewImage":`+second)
	removed := record("c", "11", `"OldImage":`+second)
	for _, records := range []string{
		``, issued, issued + `,` + changed, issued + `,` + changed + `,` + removed,
		changed + `,` + issued, issued + `,` + issued,
		record("a", "x", `"NewImage":`+first) + `,` + changed, record("a", "09", `"NewImage":`+first) + `,` + issued,
		record("t", "1", `"OldImage":{"a":{"SS":["b","a"]},"b":{"B":"AQ=="},"c":{"NULL":true}},`+
			`"ApproximateCreationDateTime":1793538000`),
		`{"eventID":"e","eventName":"REMOVE","userIdentity":{"type":"Service",` +
			`"principalId":"dynamodb.amazonaws.com"},"dynamodb":{"Keys":{"licenseid":{"S":"y"}},` +
			`"SequenceNumber":"1","OldImage":{"n":{"N":"1e3"}}}}`,
		record("l", "1", `"NewImage":{"l":{"L":[{"M":{"x":{"NS":["1","2"]}}}]}}`),
		`{"dynamodb":{"Keys":{"licenseid":{"N":"1"}}}}`, `{}`,
	} {
		f.Add([]byte(`{"Records":[` + records + `]}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var batch events.DynamoDBEvent
		if json.Unmarshal(text, &batch) != nil {
			return // Lambda's runtime refuses it
		}
		store := audittest.NewMemory(t)
		failures := handle(t, store, batch)
		chains := recorded(t, store, batch, failures)
		if again := handle(t, store, batch); !cmp.Equal(failures, again) {
			t.Errorf("first %q failed, then %q", failures, again)
		}
		if diff := cmp.Diff(chains, recorded(t, store, batch, failures)); diff != "" {
			t.Errorf("the second delivery changed something (-first +second):\n%s", diff)
		}
	})
}

// recorded returns the chains of the batch, and fails unless they hold what they should.
func recorded(
	t *testing.T, store *audittest.Memory, batch events.DynamoDBEvent, failures []string,
) map[string][]audit.Entry {
	t.Helper()
	sent, failed := map[change]bool{}, map[string]bool{}
	for _, number := range failures {
		failed[number] = true
	}
	chains, entries := map[string][]audit.Entry{}, map[change]int{}
	for _, r := range batch.Records {
		c := changeOf(r)
		sent[c] = true
		chains[c.licenseID] = store.Chain(c.licenseID)
	}
	for id, chain := range chains {
		if _, err := audit.Verify(id, audit.Head{}, chain); err != nil {
			t.Errorf("the chain of %q: %v", id, err)
		}
		for _, e := range chain {
			entries[change{id, e.EventID, strings.TrimLeft(e.SequenceNumber, "0")}]++
		}
	}
	for c, n := range entries {
		if n > 1 || !sent[c] {
			t.Errorf("%d entries of %+v, sent: %t", n, c, sent[c])
		}
	}
	for _, r := range batch.Records {
		if c := changeOf(r); !failed[r.Change.SequenceNumber] && entries[c] != 1 {
			t.Errorf("%d entries of %+v, which did not fail", entries[c], c)
		}
	}
	return chains
}
