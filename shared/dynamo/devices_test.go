package dynamo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"openlicenser/shared/attribute"
	"openlicenser/shared/device"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/devicetest"
)

func TestDevicesContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	devicetest.TestStore(t, func(t *testing.T) device.Store {
		client := newClient(endpoint)
		return dynamo.NewDevices(client, createTable(t, client, "DeviceTable"))
	})
}

// devices has the real client speak to a wire.
func devices(t *testing.T, answers ...answer) (*wire, *dynamo.Devices) {
	w, client := serve(t, answers...)
	return w, dynamo.NewDevices(client, "devices")
}

// seatsItem is the item of oneSeat.
const seatsItem = `{"licenseid":{"S":"x"},"epoch":{"N":"1793500000000"},"youngest":{"N":"1793534400001"},
	"seats":{"M":{"some-device":{"M":{"until":{"N":"1793534460"},"since":{"N":"1793534400001"},
		"name":{"S":"Workstation 1"}}}}},
	"released":{"L":[{"N":"1793534520"},{"N":"1793534400"}]}}`

func oneSeat() *device.Seats {
	return &device.Seats{
		Epoch: 1793500000000, Held: map[string]device.Seat{"some-device": devicetest.SeatOf(1)},
		Youngest: devicetest.SeatOf(1).Since, Released: []time.Time{devicetest.SeatOf(2).Until, devicetest.Now},
	}
}

func TestDevicesSeats(t *testing.T) {
	const request = `{"TableName":"devices","Key":{"licenseid":{"S":"x"}},"ConsistentRead":true,
		"ReturnConsumedCapacity":"TOTAL"}`
	for name, test := range map[string]struct {
		answer answer
		want   *device.Seats
	}{
		"OK":   {ok(`{"Item":` + seatsItem + `}`), oneSeat()},
		"none": {noItem("devices"), nil},
		"no name": {ok(`{"Item":{"licenseid":{"S":"x"},"epoch":{"N":"0"},"youngest":{"N":"0"},"seats":{"M":{}}}}`),
			&device.Seats{Held: map[string]device.Seat{}, Youngest: time.UnixMilli(0).UTC()}},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := devices(t, test.answer)
			got, err := s.Seats(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			w.wantRequest(t, 0, "GetItem", request)
		})
	}
}

