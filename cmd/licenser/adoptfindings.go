package main

import (
	"fmt"
	"slices"
	"strings"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
)

// finding is something that a check has found.
type finding struct {
	Code    string `json:"code"`
	First   bool   `json:"first"` // must be done before moving over
	Message string `json:"message"`

	step  step // what to do about it; nothing where Do is empty
	after bool // that is better done when everything else is
}

// step is something to do.
type step struct {
	Code     string   `json:"code"` // of the finding; empty: what comes after all that
	Do       string   `json:"do"`
	Commands []string `json:"commands"` // to be pasted into a shell, in this order
}

// firstFindings returns the messages of those that must be done first.
func firstFindings(findings []finding) (messages []string) {
	for _, f := range findings {
		if f.First {
			messages = append(messages, f.Message)
		}
	}
	return messages
}

// tableFindings returns what is to be done about a table, in order.
func tableFindings(s dynamo.TableState) (findings []finding) {
	add := func(code string, first bool, message, do string, commands ...string) {
		findings = append(findings, finding{code, first, message, step{code, do, commands}, false})
	}
	if !s.CanBeUsed() {
		add("TABLE_NOT_ACTIVE", true, "the table is "+s.Status, "Wait until the table is ACTIVE.", waitForTable(s.Name))
	}
	if !s.HasLicenseKey() {
		add("TABLE_KEY", true,
			fmt.Sprintf("the primary key of the table is %s, and must be %s S", s.Key, license.AttrID),
			"Name the license table: this is another one.")
	}
	if s.StreamARN == "" {
		add("STREAM_MISSING", true, "the table has no stream", "Switch the stream on.", switchStreamOn(s.Name)...)
	} else if !s.HasStream() {
		commands := slices.Concat([]string{waitForTable(s.Name), updateTable(s.Name) + " \\\n" +
			"  --stream-specification StreamEnabled=false"}, switchStreamOn(s.Name))
		add("STREAM_VIEW", true, "the view type of the stream is "+s.StreamView+", and must be NEW_AND_OLD_IMAGES",
			"Replace the stream. Whoever reads the present one has to be given the new one.", commands...)
	}
	if wrong := strings.Join(s.WrongTypes, ", "); wrong != "" {
		add("ATTRIBUTE_TYPE", true, "indexes take attributes for another type than S: "+wrong,
			"Delete the indexes that are keyed by "+wrong+".")
	}
	for _, isBuilding := range []bool{true, false} { // no other index can be created meanwhile
		for _, index := range s.Indexes {
			f, found := indexFinding(s, index)
			if found && isBuilding == (index.Condition == dynamo.IndexBuilds) {
				findings = append(findings, f)
			}
		}
	}
	if len(s.OtherRegions) > 0 {
		add("REPLICAS", false, "the table has replicas in other regions ("+strings.Join(s.OtherRegions, ", ")+
			"): replication reads the stream too, which bears the two readers of the service and no third",
			"Decide whether the replicas can go, and delete them.")
	}
	if s.PointInTimeRecovery != "" && s.PointInTimeRecovery != "ENABLED" {
		add("POINT_IN_TIME_RECOVERY_OFF", false, "the table cannot be restored to a point in time",
			"Let the table be restored to any second of the last 35 days.",
			"aws dynamodb update-continuous-backups --table-name "+s.Name+" \\\n"+
				"  --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true")
	}
	if !s.DeletionProtection {
		add("DELETION_PROTECTION_OFF", false, "anybody who may delete tables can delete this one by mistake",
			"Protect the table.", waitForTable(s.Name), updateTable(s.Name)+" --deletion-protection-enabled")
	}
	return findings
}

func indexFinding(s dynamo.TableState, index dynamo.IndexState) (f finding, found bool) {
	name := index.Name
	made := func(code, what, do string, commands ...string) (finding, bool) {
		return finding{code, true, "the index " + name + " " + what, step{code, do, commands}, false}, true
	}
	switch index.Condition {
	case dynamo.IndexMissing:
		return made("INDEX_MISSING", "is missing", "Create the index "+name+", and wait until it is filled.",
			createIndex(s, index.Index)...)
	case dynamo.IndexBuilds:
		return made("INDEX_NOT_ACTIVE", "is not active yet", "Wait until the index "+name+" is filled.",
			waitForIndex(s.Name, name, "ACTIVE"))
	case dynamo.IndexDiffers:
		return made("INDEX_DIFFERS", "is another one: "+index.Why, "Replace the index "+name+". Before that, give "+
			"whatever reads it an index of another name: the original's application is configured with one.",
			slices.Concat(deleteIndex(s.Name, name), createIndex(s, index.Index))...)
	}
	return finding{}, false
}

