package embedded_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

// BenchmarkRecord records entries, each durable before the next of its license: of one license, and of many at a time.
func BenchmarkRecord(b *testing.B) {
	folder, err := embedded.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer folder.Close()
	history := audittest.History(b, 2)
	recorder := audit.Recorder{Store: folder.AuditTrail}
	record := func(b *testing.B, id string, n int) {
		event := history[min(n, 1)]
		if n > 1 {
			event.Old = history[1].New
		}
		event.LicenseID, event.SequenceNumber = id, fmt.Sprint(n+1)
		if err := recorder.Record(b.Context(), event); err != nil {
			b.Error(err)
		}
	}
	rate := func(b *testing.B) { b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s") }
	var run atomic.Int64
	b.Run("OneLicense", func(b *testing.B) {
		id := fmt.Sprint("one-", run.Add(1))
		for n := range b.N {
			record(b, id, n)
		}
		rate(b)
	})
	b.Run("64Licenses", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			id := fmt.Sprint("many-", run.Add(1))
			for n := 0; pb.Next(); n++ {
				record(b, id, n)
			}
		})
		rate(b)
	})
}

// BenchmarkList reads pages of 20 in stores of 1,000, 100,000 and 1,000,000 licenses, half of which have expired. What
// a page costs does not depend on the number of licenses: it reports the median in the smallest store, and how many
// times as long the others take. The stores take turns, so that what else the machine does concerns all of them.
func BenchmarkList(b *testing.B) {
	sizes := []int{1_000, 100_000, 1_000_000}
	var stores []*embedded.Licenses
	var first license.License // the customers of all stores are the same, but for their number
	for _, licenses := range sizes {
		folder := open(b, b.TempDir())
		first = fill(b, folder, licenses)
		stores = append(stores, folder.Licenses)
	}
	before, after := licensetest.Now.AddDate(0, 1, 0), licensetest.Now.AddDate(0, -1, 0)
	for name, q := range map[string]license.Query{
		"newest":       {},
		"oldest":       {Order: license.Ascending},
		"customerid":   {CustomerID: first.CustomerID},
		"customername": {CustomerName: "CUSTOMER 5"},
		"email":        {Email: first.Email},
		"before":       {ExpiringBefore: before},
		"after":        {ExpiringAfter: after},
		"between":      {ExpiringAfter: after, ExpiringBefore: before, Order: license.Ascending},
		"active":       {Status: license.Active},
		"grace":        {Status: license.Grace},
		"expired":      {Status: license.Expired, Order: license.Ascending},
		"suspended":    {Status: license.Suspended},
		"revoked":      {Status: license.Revoked},
		"unreadable":   {Status: license.Unreadable},
		"active soon":  {Status: license.Active, ExpiringBefore: before.AddDate(1, 0, 0), Order: license.Ascending},
		"all": {
			CustomerID: first.CustomerID, CustomerName: "customer", Email: first.Email, Status: license.Expired,
			ExpiringAfter: licensetest.Now.AddDate(-9, 0, 0),
		},
	} {
		q.Now, q.Limit = licensetest.Now, 20
		b.Run(name, func(b *testing.B) {
			took := make([][]time.Duration, len(stores))
			for b.Loop() {
				for i, store := range stores {
					begun := time.Now()
					if _, err := store.List(b.Context(), q); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], time.Since(begun))
				}
			}
			of := func(i int) float64 { return float64(median(took[i])) }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(of(0)/1000, "µs")
			b.ReportMetric(of(1)/of(0), "x100k")
			b.ReportMetric(of(2)/of(0), "x1M")
		})
	}
}

// BenchmarkStart starts the local server on 1,000, 100,000 and 1,000,000 licenses, each with an entry in the audit
// trail, and stops it. A start ends with the line that says where it listens. It reports medians.
func BenchmarkStart(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "licenser")
	if out, err := exec.Command("go", "build", "-o", binary, "openlicenser/cmd/licenser").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, licenses := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(licenses), func(b *testing.B) {
			data := b.TempDir()
			folder := open(b, data)
			fill(b, folder, licenses)
			fillTrail(b, folder)
			if err := folder.Close(); err != nil {
				b.Fatal(err)
			}
			var starts, stops []time.Duration
			for b.Loop() {
				start, stop := startAndStop(b, binary, data)
				starts, stops = append(starts, start), append(stops, stop)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(median(starts).Microseconds())/1000, "ms/start")
			b.ReportMetric(float64(median(stops).Microseconds())/1000, "ms/stop")
		})
	}
}

