package verification_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/device"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/testing/telemetrytest"
	"openlicenser/shared/token"
)

// secretFingerprint is one that no store and no log may hold.
const secretFingerprint = "serial number 0123456789"

// watchedDevices is a device.Store that counts what is asked of it, and fails as a test wants.
type watchedDevices struct {
	device.Store
	reads, writes int

	failRead, failWrite error
	lost                bool   // the next write is made, and its answer lost
	meanwhile           func() // is done once, between reading and the next write
}

var errLost = errors.New("connection reset by peer")

func (w *watchedDevices) Seats(ctx context.Context, id string) (*device.Seats, error) {
	w.reads++
	if w.failRead != nil {
		return nil, w.failRead
	}
	return w.Store.Seats(ctx, id)
}

func (w *watchedDevices) Write(ctx context.Context, id string, write device.Write) error {
	if do := w.meanwhile; do != nil {
		w.meanwhile = nil
		do()
	}
	w.writes++
	if w.failWrite != nil {
		return w.failWrite
	}
	err := w.Store.Write(ctx, id, write)
	if w.lost && err == nil {
		w.lost, err = false, errLost
	}
	return err
}

// watchedLicenses counts reads, and answers the first ones with licenses of before.
type watchedLicenses struct {
	license.Store
	reads  int
	before []license.License
}

func (w *watchedLicenses) Get(ctx context.Context, id string) (license.License, error) {
	w.reads++
	if len(w.before) > 0 {
		l := w.before[0]
		w.before = w.before[1:]
		return l, nil
	}
	return w.Store.Get(ctx, id)
}

// office is a customer's, with one license and a clock.
type office struct {
	t        *testing.T
	v        verification.Verifier
	devices  *watchedDevices
	licenses *watchedLicenses
	folder   string // where all is stored
	secret   token.Secret
	id, key  string
	now      time.Time
}

// newOffice returns one with the license that the draft says.
func newOffice(t *testing.T, draft license.Draft) *office {
	t.Helper()
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	o := &office{
		t:        t,
		devices:  &watchedDevices{Store: folder.Devices},
		licenses: &watchedLicenses{Store: folder.Licenses},
		folder:   path,
		secret:   "a secret of more than thirty-two bytes",
		now:      licensetest.Now,
	}
	o.v = verification.Verifier{
		Licenses:   o.licenses,
		Devices:    o.devices,
		Secrets:    fixedSecret(o.secret),
		Authorizer: token.Authorizer{Key: folder.SigningKey, Issuer: "Test Issuer", Lifetime: 90 * 24 * time.Hour},
		Now:        func() time.Time { return o.now },
		Log:        telemetrytest.Log,
	}
	o.id, o.key = o.issue(draft)
	return o
}

// issue returns the id and the key of a license.
func (o *office) issue(draft license.Draft) (id, key string) {
	o.t.Helper()
	draft.CustomerName = "Example"
	if draft.ExpirationDate == "" {
		draft.ExpirationDate = "never"
	}
	id, err := license.NewID()
	if err != nil {
		o.t.Fatal(err)
	}
	l, err := draft.Issue(id, licensetest.Change(""))
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.licenses.Create(o.t.Context(), l); err != nil {
		o.t.Fatal(err)
	}
	return id, shortKey(o.t, o.secret, id)
}

// change changes the license as the vendor does.
func (o *office) change(do func(license.License, license.Change) (license.License, error)) {
	o.t.Helper()
	before := o.license()
	after, err := do(before, license.Change{At: o.now, By: "test", RequestID: "1"})
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.licenses.Update(o.t.Context(), before, after); err != nil {
		o.t.Fatal(err)
	}
}

// patch changes fields of the license.
func (o *office) patch(p license.Patch) {
	o.t.Helper()
	o.change(func(l license.License, c license.Change) (license.License, error) { return l.Patch(p, c) })
}

func (o *office) license() license.License {
	o.t.Helper()
	l, err := o.licenses.Store.Get(o.t.Context(), o.id)
	if err != nil {
		o.t.Fatal(err)
	}
	return l
}

// said is the body of any response.
type said struct {
	Message, Error string
	Limit          *int
	Devices        []struct {
		ID, Name     string
		Since, Until time.Time
	}
	status int
	text   string
}

// post asks a route, with members beside the license key.
func (o *office) post(route, key, members string) (s said) {
	o.t.Helper()
	text, err := json.Marshal(key)
	if err != nil {
		o.t.Fatal(err)
	}
	body := `{"licensekey":` + string(text)
	if members != "" {
		body += "," + members
	}
	response := answer(o.t, o.v, events.APIGatewayProxyRequest{
		HTTPMethod: http.MethodPost, Resource: route, Body: body + "}",
	})
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &s); err != nil {
			o.t.Fatal(err)
		}
	}
	s.status, s.text = response.StatusCode, response.Body
	return s
}

