package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/uuid"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/awstest"
)

var adoptLicenses = flag.Int("adopt-licenses", 0,
	"measure licenser adopt on so many licenses in DynamoDB Local; docs/performance.md has the results")

// originalTable is a table as the original Open Licenser has it: without indexes and a stream.
type originalTable struct {
	t      *testing.T
	client *dynamodb.Client
	name   string
}

// newOriginalTable makes a table in DynamoDB Local, which the environment then names as AWS. Its capacity is on demand,
// or so many units.
func newOriginalTable(t *testing.T, capacity int64) originalTable {
	t.Helper()
	setAWS(t, awstest.Need(t, awstest.DynamoDBVariable))
	cfg, err := awsConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := aws.String("licenseid")
	in := &dynamodb.CreateTableInput{
		TableName: aws.String("licenser-test-" + uuid.NewString()), BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: id, KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: id, AttributeType: "S"}},
	}
	if capacity > 0 {
		in.BillingMode = types.BillingModeProvisioned
		in.ProvisionedThroughput = &types.ProvisionedThroughput{
			ReadCapacityUnits: &capacity, WriteCapacityUnits: &capacity,
		}
	}
	client := dynamodb.NewFromConfig(cfg)
	if _, err := client.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: in.TableName})
	})
	return originalTable{t, client, *in.TableName}
}

// put writes licenses as a tool does that knows nine attributes, and returns their ids.
func (o originalTable) put(n int) (ids []string) {
	o.t.Helper()
	batches := make(chan []types.WriteRequest)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for batch := range batches {
				_, err := o.client.BatchWriteItem(o.t.Context(), &dynamodb.BatchWriteItemInput{
					RequestItems: map[string][]types.WriteRequest{o.name: batch},
				})
				if err != nil {
					o.t.Error(err)
				}
			}
		})
	}
	var batch []types.WriteRequest
	for i := range n {
		ids = append(ids, uuid.NewString())
		batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: foreignItem(ids[i], i)}})
		if len(batch) == 25 || i == n-1 {
			batches <- batch
			batch = nil
		}
	}
	close(batches)
	writers.Wait()
	return ids
}

// foreignItem is the original's example with another id and name.
func foreignItem(id string, n int) map[string]types.AttributeValue {
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	return map[string]types.AttributeValue{
		"licenseid": text(id), "customername": text(fmt.Sprintf("Customer %d", n)),
		"customerid":       text("869b100f-06b7-44cc-80df-b4c4bf728461"),
		"appurls":          text(`[{"URL":"http://app.example.com"}]`),
		"services":         text(`[{"serviceName":"TEST","serviceValue":"EmbeddedPowerBI"}]`),
		"changedtimestamp": &types.AttributeValueMemberN{Value: "1718622505782"},
		"expirationdate":   text("2099-01-03T00:00:00.000Z"),
		"isrevoked":        &types.AttributeValueMemberBOOL{},
		"notes":            text("asdasf"),
	}
}

// adopt runs the command on the table.
func (o originalTable) adopt(change func(*adoptCommand)) (output string, err error) {
	o.t.Helper()
	var out bytes.Buffer
	c := adoptCommand{Table: o.name, format: "json", Segments: 4, Rate: 100_000, out: &out, log: io.Discard}
	change(&c)
	err = c.run(o.t.Context())
	return out.String(), err
}

func check(c *adoptCommand) { c.Check = true }

// checked returns what --check reports.
func (o originalTable) checked() (r checkReport, err error) {
	o.t.Helper()
	output, err := o.adopt(check)
	if err := json.Unmarshal([]byte(output), &r); err != nil {
		o.t.Fatalf("%v: %s", err, output)
	}
	return r, err
}

// cli stands in for the AWS CLI. It writes down each of its calls, an argument a line, and says what is waited for.
const cli = `#!/bin/bash
for argument; do printf '%s\n' "${argument//$'\n'/ }"; done >>"$CALLS"
echo >>"$CALLS"
case $2 in describe-table) echo "$STATUS";; esac
`

