package licensing

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// rules are what the client goes by while it has one license key. They and the functions on them know no clock, disk or
// network: they make of what is known, and of what has happened at a moment, what is known then.
type rules struct {
	key         string // clean; empty for none
	licenseID   string
	fingerprint string
	service     string
	released    time.Time
	trusted     []publicKey // those that the product brings
	firstUse    bool        // keys may be fetched
	refresh     time.Duration
	offline     time.Duration // zero for no limit but the token's
	skew        time.Duration
}

// knowledge is what is known of the license.
type knowledge struct {
	record             // what restarts keep
	grant    *grant    // of the record's token, nil where there is none
	mark     time.Time // the latest time ever seen
	due      time.Time // when the service is asked next; zero for never
	failures int       // attempts since the last answer about the license
	err      error     // of the last attempt
	fetched  time.Time // when the keys were asked for last
}

const (
	maxClockBack = 24 * time.Hour
	keysPause    = time.Minute // between two requests for keys
	minPause     = 2 * time.Second
	maxPause     = 6 * time.Hour
	minRefresh   = time.Minute // halves of a remaining life would become ever shorter
	refusedPause = time.Hour   // after a refusal, which the vendor may take back, or the customer's renewal ends
)

// keys returns those that tokens are checked with. The fetched ones count only where the product says so.
func (r rules) keys(k knowledge) []publicKey {
	if !r.firstUse {
		return r.trusted
	}
	return slices.Concat(r.trusted, k.fetchedKeys())
}

// started returns what a stored record is worth at a start. What cannot be used is as if it were not there.
func (r rules) started(stored record, mark, now time.Time, random float64) knowledge {
	k := knowledge{record: stored, mark: mark}
	if k.Key != keyHash(r.key) {
		k.record = record{Key: keyHash(r.key)}
	}
	if k.Token != "" {
		g, err := r.readToken(k.Token, r.keys(k))
		if err != nil {
			k.Token, k.Checked, k.err = "", time.Time{}, fmt.Errorf("the stored token: %w", err)
		}
		k.grant = g
	}
	switch {
	case r.key == "":
	case k.grant == nil || k.grant.fits(now, r.skew) != nil || k.Checked.After(now):
		k.due = now
	default:
		k.due = r.refreshAt(k, k.Checked, random)
	}
	return r.seen(k, now)
}

// adopted returns what is known once another process of the product has stored a newer record. A token that cannot be
// read is left to those that can: it may be of a key that a later version of the product brings. A seat that was given
// back is not taken again by itself.
func (r rules) adopted(k knowledge, stored record, now time.Time, random float64) knowledge {
	taken := r.started(stored, k.mark, now, random)
	isUseless := stored.Refused == "" && stored.Token != "" && taken.grant == nil
	if isUseless {
		return k
	}
	if stored.isGivenBack() {
		taken.due = time.Time{}
	}
	taken.fetched = k.fetched
	return taken
}

// givenBack returns what is known once the seat of this device is given back. A refusal stays, and so does the time of
// it: an older license file does not end it.
func (r rules) givenBack(k knowledge, asked time.Time) knowledge {
	if k.Refused == "" {
		k.record = record{Key: k.Key, Asked: asked, Keys: k.Keys}
	}
	k.grant, k.err, k.failures, k.due = nil, nil, 0, time.Time{}
	return k
}

// seen moves the mark to a later time. Where the next attempt lies further ahead than any can, the clock was set back.
func (r rules) seen(k knowledge, now time.Time) knowledge {
	if now.After(k.mark) {
		k.mark = now
	}
	if longest := max(r.refresh, maxPause) + max(r.refresh, maxPause)/10; k.due.After(now.Add(longest)) {
		k.due = now
	}
	return k
}

// errNeedsKeys reports that the answer can be read once the keys are fetched.
var errNeedsKeys = errors.New("the keys have to be fetched")

// answered returns what is known after an answer to what was asked at a time. It returns errNeedsKeys, and what was
// known, where the keys are to be fetched first.
func (r rules) answered(k knowledge, a answer, asked, now time.Time, random float64) (knowledge, error) {
	k = r.seen(k, now)
	switch {
	case a.refused != "":
		k.record = record{Key: k.Key, Asked: asked, Checked: now, Refused: a.refused, Keys: k.Keys}
		k.grant, k.err, k.failures = nil, nil, 0
		k.due = now.Add(jitter(min(r.refresh, refusedPause), random))
		return k, nil
	case a.err != nil:
		return failed(k, a, now, random), nil
	}
	g, err := r.readToken(a.token, r.keys(k))
	if errors.Is(err, errUnknownKey) && r.mayFetch(k, now) {
		return k, errNeedsKeys
	}
	if err == nil {
		err = g.fits(now, r.skew)
	}
	if err != nil {
		a.err = err
		return failed(k, a, now, random), nil
	}
	k = r.granted(k, a.token, g, asked, now, random)
	if g.fits(a.date, r.skew) == nil { // else it is no time of the service's clock
		k.mark = a.date
	}
	return r.seen(k, now), nil
}