func (o *office) ask(members string) said {
	o.t.Helper()
	return o.post("/verify-license", o.key, members)
}

// fingerprint returns the fingerprint of a computer.
func fingerprint(name string) string { return "computer of " + name }

// verify asks for a computer, with more members.
func (o *office) verify(name string, more ...string) said {
	o.t.Helper()
	members := append([]string{fmt.Sprintf(`"fingerprint":%q,"devicename":%q`, fingerprint(name), name)}, more...)
	return o.ask(strings.Join(members, ","))
}

// want wants a token for a computer, or the error.
func (o *office) want(code, name string, more ...string) said {
	o.t.Helper()
	s := o.verify(name, more...)
	status := http.StatusBadRequest
	switch code {
	case "":
		status = http.StatusOK
	case internalError:
		status = http.StatusInternalServerError
	}
	if s.Error != code || s.status != status {
		o.t.Fatalf("%s: got %d %s, want %q", name, s.status, s.text, code)
	}
	return s
}

const (
	limitReached  = "DEVICE_LIMIT_REACHED"
	internalError = "INTERNAL_LICENSE_SERVER_ERROR"
)

// expires returns the claim exp of a token, whose claim device it checks.
func (o *office) expires(s said, name string) time.Time {
	o.t.Helper()
	claims := readToken(o.t, o.v, s.Message)
	if want := device.ID(o.id, fingerprint(name)); claims["device"] != want {
		o.t.Errorf("the token is for the device %v, want %s", claims["device"], want)
	}
	return time.Unix(int64(claims["exp"].(float64)), 0)
}

// holders returns the names of the devices that hold a seat, as the customer sees them.
func (o *office) holders() string {
	o.t.Helper()
	s := o.post("/list-devices", o.key, "")
	if s.status != http.StatusOK {
		o.t.Fatalf("list: %d %s", s.status, s.text)
	}
	var names []string
	for _, d := range s.Devices {
		names = append(names, d.Name)
	}
	return strings.Join(names, " ")
}

func number(n int) *int { return &n }

// TestDevicePrecedence: what the license says comes before what the request says of its device.
func TestDevicePrecedence(t *testing.T) {
	revoke, suspend := license.License.Revoke, license.License.Suspend
	for name, test := range map[string]struct {
		change func(license.License, license.Change) (license.License, error)
		after  time.Duration
		want   string
	}{
		"revoked": {revoke, 0, "LICENSE_REVOKED"}, "suspended": {suspend, 0, "LICENSE_SUSPENDED"},
		"expired": {nil, 48 * time.Hour, "LICENSE_EXPIRED"}, "active": {nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, license.Draft{MaxDevices: 1, ExpirationDate: "2026-11-02T12:00:00Z"})
			o.want("", "A")
			if test.change != nil {
				o.change(test.change)
			}
			o.now = o.now.Add(test.after)
			for members, want := range map[string]string{
				"":                            "FINGERPRINT_REQUIRED",
				`"fingerprint":"short"`:       "INVALID_FINGERPRINT",
				`"fingerprint":7`:             "BAD_LICENSE_SERVER_REQUEST",
				`"fingerprint":"another one"`: limitReached,
				`"fingerprint":"` + fingerprint("A") + `"`: "",
			} {
				if test.want != "" {
					want = test.want
				}
				if s := o.ask(members); s.Error != want {
					t.Errorf("%s: got %d %s, want %q", members, s.status, s.text, want)
				}
			}
			if s := o.post("/verify-license", o.key+"0", `"fingerprint":7`); s.Error != "INVALID_LICENSE" {
				t.Errorf("another key: %d %s", s.status, s.text)
			}
		})
	}
}

