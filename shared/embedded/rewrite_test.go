package embedded_test

import (
	"testing"

	"openlicenser/shared/testing/licensetest"
)

func TestRewriterContract(t *testing.T) {
	licensetest.TestRewriter(t, func(t *testing.T) licensetest.Harness {
		folder := open(t, t.TempDir())
		return licensetest.Harness{
			Store: folder.Licenses, PutRecord: folder.Licenses.PutRecord, Record: folder.Licenses.Record,
		}
	})
}
