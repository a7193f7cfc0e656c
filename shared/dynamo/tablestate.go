package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"openlicenser/shared/license"
)

// TableAPI is what ReadTableState uses of a *dynamodb.Client.
type TableAPI interface {
	DescribeTable(context.Context, *dynamodb.DescribeTableInput, ...option) (*dynamodb.DescribeTableOutput, error)
	DescribeContinuousBackups(
		context.Context, *dynamodb.DescribeContinuousBackupsInput, ...option,
	) (*dynamodb.DescribeContinuousBackupsOutput, error)
}

// TableState is what DynamoDB says of a license table, as far as the service depends on it.
type TableState struct {
	Name   string
	Status string // as ACTIVE or UPDATING
	Key    string // the attributes of the primary key with their types, as "licenseid S"

	// Records is their number as DynamoDB knows it. That may be hours old.
	Records int64
	// The capacity units a second of the table and, for writes, of the index that has the fewest. Zero: on demand.
	ReadCapacity, WriteCapacity int64
	LeastWriteCapacity          int64

	StreamARN  string // of the stream that is on; empty: none
	StreamView string // as NEW_AND_OLD_IMAGES
	Indexes    []IndexState

	// WrongTypes are index attributes that the table declares as another type than S, as "ixends N".
	WrongTypes []string
	// OtherRegions are those that have a replica. Replication reads the stream too.
	OtherRegions []string

	DeletionProtection  bool
	PointInTimeRecovery string // as ENABLED; empty where that cannot be found out
}

// IndexState says how one of license.Indexes is in the table.
type IndexState struct {
	license.Index
	Condition IndexCondition
	Why       string // Differs: what is not as it must be
}

// IndexCondition is the condition of an index.
type IndexCondition string

// The conditions of an index.
const (
	IndexReady   IndexCondition = "ready"
	IndexMissing IndexCondition = "missing"
	IndexBuilds  IndexCondition = "builds" // or is being changed or deleted
	IndexDiffers IndexCondition = "differs"
)

// HasStream reports whether the table has the stream that the service reads.
func (s TableState) HasStream() bool {
	return s.StreamARN != "" && s.StreamView == string(types.StreamViewTypeNewAndOldImages)
}

// CanBeUsed reports whether DynamoDB reads and writes the table.
func (s TableState) CanBeUsed() bool {
	return s.Status == string(types.TableStatusActive) || s.Status == string(types.TableStatusUpdating)
}

// HasLicenseKey reports whether records have the primary key of licenses.
func (s TableState) HasLicenseKey() bool { return s.Key == attrLicenseID+" S" }

// ReadTableState returns the state of the table with the name or ARN. It changes nothing.
func ReadTableState(ctx context.Context, client TableAPI, table string) (TableState, error) {
	out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		return TableState{}, fmt.Errorf("describe table: %w", err)
	}
	if out.Table == nil || aws.ToString(out.Table.TableName) == "" {
		return TableState{}, fmt.Errorf("describe table: %w", errNotSaid)
	}
	state := stateOf(*out.Table)
	state.PointInTimeRecovery, err = pointInTimeRecovery(ctx, client, table)
	return state, err
}

func stateOf(t types.TableDescription) TableState {
	s := TableState{
		Name:               aws.ToString(t.TableName),
		Status:             string(t.TableStatus),
		Records:            aws.ToInt64(t.ItemCount),
		DeletionProtection: aws.ToBool(t.DeletionProtectionEnabled),
	}
	typeOf := map[string]string{}
	for _, definition := range t.AttributeDefinitions {
		name, kind := aws.ToString(definition.AttributeName), definition.AttributeType
		typeOf[name] = string(kind)
		if slices.Contains(license.IndexAttributes, name) && kind != types.ScalarAttributeTypeS {
			s.WrongTypes = append(s.WrongTypes, name+" "+string(kind))
		}
	}
	for _, name := range keyNames(t.KeySchema) {
		s.Key = strings.TrimSpace(s.Key + " " + name + " " + typeOf[name])
	}
	if capacity := t.ProvisionedThroughput; capacity != nil {
		s.ReadCapacity = aws.ToInt64(capacity.ReadCapacityUnits)
		s.WriteCapacity = aws.ToInt64(capacity.WriteCapacityUnits)
		s.LeastWriteCapacity = s.WriteCapacity
	}
	if stream := t.StreamSpecification; stream != nil && aws.ToBool(stream.StreamEnabled) {
		s.StreamARN, s.StreamView = aws.ToString(t.LatestStreamArn), string(stream.StreamViewType)
	}
	for _, index := range license.Indexes {
		found := slices.IndexFunc(t.GlobalSecondaryIndexes, func(i types.GlobalSecondaryIndexDescription) bool {
			return aws.ToString(i.IndexName) == index.Name
		})
		state := IndexState{Index: index, Condition: IndexMissing}
		if found >= 0 {
			described := t.GlobalSecondaryIndexes[found]
			state = indexState(index, described)
			if capacity := described.ProvisionedThroughput; capacity != nil {
				s.LeastWriteCapacity = min(s.LeastWriteCapacity, aws.ToInt64(capacity.WriteCapacityUnits))
			}
		}
		s.Indexes = append(s.Indexes, state)
	}
	for _, replica := range t.Replicas {
		region := aws.ToString(replica.RegionName)
		if !strings.Contains(aws.ToString(t.TableArn), ":"+region+":") {
			s.OtherRegions = append(s.OtherRegions, region)
		}
	}
	return s
}

// keyNames returns the partition key, and then the sort key where there is one.
func keyNames(schema []types.KeySchemaElement) (names []string) {
	for _, kind := range []types.KeyType{types.KeyTypeHash, types.KeyTypeRange} {
		for _, element := range schema {
			if element.KeyType == kind {
				names = append(names, aws.ToString(element.AttributeName))
			}
		}
	}
	return names
}

func indexState(index license.Index, described types.GlobalSecondaryIndexDescription) IndexState {
	state := IndexState{Index: index, Condition: IndexReady}
	keys := keyNames(described.KeySchema)
	projection := types.ProjectionTypeKeysOnly
	if described.Projection != nil {
		projection = described.Projection.ProjectionType
	}
	switch {
	case !slices.Equal(keys, []string{index.Partition, index.Sort}):
		state.Condition = IndexDiffers
		state.Why = fmt.Sprintf("its keys are %s, and must be %s, %s",
			strings.Join(keys, ", "), index.Partition, index.Sort)
	case projection != types.ProjectionTypeAll:
		state.Condition = IndexDiffers
		state.Why = fmt.Sprintf("its projection is %s, and must be %s", projection, types.ProjectionTypeAll)
	case described.IndexStatus != types.IndexStatusActive:
		state.Condition = IndexBuilds
	}
	return state
}

// pointInTimeRecovery returns nothing where the caller may not know, or the endpoint does not, which is no reason to
// fail.
func pointInTimeRecovery(ctx context.Context, client TableAPI, table string) (string, error) {
	out, err := client.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &table})
	var coded smithy.APIError
	switch {
	case errors.As(err, &coded) && slices.Contains([]string{"AccessDeniedException", "UnknownOperationException"},
		coded.ErrorCode()):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("describe continuous backups: %w", err)
	case out.ContinuousBackupsDescription == nil ||
		out.ContinuousBackupsDescription.PointInTimeRecoveryDescription == nil:
		return "", nil
	}
	return string(out.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus), nil
}
