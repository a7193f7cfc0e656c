// Package bootstrap is what every function does before its first event: log as JSON, read its environment, and make a
// traced AWS configuration.
package bootstrap

import (
	"context"
	"log"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/caarlos0/env/v11"

	"openlicenser/shared/awsconfig"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/tracing"
)

// Load reads the environment into the fields of E that have an env tag. What is missing or wrong, all of it in one
// record, ends the process: Lambda reports that, and no event is lost by it. Without an X-Ray daemon to reach it goes
// on, and traces nothing.
func Load[E any]() (environment E, cfg aws.Config, tracer tracing.Tracer) {
	slog.SetDefault(telemetry.NewLogger(os.Stdout)) // log writes through it too
	environment, err := env.ParseAs[E]()
	if err != nil {
		log.Fatal(err)
	}
	cfg, err = awsconfig.Load(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	tracer, err = tracing.New()
	if err != nil {
		slog.Error("tracing is off", "error", err)
	}
	tracer.Instrument(&cfg)
	return environment, cfg, tracer
}
