package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/attribute"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/licensetest"
)

var updateGolden = flag.Bool("update", false, "write the files in testdata that hold what the program prints")

// foreignRecord is the original's example with another id.
func foreignRecord(n int, changes attribute.Map) attribute.Map {
	record := attribute.Map{
		"licenseid": fmt.Sprintf("d5b35ffa-af15-44b7-9de0-%012d", n), "customername": "Test Customer",
		"appurls": "[]", "services": `[{"serviceName":"TEST","serviceValue":"EmbeddedPowerBI"}]`, "notes": "asdasf",
		"customerid": "869b100f-06b7-44cc-80df-b4c4bf728461", "expirationdate": "2099-01-03T00:00:00.000Z",
		"changedtimestamp": attribute.Number("1718622505782"), "isrevoked": false,
	}
	maps.Copy(record, changes)
	return record
}

// newDataFolder makes a data folder with the records, and closes it.
func newDataFolder(t *testing.T, records ...attribute.Map) (path string) {
	t.Helper()
	path = t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range records {
		err = errors.Join(err, folder.Licenses.PutRecord(t.Context(), record))
	}
	if err := errors.Join(err, folder.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// contents returns a digest of all files in a folder.
func contents(t *testing.T, folder string) (sum [sha256.Size]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", file, len(text), text)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// runAdopt runs the command on a folder, and returns what it prints.
func runAdopt(t *testing.T, c adoptCommand) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c.out, c.log, c.Segments = &out, io.Discard, 4
	c.now = func() time.Time { return licensetest.Now }
	err := c.run(t.Context())
	return out.String(), err
}

// TestAdoptFolder: check, adopt, again, check. A check changes no file.
func TestAdoptFolder(t *testing.T) {
	path := newDataFolder(t, foreignRecord(1, nil), foreignRecord(2, attribute.Map{"isrevoked": true}))
	before := contents(t, path)
	printed, err := runAdopt(t, adoptCommand{Data: path, Check: true})
	for _, want := range []string{"without true index attributes  2\n", "revoked                        1\n",
		"1. Adopt the licenses.\nlicenser adopt --data " + path + "\n"} {
		if !strings.Contains(printed, want) || err != nil {
			t.Errorf("%v, does not say %q:\n%s", err, want, printed)
		}
	}
	if contents(t, path) != before {
		t.Error("a check has changed the folder")
	}
	for _, want := range []string{"2 adopted, 0 already right, ", "0 adopted, 2 already right, "} {
		printed, err := runAdopt(t, adoptCommand{Data: path})
		if err != nil || !strings.HasPrefix(printed, "2 records seen: "+want) {
			t.Errorf("printed %s, %v; want %s", printed, err, want)
		}
	}
	printed, err = runAdopt(t, adoptCommand{Data: path, Check: true})
	if err != nil || !strings.HasSuffix(printed, "What to do next:\n  nothing\n") {
		t.Errorf("afterwards: %v\n%s", err, printed)
	}
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	page, err := folder.Licenses.List(t.Context(), license.Query{CustomerName: "TEST c", Limit: 10})
	if err != nil || len(page.Licenses) != 2 {
		t.Errorf("%d licenses are in the list, %v", len(page.Licenses), err)
	}
	for _, check := range []bool{true, false} {
		if _, err := runAdopt(t, adoptCommand{Data: path, Check: check}); err == nil ||
			!strings.Contains(err.Error(), "another process has it open") {
			t.Errorf("beside another process: %v", err)
		}
	}
}

// TestAdoptOlderFolder: to open a folder of an earlier version brings it up to date, and a check does not.
func TestAdoptOlderFolder(t *testing.T) {
	path := newDataFolder(t, foreignRecord(1, nil), foreignRecord(2, nil))
	db, err := bbolt.Open(filepath.Join(path, "licenser.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) (err error) {
		for _, index := range license.Indexes {
			err = errors.Join(err, tx.DeleteBucket([]byte(index.Name)))
		}
		return err
	})
	if err := errors.Join(err, db.Close(), os.Remove(filepath.Join(path, "licenser.db.sha256"))); err != nil {
		t.Fatal(err)
	}
	before := contents(t, path)
	printed, err := runAdopt(t, adoptCommand{Data: path, Check: true})
	if err != nil || !strings.Contains(printed, "without true index attributes  2\n") || contents(t, path) != before {
		t.Errorf("check: %v, changed: %t\n%s", err, contents(t, path) != before, printed)
	}
	printed, err = runAdopt(t, adoptCommand{Data: path})
	if err != nil || !strings.Contains(printed, "2 already right") {
		t.Errorf("adopt: %v %s", err, printed)
	}
}

// TestAdoptExitCodes: as docs/migrate.md says.
func TestAdoptExitCodes(t *testing.T) {
	right := newDataFolder(t, foreignRecord(1, nil))
	refused := newDataFolder(t, foreignRecord(1, attribute.Map{"isrevoked": "no"}))
	for arguments, want := range map[string]int{
		"adopt --check --data " + right:                    0,
		"adopt --check --data " + refused:                  4,
		"adopt --check --output json --data " + refused:    4,
		"adopt --data " + refused:                          0,
		"adopt --data " + t.TempDir():                      1,
		"adopt --check --data " + t.TempDir():              1,
		"adopt --check --key alias/token --data " + right:  2,
		"adopt --secret licenser --table licenses":         2,
		"adopt --segments 0 --data " + right:               2,
		"adopt --rate=-1 --data " + right:                  2,
		"adopt --output csv --data " + right:               2,
		"adopt --check --table licenses --secret licenser": 1, // no AWS region
	} {
		command := exec.Command(binary, strings.Fields(arguments)...)
		command.Env = []string{"AWS_CONFIG_FILE=" + os.DevNull}
		output, _ := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != want {
			t.Errorf("licenser %s: exit code %d, want %d\n%s", arguments, got, want, output)
		}
	}
}

// tableOnAWS is DynamoDB as far as adopt uses it, with a scan of one page.
type tableOnAWS struct {
	*lambdatest.AWS
	mu      sync.Mutex
	records map[string]attribute.Map
	updated func() // is called after each write
}

// newTableOnAWS serves a table that has all that is needed but for the changes.
func newTableOnAWS(t *testing.T, changes map[string]any, records ...attribute.Map) *tableOnAWS {
	t.Helper()
	table := &tableOnAWS{records: map[string]attribute.Map{}, updated: func() {}}
	for _, record := range records {
		table.records[record["licenseid"].(string)] = record
	}
	var indexes []any
	for _, index := range license.Indexes {
		indexes = append(indexes, describedIndex(index.Name, index.Partition, index.Sort))
	}
	description := map[string]any{
		"TableName": "licenses", "TableStatus": "ACTIVE", "ItemCount": len(records), "DeletionProtectionEnabled": true,
		"KeySchema":              []any{map[string]string{"AttributeName": "licenseid", "KeyType": "HASH"}},
		"AttributeDefinitions":   []any{map[string]string{"AttributeName": "licenseid", "AttributeType": "S"}},
		"StreamSpecification":    map[string]any{"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
		"LatestStreamArn":        "arn:aws:dynamodb:eu-west-1:123456789012:table/licenses/stream/1",
		"TableArn":               "arn:aws:dynamodb:eu-west-1:123456789012:table/licenses",
		"GlobalSecondaryIndexes": indexes,
	}
	maps.Copy(description, changes)
	table.AWS = lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"DescribeTable": func(map[string]any) (int, any) {
			return http.StatusOK, map[string]any{"Table": description}
		},
		"DescribeContinuousBackups": lambdatest.Fault(400, "AccessDeniedException"),
		"Scan":                      table.scan,
	})
	setAWS(t, table.URL)
	return table
}

func describedIndex(name, partition, sort string) map[string]any {
	return map[string]any{
		"IndexName": name, "IndexStatus": "ACTIVE", "Projection": map[string]any{"ProjectionType": "ALL"},
		"KeySchema": []any{
			map[string]string{"AttributeName": partition, "KeyType": "HASH"},
			map[string]string{"AttributeName": sort, "KeyType": "RANGE"},
		},
	}
}

func (o *tableOnAWS) scan(input map[string]any) (int, any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	items := []attribute.Map{}
	for i, id := range slices.Sorted(maps.Keys(o.records)) {
		if i%int(input["TotalSegments"].(float64)) == int(input["Segment"].(float64)) {
			items = append(items, maps.Clone(o.records[id]))
		}
	}
	return http.StatusOK, map[string]any{"Items": items}
}

// update sets the attributes that an UpdateItem names, on the condition that none is there.
func (o *tableOnAWS) update(input map[string]any) (int, any) {
	text, err := json.Marshal(input)
	var in struct {
		Key, ExpressionAttributeValues attribute.Map
		ExpressionAttributeNames       map[string]string
		UpdateExpression               string
	}
	if err == nil {
		err = json.Unmarshal(text, &in)
	}
	if err != nil {
		return http.StatusNotImplemented, err.Error()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	record := o.records[in.Key["licenseid"].(string)]
	for _, name := range in.ExpressionAttributeNames {
		if value, set := in.ExpressionAttributeValues[":"+name]; set {
			record[name] = value
		}
	}
	o.updated()
	return http.StatusOK, map[string]any{}
}

// TestAdoptTable: a run writes each record once, and a repeat nothing. One that is interrupted says how far it got, and
// is completed by the next.
func TestAdoptTable(t *testing.T) {
	const all = 60
	var records []attribute.Map
	for i := range all {
		records = append(records, foreignRecord(i, nil))
	}
	table := newTableOnAWS(t, nil, records...)
	table.Set("UpdateItem", table.update)
	ctx, interrupt := context.WithCancel(t.Context())
	written := 0
	table.updated = func() {
		if written++; written == 20 {
			interrupt()
		}
	}
	run := func(ctx context.Context) (done license.Adopted, err error) {
		var out bytes.Buffer
		err = adoptCommand{Table: "licenses", format: "json", Segments: 4, Rate: 10_000, out: &out, log: io.Discard,
			now: time.Now}.run(ctx)
		if errJSON := json.Unmarshal(out.Bytes(), &done); errJSON != nil {
			t.Fatalf("%v: %s", errJSON, &out)
		}
		return done, err
	}
	first, err := run(ctx)
	if err == nil || !strings.Contains(err.Error(), "interrupted") || exitCode(err) != 1 ||
		first.Adopted != table.Calls("UpdateItem") || first.Adopted < 20 || first.Adopted > 20+adoptWriters {
		t.Errorf("interrupted: %+v, %v, %d calls", first, err, table.Calls("UpdateItem"))
	}
	second, err := run(t.Context())
	want := license.Adopted{Seen: all, Adopted: all - first.Adopted, Right: first.Adopted}
	if second != want || err != nil || table.Calls("UpdateItem") != all {
		t.Errorf("second run: %+v, %v, %d calls; want %+v", second, err, table.Calls("UpdateItem"), want)
	}
	scans := table.Calls("Scan")
	third, err := run(t.Context())
	if want := (license.Adopted{Seen: all, Right: all}); third != want || err != nil ||
		table.Calls("UpdateItem") != all || table.Calls("GetItem") != 0 || table.Calls("Scan") != scans+4 {
		t.Errorf("third run: %+v, %v", third, err)
	}
}

// TestAdoptRefuses: without what it needs, it does not even read the records.
func TestAdoptRefuses(t *testing.T) {
	keyedBy := func(name, kind string) []any {
		return []any{map[string]string{"AttributeName": name, "KeyType": kind, "AttributeType": kind}}
	}
	for want, changes := range map[string]map[string]any{
		"the table has no stream": {"StreamSpecification": nil},
		"the view type of the stream is KEYS_ONLY": {
			"StreamSpecification": map[string]any{"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
		},
		"the index newest is missing, and the index customer is": {"GlobalSecondaryIndexes": nil},
		"the primary key of the table is id":                     {"KeySchema": keyedBy("id", "HASH")},
		"the table is ARCHIVED":                                  {"TableStatus": "ARCHIVED"},
		"another type than S: ixends N":                          {"AttributeDefinitions": keyedBy("ixends", "N")},
	} {
		t.Run(want, func(t *testing.T) {
			table := newTableOnAWS(t, changes, foreignRecord(1, nil))
			printed, err := runAdopt(t, adoptCommand{Table: "licenses"})
			if err == nil || !strings.Contains(err.Error(), want) || printed != "" || table.Calls("Scan") != 0 ||
				!strings.Contains(err.Error(), "licenser adopt --check --table licenses") {
				t.Errorf("%v, printed %q, %d scans", err, printed, table.Calls("Scan"))
			}
		})
	}
	t.Run("but not for advice", func(t *testing.T) {
		table := newTableOnAWS(t, map[string]any{"DeletionProtectionEnabled": false}, foreignRecord(1, nil))
		table.Set("UpdateItem", table.update)
		printed, err := runAdopt(t, adoptCommand{Table: "licenses"})
		if err != nil || !strings.Contains(printed, "1 adopted") {
			t.Errorf("%v %s", err, printed)
		}
	})
}

// TestAdoptCheckReport plants one instance of each finding, and compares the whole report. The stand-in for AWS has no
// operation that writes.
func TestAdoptCheckReport(t *testing.T) {
	different := []any{
		describedIndex("customer", "customerid", "licenseid"),
		describedIndex("newest", "ixcollection", "ixissued"),
	}
	building := describedIndex("name", "ixcollection", "ixname")
	building["IndexStatus"] = "CREATING"
	table := newTableOnAWS(t, map[string]any{
		"DeletionProtectionEnabled": false, "GlobalSecondaryIndexes": append(different, building),
		"StreamSpecification":   map[string]any{"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"},
		"ProvisionedThroughput": map[string]any{"ReadCapacityUnits": 500, "WriteCapacityUnits": 6},
		"Replicas":              []any{map[string]any{"RegionName": "us-east-1"}},
		"AttributeDefinitions": []any{
			map[string]string{"AttributeName": "licenseid", "AttributeType": "S"},
			map[string]string{"AttributeName": "ixends", "AttributeType": "N"},
		},
	},
		licensetest.Issue(t).Record(), foreignRecord(1, nil),
		foreignRecord(2, attribute.Map{"expirationdate": "private"}),
		foreignRecord(3, attribute.Map{"isrevoked": true, "services": attribute.Number("5")}),
		foreignRecord(4, attribute.Map{"licenseid": "trial"}),
		foreignRecord(5, attribute.Map{"licenseid": "D5B35FFA-AF15-44B7-9DE0-000000000001"}),
		foreignRecord(6, attribute.Map{"customerid": "acme"}),
	)
	table.Set("DescribeContinuousBackups", func(map[string]any) (int, any) {
		return http.StatusOK, map[string]any{"ContinuousBackupsDescription": map[string]any{
			"ContinuousBackupsStatus":        "ENABLED",
			"PointInTimeRecoveryDescription": map[string]any{"PointInTimeRecoveryStatus": "DISABLED"},
		}}
	})
	table.Set("GetSecretValue", func(map[string]any) (int, any) {
		return http.StatusOK, map[string]any{"SecretString": `{"key":"hush-hush"}`}
	})
	table.Set("DescribeKey", func(map[string]any) (int, any) {
		return http.StatusOK, map[string]any{"KeyMetadata": map[string]any{
			"KeyId": "1", "Arn": "arn:aws:kms:eu-west-1:123456789012:key/1", "KeySpec": "ECC_NIST_P256",
			"KeyUsage": "SIGN_VERIFY", "KeyState": "Disabled",
		}}
	})
	c := adoptCommand{Table: "licenses", Check: true, Secret: "licenser", Key: "alias/token", format: "json"}
	for output, file := range map[string]string{"json": "adopt-check.json", "text": "adopt-check.txt"} {
		c.format = terminal.Format(output)
		printed, err := runAdopt(t, c)
		if exitCode(err) != exitCodeFirst {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", file)
		if *updateGolden {
			if err := os.WriteFile(golden, []byte(printed), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if diff := cmp.Diff(string(want), printed); diff != "" || err != nil {
			t.Errorf("%v, %s (-want +got):\n%s", err, golden, diff)
		}
		for _, private := range []string{"hush", "private", "Test Customer", "869b100f"} {
			if strings.Contains(printed, private) {
				t.Errorf("%s is in %s", private, output)
			}
		}
	}
	table.Set("GetSecretValue", func(map[string]any) (int, any) {
		return http.StatusOK, map[string]any{"SecretString": `{"secret":"hush-hush"}`}
	})
	c.format = "text"
	printed, err := runAdopt(t, c)
	if exitCode(err) != exitCodeFirst || !strings.Contains(printed, "(SECRET_UNUSABLE)") ||
		!strings.Contains(printed, `has no "key"`) || strings.Contains(printed, "hush") {
		t.Errorf("a secret without a key: %v\n%s", err, printed)
	}
}

// TestAdoptCheckOtherTable: the records of a table that holds no licenses are not read.
func TestAdoptCheckOtherTable(t *testing.T) {
	table := newTableOnAWS(t, map[string]any{
		"KeySchema": []any{map[string]string{"AttributeName": "id", "KeyType": "HASH"}}, "StreamSpecification": nil,
	})
	printed, err := runAdopt(t, adoptCommand{Table: "licenses", Check: true})
	if exitCode(err) != exitCodeFirst || !strings.Contains(printed, "(TABLE_KEY)") ||
		!strings.Contains(printed, "(STREAM_MISSING)") || table.Calls("Scan") != 0 {
		t.Errorf("%v\n%s", err, printed)
	}
}

// TestAdoptPace: what is not said follows from the table, and leaves it half of its capacity.
func TestAdoptPace(t *testing.T) {
	provisioned := &dynamo.TableState{ReadCapacity: 10, WriteCapacity: 20, LeastWriteCapacity: 6}
	for name, test := range map[string]struct {
		rate          int
		state         *dynamo.TableState
		reads, writes float64
		page          int32
	}{
		"provisioned":      {0, provisioned, 40, 3, 10},
		"on demand":        {0, &dynamo.TableState{}, 3200, 400, 800},
		"said":             {5, provisioned, 40, 5, 10},
		"said, one":        {1, provisioned, 8, 1, 2},
		"said, much":       {100_000, &dynamo.TableState{}, 800_000, 100_000, 1000},
		"said, for folder": {7, nil, 56, 7, 14},
	} {
		p := adoptCommand{Rate: test.rate}.paceOf(test.state)
		if float64(p.reads.Limit()) != test.reads || float64(p.writes.Limit()) != test.writes ||
			p.page(4) != test.page || p.reads.Burst() < 1 || p.writes.Burst() < 1 {
			t.Errorf("%s: %v reads, %v writes, pages of %d", name, p.reads.Limit(), p.writes.Limit(), p.page(4))
		}
	}
	if p := (adoptCommand{}).paceOf(nil); p.writes.Wait(t.Context()) != nil || p.reads.Wait(t.Context()) != nil {
		t.Error("a folder of this machine waits")
	}
}

// TestProgress: where there is no terminal, a line comes now and then, and none for what is done at once.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, "records", 500)
	p.show(1)
	p.line = p.line.Add(-progressLineEvery)
	p.show(2)
	p.show(3)
	p.total = 0
	p.line = p.line.Add(-progressLineEvery)
	p.show(4)
	p.end()
	if want := "2 of about 500 records\n4 records\n"; out.String() != want {
		t.Errorf("wrote %q, want %q", &out, want)
	}
}

func TestQuoteForShell(t *testing.T) {
	for text, want := range map[string]string{
		"/var/lib/licenser": "/var/lib/licenser", "": "''", "my data": "'my data'", "a'b": `'a'\''b'`,
	} {
		if got := quoteForShell(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
