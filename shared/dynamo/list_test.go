package dynamo_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/licensetest"
)

// TestListContract: what the indexes do with records of other tools, on a real DynamoDB or its like.
func TestListContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	client := newClient(endpoint)
	table := createTable(t, client, "LicenseTable")
	store, other := dynamo.NewLicenses(client, table, "references"), otherTool{endpoint, table}

	ours := licensetest.Issue(t)
	if err := store.Create(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	records := dynamo.NewRecords(client, table)
	foreign := attribute.Map{
		"licenseid": "foreign", "customerid": "Their-Customer", "expirationdate": "20300103", "customername": "ＡＣＭＥ",
	}
	if err := other.put(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	wantIDs := func(when string, q license.Query, want ...string) {
		t.Helper()
		page, err := store.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range page.Licenses {
			got = append(got, l.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}

	wantIDs("a foreign record is in no list", license.Query{Limit: 10}, ours.ID)
	event := license.Event{New: foreign, Time: licensetest.Now.AddDate(0, 0, 1), SequenceNumber: "1"}
	if _, err := license.Mend(t.Context(), records, "foreign", event); err != nil {
		t.Fatal(err)
	}
	wantIDs("once mended it is in the list of all", license.Query{Limit: 10}, "foreign", ours.ID)
	wantIDs("of its customer", license.Query{CustomerID: "their-customer", Limit: 10}, "foreign")
	wantIDs("of its name", license.Query{CustomerName: "acm", Limit: 10}, "foreign")
	wantIDs("of what cannot be understood", license.Query{Status: license.Unreadable, Now: licensetest.Now, Limit: 10})
	before, err := store.Get(t.Context(), "foreign")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Update(t.Context(), before, licensetest.Revoke(t, before, "why")); err != nil {
		t.Fatal(err)
	}
	wantIDs("our change moves it to the list of its status",
		license.Query{Status: license.Revoked, Limit: 10}, "foreign")
	wantIDs(
		"and leaves it in that of its date",
		license.Query{ExpiringBefore: before.ExpirationDate.AddDate(0, 0, 1), Limit: 10}, "foreign", ours.ID,
	)
	wantIDs("a page may begin after an id that is not there",
		license.Query{Limit: 10, Position: `0:["2026-11-01T12:00:00.000Z f","f"]`}, ours.ID)
}

// TestListNothing: bounds that leave no date between them are no query, which DynamoDB would refuse.
func TestListNothing(t *testing.T) {
	_, client := serve(t)
	q := license.Query{
		Status: license.Active, ExpiringBefore: licensetest.Now.AddDate(-1, 0, 0), Now: licensetest.Now, Limit: 7,
	}
	if page, err := dynamo.NewLicenses(client, "t", "r").List(t.Context(), q); err != nil || len(page.Licenses) != 0 ||
		page.Next != "" {
		t.Errorf("got %+v, %v", page, err)
	}
}

// TestListThrottled: a list for which an index has too little capacity is no list, not even a shorter one.
func TestListThrottled(t *testing.T) {
	for name, isBusy := range map[string]bool{"Throttled": true, "NoThroughput": true, "InternalError": false} {
		t.Run(name, func(t *testing.T) {
			first := ok(`{"Items":[` + dynamoJSON(t, licensetest.Issue(t).Record()) + `],"LastEvaluatedKey":` +
				`{"licenseid":{"S":"an-id"},"ixcollection":{"S":"c"},"ixissued":{"S":"i"}}}`)
			_, client := serve(t, append([]answer{first}, faults[name]...)...)
			page, err := dynamo.NewLicenses(client, "t", "r").List(t.Context(), license.Query{Limit: 7})
			if err == nil || errors.Is(err, license.ErrBusy) != isBusy || len(page.Licenses) != 0 {
				t.Errorf("got %+v, %v", page, err)
			}
		})
	}
}

// TestListPastItsEnd: a cursor that the lower bound of the dates has passed leads to nothing, and to no query that
// DynamoDB would refuse.
func TestListPastItsEnd(t *testing.T) {
	_, client := serve(t)
	q := license.Query{
		Status: license.Active, Now: licensetest.Now, Limit: 7, Position: `0:["2026-10-01T00:00:00.000Z","an-id"]`,
	}
	if page, err := dynamo.NewLicenses(client, "t", "r").List(t.Context(), q); err != nil || len(page.Licenses) != 0 ||
		page.Next != "" {
		t.Errorf("got %+v, %v", page, err)
	}
}
