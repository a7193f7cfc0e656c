package licensing

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// readVectors reads a file of clients/vectors, whose README.md says what its members are.
func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "clients", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a member that this test does not look at would go untested
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// vectorAsker is the product that asks.
type vectorAsker struct {
	LicenseKey, Fingerprint, Service string
	Released                         time.Time
}

func (a vectorAsker) rules(t *testing.T, keys json.RawMessage) rules {
	t.Helper()
	r, _, err := Config{
		URL: "https://licenses.example.com", Key: a.LicenseKey, Trusted: keys, Service: a.Service, Released: a.Released,
		Fingerprint: a.Fingerprint, Store: Memory(),
	}.rules()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type vectorResponse struct {
	Status  int
	Headers map[string]string
	Body    string
}

func (r vectorResponse) answer(now time.Time) answer {
	header := http.Header{}
	for name, value := range r.Headers {
		header.Set(name, value)
	}
	return readAnswer(r.Status, header, []byte(r.Body), now)
}

func TestVectorTokens(t *testing.T) {
	var file struct {
		Keys        json.RawMessage
		SkewSeconds int
		Cases       []struct {
			Name           string
			Asker          vectorAsker
			Now            time.Time
			Token          string
			Good           bool
			Status, Reason string
		}
	}
	readVectors(t, "tokens.json", &file)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			r := c.Asker.rules(t, file.Keys)
			if got := int(r.skew / time.Second); got != file.SkewSeconds {
				t.Errorf("Skew is %d s, want %d", got, file.SkewSeconds)
			}
			k := r.started(record{}, time.Time{}, c.Now, 0.5)
			k, _ = r.answered(k, answer{token: c.Token}, c.Now, c.Now, 0.5)
			s := r.state(k, c.Now)
			if good := k.Token != ""; good != c.Good || s.Status.String() != c.Status || string(s.Reason) != c.Reason {
				t.Errorf("good is %v, %s %s, %v; want %v, %s %s", good,
					s.Status, s.Reason, s.Err, c.Good, c.Status, c.Reason)
			}
		})
	}
}

func TestVectorResponses(t *testing.T) {
	var file struct {
		Keys   json.RawMessage
		Asker  vectorAsker
		Now    time.Time
		Stored string
		Cases  []struct {
			Name                       string
			Response                   vectorResponse
			Leads, Code, Token, Status string
			NotBefore, NotAfter        int
		}
	}
	readVectors(t, "responses.json", &file)
	r := file.Asker.rules(t, file.Keys)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			for _, random := range []float64{0, 0.5, 1} {
				before := record{Key: keyHash(r.key), Checked: file.Now.AddDate(0, 0, -1), Token: file.Stored}
				k := r.started(before, time.Time{}, file.Now, random)
				k, _ = r.answered(k, c.Response.answer(file.Now), file.Now, file.Now, random)
				s := r.state(k, file.Now)
				token := map[string]string{"": "none", file.Stored: "old"}[k.Token]
				if token == "" {
					token = "new"
				}
				leads, code := "nothing", Code("")
				switch {
				case s.Reason != "":
					leads, code = "refused", s.Reason
				case s.Err == nil:
					leads = "granted"
				default:
					if said, isAnswer := s.Err.(*ServerError); isAnswer {
						code = said.Code
					}
				}
				if leads != c.Leads || string(code) != c.Code || token != c.Token || s.Status.String() != c.Status {
					t.Errorf("%s %q, token %s, %s, %v; want %s %q, token %s, %s",
						leads, code, token, s.Status, s.Err, c.Leads, c.Code, c.Token, c.Status)
				}
				pause := s.RetryAt.Sub(file.Now)
				if pause < time.Duration(c.NotBefore)*time.Second || pause > time.Duration(c.NotAfter)*time.Second {
					t.Errorf("asks again after %s, want %d to %d s", pause, c.NotBefore, c.NotAfter)
				}
			}
		})
	}
}

func TestVectorHosts(t *testing.T) {
	var file struct {
		Cases []struct {
			Name, URL, Sent  string
			Issued           bool
			Allowed, Refused []string
		}
	}
	readVectors(t, "hosts.json", &file)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			l := License{AppURLs: []string{"https://before.example", c.URL}}
			for _, host := range c.Allowed {
				if !l.AllowsHost(host) {
					t.Errorf("%q is refused", host)
				}
			}
			for _, host := range c.Refused {
				if l.AllowsHost(host) {
					t.Errorf("%q is allowed", host)
				}
			}
		})
	}
}

