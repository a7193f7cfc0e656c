// Package dynamo keeps in DynamoDB what the service stores in tables: licenses, plans, the audit trail, idempotency
// records and the signatures of tokens. It implements the ports to them that packages license, audit, checkpoint,
// idempotency and token own. Callers see the types of those packages, and the AWS SDK stays inside. Credentials,
// retries and tracing are the business of the client that it is given. Its errors name the operation and never quote a
// record.
package dynamo

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/license"
)

// option changes how the SDK does one call.
type option = func(*dynamodb.Options)

// attrLicenseID names a license in every table but those of plans and of idempotency records.
const attrLicenseID = license.AttrID

// isKey reports whether a record can have the id.
func isKey(id string) bool { return id != "" && len(id) <= license.MaxIDBytes }

func licenseKey(id string) item { return item{attrLicenseID: text(id)} }

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

// textOf returns the value of an S, or "" for what is none.
func textOf(values item, name string) string {
	if s, isText := values[name].(*types.AttributeValueMemberS); isText {
		return s.Value
	}
	return ""
}
