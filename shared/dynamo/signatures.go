package dynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// The attributes of a signature, besides the partition key licenseid (S).
const (
	attrSigned    = "signed"    // N, Unix seconds: when the token was signed
	attrSignature = "signature" // B
	attrExpires   = "expires"   // N, Unix seconds: the table's time to live
)

// SignatureAPI is what Signatures uses of a *dynamodb.Client.
type SignatureAPI interface {
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...option) (*dynamodb.BatchGetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...option) (*dynamodb.PutItemOutput, error)
}

// Signatures keeps the signatures of authorization tokens in a table of their own with the partition key licenseid (S).
// An item has some 400 bytes, and so costs half a read unit and one write unit.
type Signatures struct {
	client   SignatureAPI
	table    string
	licenses *Licenses
}

var _ token.Signatures = (*Signatures)(nil)

// NewSignatures returns a store in the table with the name or ARN, which also reads licenses.
func NewSignatures(client SignatureAPI, table string, licenses *Licenses) *Signatures {
	return &Signatures{client: client, table: table, licenses: licenses}
}

// The bounds of reading both. They leave time to read the license alone afterwards.
const (
	batchAttempts = 2
	batchTimeout  = 3 * time.Second
)

// Get implements token.Signatures. It reads the license with strong consistency and its signature with eventual
// consistency, in one BatchGetItem. Where that fails, or DynamoDB leaves the license out (UnprocessedKeys), it reads
// the license alone.
func (s *Signatures) Get(ctx context.Context, id string) (license.License, token.Signature, error) {
	if !isKey(id) {
		return license.License{}, token.Signature{}, license.ErrNotFound
	}
	out, err := s.batch(ctx, id)
	if err != nil {
		slog.WarnContext(ctx,
			"a license and the signature of its token could not be read together; the license is read alone",
			"error", err)
		l, err := s.licenses.Get(ctx, id)
		return l, token.Signature{}, err
	}
	signature := s.signatureOf(ctx, id, out)
	if _, leftOut := byTableName(out.UnprocessedKeys, s.licenses.table); leftOut {
		l, err := s.licenses.Get(ctx, id)
		return l, signature, err
	}
	l, err := s.licenseOf(id, out)
	return l, signature, err
}

// licenseOf returns the license in a response. It returns license.ErrNotFound only where the response lists nothing
// under the table's name.
func (s *Signatures) licenseOf(id string, out *dynamodb.BatchGetItemOutput) (license.License, error) {
	found, _ := byTableName(out.Responses, s.licenses.table)
	err := checkListed(found)
	switch {
	case err == nil && len(found) == 0:
		return license.License{}, license.ErrNotFound
	case err == nil:
		err = checkKey(found[0], licenseKey(id))
	}
	if err != nil {
		return license.License{}, fmt.Errorf("get license: %w", err)
	}
	return toLicense(found[0])
}

func (s *Signatures) batch(ctx context.Context, id string) (*dynamodb.BatchGetItemOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	return s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		s.licenses.table: {Keys: []item{licenseKey(id)}, ConsistentRead: aws.Bool(true)},
		s.table:          {Keys: []item{licenseKey(id)}},
	}}, func(o *dynamodb.Options) { o.RetryMaxAttempts = batchAttempts })
}

// signatureOf returns the signature in a response. One that cannot be read, or is another license's, is logged and
// counts as none. Then another is made and takes its place.
func (s *Signatures) signatureOf(ctx context.Context, id string, out *dynamodb.BatchGetItemOutput) token.Signature {
	items, _ := byTableName(out.Responses, s.table)
	if len(items) == 0 {
		return token.Signature{}
	}
	signedAt, err := unixSeconds(items[0][attrSigned])
	signature, isBinary := items[0][attrSignature].(*types.AttributeValueMemberB)
	if err != nil || !isBinary || checkKey(items[0], licenseKey(id)) != nil {
		slog.WarnContext(ctx, "the signature of a token cannot be read; another one will be made", "licenseid", id)
		return token.Signature{}
	}
	return token.Signature{SignedAt: signedAt, Bytes: signature.Value}
}

// unixSeconds returns the instant of an N that seconds wrote.
func unixSeconds(value types.AttributeValue) (time.Time, error) {
	n, isNumber := value.(*types.AttributeValueMemberN)
	if !isNumber {
		return time.Time{}, errors.New("not a number")
	}
	unix, err := strconv.ParseInt(n.Value, 10, 64)
	return time.Unix(unix, 0), err
}

func seconds(t time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(t.Unix(), 10)}
}

// Keep implements token.Signatures. Of two signatures that are kept at once, either stays.
func (s *Signatures) Keep(ctx context.Context, id string, signature token.Signature, expires time.Time) error {
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: item{
		attrLicenseID: text(id),
		attrSigned:    seconds(signature.SignedAt),
		attrSignature: &types.AttributeValueMemberB{Value: signature.Bytes},
		attrExpires:   seconds(expires),
	}})
	if err != nil {
		return fmt.Errorf("keep signature: %w", err)
	}
	return nil
}
