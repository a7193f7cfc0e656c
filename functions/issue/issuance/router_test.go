package issuance_test

import (
	"strings"
	"testing"

	"openlicenser/functions/issue/issuance"
	"openlicenser/shared/testing/telemetrytest"
)

// TestNewRouterRefuses: a part that lacks a port is refused, and all ports that are missing are named.
func TestNewRouterRefuses(t *testing.T) {
	licenses, plans, keys, trail := newVendor(t).ports.parts()
	type parts struct {
		licenses issuance.Licenses
		plans    issuance.Plans
		keys     issuance.Keys
		trail    issuance.Trail
	}
	for want, change := range map[string]func(*parts){
		"Licenses lacks Store":       func(p *parts) { p.licenses.Store = nil },
		"Licenses lacks Idempotency": func(p *parts) { p.licenses.Idempotency = nil },
		"Licenses lacks Devices, TokenLifetime": func(p *parts) {
			p.licenses.Devices, p.licenses.TokenLifetime = nil, 0
		},
		"Licenses lacks Plans": func(p *parts) { p.licenses.Plans = nil },
		"Plans lacks Store":    func(p *parts) { p.plans.Store = nil },
		"Plans lacks Now, Secrets, TokenLifetime": func(p *parts) {
			p.plans = issuance.Plans{Store: p.plans.Store}
		},
		"Licenses lacks Now, Secrets":       func(p *parts) { p.licenses.Secrets, p.licenses.Now = nil, nil },
		"Keys lacks Licenses, Now, Secrets": func(p *parts) { p.licenses.Keys = issuance.Keys{} },
		"Keys lacks Secrets":                func(p *parts) { p.keys.Secrets = nil },
		"Trail lacks Records":               func(p *parts) { p.trail.Records = nil },
		"Trail lacks Origin, Store":         func(p *parts) { p.trail.Store, p.trail.Origin = nil, "" },
		"Trail lacks CheckpointKey, Checkpoints": func(p *parts) {
			p.trail.Checkpoints, p.trail.CheckpointKey = nil, nil
		},
		"Trail lacks Now, Secrets":                func(p *parts) { p.trail.Secrets, p.trail.Now = nil, nil },
		"Licenses lacks Store\nTrail lacks Store": func(p *parts) { p.licenses.Store, p.trail.Store = nil, nil },
	} {
		p := parts{licenses, plans, keys, trail}
		change(&p)
		_, err := issuance.NewRouter(telemetrytest.Log, p.licenses, p.plans, p.keys, p.trail)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := issuance.NewRouter(nil, licenses); err == nil || !strings.Contains(err.Error(), "lacks Log") {
		t.Errorf("without a log: %v", err)
	}
}
