package main

import (
	"slices"
	"strings"
	"testing"
)

// TestWithKeyIDs: a kid that begins with a hyphen is an argument, wherever it stands.
func TestWithKeyIDs(t *testing.T) {
	kid := "-" + strings.Repeat("a", 41) + "_"
	for name, test := range map[string]struct{ args, want []string }{
		"behind":  {[]string{"retire", "--data", ".", kid}, []string{"retire", "--data", ".", "--", kid}},
		"before":  {[]string{"retire", kid, "--data", "."}, []string{"retire", "--data", ".", "--", kid}},
		"marked":  {[]string{"keys", "retire", "--", kid}, []string{"keys", "retire", "--", kid}},
		"a flag":  {[]string{"keys", "retire", "--help"}, []string{"keys", "retire", "--help"}},
		"shorter": {[]string{"keys", kid[:42]}, []string{"keys", kid[:42]}},
		"none":    {nil, nil},
	} {
		if got := withKeyIDs(test.args); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