// TestFingerprints: 8 to 256 printable ASCII characters.
func TestFingerprints(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 250})
	for name, test := range map[string]struct{ fingerprint, want string }{
		"null":                   {`null`, "FINGERPRINT_REQUIRED"},
		"empty":                  {`""`, "FINGERPRINT_REQUIRED"},
		"7 characters":           {`"1234567"`, "INVALID_FINGERPRINT"},
		"8 characters":           {`"12345678"`, ""},
		"256 characters":         {`"` + strings.Repeat("a", 256) + `"`, ""},
		"257 characters":         {`"` + strings.Repeat("a", 257) + `"`, "INVALID_FINGERPRINT"},
		"first and last of them": {`"   ~~~~~"`, ""},
		"a control":              {`"1234567\u001f"`, "INVALID_FINGERPRINT"},
		"DEL":                    {`"1234567\u007f"`, "INVALID_FINGERPRINT"},
		"not ASCII":              {`"1234567é"`, "INVALID_FINGERPRINT"},
		"twice, the last counts": {`7,"fingerprint":"12345678"`, ""},
		"twice, the last is odd": {`"12345678","fingerprint":7`, "BAD_LICENSE_SERVER_REQUEST"},
	} {
		s := o.ask(`"fingerprint":` + test.fingerprint)
		if s.Error != test.want || (s.status == http.StatusOK) != (test.want == "") {
			t.Errorf("%s: got %d %s, want %q", name, s.status, s.text, test.want)
		}
	}
}

// TestOddMembers: what has the wrong type matters for a license with devices, and for no other one.
func TestOddMembers(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1})
	_, plain := o.issue(license.Draft{})
	token := o.post("/verify-license", plain, "").Message
	if _, names := readToken(t, o.v, token)["device"]; names {
		t.Error("the token of a license without devices names one")
	}
	const valid = `"fingerprint":"12345678"`
	for members, isOdd := range map[string]bool{
		`"fingerprint":7`:            true,
		`"fingerprint":{}`:           true,
		valid + `,"devicename":7`:    true,
		valid + `,"devicename":null`: false,
		valid + `,"devicename":"` + strings.Repeat("a", 32) + `"`: false,
		valid + `,"devicename":"` + strings.Repeat("a", 33) + `"`: true,
		valid + `,"devicename":"` + strings.Repeat("é", 16) + `"`: false,
		valid + `,"devicename":"` + strings.Repeat("é", 17) + `"`: true,
		valid + `,"leaseminutes":"60"`:                            true,
		valid + `,"leaseminutes":1.5`:                             true,
		valid + `,"leaseminutes":-1`:                              true,
		valid + `,"leaseminutes":1e400`:                           true,
		valid + `,"leaseminutes":1e300`:                           false,
		valid + `,"leaseminutes":60.0`:                            false,
		valid + `,"leaseminutes":null`:                            false,
		valid + `,"device":7`:                                     false, // of another route
	} {
		want := ""
		if isOdd {
			want = "BAD_LICENSE_SERVER_REQUEST"
		}
		if s := o.ask(members); s.Error != want {
			t.Errorf("%s: got %d %s, want %q", members, s.status, s.text, want)
		}
		// openapi.yaml promises less, so that clients have types.
		response, err := o.v.Router().Invoke(t.Context(), apitest.Event(
			verifyEvent(fmt.Sprintf(`{"licensekey":%q,%s}`, plain, members), false),
		))
		if err != nil || response.Body != `{"message":"`+token+`"}` {
			t.Errorf("%s, without devices: %v, %d %s", members, err, response.StatusCode, response.Body)
		}
	}
}

// TestDeviceLimit: whoever holds a seat keeps it, and who gets none is told who does.
func TestDeviceLimit(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 2, LeaseMinutes: 60})
	o.want("", "A")
	o.now = o.now.Add(time.Minute)
	o.want("", "B")
	for range 3 {
		s := o.want(limitReached, "C")
		if s.Limit == nil || *s.Limit != 2 || len(s.Devices) != 2 {
			t.Fatalf("got %s", s.text)
		}
		for n, name := range []string{"A", "B"} {
			d := s.Devices[n]
			since := licensetest.Now.Add(time.Duration(n) * time.Minute)
			if d.ID != device.ID(o.id, fingerprint(name)) || d.Name != name || !d.Since.Equal(since) ||
				!d.Until.Equal(since.Add(time.Hour)) {
				t.Errorf("%s: got %+v", name, d)
			}
		}
		if strings.Contains(s.text, "computer of") {
			t.Errorf("tells a fingerprint: %s", s.text)
		}
		o.want("", "A")
		o.want("", "B")
	}
}

