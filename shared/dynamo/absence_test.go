package dynamo_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

const tableARN = "arn:aws:dynamodb:eu-central-1:123456789012:table/"

// unsaid are responses with status 200 that do not say that there is nothing.
var unsaid = map[string]string{
	"empty body":            ``,
	"empty object":          `{}`,
	"null":                  `null`,
	"cut off":               `{"ConsumedCapacity":{"TableName":"licen`,
	"page of HTML":          `<!DOCTYPE html><title>Sign in</title>`,
	"no tables":             `{"Responses":{}}`,
	"another table's list":  `{"Responses":{"other":[]},"Items":null}`,
	"null for a list":       `{"Responses":{"licenses":null}}`,
	"capacity of no table":  `{"ConsumedCapacity":{"CapacityUnits":1}}`,
	"capacity of another":   `{"ConsumedCapacity":{"CapacityUnits":1,"TableName":"other"}}`,
	"another ARN":           `{"ConsumedCapacity":{"CapacityUnits":1,"TableName":"` + tableARN + `other-licenses"}}`,
	"an item that is empty": `{"Item":{},"ConsumedCapacity":{"CapacityUnits":1,"TableName":"licenses"}}`,
	"an item of another id": `{"Item":{
		"licenseid":{"S":"another"},"sequence":{"N":"0"},"expirationdate":{"S":"2030-01-01"}}}`,
	"a list with another": `{"Responses":{"licenses":[
		{"licenseid":{"S":"another"},"expirationdate":{"S":"2030-01-01"}}]}}`,
}