// paste pastes the commands of a step into a shell, and then does what they have asked of AWS.
func (o originalTable) paste(s step) {
	o.t.Helper()
	folder := o.t.TempDir()
	calls := filepath.Join(folder, "calls")
	if err := os.WriteFile(filepath.Join(folder, "aws"), []byte(cli), 0o700); err != nil {
		o.t.Fatal(err)
	}
	shell := exec.Command("bash", "-ec", strings.Join(s.Commands, "\n"))
	shell.Env = append(os.Environ(), "CALLS="+calls, "STATUS=ACTIVE", "PATH="+folder+":"+os.Getenv("PATH"))
	if out, err := shell.CombinedOutput(); err != nil {
		o.t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(calls)
	if err != nil {
		o.t.Fatal(err)
	}
	for call := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		arguments := strings.Split(call, "\n")
		switch rest, isOfTable := strings.CutPrefix(strings.Join(arguments, " "), "dynamodb "); {
		case isOfTable && strings.HasPrefix(rest, "update-table --table-name "+o.name+" "):
			o.update(arguments[4:])
		case rest != "wait table-exists --table-name "+o.name &&
			!strings.HasPrefix(rest, "describe-table --table-name "+o.name+" "):
			o.t.Fatalf("calls aws %q", arguments)
		}
	}
}

// update updates the table as the arguments of aws dynamodb update-table say.
func (o originalTable) update(arguments []string) {
	o.t.Helper()
	in := &dynamodb.UpdateTableInput{TableName: &o.name}
	for ; len(arguments) > 0; arguments = arguments[1:] {
		switch arguments[0] {
		case "--stream-specification":
			arguments = arguments[1:]
			in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true)}
			if arguments[0] != "StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES" {
				o.t.Errorf("switches on the stream %s", arguments[0])
			}
			in.StreamSpecification.StreamViewType = types.StreamViewTypeNewAndOldImages
		case "--attribute-definitions":
			for len(arguments) > 1 && !strings.HasPrefix(arguments[1], "--") {
				name, isText := strings.CutSuffix(arguments[1], ",AttributeType=S")
				if !isText {
					o.t.Errorf("defines %s", arguments[1])
				}
				name = strings.TrimPrefix(name, "AttributeName=")
				in.AttributeDefinitions = append(in.AttributeDefinitions,
					types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS})
				arguments = arguments[1:]
			}
		case "--global-secondary-index-updates":
			arguments = arguments[1:]
			if err := json.Unmarshal([]byte(arguments[0]), &in.GlobalSecondaryIndexUpdates); err != nil {
				o.t.Fatal(err, arguments[0])
			}
		case "--deletion-protection-enabled": // DynamoDB Local then could not delete the table
			return
		default:
			o.t.Fatalf("unknown argument %s", arguments[0])
		}
	}
	if _, err := o.client.UpdateTable(o.t.Context(), in); err != nil {
		o.t.Fatal(err)
	}
	o.waitUntilActive()
}

func (o originalTable) waitUntilActive() {
	o.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		out, err := o.client.DescribeTable(o.t.Context(), &dynamodb.DescribeTableInput{TableName: &o.name})
		if err != nil || time.Now().After(deadline) {
			o.t.Fatal("the table does not become active", err)
		}
		isActive := out.Table.TableStatus == types.TableStatusActive
		for _, index := range out.Table.GlobalSecondaryIndexes {
			isActive = isActive && index.IndexStatus == types.IndexStatusActive
		}
		if isActive {
			return
		}
	}
}