// TestListDevices: a license key shows the devices of its own license, whatever its status, and no other's.
func TestListDevices(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 2})
	o.want("", "A")
	otherID, otherKey := o.issue(license.Draft{MaxDevices: 1})
	_, plain := o.issue(license.Draft{})
	for key, want := range map[string]string{
		otherKey: `{"limit":1,"devices":[]}`, plain: `{"limit":null,"devices":[]}`,
		"":                               `{"error":"MISSING_LICENSE_KEY"}`,
		shortKey(t, "another", o.id):     `{"error":"INVALID_LICENSE"}`,
		shortKey(t, o.secret, unknownID): `{"error":"INVALID_LICENSE"}`,
	} {
		if s := o.post("/list-devices", key, `"leaseminutes":"odd"`); s.text != want {
			t.Errorf("%s: got %d %s, want %s", key, s.status, s.text, want)
		}
	}
	if device.ID(o.id, fingerprint("A")) == device.ID(otherID, fingerprint("A")) {
		t.Error("a computer is recognizable across licenses")
	}
	o.change(license.License.Revoke)
	if got := o.holders(); got != "A" {
		t.Errorf("of a revoked license: %q", got)
	}
}

// TestLease: as long as the product asks for, as far as the license allows, and never beyond the license's end.
func TestLease(t *testing.T) {
	const day = 24 * 60 // minutes
	for name, test := range map[string]struct {
		draft license.Draft
		asked string
		want  time.Duration
	}{
		"as long as a token":     {license.Draft{}, "", 90 * day},
		"more than a token":      {license.Draft{}, "1000000", 90 * day},
		"as the license says":    {license.Draft{LeaseMinutes: 60}, "", 60},
		"0 is absent":            {license.Draft{LeaseMinutes: 60}, "0", 60},
		"less":                   {license.Draft{LeaseMinutes: 60}, "20", 20},
		"too little":             {license.Draft{LeaseMinutes: 60}, "1", 10},
		"more":                   {license.Draft{LeaseMinutes: 60}, "61", 60},
		"more, as is allowed":    {license.Draft{LeaseMinutes: 60, MaxLeaseMinutes: 200 * day}, "288000", 200 * day},
		"more than is allowed":   {license.Draft{LeaseMinutes: 60, MaxLeaseMinutes: 120}, "1e12", 120},
		"not asked for":          {license.Draft{LeaseMinutes: 60, MaxLeaseMinutes: 120}, "", 60},
		"the license ends first": {license.Draft{ExpirationDate: "2026-11-01T13:30:00Z"}, "", 90},
		"with its days of grace": {license.Draft{ExpirationDate: "2026-11-01T13:30:00Z", GraceDays: 1}, "", 90 + day},
	} {
		t.Run(name, func(t *testing.T) {
			test.draft.MaxDevices = 1
			o := newOffice(t, test.draft)
			o.now = o.now.Add(999 * time.Millisecond) // which no claim can say
			var more []string
			if test.asked != "" {
				more = []string{`"leaseminutes":` + test.asked}
			}
			want := licensetest.Now.Add(test.want * time.Minute)
			if got := o.expires(o.want("", "A", more...), "A"); !got.Equal(want) {
				t.Errorf("the token expires at %v, want %v", got.UTC(), want)
			}
			if until := o.post("/list-devices", o.key, "").Devices[0].Until; !until.Equal(want) {
				t.Errorf("the seat ends at %v, want %v", until, want)
			}
		})
	}
}

// TestDeviceTokenAgain: as long as nine tenths of the lease lie ahead and the seat lasts as long, from memory and from
// the table, without a write.
func TestDeviceTokenAgain(t *testing.T) {
	for _, from := range []string{"memory", "table"} {
		for name, test := range map[string]struct {
			after   time.Duration
			more    string
			between func(*office)
			again   bool
		}{
			"at once":              {again: true},
			"at nine tenths":       {after: 6 * time.Minute, again: true},
			"a moment later":       {after: 6*time.Minute + time.Nanosecond},
			"for less":             {after: 30 * time.Minute, more: `"leaseminutes":30`, again: true},
			"for more":             {more: `"leaseminutes":120`},
			"for slightly more":    {more: `"leaseminutes":66`, again: true},
			"for too much of it":   {more: `"leaseminutes":67`},
			"another name":         {again: true, more: `"devicename":"another"`},
			"the customer renamed": {between: func(o *office) { o.patch(license.Patch{CustomerName: new("New")}) }},
			"seat given back and taken for less": {
				more: `"leaseminutes":10`,
				between: func(o *office) {
					o.post("/release-device", o.key, fmt.Sprintf(`"fingerprint":%q`, fingerprint("A")))
				},
			},
			"seats reset": {between: func(o *office) { o.change(license.License.ResetDevices) }, again: true},
			"seats reset and the lease shorter": {between: func(o *office) {
				o.change(license.License.ResetDevices)
				o.patch(license.Patch{LeaseMinutes: number(30)})
			}},
			"the license ends earlier": {between: func(o *office) {
				end := license.FormatDate(o.now.Add(50 * time.Minute))
				o.patch(license.Patch{ExpirationDate: &end})
			}},
		} {
			t.Run(name+", from "+from, func(t *testing.T) {
				o := newOffice(t, license.Draft{MaxDevices: 1, LeaseMinutes: 60, MaxLeaseMinutes: 600})
				shared := &sharedSignatures{
					licenses: o.licenses, devices: o.devices, kept: map[string]token.Signature{},
				}
				o.v = instance(o.v, shared)
				first := o.want("", "A")
				if !shared.expires.Equal(o.expires(first, "A")) {
					t.Errorf("the signature is kept until %v", shared.expires)
				}
				if from == "table" {
					o.v = instance(o.v, shared)
				}
				if test.between != nil {
					test.between(o)
				}
				o.now = o.now.Add(test.after)
				writes := o.devices.writes
				second := o.want("", "A", strings.Fields(test.more)...)
				if isSame := second.Message == first.Message; isSame != test.again {
					t.Errorf("the same token: %v", isSame)
				}
				if test.again && test.between == nil && o.devices.writes != writes {
					t.Errorf("%d writes for a token that was given again", o.devices.writes-writes)
				}
				seats, err := o.devices.Store.Seats(t.Context(), o.id)
				if err != nil {
					t.Fatal(err)
				}
				seat := seats.Held[device.ID(o.id, fingerprint("A"))]
				if exp := o.expires(second, "A"); exp.After(seat.Until) || exp.After(o.license().EndsAt()) {
					t.Errorf("the token expires at %v, the seat ends at %v", exp, seat.Until)
				}
			})
		}
	}
}

