package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"openlicenser/shared/audit"
	"openlicenser/shared/plainjson"
)

// AuditAPI is what AuditTrail uses of a *dynamodb.Client.
type AuditAPI interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...option) (*dynamodb.GetItemOutput, error)
	Query(context.Context, *dynamodb.QueryInput, ...option) (*dynamodb.QueryOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...option) (*dynamodb.DeleteItemOutput, error)
	TransactWriteItems(
		context.Context, *dynamodb.TransactWriteItemsInput, ...option,
	) (*dynamodb.TransactWriteItemsOutput, error)
}

// AuditTrail keeps audit chains in a table with the partition key licenseid (S) and the sort key sequence (N). The item
// of sequence 0 is the chain's head, and the items from 1 on are its entries. It never updates or deletes there: its
// writes need dynamodb:PutItem and nothing else. What entries disclose is in a table of its own, with the same key. Of
// that it puts items, and deletes them.
type AuditTrail struct {
	client      AuditAPI
	table       string
	disclosures string
}

var _ audit.Store = (*AuditTrail)(nil)

// NewAuditTrail returns a store in the tables with the names or ARNs.
func NewAuditTrail(client AuditAPI, table, disclosures string) *AuditTrail {
	return &AuditTrail{client: client, table: table, disclosures: disclosures}
}

// itemKey is the table's key.
type itemKey struct {
	LicenseID string `dynamodbav:"licenseid"`
	Sequence  int64  `dynamodbav:"sequence"`
}

// headSequence is the sort key of a chain's head.
const headSequence = 0

// headItem is the state of a chain's end. SequenceNumber is an S, because the stream's numbers have up to 40 digits and
// an N has 38.
type headItem struct {
	itemKey
	HeadSequence   int64  `dynamodbav:"headsequence"`
	Hash           string `dynamodbav:"hash"`
	Stream         string `dynamodbav:"stream"`
	SequenceNumber string `dynamodbav:"sequencenumber"`
	RecordHash     string `dynamodbav:"recordhash"`

	ErasedSequence int64  `dynamodbav:"erasedsequence"`
	ErasedStream   string `dynamodbav:"erasedstream"`
	ErasedNumber   string `dynamodbav:"erasednumber"`

	GapSequence int64 `dynamodbav:"gapsequence"`

	StoredHash string `dynamodbav:"storedhash"`
	Nonces     string `dynamodbav:"nonces"` // JSON; in no index
}

func newHeadItem(licenseID string, s audit.State) (headItem, error) {
	nonces, err := plainjson.Marshal(s.Nonces)
	return headItem{
		itemKey{licenseID, headSequence}, s.Sequence, s.Hash, s.Stream, s.SequenceNumber, s.RecordHash,
		s.ErasedSequence, s.ErasedStream, s.ErasedNumber, s.GapSequence, s.StoredHash, string(nonces),
	}, err
}

func (h headItem) state() (audit.State, error) {
	s := audit.State{
		Head: audit.Head{
			Sequence: h.HeadSequence, Hash: h.Hash, Stream: h.Stream, SequenceNumber: h.SequenceNumber,
			RecordHash: h.RecordHash, ErasedSequence: h.ErasedSequence, ErasedStream: h.ErasedStream,
			ErasedNumber: h.ErasedNumber, GapSequence: h.GapSequence,
		},
		StoredHash: h.StoredHash,
	}
	if h.Nonces == "" {
		return s, nil
	}
	return s, json.Unmarshal([]byte(h.Nonces), &s.Nonces)
}

// entryItem is an entry. Entry is its canonical JSON, a line of the exported chain. Readers go by it alone; Hash is for
// people who look at the table.
type entryItem struct {
	itemKey
	Entry string `dynamodbav:"entry"`
	Hash  string `dynamodbav:"hash"`
}

// State implements audit.Store. It reads with strong consistency.
func (s *AuditTrail) State(ctx context.Context, licenseID string) (audit.State, error) {
	key, err := attributevalue.MarshalMap(itemKey{licenseID, headSequence})
	if err != nil {
		return audit.State{}, fmt.Errorf("audit head: %w", err)
	}
	values, err := getItem(ctx, s.client, s.table, key)
	if err != nil {
		return audit.State{}, fmt.Errorf("audit head: %w", err)
	}
	var head headItem
	err = attributevalue.UnmarshalMap(values, &head)
	state, errNonces := head.state()
	if err := errors.Join(err, errNonces); err != nil {
		return audit.State{}, fmt.Errorf("audit head: %w: %w", audit.ErrUnreadable, err)
	}
	return state, nil
}

// Append implements audit.Store. It puts the entry, the head and the disclosure in one transaction. The SDK repeats a
// request whose response was lost with the same ClientRequestToken, so that for ten minutes the repetition succeeds
// without effect (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html).
func (s *AuditTrail) Append(ctx context.Context, from audit.Head, e audit.Entry, to audit.State) error {
	if e.Sequence < 1 { // 0 is the head
		return audit.ErrNoSequence
	}
	puts, err := s.puts(from, e, to)
	if err != nil {
		return fmt.Errorf("append audit entry: %w", err)
	}
	_, err = s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: puts})
	switch {
	case err == nil:
		return nil
	case isConflict(err):
		return audit.ErrConflict
	default:
		return fmt.Errorf("append audit entry: %w", err)
	}
}

