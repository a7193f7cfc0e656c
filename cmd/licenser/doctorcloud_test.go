package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"

	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/samtemplate"
	"openlicenser/shared/token"
)

type object = map[string]any

// cloud stands in for AWS with a stack of template.yaml that is well, in front of a local server. IAM is there, too:
// the vendor's routes want a signature.
type cloud struct {
	t      *testing.T
	url    string // of AWS's services
	server *server

	// plant changes what is well of a call, by its IAM action, or has it fail with an error code.
	plant func(action string, input, output object) (code string)
	// intercept responds to a request of the API in place of the server, and reports whether it has.
	intercept func(w http.ResponseWriter, r *http.Request) bool

	outputs, parameters map[string]string
	resources           []any
	kms                 map[string][]byte // public halves, by what the caller names the key

	mu     sync.Mutex
	called map[string]int // by IAM action
}

const stackName = "open-licenser-dev"

// newCloud puts a stack before a server whose data lies in a folder. The environment then names it as AWS.
func newCloud(t *testing.T, s *server, data string) *cloud {
	t.Helper()
	c := &cloud{t: t, server: s, kms: map[string][]byte{}, called: map[string]int{}}
	front := httptest.NewServer(http.HandlerFunc(c.serveAPI))
	services := httptest.NewServer(http.HandlerFunc(c.serveAWS))
	t.Cleanup(front.Close)
	t.Cleanup(services.Close)
	c.url = services.URL
	setAWS(t, services.URL)

	template, err := samtemplate.Read()
	if err != nil {
		t.Fatal(err)
	}
	template = template.With(map[string]any{
		"AWS::StackName": stackName, "CheckpointOrigin": checkpointOrigin,
		"TokenKeyAlias": "alias/" + stackName + "-token",
	})
	if c.outputs, err = template.Outputs(); err != nil {
		t.Fatal(err)
	}
	c.outputs["ApiUrl"] = front.URL
	c.parameters = template.Parameters()
	c.addResources(template)

	keys, err := embedded.KeyStore{Folder: data}.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	current, err := x509.MarshalPKIXPublicKey(keys[token.Current].Public)
	if err != nil {
		t.Fatal(err)
	}
	c.kms[c.outputs["TokenKeyAlias"]], c.kms["token-key"] = current, current
	c.kms[c.outputs["CheckpointKeyArn"]] = c.checkpointKey(data)
	return c
}

