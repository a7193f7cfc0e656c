package dynamo_test

import (
	"errors"
	"strings"
	"testing"

	"openlicenser/shared/device"
)

func TestDevicesForgetNames(t *testing.T) {
	const (
		read = `{"TableName":"devices","Key":{"licenseid":{"S":"x"}},"ConsistentRead":true,
			"ReturnConsumedCapacity":"TOTAL"}`
		seat  = `"until":{"N":"1793534460"},"since":{"N":"1793534400001"}`
		write = `{"TableName":"devices","Key":{"licenseid":{"S":"x"}},"UpdateExpression":"SET #seats = :nameless",
			"ConditionExpression":"#seats = :seats","ExpressionAttributeNames":{"#seats":"seats"},
			"ExpressionAttributeValues":{
				":seats":{"M":{"some-device":{"M":{` + seat + `,"name":{"S":"Workstation 1"}}}}},
				":nameless":{"M":{"some-device":{"M":{` + seat + `}}}}}}`
	)
	item, refused := ok(`{"Item":`+seatsItem+`}`), fault(400, "ConditionalCheckFailedException", "")
	t.Run("OK", func(t *testing.T) {
		w, s := devices(t, item, ok(`{}`))
		if err := s.ForgetNames(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "GetItem", read)
		w.wantRequest(t, 1, "UpdateItem", write)
	})
	t.Run("OK/ChangedMeanwhile", func(t *testing.T) {
		w, s := devices(t, item, refused, item, ok(`{}`))
		if err := s.ForgetNames(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 3, "UpdateItem", write)
	})
	t.Run("OK/LostReply", func(t *testing.T) { // the repetition is refused, and then no name is left
		nameless := ok(`{"Item":` + strings.Replace(seatsItem, `,
		"name":{"S":"Workstation 1"}`, "", 1) + `}`)
		_, s := devices(t, item, answer{status: 500}, refused, nameless)
		if err := s.ForgetNames(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("OK/None", func(t *testing.T) {
		_, s := devices(t, noItem("devices"))
		if err := s.ForgetNames(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("ErrConflict", func(t *testing.T) {
		var answers []answer
		for range 10 {
			answers = append(answers, item, refused)
		}
		_, s := devices(t, answers...)
		if err := s.ForgetNames(t.Context(), "x"); !errors.Is(err, device.ErrConflict) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("Odd", func(t *testing.T) {
		_, s := devices(t, ok(`{"Item":`+oddSeats["no seats"](seatsItem)+`}`))
		wantFault(t, s.ForgetNames(t.Context(), "x"), "forget the names of devices", "Workstation")
	})
	for name, answers := range faults {
		t.Run("Fault/"+name, func(t *testing.T) {
			_, s := devices(t, answers...)
			wantFault(t, s.ForgetNames(t.Context(), "x"), "forget the names of devices", "Workstation")
			_, s = devices(t, append([]answer{item}, answers...)...)
			wantFault(t, s.ForgetNames(t.Context(), "x"), "forget the names of devices", "Workstation")
		})
	}
}
