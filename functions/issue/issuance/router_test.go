package issuance_test

import (
	"strings"
	"testing"

	"openlicenser/functions/issue/issuance"
	"openlicenser/shared/testing/telemetrytest"
)

// TestNewRouterRefuses: a part that lacks a port is refused, and all ports that are missing are named.
func TestNewRouterRefuses(t *testing.T) {
	licenses, keys, trail := newVendor(t).ports.parts()
	for want, change := range map[string]func(*issuance.Licenses, *issuance.Keys, *issuance.Trail){
		"Licenses lacks Store":              func(l *issuance.Licenses, _ *issuance.Keys, _ *issuance.Trail) { l.Store = nil },
		"Licenses lacks Idempotency":        func(l *issuance.Licenses, _ *issuance.Keys, _ *issuance.Trail) { l.Idempotency = nil },
		"Licenses lacks Now, Secrets":       func(l *issuance.Licenses, _ *issuance.Keys, _ *issuance.Trail) { l.Secrets, l.Now = nil, nil },
		"Keys lacks Licenses, Now, Secrets": func(l *issuance.Licenses, _ *issuance.Keys, _ *issuance.Trail) { l.Keys = issuance.Keys{} },
		"Keys lacks Secrets":                func(_ *issuance.Licenses, k *issuance.Keys, _ *issuance.Trail) { k.Secrets = nil },
		"Trail lacks Records":               func(_ *issuance.Licenses, _ *issuance.Keys, x *issuance.Trail) { x.Records = nil },
		"Trail lacks Origin, Store":         func(_ *issuance.Licenses, _ *issuance.Keys, x *issuance.Trail) { x.Store, x.Origin = nil, "" },
		"Trail lacks CheckpointKey, Checkpoints": func(_ *issuance.Licenses, _ *issuance.Keys, x *issuance.Trail) {
			x.Checkpoints, x.CheckpointKey = nil, nil
		},
		"Trail lacks Now, Secrets":                func(_ *issuance.Licenses, _ *issuance.Keys, x *issuance.Trail) { x.Secrets, x.Now = nil, nil },
		"Licenses lacks Store\nTrail lacks Store": func(l *issuance.Licenses, _ *issuance.Keys, x *issuance.Trail) { l.Store, x.Store = nil, nil },
	} {
		l, k, x := licenses, keys, trail
		change(&l, &k, &x)
		if _, err := issuance.NewRouter(telemetrytest.Log, l, k, x); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := issuance.NewRouter(nil, licenses); err == nil || !strings.Contains(err.Error(), "lacks Log") {
		t.Errorf("without a log: %v", err)
	}
}
