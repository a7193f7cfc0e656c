package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/dynamo"
)

// licenseTable checks the table of the licenses as licenser adopt --check does.
func (d *doctor) licenseTable(ctx context.Context) {
	f := d.on("license table")
	s, err := dynamo.ReadTableState(ctx, dynamodb.NewFromConfig(d.cfg), d.stack.outputs["LicenseTableName"])
	if err != nil {
		f.untried(err)
		return
	}
	d.streamARN = s.StreamARN
	findings := tableFindings(s)
	for _, found := range findings {
		f.toDo(found.Code, found.Message, found.step.Do, found.step.Commands...)
	}
	switch {
	case s.PointInTimeRecovery == "":
		f.forbidden("dynamodb:DescribeContinuousBackups")
	case len(findings) == 0:
		f.ok("%s, with its stream and %d indexes, restorable and protected", s.Status, len(s.Indexes))
	}
}

// otherTables checks the other tables that are kept, which the stack names in its outputs. Tables without an output
// hold what expires.
func (d *doctor) otherTables(ctx context.Context) {
	client := dynamodb.NewFromConfig(d.cfg)
	var kept []string
	for _, output := range slices.Sorted(maps.Keys(d.stack.outputs)) {
		if name := d.stack.outputs[output]; strings.HasSuffix(output, "TableName") {
			kept = append(kept, name)
			if output != "LicenseTableName" {
				d.keptTable(ctx, client, name)
			}
		}
	}
	tables, known := d.resourcesOf("tables", "AWS::DynamoDB::Table")
	if !known {
		return
	}
	for _, table := range tables {
		if !slices.Contains(kept, table.name) {
			d.expiringTable(ctx, client, table.name)
		}
	}
}

// keptTable wants a table to be there, restorable, and not to be deleted by mistake.
func (d *doctor) keptTable(ctx context.Context, client *dynamodb.Client, name string) {
	f, before := d.on("table", name), len(d.rows)
	table, ok := d.describe(ctx, client, f, name)
	if !ok {
		return
	}
	if !aws.ToBool(table.DeletionProtectionEnabled) {
		f.toDo("DELETION_PROTECTION_OFF", "anybody who may delete tables can delete it by mistake",
			"Protect the table.", updateTable(name)+" --deletion-protection-enabled")
	}
	out, err := client.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &name})
	if err != nil {
		f.untried(err)
		return
	}
	isOn := false
	if backups := out.ContinuousBackupsDescription; backups != nil && backups.PointInTimeRecoveryDescription != nil {
		status := backups.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus
		isOn = status == types.PointInTimeRecoveryStatusEnabled
	}
	if !isOn {
		f.toDo("POINT_IN_TIME_RECOVERY_OFF", "it cannot be restored to a point in time",
			"Let the table be restored to any second of the last 35 days.",
			"aws dynamodb update-continuous-backups --table-name "+name+" \\\n"+
				"  --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true")
	}
	if len(d.rows) == before {
		f.ok("ACTIVE, restorable and protected")
	}
}

// expiringTable wants a table to be there, and to lose what has expired.
func (d *doctor) expiringTable(ctx context.Context, client *dynamodb.Client, name string) {
	f, before := d.on("table", name), len(d.rows)
	if _, ok := d.describe(ctx, client, f, name); !ok {
		return
	}
	out, err := client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
	if err != nil {
		f.untried(err)
		return
	}
	status := types.TimeToLiveStatusDisabled
	if out.TimeToLiveDescription != nil {
		status = out.TimeToLiveDescription.TimeToLiveStatus
	}
	if status != types.TimeToLiveStatusEnabled && status != types.TimeToLiveStatusEnabling {
		f.toDo("TIME_TO_LIVE_OFF", "what has expired stays in it, and is paid for", "Let it expire.",
			"aws dynamodb update-time-to-live --table-name "+name+" \\\n"+
				"  --time-to-live-specification Enabled=true,AttributeName=expires")
	}
	if len(d.rows) == before {
		f.ok("ACTIVE, what has expired goes")
	}
}

// describe adds to the report that a table or one of its indexes cannot be used. It returns no table where that is not
// known.
func (d *doctor) describe(
	ctx context.Context, client *dynamodb.Client, f finder, name string,
) (table types.TableDescription, ok bool) {
	out, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err == nil && out.Table == nil {
		err = errors.New("the table is not in the response")
	}
	if err != nil {
		f.untried(err)
		return table, false
	}
	if status := out.Table.TableStatus; status != types.TableStatusActive && status != types.TableStatusUpdating {
		f.toDo("TABLE_NOT_ACTIVE", "the table is "+string(status), "Wait until the table is ACTIVE.",
			waitForTable(name))
	}
	for _, index := range out.Table.GlobalSecondaryIndexes {
		if index.IndexStatus != types.IndexStatusActive {
			indexName := aws.ToString(index.IndexName)
			f.toDo("INDEX_NOT_ACTIVE", fmt.Sprintf("the index %s is %s", indexName, index.IndexStatus),
				"Wait until the index "+indexName+" is filled.", waitForIndex(name, indexName, "ACTIVE"))
		}
	}
	return *out.Table, true
}