// TestDevicesOdd: seats that cannot be understood are a fault, and never fewer seats.
func TestDevicesOdd(t *testing.T) {
	for name, change := range oddSeats {
		t.Run(name, func(t *testing.T) {
			_, s := devices(t, ok(`{"Item":`+change(seatsItem)+`}`))
			if got, err := s.Seats(t.Context(), "x"); err == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func replacing(old, by string) func(string) string {
	return func(item string) string {
		if !strings.Contains(item, old) {
			panic("no " + old)
		}
		return strings.Replace(item, old, by, 1)
	}
}

var oddSeats = map[string]func(string) string{
	"no epoch":             replacing(`"epoch":{"N":"1793500000000"},`, ``),
	"epoch as text":        replacing(`"epoch":{"N"`, `"epoch":{"S"`),
	"epoch no whole one":   replacing(`"1793500000000"`, `"1.5"`),
	"epoch too great":      replacing(`"1793500000000"`, `"9223372036854775808"`),
	"no youngest":          replacing(`"youngest":{"N":"1793534400001"},`, ``),
	"no seats":             replacing(`"seats":`, `"other":`),
	"seats as a list":      replacing(`"seats":{"M":{`, `"seats":{"L":[]},"other":{"M":{`),
	"a seat as text":       replacing(`"some-device":{"M":{`, `"some-device":{"S":"x"},"other":{"M":{`),
	"a seat without until": replacing(`"until":{"N":"1793534460"},`, ``),
	"until as text":        replacing(`"until":{"N"`, `"until":{"S"`),
	"a seat without since": replacing(`"since":{"N":"1793534400001"},`, ``),
	"released as a number": replacing(`{"L":[{"N":"1793534520"},{"N":"1793534400"}]}`, `{"N":"1"}`),
	"released as texts":    replacing(`{"N":"1793534520"}`, `{"S":"1793534520"}`),
	"another license's":    replacing(`"licenseid":{"S":"x"}`, `"licenseid":{"S":"y"}`),
}

// TestDevicesWrite: the requests, by which each condition of device.Write is one of the expression.
func TestDevicesWrite(t *testing.T) {
	from, to := devicetest.SeatOf(1), devicetest.SeatOf(3)
	renewed := from
	renewed.Until, renewed.Name = to.Until, ""
	const key = `"TableName":"devices","Key":{"licenseid":{"S":"x"}}`
	const toValue = `{"M":{"until":{"N":"1793534580"},"since":{"N":"1793534400003"},"name":{"S":"Workstation 3"}}}`
	for name, test := range map[string]struct {
		write     device.Write
		operation string
		request   string
	}{
		"put": {device.Write{Put: oneSeat()}, "PutItem", `{"TableName":"devices","Item":` + seatsItem + `,
			"ConditionExpression":"attribute_not_exists(#licenseid)",
			"ExpressionAttributeNames":{"#licenseid":"licenseid"}}`},
		"put on an epoch": {device.Write{Put: oneSeat(), Replaces: new(int64(7))}, "PutItem", `{"TableName":"devices",
			"Item":` + seatsItem + `,"ConditionExpression":"#epoch = :epoch",
			"ExpressionAttributeNames":{"#epoch":"epoch"},"ExpressionAttributeValues":{":epoch":{"N":"7"}}}`},
		"acquire": {device.Write{Epoch: 5, Device: "d", To: &to, Below: 10}, "UpdateItem", `{` + key + `,
			"UpdateExpression":"SET #seats.#device = :seat, #youngest = :youngest",
			"ConditionExpression":"#epoch = :epoch AND size(#seats) < :below AND ` +
			`attribute_not_exists(#seats.#device) AND #youngest < :youngest",
			"ExpressionAttributeNames":{"#epoch":"epoch","#seats":"seats","#device":"d","#youngest":"youngest"},
			"ExpressionAttributeValues":{":epoch":{"N":"5"},":below":{"N":"10"},":seat":` + toValue + `,
				":youngest":{"N":"1793534400003"}}}`},
		"take over": {device.Write{
			Epoch: 5, Device: "d", From: &from, To: &to, Below: 12,
			Clear: map[string]time.Time{"f": devicetest.Now, "e": from.Until},
		}, "UpdateItem", `{` + key + `,
			"UpdateExpression":"SET #seats.#device = :seat, #youngest = :youngest REMOVE #seats.#c0, #seats.#c1",
			"ConditionExpression":"#epoch = :epoch AND #seats.#c0.#until = :c0 AND #seats.#c1.#until = :c1 AND ` +
			`size(#seats) < :below AND #seats.#device.#until = :until AND #seats.#device.#since = :since AND ` +
			`#youngest < :youngest",
			"ExpressionAttributeNames":{"#epoch":"epoch","#seats":"seats","#device":"d","#youngest":"youngest",
				"#until":"until","#since":"since","#c0":"e","#c1":"f"},
			"ExpressionAttributeValues":{":epoch":{"N":"5"},":below":{"N":"12"},":seat":` + toValue + `,
				":youngest":{"N":"1793534400003"},":until":{"N":"1793534460"},":since":{"N":"1793534400001"},
				":c0":{"N":"1793534460"},":c1":{"N":"1793534400"}}}`},
		"renew": {device.Write{Epoch: 5, Device: "d", From: &from, To: &renewed}, "UpdateItem", `{` + key + `,
			"UpdateExpression":"SET #seats.#device = :seat",
			"ConditionExpression":"#epoch = :epoch AND #seats.#device.#until = :until AND ` +
			`#seats.#device.#since = :since",
			"ExpressionAttributeNames":{"#epoch":"epoch","#seats":"seats","#device":"d",
				"#until":"until","#since":"since"},
			"ExpressionAttributeValues":{":epoch":{"N":"5"},":until":{"N":"1793534460"},":since":{"N":"1793534400001"},
				":seat":{"M":{"until":{"N":"1793534580"},"since":{"N":"1793534400001"}}}}}`},
		"clear": {device.Write{Epoch: 5, Clear: map[string]time.Time{"e": from.Until}}, "UpdateItem", `{` + key + `,
			"UpdateExpression":" REMOVE #seats.#c0",
			"ConditionExpression":"#epoch = :epoch AND #seats.#c0.#until = :c0",
			"ExpressionAttributeNames":{"#epoch":"epoch","#seats":"seats","#until":"until","#c0":"e"},
			"ExpressionAttributeValues":{":epoch":{"N":"5"},":c0":{"N":"1793534460"}}}`},
		"first release": {device.Write{Epoch: 5, Device: "d", From: &from, Released: []time.Time{from.Until}},
			"UpdateItem", `{` + key + `,
			"UpdateExpression":"SET #released = :released REMOVE #seats.#device",
			"ConditionExpression":"#epoch = :epoch AND #seats.#device.#until = :until AND ` +
				`#seats.#device.#since = :since AND attribute_not_exists(#released)",
			"ExpressionAttributeNames":{"#epoch":"epoch","#seats":"seats","#device":"d",
				"#until":"until","#since":"since","#released":"released"},
			"ExpressionAttributeValues":{":epoch":{"N":"5"},":until":{"N":"1793534460"},":since":{"N":"1793534400001"},
				":released":{"L":[{"N":"1793534460"}]}}}`},
		"another release": {device.Write{
			Epoch: 5, Device: "d", From: &from, Released: []time.Time{from.Until}, WasReleased: []time.Time{to.Until},
		}, "UpdateItem", `{` + key + `,
			"UpdateExpression":"SET #released = :released REMOVE #seats.#device",
			"ConditionExpression":"#epoch = :epoch AND #seats.#device.#until = :until AND ` +
			`#seats.#device.#since = :since AND #released = :wasreleased",
			"ExpressionAttributeNames":{"#epoch":"epoch","#seats":"seats","#device":"d",
				"#until":"until","#since":"since","#released":"released"},
			"ExpressionAttributeValues":{":epoch":{"N":"5"},":until":{"N":"1793534460"},":since":{"N":"1793534400001"},
				":released":{"L":[{"N":"1793534460"}]},":wasreleased":{"L":[{"N":"1793534580"}]}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := devices(t, ok(`{}`), fault(400, "ConditionalCheckFailedException", ""))
			if err := s.Write(t.Context(), "x", test.write); err != nil {
				t.Error(err)
			}
			w.wantRequest(t, 0, test.operation, test.request)
			wantErr(t, s.Write(t.Context(), "x", test.write), device.ErrConflict)
		})
	}
}

// TestDevicesLimits: the longest expressions keep to DynamoDB's limits, which DynamoDB Local does not know all of.
func TestDevicesLimits(t *testing.T) {
	w, s := devices(t, ok(`{}`))
	from, to := devicetest.SeatOf(1), devicetest.SeatOf(3)
	most := device.Write{
		Epoch: 1, Device: "d", From: &from, To: &to, Clear: map[string]time.Time{}, Below: 1,
		Released: []time.Time{to.Until}, WasReleased: []time.Time{to.Until},
	}
	for n := range 100 {
		most.Clear[fmt.Sprint("device", n)] = to.Until
	}
	if err := s.Write(t.Context(), "x", most); err != nil {
		t.Fatal(err)
	}
	operators := regexp.MustCompile(` AND | = | < |size\(|attribute_not_exists\(|SET |REMOVE |, `)
	for _, name := range []string{"UpdateExpression", "ConditionExpression"} {
		expression := w.calls[0].body[name].(string)
		if found := len(operators.FindAllString(expression, -1)); len(expression) > 4096 || found > 300 || found < 100 {
			t.Errorf("%s: %d bytes, %d operators", name, len(expression), found)
		}
	}
}

// TestDevicesFaults: what DynamoDB does not do is no conflict, and no finding about seats.
func TestDevicesFaults(t *testing.T) {
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, s := devices(t, append(append(append([]answer{}, answers...), answers...), answers...)...)
			if seats, err := s.Seats(t.Context(), "x"); err == nil {
				t.Errorf("got %v", seats)
			}
			err := s.Write(t.Context(), "x", device.Write{Put: oneSeat()})
			if err == nil || errors.Is(err, device.ErrConflict) {
				t.Errorf("put: %v", err)
			}
			if err := s.Remove(t.Context(), "x"); err == nil {
				t.Error("removed")
			}
		})
	}
}

func TestDevicesRemove(t *testing.T) {
	w, s := devices(t, ok(`{}`))
	if err := s.Remove(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	w.wantRequest(t, 0, "DeleteItem", `{"TableName":"devices","Key":{"licenseid":{"S":"x"}}}`)
}

// FuzzDevicesSeats: of any item, seats are read that are written as they were read, or none.
func FuzzDevicesSeats(f *testing.F) {
	f.Add(seatsItem)
	for _, change := range oddSeats {
		f.Add(change(seatsItem))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var record attribute.Map
		if json.Unmarshal([]byte(text), &record) != nil || record == nil {
			return
		}
		value, err := dynamo.EncodeValue(record)
		if err != nil {
			t.Fatal(err)
		}
		table := &oneSeatsItem{item: value.(*types.AttributeValueMemberM).Value}
		s := dynamo.NewDevices(table, "devices")
		seats, err := s.Seats(t.Context(), "x")
		if err != nil {
			return
		}
		if seats == nil {
			t.Fatal("no seats, which nobody has said")
		}
		if err := s.Write(t.Context(), "x", device.Write{Put: seats}); err != nil {
			t.Fatal(err)
		}
		again, err := s.Seats(t.Context(), "x")
		if diff := cmp.Diff(seats, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v, (-read +read again):\n%s", err, diff)
		}
	})
}

// oneSeatsItem is a table of one item.
type oneSeatsItem struct {
	dynamo.DeviceAPI
	item map[string]types.AttributeValue
}

func (o *oneSeatsItem) GetItem(
	context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options),
) (*dynamodb.GetItemOutput, error) {
	return &dynamodb.GetItemOutput{Item: o.item}, nil
}

func (o *oneSeatsItem) PutItem(
	_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options),
) (*dynamodb.PutItemOutput, error) {
	o.item = in.Item
	return &dynamodb.PutItemOutput{}, nil
}
