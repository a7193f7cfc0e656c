package dynamo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/licensetest"
)

// plans has the real client speak to a wire.
func plans(t *testing.T, answers ...answer) (*wire, *dynamo.Plans) {
	w, client := serve(t, answers...)
	return w, dynamo.NewPlans(client, "plans")
}

func TestPlansContract(t *testing.T) {
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	licensetest.TestPlans(t, func(t *testing.T) license.PlanStore {
		client := newClient(endpoint)
		return dynamo.NewPlans(client, createTable(t, client, "PlanTable"))
	})
}

func TestPlansGet(t *testing.T) {
	want := licensetest.Plan(t, "pro")
	item := dynamoJSON(t, want.Record())
	t.Run("OK", func(t *testing.T) {
		w, s := plans(t, ok(`{"Item":`+item+`}`))
		got, err := s.Get(t.Context(), "pro")
		if diff := licensetest.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		w.wantRequest(t, 0, "GetItem", `{"TableName":"plans","Key":{"plan":{"S":"pro"}},"ConsistentRead":true,
			"ReturnConsumedCapacity":"TOTAL"}`)
	})
	t.Run("ErrNoPlan", func(t *testing.T) {
		_, s := plans(t, noItem("plans"))
		_, err := s.Get(t.Context(), "pro")
		wantErr(t, err, license.ErrNoPlan)
	})
	t.Run("ErrNoPlan/NoName", func(t *testing.T) {
		_, s := plans(t) // no call
		for _, name := range []string{"", "a/b", strings.Repeat("x", 65)} {
			_, err := s.Get(t.Context(), name)
			wantErr(t, err, license.ErrNoPlan)
		}
	})
	// That there is no plan has to be said.
	for name, a := range map[string]answer{
		"nothing said": ok(`{}`), "another table": noItem("others"), "another plan": ok(
			`{"Item":` + strings.Replace(item, `"pro"`, `"Pro"`, 1) + `}`),
		"odd": ok(`{"Item":` + dynamoJSON(t, with(want.Record(), "version", "1")) + `}`),
	} {
		t.Run(name, func(t *testing.T) {
			_, s := plans(t, a)
			if p, err := s.Get(t.Context(), "pro"); err == nil || errors.Is(err, license.ErrNoPlan) {
				t.Errorf("got %+v, %v", p, err)
			}
		})
	}
}

