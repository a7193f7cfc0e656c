// The index function keeps the index attributes of licenses true, whoever writes them, and puts back what other tools'
// writes leave out.
package main

import (
	"log/slog"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"openlicenser/functions/index/indexing"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/dynamo"
)

// environment is the function's configuration.
type environment struct {
	// LicenseTable is the name of the license table.
	LicenseTable string `env:"LICENSER_DB,required,notEmpty"`
}

func main() { bootstrap.Start("index", wire) }

func wire(
	e environment, cfg aws.Config,
) (bootstrap.Handler[events.DynamoDBEvent, events.DynamoDBEventResponse], error) {
	return indexing.Indexer{
		Records: dynamo.NewRecords(dynamodb.NewFromConfig(cfg), e.LicenseTable),
		Log:     slog.Default(),
	}.Handle, nil
}
