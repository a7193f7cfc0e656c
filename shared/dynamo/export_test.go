package dynamo

import (
	"testing"
	"time"
)

// EncodeValue converts an attribute to the SDK's value.
var EncodeValue = encoder.Value

// SetIndexLag changes how long Forget waits, until the test ends.
func SetIndexLag(t *testing.T, lag time.Duration) {
	before := indexLag
	t.Cleanup(func() { indexLag = before })
	indexLag = lag
}
