package main

import (
	"testing"

	"openlicenser/shared/testing/lifetest"
)

func TestLife(t *testing.T) {
	s := start(t, t.TempDir())
	lifetest.Run(t, lifetest.Service{URL: s.url})
	s.stop()
}