// TestAdoptOnAWS goes the way of docs/migrate.md: check, paste what it prints, check again, adopt. Then licenses of
// another tool are in all lists.
func TestAdoptOnAWS(t *testing.T) {
	for name, capacity := range map[string]int64{"on-demand": 0, "provisioned": 50} {
		t.Run(name, func(t *testing.T) {
			o := newOriginalTable(t, capacity)
			ids := o.put(60)
			if _, err := o.adopt(func(*adoptCommand) {}); err == nil ||
				!strings.Contains(err.Error(), "the table has no stream, and the index newest is missing") {
				t.Errorf("a table without anything: %v", err)
			}
			r, err := o.checked()
			if exitCode(err) != 4 || r.Ready || r.Table.Billing != name || r.Records.Lacking != len(ids) {
				t.Fatalf("%v: %+v", err, r)
			}
			for _, next := range r.Next {
				if strings.HasPrefix(next.Code, "INDEX_") || next.Code == "STREAM_MISSING" {
					o.paste(next)
				}
			}
			if r, err = o.checked(); err != nil || !r.Ready || r.Records.Records != len(ids) ||
				r.Records.Lacking != len(ids) || r.Records.Statuses[license.Active] != len(ids) {
				t.Fatalf("%v: %+v", err, r)
			}
			o.wantAdopted(license.Adopted{Seen: len(ids), Adopted: len(ids)})
			o.wantInLists(ids)
			o.wantAdopted(license.Adopted{Seen: len(ids), Right: len(ids)})
			if r, err = o.checked(); err != nil || r.Records.Lacking != 0 {
				t.Errorf("%v: %+v", err, r)
			}
		})
	}
}

func (o originalTable) wantAdopted(want license.Adopted) {
	o.t.Helper()
	var got license.Adopted
	output, err := o.adopt(func(*adoptCommand) {})
	if errJSON := json.Unmarshal([]byte(output), &got); errors.Join(err, errJSON) != nil || got != want {
		o.t.Errorf("got %+v, %v; want %+v", got, errors.Join(err, errJSON), want)
	}
}

// wantInLists wants all licenses in every list that does not ask for an e-mail address, which other tools do not write.
func (o originalTable) wantInLists(ids []string) {
	o.t.Helper()
	store := dynamo.NewLicenses(o.client, o.name, "references")
	for name, q := range map[string]license.Query{
		"newest":   {},
		"customer": {CustomerID: "869b100f-06b7-44cc-80df-b4c4bf728461"},
		"name":     {CustomerName: "cUSTOMER"},
		"standing": {Status: license.Active},
		"expiry":   {ExpiringAfter: time.Now()},
	} {
		q.Now, q.Limit = time.Now(), 100
		page, err := store.List(o.t.Context(), q)
		found := map[string]bool{}
		for _, l := range page.Licenses {
			found[l.ID] = true
		}
		if len(found) != len(ids) || !found[ids[0]] || err != nil {
			o.t.Errorf("%s: %d of %d licenses, %v", name, len(found), len(ids), err)
		}
	}
}

// TestMeasureAdopt measures a check, the first run, and a repeat.
//
//	.tools/awslocal run go test -count=1 -v -timeout 1h -run TestMeasureAdopt ./cmd/licenser -adopt-licenses 100000
func TestMeasureAdopt(t *testing.T) {
	if *adoptLicenses == 0 {
		t.Skip("-adopt-licenses is not given")
	}
	o := newOriginalTable(t, 0)
	r, _ := o.checked()
	for _, next := range r.Next {
		if strings.HasPrefix(next.Code, "INDEX_") || next.Code == "STREAM_MISSING" {
			o.paste(next)
		}
	}
	o.put(*adoptLicenses)
	for _, run := range []string{"check", "first run", "repeat", "check"} {
		arguments := []string{"adopt", "--table", o.name, "--rate", "100000"}
		if run == "check" {
			arguments = append(arguments, "--check")
		}
		command := exec.Command(binary, arguments...)
		var output bytes.Buffer
		command.Stdout = &output
		began := time.Now()
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		peak := make(chan string)
		go func() { peak <- peakMemory(command.Process.Pid) }()
		if err := command.Wait(); err != nil {
			t.Fatalf("%s: %v\n%s", run, err, &output)
		}
		ended := command.ProcessState
		t.Logf("%s: %.1f s, %.1f s of a processor, peak memory %s\n%s", run, time.Since(began).Seconds(),
			(ended.UserTime() + ended.SystemTime()).Seconds(), <-peak, &output)
	}
}

// peakMemory follows a process of Linux to its end, and returns the most memory that it had.
func peakMemory(pid int) (peak string) {
	for ; ; time.Sleep(10 * time.Millisecond) {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, after, found := strings.Cut(string(status), "VmHWM:")
		if !found {
			return peak
		}
		line, _, _ := strings.Cut(after, "\n")
		peak = strings.TrimSpace(line)
	}
}
