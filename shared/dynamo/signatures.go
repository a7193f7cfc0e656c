package dynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// The attributes of a signature, besides the partition key licenseid (S).
const (
	attrSigned    = "signed"    // N, Unix seconds: when the token was signed
	attrSignature = "signature" // B
	attrTokenEnds = "exp"       // N, Unix seconds: exp of the token of a device
	attrExpires   = "expires"   // N, Unix seconds: the table's time to live
)

// SignatureAPI is what Signatures uses of a *dynamodb.Client.
type SignatureAPI interface {
	BatchGetItem(context.Context, *dynamodb.BatchGetItemInput, ...option) (*dynamodb.BatchGetItemOutput, error)
	PutItem(context.Context, *dynamodb.PutItemInput, ...option) (*dynamodb.PutItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...option) (*dynamodb.DeleteItemOutput, error)
}

// Signatures keeps the signatures of authorization tokens in a table of their own with the partition key licenseid (S):
// the id of a license or, for the token of a device, that id, a slash and the device's id. An item has some 400 bytes,
// and so costs half a read unit and one write unit.
type Signatures struct {
	client   SignatureAPI
	table    string
	licenses *Licenses
	devices  *Devices
}

var (
	_ token.Signatures       = (*Signatures)(nil)
	_ token.SignatureRemover = (*Signatures)(nil)
)

// NewSignatures returns a store in the table with the name or ARN, which also reads licenses and, unless devices is
// nil, their seats.
func NewSignatures(client SignatureAPI, table string, licenses *Licenses, devices *Devices) *Signatures {
	return &Signatures{client: client, table: table, licenses: licenses, devices: devices}
}

// signatureID returns the partition key of a signature.
func signatureID(licenseID, deviceID string) string {
	if deviceID == "" {
		return licenseID
	}
	return licenseID + "/" + deviceID
}

// The bounds of reading all at once. They leave time to read the license alone afterwards.
const (
	batchAttempts = 2
	batchTimeout  = 3 * time.Second
)

// Get implements token.Signatures. It reads the license and its seats with strong consistency and the signatures with
// eventual consistency, in one BatchGetItem. Where that fails, or DynamoDB leaves a part out (UnprocessedKeys), it
// reads what is needed of it alone.
func (s *Signatures) Get(ctx context.Context, id, deviceID string) (kept token.Kept, err error) {
	if !isKey(id) {
		return kept, license.ErrNotFound
	}
	if s.devices == nil {
		deviceID = ""
	}
	out, errBatch := s.batch(ctx, id, deviceID)
	if errBatch != nil {
		slog.WarnContext(ctx,
			"a license and the signature of its token could not be read together; the license is read alone",
			"error", errBatch)
		out = &dynamodb.BatchGetItemOutput{}
	}
	kept.Signature = s.signatureOf(ctx, id, "", out)
	if _, leftOut := byTableName(out.UnprocessedKeys, s.licenses.table); leftOut || errBatch != nil {
		kept.License, err = s.licenses.Get(ctx, id)
	} else {
		kept.License, err = s.licenseOf(id, out)
	}
	if err != nil || deviceID == "" {
		return kept, err
	}
	kept.OfDevice = s.signatureOf(ctx, id, deviceID, out)
	_, leftOut := byTableName(out.UnprocessedKeys, s.devices.table)
	switch {
	case (leftOut || errBatch != nil) && kept.License.MaxDevices > 0:
		kept.Seats, kept.SeatsErr = s.devices.Seats(ctx, id)
	case !leftOut && errBatch == nil:
		kept.Seats, kept.SeatsErr = s.seatsOf(id, out)
	}
	return kept, nil
}

// licenseOf returns the license in a response. It returns license.ErrNotFound only where the response lists nothing
// under the table's name.
func (s *Signatures) licenseOf(id string, out *dynamodb.BatchGetItemOutput) (license.License, error) {
	values, err := onlyItem(out, s.licenses.table, id)
	switch {
	case err != nil:
		return license.License{}, fmt.Errorf("get license: %w", err)
	case values == nil:
		return license.License{}, license.ErrNotFound
	}
	return toLicense(values)
}

