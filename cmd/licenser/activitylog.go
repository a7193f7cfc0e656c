package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
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
	byLicense *lru.Cache[string, *licenseActivity] // by the id in lower case
}

// licenseActivity is that of one license. What was asked long ago may be missing in all.
type licenseActivity struct {
	last, lastToken time.Time
	all             map[askedKey]*vendorapi.Asked
}

type askedKey struct{ code, device string }

// The bounds of the memory that activities take.
const (
	maxActiveLicenses = 10_000
	maxAsked          = 300 // of a license, which has up to 250 devices
)

func newActivityLog(next slog.Handler, since time.Time) activityLog {
	byLicense, err := lru.New[string, *licenseActivity](maxActiveLicenses)
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
	licenseID = strings.ToLower(licenseID)
	activity, isKnown := a.byLicense.Get(licenseID)
	if !isKnown {
		activity = &licenseActivity{all: map[askedKey]*vendorapi.Asked{}}
		a.byLicense.Add(licenseID, activity)
	}
	activity.add(key, at.UTC())
}

// codeOK is the code of a verification that was answered with a token.
const codeOK = "OK"

func (l *licenseActivity) add(key askedKey, at time.Time) {
	l.last = at
	if key.code == codeOK {
		l.lastToken = at
	}
	asked := l.all[key]
	if asked == nil {
		if len(l.all) == maxAsked {
			delete(l.all, l.leastWanted())
		}
		asked = &vendorapi.Asked{Code: key.code, Device: key.device}
		l.all[key] = asked
	}
	asked.Count++
	asked.Last.Time = at
}

// leastWanted returns the oldest refusal, or else the oldest of all: whoever has the key can ask for as many devices as
// he likes, and is refused.
func (l *licenseActivity) leastWanted() askedKey {
	keys := slices.Collect(maps.Keys(l.all))
	return slices.MinFunc(keys, func(a, b askedKey) int {
		if isOK := a.code == codeOK; isOK != (b.code == codeOK) {
			if isOK {
				return 1
			}
			return -1
		}
		return l.all[a].Last.Compare(l.all[b].Last.Time)
	})
}

// of returns the activity of a license.
func (a *activities) of(licenseID string) vendorapi.Activity {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, isKnown := a.byLicense.Get(strings.ToLower(licenseID))
	if !isKnown {
		return newActivity(licenseID, a.since, []vendorapi.Asked{})
	}
	asked := make([]vendorapi.Asked, 0, len(known.all))
	for _, one := range known.all {
		asked = append(asked, *one)
	}
	activity := newActivity(licenseID, a.since, asked)
	activity.Last, activity.LastToken = vendorapi.Instant{Time: known.last}, vendorapi.Instant{Time: known.lastToken}
	return activity
}

// newActivity sorts what was asked, and finds the last of all.
func newActivity(licenseID string, since time.Time, asked []vendorapi.Asked) vendorapi.Activity {
	slices.SortFunc(asked, func(a, b vendorapi.Asked) int {
		return cmp.Or(b.Last.Compare(a.Last.Time), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Device, b.Device))
	})
	activity := vendorapi.Activity{LicenseID: licenseID, Since: vendorapi.Instant{Time: since}, Asked: asked}
	for i := len(asked) - 1; i >= 0; i-- { // the last one is the latest
		activity.Last = asked[i].Last
		if asked[i].Code == codeOK {
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
