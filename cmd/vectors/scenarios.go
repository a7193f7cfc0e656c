package main

import (
	"encoding/json"
	"net/http"
	"time"

	"openlicenser/shared/token"
)

// scenario is what happens to a product, one step after the other. Where it draws a random number from 0 to 1, that is
// one half.
type scenario struct {
	Name            string       `json:"name"`
	Asker           asker        `json:"asker"`
	Trusted         token.KeySet `json:"trusted"`         // built in; none where TrustOnFirstUse is true
	TrustOnFirstUse bool         `json:"trustonfirstuse"` // keys are fetched
	OfflineSeconds  int          `json:"offlineseconds"`  // 0: no limit but the token's
	Steps           []step       `json:"steps"`
}

// step is one event: start, look, answer, or fail.
type step struct {
	At       time.Time `json:"at"` // by the product's clock
	Event    string    `json:"event"`
	Response *response `json:"response,omitempty"` // of an answer
	KeySet   *string   `json:"keyset,omitempty"`   // what the service answers if the keys are fetched; absent: 500
	Want     want      `json:"want"`
}

// want is the state after a step.
type want struct {
	Status      string     `json:"status"`
	Reason      string     `json:"reason,omitempty"`
	CheckedAt   *time.Time `json:"checkedat"`
	UsableUntil *time.Time `json:"usableuntil"`
	RetryAt     *time.Time `json:"retryat"`
	KeysFetched bool       `json:"keysfetched"`
}

type scenariosFile struct {
	Cases []scenario `json:"cases"`
}

// story writes a scenario. The state that is not told stays as it was.
type story struct {
	scenario
	state want
}

func (m maker) tell(name string, change func(*story)) scenario {
	s := story{scenario: scenario{Name: name, Asker: theAsker(), Trusted: keySet(m.current, m.next)}}
	s.state.Status = "Unknown"
	change(&s)
	return s.scenario
}

func (s *story) do(at time.Time, event string, r *response, status string) {
	s.state.Status, s.state.KeysFetched = status, false
	s.Steps = append(s.Steps, step{At: at, Event: event, Response: r, Want: s.state})
}

// asksAt says when the product asks next.
func (s *story) asksAt(at time.Time) { s.state.RetryAt = &at; s.last().Want.RetryAt = &at }

func (s *story) last() *step { return &s.Steps[len(s.Steps)-1] }

func (s *story) look(at time.Time, status string) { s.do(at, "look", nil, status) }

func (s *story) start(at time.Time, status string) { s.do(at, "start", nil, status) }

// firstStart is one without anything stored.
func (s *story) firstStart(at time.Time) { s.start(at, "Unknown"); s.asksAt(at) }

func (s *story) fail(at, retryAt time.Time, status string) {
	s.do(at, "fail", nil, status)
	s.asksAt(retryAt)
}

// grant answers with a token. The product runs until it expires, and asks again after a day, or half of its life.
func (s *story) grant(at time.Time, text string, date time.Time, status string) {
	body := string(must(json.Marshal(map[string]string{"message": text})))
	r := jsonResponse(http.StatusOK, body)
	if !date.IsZero() {
		r.Headers["Date"] = date.UTC().Format(http.TimeFormat)
	}
	expires := expiry(text)
	s.state.CheckedAt, s.state.UsableUntil = &at, &expires
	offline := at.Add(time.Duration(s.OfflineSeconds) * time.Second)
	if s.OfflineSeconds > 0 && offline.Before(expires) {
		s.state.UsableUntil = &offline
	}
	s.do(at, "answer", &r, status)
	half := max(expires.Sub(at)/2, time.Minute)
	s.asksAt(at.Add(min(24*time.Hour, half)))
}

func (s *story) refuse(at time.Time, code string) {
	r := jsonResponse(http.StatusBadRequest, `{"error":"`+code+`"}`)
	s.state.CheckedAt, s.state.UsableUntil, s.state.Reason = &at, nil, code
	s.do(at, "answer", &r, "Refused")
	s.asksAt(at.Add(time.Hour))
	s.state.Reason = ""
}

// stillRefused starts or looks again after a refusal.
func (s *story) stillRefused(at time.Time, event, code string) {
	s.do(at, event, nil, "Refused")
	s.last().Want.Reason = code
}

