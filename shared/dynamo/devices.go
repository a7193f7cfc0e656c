package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/device"
)

// The attributes of a license's seats, besides the partition key licenseid (S).
const (
	attrEpoch    = "epoch"    // N
	attrSeats    = "seats"    // M: by a device's id its seat, an M of until (N, Unix seconds), since (N, ms), name (S)
	attrYoungest = "youngest" // N, Unix milliseconds
	attrReleased = "released" // L of N, Unix seconds; absent where there are none
	attrUntil    = "until"
	attrSince    = "since"
	attrName     = "name"
)

// DeviceAPI is what Devices uses of a *dynamodb.Client.
type DeviceAPI interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...option) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...option) (*dynamodb.PutItemOutput, error)
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...option) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...option) (*dynamodb.DeleteItemOutput, error)
}

// Devices keeps the seats of licenses in a table with the partition key licenseid (S). All seats of a license are in
// one item, so each write is one conditional update, and there is no transaction.
type Devices struct {
	client DeviceAPI
	table  string
}

var _ device.Store = (*Devices)(nil)

// NewDevices returns a store in the table with the name or ARN.
func NewDevices(client DeviceAPI, table string) *Devices { return &Devices{client, table} }

// Seats implements device.Store. It reads with strong consistency.
func (s *Devices) Seats(ctx context.Context, licenseID string) (*device.Seats, error) {
	values, err := getItem(ctx, s.client, s.table, licenseKey(licenseID))
	if err != nil {
		return nil, fmt.Errorf("get seats: %w", err)
	}
	return toSeats(values)
}

// Write implements device.Store.
func (s *Devices) Write(ctx context.Context, licenseID string, w device.Write) error {
	var err error
	if w.Put != nil {
		err = s.put(ctx, licenseID, w)
	} else {
		err = s.update(ctx, licenseID, w)
	}
	var failed *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &failed):
		return device.ErrConflict
	case err != nil:
		return fmt.Errorf("write seats: %w", err)
	}
	return nil
}

func (s *Devices) put(ctx context.Context, licenseID string, w device.Write) error {
	in := &dynamodb.PutItemInput{
		TableName:                &s.table,
		Item:                     fromSeats(licenseID, w.Put),
		ConditionExpression:      aws.String("attribute_not_exists(#licenseid)"),
		ExpressionAttributeNames: map[string]string{"#licenseid": attrLicenseID},
	}
	if w.Replaces != nil {
		in.ConditionExpression = aws.String("#epoch = :epoch")
		in.ExpressionAttributeNames = map[string]string{"#epoch": attrEpoch}
		in.ExpressionAttributeValues = item{":epoch": whole(*w.Replaces)}
	}
	_, err := s.client.PutItem(ctx, in)
	return err
}

// update writes what device.Write.Apply does, on the conditions of device.Write.
func (s *Devices) update(ctx context.Context, licenseID string, w device.Write) error {
	u := seatsUpdate{names: map[string]string{}, values: item{}}
	u.want(u.name("epoch", attrEpoch) + " = " + u.value("epoch", whole(w.Epoch)))
	u.clear(w.Clear)
	u.move(w)
	u.release(w)
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.table,
		Key:                       licenseKey(licenseID),
		UpdateExpression:          aws.String(clause("SET ", u.sets) + clause(" REMOVE ", u.removes)),
		ConditionExpression:       aws.String(strings.Join(u.conditions, " AND ")),
		ExpressionAttributeNames:  u.names,
		ExpressionAttributeValues: u.values,
	})
	return err
}

// seatsUpdate puts the expressions of an update together.
type seatsUpdate struct {
	conditions, sets, removes []string
	names                     map[string]string
	values                    item
}

// want adds a condition of device.Write.
func (u *seatsUpdate) want(condition string) { u.conditions = append(u.conditions, condition) }

func (u *seatsUpdate) name(short, name string) string {
	u.names["#"+short] = name
	return "#" + short
}

func (u *seatsUpdate) value(short string, value types.AttributeValue) string {
	u.values[":"+short] = value
	return ":" + short
}

// seat returns the path of a device's seat.
func (u *seatsUpdate) seat(short, deviceID string) string {
	return u.name("seats", attrSeats) + "." + u.name(short, deviceID)
}

func (u *seatsUpdate) clear(ends map[string]time.Time) {
	for n, id := range slices.Sorted(maps.Keys(ends)) {
		short := "c" + strconv.Itoa(n)
		seat := u.seat(short, id)
		u.want(seat + "." + u.name("until", attrUntil) + " = " + u.value(short, seconds(ends[id])))
		u.removes = append(u.removes, seat)
	}
}

