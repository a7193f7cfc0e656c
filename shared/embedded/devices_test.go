package embedded_test

import (
	"testing"

	"openlicenser/shared/device"
	"openlicenser/shared/testing/devicetest"
)

func TestDevicesContract(t *testing.T) {
	devicetest.TestStore(t, func(t *testing.T) device.Store { return open(t, t.TempDir()).Devices })
}