// The commands of the AWS CLI. Only one index at a time can be created or deleted, and only while the table is ACTIVE.

func updateTable(table string) string { return "aws dynamodb update-table --table-name " + table }

func waitForTable(table string) string { return "aws dynamodb wait table-exists --table-name " + table }

func switchStreamOn(table string) []string {
	return []string{waitForTable(table), updateTable(table) + " \\\n" +
		"  --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"}
}

// waitForIndex waits until an index has the status, or is gone where that is empty.
func waitForIndex(table, index, status string) string {
	return fmt.Sprintf("until [ \"$(aws dynamodb describe-table --table-name %s --output text \\\n"+
		"  --query \"Table.GlobalSecondaryIndexes[?IndexName=='%s'].IndexStatus\")\" = \"%s\" ]; do sleep 10; done",
		table, index, status)
}

func createIndex(s dynamo.TableState, index license.Index) []string {
	capacity := ""
	if s.WriteCapacity > 0 {
		capacity = fmt.Sprintf(`,"ProvisionedThroughput":{"ReadCapacityUnits":%d,"WriteCapacityUnits":%d}`,
			s.ReadCapacity, s.WriteCapacity)
	}
	create := fmt.Sprintf(`[{"Create":{"IndexName":"%s",`+
		`"KeySchema":[{"AttributeName":"%s","KeyType":"HASH"},{"AttributeName":"%s","KeyType":"RANGE"}],`+
		`"Projection":{"ProjectionType":"ALL"}%s}}]`, index.Name, index.Partition, index.Sort, capacity)
	return []string{
		waitForTable(s.Name),
		fmt.Sprintf("%s \\\n"+
			"  --attribute-definitions AttributeName=%s,AttributeType=S AttributeName=%s,AttributeType=S \\\n"+
			"  --global-secondary-index-updates '%s'", updateTable(s.Name), index.Partition, index.Sort, create),
		waitForIndex(s.Name, index.Name, "ACTIVE"),
	}
}

func deleteIndex(table, index string) []string {
	return []string{
		waitForTable(table),
		fmt.Sprintf("%s \\\n  --global-secondary-index-updates '[{\"Delete\":{\"IndexName\":\"%s\"}}]'",
			updateTable(table), index),
		waitForIndex(table, index, ""),
	}
}

// quoteForShell returns a word that a shell takes for the text.
func quoteForShell(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-"
	if text != "" && strings.Trim(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// recordFindings returns what is to be done about the records.
func recordFindings(s license.Survey) (findings []finding) {
	add := func(count int, code string, first bool, message, do string) {
		if count > 0 {
			findings = append(findings, finding{code, first, fmt.Sprintf(message, count), step{code, do, nil}, false})
		}
	}
	add(len(s.Refused), "RECORDS_REFUSED", true,
		"records that cannot be understood: %d; verification of these licenses is a fault (500)",
		"Repair the records that are refused, with the tool that wrote them.")
	add(len(s.Harmless), "RECORDS_HARMLESS", false,
		"records of which a part cannot be understood that does not matter for verification now: %d", "")
	add(len(s.NotUUIDs), "LICENSEID_NOT_UUID", false,
		"license ids that are no UUIDs: %d; products can use them, and the vendor's API does not find them", "")
	add(len(s.DifferByCase), "LICENSEIDS_DIFFER_BY_CASE", false,
		"license ids that several licenses have but for case: %d; people will take one for the other", "")
	add(len(s.CustomerNotUUIDs), "CUSTOMERID_NOT_UUID", false,
		"licenses whose customer id is no UUID: %d; the vendor's API does not list them by it", "")
	return findings
}

func secretFindings(s secretReport) (findings []finding) {
	name := "secret " + s.Name + ": "
	if s.Problem != "" {
		const code = "SECRET_UNUSABLE"
		findings = append(findings, finding{code, true, name + s.Problem, step{
			code, `Make the secret a JSON object with the string "key", the very text that has signed the license ` +
				`keys so far, or name another one.`, nil,
		}, false})
	}
	if s.Short > 0 {
		const code = "SECRET_SHORT"
		findings = append(findings, finding{
			code, false, name + "it has less than 32 bytes: whoever has a license key may guess it", step{
				code, "Rotate the short secret away: licenser keys rotate --help.", nil,
			}, true})
	}
	return findings
}

func keyFindings(k keyReport) (findings []finding) {
	const code = "KEY_UNUSABLE"
	for _, problem := range k.Problems {
		findings = append(findings, finding{code, true, "key " + k.Name + ": " + problem, step{
			code, "Name the key that signs authorization tokens: this one cannot.", nil,
		}, false})
	}
	return findings
}