// TestDeviceTokenOfAnother: an instance that remembers an early token gives the later one of another instance.
func TestDeviceTokenOfAnother(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1, LeaseMinutes: 60})
	shared := &sharedSignatures{licenses: o.licenses, devices: o.devices, kept: map[string]token.Signature{}}
	one, two := instance(o.v, shared), instance(o.v, shared)
	o.v = one
	o.want("", "A")
	o.now, o.v = o.now.Add(30*time.Minute), two
	later := o.want("", "A")
	o.now, o.v = o.now.Add(time.Minute), one
	if got := o.want("", "A"); got.Message != later.Message {
		t.Error("a third token was signed")
	}
}

// TestDeviceTokenUntilTheEnd: where the license ends before the lease, the same token serves until then.
func TestDeviceTokenUntilTheEnd(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1, LeaseMinutes: 60, ExpirationDate: "2026-11-01T12:30:00.5Z"})
	o.v = instance(o.v, nil)
	first := o.want("", "A")
	o.now = o.now.Add(29 * time.Minute)
	if o.want("", "A").Message != first.Message || o.devices.writes != 1 {
		t.Errorf("another token, after %d writes", o.devices.writes)
	}
}

// TestSteadyState: a device that asks again at once costs no write, also where no token is given again.
func TestSteadyState(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1, LeaseMinutes: 60})
	first := o.expires(o.want("", "A"), "A")
	if o.devices.writes != 1 {
		t.Fatalf("%d writes for a seat", o.devices.writes)
	}
	o.now = o.now.Add(6 * time.Minute)
	if got := o.expires(o.want("", "A"), "A"); !got.Equal(first) || o.devices.writes != 1 {
		t.Errorf("expires at %v after %d writes, want %v", got, o.devices.writes, first)
	}
	o.now = o.now.Add(time.Second)
	if got := o.expires(o.want("", "A"), "A"); !got.Equal(o.now.Add(time.Hour)) || o.devices.writes != 2 {
		t.Errorf("after nine tenths: expires at %v after %d writes", got, o.devices.writes)
	}
}

// TestSeatsConflict: where others change the seats between reading and writing, they are read again.
func TestSeatsConflict(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 2})
	o.devices.meanwhile = func() { o.want("", "B") }
	o.want("", "A")
	if got := o.holders(); got != "B A" {
		t.Errorf("%q hold seats", got)
	}
	o = newOffice(t, license.Draft{MaxDevices: 1})
	o.devices.meanwhile = func() { o.want("", "B") }
	o.want(limitReached, "A")
	o = newOffice(t, license.Draft{MaxDevices: 1})
	o.devices.failWrite = device.ErrConflict
	o.want(internalError, "A")
}

