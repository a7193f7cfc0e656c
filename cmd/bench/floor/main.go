// Floor is the least that a verification can be: one strongly consistent read of one item. `make bench` compares the
// verify function with it.
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	client := dynamodb.NewFromConfig(cfg)
	in := &dynamodb.GetItemInput{
		TableName: aws.String(os.Getenv("LICENSER_DB")),
		Key: map[string]types.AttributeValue{
			"licenseid": &types.AttributeValueMemberS{Value: os.Getenv("LICENSE_ID")},
		},
		ConsistentRead: aws.Bool(true),
	}
	lambda.Start(func(ctx context.Context, _ events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
		out, err := client.GetItem(ctx, in)
		if err != nil || len(out.Item) == 0 {
			return events.APIGatewayProxyResponse{StatusCode: http.StatusInternalServerError}, err
		}
		return events.APIGatewayProxyResponse{StatusCode: http.StatusOK, Body: `{"message":"read"}`}, nil
	})
}