func TestVectorStates(t *testing.T) {
	var file struct {
		Keys  json.RawMessage
		Asker vectorAsker
		Now   time.Time
		Cases []struct {
			Name, Document, Clock, Status, Reason string
			PadBytes                              int
			AsksFirst                             bool
		}
	}
	readVectors(t, "states.json", &file)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			r := file.Asker.rules(t, file.Keys)
			stored, _ := readStored([]byte(c.Document + strings.Repeat(" ", c.PadBytes)))
			k := r.started(stored, readMark([]byte(c.Clock)), file.Now, 0.5)
			s := r.state(k, file.Now)
			if s.Status.String() != c.Status || string(s.Reason) != c.Reason {
				t.Errorf("%s %s, %v; want %s %s", s.Status, s.Reason, s.Err, c.Status, c.Reason)
			}
			if asks := !s.RetryAt.After(file.Now); asks != c.AsksFirst {
				t.Errorf("asks at %s", s.RetryAt)
			}
		})
	}
}

// vectorStep is one event of a scenario.
type vectorStep struct {
	At       time.Time
	Event    string
	Response *vectorResponse
	KeySet   *string
	Want     struct {
		Status, Reason                  string
		CheckedAt, UsableUntil, RetryAt time.Time
		KeysFetched                     bool
	}
}

func TestVectorClocks(t *testing.T)  { testScenarios(t, "clocks.json") }
func TestVectorKeySets(t *testing.T) { testScenarios(t, "keysets.json") }

func testScenarios(t *testing.T, name string) {
	var file struct {
		Cases []struct {
			Name            string
			Asker           vectorAsker
			Trusted         json.RawMessage
			TrustOnFirstUse bool
			OfflineSeconds  int
			Steps           []vectorStep
		}
	}
	readVectors(t, name, &file)
	for _, c := range file.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var r rules
			if c.TrustOnFirstUse {
				config := Config{
					URL: "https://licenses.example.com", Key: c.Asker.LicenseKey, Service: c.Asker.Service,
					Fingerprint: c.Asker.Fingerprint, TrustOnFirstUse: true, Store: Memory(),
				}
				r, _, _ = config.rules()
			} else {
				r = c.Asker.rules(t, c.Trusted)
			}
			r.offline = time.Duration(c.OfflineSeconds) * time.Second
			p := player{rules: r}
			for i, step := range c.Steps {
				p.play(t, i, step)
			}
		})
	}
}

// player is a product without clock, disk and network.
type player struct {
	rules    rules
	known    knowledge
	document []byte
	clock    []byte
}

func (p *player) play(t *testing.T, i int, step vectorStep) {
	t.Helper()
	fetched := false
	switch step.Event {
	case "start":
		stored, _ := readStored(p.document)
		p.known = p.rules.started(stored, readMark(p.clock), step.At, 0.5)
	case "look":
		p.known = p.rules.seen(p.known, step.At)
	case "fail":
		p.known, _ = p.rules.answered(p.known, answer{err: os.ErrDeadlineExceeded}, step.At, step.At, 0.5)
	case "answer":
		known, err := p.rules.answered(p.known, step.Response.answer(step.At), step.At, step.At, 0.5)
		if err != nil {
			fetched = true
			set := ""
			if step.KeySet != nil {
				set = *step.KeySet
			}
			a := step.Response.answer(step.At)
			if p.known, err = p.rules.keysFetched(p.known, []byte(set), step.At); err != nil {
				a = answer{err: err}
			}
			known, _ = p.rules.answered(p.known, a, step.At, step.At, 0.5)
		}
		p.known = known
	default:
		t.Fatalf("step %d: there is no event %s", i, step.Event)
	}
	if p.known.Key != "" {
		p.document, p.clock = p.known.record.write(), writeSummed(clockMark{p.known.mark})
	}
	want, s := step.Want, p.rules.state(p.known, step.At)
	if s.Status.String() != want.Status || string(s.Reason) != want.Reason || fetched != want.KeysFetched {
		t.Errorf("step %d, %s: %s %q, keys fetched %v, %v; want %s %q, %v", i, step.Event,
			s.Status, s.Reason, fetched, s.Err, want.Status, want.Reason, want.KeysFetched)
	}
	for name, times := range map[string][2]time.Time{
		"CheckedAt": {s.CheckedAt, want.CheckedAt}, "UsableUntil": {s.UsableUntil, want.UsableUntil},
		"RetryAt": {s.RetryAt, want.RetryAt},
	} {
		if !times[0].Equal(times[1]) {
			t.Errorf("step %d, %s: %s is %s, want %s", i, step.Event, name, times[0], times[1])
		}
	}
}
