package dynamo

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// An item counts as missing only if DynamoDB says so. An empty body, or {} from something between us and DynamoDB,
// reads like a response without an item. Taken for one it would be a definite no to a customer, or the end of an audit
// chain. So the functions below believe only a response that names the table or lists items. Any other is a fault.
var (
	errNotSaid = errors.New(
		"the response does not say whether there is something: it is not one of DynamoDB, or not a whole one")
	errOtherItem = errors.New("the response holds another item than the one that was asked for")
)

type itemGetter interface {
	GetItem(context.Context, *dynamodb.GetItemInput, ...option) (*dynamodb.GetItemOutput, error)
}

// getItem reads an item with strong consistency. It returns nil where DynamoDB says that there is none: the response
// then holds the consumed capacity, which names the table, and nothing else.
func getItem(ctx context.Context, client itemGetter, table string, key item) (item, error) {
	out, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:              &table,
		Key:                    key,
		ConsistentRead:         aws.Bool(true),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
	})
	switch {
	case err != nil:
		return nil, err
	case out.Item != nil:
		return out.Item, checkKey(out.Item, key)
	case out.ConsumedCapacity == nil || !sameTable(aws.ToString(out.ConsumedCapacity.TableName), table):
		return nil, errNotSaid
	}
	return nil, nil
}

// checkKey returns errOtherItem unless the item has the key.
func checkKey(values, key item) error {
	for name, value := range key {
		if !reflect.DeepEqual(values[name], value) {
			return errOtherItem
		}
	}
	return nil
}

// checkListed returns errNotSaid for the response to a Query or a Scan that has no list of items. DynamoDB sends one
// even where it is empty.
func checkListed(items []item) error {
	if items == nil {
		return errNotSaid
	}
	return nil
}

// queriedItems returns all items of a query, as they come page by page.
func queriedItems(
	ctx context.Context, client dynamodb.QueryAPIClient, in *dynamodb.QueryInput,
) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		pages := dynamodb.NewQueryPaginator(client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err == nil {
				err = checkListed(page.Items)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, values := range page.Items {
				if !yield(values, nil) {
					return
				}
			}
		}
	}
}

// byTableName returns what a part of a response says of a table, and whether it names the table at all.
func byTableName[V any](parts map[string]V, table string) (value V, said bool) {
	if value, said = parts[table]; said {
		return value, true
	}
	for name, other := range parts {
		if sameTable(name, table) {
			return other, true
		}
	}
	return value, false
}

// sameTable reports whether two names are the same table's. Either may be a name or an ARN: a response need not name a
// table as its request did.
func sameTable(a, b string) bool { return a == b || tableName(a) == tableName(b) }

func tableName(nameOrARN string) string {
	if strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN[strings.LastIndexByte(nameOrARN, '/')+1:]
	}
	return nameOrARN
}
