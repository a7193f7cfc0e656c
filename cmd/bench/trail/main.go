//go:build unix

// Trail measures checkpoints, proofs and verification of audit trails of up to a million licenses. `make bench-trail`
// builds what it needs and runs it.
//
// It fills a data folder, or DynamoDB Local and moto, through the ports of the stores and not over HTTP. The figures to
// look at are the ratios within one run, the memory and the objects, because the times depend on the machine.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
)

type bench struct {
	Bin      string        `help:"Folder of the binary licenser." default:"bin/bench" type:"path"`
	Store    string        `help:"Where the trails are: embedded, in data folders, or dynamodb, in what awslocal run starts." enum:"embedded,dynamodb" default:"embedded"`
	Licenses []int         `help:"How many licenses the trails have." default:"1000,100000,1000000"`
	Folder   string        `help:"Folder for the data folders, which stay there and are used again. Without it they are temporary." type:"path"`
	Proofs   int           `help:"Proofs that are timed." default:"500"`
	Verify   time.Duration `help:"The longest that licenser audit verify --all may take; 0: leave it out." default:"20m"`
	Profile  string        `help:"Folder for profiles of each measurement, of the processor and of allocations." type:"existingdir"`
	JSON     bool          `name:"json" help:"Print JSON."`
	Strict   bool          `help:"End with status 1 where a target is missed."`

	figures []figure
	missed  int
}

// figure is what one measurement has shown.
type figure struct {
	Licenses int            `json:"licenses"`
	What     string         `json:"what"`
	Seconds  float64        `json:"seconds"`
	Memory   uint64         `json:"memory,omitempty"`  // the most bytes that the process had more than before
	Objects  map[string]int `json:"objects,omitempty"` // written, by kind
	Note     string         `json:"note,omitempty"`
}

func main() {
	var b bench
	kong.Parse(&b, kong.Name("trail"), kong.Description("Measures audit trails, in ratios within one run."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "trail:", err)
		os.Exit(1)
	}
	if b.Strict && b.missed > 0 {
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	folder := b.Folder
	if folder == "" {
		if folder, err = os.MkdirTemp("", "licenser-bench"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	}
	var trails []*trail // whose archives still are there
	for _, licenses := range b.Licenses {
		data := filepath.Join(folder, fmt.Sprint(b.Store, "-", licenses))
		t, err := b.measureTrail(ctx, data, licenses)
		if err != nil {
			return fmt.Errorf("%d licenses: %w", licenses, err)
		}
		trails = append(trails, t)
	}
	if err := b.measureProofs(ctx, trails); err != nil {
		return fmt.Errorf("proofs: %w", err)
	}
	slices.SortStableFunc(b.figures, func(a, b figure) int { return cmp.Compare(a.Licenses, b.Licenses) })
	if b.JSON {
		return json.NewEncoder(os.Stdout).Encode(b.figures)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "store %s\nlicenses\twhat\tseconds\tMiB\tobjects\t\n", b.Store)
	for _, f := range b.figures {
		fmt.Fprintf(out, "%d\t%s\t%.4f\t%.1f\t%s\t%s\n",
			f.Licenses, f.What, f.Seconds, float64(f.Memory)/(1<<20), objectsText(f.Objects), f.Note)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	b.targets()
	return nil
}

func (b *bench) measureTrail(ctx context.Context, data string, licenses int) (*trail, error) {
	open := openEmbedded
	if b.Store == "dynamodb" {
		open = openDynamoDB
	}
	begun := time.Now()
	t, err := open(ctx, data, licenses)
	if err != nil {
		return nil, err
	}
	b.note(figure{Licenses: licenses, What: "open, or fill", Seconds: time.Since(begun).Seconds()})
	err = errors.Join(b.measure(ctx, t), t.close())
	if err == nil && b.Verify > 0 && b.Store == "embedded" {
		err = b.verifyAll(ctx, data, licenses)
	}
	return t, err
}

// note keeps a figure, and shows on standard error that it is there.
func (b *bench) note(f figure) {
	fmt.Fprintf(os.Stderr, "%d licenses: %s: %.3f s %s\n", f.Licenses, f.What, f.Seconds, f.Note)
	b.figures = append(b.figures, f)
}

func objectsText(objects map[string]int) string {
	var texts []string
	sum := 0
	for _, kind := range slices.Sorted(maps.Keys(objects)) {
		texts = append(texts, fmt.Sprint(kind, " ", objects[kind]))
		sum += objects[kind]
	}
	if sum == 0 {
		return ""
	}
	return fmt.Sprint(sum, ": ", strings.Join(texts, ", "))
}

func (b *bench) targets() {
	least, most := slices.Min(b.Licenses), slices.Max(b.Licenses)
	b.target("MiB of a checkpoint, at most", b.largest(func(f figure) bool {
		return strings.HasPrefix(f.What, "checkpoint")
	}), 128)
	b.target("MiB of eight proofs at once", b.largest(func(f figure) bool { return f.What == eightProofs }), 32)
	for _, f := range b.figures {
		if f.What == "checkpoint, 100 changed" {
			sum := 0
			for _, n := range f.Objects {
				sum += n
			}
			b.target(fmt.Sprint("objects, 100 of ", f.Licenses, " changed"), float64(sum), 104)
		}
	}
	small, large := b.seconds(least, proofMedian), b.seconds(most, proofMedian)
	b.target(fmt.Sprintf("a proof of %d, of one of %d", most, least), large/cmp.Or(small, 1), 3)
}

// largest returns the most memory of some figures in MiB.
func (b *bench) largest(isOne func(figure) bool) (most float64) {
	for _, f := range b.figures {
		if isOne(f) {
			most = max(most, float64(f.Memory)/(1<<20))
		}
	}
	return most
}

func (b *bench) seconds(licenses int, what string) float64 {
	i := slices.IndexFunc(b.figures, func(f figure) bool { return f.Licenses == licenses && f.What == what })
	return b.figures[i].Seconds
}

// target prints whether a figure is as low as it should be.
func (b *bench) target(name string, got, most float64) {
	verdict := "met"
	if got > most {
		verdict = "MISSED"
		b.missed++
	}
	fmt.Printf("%s: %.2f, target at most %.2f: %s\n", name, got, most, verdict)
}