// fillTrail records an entry for each license.
func fillTrail(b *testing.B, folder *embedded.Folder) {
	b.Helper()
	ids := make(chan string)
	var writers sync.WaitGroup
	for range 1000 { // which share transactions
		writers.Go(func() {
			for id := range ids {
				entry := audit.Entry{LicenseID: id, Sequence: 1, Action: audit.Issued}
				if err := folder.AuditTrail.Append(b.Context(), audit.Head{}, entry, audit.State{}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for record, err := range folder.Licenses.Segment(b.Context(), 0, 1) {
		if err != nil {
			b.Fatal(err)
		}
		ids <- record[license.AttrID].(string)
	}
	close(ids)
	writers.Wait()
}

func startAndStop(b *testing.B, binary, data string) (start, stop time.Duration) {
	b.Helper()
	begun := time.Now()
	command := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--data", data)
	stdout, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), "listens on") {
	}
	start = time.Since(begun)
	time.Sleep(time.Second) // into the check of the data file
	begun = time.Now()
	if err := errors.Join(command.Process.Signal(os.Interrupt), command.Wait()); err != nil {
		b.Fatal(err)
	}
	return start, time.Since(begun)
}

// BenchmarkScrub scrubs a file with 100 MB in free pages, apart from each other or side by side, beside as much that is
// in use. It reports how long that took, how long the longest write and the longest read of others took meanwhile, how
// much more was on the heap, and by how much the file has grown.
func BenchmarkScrub(b *testing.B) {
	const size = 100 << 20
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // or the heap is garbage, most of it
	for name, isFree := range map[string]func(page int) bool{
		"Apart":      func(page int) bool { return page%2 == 0 },
		"SideBySide": func(page int) bool { return page < size/os.Getpagesize() },
	} {
		b.Run(name, func(b *testing.B) {
			path := freeFolder(b, size, isFree)
			folder, file := open(b, path), dataFile(path)
			if err := folder.Check(b.Context()); err != nil {
				b.Fatal(err)
			}
			var heap, growth []float64
			var writes, reads []time.Duration
			for b.Loop() {
				before := fileSize(b, file)
				if err := folder.MarkScrub(b.Context()); err != nil {
					b.Fatal(err)
				}
				peak, write, read := observe(b, folder, func() { scrub(b, folder) })
				heap, growth = append(heap, peak), append(growth, fileSize(b, file)-before)
				writes, reads = append(writes, write), append(reads, read)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s")
			b.ReportMetric(float64(slices.Max(writes).Milliseconds()), "ms/write")
			b.ReportMetric(float64(slices.Max(reads).Milliseconds()), "ms/read")
			b.ReportMetric(slices.Max(heap)/1e6, "MB-heap")
			b.ReportMetric(slices.Max(growth)/1e6, "MB-growth")
		})
	}
}

func fileSize(b *testing.B, file string) float64 {
	b.Helper()
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size())
}

// observe returns the most bytes on the heap while work is done, beyond those before, and how long the longest write
// and the longest read of another waited.
func observe(b *testing.B, folder *embedded.Folder, work func()) (heap float64, write, read time.Duration) {
	b.Helper()
	l := licensetest.Issue(b)
	done := make(chan struct{})
	var others sync.WaitGroup
	repeat := func(do func()) {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(time.Millisecond):
					do()
				}
			}
		})
	}
	timed := func(longest *time.Duration, do func() error) func() {
		return func() {
			begun := time.Now()
			if err := do(); err != nil {
				b.Error(err)
			}
			*longest = max(*longest, time.Since(begun))
		}
	}
	onHeap := func() float64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return float64(sample[0].Value.Uint64())
	}
	runtime.GC()
	before := onHeap()
	repeat(func() { heap = max(heap, onHeap()-before) })
	repeat(timed(&write, func() error { return folder.Licenses.PutRecord(b.Context(), l.Record()) }))
	repeat(timed(&read, func() error {
		_, err := folder.Licenses.List(b.Context(), license.Query{Limit: 1})
		return err
	}))
	work()
	close(done)
	others.Wait()
	return heap, write, read
}

func median(of []time.Duration) time.Duration { return slices.Sorted(slices.Values(of))[len(of)/2] }

// fill puts licenses whose ends are spread over the four years around now: a hundred for each customer, of whom each
// has one address, and a tenth each revoked, suspended and unreadable. It returns the first.
func fill(b *testing.B, folder *embedded.Folder, licenses int) (first license.License) {
	b.Helper()
	var records []attribute.Map
	for i := range licenses {
		l := licensetest.Issue(b)
		l.CustomerID = uuid.NewSHA1(uuid.Nil, []byte(fmt.Sprint(i/100))).String()
		l.CustomerName, l.Email = fmt.Sprint("Customer ", i), l.CustomerID+"@example.com"
		l.GraceDays, l.Revoked, l.Suspended = i%2*30, i%10 == 0, i%10 == 1
		l.ExpirationDate = licensetest.Now.Add(
			time.Duration(i-licenses/2) * (4 * 365 * 24 * time.Hour / time.Duration(licenses)),
		)
		l.Created = licensetest.Now.Add(time.Duration(i) * time.Millisecond)
		if i == 0 {
			first = l
		}
		record := l.Record()
		if i%10 == 2 {
			record["services"] = "odd"
			record = license.Adopt(record, licensetest.Now).Apply(record)
		}
		if records = append(records, record); len(records) == 10_000 || i == licenses-1 {
			if err := folder.Licenses.Fill(records); err != nil {
				b.Fatal(err)
			}
			records = nil
		}
	}
	return first
}