func expiry(text string) time.Time {
	seconds := must(decodedClaims(text)["exp"].(json.Number).Int64())
	return time.Unix(seconds, 0).UTC()
}

func decodedClaims(text string) map[string]any { return decoded(splitToken(text)[1]) }

// clocks returns clocks.json.
func (m maker) clocks() scenariosFile {
	fresh := func(at time.Time) string { return m.token(m.current, theLicense(), at) }
	day, none := 24*time.Hour, time.Time{}
	t := start
	return scenariosFile{[]scenario{
		m.tell("a day's work: asked again after a day", func(s *story) {
			s.firstStart(t)
			s.grant(t.Add(time.Second), fresh(t), t, "Active")
			s.look(t.Add(time.Hour), "Active")
			s.start(t.Add(2*time.Hour), "Active")
			s.grant(t.Add(day), fresh(t.Add(day)), t.Add(day), "Active")
		}),
		m.tell("started without network: Active at once, Offline after an attempt", func(s *story) {
			s.firstStart(t)
			s.grant(t, fresh(t), t, "Active")
			later := t.Add(3 * day)
			s.start(later, "Active")
			s.fail(later, later.Add(3*time.Second), "Offline")
			s.fail(later.Add(3*time.Second), later.Add(3*time.Second+5*time.Second), "Offline")
			s.fail(later.Add(8*time.Second), later.Add(8*time.Second+9*time.Second), "Offline")
			s.look(t.Add(lifetime-time.Second), "Offline")
			s.look(t.Add(lifetime), "OfflineTooLong")
			s.grant(t.Add(lifetime+time.Hour), fresh(t.Add(lifetime+time.Hour)), none, "Active")
		}),
		m.tell("an attempt that fails before there is a license", func(s *story) {
			s.firstStart(t)
			s.fail(t, t.Add(3*time.Second), "Unknown")
			s.grant(t.Add(3*time.Second), fresh(t), t, "Active")
		}),
		m.tell("the clock is set back by a day: that is let pass", func(s *story) {
			s.firstStart(t)
			s.grant(t, fresh(t.Add(-2*day)), t, "Active")
			s.look(t.Add(time.Hour), "Active")
			s.look(t.Add(time.Hour-day), "Active")
			s.asksAt(t.Add(time.Hour - day)) // the next attempt lay further ahead than any can
		}),
		m.tell("the clock is set back by more than a day, with a restart; a fresh answer sets it anew", func(s *story) {
			s.firstStart(t)
			s.grant(t, fresh(t.Add(-40*day)), t, "Active")
			s.look(t.Add(time.Hour), "Active")
			back := t.Add(time.Hour - day - time.Second)
			s.look(back, "ClockBack")
			s.asksAt(back)
			s.start(back, "ClockBack")
			s.fail(back, back.Add(3*time.Second), "ClockBack")
			s.look(t.Add(2*time.Hour), "Offline")
			back = t.Add(-30 * day)
			s.look(back, "ClockBack")
			s.asksAt(back)
			s.grant(back, fresh(t.Add(-40*day)), back, "Active")
		}),
		m.tell("the clock was ahead: after it is right again, a fresh answer sets the mark anew", func(s *story) {
			ahead := t.Add(30 * day)
			s.firstStart(ahead)
			s.grant(ahead, fresh(t), t, "Active")
			s.look(t.Add(time.Minute), "ClockBack")
			s.asksAt(t.Add(time.Minute))
			s.grant(t.Add(time.Minute), fresh(t), t.Add(time.Minute), "Active")
		}),
		m.tell("Date tells that the clock is behind", func(s *story) {
			s.firstStart(t)
			s.grant(t, fresh(t.Add(-day)), t.Add(25*time.Hour), "ClockBack")
			s.look(t.Add(time.Hour), "Active")
		}),
		m.tell("a Date after the token's life is none of the service: the mark stays", func(s *story) {
			s.firstStart(t)
			s.grant(t, fresh(t), t.Add(2*lifetime), "Active")
			s.look(t.Add(time.Hour), "Active")
			s.grant(t.Add(day), fresh(t), t.Add(lifetime), "Active") // at exp
			s.start(t.Add(day), "Active")
			s.grant(t.Add(2*day), fresh(t), t.Add(lifetime-time.Second), "ClockBack")
		}),
		m.tell("a Date before the token's life is none of the service: the mark stays", func(s *story) {
			s.firstStart(t)
			s.grant(t, fresh(t.Add(-10*day)), t, "Active")
			back := t.Add(-2 * day)
			token, earliest := fresh(back), back.Add(-10*time.Minute) // iat, less Skew
			s.look(back, "ClockBack")
			s.asksAt(back)
			s.grant(back, token, earliest.AddDate(-1, 0, 0), "ClockBack")
			s.grant(back, token, earliest.Add(-time.Second), "ClockBack")
			s.grant(back, token, earliest, "Active")
		}),
		m.tell("the clock is behind the token", func(s *story) {
			s.firstStart(t)
			s.grant(t, fresh(t), none, "Active")
			s.look(t.Add(-10*time.Minute), "Active")
			s.look(t.Add(-10*time.Minute-time.Second), "ClockBack")
		}),
		m.tell("the offline limit", func(s *story) {
			s.OfflineSeconds = 14 * 24 * 60 * 60
			s.firstStart(t)
			s.grant(t, fresh(t), t, "Active")
			s.look(t.Add(14*day-time.Second), "Active")
			s.look(t.Add(14*day), "OfflineTooLong")
			s.start(t.Add(14*day), "OfflineTooLong")
			s.grant(t.Add(15*day), fresh(t.Add(15*day)), t.Add(15*day), "Active")
		}),
		m.tell("days of grace, and their end", func(s *story) {
			l := theLicense()
			l.ExpirationDate, l.GraceDays = t.Add(10*day), 7
			s.firstStart(t)
			s.grant(t, m.token(m.current, l, t), t, "Active")
			s.look(t.Add(10*day-time.Second), "Active")
			s.look(t.Add(10*day), "Grace")
			s.fail(t.Add(11*day), t.Add(11*day+3*time.Second), "Grace")
			s.look(t.Add(17*day), "OfflineTooLong")
			s.refuse(t.Add(17*day), "LICENSE_EXPIRED")
		}),
		m.tell("half of the remaining life is less than a day", func(s *story) {
			s.firstStart(t)
			s.grant(t, m.shortToken(t.Add(2*time.Hour)), t, "Active")
			s.grant(t.Add(time.Hour), m.shortToken(t.Add(2*time.Hour)), t.Add(time.Hour), "Active")
			s.grant(t.Add(2*time.Hour-30*time.Second), m.shortToken(t.Add(2*time.Hour)), none, "Active")
			s.look(t.Add(2*time.Hour), "OfflineTooLong")
		}),
		m.tell("a definite no holds across restarts, until the license is reinstated", func(s *story) {
			s.firstStart(t)
			s.grant(t, fresh(t), t, "Active")
			s.refuse(t.Add(day), "LICENSE_SUSPENDED")
			s.stillRefused(t.Add(day+time.Minute), "start", "LICENSE_SUSPENDED")
			s.last().Want.RetryAt = new(t.Add(day + time.Minute))
			s.state.RetryAt = s.last().Want.RetryAt
			s.do(t.Add(day+time.Minute), "fail", nil, "Refused")
			s.last().Want.Reason = "LICENSE_SUSPENDED"
			s.asksAt(t.Add(day + time.Minute + 3*time.Second))
			s.grant(t.Add(day+time.Hour), fresh(t), t.Add(day+time.Hour), "Active")
		}),
	}}
}

