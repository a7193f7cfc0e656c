package verification

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/apitest"
)

// TestOpenAPICodes: openapi.yaml has, for each status, the errors that products are told, no more and no less.
func TestOpenAPICodes(t *testing.T) {
	document, err := apitest.Read()
	if err != nil {
		t.Fatal(err)
	}
	errs := []error{&deviceLimitError{}, errors.New("anything else")}
	for _, refusal := range refusals {
		errs = append(errs, refusal.err)
	}
	answered := map[int][]string{}
	for _, err := range errs {
		f := failure(err)
		if !slices.Contains(answered[f.Status], f.Code) {
			answered[f.Status] = append(answered[f.Status], f.Code)
		}
		slices.Sort(answered[f.Status])
	}
	documented := document.Values(
		"application/json", "error", "POST /verify-license", "POST /list-devices", "POST /release-device",
	)
	if diff := cmp.Diff(answered, documented); diff != "" {
		t.Errorf("(-refusals +openapi.yaml):\n%s", diff)
	}
}
