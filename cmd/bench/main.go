//go:build unix

// Bench compares the verify function with the least that a verification can be, and the local server with RSA. From
// template.yaml, and from what the function calls and logs, it computes what AWS charges. `make bench` builds what it
// needs and runs it.
//
// It stands in for the Lambda Runtime API, X-Ray's daemon and AWS. It counts the calls to AWS, and responds after the
// time that AWS takes. It ends all processes that it starts. The figures to look at are the ratios within one run,
// because the times depend on the machine.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"openlicenser/shared/testing/samtemplate"
)

type bench struct {
	Bin      string        `help:"Folder of the binaries verify, floor and licenser." default:"bin/bench" type:"path"`
	Rounds   int           `help:"Processes of each kind that are started." default:"20"`
	Licenses int           `help:"Verifications by each process: the first, and then warm ones." default:"101"`
	LoadTime time.Duration `help:"How long each load on the local server lasts." default:"2s"`
	Strict   bool          `help:"End with status 1 where a target is missed."`

	missed int
	out    *tabwriter.Writer
}

func main() {
	var b bench
	kong.Parse(&b, kong.Name("bench"), kong.Description("Measures verifications, in ratios within one run."))
	if err := b.run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if b.Strict && b.missed > 0 {
		os.Exit(1)
	}
}

func (b *bench) run() error {
	b.out = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	if err := b.functions(); err != nil {
		return err
	}
	return errors.Join(b.servers(), b.out.Flush())
}

const floorName = "floor"

func (b *bench) functions() error {
	daemon, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer daemon.Close()
	lab, err := newLaboratory(b.Licenses, daemon.LocalAddr().String())
	if err != nil {
		return err
	}
	defer lab.endpoint.Close()
	verify := b.Bin + "/verify"
	results, err := lab.run([]scenario{
		{name: floorName, binary: b.Bin + "/floor"},
		{name: "reused, table", binary: verify, signed: true, records: 1},
		{name: "reused, memory", binary: verify, signed: true, repeated: true, records: 1},
		{name: "signed, kept", binary: verify, records: 1},
		{name: "reuse off", binary: verify, reuseDays: "0", records: 1},
		{name: "device, seat held", binary: verify, signed: true, device: true, records: 1},
	}, b.Rounds)
	if err != nil {
		return err
	}
	floor, table, signed, seated := results[0], results[1], results[3], results[5]
	fmt.Fprintf(b.out, "verify, %d processes, %d warm verifications of each kind; "+
		"GetItem, BatchGetItem and PutItem take 4 ms, the rest of AWS 8 ms\n", b.Rounds, len(floor.warm))
	fmt.Fprintln(b.out, "\tfloor\treused, table\treused, memory\tsigned, kept\treuse off\tdevice, seat held\t")
	row := func(name, unit string, scale float64, of func(result) float64) {
		fmt.Fprintf(b.out, "%s, %s\t", name, unit)
		for i, r := range results {
			fmt.Fprintf(b.out, "%.2f", of(r)*scale)
			if i > 0 && of(floor) > 0 {
				fmt.Fprintf(b.out, " (%.2f)", of(r)/of(floor))
			}
			fmt.Fprint(b.out, "\t")
		}
		fmt.Fprintln(b.out)
	}
	p := func(p float64) func(result) float64 {
		return func(r result) float64 { return percentile(r.warm, p) }
	}
	start, first := func(r result) float64 { return r.start }, func(r result) float64 { return r.first }
	peak := func(r result) float64 { return r.memory }
	row("start", "ms", 1000, start)
	row("first", "ms", 1000, first)
	row("p50", "ms", 1000, p(50))
	row("p90", "ms", 1000, p(90))
	row("p99", "ms", 1000, p(99))
	row("peak memory", "MiB", 1.0/(1<<20), peak)
	row("AWS calls", "each", 1, result.callsPerVerification)
	if err := b.costs(floor, table, signed); err != nil {
		return err
	}
	b.target("warm p50 with reuse, of the floor's", p(50)(table)/p(50)(floor), 1.10)
	b.target("warm p99 with reuse, of the floor's", p(99)(table)/p(99)(floor), 1.5)
	b.target("start, of the floor's", start(table)/start(floor), 2)
	b.target("first verification, of the floor's", first(table)/first(floor), 2)
	b.target("peak memory, of the floor's", peak(table)/peak(floor), 2)
	b.target("AWS calls with reuse", table.callsPerVerification(), 1)
	b.target("warm p50 with a seat of 50, of the floor's", p(50)(seated)/p(50)(floor), 1.10)
	b.target("AWS calls with a seat", seated.callsPerVerification(), 1)
	fmt.Fprintf(b.out, "%d of all responses of AWS came later than their time\n", lab.proxy.late)
	return b.out.Flush()
}

