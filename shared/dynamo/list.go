package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"openlicenser/shared/license"
	"openlicenser/shared/plainjson"
)

// List implements license.Store. It reads an index, which lags behind the table by moments. The indexes have the names
// and keys of license.Indexes, all of them S, and the projection ALL.
func (s *Licenses) List(ctx context.Context, q license.Query) (license.Page, error) {
	page, err := q.List(ctx,
		func(ctx context.Context, r license.Range, position string, limit int) ([]license.License, string, error) {
			return s.listRange(ctx, q, r, position, limit)
		})
	if err != nil {
		return license.Page{}, fmt.Errorf("list licenses: %w", err)
	}
	return page, nil
}

func (s *Licenses) listRange(
	ctx context.Context, q license.Query, r license.Range, position string, limit int,
) (licenses []license.License, next string, err error) {
	in, err := s.listInput(r, position)
	if err != nil {
		return nil, "", err
	}
	if sort := textOf(in.ExclusiveStartKey, r.Index.Sort); sort != "" && (sort < r.From || sort > r.To) {
		// The bounds have moved past the cursor, and DynamoDB refuses a start outside of them.
		if r.Descending == (sort < r.From) {
			return nil, "", nil
		}
		in.ExclusiveStartKey = nil
	}
	for range license.MaxReads {
		in.Limit = aws.Int32(int32(limit - len(licenses)))
		out, err := s.client.Query(ctx, in)
		if err == nil {
			err = checkListed(out.Items)
		}
		if err != nil {
			return nil, "", asBusy(err)
		}
		licenses = append(licenses, matching(ctx, q, out.Items)...)
		in.ExclusiveStartKey = out.LastEvaluatedKey
		if len(in.ExclusiveStartKey) == 0 || len(licenses) == limit {
			break
		}
	}
	next, err = toPosition(r.Index, in.ExclusiveStartKey)
	return licenses, next, err
}

// asBusy adds license.ErrBusy to the error of a read for which the table or the index has too little capacity left.
func asBusy(err error) error {
	var said smithy.APIError
	if errors.As(err, &said) {
		if _, isThrottled := retry.DefaultThrottleErrorCodes[said.ErrorCode()]; isThrottled {
			return fmt.Errorf("%w: %w", license.ErrBusy, err)
		}
	}
	return err
}

// matching returns the licenses of a page that the query asks for.
func matching(ctx context.Context, q license.Query, items []item) (licenses []license.License) {
	for _, values := range items {
		l, err := toLicense(values)
		if err != nil {
			l = license.Damaged(textOf(values, attrLicenseID))
			slog.WarnContext(ctx, "a record that cannot be read is in a list", "licenseid", l.ID, "error", err)
		}
		if q.Matches(l) {
			licenses = append(licenses, l)
		}
	}
	return licenses
}

func (s *Licenses) listInput(r license.Range, position string) (*dynamodb.QueryInput, error) {
	start, err := fromPosition(r, position)
	if err != nil {
		return nil, err
	}
	return &dynamodb.QueryInput{
		TableName:                &s.table,
		IndexName:                aws.String(r.Index.Name),
		KeyConditionExpression:   aws.String("#partition = :partition AND #sort BETWEEN :from AND :to"),
		ExpressionAttributeNames: map[string]string{"#partition": r.Index.Partition, "#sort": r.Index.Sort},
		ExpressionAttributeValues: item{
			":partition": text(r.Partition), ":from": text(r.From), ":to": text(r.To),
		},
		ScanIndexForward:  aws.Bool(!r.Descending),
		ExclusiveStartKey: start,
	}, nil
}

// toPosition returns the text of the key after which the next page begins: a JSON array of its sort key and its license
// id, or "" for no key. The partition key follows from the query.
func toPosition(index license.Index, key item) (string, error) {
	if len(key) == 0 {
		return "", nil
	}
	position, err := plainjson.Marshal([]string{textOf(key, index.Sort), textOf(key, attrLicenseID)})
	return string(position), err
}

// fromPosition returns the key that toPosition wrote, with the partition key.
func fromPosition(r license.Range, position string) (item, error) {
	if position == "" {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal([]byte(position), &texts); err != nil || len(texts) != 2 {
		return nil, errors.New("not a position of this list")
	}
	return item{
		r.Index.Partition: text(r.Partition), r.Index.Sort: text(texts[0]), attrLicenseID: text(texts[1]),
	}, nil
}
