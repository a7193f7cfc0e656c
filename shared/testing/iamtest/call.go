package iamtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"openlicenser/shared/testing/samtemplate"
)

// Call is a call of AWS as IAM sees it: one action on one resource. A request can be several of them.
type Call struct {
	Action   string              // as dynamodb:GetItem
	Resource string              // its ARN
	Context  map[string][]string // by condition key, none for a known key without a value
}

func newCall(action, resource string) Call {
	return Call{action, resource, map[string][]string{
		"aws:SecureTransport": {"true"}, // the SDK takes https, unless told otherwise as in tests
	}}
}

// With returns the call with values for a key. Those that are empty are none.
func (c Call) With(key string, values ...string) Call {
	context := map[string][]string{key: slices.DeleteFunc(values, func(value string) bool { return value == "" })}
	for other, has := range c.Context {
		if other != key {
			context[other] = has
		}
	}
	c.Context = context
	return c
}

func (c Call) String() string {
	text := c.Action + " " + c.Resource
	for _, key := range slices.Sorted(maps.Keys(c.Context)) {
		if values := c.Context[key]; len(values) > 0 && !strings.HasPrefix(key, "aws:") {
			text += fmt.Sprintf(" %s=%s", key, strings.Join(values, ","))
		}
	}
	return text
}

// arn returns the ARN of what a service has in the account and region of the template.
func arn(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, samtemplate.Region, samtemplate.Account, resource)
}

// input is the body of a request in AWS JSON.
type input struct {
	dynamoDBInput
	SecretID         string `json:"SecretId"`
	KeyID            string `json:"KeyId"`
	SigningAlgorithm string
	MessageType      string
}

// ofRequest returns the calls that a request of AWS JSON is. keyOf returns the ARN of the key that has an alias.
func ofRequest(service, operation string, body []byte, keyOf func(alias string) string) ([]Call, error) {
	var in input
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("%s %s: %w", service, operation, err)
	}
	action := service + ":" + operation
	switch {
	case service == "dynamodb":
		return in.calls(operation)
	case service == "secretsmanager" && strings.HasPrefix(in.SecretID, "arn:"):
		return []Call{newCall(action, in.SecretID)}, nil
	case service == "kms" && in.KeyID != "":
		return []Call{in.ofKey(action, keyOf)}, nil
	}
	return nil, fmt.Errorf("what %s is about is not known here", action)
}

// ofKey returns a call of KMS
// (https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html). What an alias stands for is another
// matter than what the key is asked for by.
func (in input) ofKey(action string, keyOf func(alias string) string) Call {
	key, alias := in.KeyID, ""
	if _, name, isARN := strings.Cut(key, ":alias/"); isARN {
		key = "alias/" + name
	}
	switch {
	case strings.HasPrefix(key, "alias/"):
		key, alias = keyOf(key), key
	case !strings.HasPrefix(key, "arn:"):
		key = arn("kms", "key/"+key)
	}
	return newCall(action, key).
		With("kms:RequestAlias", alias).
		With("kms:SigningAlgorithm", in.SigningAlgorithm).
		With("kms:MessageType", in.MessageType)
}

// s3Headers are those of a put that take a permission of their own
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html).
var s3Headers = map[string]string{
	"X-Amz-Acl": "s3:PutObjectAcl", "X-Amz-Tagging": "s3:PutObjectTagging",
	"X-Amz-Object-Lock-Mode": "s3:PutObjectRetention", "X-Amz-Object-Lock-Legal-Hold": "s3:PutObjectLegalHold",
}

// ofS3 returns the calls that a request of S3 with a path-style URL is.
func ofS3(r *http.Request) ([]Call, error) {
	action := map[string]string{http.MethodGet: "s3:GetObject", http.MethodPut: "s3:PutObject"}[r.Method]
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	query.Del("x-id") // names the operation
	if action == "" || bucket == "" || key == "" || len(query) > 0 {
		return nil, fmt.Errorf("what %s %s is for S3 is not known here", r.Method, r.URL)
	}
	object := newCall(action, "arn:aws:s3:::"+bucket+"/"+key)
	calls := []Call{object.With("s3:if-none-match", r.Header.Get("If-None-Match"))}
	for header, action := range s3Headers {
		if r.Header.Get(header) != "" {
			calls = append(calls, newCall(action, object.Resource))
		}
	}
	return calls, nil
}

// ofMissing returns what S3 wants to be allowed besides a call, before it tells that the object is not there: without
// it, it says that access is denied (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
func ofMissing(object Call) Call {
	bucket, _, _ := strings.Cut(object.Resource, "/")
	return newCall("s3:ListBucket", bucket)
}

var name = regexp.MustCompile(`[#:]?[A-Za-z_]\w*`)

// attributesIn returns the attributes that an expression of DynamoDB names, but not what is in them
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html).
func attributesIn(expression string, names map[string]string) (attributes []string) {
	for _, at := range name.FindAllStringIndex(expression, -1) {
		word, after := expression[at[0]:at[1]], strings.TrimLeft(expression[at[1]:], " ")
		switch isNested := at[0] > 0 && expression[at[0]-1] == '.'; {
		case isNested, word[0] == ':', strings.HasPrefix(after, "("), slices.Contains(keywords, strings.ToUpper(word)):
		case word[0] == '#':
			attributes = append(attributes, names[word])
		default:
			attributes = append(attributes, word)
		}
	}
	return attributes
}

var keywords = []string{"SET", "REMOVE", "ADD", "DELETE", "AND", "OR", "NOT", "IN", "BETWEEN"}
