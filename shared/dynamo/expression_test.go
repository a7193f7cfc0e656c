package dynamo_test

import (
	"testing"

	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
)

// TestAmendExpressions: DynamoDB refuses an empty clause, and an amendment can have nothing to set or nothing to
// remove.
func TestAmendExpressions(t *testing.T) {
	for want, amendment := range map[string]license.Amendment{
		"SET #ixname = :ixname":                    {Set: attribute.Map{"ixname": "a"}},
		"REMOVE #ixemail, #ixname":                 {Remove: []string{"ixname", "ixemail"}},
		"SET #ixname = :ixname REMOVE #ixemail":    {Set: attribute.Map{"ixname": "a"}, Remove: []string{"ixemail"}},
		"SET #ixends = :ixends, #ixname = :ixname": {Set: attribute.Map{"ixname": "a", "ixends": "0000"}},
	} {
		t.Run(want, func(t *testing.T) {
			w, client := serve(t, ok(`{}`))
			if err := dynamo.NewRecords(client, "licenses").Amend(t.Context(), "a", amendment); err != nil {
				t.Fatal(err)
			}
			if got := w.calls[0].body["UpdateExpression"]; got != want {
				t.Errorf("the update is %q", got)
			}
			if w.calls[0].body["ReturnValues"] != nil { // the role may return nothing
				t.Errorf("the update returns %v", w.calls[0].body["ReturnValues"])
			}
		})
	}
}