// shortToken is that of a license which ends at a moment.
func (m maker) shortToken(end time.Time) string {
	l := theLicense()
	l.ExpirationDate = end
	return m.token(m.current, l, start)
}

// keySets returns keysets.json.
func (m maker) keySets() scenariosFile {
	by := func(kid string, at time.Time) string {
		return m.token(map[string]signerKey{"current": m.current, "next": m.next}[kid], theLicense(), at)
	}
	t, day := start, 24*time.Hour
	set := func(s *story, text string) { s.last().KeySet, s.last().Want.KeysFetched = &text, true }
	published := func(s *story, keys ...signerKey) { set(s, string(must(json.Marshal(keySet(keys...))))) }
	firstUse := func(s *story) { s.TrustOnFirstUse, s.Trusted = true, token.KeySet{Keys: []token.JSONWebKey{}} }
	// useless is an answer whose token is of no use.
	useless := func(s *story, at time.Time, text, status string, failures int) {
		r := jsonResponse(http.StatusOK, `{"message":"`+text+`"}`)
		s.do(at, "answer", &r, status)
		s.asksAt(at.Add(time.Second + time.Second<<failures))
	}
	return scenariosFile{[]scenario{
		m.tell("the key is rotated, and the successor is built in", func(s *story) {
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			s.grant(t.Add(day), by("next", t.Add(day)), t.Add(day), "Active")
		}),
		m.tell("keys that are built in are the only ones: for an unknown kid nothing is fetched", func(s *story) {
			s.Trusted = keySet(m.current)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			useless(s, t.Add(day), by("next", t.Add(day)), "Offline", 1)
		}),
		m.tell("trust on first use: the keys are fetched once, and kept across restarts", func(s *story) {
			firstUse(s)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			published(s, m.current)
			s.start(t.Add(time.Hour), "Active")
			s.grant(t.Add(day), by("current", t.Add(day)), t.Add(day), "Active")
		}),
		m.tell("trust on first use: an unknown kid has the keys fetched anew", func(s *story) {
			firstUse(s)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			published(s, m.current)
			s.grant(t.Add(day), by("next", t.Add(day)), t.Add(day), "Active")
			published(s, m.next, m.current)
		}),
		m.tell("the key of the stored token stays with it, also when it is published no longer", func(s *story) {
			firstUse(s)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			published(s, m.current)
			useless(s, t.Add(day), m.token(m.stranger, theLicense(), t), "Offline", 1)
			published(s, m.next)
			s.start(t.Add(day+time.Second), "Active")
			s.asksAt(t.Add(day))
		}),
		m.tell("the keys are fetched once a minute at most", func(s *story) {
			firstUse(s)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			published(s, m.current)
			useless(s, t.Add(day), by("next", t.Add(day)), "Offline", 1)
			published(s, m.current)
			useless(s, t.Add(day+59*time.Second), by("next", t.Add(day)), "Offline", 2)
			s.grant(t.Add(day+time.Minute), by("next", t.Add(day)), t.Add(day), "Active")
			published(s, m.current, m.next)
		}),
		m.tell("a key set that is none changes nothing", func(s *story) {
			firstUse(s)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			published(s, m.current)
			bad := []string{`<html></html>`, `{}`, `{"keys":[]}`, `{"keys":{}}`, `{"keys":[{"kty":"RSA"}]}`}
			for i, text := range bad {
				useless(s, t.Add(day+time.Duration(i)*time.Minute), by("next", t.Add(day)), "Offline", i+1)
				set(s, text)
			}
			s.grant(t.Add(2*day), by("current", t.Add(day)), t.Add(2*day), "Active")
		}),
		m.tell("keys of other types and uses are left out", func(s *story) {
			firstUse(s)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			set(s, m.mixedSet())
		}),
		m.tell("two keys have one kid: each is tried", func(s *story) {
			firstUse(s)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			twice := keySet(m.stranger, m.current)
			twice.Keys[0].KeyID = twice.Keys[1].KeyID
			set(s, string(must(json.Marshal(twice))))
		}),
		m.tell("a kid that is known for another key is no reason to fetch", func(s *story) {
			firstUse(s)
			s.firstStart(t)
			s.grant(t, by("current", t), t, "Active")
			published(s, m.current, m.next)
			header := decoded(splitToken(by("current", t))[0])
			useless(s, t.Add(day), signed(m.next, header, decodedClaims(by("current", t))), "Offline", 1)
		}),
	}}
}

// mixedSet is a set with one key that can be used, under the kid that others have too.
func (m maker) mixedSet() string {
	good := token.NewJSONWebKey(&m.current.PublicKey)
	with := func(change func(*token.JSONWebKey)) token.JSONWebKey {
		key := good
		change(&key)
		return key
	}
	keys := []any{
		map[string]string{"kty": "EC", "crv": "P-256", "kid": good.KeyID, "x": "AA", "y": "AA"},
		map[string]string{"kty": "oct", "kid": good.KeyID, "k": "c2VjcmV0"},
		"text",
		with(func(k *token.JSONWebKey) { k.Use = "enc" }),
		with(func(k *token.JSONWebKey) { k.Algorithm = "RS512" }),
		with(func(k *token.JSONWebKey) { k.Modulus = "AQAB" }), // far too small
		with(func(k *token.JSONWebKey) { k.Modulus = "!" }),
		good,
	}
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}