// TestDeviceFaults: a fault of the device table is a 500, nothing is lost, and it is no matter of licenses without
// devices.
func TestDeviceFaults(t *testing.T) {
	for _, isShared := range []bool{false, true} {
		o := newOffice(t, license.Draft{MaxDevices: 1})
		if isShared {
			o.v = instance(o.v, &sharedSignatures{
				licenses: o.licenses, devices: o.devices, kept: map[string]token.Signature{},
			})
		}
		_, plain := o.issue(license.Draft{})
		for name, fail := range map[string]func(){
			"unreadable": func() { o.devices.failRead = errDenied },
			"unwritable": func() { o.devices.failWrite = errDenied },
		} {
			fail()
			if s := o.want(internalError, "A"); strings.Contains(s.text, "secret") {
				t.Errorf("%s tells %s", name, s.text)
			}
			if s := o.post("/verify-license", plain, `"fingerprint":"12345678"`); s.status != http.StatusOK {
				t.Errorf("%s, without devices: %d %s", name, s.status, s.text)
			}
			o.devices.failRead, o.devices.failWrite = nil, nil
		}
		if got := o.holders(); got != "" {
			t.Errorf("after faults %q hold seats", got)
		}
		o.devices.lost = true
		o.want(internalError, "A")
		writes := o.devices.writes
		o.want("", "A")
		if o.devices.writes != writes {
			t.Error("the seat was taken again, although the write was made")
		}
		o.want(limitReached, "B")
		o.devices.failRead = errDenied
		for _, route := range []string{"/list-devices", "/release-device"} {
			if s := o.post(route, o.key, `"device":"x"`); s.Error != internalError {
				t.Errorf("%s: %d %s", route, s.status, s.text)
			}
		}
	}
	o := newOffice(t, license.Draft{MaxDevices: 1})
	o.v.Devices = nil
	o.want(internalError, "A")
	if s := o.post("/list-devices", o.key, ""); s.Error != internalError {
		t.Errorf("without a table: %d %s", s.status, s.text)
	}
}

// TestDevicesNotUnderstood: a limit that another tool has written in a form of its own is no license without a limit.
func TestDevicesNotUnderstood(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1})
	record := o.license().Record()
	record["maxdevices"] = "one"
	if err := o.licenses.Store.(*embedded.Licenses).PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	o.want(internalError, "A")
	for _, route := range []string{"/list-devices", "/release-device"} {
		if s := o.post(route, o.key, `"device":"x"`); s.Error != internalError {
			t.Errorf("%s: %d %s", route, s.status, s.text)
		}
	}
}

// TestEpoch: where the license and its seats are of different epochs, either may be older. The license is read again.
func TestEpoch(t *testing.T) {
	t.Run("reset", func(t *testing.T) {
		o := newOffice(t, license.Draft{MaxDevices: 1})
		o.want("", "A")
		o.change(license.License.ResetDevices)
		if got := o.holders(); got != "" {
			t.Errorf("%q hold seats", got)
		}
		o.licenses.reads = 0
		o.want("", "B")
		if o.licenses.reads != 2 {
			t.Errorf("the license was read %d times", o.licenses.reads)
		}
		o.want(limitReached, "A")
	})
	t.Run("the license was read before the reset", func(t *testing.T) {
		o := newOffice(t, license.Draft{MaxDevices: 1})
		before := o.license()
		o.change(license.License.ResetDevices)
		o.want("", "A")
		o.licenses.before = []license.License{before}
		o.want(limitReached, "B")
		o.licenses.before = []license.License{before}
		o.want("", "A")
	})
	t.Run("revoked meanwhile", func(t *testing.T) {
		o := newOffice(t, license.Draft{MaxDevices: 1})
		o.want("", "A")
		o.change(license.License.ResetDevices)
		before := o.license()
		o.change(license.License.Revoke)
		o.licenses.before = []license.License{before}
		o.want("LICENSE_REVOKED", "A")
	})
	t.Run("without devices meanwhile", func(t *testing.T) {
		o := newOffice(t, license.Draft{MaxDevices: 1})
		o.want("", "A")
		o.change(license.License.ResetDevices)
		before := o.license()
		o.patch(license.Patch{MaxDevices: number(0)})
		o.licenses.before = []license.License{before}
		o.want(internalError, "A")
		if _, names := readToken(t, o.v, o.want("", "A").Message)["device"]; names {
			t.Error("a license without devices names one")
		}
	})
	t.Run("given anew", func(t *testing.T) {
		o := newOffice(t, license.Draft{MaxDevices: 1})
		o.want("", "A")
		o.patch(license.Patch{MaxDevices: number(0)})
		o.patch(license.Patch{MaxDevices: number(1)})
		o.want("", "B")
		o.want(limitReached, "A")
	})
}

