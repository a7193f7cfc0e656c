package dynamo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
)

// described is DynamoDB's description of a table with what the service needs, and members of another value.
func described(members string) answer {
	var indexes []string
	for _, i := range license.Indexes {
		indexes = append(indexes, describedIndex(i.Name, i.Partition, i.Sort, "ALL", "ACTIVE"))
	}
	table := `"TableName":"licenses","TableStatus":"ACTIVE","ItemCount":7,"DeletionProtectionEnabled":true,
		"TableArn":"arn:aws:dynamodb:eu-west-1:123456789012:table/licenses",
		"AttributeDefinitions":[{"AttributeName":"licenseid","AttributeType":"S"},
			{"AttributeName":"ixends","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"licenseid","KeyType":"HASH"}],
		"ProvisionedThroughput":{"ReadCapacityUnits":0,"WriteCapacityUnits":0},
		"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"},
		"LatestStreamArn":"arn:stream","GlobalSecondaryIndexes":[` + strings.Join(indexes, ",") + `]`
	return ok(`{"Table":{` + table + members + `}}`) // of a name that comes twice, the later value counts
}

func describedIndex(name, partition, sort, projection, status string) string {
	return fmt.Sprintf(`{"IndexName":%q,"IndexStatus":%q,"Projection":{"ProjectionType":%q},
		"ProvisionedThroughput":{"ReadCapacityUnits":2,"WriteCapacityUnits":2},
		"KeySchema":[{"AttributeName":%q,"KeyType":"HASH"},{"AttributeName":%q,"KeyType":"RANGE"}]}`,
		name, status, projection, partition, sort)
}

var restorable = ok(`{"ContinuousBackupsDescription":{"ContinuousBackupsStatus":"ENABLED",
	"PointInTimeRecoveryDescription":{"PointInTimeRecoveryStatus":"ENABLED"}}}`)

