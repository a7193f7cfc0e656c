// The rotate function changes the license-key secret when Secrets Manager asks for it.
package main

import (
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"openlicenser/functions/rotate/rotation"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/bootstrap"
)

// environment is empty: Secrets Manager names the secret in each event.
type environment struct{}

func main() { bootstrap.Start("rotate", wire) }

func wire(_ environment, cfg aws.Config) (bootstrap.Handler[rotation.Event, struct{}], error) {
	return newRotator(cfg).Handle, nil
}

func newRotator(cfg aws.Config) rotation.Rotator {
	return rotation.Rotator{
		Versions: awskeys.NewRingVersions(secretsmanager.NewFromConfig(cfg)),
		Now:      time.Now,
		Log:      slog.Default(),
	}
}
