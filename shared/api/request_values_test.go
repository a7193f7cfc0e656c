package api

import (
	"slices"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
)

// TestHeaderValues: what is absent and what is empty are not the same.
func TestHeaderValues(t *testing.T) {
	for name, test := range map[string]struct {
		event events.APIGatewayProxyRequest
		want  []string
	}{
		"absent": {events.APIGatewayProxyRequest{Headers: map[string]string{"if-none-match": "x"}}, nil},
		"empty":  {events.APIGatewayProxyRequest{Headers: map[string]string{"if-match": ""}}, []string{""}},
		"in another case": {
			events.APIGatewayProxyRequest{Headers: map[string]string{"IF-MATCH": "x"}}, []string{"x"},
		},
		"empty, in a list": {
			events.APIGatewayProxyRequest{MultiValueHeaders: map[string][]string{"if-match": {""}}}, []string{""},
		},
		"no line in a list": {
			events.APIGatewayProxyRequest{MultiValueHeaders: map[string][]string{"if-match": {}}}, nil,
		},
		"two lines": {events.APIGatewayProxyRequest{
			Headers: map[string]string{"if-match": "y"}, MultiValueHeaders: map[string][]string{"If-Match": {"x", "y"}},
		}, []string{"x", "y"}},
		"two spellings": {
			events.APIGatewayProxyRequest{
				Headers: map[string]string{"if-match": "y", "If-Match": "x", "IF-MATCH": "w"},
			},
			[]string{"w", "x", "y"},
		},
		"two spellings in a list": {events.APIGatewayProxyRequest{
			MultiValueHeaders: map[string][]string{"if-match": {"y", "z"}, "If-Match": {"x"}, "iF-MATCH": {}},
		}, []string{"x", "y", "z"}},
	} {
		for range 20 { // a map has another order each time
			if got := fromREST(test.event).request().HeaderValues("If-Match"); !slices.Equal(got, test.want) ||
				(got == nil) != (test.want == nil) {
				t.Fatalf("%s: got %q, want %q", name, got, test.want)
			}
		}
	}
}

// TestHeader: of a header in several spellings, the same one is taken each time.
func TestHeader(t *testing.T) {
	event := events.APIGatewayProxyRequest{Headers: map[string]string{"origin": "y", "Origin": "x", "other": "z"}}
	for range 20 {
		if got := fromREST(event).request().Header("ORIGIN"); got != "x" {
			t.Fatalf("got %q", got)
		}
	}
	if got := fromREST(event).request().Header("absent"); got != "" {
		t.Errorf("absent: got %q", got)
	}
}

func TestQueryValues(t *testing.T) {
	for name, test := range map[string]struct {
		event events.APIGatewayProxyRequest
		want  map[string][]string
	}{
		"none": {events.APIGatewayProxyRequest{}, map[string][]string{}},
		"single ones": {
			events.APIGatewayProxyRequest{QueryStringParameters: map[string]string{"a": "1", "b": ""}},
			map[string][]string{"a": {"1"}, "b": {""}},
		},
		"one twice": {events.APIGatewayProxyRequest{
			QueryStringParameters:           map[string]string{"a": "2"},
			MultiValueQueryStringParameters: map[string][]string{"a": {"1", "2"}},
		}, map[string][]string{"a": {"1", "2"}}},
		"in one of the maps only": {events.APIGatewayProxyRequest{
			QueryStringParameters:           map[string]string{"a": "1"},
			MultiValueQueryStringParameters: map[string][]string{"b": {"2"}},
		}, map[string][]string{"a": {"1"}, "b": {"2"}}},
	} {
		got, err := fromREST(test.event).request().QueryValues()
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// TestQueryValuesOfPayload2: the front passes the query on as it came.
func TestQueryValuesOfPayload2(t *testing.T) {
	for raw, want := range map[string]map[string][]string{
		"":          {},
		"a=1&b=":    {"a": {"1"}, "b": {""}},
		"a=1&a=2,3": {"a": {"1", "2,3"}},
		"a=%zz":     nil,
		"a=1;b=2":   nil,
	} {
		got, err := Event{Version: "2.0", RawQueryString: raw}.request().QueryValues()
		if (err != nil) != (want == nil) || err == nil && !cmp.Equal(want, got) {
			t.Errorf("%q: got %v, %v", raw, got, err)
		}
	}
}