// seatsOf returns the seats in a response, and nil where the response lists nothing under the table's name.
func (s *Signatures) seatsOf(id string, out *dynamodb.BatchGetItemOutput) (*device.Seats, error) {
	values, err := onlyItem(out, s.devices.table, id)
	if err != nil {
		return nil, fmt.Errorf("get seats: %w", err)
	}
	return toSeats(values)
}

// onlyItem returns the item that a response has of a table, and nil where it lists none.
func onlyItem(out *dynamodb.BatchGetItemOutput, table, licenseID string) (item, error) {
	found, _ := byTableName(out.Responses, table)
	if err := checkListed(found); err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], checkKey(found[0], licenseKey(licenseID))
}

func (s *Signatures) batch(ctx context.Context, id, deviceID string) (*dynamodb.BatchGetItemOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	signatures := []item{licenseKey(id)}
	keys := map[string]types.KeysAndAttributes{
		s.licenses.table: {Keys: []item{licenseKey(id)}, ConsistentRead: aws.Bool(true)},
	}
	if deviceID != "" {
		signatures = append(signatures, licenseKey(signatureID(id, deviceID)))
		keys[s.devices.table] = types.KeysAndAttributes{Keys: []item{licenseKey(id)}, ConsistentRead: aws.Bool(true)}
	}
	keys[s.table] = types.KeysAndAttributes{Keys: signatures}
	in := &dynamodb.BatchGetItemInput{RequestItems: keys}
	return s.client.BatchGetItem(ctx, in, func(o *dynamodb.Options) { o.RetryMaxAttempts = batchAttempts })
}

// signatureOf returns a signature in a response. One that cannot be read is logged and counts as none. Then another is
// made and takes its place.
func (s *Signatures) signatureOf(
	ctx context.Context, id, deviceID string, out *dynamodb.BatchGetItemOutput,
) token.Signature {
	items, _ := byTableName(out.Responses, s.table)
	key := licenseKey(signatureID(id, deviceID))
	i := slices.IndexFunc(items, func(values item) bool { return checkKey(values, key) == nil })
	if i < 0 {
		if len(items) > 0 && deviceID == "" && !isOfLicense(items, id) {
			slog.WarnContext(ctx, "the signature of a token cannot be read; another one will be made", "licenseid", id)
		}
		return token.Signature{}
	}
	signedAt, err := unixSeconds(items[i][attrSigned])
	signature, isBinary := items[i][attrSignature].(*types.AttributeValueMemberB)
	var ends time.Time
	if deviceID != "" && err == nil {
		ends, err = unixSeconds(items[i][attrTokenEnds])
	}
	if err != nil || !isBinary {
		slog.WarnContext(ctx, "the signature of a token cannot be read; another one will be made", "licenseid", id)
		return token.Signature{}
	}
	return token.Signature{SignedAt: signedAt, Expires: ends, Bytes: signature.Value}
}

// isOfLicense reports whether all items are signatures of the license or of its devices.
func isOfLicense(items []item, id string) bool {
	return !slices.ContainsFunc(items, func(values item) bool {
		key := textOf(values, attrLicenseID)
		return key != id && !strings.HasPrefix(key, id+"/")
	})
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
func (s *Signatures) Keep(
	ctx context.Context, id, deviceID string, signature token.Signature, expires time.Time,
) error {
	values := item{
		attrLicenseID: text(signatureID(id, deviceID)),
		attrSigned:    seconds(signature.SignedAt),
		attrSignature: &types.AttributeValueMemberB{Value: signature.Bytes},
		attrExpires:   seconds(expires),
	}
	if deviceID != "" {
		values[attrTokenEnds] = seconds(signature.Expires)
	}
	if _, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &s.table, Item: values}); err != nil {
		return fmt.Errorf("keep signature: %w", err)
	}
	return nil
}

// Forget implements token.SignatureRemover. It deletes one item after the other: BatchWriteItem would take a permission
// to put items as well.
func (s *Signatures) Forget(ctx context.Context, id string, deviceIDs []string) error {
	for _, deviceID := range append([]string{""}, deviceIDs...) {
		in := &dynamodb.DeleteItemInput{TableName: &s.table, Key: licenseKey(signatureID(id, deviceID))}
		if _, err := s.client.DeleteItem(ctx, in); err != nil {
			return fmt.Errorf("forget signature: %w", err)
		}
	}
	return nil
}
