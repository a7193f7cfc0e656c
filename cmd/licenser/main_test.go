package main

import (
	"slices"
	"strings"
	"testing"
)

// TestWithIDs: a kid or the id of a device that begins with a hyphen is an argument, wherever it stands.
func TestWithIDs(t *testing.T) {
	root := testParser(t).Model.Node
	device := "-wXRjEO-KlTX4R6yXDItkA"
	kid := "-" + strings.Repeat("a", 41) + "_"
	for name, test := range map[string]struct{ args, want []string }{
		"behind":  {[]string{"retire", "--data", ".", kid}, []string{"retire", "--data", ".", "--", kid}},
		"before":  {[]string{"retire", kid, "--data", "."}, []string{"retire", "--data", ".", "--", kid}},
		"marked":  {[]string{"keys", "retire", "--", kid}, []string{"keys", "retire", "--", kid}},
		"a flag":  {[]string{"keys", "retire", "--help"}, []string{"keys", "retire", "--help"}},
		"shorter": {[]string{"keys", kid[:42]}, []string{"keys", kid[:42]}},
		"none":    {nil, nil},
		"device": {
			[]string{"release-device", "one", device, "--reason", "x"},
			[]string{"release-device", "one", "--reason", "x", "--", device},
		},
		"value": {
			[]string{"change", "one", "--token-key-id", kid, device}, []string{"change", "one", "--token-key-id=" + kid,
				"--", device},
		},
		"flags": {[]string{"--checkpoint-interval", "--token-lifetime-days"}, []string{"--checkpoint-interval",
			"--token-lifetime-days"}},
	} {
		if got := withIDs(test.args, root); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