func TestPlansPut(t *testing.T) {
	first := licensetest.Plan(t, "pro")
	second := licensetest.ReplacePlan(t, first, license.Plan{Name: "pro", Notes: "second"})
	item := func(p license.Plan) string { return dynamoJSON(t, p.Record()) }
	changed := fmt.Sprint(licensetest.Now.UnixMilli())
	t.Run("OnAbsence", func(t *testing.T) {
		w, s := plans(t, ok(`{}`))
		if err := s.Put(t.Context(), license.Plan{}, first); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "PutItem", `{"TableName":"plans","Item":`+item(first)+`,
			"ConditionExpression":"attribute_not_exists(#plan)","ExpressionAttributeNames":{"#plan":"plan"},
			"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`)
	})
	t.Run("OnWhatWasRead", func(t *testing.T) {
		w, s := plans(t, ok(`{}`))
		if err := s.Put(t.Context(), first, second); err != nil {
			t.Fatal(err)
		}
		w.wantRequest(t, 0, "PutItem", `{"TableName":"plans","Item":`+item(second)+`,
			"ConditionExpression":"#changedtimestamp = :was_changedtimestamp AND #version = :was_version",
			"ExpressionAttributeNames":{"#changedtimestamp":"changedtimestamp","#version":"version"},
			"ExpressionAttributeValues":{":was_changedtimestamp":{"N":"`+changed+`"},":was_version":{"N":"1"}},
			"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}`)
	})
	failed := func(item string) answer {
		if item != "" {
			item = `,"Item":` + item
		}
		return fault(400, "ConditionalCheckFailedException", item)
	}
	other, anonymous := second, second
	other.RequestID, anonymous.RequestID = "another request", ""
	ours := dynamoJSON(t, with(second.Record(), "notes", "x"))
	for name, test := range map[string]struct {
		put     license.Plan
		answers []answer
		want    error
	}{
		"LostReply":         {second, []answer{{status: 500}, failed(item(second))}, nil},
		"Stale":             {second, []answer{failed(item(first))}, license.ErrPlanConflict},
		"Gone":              {second, []answer{failed("")}, license.ErrPlanConflict},
		"SameByAnother":     {second, []answer{failed(item(other))}, license.ErrPlanConflict},
		"OtherOfOurRequest": {second, []answer{failed(ours)}, license.ErrPlanConflict},
		"NoRequestID":       {anonymous, []answer{failed(item(anonymous))}, license.ErrPlanConflict},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := plans(t, test.answers...)
			if err := s.Put(t.Context(), first, test.put); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestPlansDelete(t *testing.T) {
	p := licensetest.Plan(t, "pro")
	w, s := plans(t, ok(`{}`), fault(400, "ConditionalCheckFailedException", ""))
	if err := s.Delete(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	w.wantRequest(t, 0, "DeleteItem", fmt.Sprintf(`{"TableName":"plans","Key":{"plan":{"S":"pro"}},
		"ConditionExpression":"#changedtimestamp = :was_changedtimestamp AND #version = :was_version",
		"ExpressionAttributeNames":{"#changedtimestamp":"changedtimestamp","#version":"version"},
		"ExpressionAttributeValues":{":was_changedtimestamp":{"N":"%d"},":was_version":{"N":"1"}}}`,
		licensetest.Now.UnixMilli()))
	wantErr(t, s.Delete(t.Context(), p), license.ErrPlanConflict)
	wantErr(t, s.Delete(t.Context(), license.Plan{Name: "pro"}), license.ErrPlanConflict) // without a call
}

// TestPlansList: all pages of the table are read, strongly consistent, and make one order.
func TestPlansList(t *testing.T) {
	page := func(more string, names ...string) answer {
		var items []string
		for _, name := range names {
			items = append(items, dynamoJSON(t, licensetest.Plan(t, name).Record()))
		}
		return ok(`{"Items":[` + strings.Join(items, ",") + `]` + more + `}`)
	}
	w, s := plans(t, page(`,"LastEvaluatedKey":{"plan":{"S":"b"}}`, "d", "b"), page(``, "a", "c"))
	got, err := s.List(t.Context(), "a", 2)
	if err != nil || len(got) != 2 || got[0].Name != "b" || got[1].Name != "c" {
		t.Errorf("got %+v, %v", got, err)
	}
	w.wantRequest(t, 0, "Scan", `{"TableName":"plans","ConsistentRead":true}`)
	w.wantRequest(t, 1, "Scan",
		`{"TableName":"plans","ConsistentRead":true,"ExclusiveStartKey":{"plan":{"S":"b"}}}`)
	odd := dynamoJSON(t, attribute.Map{"plan": "odd"})
	for name, a := range map[string]answer{"nothing said": ok(`{}`), "odd": ok(`{"Items":[` + odd + `]}`)} {
		_, s := plans(t, a)
		if got, err := s.List(t.Context(), "", 2); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// TestPlansFaults: none of them says anything about a plan.
func TestPlansFaults(t *testing.T) {
	p := licensetest.Plan(t, "pro")
	for name, answers := range faults {
		for operation, do := range map[string]func(*dynamo.Plans) error{
			"Get":    func(s *dynamo.Plans) error { _, err := s.Get(t.Context(), "pro"); return err },
			"Put":    func(s *dynamo.Plans) error { return s.Put(t.Context(), license.Plan{}, p) },
			"Delete": func(s *dynamo.Plans) error { return s.Delete(t.Context(), p) },
			"List":   func(s *dynamo.Plans) error { _, err := s.List(t.Context(), "", 1); return err },
		} {
			t.Run(name+"/"+operation, func(t *testing.T) {
				_, s := plans(t, answers...)
				err := do(s)
				if err == nil || errors.Is(err, license.ErrNoPlan) || errors.Is(err, license.ErrPlanConflict) {
					t.Errorf("got error %v", err)
				}
				if strings.Contains(fmt.Sprint(err), p.Notes) {
					t.Errorf("the error quotes the plan: %v", err)
				}
			})
		}
	}
}
