package apitest

import (
	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/api"
)

// Event returns the event of a REST API in the form that an api.Router takes.
func Event(e events.APIGatewayProxyRequest) (event api.Event) {
	event.HTTPMethod, event.Resource, event.Path = e.HTTPMethod, e.Resource, e.Path
	event.Headers, event.MultiValueHeaders = e.Headers, e.MultiValueHeaders
	event.QueryStringParameters = e.QueryStringParameters
	event.MultiValueQueryStringParameters = e.MultiValueQueryStringParameters
	event.PathParameters = e.PathParameters
	event.Body, event.IsBase64Encoded = e.Body, e.IsBase64Encoded
	from, to := e.RequestContext, &event.RequestContext
	to.RequestID, to.Stage, to.Path, to.Identity.UserARN = from.RequestID, from.Stage, from.Path, from.Identity.UserArn
	return event
}