// TestLimitChanged: a raised limit counts at once. At a lowered one the oldest stay, and the others keep what they
// have.
func TestLimitChanged(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1, LeaseMinutes: 60})
	o.v = instance(o.v, nil)
	o.want("", "A")
	o.want(limitReached, "B")
	o.patch(license.Patch{MaxDevices: number(2)})
	end := o.expires(o.want("", "B"), "B")
	o.want(limitReached, "C")
	o.patch(license.Patch{MaxDevices: number(1)})
	o.now = o.now.Add(30 * time.Minute)
	if got := o.expires(o.want("", "A"), "A"); !got.Equal(o.now.Add(time.Hour)) {
		t.Errorf("the oldest is not extended: %v", got)
	}
	last := o.want("", "B")
	if got := o.expires(last, "B"); !got.Equal(end) {
		t.Errorf("the youngest gets a token until %v, want %v", got, end)
	}
	o.now = o.now.Add(time.Minute)
	if o.want("", "B").Message != last.Message {
		t.Error("the youngest does not get the same token until its seat ends")
	}
	o.now = end
	o.want(limitReached, "B")
	o.want("", "A")
}

// TestEndedSeats: a device takes its own ended seat at once, and that of another one six minutes after its end.
func TestEndedSeats(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1, LeaseMinutes: 60})
	o.want("", "A")
	for _, step := range []struct {
		after time.Duration // of the end
		name  string
		want  string
	}{
		{-time.Nanosecond, "B", limitReached},
		{0, "B", limitReached},
		{6*time.Minute - time.Nanosecond, "B", limitReached},
		{6 * time.Minute, "B", ""},
	} {
		o.now = licensetest.Now.Add(time.Hour + step.after)
		o.want(step.want, step.name)
	}
	o.want(limitReached, "A")
	o.now = o.now.Add(time.Hour)
	if got := o.holders(); got != "" {
		t.Errorf("%q hold a seat that has ended", got)
	}
	o.want("", "B")
	if got := o.holders(); got != "B" {
		t.Errorf("%q hold seats", got)
	}
}

// release gives back, by what names the device.
func (o *office) release(want, members string) {
	o.t.Helper()
	s := o.post("/release-device", o.key, members)
	if isOK := s.status == http.StatusNoContent && s.text == ""; s.Error != want || isOK != (want == "") {
		o.t.Errorf("release %s: got %d %s, want %q", members, s.status, s.text, want)
	}
}

// TestRelease: by id and by fingerprint, and what is not held is given back already.
func TestRelease(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1})
	byID := fmt.Sprintf(`"device":%q`, device.ID(o.id, fingerprint("A")))
	byFingerprint := fmt.Sprintf(`"fingerprint":%q`, fingerprint("A"))
	o.release("", byID) // when none was ever taken
	for _, members := range []string{byID, byFingerprint, byID + `,"fingerprint":"x"`} {
		o.want("", "A")
		o.release("", members)
		if got := o.holders(); got != "" {
			t.Errorf("%s: %q hold seats", members, got)
		}
		o.release("", members)
	}
	o.want("", "B")
	for members, want := range map[string]string{
		"": "FINGERPRINT_REQUIRED", `"fingerprint":"short"`: "INVALID_FINGERPRINT",
		`"device":7`: "BAD_LICENSE_SERVER_REQUEST", `"fingerprint":7`: "BAD_LICENSE_SERVER_REQUEST",
		`"device":null`: "FINGERPRINT_REQUIRED", `"device":"no id"`: "", byID: "",
	} {
		o.release(want, members)
	}
	if got := o.holders(); got != "B" {
		t.Errorf("%q hold seats", got)
	}
	_, plain := o.issue(license.Draft{})
	if s := o.post("/release-device", plain, byID); s.status != http.StatusNoContent {
		t.Errorf("without devices: %d %s", s.status, s.text)
	}
	_, other := o.issue(license.Draft{MaxDevices: 1})
	o.post("/release-device", other, fmt.Sprintf(`"device":%q`, device.ID(o.id, fingerprint("B"))))
	if got := o.holders(); got != "B" {
		t.Error("another license's key gave the seat back")
	}
}