// TestAbsenceHasToBeSaid: what does not say that there is nothing is a fault, and no answer about a license or a chain.
func TestAbsenceHasToBeSaid(t *testing.T) {
	reads := map[string]func(context.Context, *dynamodb.Client) error{
		"get license": func(ctx context.Context, client *dynamodb.Client) error {
			_, err := dynamo.NewLicenses(client, "licenses", "r").Get(ctx, "an-id")
			return err
		},
		"list licenses": func(ctx context.Context, client *dynamodb.Client) error {
			_, err := dynamo.NewLicenses(client, "licenses", "r").List(ctx, license.Query{Limit: 1})
			return err
		},
		"audit head": func(ctx context.Context, client *dynamodb.Client) error {
			_, err := dynamo.NewAuditTrail(client, "licenses", "licenses").State(ctx, "an-id")
			return err
		},
		"audit entries": func(ctx context.Context, client *dynamodb.Client) error {
			_, err := dynamo.NewAuditTrail(client, "licenses", "licenses").Entries(ctx, "an-id", 0, 1)
			return err
		},
		"audit disclosures": func(ctx context.Context, client *dynamodb.Client) error {
			_, err := dynamo.NewAuditTrail(client, "licenses", "licenses").Disclosures(ctx, "an-id", 1, 9)
			return err
		},
		"audit heads": func(ctx context.Context, client *dynamodb.Client) (err error) {
			for _, err = range dynamo.NewAuditTrail(client, "licenses", "licenses").Heads(ctx, 7) {
			}
			return err
		},
		"record hash": func(ctx context.Context, client *dynamodb.Client) error {
			_, err := checkpoint.StoredRecords{Records: dynamo.NewRecords(client, "licenses")}.Record(ctx, "an-id")
			return err
		},
		"record hashes": func(ctx context.Context, client *dynamodb.Client) (err error) {
			for _, err = range (checkpoint.StoredRecords{Records: dynamo.NewRecords(client, "licenses")}).Hashes(ctx) {
			}
			return err
		},
	}
	for operation, read := range reads {
		for name, body := range unsaid {
			t.Run(operation+"/"+name, func(t *testing.T) {
				_, client := serve(t, ok(body))
				if err := read(t.Context(), client); err == nil || errors.Is(err, license.ErrNotFound) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// TestAbsenceHasToBeSaidOfBoth: a response that says nothing of the license is a fault at once. One that cannot be read
// is followed by a read of the license alone, which meets the same here.
func TestAbsenceHasToBeSaidOfBoth(t *testing.T) {
	for name, calls := range map[string]int{
		"empty body": 1, "empty object": 1, "no tables": 1, "another table's list": 1, "null for a list": 1,
		"a list with another": 1, "null": 2, "cut off": 2, "page of HTML": 2,
	} {
		t.Run(name, func(t *testing.T) {
			_, s := signatures(t, slices.Repeat([]answer{ok(unsaid[name])}, calls)...)
			if _, _, err := get(t.Context(), s, "an-id"); err == nil || errors.Is(err, license.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestAbsenceByARN: a table that is asked for by its name or its ARN may be answered by either.
func TestAbsenceByARN(t *testing.T) {
	for _, asked := range []string{"licenses", tableARN + "licenses"} {
		for _, answered := range []string{"licenses", tableARN + "licenses"} {
			t.Run(asked+" by "+answered, func(t *testing.T) {
				_, client := serve(t, noItem(answered), ok(`{"Responses":{"signatures":[],"`+answered+`":[]}}`))
				licenses := dynamo.NewLicenses(client, asked, "references")
				_, err := licenses.Get(t.Context(), "an-id")
				wantErr(t, err, license.ErrNotFound)
				_, _, err = get(t.Context(), dynamo.NewSignatures(client, "signatures", licenses, nil), "an-id")
				wantErr(t, err, license.ErrNotFound)
			})
		}
	}
	t.Run("of both", func(t *testing.T) {
		l := licensetest.Issue(t)
		stored := dynamoJSON(t, l.Record())
		_, client := serve(t,
			ok(`{"Responses":{"`+tableARN+`licenses":[`+stored+`],"`+tableARN+`signatures":[`+kept(l.ID)+`]}}`),
			ok(`{"Responses":{},"UnprocessedKeys":{"`+tableARN+`licenses":{"Keys":[]}}}`), ok(`{"Item":`+stored+`}`))
		s := dynamo.NewSignatures(client, "signatures", dynamo.NewLicenses(client, "licenses", "r"), nil)
		for _, want := range []string{"signed", ""} {
			got, signature, err := get(t.Context(), s, l.ID)
			if err != nil || got.ID != l.ID {
				t.Errorf("got %v, %v", got.ID, err)
			}
			wantSignature(t, signature, want)
		}
	})
}

// TestNothingIsSaid: what DynamoDB itself responds where there is nothing.
func TestNothingIsSaid(t *testing.T) {
	none := func(err error, got any, want any) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("got %v, %v", got, err)
		}
	}
	empty := ok(`{"Items":[],"Count":0,"ScannedCount":0}`)
	_, client := serve(t, noItem("t"), noItem("t"), empty, empty, empty, empty, empty)
	trail := dynamo.NewAuditTrail(client, "t", "t")
	records := checkpoint.StoredRecords{Records: dynamo.NewRecords(client, "t")}
	state, err := trail.State(t.Context(), "an-id")
	none(err, state.Head, audit.Head{})
	record, err := records.Record(t.Context(), "an-id")
	none(err, len(record), 0)
	entries, err := trail.Entries(t.Context(), "an-id", 0, 1)
	none(err, len(entries), 0)
	disclosures, err := trail.Disclosures(t.Context(), "an-id", 1, 9)
	none(err, len(disclosures), 0)
	page, err := dynamo.NewLicenses(client, "t", "r").List(t.Context(), license.Query{Limit: 1})
	none(err, len(page.Licenses), 0)
	for head, err := range trail.Heads(t.Context(), 7) {
		t.Errorf("got %v, %v", head, err)
	}
	for hash, err := range records.Hashes(t.Context()) {
		t.Errorf("got %v, %v", hash, err)
	}
}

// TestIdempotencyRecordOfAnother: a refusal that does not show the record that is in the way is no finding about it.
func TestIdempotencyRecordOfAnother(t *testing.T) {
	for name, members := range map[string]string{"not told": ``, "another's": `,"Item":{"key":{"S":"another"}}`} {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, fault(400, "ConditionalCheckFailedException", members))
			existing, err := dynamo.NewIdempotency(client, "t").Put(t.Context(), idempotencyRecord, time.Now())
			if err == nil {
				t.Errorf("got %+v", existing)
			}
		})
	}
}