func (c *cloud) checkpointKey(data string) []byte {
	c.t.Helper()
	signer, err := embedded.OpenCheckpointKey(data)
	if err != nil {
		c.t.Fatal(err)
	}
	public, err := signer.PublicKey(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return derOf(c.t, public)
}

func derOf(t *testing.T, public ed25519.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// addResources adds what the template makes, and what SAM makes of it.
func (c *cloud) addResources(template *samtemplate.Template) {
	c.t.Helper()
	add := func(id, resourceType string) {
		c.resources = append(c.resources, object{
			"LogicalResourceId": id, "PhysicalResourceId": id, "ResourceType": resourceType,
			"ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": time.Now(),
		})
	}
	for declared, made := range map[string]string{
		"AWS::Serverless::Function":  "AWS::Lambda::Function",
		"AWS::CloudWatch::Alarm":     "AWS::CloudWatch::Alarm",
		"AWS::DynamoDB::GlobalTable": "AWS::DynamoDB::GlobalTable",
		"AWS::DynamoDB::Table":       "AWS::DynamoDB::Table",
		"AWS::Logs::LogGroup":        "AWS::Logs::LogGroup",
	} {
		ids, err := template.Of(declared)
		if err != nil || len(ids) == 0 {
			c.t.Fatal(len(ids), declared, err)
		}
		for _, id := range ids {
			add(id, made)
		}
	}
	for _, id := range []string{"AuditFunction", "IndexFunction"} {
		events, err := template.Property(id, "Events")
		if err != nil {
			c.t.Fatal(err)
		}
		for name := range events.(object) {
			add(id+name, "AWS::Lambda::EventSourceMapping")
		}
	}
}

// serveAPI stands in for API Gateway with IAM.
func (c *cloud) serveAPI(w http.ResponseWriter, r *http.Request) {
	isVendors := strings.HasPrefix(r.URL.Path, "/licenses") || strings.HasPrefix(r.URL.Path, "/plans")
	switch {
	case c.intercept != nil && c.intercept(w, r):
		return
	case isVendors && !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "):
		noSuchRoute.write(w)
		return
	}
	c.proxy().ServeHTTP(w, r)
}

// proxy hands requests to the server, which knows no IAM.
func (c *cloud) proxy() http.Handler {
	target, err := url.Parse(c.server.url)
	if err != nil {
		c.t.Error(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Header.Del("Authorization")
	}}
}

// call is a call of one of AWS's services, in whatever protocol.
type call struct {
	action string // of IAM
	input  object
	write  func(w http.ResponseWriter, output object)
	refuse func(w http.ResponseWriter, code string)
}

func (c *cloud) serveAWS(w http.ResponseWriter, r *http.Request) {
	made, err := readCall(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	c.mu.Lock()
	c.called[made.action]++
	c.mu.Unlock()
	output, known := c.well(made.action, made.input)
	if !known {
		http.Error(w, "unexpected call of "+made.action, http.StatusNotImplemented)
		return
	}
	if c.plant != nil {
		if code := c.plant(made.action, made.input, output); code != "" {
			made.refuse(w, code)
			return
		}
	}
	made.write(w, output)
}

// readCall tells the protocols of AWS apart.
func readCall(r *http.Request) (made call, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return made, err
	}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case operation != "":
		names := map[string]string{
			"DynamoDB_20120810": "dynamodb", "TrentService": "kms", "secretsmanager": "secretsmanager",
			"ServiceQuotasV20190624": "servicequotas",
		}
		err = json.Unmarshal(body, &made.input)
		made.action, made.write, made.refuse = names[service]+":"+operation, writeJSON, refuseJSON
	case r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor":
		decoded, errCBOR := cbor.Decode(body)
		made.input, _ = plainCBOR(decoded).(object)
		err = errCBOR
		made.action, made.write, made.refuse = "cloudwatch:"+path[len(path)-1], writeCBOR, refuseCBOR
	case r.Method == http.MethodPost:
		form, errForm := url.ParseQuery(string(body))
		err, operation = errForm, form.Get("Action")
		made.action = "cloudformation:" + operation
		if form.Has("TopicArn") {
			made.action = "sns:" + operation
		}
		made.input = object{}
		for name := range form {
			made.input[name] = form.Get(name)
		}
		made.write = func(w http.ResponseWriter, output object) { writeXML(w, operation, output) }
		made.refuse = refuseXML
	default:
		made.action, made.input = restAction(path)
		made.write, made.refuse = writeJSON, refuseJSON
	}
	return made, err
}

func restAction(path []string) (action string, input object) {
	last := path[len(path)-1]
	switch {
	case last == "account":
		return "apigateway:GET", nil
	case last == "account-settings":
		return "lambda:GetAccountSettings", nil
	case last == "configuration":
		return "lambda:GetFunctionConfiguration", object{"FunctionName": path[2]}
	case last == "concurrency":
		return "lambda:GetFunctionConcurrency", object{"FunctionName": path[2]}
	case len(path) > 1 && path[1] == "event-source-mappings":
		return "lambda:GetEventSourceMapping", object{"UUID": last}
	}
	return strings.Join(path, "/"), nil
}

// Each protocol has a form of its own for results and errors. An instant is a time.Time.

func writeJSON(w http.ResponseWriter, output object) { sendJSON(w, http.StatusOK, output) }

func refuseJSON(w http.ResponseWriter, code string) {
	w.Header().Set("X-Amzn-Errortype", code)
	sendJSON(w, http.StatusBadRequest, object{"__type": code, "message": "said by the service"})
}

func sendJSON(w http.ResponseWriter, status int, output object) {
	text, err := json.Marshal(withSeconds(output))
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(text)))
	w.WriteHeader(status)
	w.Write(text)
}

// withSeconds writes instants as JSON of AWS does: in Unix seconds.
func withSeconds(value any) any {
	switch v := value.(type) {
	case time.Time:
		return float64(v.UnixMilli()) / 1000
	case object:
		o := object{}
		for name, member := range v {
			o[name] = withSeconds(member)
		}
		return o
	case []any:
		return mapped(v, withSeconds)
	}
	return value
}

