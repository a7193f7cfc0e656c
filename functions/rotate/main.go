// The rotate function changes the license-key secret when Secrets Manager asks for it.
package main

import (
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/functions/rotate/rotation"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/tracing"
)

// environment is empty: Secrets Manager names the secret in each event.
type environment struct{}

func main() {
	_, cfg, tracer := bootstrap.Load[environment]()
	lambda.Start(tracing.Handler(tracer, "rotate", newRotator(cfg).Handle))
}

func newRotator(cfg aws.Config) rotation.Rotator {
	return rotation.Rotator{
		Versions: awskeys.NewSecretVersions(secretsmanager.NewFromConfig(cfg)),
		Now:      time.Now,
		Log:      slog.Default(),
	}
}
