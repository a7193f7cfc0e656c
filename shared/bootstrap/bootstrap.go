// Package bootstrap starts a Lambda function: it sets up logging and tracing, reads the environment, loads the AWS
// configuration, and hands events to the function's handler. It must not know what the function does.
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

// Handler returns the response to an event of a function.
type Handler[Event, Response any] func(ctx context.Context, event Event) (Response, error)

// Start runs a function, and does not return. It reads the environment into the fields of E that have an env tag, calls
// wire for the handler, and hands it the events. The name is that of its segments in X-Ray. If anything is missing or
// wrong, one log record names all of it, and the process ends. Lambda reports that, and no event is lost. Without an
// X-Ray daemon to reach, the function runs untraced.
func Start[E, Event, Response any](name string, wire func(E, aws.Config) (Handler[Event, Response], error)) {
	slog.SetDefault(telemetry.NewLogger(os.Stdout)) // package log writes through it too
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
