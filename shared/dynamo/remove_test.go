package dynamo_test

import (
	"errors"
	"testing"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

func TestRemove(t *testing.T) {
	l := licensetest.Issue(t)
	w, client := serve(t, ok(`{}`), fault(400, "ConditionalCheckFailedException", ""))
	store := dynamo.NewLicenses(client, "t", "r")
	if err := store.Remove(t.Context(), l); err != nil {
		t.Error(err)
	}
	if err := store.Remove(t.Context(), l); !errors.Is(err, license.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	w.wantRequest(t, 0, "DeleteItem", `{"TableName":"t","Key":{"licenseid":{"S":"`+l.ID+`"}},
		"ConditionExpression":"attribute_exists(#licenseid) `+
		`AND #changedtimestamp = :was_changedtimestamp AND #version = :was_version",
		"ExpressionAttributeNames":{"#licenseid":"licenseid","#changedtimestamp":"changedtimestamp",
		"#version":"version"},
		"ExpressionAttributeValues":{":was_changedtimestamp":{"N":"1793534400000"},":was_version":{"N":"1"}}}`)
}

func TestRemoveFaults(t *testing.T) {
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, answers...)
			if err := dynamo.NewLicenses(client, "t", "r").Remove(t.Context(), licensetest.Issue(t)); err == nil ||
				errors.Is(err, license.ErrConflict) {
				t.Errorf("got %v", err)
			}
		})
	}
}
