package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"openlicenser/shared/telemetry"
	"openlicenser/shared/vendorapi"
)

// activityLog keeps in memory what products ask, as the log records of the verifications tell it. It is a slog.Handler
// before another one, which writes the records.
type activityLog struct {
	slog.Handler
	activities *activities
}

// activities are those of the licenses that were asked about last.
type activities struct {
	since time.Time

	mu        sync.Mutex
	byLicense *lru.Cache[string, map[askedKey]*vendorapi.Asked]
}

type askedKey struct{ code, device string }

// The bounds of the memory that activities take.
const (
	maxActiveLicenses = 10_000
	maxAsked          = 100 // of a license
)

func newActivityLog(next slog.Handler, since time.Time) activityLog {
	byLicense, err := lru.New[string, map[askedKey]*vendorapi.Asked](maxActiveLicenses)
	if err != nil {
		panic(err) // only for a size below one
	}
	return activityLog{next, &activities{since: since, byLicense: byLicense}}
}

// verifyRoute is the route whose records count.
const verifyRoute = "POST /verify-license"

// Handle implements slog.Handler.
func (l activityLog) Handle(ctx context.Context, record slog.Record) error {
	noted := map[string]string{}
	record.Attrs(func(attr slog.Attr) bool {
		switch attr.Key {
		case "route", "licenseid", "device", telemetry.CodeKey:
			noted[attr.Key] = attr.Value.String()
		}
		return true
	})
	if noted["route"] == verifyRoute && noted["licenseid"] != "" {
		l.activities.add(noted["licenseid"], askedKey{noted[telemetry.CodeKey], noted["device"]}, record.Time)
	}
	return l.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (l activityLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return activityLog{l.Handler.WithAttrs(attrs), l.activities}
}

// WithGroup implements slog.Handler.
func (l activityLog) WithGroup(name string) slog.Handler {
	return activityLog{l.Handler.WithGroup(name), l.activities}
}

func (a *activities) add(licenseID string, key askedKey, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, _ := a.byLicense.Get(licenseID)
	if all == nil {
		all = map[askedKey]*vendorapi.Asked{}
		a.byLicense.Add(licenseID, all)
	}
	asked := all[key]
	if asked == nil {
		if len(all) == maxAsked {
			delete(all, oldest(all))
		}
		asked = &vendorapi.Asked{Code: key.code, Device: key.device}
		all[key] = asked
	}
	asked.Count++
	asked.Last.Time = at.UTC()
}

func oldest(all map[askedKey]*vendorapi.Asked) (key askedKey) {
	first := true
	for k, asked := range all {
		if first || asked.Last.Before(all[key].Last.Time) {
			key, first = k, false
		}
	}
	return key
}

// of returns the activity of a license.
func (a *activities) of(licenseID string) vendorapi.Activity {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, _ := a.byLicense.Get(strings.ToLower(licenseID))
	asked := make([]vendorapi.Asked, 0, len(all))
	for _, one := range all {
		asked = append(asked, *one)
	}
	return newActivity(licenseID, a.since, asked)
}

// newActivity sorts what was asked, and finds the last of all.
func newActivity(licenseID string, since time.Time, asked []vendorapi.Asked) vendorapi.Activity {
	slices.SortFunc(asked, func(a, b vendorapi.Asked) int {
		return cmp.Or(b.Last.Compare(a.Last.Time), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Device, b.Device))
	})
	activity := vendorapi.Activity{LicenseID: licenseID, Since: vendorapi.Instant{Time: since}, Asked: asked}
	for i := len(asked) - 1; i >= 0; i-- { // the last one is the latest
		activity.Last = asked[i].Last
		if asked[i].Code == "OK" {
			activity.LastToken = asked[i].Last
		}
	}
	return activity
}

// ServeHTTP shows the activity of the license that the path names.
func (a *activities) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(a.of(r.PathValue("licenseid")))
	if err != nil {
		internalError.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(body) // the client may have gone
}
