// Package bootstrap is how every function starts: it logs as JSON, reads its environment, makes a traced AWS configuration,
// and then answers events.
package bootstrap

import (
	"context"
	"log"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/caarlos0/env/v11"

	"openlicenser/shared/telemetry"
	"openlicenser/shared/tracing"
)

// Handler answers an event of a function.
type Handler[Event, Answer any] func(ctx context.Context, event Event) (Answer, error)

// Start runs a function. It reads the environment into the fields of E that have an env tag, has wire make the handler,
// and hands it events, each a segment of the name. It does not return. What is missing or wrong, all of it in one record,
// ends the process: Lambda reports that, and no event is lost by it. Without an X-Ray daemon to reach the function goes on,
// and traces nothing.
func Start[E, Event, Answer any](name string, wire func(E, aws.Config) (Handler[Event, Answer], error)) {
	slog.SetDefault(telemetry.NewLogger(os.Stdout)) // log writes through it too
	environment, err := env.ParseAs[E]()
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := AWSConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	tracer, err := tracing.New()
	if err != nil {
		slog.Error("tracing is off", "error", err)
	}
	tracer.Instrument(&cfg)
	handle, err := wire(environment, cfg)
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(tracing.Handler(tracer, name, handle))
}
