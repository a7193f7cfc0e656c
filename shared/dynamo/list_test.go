package dynamo_test

import (
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
	store, other := dynamo.NewLicenses(client, table), otherTool{endpoint, table}

	ours := licensetest.Issue(t)
	if err := store.Create(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	foreign := attribute.Map{"licenseid": "foreign", "customerid": "their-customer", "expirationdate": "2030-01-03"}
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

	wantIDs("a foreign record is in its customer's list at once",
		license.Query{CustomerID: "their-customer", Limit: 10}, "foreign")
	wantIDs("and not yet in the list of all", license.Query{Limit: 10}, ours.ID)
	before, err := store.Get(t.Context(), "foreign")
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Update(t.Context(), before, licensetest.Revoke(t, before, "why")); err != nil {
		t.Fatal(err)
	}
	wantIDs("it joins the list of all with our first change", license.Query{Limit: 10}, "foreign", ours.ID)
	wantIDs("and the lists of its status and of its date", license.Query{Status: license.Revoked, Limit: 10}, "foreign")
	wantIDs(
		"and the lists of its status and of its date",
		license.Query{ExpiringBefore: before.ExpirationDate.AddDate(0, 0, 1), Limit: 10}, "foreign", ours.ID,
	)
	wantIDs("a page may begin after an id that is not there", license.Query{Limit: 10, Position: `["f","f"]`}, ours.ID)
}

// TestListNothing: bounds that leave no date between them are no query, which DynamoDB would refuse.
func TestListNothing(t *testing.T) {
	_, client := serve(t)
	q := license.Query{
		Status: license.Active, ExpiringBefore: licensetest.Now.AddDate(-1, 0, 0), Now: licensetest.Now, Limit: 7,
	}
	if page, err := dynamo.NewLicenses(client, "t").List(t.Context(), q); err != nil || len(page.Licenses) != 0 ||
		page.Next != "" {
		t.Errorf("got %+v, %v", page, err)
	}
}

// TestListPastItsEnd: a cursor that the lower bound of the dates has passed leads to nothing, and to no query that
// DynamoDB would refuse.
func TestListPastItsEnd(t *testing.T) {
	_, client := serve(t)
	q := license.Query{
		Status: license.Active, Now: licensetest.Now, Limit: 7, Position: `["2026-10-01T00:00:00.000Z","an-id"]`,
	}
	if page, err := dynamo.NewLicenses(client, "t").List(t.Context(), q); err != nil || len(page.Licenses) != 0 ||
		page.Next != "" {
		t.Errorf("got %+v, %v", page, err)
	}
}