func writeCBOR(w http.ResponseWriter, output object) { sendCBOR(w, http.StatusOK, output) }

func refuseCBOR(w http.ResponseWriter, code string) {
	sendCBOR(w, http.StatusBadRequest, object{"__type": code, "message": "said by the service"})
}

func sendCBOR(w http.ResponseWriter, status int, output object) {
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.WriteHeader(status)
	w.Write(cbor.Encode(asCBOR(output)))
}

func asCBOR(value any) cbor.Value {
	switch v := value.(type) {
	case string:
		return cbor.String(v)
	case bool:
		return cbor.Bool(v)
	case float64:
		return cbor.Float64(v)
	case time.Time:
		return &cbor.Tag{ID: 1, Value: cbor.Float64(float64(v.UnixMilli()) / 1000)}
	case object:
		m := cbor.Map{}
		for name, member := range v {
			m[name] = asCBOR(member)
		}
		return m
	case []any:
		return cbor.List(mapped(v, asCBOR))
	}
	panic(fmt.Sprintf("no CBOR of %T", value))
}

func plainCBOR(value cbor.Value) any {
	switch v := value.(type) {
	case cbor.String:
		return string(v)
	case cbor.Map:
		o := object{}
		for name, member := range v {
			o[name] = plainCBOR(member)
		}
		return o
	case cbor.List:
		return mapped(v, plainCBOR)
	}
	return nil
}

func writeXML(w http.ResponseWriter, operation string, output object) {
	var b bytes.Buffer
	appendXML(&b, operation+"Response", object{operation + "Result": output})
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.Write(b.Bytes())
}

func refuseXML(w http.ResponseWriter, code string) {
	var b bytes.Buffer
	appendXML(&b, "ErrorResponse", object{"Error": object{"Code": code, "Message": "said by the service"}})
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusBadRequest)
	w.Write(b.Bytes())
}

func appendXML(b *bytes.Buffer, name string, value any) {
	fmt.Fprintf(b, "<%s>", name)
	switch v := value.(type) {
	case object:
		for _, member := range slices.Sorted(maps.Keys(v)) {
			appendXML(b, member, v[member])
		}
	case []any:
		for _, element := range v {
			appendXML(b, "member", element)
		}
	case time.Time:
		b.WriteString(v.UTC().Format(time.RFC3339))
	default:
		_ = xml.EscapeText(b, fmt.Append(nil, v))
	}
	fmt.Fprintf(b, "</%s>", name)
}

// well returns the response to a call where all is well.
func (c *cloud) well(action string, input object) (output object, known bool) {
	switch action {
	case "cloudformation:DescribeStacks":
		return object{"Stacks": []any{object{
			"StackName": stackName, "StackStatus": "CREATE_COMPLETE", "CreationTime": time.Now(),
			"Outputs":    pairs("OutputKey", "OutputValue", c.outputs),
			"Parameters": pairs("ParameterKey", "ParameterValue", c.parameters),
		}}}, true
	case "cloudformation:ListStackResources":
		if input["NextToken"] == nil { // two pages
			return object{"StackResourceSummaries": c.resources[:9], "NextToken": "next"}, true
		}
		return object{"StackResourceSummaries": c.resources[9:]}, true
	case "cloudwatch:DescribeAlarms":
		return object{"MetricAlarms": mapped(input["AlarmNames"].([]any), wellAlarm)}, true
	case "cloudwatch:GetMetricData":
		return object{"MetricDataResults": mapped(input["MetricDataQueries"].([]any), func(query any) any {
			return object{"Id": query.(object)["Id"], "Values": []any{2.0}, "Timestamps": []any{time.Now()}}
		})}, true
	case "sns:GetTopicAttributes":
		return object{"Attributes": object{
			"entry": object{"key": "SubscriptionsConfirmed", "value": "1"},
		}}, true
	case "apigateway:GET":
		return object{"cloudwatchRoleArn": "arn:role", "throttleSettings": object{"rateLimit": 10_000}}, true
	}
	if output, known = c.wellKeys(action, input); known {
		return output, true
	}
	if output, known = wellFunctions(action, input); known {
		return output, true
	}
	return wellTables(action, input)
}

func pairs(key, value string, of map[string]string) (list []any) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, object{key: name, value: of[name]})
	}
	return list
}

