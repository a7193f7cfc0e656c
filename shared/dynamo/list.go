package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"openlicenser/shared/license"
	"openlicenser/shared/plainjson"
)

// The attributes that the indexes of the license table need and only this package knows, both S. The indexes have the
// names of license.Index and the projection ALL. Records of other tools lack the attributes, and join the indexes with
// the first change that we make to them.
const (
	attrCollection = "collection" // the same in every record
	attrStanding   = "standing"   // as license.License.Standing returns it

	collection = "licenses"
)

// indexKeys are the names of each index's partition key and sort key, all of them S.
var indexKeys = map[license.Index]struct{ partition, sort string }{
	license.Newest:     {attrCollection, attrLicenseID},
	license.OfCustomer: {license.AttrCustomerID, attrLicenseID},
	license.ByExpiry:   {attrCollection, license.AttrExpirationDate},
	license.ByStanding: {attrStanding, license.AttrExpirationDate},
}

// List implements license.Store. It reads an index, which lags behind the table by moments. A record that cannot be
// understood is left out and logged, so that it hides no other.
func (s *Licenses) List(ctx context.Context, q license.Query) (page license.Page, err error) {
	if from, to := q.Dates(); from > to {
		return license.Page{}, nil // BETWEEN takes no such bounds
	}
	in, err := s.listInput(q)
	if err != nil {
		return license.Page{}, fmt.Errorf("list licenses: %w", err)
	}
	if from, _ := q.Dates(); len(in.ExclusiveStartKey) > 0 && indexKeys[q.Index()].sort == license.AttrExpirationDate &&
		textOf(in.ExclusiveStartKey, license.AttrExpirationDate) < from {
		return license.Page{}, nil // the dates have moved past the cursor, and DynamoDB refuses a start outside of them
	}
	for range license.MaxReads {
		in.Limit = aws.Int32(int32(q.Limit - len(page.Licenses)))
		out, err := s.client.Query(ctx, in)
		if err == nil {
			err = checkListed(out.Items)
		}
		if err != nil {
			return license.Page{}, fmt.Errorf("list licenses: %w", err)
		}
		page.Licenses = append(page.Licenses, matching(ctx, q, out.Items)...)
		in.ExclusiveStartKey = out.LastEvaluatedKey
		if len(in.ExclusiveStartKey) == 0 || len(page.Licenses) == q.Limit {
			break
		}
	}
	page.Next, err = toPosition(q.Index(), in.ExclusiveStartKey)
	return page, err
}

// matching returns the licenses of a page that the query asks for.
func matching(ctx context.Context, q license.Query, items []item) (licenses []license.License) {
	for _, values := range items {
		l, err := toLicense(values)
		switch {
		case err != nil:
			slog.WarnContext(ctx, "a license that cannot be understood is left out of the list",
				"licenseid", textOf(values, attrLicenseID), "error", err)
		case q.Matches(l):
			licenses = append(licenses, l)
		}
	}
	return licenses
}

func (s *Licenses) listInput(q license.Query) (*dynamodb.QueryInput, error) {
	keys := indexKeys[q.Index()]
	partition := map[string]string{
		attrCollection:         collection,
		license.AttrCustomerID: q.CustomerID,
		attrStanding:           string(q.Standing()),
	}[keys.partition]
	start, err := fromPosition(q.Index(), partition, q.Position)
	if err != nil {
		return nil, err
	}
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
		IndexName:                 aws.String(string(q.Index())),
		KeyConditionExpression:    aws.String("#partition = :partition"),
		ExpressionAttributeNames:  map[string]string{"#partition": keys.partition},
		ExpressionAttributeValues: item{":partition": text(partition)},
		ScanIndexForward:          aws.Bool(false),
		ExclusiveStartKey:         start,
	}
	if keys.sort == license.AttrExpirationDate {
		from, to := q.Dates()
		in.KeyConditionExpression = aws.String("#partition = :partition AND #date BETWEEN :from AND :to")
		in.ExpressionAttributeNames["#date"] = license.AttrExpirationDate
		in.ExpressionAttributeValues[":from"], in.ExpressionAttributeValues[":to"] = text(from), text(to)
	}
	return in, nil
}

// toPosition returns the text of the key after which the next page begins: a JSON array of its sort key and its license
// id, or "" for no key. The partition key follows from the query.
func toPosition(index license.Index, key item) (string, error) {
	if len(key) == 0 {
		return "", nil
	}
	position, err := plainjson.Marshal([]string{textOf(key, indexKeys[index].sort), textOf(key, attrLicenseID)})
	return string(position), err
}

// fromPosition returns the key that toPosition wrote, with the partition key.
func fromPosition(index license.Index, partition, position string) (item, error) {
	if position == "" {
		return nil, nil
	}
	var texts []string
	if err := json.Unmarshal([]byte(position), &texts); err != nil || len(texts) != 2 {
		return nil, errors.New("not a position of this list")
	}
	keys := indexKeys[index]
	return item{keys.partition: text(partition), keys.sort: text(texts[0]), attrLicenseID: text(texts[1])}, nil
}
