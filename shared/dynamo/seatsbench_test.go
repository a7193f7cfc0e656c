package dynamo_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/device"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/devicetest"
)

// itemSize returns the bytes that DynamoDB counts for an item
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html).
func itemSize(b *testing.B, item map[string]types.AttributeValue) (bytes int) {
	for name, value := range item {
		bytes += len(name) + valueSize(b, value)
	}
	return bytes
}

func valueSize(b *testing.B, value types.AttributeValue) int {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return (len(strings.TrimRight(v.Value, "0"))+1)/2 + 1
	case *types.AttributeValueMemberL:
		bytes := 3 + len(v.Value)
		for _, element := range v.Value {
			bytes += valueSize(b, element)
		}
		return bytes
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value) + itemSize(b, v.Value)
	}
	b.Fatalf("%T", value)
	return 0
}

// BenchmarkSeatUnits reports the size of the item of a license's seats, and what it costs in read and write units, as
// DynamoDB Local says. Names have 16 bytes.
func BenchmarkSeatUnits(b *testing.B) {
	client := &metered{Client: newClient(awstest.Need(b, awstest.DynamoDBVariable))}
	table := aws.ToString(awstest.NewTable(b, client.Client, "DeviceTable").TableName)
	store := dynamo.NewDevices(client, table)
	for _, seats := range []int{1, 50, 250} {
		b.Run(fmt.Sprint(seats), func(b *testing.B) {
			s := devicetest.SeatsOf(seats)
			for id, seat := range s.Held {
				seat.Name = "Workstation 0815"
				s.Held[id] = seat
			}
			write := func(w device.Write) (units float64) {
				client.units = 0
				if err := store.Write(b.Context(), devicetest.LicenseID, w); err != nil {
					b.Fatal(err)
				}
				return client.units
			}
			for b.Loop() {
				if err := store.Remove(b.Context(), devicetest.LicenseID); err != nil {
					b.Fatal(err)
				}
				write(device.Write{Put: s})
				key := map[string]types.AttributeValue{
					"licenseid": &types.AttributeValueMemberS{Value: devicetest.LicenseID},
				}
				out, err := client.GetItem(b.Context(), &dynamodb.GetItemInput{
					TableName: &table, Key: key, ConsistentRead: aws.Bool(true),
					ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
				})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(itemSize(b, out.Item)), "bytes")
				b.ReportMetric(*out.ConsumedCapacity.CapacityUnits, "read-units")
				from := s.Held[devicetest.ID(0)]
				to := from
				to.Until = to.Until.Add(time.Hour)
				w := device.Write{Epoch: s.Epoch, Device: devicetest.ID(0), From: &from, To: &to}
				b.ReportMetric(write(w), "write-units")
			}
		})
	}
}
