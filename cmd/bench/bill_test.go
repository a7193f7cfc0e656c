//go:build unix

package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"testing"

	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/samtemplate"
)

var update = flag.Bool("update", false, "write the tables of costs into README.md and docs/deploy.md")

// estimatedSeconds is how long a verification takes on Lambda, as Lambda bills it. What this machine takes is another
// time each time.
const estimatedSeconds = 0.010

// measure returns what verifications call and log, by the built function.
func measure(t *testing.T) (reused, signed result) {
	t.Helper()
	binary := lambdatest.Build(t, "./functions/verify")
	lab, err := newLaboratory(4, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer lab.endpoint.Close()
	results, err := lab.run([]scenario{
		{name: "reused, table", binary: binary, signed: true, records: 1},
		{name: "signed, kept", binary: binary, records: 1},
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		for n := range results[i].warm {
			results[i].warm[n] = estimatedSeconds
		}
	}
	return results[0], results[1]
}

// TestBill: README.md and docs/deploy.md have the costs that follow from template.yaml, and from what the built
// function calls and logs. With -update they are written. They are no more than they may be.
func TestBill(t *testing.T) {
	t.Chdir("../..")
	template, err := samtemplate.Read()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSettings(template)
	if err != nil {
		t.Fatal(err)
	}
	reused, signed := measure(t)
	bill := million(reused, signed, s)
	provisioned, err := standing(template)
	if err != nil {
		t.Fatal(err)
	}
	onDemand, err := standing(template.With(map[string]any{"BillingMode": "PAY_PER_REQUEST"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := sum(bill); got > costTargetOfAll {
		t.Errorf("a million verifications cost $%.2f, at most $%.2f", got, costTargetOfAll)
	}
	if got := sum(provisioned); got > standingCostTarget {
		t.Errorf("what stands still costs $%.2f a month, at most $%d", got, standingCostTarget)
	}
	for _, written := range []struct{ file, mark, text string }{
		{"README.md", "costs", shortTable(bill, provisioned, onDemand)},
		{"docs/deploy.md", "million", "\n" + millionTable(bill) + "\n"},
		{"docs/deploy.md", "standing", "\n" + standingTable(provisioned, onDemand) + "\n"},
	} {
		writeBetween(t, written.file, written.mark, written.text)
	}
}

// writeBetween wants the text between the marks of a file, or writes it there.
func writeBetween(t *testing.T, file, mark, text string) {
	t.Helper()
	found, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	between := regexp.MustCompile(`(?s)(<!-- ` + mark + `: [^\n]*-->\n).*?(<!-- end -->)`)
	marks := between.FindStringSubmatchIndex(string(found))
	if marks == nil {
		t.Fatalf("%s has no marks for %s", file, mark)
	}
	want := string(found[:marks[3]]) + text + string(found[marks[4]:])
	switch {
	case want == string(found):
	case !*update:
		t.Errorf("%s: the %s is not as it follows from the template and the function: "+
			"go test ./cmd/bench -run TestBill -update", file, mark)
	default:
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func dollars(amount float64) string {
	if amount == 0 {
		return ""
	}
	return fmt.Sprintf("$%.2f", amount)
}

func shortTable(bill, provisioned, onDemand []line) string {
	const million = "a million verifications, of installations that verify once a day, everything on the bill"
	still := "what [stands still](docs/deploy.md#costs), a month; with the license table on demand " +
		dollars(sum(onDemand))
	return "| | |\n|---|---|\n" +
		fmt.Sprintf("| %s | **%s** |\n", million, dollars(sum(bill))) +
		fmt.Sprintf("| %s | **%s** |\n", still, dollars(sum(provisioned)))
}

func millionTable(bill []line) string {
	table := "| | | |\n|---|---|---|\n"
	for _, l := range bill {
		table += fmt.Sprintf("| %s | %s | %s |\n", l.what, l.price, dollars(l.dollars))
	}
	return table + fmt.Sprintf("| **together** | | **%s** |\n", dollars(sum(bill)))
}

func standingTable(provisioned, onDemand []line) string {
	table := "| | | `PROVISIONED` | `PAY_PER_REQUEST` |\n|---|---|---|---|\n"
	for i, l := range provisioned {
		what := l.what
		if onDemand[i].dollars == 0 {
			what += "; on demand nothing"
		}
		table += fmt.Sprintf("| %s | %s | %s | %s |\n", what, l.price, dollars(l.dollars), dollars(onDemand[i].dollars))
	}
	more := func(what string, amount float64) string {
		return fmt.Sprintf("| %s | | %s | %[2]s |\n", what, dollars(amount))
	}
	return table +
		fmt.Sprintf("| **together** | | **%s** | **%s** |\n", dollars(sum(provisioned)), dollars(sum(onDemand))) +
		more("the dashboard, unless it is one of an account's first three; `ServiceDashboard=NONE` leaves it out",
			perDashboard) +
		more("a web ACL with its rule, where `WafRateLimit` wants one", perWebACL+perWebACLRule)
}

// TestCapacity: units of tables, indexes and replicas are counted, and what scales.
func TestCapacity(t *testing.T) {
	var c capacity
	c.add(map[string]any{
		"WriteProvisionedThroughputSettings": map[string]any{
			"WriteCapacityAutoScalingSettings": map[string]any{"MinCapacity": 2, "MaxCapacity": 9},
		},
		"Replicas": []any{map[string]any{
			"ReadProvisionedThroughputSettings": map[string]any{
				"ReadCapacityAutoScalingSettings": map[string]any{"MinCapacity": 3},
			},
			"GlobalSecondaryIndexes": []any{
				map[string]any{"ReadProvisionedThroughputSettings": map[string]any{"ReadCapacityUnits": 4}},
			},
		}},
	})
	c.add(map[string]any{"ProvisionedThroughput": map[string]any{"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}})
	c.add(map[string]any{"BillingMode": "PAY_PER_REQUEST"})
	if want := (capacity{reads: 8, writes: 3, scaling: 2}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

// TestAccessRecord: a format is filled in as API Gateway does, and one whose length is not known is refused.
func TestAccessRecord(t *testing.T) {
	const format = `{"route":"$context.httpMethod $context.resourcePath","error":"$context.error.responseType"}`
	got, err := accessRecordOf(format)
	if want := `{"route":"POST /verify-license","error":"-"}`; got != want || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
	for _, format := range []string{"", `{"what":"$context.unheardOf"}`} {
		if got, err := accessRecordOf(format); err == nil {
			t.Errorf("%q: got %s", format, got)
		}
	}
}

// TestRecordSize: the size of a record does not depend on how long the function took, and a share of them is traced.
func TestRecordSize(t *testing.T) {
	r := result{warm: []float64{1, 1}, records: []string{
		`{"milliseconds":1.5,"traceid":"12345678"}`, `{"milliseconds":123.456,"traceid":"12345678"}`,
	}}
	for sampling, want := range map[float64]float64{0: 23, 0.5: 33.5, 1: 44} {
		if bytes, records := r.bytesPerVerification(sampling); bytes != want || records != 1 {
			t.Errorf("of %v traced: got %v bytes, %v records", sampling, bytes, records)
		}
	}
}
