package embedded_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

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

// BenchmarkList reads pages of 20 in stores of 1,000, 100,000 and 1,000,000 licenses, half of which have expired: what
// a page costs does not depend on the number of licenses.
func BenchmarkList(b *testing.B) {
	for _, licenses := range []int{1_000, 100_000, 1_000_000} {
		folder := open(b, b.TempDir())
		last := fill(b, folder, licenses)
		before, after := licensetest.Now.AddDate(0, 1, 0), licensetest.Now.AddDate(0, -1, 0)
		for name, q := range map[string]license.Query{
			"newest":       {},
			"oldest":       {Order: license.Ascending},
			"customerid":   {CustomerID: last.CustomerID},
			"customername": {CustomerName: "CUSTOMER 5"},
			"email":        {Email: last.Email},
			"before":       {ExpiringBefore: before},
			"after":        {ExpiringAfter: after},
			"between":      {ExpiringAfter: after, ExpiringBefore: before, Order: license.Ascending},
			"active":       {Status: license.Active},
			"grace":        {Status: license.Grace},
			"expired":      {Status: license.Expired},
			"suspended":    {Status: license.Suspended},
			"revoked":      {Status: license.Revoked},
			"unreadable":   {Status: license.Unreadable},
			"active soon":  {Status: license.Active, ExpiringBefore: before, Order: license.Ascending},
			"all": {
				CustomerID: last.CustomerID, CustomerName: "customer", Email: last.Email, Status: license.Active,
				ExpiringBefore: licensetest.Now.AddDate(3, 0, 0),
			},
		} {
			q.Now, q.Limit = licensetest.Now, 20
			b.Run(fmt.Sprintf("%s/%d", name, licenses), func(b *testing.B) {
				for b.Loop() {
					if _, err := folder.Licenses.List(b.Context(), q); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// fill puts licenses whose ends are spread over the four years around now: a hundred for each customer, of whom each
// has one address, and a tenth each revoked, suspended and unreadable.
func fill(b *testing.B, folder *embedded.Folder, licenses int) (last license.License) {
	b.Helper()
	var records []attribute.Map
	for i := range licenses {
		l := licensetest.Issue(b)
		if i%100 != 0 {
			l.CustomerID = last.CustomerID
		}
		l.CustomerName, l.Email = fmt.Sprint("Customer ", i), l.CustomerID+"@example.com"
		l.GraceDays, l.Revoked, l.Suspended = i%30, i%10 == 0, i%10 == 1
		l.ExpirationDate = licensetest.Now.Add(
			time.Duration(i-licenses/2) * (4 * 365 * 24 * time.Hour / time.Duration(licenses)),
		)
		l.Created = licensetest.Now.Add(time.Duration(i) * time.Millisecond)
		last = l
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
	return last
}