func wellAlarm(name any) any {
	return object{
		"AlarmName": name, "StateValue": "OK", "ActionsEnabled": true,
		"AlarmActions": []any{"arn:aws:sns:eu-central-1:123456789012:alarms"}, "AlarmDescription": "See its log.",
		"StateUpdatedTimestamp": time.Now().Add(-time.Hour),
	}
}

func (c *cloud) wellKeys(action string, input object) (output object, known bool) {
	alias := c.outputs["TokenKeyAlias"]
	switch action {
	case "kms:DescribeKey":
		return object{"KeyMetadata": object{
			"KeyId": "token-key", "Arn": "arn:token-key", "KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY",
			"KeyState": "Enabled",
		}}, true
	case "kms:GetPublicKey":
		der, spec := c.kms[fmt.Sprint(input["KeyId"])], "RSA_2048"
		if input["KeyId"] == c.outputs["CheckpointKeyArn"] {
			spec = "ECC_NIST_EDWARDS25519"
		}
		return object{"KeyId": input["KeyId"], "PublicKey": der, "KeySpec": spec, "KeyUsage": "SIGN_VERIFY"}, true
	case "kms:ListAliases":
		return object{"Aliases": []any{
			object{"AliasName": alias, "TargetKeyId": "token-key", "CreationDate": time.Now()},
		}}, true
	case "secretsmanager:DescribeSecret":
		return object{
			"ARN": input["SecretId"], "VersionIdsToStages": object{"1": []any{"AWSCURRENT", "AWSPENDING"}},
		}, true
	case "servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota":
		return object{"Quota": object{"Value": 1000.0}}, true
	}
	return nil, false
}

func wellFunctions(action string, _ object) (output object, known bool) {
	switch action {
	case "lambda:GetFunctionConfiguration":
		return object{"State": "Active", "LastUpdateStatus": "Successful"}, true
	case "lambda:GetFunctionConcurrency":
		return object{}, true
	case "lambda:GetAccountSettings":
		return object{"AccountLimit": object{"ConcurrentExecutions": 1000}}, true
	case "lambda:GetEventSourceMapping":
		return object{"State": "Enabled", "LastProcessingResult": "OK", "EventSourceArn": "arn:stream"}, true
	}
	return nil, false
}

func wellTables(action string, input object) (output object, known bool) {
	switch action {
	case "dynamodb:DescribeTable":
		table := object{
			"TableName": input["TableName"], "TableStatus": "ACTIVE", "DeletionProtectionEnabled": true,
			"TableArn":             "arn:aws:dynamodb:eu-central-1:123456789012:table/x",
			"AttributeDefinitions": []any{object{"AttributeName": "licenseid", "AttributeType": "S"}},
			"KeySchema":            []any{object{"AttributeName": "licenseid", "KeyType": "HASH"}},
			"StreamSpecification":  object{"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
			"LatestStreamArn":      "arn:stream",
		}
		table["GlobalSecondaryIndexes"] = mapped(license.Indexes, func(index license.Index) any {
			return object{
				"IndexName": index.Name, "IndexStatus": "ACTIVE", "Projection": object{"ProjectionType": "ALL"},
				"KeySchema": []any{
					object{"AttributeName": index.Partition, "KeyType": "HASH"},
					object{"AttributeName": index.Sort, "KeyType": "RANGE"},
				},
			}
		})
		return object{"Table": table}, true
	case "dynamodb:DescribeContinuousBackups":
		return object{"ContinuousBackupsDescription": object{
			"ContinuousBackupsStatus":        "ENABLED",
			"PointInTimeRecoveryDescription": object{"PointInTimeRecoveryStatus": "ENABLED"},
		}}, true
	case "dynamodb:DescribeTimeToLive":
		return object{"TimeToLiveDescription": object{"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}}, true
	}
	return nil, false
}

// at returns the object at a path of names and indexes in an output, as Stacks.0. The output itself is at "".
func at(output object, path string) object {
	var value any = output
	if path == "" {
		return output
	}
	for name := range strings.SplitSeq(path, ".") {
		if index, err := strconv.Atoi(name); err == nil {
			value = value.([]any)[index]
		} else {
			value = value.(object)[name]
		}
	}
	return value.(object)
}
