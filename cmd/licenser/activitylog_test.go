package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestActivityLog: refusals do not drive out what was granted, however many there are, and the last token is known.
func TestActivityLog(t *testing.T) {
	log := newActivityLog(slog.NewTextHandler(io.Discard, nil), time.Now())
	record := func(id, route, code, device string) {
		slog.New(log).Info("request", "route", route, "licenseid", id, "code", code, "device", device)
	}
	for i := range 250 {
		record("ID", verifyRoute, "OK", fmt.Sprintf("device-%d", i))
	}
	for i := range 1000 {
		record("ID", verifyRoute, "DEVICE_LIMIT_REACHED", fmt.Sprintf("other-%d", i))
	}
	record("ID", "POST /list-devices", "OK", "device-0")
	record("", verifyRoute, "INVALID_LICENSE", "")
	a := log.activities.of("id")
	granted := 0
	for _, asked := range a.Asked {
		if asked.Code == "OK" {
			granted += asked.Count
		}
	}
	if len(a.Asked) != maxAsked || granted != 250 || !strings.HasPrefix(a.Asked[0].Device, "other-999") ||
		a.LastToken.IsZero() || !a.LastToken.Before(a.Last.Time) {
		t.Errorf("%d kinds of answers, %d granted, last %v, %v", len(a.Asked), granted, a.Last, a.LastToken)
	}
	for i := range maxActiveLicenses {
		record(fmt.Sprint(i), verifyRoute, "OK", "")
	}
	if a := log.activities.of("ID"); len(a.Asked) != 0 || !a.Last.IsZero() {
		t.Errorf("after so many others %+v", a)
	}
}
