package dynamo_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/licensetest"
)

// oneItem returns the same item for every GetItem.
type oneItem struct {
	dynamo.LicenseAPI
	item map[string]types.AttributeValue
}

func (o oneItem) GetItem(
	context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options),
) (*dynamodb.GetItemOutput, error) {
	return &dynamodb.GetItemOutput{Item: o.item}, nil
}

// BenchmarkGet reads a record, from the SDK's types on.
func BenchmarkGet(b *testing.B) {
	l := licensetest.Issue(b)
	item := map[string]types.AttributeValue{}
	for name, value := range l.Record() {
		switch v := value.(type) {
		case string:
			item[name] = &types.AttributeValueMemberS{Value: v}
		case attribute.Number:
			item[name] = &types.AttributeValueMemberN{Value: string(v)}
		case bool:
			item[name] = &types.AttributeValueMemberBOOL{Value: v}
		default:
			b.Fatalf("%s is a %T", name, value)
		}
	}
	licenses := dynamo.NewLicenses(oneItem{item: item}, "licenses", "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := licenses.Get(b.Context(), l.ID); err != nil {
			b.Fatal(err)
		}
	}
}

// metered adds up what writes cost in write units, of the tables and all indexes together.
type metered struct {
	*dynamodb.Client
	units float64
}

func (m *metered) PutItem(
	ctx context.Context, in *dynamodb.PutItemInput, options ...func(*dynamodb.Options),
) (*dynamodb.PutItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.PutItem(ctx, in, options...)
	if err == nil {
		m.units += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *metered) UpdateItem(
	ctx context.Context, in *dynamodb.UpdateItemInput, options ...func(*dynamodb.Options),
) (*dynamodb.UpdateItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.UpdateItem(ctx, in, options...)
	if err == nil {
		m.units += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *metered) DeleteItem(
	ctx context.Context, in *dynamodb.DeleteItemInput, options ...func(*dynamodb.Options),
) (*dynamodb.DeleteItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.DeleteItem(ctx, in, options...)
	if err == nil {
		m.units += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *metered) TransactWriteItems(
	ctx context.Context, in *dynamodb.TransactWriteItemsInput, options ...func(*dynamodb.Options),
) (*dynamodb.TransactWriteItemsOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.TransactWriteItems(ctx, in, options...)
	if err == nil {
		for _, of := range out.ConsumedCapacity {
			m.units += *of.CapacityUnits
		}
	}
	return out, err
}

// BenchmarkWriteUnits reports what writes cost in write units, with all indexes, as DynamoDB Local says. The license is
// one of licensetest, of less than 1 KB.
func BenchmarkWriteUnits(b *testing.B) {
	client := &metered{Client: newClient(awstest.Need(b, awstest.DynamoDBVariable))}
	table := aws.ToString(awstest.NewTable(b, client.Client, "LicenseTable").TableName)
	references := aws.ToString(awstest.NewTable(b, client.Client, "ReferenceTable").TableName)
	store, records := dynamo.NewLicenses(client, table, references), dynamo.NewRecords(client, table)
	measure := func(name string, prepare func(), write func() error) {
		b.Run(name, func(b *testing.B) {
			units := 0.0
			for b.Loop() {
				prepare()
				client.units = 0
				if err := write(); err != nil {
					b.Fatal(err)
				}
				units += client.units
			}
			b.ReportMetric(units/float64(b.N), "units/op")
		})
	}
	var l license.License
	issue := func() { l = licensetest.Issue(b) }
	issued := func() {
		issue()
		l.Email = "office@example.com"
		if err := store.Create(b.Context(), l); err != nil {
			b.Fatal(err)
		}
	}
	update := func(do func(license.License) (license.License, error)) func() error {
		return func() error {
			after, err := do(l)
			if err != nil {
				return err
			}
			return store.Update(b.Context(), l, after)
		}
	}
	change := licensetest.Change("why")
	notes, name := "other notes", "Another Customer"
	measure("issue", issue, func() error { return store.Create(b.Context(), l) })
	measure("issue with an address", func() { issue(); l.Email = "office@example.com" },
		func() error { return store.Create(b.Context(), l) })
	measure("issue with both", func() { issue(); l.Email, l.Reference = "office@example.com", "order "+l.ID },
		func() error { return store.Create(b.Context(), l) })
	measure("notes", issued, update(func(l license.License) (license.License, error) {
		return l.Patch(license.Patch{Notes: &notes}, change)
	}))
	measure("revoke", issued, update(func(l license.License) (license.License, error) { return l.Revoke(change) }))
	measure("renew", issued, update(func(l license.License) (license.License, error) {
		return l.Renew("2031-01-31", change)
	}))
	measure("rename", issued, update(func(l license.License) (license.License, error) {
		return l.Patch(license.Patch{CustomerName: &name}, change)
	}))
	measure("remove", issued, func() error { return store.Remove(b.Context(), l) })
	foreign := func() {
		issue()
		values := map[string]types.AttributeValue{}
		for _, name := range []string{
			"licenseid", "customername", "customerid", "expirationdate", "services", "appurls",
		} {
			values[name] = &types.AttributeValueMemberS{Value: l.Record()[name].(string)}
		}
		in := &dynamodb.PutItemInput{TableName: &table, Item: values}
		if _, err := client.PutItem(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
	measure("mend a foreign license", foreign, func() error {
		_, err := license.Mend(b.Context(), records, l.ID, license.Event{Time: licensetest.Now, SequenceNumber: "1"})
		return err
	})
}
