package main

import (
	"fmt"
	"strconv"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// The states of a secret.
const (
	secretSigns    = "signs"
	secretAccepted = "accepted" // its license keys are good
	secretRefused  = "refused"
)

// shownSecret is what may be known of a secret.
type shownSecret struct {
	KeyID       string            `json:"kid"`
	State       string            `json:"state"`
	Created     vendorapi.Instant `json:"created,omitzero"`     // absent: nobody knows
	Replaced    vendorapi.Instant `json:"replaced,omitzero"`    // absent: it is the newest
	SignsFrom   vendorapi.Instant `json:"signsfrom,omitzero"`   // of one that does not sign yet
	RefusedFrom vendorapi.Instant `json:"refusedfrom,omitzero"` // absent: nobody has retired it
	IsShort     bool              `json:"short"`                // it is accepted, and too short

	isNewest bool
}

// shownSecrets returns the secrets of a ring, the newest first.
func shownSecrets(ring token.Ring, now time.Time) []shownSecret {
	signing := ring.Signing(now)
	newest := shownSecret{
		KeyID: ring.Current.KeyID(), State: secretSigns, Created: vendorapi.Instant{Time: ring.Created},
		IsShort: ring.Current.IsShort(), isNewest: true,
	}
	if signing != ring.Current {
		newest.State = secretAccepted
		newest.SignsFrom.Time = ring.Created.Add(token.SigningDelay)
	}
	all := []shownSecret{newest}
	for _, e := range ring.Earlier {
		s := shownSecret{
			KeyID: e.Secret.KeyID(), State: secretAccepted, Created: vendorapi.Instant{Time: e.Created},
			Replaced: vendorapi.Instant{Time: e.Replaced}, RefusedFrom: vendorapi.Instant{Time: e.RefusedFrom},
		}
		switch {
		case e.Secret == signing:
			s.State = secretSigns
		case !e.RefusedFrom.IsZero() && !now.Before(e.RefusedFrom):
			s.State = secretRefused
		}
		s.IsShort = s.State != secretRefused && e.Secret.IsShort()
		all = append(all, s)
	}
	return all
}

// forPeople says the state with what belongs to it.
func (s shownSecret) forPeople(now time.Time) string {
	text := s.State
	switch {
	case s.State == secretRefused:
		text = "refused from " + instantForPeople(s.RefusedFrom, now)
	case !s.SignsFrom.IsZero():
		text += ", signs from " + instantForPeople(s.SignsFrom, now)
	case !s.RefusedFrom.IsZero():
		text += ", refused from " + instantForPeople(s.RefusedFrom, now)
	}
	if s.IsShort {
		text += "; too short"
	}
	return text
}

func (s shownSecret) color() terminal.Color {
	switch {
	case s.IsShort:
		return terminal.Bad
	case s.State == secretSigns:
		return terminal.Good
	case s.State == secretRefused, !s.RefusedFrom.IsZero():
		return terminal.Warning
	}
	return terminal.Plain
}

// shortAdvice is for whoever sees that a secret that is accepted is too short.
const shortAdvice = `
A secret that is too short may be guessed by whoever has a license key. Rotate it (licenser keys rotate), send the
customers keys of the new one (licenser keys affected), and refuse the old keys from a date on (licenser keys retire).
`

func showRing(t *terminal.Terminal, ring token.Ring) error {
	now := t.Now()
	if err := terminal.List(t, secretColumns(t), listed(shownSecrets(ring, now))); err != nil || ring.Short(now) == 0 {
		return err
	}
	fmt.Fprint(t.Err, shortAdvice)
	return nil
}

// secretColumns returns the columns of secrets. People read the last three in the state.
func secretColumns(t *terminal.Terminal) []terminal.Column[shownSecret] {
	unlessForPeople := func(title string) string {
		if t.ForPeople {
			return ""
		}
		return title
	}
	return []terminal.Column[shownSecret]{
		{Name: "kid", Title: "KEY ID", Text: func(s shownSecret) string { return s.KeyID }},
		{
			Name: "state", Title: "STATE", Text: func(s shownSecret) string { return s.State },
			People: func(s shownSecret) string { return s.forPeople(t.Now()) }, Color: shownSecret.color,
		},
		{
			Name: "created", Title: "CREATED",
			Text:   func(s shownSecret) string { return instantText(s.Created) },
			People: func(s shownSecret) string { return dateOrUnknown(s.Created) },
		},
		{
			Name: "replaced", Title: "REPLACED",
			Text: func(s shownSecret) string { return instantText(s.Replaced) },
			People: func(s shownSecret) string {
				if s.isNewest {
					return ""
				}
				return dateOrUnknown(s.Replaced)
			},
		},
		{
			Name: "signsfrom", Title: unlessForPeople("SIGNS FROM"),
			Text: func(s shownSecret) string { return instantText(s.SignsFrom) },
		},
		{
			Name: "refusedfrom", Title: unlessForPeople("REFUSED FROM"),
			Text: func(s shownSecret) string { return instantText(s.RefusedFrom) },
		},
		{
			Name: "short", Title: unlessForPeople("SHORT"),
			Text: func(s shownSecret) string { return strconv.FormatBool(s.IsShort) },
		},
	}
}

func dateOrUnknown(i vendorapi.Instant) string {
	if i.IsZero() {
		return "unknown"
	}
	return terminal.Date(i.Time)
}
