package audit_test

import (
	"bytes"
	"strconv"
	"testing"

	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

// longChain is a license that is suspended and reinstated over and over.
func longChain(b *testing.B, n int) (id string, entries []audit.Entry) {
	b.Helper()
	store := audittest.NewMemory(b)
	recorder := audit.Recorder{Store: store}
	l := licensetest.Issue(b)
	event := audit.Event{
		LicenseID: l.ID, Time: licensetest.Now, ID: "c4ca4238a0b923820dcc509a6f758491", New: l.Record(),
	}
	for i := range n {
		event.SequenceNumber = "44215845000000000" + strconv.Itoa(1_000_000_000+i)
		if err := recorder.Record(b.Context(), event); err != nil {
			b.Fatal(err)
		}
		transition := license.License.Suspend
		if l.Suspended {
			transition = license.License.Reinstate
		}
		next, err := transition(l, licensetest.Change("payment of the last invoice"))
		if err != nil {
			b.Fatal(err)
		}
		l, event.Old, event.New = next, event.New, next.Record()
	}
	return l.ID, store.Chain(l.ID)
}

// BenchmarkVerify verifies a chain of 100,000 entries: in memory, and as it is read from its export.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	id, entries := longChain(b, n)
	exported := export(b, entries...)
	b.Run("Entries", func(b *testing.B) {
		for b.Loop() {
			if head, err := audit.Verify(id, audit.Head{}, entries); err != nil || head.Sequence != n {
				b.Fatal(head, err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("Export", func(b *testing.B) {
		b.SetBytes(int64(len(exported)))
		for b.Loop() {
			if v, err := audittest.VerifyChain(bytes.NewReader(exported), id); err != nil || v.Head().Sequence != n {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
}
