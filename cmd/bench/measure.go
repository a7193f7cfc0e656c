//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// scenario is a binary and the conditions that it runs under.
type scenario struct {
	name   string
	binary string
	// Where the tokens come from.
	reuseDays string // TOKEN_REUSE_DAYS
	signed    bool   // the signature table holds the signatures of all licenses
	repeated  bool   // one license again and again, instead of each once
	device    bool   // licenses for devices, of which this one holds a seat

	records int // that an invocation logs
}

// result is the result of a scenario. Times are in seconds, memory is in bytes.
type result struct {
	start, first, memory float64 // medians over the processes
	warm                 []float64
	calls                map[string]int // of the warm invocations
	records              []string       // that the warm invocations have logged
}

// laboratory runs scenarios against one account.
type laboratory struct {
	account  *account
	proxy    *proxy
	endpoint *httptest.Server
	daemon   string            // where X-Ray's segments go
	id       string            // of a license
	events   map[bool][][]byte // by whether they are for devices
}

func newLaboratory(licenses int, daemon string) (*laboratory, error) {
	a, err := newAccount()
	if err != nil {
		return nil, err
	}
	l := &laboratory{account: a, proxy: newProxy(a), daemon: daemon, events: map[bool][][]byte{}}
	for n := range 2 * licenses {
		forDevices := n%2 == 1
		id, key, err := a.issue(forDevices)
		if err != nil {
			return nil, err
		}
		event, err := verifyEvent(key, forDevices)
		if err != nil {
			return nil, err
		}
		l.id, l.events[forDevices] = id, append(l.events[forDevices], event)
	}
	l.endpoint = httptest.NewServer(l.proxy)
	return l, nil
}

// verifyEvent returns the sample event of a valid license with another license key.
func verifyEvent(key string, forDevices bool) ([]byte, error) {
	text, err := os.ReadFile("events/verify/valid.json")
	if err != nil {
		return nil, err
	}
	var event events.APIGatewayProxyRequest
	if err := json.Unmarshal(text, &event); err != nil {
		return nil, err
	}
	event.HTTPMethod, event.IsBase64Encoded, event.Body = http.MethodPost, false, fmt.Sprintf(`{"licensekey":%q}`, key)
	if forDevices {
		event.Body = fmt.Sprintf(`{"licensekey":%q,"fingerprint":%q,"devicename":"Workstation"}`, key, fingerprint)
	}
	return json.Marshal(event)
}

func (l *laboratory) environment(s scenario) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + l.endpoint.URL, "AWS_XRAY_DAEMON_ADDRESS=" + l.daemon,
		"LICENSER_DB=" + licenseTable, "SIGNATURE_TABLE=" + signatureTable, "DEVICE_TABLE=" + deviceTable,
		"JWT_SECRETS_NAME=secret", "KMS_KEY_ID=alias/token",
		"TOKEN_REUSE_DAYS=" + s.reuseDays, "LICENSE_ID=" + l.id,
	}
}

// run starts a process for each scenario in each round, so that other load on the machine affects all scenarios.
func (l *laboratory) run(scenarios []scenario, rounds int) ([]result, error) {
	results := make([]result, len(scenarios))
	starts, firsts := make([][]float64, len(scenarios)), make([][]float64, len(scenarios))
	memories := make([][]float64, len(scenarios))
	for range rounds {
		for i, s := range scenarios {
			if err := l.prepare(s); err != nil {
				return nil, err
			}
			f, start, err := startFunction(s.binary, l.environment(s)...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			first, warm, err := l.drive(f, s, &results[i])
			memories[i] = append(memories[i], f.peakMemory())
			f.stop()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			starts[i], firsts[i] = append(starts[i], start.Seconds()), append(firsts[i], first.Seconds())
			results[i].warm = append(results[i].warm, warm...)
		}
	}
	for i := range results {
		results[i].start, results[i].first = percentile(starts[i], 50), percentile(firsts[i], 50)
		results[i].memory = percentile(memories[i], 50)
	}
	return results, nil
}

// prepare empties the signature table or fills it, as the scenario needs it.
func (l *laboratory) prepare(s scenario) error {
	l.account.forgetSignatures()
	if !s.signed {
		return nil
	}
	f, _, err := startFunction(s.binary, l.environment(s)...)
	if err != nil {
		return err
	}
	defer f.stop()
	for _, event := range l.events[s.device] {
		if _, err := f.invoke(event); err != nil {
			return err
		}
	}
	return nil
}

func (l *laboratory) drive(f *function, s scenario, r *result) (first time.Duration, warm []float64, err error) {
	events := l.events[s.device]
	if first, err = f.invoke(events[0]); err != nil {
		return 0, nil, err
	}
	if _, err := f.log.take(s.records); err != nil {
		return 0, nil, err
	}
	l.proxy.take()
	for i := 1; i < len(events); i++ {
		event := events[i]
		if s.repeated {
			event = events[0]
		}
		took, err := f.invoke(event)
		if err != nil {
			return 0, nil, err
		}
		warm = append(warm, took.Seconds())
	}
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	for name, calls := range l.proxy.take() {
		r.calls[name] += calls
	}
	records, err := f.log.take(s.records * len(warm))
	r.records = append(r.records, records...)
	return first, warm, err
}

func (r result) callsPerVerification() float64 {
	sum := 0
	for _, calls := range r.calls {
		sum += calls
	}
	return float64(sum) / float64(len(r.warm))
}

// percentile returns the nearest rank, or zero if there are no values.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, max(0, int(p/100*float64(len(sorted))+0.999999)-1))]
}
