package embedded_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"openlicenser/shared/audit"
	"openlicenser/shared/embedded"
	"openlicenser/shared/testing/audittest"
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