func (b *bench) costs(floor, table, signed result) error {
	template, err := samtemplate.Read()
	if err != nil {
		return err
	}
	s, err := readSettings(template)
	if err != nil {
		return err
	}
	fmt.Fprintln(b.out, "$ per million\trequests\tduration\tDynamoDB\tKMS\tall\t")
	row := func(name string, c cost) {
		const million = 1e6
		fmt.Fprintf(b.out, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t\n", name,
			c.requests*million, c.duration*million, c.dynamoDB*million, c.kms*million, c.sum()*million)
	}
	fleet := fleet(costOf(table, s.memory), costOf(signed, s.memory))
	row(floorName, costOf(floor, s.memory))
	row("once a day", fleet)
	b.target("$ per million, each license once a day", fleet.sum()*1e6, costTarget)
	b.target("$ per million, with everything on the bill", sum(million(table, signed, s)), costTargetOfAll)
	still, err := standing(template)
	if err != nil {
		return err
	}
	b.target("$ a month that stand still", sum(still), standingCostTarget)
	return nil
}

// servers measures the local server, and the RSA rates anew beside each row. It compares the best of each figure,
// because other load on the machine only makes them worse.
func (b *bench) servers() error {
	connections := []int{1, 4, 16, 64}
	fmt.Fprint(b.out, "\nlocal server, verifications a second\tlicenses\t")
	for _, n := range connections {
		fmt.Fprintf(b.out, "%d at once\t", n)
	}
	fmt.Fprintln(b.out, "RSA-2048 signatures a second by Go\tby openssl (0: not installed)\t")
	var reused, signed, rsa, openssl float64
	for _, kind := range []struct {
		name, reuseDays string
		best            *float64
	}{{"reuse", "", &reused}, {"reuse off", "0", &signed}} {
		s, err := startServer(b.Bin+"/licenser", kind.reuseDays)
		if err != nil {
			return err
		}
		defer s.stop()
		for _, licenses := range []int{1, 10, 100} {
			requests, err := s.issue(licenses)
			if err != nil {
				return err
			}
			fmt.Fprintf(b.out, "%s\t%d\t", kind.name, licenses)
			for _, n := range connections {
				rate, err := s.load(requests, n, b.LoadTime)
				if err != nil {
					return err
				}
				*kind.best = max(*kind.best, rate)
				fmt.Fprintf(b.out, "%.0f\t", rate)
			}
			byGo, err := rsaRate(b.LoadTime)
			if err != nil {
				return err
			}
			byOpenssl := opensslRate(b.LoadTime)
			rsa, openssl = max(rsa, byGo), max(openssl, byOpenssl)
			fmt.Fprintf(b.out, "%.0f\t%.0f\t\n", byGo, byOpenssl)
		}
	}
	b.atLeast("verifications a second with reuse", reused, 15000)
	b.atLeast("reuse off, of Go's RSA rate", signed/rsa, 0.9)
	if openssl > 0 {
		b.atLeast("reuse off, of openssl's RSA rate", signed/openssl, 0.9)
	}
	return nil
}

// target prints whether a figure is as low as it should be.
func (b *bench) target(name string, got, most float64) {
	b.verdict(name, got, "at most", most, got <= most)
}

func (b *bench) atLeast(name string, got, least float64) {
	b.verdict(name, got, "at least", least, got >= least)
}

func (b *bench) verdict(name string, got float64, relation string, wanted float64, isMet bool) {
	verdict := "met"
	if !isMet {
		verdict = "MISSED"
		b.missed++
	}
	fmt.Fprintf(b.out, "%s: %.2f, target %s %.2f: %s\n", name, got, relation, wanted, verdict)
}
