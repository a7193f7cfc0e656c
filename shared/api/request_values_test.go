package api

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHeaderValues: what is absent and what is empty are not the same.
func TestHeaderValues(t *testing.T) {
	for name, test := range map[string]struct {
		event Event
		want  []string
	}{
		"absent": {Event{Headers: map[string]string{"if-none-match": "x"}}, nil},
		"empty":  {Event{Headers: map[string]string{"if-match": ""}}, []string{""}},
		"in another case": {
			Event{Headers: map[string]string{"IF-MATCH": "x"}}, []string{"x"},
		},
		"empty, in a list": {
			Event{MultiValueHeaders: map[string][]string{"if-match": {""}}}, []string{""},
		},
		"no line in a list": {
			Event{MultiValueHeaders: map[string][]string{"if-match": {}}}, nil,
		},
		"two lines": {Event{
			Headers: map[string]string{"if-match": "y"}, MultiValueHeaders: map[string][]string{"If-Match": {"x", "y"}},
		}, []string{"x", "y"}},
		"two spellings": {
			Event{
				Headers: map[string]string{"if-match": "y", "If-Match": "x", "IF-MATCH": "w"},
			},
			[]string{"w", "x", "y"},
		},
		"two spellings in a list": {Event{
			MultiValueHeaders: map[string][]string{"if-match": {"y", "z"}, "If-Match": {"x"}, "iF-MATCH": {}},
		}, []string{"x", "y", "z"}},
	} {
		for range 20 { // a map has another order each time
			if got := test.event.request().HeaderValues("If-Match"); !slices.Equal(got, test.want) ||
				(got == nil) != (test.want == nil) {
				t.Fatalf("%s: got %q, want %q", name, got, test.want)
			}
		}
	}
}

// TestHeader: of a header in several spellings, the same one is taken each time.
func TestHeader(t *testing.T) {
	event := Event{Headers: map[string]string{"origin": "y", "Origin": "x", "other": "z"}}
	for range 20 {
		if got := event.request().Header("ORIGIN"); got != "x" {
			t.Fatalf("got %q", got)
		}
	}
	if got := event.request().Header("absent"); got != "" {
		t.Errorf("absent: got %q", got)
	}
}

func TestQueryValues(t *testing.T) {
	for name, test := range map[string]struct {
		event Event
		want  map[string][]string
	}{
		"none": {Event{}, map[string][]string{}},
		"single ones": {
			Event{QueryStringParameters: map[string]string{"a": "1", "b": ""}},
			map[string][]string{"a": {"1"}, "b": {""}},
		},
		"one twice": {Event{
			QueryStringParameters:           map[string]string{"a": "2"},
			MultiValueQueryStringParameters: map[string][]string{"a": {"1", "2"}},
		}, map[string][]string{"a": {"1", "2"}}},
		"in one of the maps only": {Event{
			QueryStringParameters:           map[string]string{"a": "1"},
			MultiValueQueryStringParameters: map[string][]string{"b": {"2"}},
		}, map[string][]string{"a": {"1"}, "b": {"2"}}},
	} {
		got, err := test.event.request().QueryValues()
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