// TestReleaseLimit: at most max(3, maxdevices) tokens of devices that were given back may be valid at a time.
func TestReleaseLimit(t *testing.T) {
	for most, limit := range map[int]int{1: 3, 3: 3, 4: 4} {
		o := newOffice(t, license.Draft{MaxDevices: most, LeaseMinutes: 60})
		for n := range limit {
			name := fmt.Sprint(n)
			o.want("", name)
			o.release("", fmt.Sprintf(`"fingerprint":%q`, fingerprint(name)))
			o.now = o.now.Add(time.Second)
		}
		o.want("", "A")
		const members = `"fingerprint":"computer of A"`
		o.release("RELEASE_LIMIT_REACHED", members)
		if got := o.holders(); got != "A" {
			t.Errorf("%d: after a refusal %q hold seats", most, got)
		}
		o.now = licensetest.Now.Add(time.Hour - time.Nanosecond)
		o.release("RELEASE_LIMIT_REACHED", members)
		o.now = licensetest.Now.Add(time.Hour) // the first token expires
		o.release("", members)
		if got := o.holders(); got != "" {
			t.Errorf("%d: %q hold seats", most, got)
		}
	}
}

// TestReleaseConflict: where others change the seats meanwhile, they are read again.
func TestReleaseConflict(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 2})
	o.want("", "A")
	o.want("", "B")
	o.devices.meanwhile = func() { o.release("", `"fingerprint":"computer of B"`) }
	o.release("", `"fingerprint":"computer of A"`)
	if got := o.holders(); got != "" {
		t.Errorf("%q hold seats", got)
	}
	o.want("", "A")
	o.devices.failWrite = device.ErrConflict
	o.release(internalError, `"fingerprint":"computer of A"`)
}

// TestSeatMetrics: what became of a device without a seat is counted, each once.
func TestSeatMetrics(t *testing.T) {
	var log bytes.Buffer
	o := newOffice(t, license.Draft{MaxDevices: 1, LeaseMinutes: 60})
	o.v.Log = telemetry.NewLogger(&log)
	for _, step := range []struct {
		name, code string
		after      time.Duration
		counted    string
	}{
		{"A", "", 0, telemetry.SeatsAcquiredKey},
		{"A", "", 0, ""},
		{"A", "", 30 * time.Minute, ""},
		{"B", limitReached, 0, telemetry.SeatsRefusedKey},
		{"B", "", 66 * time.Minute, telemetry.SeatsTakenOverKey},
	} {
		log.Reset()
		o.now = o.now.Add(step.after)
		o.want(step.code, step.name)
		var record map[string]any
		if err := json.Unmarshal(log.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			telemetry.SeatsAcquiredKey, telemetry.SeatsTakenOverKey, telemetry.SeatsRefusedKey,
		} {
			var want any
			if name == step.counted {
				want = 1.0
			}
			if record[name] != want {
				t.Errorf("%s after %v: %s is %v, want %v", step.name, step.after, name, record[name], want)
			}
		}
	}
}

// TestFingerprintIsNowhere: neither in what is stored nor in a response. TestMain watches the log.
func TestFingerprintIsNowhere(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 1})
	shared := &sharedSignatures{licenses: o.licenses, devices: o.devices, kept: map[string]token.Signature{}}
	o.v = instance(o.v, shared)
	const members = `"fingerprint":"` + secretFingerprint + `","devicename":"front desk"`
	for _, s := range []said{
		o.ask(members), o.want(limitReached, "A"), o.post("/list-devices", o.key, members),
		o.post("/release-device", o.key, members),
	} {
		if s.status == http.StatusInternalServerError || strings.Contains(s.text, secretFingerprint) {
			t.Errorf("got %d %s", s.status, s.text)
		}
	}
	o.ask(members)
	for key := range shared.kept {
		if strings.Contains(key, secretFingerprint) {
			t.Errorf("a signature is kept as %s", key)
		}
	}
	found := false
	err := filepath.WalkDir(o.folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(secretFingerprint)) {
			t.Errorf("%s holds the fingerprint", path)
		}
		found = found || bytes.Contains(text, []byte("front desk"))
		return err
	})
	if err != nil || !found {
		t.Errorf("%v; the device's name was found: %v", err, found)
	}
}

// TestErasedDevices: no name of a device is stored for a license that was erased, and one that came late goes. Seats
// and tokens are as before.
func TestErasedDevices(t *testing.T) {
	o := newOffice(t, license.Draft{MaxDevices: 2})
	o.want("", "Anna")
	o.change(func(l license.License, c license.Change) (license.License, error) {
		c.Reason = "asked by letter"
		return l.Erase(c, "mark-1")
	})
	o.want("", "Bert")
	if got := o.holders(); got != "Anna " { // whose name somebody has yet to take out
		t.Errorf("the devices are %q", got)
	}
	o.now = o.now.AddDate(0, 0, 60)
	o.want("", "Anna")
	o.want("", "Bert")
	if got := o.holders(); got != " " {
		t.Errorf("the devices are %q", got)
	}
	o.want("DEVICE_LIMIT_REACHED", "Carla")
}