func (s *AuditTrail) puts(from audit.Head, e audit.Entry, to audit.State) ([]types.TransactWriteItem, error) {
	entry, errEntry := s.putEntry(e)
	head, errHead := s.putHead(from, e.LicenseID, to)
	puts := []types.TransactWriteItem{{Put: entry}, {Put: head}}
	if err := errors.Join(errEntry, errHead); err != nil {
		return nil, err
	}
	d, isAny := e.Disclosure()
	if !isAny {
		return puts, nil
	}
	disclosure, err := s.putDisclosure(e.LicenseID, d)
	return append(puts, types.TransactWriteItem{Put: disclosure}), err
}

// putEntry returns the put of an entry. It replaces none.
func (s *AuditTrail) putEntry(e audit.Entry) (*types.Put, error) {
	text, err := plainjson.Marshal(e.Closed())
	if err != nil {
		return nil, err
	}
	values, err := attributevalue.MarshalMap(entryItem{itemKey{e.LicenseID, e.Sequence}, string(text), e.Hash})
	return &types.Put{
		TableName:                &s.table,
		Item:                     values,
		ConditionExpression:      aws.String("attribute_not_exists(#licenseid)"),
		ExpressionAttributeNames: map[string]string{"#licenseid": attrLicenseID},
	}, err
}

// putHead returns the put of the head after an entry. It replaces no head other than from.
func (s *AuditTrail) putHead(from audit.Head, licenseID string, to audit.State) (*types.Put, error) {
	stored, err := newHeadItem(licenseID, to)
	if err != nil {
		return nil, err
	}
	values, err := attributevalue.MarshalMap(stored)
	if err != nil {
		return nil, err
	}
	values[attrBucket] = whole(int64(audit.BucketOf(licenseID))) // see headsIndex
	put := &types.Put{TableName: &s.table, Item: values}
	if from == (audit.Head{}) {
		put.ConditionExpression = aws.String("attribute_not_exists(#licenseid)")
		put.ExpressionAttributeNames = map[string]string{"#licenseid": attrLicenseID}
		return put, nil
	}
	put.ConditionExpression = aws.String(
		"#headsequence = :headsequence AND #hash = :hash AND " +
			"#sequencenumber = :sequencenumber AND #recordhash = :recordhash")
	put.ExpressionAttributeNames = map[string]string{
		"#headsequence": "headsequence", "#hash": "hash", "#sequencenumber": "sequencenumber",
		"#recordhash": "recordhash",
	}
	put.ExpressionAttributeValues, err = attributevalue.MarshalMap(map[string]any{
		":headsequence": from.Sequence, ":hash": from.Hash, ":sequencenumber": from.SequenceNumber,
		":recordhash": from.RecordHash,
	})
	return put, err
}

// isConflict reports whether the transaction met a chain that has moved on, or one that another transaction is moving.
// Other reasons, such as throttling, are faults.
func isConflict(err error) bool {
	var canceled *types.TransactionCanceledException
	return errors.As(err, &canceled) &&
		slices.ContainsFunc(canceled.CancellationReasons, func(reason types.CancellationReason) bool {
			code := aws.ToString(reason.Code)
			return code == conditionFailed || code == transactionConflict
		})
}

// Entries implements audit.Store. It reads with strong consistency, and goes on where DynamoDB ends a page at 1 MB.
func (s *AuditTrail) Entries(ctx context.Context, licenseID string, after int64, limit int) ([]audit.Entry, error) {
	values, err := attributevalue.MarshalMap(map[string]any{
		":licenseid": licenseID,
		":after":     max(after, headSequence), // the head is no entry
	})
	if err != nil {
		return nil, fmt.Errorf("audit entries: %w", err)
	}
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
		KeyConditionExpression:    aws.String("#licenseid = :licenseid AND #sequence > :after"),
		ExpressionAttributeNames:  map[string]string{"#licenseid": attrLicenseID, "#sequence": "sequence"},
		ExpressionAttributeValues: values,
		ConsistentRead:            aws.Bool(true),
	}
	var entries []audit.Entry
	for len(entries) < limit {
		in.Limit = aws.Int32(int32(min(limit-len(entries), math.MaxInt32)))
		out, err := s.client.Query(ctx, in)
		if err == nil {
			err = checkListed(out.Items)
		}
		if err != nil {
			return nil, fmt.Errorf("audit entries: %w", err)
		}
		if entries, err = appendEntries(entries, licenseID, out.Items); err != nil {
			return nil, fmt.Errorf("audit entries: %w", err)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			break
		}
	}
	return entries, nil
}

// appendEntries appends the entries of items. An item that holds none is an error with its sequence: left out, it would
// be a hole, and a chain with a hole proves nothing.
func appendEntries(entries []audit.Entry, licenseID string, items []item) ([]audit.Entry, error) {
	for _, values := range items {
		if err := checkKey(values, licenseKey(licenseID)); err != nil {
			return nil, err
		}
		var stored entryItem
		if err := attributevalue.UnmarshalMap(values, &stored); err != nil {
			return nil, fmt.Errorf("%w: %w", audit.ErrUnreadable, err)
		}
		var e audit.Entry
		if err := json.Unmarshal([]byte(stored.Entry), &e); err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", audit.ErrUnreadable, stored.Sequence, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}