// granted returns what is known with a new token.
func (r rules) granted(k knowledge, token string, g *grant, asked, now time.Time, random float64) knowledge {
	k.record = record{Key: k.Key, Asked: asked, Checked: now, Token: trimToken(token), Keys: k.Keys}
	k.grant, k.err, k.failures = g, nil, 0
	k.due = r.refreshAt(k, now, random)
	return k
}

// failed returns what is known after an attempt that says nothing about the license.
func failed(k knowledge, a answer, now time.Time, random float64) knowledge {
	k.err = a.err
	k.failures++
	pause := backOff(k.failures, random)
	k.due = now.Add(max(pause, a.retryAfter+time.Duration(random*float64(a.retryAfter)/10)))
	return k
}

// backOff returns a random pause between two seconds and what doubles with each failure, up to six hours.
func backOff(failures int, random float64) time.Duration {
	longest := maxPause
	if failures < 14 { // 2 s << 14 is over nine hours
		longest = min(longest, minPause<<failures)
	}
	return minPause + time.Duration(random*float64(longest-minPause))
}

// refreshAt returns when the service is asked after an answer: at half of the token's remaining life at the latest.
func (r rules) refreshAt(k knowledge, answeredAt time.Time, random float64) time.Time {
	half := max(k.grant.expires.Sub(answeredAt)/2, minRefresh)
	return answeredAt.Add(min(jitter(r.refresh, random), half))
}

// jitter returns a time, give or take a tenth, so that not all products ask at once.
func jitter(d time.Duration, random float64) time.Duration {
	return d - d/10 + time.Duration(random*float64(d/5))
}

// mayFetch reports whether the keys may be fetched: not within a minute of the last time. A clock that was set back
// ends the wait.
func (r rules) mayFetch(k knowledge, now time.Time) bool {
	since := now.Sub(k.fetched)
	return r.firstUse && (since >= keysPause || since < 0)
}

// keysFetched returns what is known with a key set that the service has sent, and why it is of no use. The key of the
// token that is kept stays with it.
func (r rules) keysFetched(k knowledge, set []byte, now time.Time) (knowledge, error) {
	k.fetched = now
	keys, err := readKeySet(set)
	if err != nil {
		return k, err
	}
	if k.grant != nil && len(withKid(keys, k.grant.kid)) == 0 {
		keys = append(keys, withKid(k.fetchedKeys(), k.grant.kid)...)
	}
	k.Keys = nil
	for _, key := range keys {
		k.Keys = append(k.Keys, writeKey(key))
	}
	return k, nil
}

// state returns what is known, as the product sees it at a moment.
func (r rules) state(k knowledge, now time.Time) State {
	s := State{CheckedAt: k.Checked, RetryAt: k.due, Err: k.err}
	switch {
	case k.Refused != "":
		s.Status, s.Reason = Refused, k.Refused
		return s
	case k.grant == nil:
		return s
	}
	s.License, s.UsableUntil = k.grant.license, r.usableUntil(k)
	switch {
	case r.service != "" && !s.License.Allows(r.service):
		s.Status, s.Reason = Refused, ServiceNotLicensed
	case !s.License.UpdatesUntil.IsZero() && r.released.After(s.License.UpdatesUntil):
		s.Status, s.Reason = Refused, UpdatesEnded
	case now.Before(k.mark.Add(-maxClockBack)), k.grant.from.After(now.Add(r.skew)):
		s.Status = ClockBack
	case !now.Before(s.UsableUntil):
		s.Status = OfflineTooLong
	case !now.Before(s.License.Expires):
		s.Status = Grace
	case k.failures > 0:
		s.Status = Offline
	default:
		s.Status = Active
	}
	return s
}

func (r rules) usableUntil(k knowledge) time.Time {
	until := k.grant.expires
	if limit := k.Checked.Add(r.offline); r.offline > 0 && limit.Before(until) {
		return limit
	}
	return until
}

// check returns why the product may not run in a state, or nil.
func check(s State) error {
	switch s.Status {
	case Active, Grace, Offline:
		return nil
	case Refused:
		return &Refusal{s.Reason}
	case ClockBack:
		return because(ErrClock, s.Err)
	case OfflineTooLong:
		return because(ErrOffline, s.Err)
	}
	return because(ErrUnlicensed, s.Err)
}

func because(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// imported returns what is known with the token of a license file.
func (r rules) imported(k knowledge, token string, now time.Time, random float64) (knowledge, error) {
	g, err := r.readToken(token, r.keys(k))
	if err == nil {
		err = g.fits(now, r.skew)
	}
	switch {
	case err != nil:
		return k, err
	case k.Refused != "" && !g.issued.After(k.Checked):
		return k, &Refusal{k.Refused}
	}
	return r.granted(k, token, g, now, now, random), nil
}
