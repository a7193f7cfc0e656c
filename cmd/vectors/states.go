package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"openlicenser/shared/token"
)

// stateCase is what the store holds at a start, and what the product makes of it.
type stateCase struct {
	Name      string `json:"name"`
	Document  string `json:"document"`          // the stored state; empty: there is none
	PadBytes  int    `json:"padbytes,omitzero"` // so many spaces follow it
	Clock     string `json:"clock"`             // the stored clock mark; empty: there is none
	Status    string `json:"status"`            // at the start
	Reason    string `json:"reason,omitempty"`  //
	AsksFirst bool   `json:"asksfirst"`         // the service is asked at once
}

type statesFile struct {
	Keys  token.KeySet `json:"keys"`
	Asker asker        `json:"asker"`
	Now   time.Time    `json:"now"`
	Cases []stateCase  `json:"cases"`
}

// storedState is what the Go client stores.
type storedState struct {
	Version int       `json:"version"`
	Key     string    `json:"key"`
	Asked   time.Time `json:"asked"`
	Checked time.Time `json:"checked"`
	Token   string    `json:"token,omitempty"`
	Refused string    `json:"refused,omitempty"`

	Keys []token.JSONWebKey `json:"keys,omitempty"`
}

func summed(value any) string {
	body := string(must(json.Marshal(value)))
	return sumOf(body) + "\n" + body + "\n"
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func storedKey(licenseKey string) string {
	return sumOf("Open Licenser stored state " + licenseKey)
}

// states returns states.json.
func (m maker) states() statesFile {
	f := statesFile{Keys: keySet(m.current, m.next), Asker: theAsker(), Now: start}
	checked := start.Add(-time.Hour)
	state := func(change func(*storedState)) string {
		s := storedState{
			Version: 1, Key: storedKey(licenseKey()), Asked: checked, Checked: checked,
			Token: m.token(m.current, theLicense(), checked),
		}
		change(&s)
		return summed(s)
	}
	good := state(func(*storedState) {})
	clock := func(latest time.Time) string { return summed(map[string]time.Time{"latest": latest}) }
	add := func(name, document, clock, status string, asksFirst bool) {
		f.Cases = append(f.Cases, stateCase{
			Name: name, Document: document, Clock: clock, Status: status, AsksFirst: asksFirst,
		})
	}
	asks := func(name, document string) { add(name, document, clock(checked), "Unknown", true) }
	add("as it was written", good, clock(checked), "Active", false)
	add("without the last line break", strings.TrimSuffix(good, "\n"), clock(checked), "Active", false)
	asks("nothing is stored", "")
	asks("truncated by a character", good[:len(good)-2])
	asks("truncated in the middle", good[:len(good)/2])
	asks("truncated after the first line", good[:65])
	asks("empty lines", "\n\n")
	asks("zeros, as a crash can leave them", strings.Repeat("\x00", 512))
	flipped := func(at int) string { return good[:at] + string(good[at]^1) + good[at+1:] }
	asks("a bit of the sum is flipped", flipped(10))
	asks("a bit of the version is flipped", flipped(len(`{"version":`)+len(good[:65])))
	asks("a bit of the key is flipped", flipped(100))
	asks("a bit of the token is flipped", flipped(len(good)-40))
	asks("another version", state(func(s *storedState) { s.Version = 2 }))
	asks("no version", state(func(s *storedState) { s.Version = 0 }))
	asks("of another license key", state(func(s *storedState) { s.Key = storedKey("another") }))
	asks("a list", summed([]int{1}))
	asks("null", summed(nil))
	asks("HTML", "<html></html>")
	asks("the token is signed by a stranger", state(func(s *storedState) {
		s.Token = m.token(m.stranger, theLicense(), checked)
	}))
	asks("the token and the keys are of a stranger", state(func(s *storedState) {
		s.Token, s.Keys = m.token(m.stranger, theLicense(), checked), keySet(m.stranger).Keys
	}))
	asks("the token is of another device", state(func(s *storedState) {
		s.Token = m.deviceToken(otherComputer, checked)
	}))
	add("the token has expired", state(func(s *storedState) {
		s.Token = m.token(m.current, theLicense(), start.Add(-lifetime))
	}), clock(checked), "OfflineTooLong", true)
	add("the last answer is older than a day", state(func(s *storedState) { s.Checked = start.Add(-27 * time.Hour) }),
		clock(checked), "Active", true)
	add("the last answer lies in the future", state(func(s *storedState) { s.Checked = start.Add(time.Hour) }),
		clock(checked), "Active", true)
	add("a refusal", state(func(s *storedState) { s.Token, s.Refused = "", "LICENSE_REVOKED" }),
		clock(checked), "Refused", true)
	f.Cases[len(f.Cases)-1].Reason = "LICENSE_REVOKED"
	asks("the refusal of another license key", state(func(s *storedState) {
		s.Key, s.Token, s.Refused = storedKey("another"), "", "LICENSE_REVOKED"
	}))
	const pad = 2 << 20
	_, body, _ := strings.Cut(strings.TrimSuffix(good, "\n"), "\n")
	asks("two megabytes, with the right sum", sumOf(body+strings.Repeat(" ", pad))+"\n"+body)
	f.Cases[len(f.Cases)-1].PadBytes = pad

	add("no clock mark", good, "", "Active", false)
	add("a damaged clock mark is none", good, clock(start.AddDate(1, 0, 0))[1:], "Active", false)
	add("a clock mark that is no time", good, summed(map[string]string{"latest": "soon"}), "Active", false)
	add("a clock mark a day ahead", good, clock(start.AddDate(0, 0, 1)), "Active", false)
	add("a clock mark more than a day ahead", good, clock(start.AddDate(0, 0, 1).Add(time.Second)), "ClockBack", false)
	return f
}
