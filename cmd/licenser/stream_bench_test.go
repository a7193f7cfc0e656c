package main

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/issue/issuance"
	"openlicenser/shared/embedded"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/apitest"
)

// BenchmarkRecord issues licenses as fast as it can, 64 at a time, and records them meanwhile, as `licenser serve`
// does. Where recorded/issued is far below 1, the trail falls behind for as long as the load lasts.
func BenchmarkRecord(b *testing.B) {
	data := b.TempDir()
	folder, err := embedded.Open(data)
	if err != nil {
		b.Fatal(err)
	}
	defer folder.Close()
	log := telemetry.NewConsoleLogger(io.Discard)
	keys := issuance.Keys{Licenses: folder.Licenses, Secrets: folder.Secrets, Issuer: "Benchmark", Now: time.Now}
	router, err := issuance.NewRouter(log, issuance.Licenses{
		Store: folder.Licenses, Idempotency: folder.Idempotency, Keys: keys, Secrets: folder.Secrets,
		Trail: folder.AuditTrail, Devices: folder.Devices, Plans: folder.Plans, Now: time.Now,
		TokenLifetime: time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	stream := serveCommand{Data: data}.stream(folder, log)
	var recorded atomic.Int64
	record := stream.handle
	stream.handle = func(ctx context.Context, batch events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
		response, err := record(ctx, batch)
		if err != nil || len(response.BatchItemFailures) > 0 {
			b.Errorf("%v, %v", response, err)
		}
		recorded.Add(int64(len(batch.Records)))
		return response, err
	}
	ctx, stop := context.WithCancel(b.Context())
	var streaming sync.WaitGroup
	streaming.Go(func() { stream.run(ctx) })

	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			event := events.APIGatewayProxyRequest{HTTPMethod: "POST", Resource: "/licenses", Body: order}
			if response, err := router.Invoke(ctx, apitest.Event(event)); err != nil || response.StatusCode != 201 {
				b.Errorf("%d %s, %v", response.StatusCode, response.Body, err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "issued/s")
	b.ReportMetric(float64(recorded.Load())/b.Elapsed().Seconds(), "recorded/s")
	b.ReportMetric(float64(recorded.Load())/float64(b.N), "recorded/issued")
	stop()
	streaming.Wait()
}
