package dynamo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/license"
)

// PlanAPI is what Plans uses of a *dynamodb.Client.
type PlanAPI interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...option) (*dynamodb.GetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...option) (*dynamodb.PutItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...option) (*dynamodb.DeleteItemOutput, error)
	Scan(context.Context, *dynamodb.ScanInput, ...option) (*dynamodb.ScanOutput, error)
}

// Plans keeps plans in a table with the partition key plan (S), the name. As Licenses does, Put recognizes what an
// earlier try of the SDK has written.
type Plans struct {
	client PlanAPI
	table  string
}

var _ license.PlanStore = (*Plans)(nil)

// NewPlans returns a store in the table with the name or ARN.
func NewPlans(client PlanAPI, table string) *Plans { return &Plans{client, table} }

func planKey(name string) item { return item{license.AttrPlan: text(name)} }

// Get implements license.PlanStore. What cannot be a name is license.ErrNoPlan like any other.
func (s *Plans) Get(ctx context.Context, name string) (license.Plan, error) {
	if !license.IsPlanName(name) {
		return license.Plan{}, license.ErrNoPlan
	}
	values, err := getItem(ctx, s.client, s.table, planKey(name))
	switch {
	case err != nil:
		return license.Plan{}, fmt.Errorf("get plan: %w", err)
	case values == nil:
		return license.Plan{}, license.ErrNoPlan
	}
	return toPlan(values)
}

// Put implements license.PlanStore.
func (s *Plans) Put(ctx context.Context, before, after license.Plan) error {
	record := after.Record()
	values, err := encoder.Map(record)
	if err != nil {
		return fmt.Errorf("put plan: %w", err)
	}
	condition, e, err := planCondition(before)
	if err != nil {
		return fmt.Errorf("put plan: %w", err)
	}
	in := &dynamodb.PutItemInput{
		TableName:                           &s.table,
		Item:                                values,
		ConditionExpression:                 &condition,
		ExpressionAttributeNames:            e.names,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if len(e.values) > 0 { // DynamoDB refuses an empty map
		in.ExpressionAttributeValues = e.values
	}
	_, err = s.client.PutItem(ctx, in)
	return writeError("put plan", err, license.ErrPlanConflict, record, nil)
}

// Delete implements license.PlanStore. Where the SDK repeats a removal whose response was lost, the plan is gone, and
// Delete returns license.ErrPlanConflict.
func (s *Plans) Delete(ctx context.Context, p license.Plan) error {
	if p.Version == 0 {
		return license.ErrPlanConflict
	}
	condition, e, err := planCondition(p)
	if err != nil {
		return fmt.Errorf("delete plan: %w", err)
	}
	_, err = s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &s.table,
		Key:                       planKey(p.Name),
		ConditionExpression:       &condition,
		ExpressionAttributeNames:  e.names,
		ExpressionAttributeValues: e.values,
	})
	return writeError("delete plan", err, license.ErrPlanConflict, nil, nil)
}

// planCondition returns the condition that the stored plan is the expected one, or that there is none.
func planCondition(expected license.Plan) (condition string, e expressions, err error) {
	e = expressions{names: map[string]string{}, values: item{}}
	if expected.Version == 0 {
		return "attribute_not_exists(" + e.name(license.AttrPlan) + ")", e, nil
	}
	conditions, err := e.conditions(expected.Expectation())
	return strings.Join(conditions, " AND "), e, err
}

// List implements license.PlanStore. DynamoDB keeps no order of partition keys, so each page reads the whole table and
// sorts it. That costs a read unit for each 4 KB of all plans, which are few.
func (s *Plans) List(ctx context.Context, after string, limit int) ([]license.Plan, error) {
	var plans []license.Plan
	pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err == nil {
			err = checkListed(page.Items)
		}
		if err != nil {
			return nil, fmt.Errorf("list plans: %w", err)
		}
		for _, values := range page.Items {
			if textOf(values, license.AttrPlan) <= after {
				continue
			}
			p, err := toPlan(values)
			if err != nil {
				return nil, err
			}
			plans = append(plans, p)
		}
	}
	slices.SortFunc(plans, func(a, b license.Plan) int { return strings.Compare(a.Name, b.Name) })
	return plans[:min(limit, len(plans))], nil
}

func toPlan(values item) (license.Plan, error) {
	record, err := decodeItem(values)
	if err != nil {
		return license.Plan{}, fmt.Errorf("plan: %w", err)
	}
	return license.PlanFromRecord(record)
}