func TestTableState(t *testing.T) {
	ready := dynamo.TableState{
		Name: "licenses", Status: "ACTIVE", Key: "licenseid S", Records: 7,
		StreamARN: "arn:stream", StreamView: "NEW_AND_OLD_IMAGES",
		DeletionProtection: true, PointInTimeRecovery: "ENABLED",
	}
	for _, index := range license.Indexes {
		ready.Indexes = append(ready.Indexes, dynamo.IndexState{Index: index, Condition: dynamo.IndexReady})
	}
	withIndex := func(s *dynamo.TableState, name string, condition dynamo.IndexCondition, why string) {
		s.Indexes = append([]dynamo.IndexState{}, s.Indexes...)
		for i := range s.Indexes {
			if s.Indexes[i].Name == name {
				s.Indexes[i].Condition, s.Indexes[i].Why = condition, why
			} else {
				s.Indexes[i].Condition, s.Indexes[i].Why = dynamo.IndexMissing, ""
			}
		}
	}
	one := func(index string) string { return `,"GlobalSecondaryIndexes":[` + index + `]` }
	for name, test := range map[string]struct {
		members string
		want    func(*dynamo.TableState)
	}{
		"Ready": {``, func(*dynamo.TableState) {}},
		"StreamOff": {`,"StreamSpecification":{"StreamEnabled":false}`,
			func(s *dynamo.TableState) { s.StreamARN, s.StreamView = "", "" }},
		"StreamOfKeys": {`,"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"KEYS_ONLY"}`,
			func(s *dynamo.TableState) { s.StreamView = "KEYS_ONLY" }},
		"Provisioned": {`,"ProvisionedThroughput":{"ReadCapacityUnits":5,"WriteCapacityUnits":6}`,
			func(s *dynamo.TableState) { s.ReadCapacity, s.WriteCapacity, s.LeastWriteCapacity = 5, 6, 2 }},
		"OtherKey": {`,"KeySchema":[{"AttributeName":"ixends","KeyType":"RANGE"},` +
			`{"AttributeName":"licenseid","KeyType":"HASH"}]`,
			func(s *dynamo.TableState) { s.Key = "licenseid S ixends S" }},
		"WrongType": {`,"AttributeDefinitions":[{"AttributeName":"licenseid","AttributeType":"S"},` +
			`{"AttributeName":"ixends","AttributeType":"N"},{"AttributeName":"other","AttributeType":"N"}]`,
			func(s *dynamo.TableState) { s.WrongTypes = []string{"ixends N"} }},
		"Replicas": {`,"Replicas":[{"RegionName":"eu-west-1"},{"RegionName":"us-east-1"}]`,
			func(s *dynamo.TableState) { s.OtherRegions = []string{"us-east-1"} }},
		"Unprotected": {`,"DeletionProtectionEnabled":false`,
			func(s *dynamo.TableState) { s.DeletionProtection = false }},
		"OneIndex": {one(describedIndex("expiry", "ixcollection", "ixends", "ALL", "ACTIVE")),
			func(s *dynamo.TableState) { withIndex(s, "expiry", dynamo.IndexReady, "") }},
		"IndexBuilds": {one(describedIndex("expiry", "ixcollection", "ixends", "ALL", "CREATING")),
			func(s *dynamo.TableState) { withIndex(s, "expiry", dynamo.IndexBuilds, "") }},
		"IndexKeys": {one(describedIndex("customer", "customerid", "licenseid", "ALL", "ACTIVE")),
			func(s *dynamo.TableState) {
				withIndex(s, "customer", dynamo.IndexDiffers,
					"its keys are customerid, licenseid, and must be ixowner, ixissued")
			}},
		"IndexProjection": {one(describedIndex("name", "ixcollection", "ixname", "KEYS_ONLY", "ACTIVE")),
			func(s *dynamo.TableState) {
				withIndex(s, "name", dynamo.IndexDiffers, "its projection is KEYS_ONLY, and must be ALL")
			}},
	} {
		t.Run(name, func(t *testing.T) {
			w, client := serve(t, described(test.members), restorable)
			want := ready
			test.want(&want)
			got, err := dynamo.ReadTableState(t.Context(), client, "licenses")
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			w.wantRequest(t, 0, "DescribeTable", `{"TableName":"licenses"}`)
			w.wantRequest(t, 1, "DescribeContinuousBackups", `{"TableName":"licenses"}`)
		})
	}
}

// TestTableStateFaults: who may not know of backups learns the rest, and any other failure is one.
func TestTableStateFaults(t *testing.T) {
	for code, isFault := range map[string]bool{
		"AccessDeniedException": false, "UnknownOperationException": false,
		"ContinuousBackupsUnavailableException": true,
	} {
		t.Run(code, func(t *testing.T) {
			_, client := serve(t, described(""), fault(400, code, ""))
			got, err := dynamo.ReadTableState(t.Context(), client, "licenses")
			if (err != nil) != isFault || got.PointInTimeRecovery != "" || got.Status != "ACTIVE" {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, client := serve(t, answers...)
			_, err := dynamo.ReadTableState(t.Context(), client, "licenses")
			wantFault(t, err, "describe table", "said by the server of nothing")
		})
	}
	t.Run("NotSaid", func(t *testing.T) {
		_, client := serve(t, ok(`{}`))
		if got, err := dynamo.ReadTableState(t.Context(), client, "licenses"); err == nil {
			t.Errorf("got %+v", got)
		}
	})
}

// TestPages: a scan for a table of little capacity asks for few records at once.
func TestPages(t *testing.T) {
	w, client := serve(t, ok(`{"Items":[]}`))
	for _, err := range dynamo.NewRecords(client, "licenses").InPages(25).Segment(t.Context(), 1, 4) {
		t.Error(err)
	}
	w.wantRequest(t, 0, "Scan", `{"TableName":"licenses","Segment":1,"TotalSegments":4,"Limit":25}`)
}
