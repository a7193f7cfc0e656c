package verification_test

import (
	"io"
	"net/http"
	"testing"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/apitest"
)

// BenchmarkVerify is a whole verification on the embedded store, from event to response, with its log record.
func BenchmarkVerify(b *testing.B) {
	for name, reuse := range map[string]verification.Reuse{
		"reused": verification.NewReuse(reusePeriod, nil),
		"signed": {},
	} {
		b.Run(name, func(b *testing.B) {
			c := readConformance(b)
			v := newVerifier(b, c)
			v.Reuse = reuse
			v.Log = telemetry.NewLogger(io.Discard)
			event := verifyEvent(c.Cases[0].Body, false)
			router := v.Router()
			b.ReportAllocs()
			for b.Loop() {
				response, _ := router.Invoke(b.Context(), apitest.Event(event))
				if response.StatusCode != http.StatusOK {
					b.Fatal(response.Body)
				}
			}
		})
	}
}