// move adds what becomes of the seat of the device.
func (u *seatsUpdate) move(w device.Write) {
	if w.Below > 0 {
		u.want("size(" + u.name("seats", attrSeats) + ") < " + u.value("below", whole(int64(w.Below))))
	}
	if w.From == nil && w.To == nil {
		return
	}
	seat := u.seat("device", w.Device)
	if w.From != nil {
		u.want(seat + "." + u.name("until", attrUntil) + " = " + u.value("until", seconds(w.From.Until)))
		u.want(seat + "." + u.name("since", attrSince) + " = " + u.value("since", milliseconds(w.From.Since)))
	} else {
		u.want("attribute_not_exists(" + seat + ")")
	}
	if w.To != nil {
		u.sets = append(u.sets, seat+" = "+u.value("seat", fromSeat(*w.To)))
	} else {
		u.removes = append(u.removes, seat)
	}
	if w.IsNewSeat() {
		youngest := u.name("youngest", attrYoungest)
		since := u.value("youngest", milliseconds(w.To.Since))
		u.want(youngest + " < " + since)
		u.sets = append(u.sets, youngest+" = "+since)
	}
}

func (u *seatsUpdate) release(w device.Write) {
	if w.Released == nil {
		return
	}
	released := u.name("released", attrReleased)
	u.sets = append(u.sets, released+" = "+u.value("released", fromInstants(w.Released)))
	if len(w.WasReleased) == 0 {
		u.want("attribute_not_exists(" + released + ")")
	} else {
		u.want(released + " = " + u.value("wasreleased", fromInstants(w.WasReleased)))
	}
}

// clause returns a clause of an update, and nothing where it would be empty, which DynamoDB refuses.
func clause(keyword string, parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return keyword + strings.Join(parts, ", ")
}

// Remove implements device.Store.
func (s *Devices) Remove(ctx context.Context, licenseID string) error {
	in := &dynamodb.DeleteItemInput{TableName: &s.table, Key: licenseKey(licenseID)}
	if _, err := s.client.DeleteItem(ctx, in); err != nil {
		return fmt.Errorf("remove seats: %w", err)
	}
	return nil
}

func fromSeats(licenseID string, s *device.Seats) item {
	seats := item{}
	for id, seat := range s.Held {
		seats[id] = fromSeat(seat)
	}
	values := item{
		attrLicenseID: text(licenseID),
		attrEpoch:     whole(s.Epoch),
		attrSeats:     &types.AttributeValueMemberM{Value: seats},
		attrYoungest:  milliseconds(s.Youngest),
	}
	if len(s.Released) > 0 {
		values[attrReleased] = fromInstants(s.Released)
	}
	return values
}

func fromSeat(seat device.Seat) types.AttributeValue {
	values := item{attrUntil: seconds(seat.Until), attrSince: milliseconds(seat.Since)}
	if seat.Name != "" {
		values[attrName] = text(seat.Name)
	}
	return &types.AttributeValueMemberM{Value: values}
}

func fromInstants(instants []time.Time) types.AttributeValue {
	list := make([]types.AttributeValue, len(instants))
	for i, instant := range instants {
		list[i] = seconds(instant)
	}
	return &types.AttributeValueMemberL{Value: list}
}

func whole(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func milliseconds(t time.Time) types.AttributeValue { return whole(t.UnixMilli()) }

// seatsReader reads the attributes of seats, and keeps the first error. What is not as it must be is a fault: seats are
// never guessed.
type seatsReader struct{ err error }

// toSeats returns the seats in an item, and nil for no item.
func toSeats(values item) (*device.Seats, error) {
	if values == nil {
		return nil, nil
	}
	var r seatsReader
	s := &device.Seats{
		Epoch:    r.whole(values, attrEpoch),
		Held:     map[string]device.Seat{},
		Youngest: r.milliseconds(values, attrYoungest),
	}
	seats, isMap := values[attrSeats].(*types.AttributeValueMemberM)
	if !isMap {
		r.refuse(attrSeats)
		return nil, r.err
	}
	for id, value := range seats.Value {
		seat, isMap := value.(*types.AttributeValueMemberM)
		if !isMap {
			r.refuse(attrSeats)
			break
		}
		s.Held[id] = device.Seat{
			Until: r.seconds(seat.Value, attrUntil), Since: r.milliseconds(seat.Value, attrSince),
			Name: textOf(seat.Value, attrName),
		}
	}
	if values[attrReleased] != nil {
		s.Released = r.instants(values[attrReleased])
	}
	return s, r.err
}

func (r *seatsReader) refuse(name string) {
	if r.err == nil {
		r.err = fmt.Errorf("the seats of a license cannot be understood: %s", name)
	}
}

func (r *seatsReader) whole(values item, name string) int64 {
	n, isNumber := values[name].(*types.AttributeValueMemberN)
	if !isNumber {
		r.refuse(name)
		return 0
	}
	parsed, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		r.refuse(name)
	}
	return parsed
}

func (r *seatsReader) seconds(values item, name string) time.Time {
	return time.Unix(r.whole(values, name), 0).UTC()
}

func (r *seatsReader) milliseconds(values item, name string) time.Time {
	return time.UnixMilli(r.whole(values, name)).UTC()
}

func (r *seatsReader) instants(value types.AttributeValue) (instants []time.Time) {
	list, isList := value.(*types.AttributeValueMemberL)
	if !isList {
		r.refuse(attrReleased)
		return nil
	}
	for _, element := range list.Value {
		instants = append(instants, r.seconds(item{attrReleased: element}, attrReleased))
	}
	return instants
}
