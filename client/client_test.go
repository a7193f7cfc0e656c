package licensing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const testLicense = "0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6e"

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func testLicenseKey(licenseID string) string {
	claims := jwt.MapClaims{"licenseid": licenseID}
	text, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte("x"))
	return text
}

// signedToken returns a token that is good for so long.
func signedToken(now time.Time, life time.Duration) string {
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"sub": tokenSubject, "iat": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(life).Unix(),
		"expirationdate": now.AddDate(10, 0, 0).Unix(), "licenseid": testLicense, "customername": "Example Ltd",
		"services": `[{"serviceName":"Reports","serviceValue":"reports"}]`, "appurls": `[]`,
	})
	public, _ := newPublicKey("", &testKey().PublicKey)
	t.Header["kid"] = public.kid
	text, err := t.SignedString(testKey())
	if err != nil {
		panic(err)
	}
	return text
}

func keySetText() []byte {
	public, _ := newPublicKey("", &testKey().PublicKey)
	text, _ := json.Marshal(map[string]any{"keys": []jsonWebKey{writeKey(public)}})
	return text
}

// fakeService answers without a network. It is an http.RoundTripper.
type fakeService struct {
	mu     sync.Mutex
	answer func(path string, q question) (status int, body string)
	header http.Header
	asked  []string
	at     []time.Time
}

func (f *fakeService) RoundTrip(r *http.Request) (*http.Response, error) {
	var q question
	if body, _ := io.ReadAll(r.Body); len(body) > 0 {
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.at = append(f.asked, r.URL.Path), append(f.at, time.Now())
	status, body := f.answer(r.URL.Path, q)
	if status == 0 {
		return nil, errors.New("there is no network")
	}
	header := f.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func (f *fakeService) says(answer func(path string, q question) (int, string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fakeService) times() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

func grants(string, question) (int, string) {
	return 200, fmt.Sprintf(`{"message":%q}`, signedToken(time.Now(), 90*24*time.Hour))
}

func isUnreachable(string, question) (int, string) { return 0, "" }

func refuses(code Code) func(string, question) (int, string) {
	return func(string, question) (int, string) { return 400, fmt.Sprintf(`{"error":%q}`, code) }
}

func newFake() *fakeService { return &fakeService{answer: grants} }

func configOf(f *fakeService, store Store) Config {
	return Config{
		URL: "https://licenses.example.com", Key: testLicenseKey(testLicense), Trusted: keySetText(),
		Service: "reports", Store: store, HTTP: &http.Client{Transport: f},
	}
}

func opened(t *testing.T, c Config) *Client {
	t.Helper()
	client, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func closed(t *testing.T, c *Client) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func wantStatus(t *testing.T, s State, want Status) {
	t.Helper()
	if s.Status != want {
		t.Errorf("the status is %s %s, %v; want %s", s.Status, s.Reason, s.Err, want)
	}
}

// TestYear: a product that runs for a year asks once a day, goes on without network, and stops at a no.
func TestYear(t *testing.T) {
	testKey() // outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		f, store := newFake(), Memory()
		c := opened(t, configOf(f, store))
		wantStatus(t, c.State(), Active)
		time.Sleep(30 * 24 * time.Hour)
		if times := f.times(); times < 27 || times > 34 {
			t.Errorf("asked %d times in 30 days", times)
		}
		f.says(isUnreachable)
		time.Sleep(60 * 24 * time.Hour)
		wantStatus(t, c.State(), Offline)
		if err := c.Check(); err != nil {
			t.Error(err)
		}
		time.Sleep(31 * 24 * time.Hour)
		wantStatus(t, c.State(), OfflineTooLong)
		if err := c.Check(); !errors.Is(err, ErrOffline) {
			t.Errorf("got %v", err)
		}
		f.says(grants)
		time.Sleep(6 * time.Hour) // the longest pause
		wantStatus(t, c.State(), Active)
		f.says(refuses(LicenseRevoked))
		time.Sleep(27 * time.Hour)
		var refusal *Refusal
		if err := c.Check(); !errors.As(err, &refusal) || refusal.Code != LicenseRevoked {
			t.Errorf("got %v", err)
		}
		closed(t, c)
		f.says(isUnreachable)
		c = opened(t, configOf(f, store))
		wantStatus(t, c.State(), Refused)
		f.says(grants)
		time.Sleep(2 * time.Hour)
		wantStatus(t, c.State(), Active)
		closed(t, c)
	})
}

// TestBackOff: pauses grow and are never below two seconds.
func TestBackOff(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.says(isUnreachable)
		c := opened(t, configOf(f, Memory()))
		time.Sleep(48 * time.Hour)
		closed(t, c)
		for i := 1; i < len(f.at); i++ {
			if pause := f.at[i].Sub(f.at[i-1]); pause < minPause || pause > min(maxPause, minPause<<min(i, 14)) {
				t.Errorf("pause %d is %s", i, pause)
			}
		}
		if len(f.at) < 20 || len(f.at) > 80 {
			t.Errorf("asked %d times in two days", len(f.at))
		}
	})
}

func TestOpen(t *testing.T) {
	testKey()
	t.Run("a stored token is Active at once, without network", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, store := newFake(), Memory()
			closed(t, opened(t, configOf(f, store)))
			f.says(isUnreachable)
			asked := f.times()
			c := opened(t, configOf(f, store))
			wantStatus(t, c.State(), Active)
			if f.times() != asked {
				t.Error("the service was asked first")
			}
			closed(t, c)
		})
	})
	t.Run("no network and nothing stored", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.says(isUnreachable)
			c := opened(t, configOf(f, Memory()))
			if err := c.Check(); !errors.Is(err, ErrUnlicensed) || !strings.Contains(err.Error(), "no network") {
				t.Errorf("got %v", err)
			}
			closed(t, c)
		})
	})
	t.Run("waits as long as its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c, err := Open(ctx, configOf(newFake(), Memory()))
		if err != nil {
			t.Fatal(err)
		}
		closed(t, c)
	})
	t.Run("all that is wrong with the configuration", func(t *testing.T) {
		_, err := Open(t.Context(), Config{
			URL: "licenses", Fingerprint: "short", DeviceName: strings.Repeat("x", 33), Skew: -1,
		})
		for _, want := range []string{"URL", "TrustOnFirstUse", "Store", "Fingerprint", "DeviceName", "Skew"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not name %s", err, want)
			}
		}
		_, err = Open(t.Context(), Config{URL: "https://x.example", Trusted: []byte("no key"), Store: Memory()})
		if err == nil || !strings.Contains(err.Error(), "Trusted") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the store fails", func(t *testing.T) {
		c := opened(t, configOf(newFake(), brokenStore{}))
		wantStatus(t, c.State(), Active)
		if err := c.Close(); err == nil {
			t.Error("Close hides that the clock mark is not saved")
		}
	})
}

type brokenStore struct{}

func (brokenStore) Load(string) ([]byte, error) { return nil, errors.New("the disk is broken") }
func (brokenStore) Save(string, []byte) error   { return errors.New("the disk is full") }

// TestSetKey: no key asks nobody, and another key starts anew.
func TestSetKey(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		config := configOf(f, Memory())
		key := config.Key
		config.Key = ""
		c := opened(t, config)
		time.Sleep(48 * time.Hour)
		wantStatus(t, c.State(), Unknown)
		if f.times() != 0 {
			t.Error("the service was asked without a key")
		}
		wantStatus(t, c.SetKey(t.Context(), " "+key[:30]+"\n"+key[30:]), Active)
		f.says(isUnreachable)
		wantStatus(t, c.SetKey(t.Context(), testLicenseKey("another")), Unknown)
		wantStatus(t, c.SetKey(t.Context(), key), Offline) // nothing was answered meanwhile
		wantStatus(t, c.SetKey(t.Context(), ""), Unknown)
		closed(t, c)
	})
}

// fullStore keeps what it had when the disk became full.
type fullStore struct {
	Store
	isFull bool
}

func (s *fullStore) Save(name string, document []byte) error {
	if s.isFull {
		return errors.New("the disk is full")
	}
	return s.Store.Save(name, document)
}

// TestSetSameKey: what was said of the key stays known, also where it could not be stored.
func TestSetSameKey(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		f, store := newFake(), &fullStore{Store: Memory()}
		config := configOf(f, store)
		c := opened(t, config)
		store.isFull = true
		f.says(refuses(LicenseRevoked))
		wantStatus(t, c.Refresh(t.Context()), Refused)
		f.says(isUnreachable)
		wantStatus(t, c.SetKey(t.Context(), config.Key), Refused)
		_ = c.Close() // cannot save the clock mark
	})
}

// TestChanges: the channel has the latest state, holds up nobody, and ends.
func TestChanges(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		c := opened(t, configOf(f, Memory()))
		wantStatus(t, <-c.Changes(), Active)
		f.says(isUnreachable)
		time.Sleep(40 * 24 * time.Hour)
		wantStatus(t, <-c.Changes(), Offline)
		time.Sleep(50 * 24 * time.Hour)
		wantStatus(t, <-c.Changes(), OfflineTooLong) // by time alone
		f.says(grants)
		c.Refresh(t.Context())
		f.says(refuses(LicenseSuspended))
		c.Refresh(t.Context())
		wantStatus(t, <-c.Changes(), Refused) // the state before was not read
		closed(t, c)
		if _, open := <-c.Changes(); open {
			t.Error("the channel is open after Close")
		}
	})
}

// TestShared: two processes with one store ask once a day together, and one hears of what the other was told.
func TestShared(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		f, store := newFake(), Dir(t.TempDir())
		a, b := opened(t, configOf(f, store)), opened(t, configOf(f, store))
		time.Sleep(20 * 24 * time.Hour)
		if times := f.times(); times > 30 {
			t.Errorf("asked %d times in 20 days", times)
		}
		f.says(refuses(LicenseRevoked))
		a.Refresh(t.Context())
		f.says(isUnreachable)
		time.Sleep(lookAround + time.Second)
		wantStatus(t, a.State(), Refused)
		wantStatus(t, b.State(), Refused)
		closed(t, a)
		closed(t, b)
		wantStatus(t, opened(t, configOf(f, store)).closedState(t), Refused)
	})
}

// TestLeftToOthers: a token that this process cannot read neither replaces its own nor is replaced by it.
func TestLeftToOthers(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		f, store := newFake(), Memory()
		config := configOf(f, store)
		c := opened(t, config)
		time.Sleep(time.Minute)
		const other = "a token of a key that a later version brings"
		later := record{Key: keyHash(config.Key), Asked: time.Now(), Checked: time.Now(), Token: other}
		if err := store.Save(licenseDocument, later.write()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookAround + time.Second)
		wantStatus(t, c.State(), Active)
		if f.times() != 1 {
			t.Errorf("asked %d times", f.times())
		}
		c.save(c.currentRules()) // as for an answer that was asked for before
		if stored := c.load(); stored.Token != other {
			t.Errorf("it was overwritten: %+v", stored)
		}
		later = record{Key: later.Key, Asked: time.Now(), Checked: time.Now(), Refused: LicenseRevoked}
		if err := store.Save(licenseDocument, later.write()); err != nil {
			t.Fatal(err)
		}
		f.says(isUnreachable)
		time.Sleep(lookAround + time.Second)
		wantStatus(t, c.State(), Refused)
		closed(t, c)
	})
}

// TestSavedAgain: what the store does not have is saved at the next look.
func TestSavedAgain(t *testing.T) {
	testKey()
	for name, lose := range map[string]func(store *fullStore, refuse func()){
		"the disk was full": func(store *fullStore, refuse func()) {
			store.isFull = true
			refuse()
			store.isFull = false
		},
		"the disk was full, and there is nothing stored": func(store *fullStore, refuse func()) {
			store.isFull = true
			refuse()
			store.isFull = false
			_ = store.Save(licenseDocument, nil) // someone has removed it
		},
		"an older grant of another process came after it": func(store *fullStore, refuse func()) {
			older, _ := store.Load(licenseDocument)
			refuse()
			_ = store.Save(licenseDocument, older)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, store := newFake(), &fullStore{Store: Memory()}
				c := opened(t, configOf(f, store))
				time.Sleep(time.Minute)
				lose(store, func() {
					f.says(refuses(LicenseRevoked))
					wantStatus(t, c.Refresh(t.Context()), Refused)
				})
				f.says(isUnreachable)
				if c.load().Refused != "" {
					t.Error("it is stored at once")
				}
				time.Sleep(lookAround + time.Second)
				if stored := c.load(); stored.Refused != LicenseRevoked {
					t.Errorf("stored is %+v", stored)
				}
				closed(t, c)
			})
		})
	}
	t.Run("the state of another license key is left alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := Memory()
			c := opened(t, configOf(newFake(), store))
			other := record{Key: keyHash("another"), Refused: LicenseRevoked}
			if err := store.Save(licenseDocument, other.write()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(lookAround + time.Second)
			if stored := c.load(); stored.Key != other.Key {
				t.Errorf("stored is %+v", stored)
			}
			closed(t, c)
		})
	})
}

// TestGivenBack: no process takes the seat again that one has given back. A start does.
func TestGivenBack(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		f, store := newFake(), Memory()
		config := configOf(f, store)
		config.Fingerprint = "this computer"
		a, b := opened(t, config), opened(t, config)
		time.Sleep(time.Minute)
		f.says(func(string, question) (int, string) { return 204, "" })
		if err := a.Release(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		asked := f.times()
		f.says(grants)
		time.Sleep(48 * time.Hour)
		for _, c := range []*Client{a, b} {
			if s := c.State(); s.Status != Unknown || !s.RetryAt.IsZero() {
				t.Errorf("got %+v", s)
			}
			closed(t, c)
		}
		if f.times() != asked {
			t.Errorf("asked %d times more", f.times()-asked)
		}
		wantStatus(t, opened(t, config).closedState(t), Active)
	})
}

// TestReleaseRefused: to give a seat back ends no refusal, so that an older license file stays refused.
func TestReleaseRefused(t *testing.T) {
	testKey()
	synctest.Test(t, func(t *testing.T) {
		f, store := newFake(), Memory()
		config := configOf(f, store)
		config.Fingerprint = "this computer"
		c := opened(t, config)
		file := filepath.Join(t.TempDir(), "license.lic")
		if err := os.WriteFile(file, []byte(signedToken(time.Now(), 90*24*time.Hour)), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		f.says(refuses(LicenseRevoked))
		wantStatus(t, c.Refresh(t.Context()), Refused)
		f.says(func(string, question) (int, string) { return 204, "" })
		if err := c.Release(t.Context(), ""); err != nil {
			t.Error(err)
		}
		if s := c.State(); s.Reason != LicenseRevoked || !s.RetryAt.IsZero() {
			t.Errorf("got %+v", s)
		}
		var refusal *Refusal
		if s, err := c.ImportFile(file); !errors.As(err, &refusal) || s.Status != Refused {
			t.Errorf("an old file: %s, %v", s.Status, err)
		}
		closed(t, c)
		f.says(isUnreachable)
		wantStatus(t, opened(t, config).closedState(t), Refused)
	})
}

func (c *Client) closedState(t *testing.T) State {
	closed(t, c)
	return c.State()
}

// TestClose: nothing runs after it, whatever ran before.
func TestClose(t *testing.T) {
	testKey()
	before := runtime.NumGoroutine()
	f := newFake()
	c := opened(t, configOf(f, Memory()))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 20 {
				c.Refresh(t.Context())
				c.State()
				c.Check()
				c.SetKey(t.Context(), testLicenseKey(testLicense))
			}
		})
	}
	wait.Go(func() {
		for range c.Changes() {
		}
	})
	time.Sleep(20 * time.Millisecond)
	for range 3 {
		wait.Go(func() { c.Close() })
	}
	wait.Wait()
	closed(t, c)
	asked := f.times()
	c.Refresh(t.Context())
	if err := c.Release(t.Context(), ""); err == nil {
		t.Error("Release works after Close")
	}
	if _, err := c.ImportFile("none"); err == nil {
		t.Error("ImportFile works after Close")
	}
	if f.times() != asked {
		t.Error("the service was asked after Close")
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, and %d before", runtime.NumGoroutine(), before)
}

// TestRedirect: the license key goes to no other address.
func TestRedirect(t *testing.T) {
	testKey()
	f := newFake()
	f.header = http.Header{"Location": {"https://portal.example/verify-license"}}
	f.says(func(string, question) (int, string) { return 307, "" })
	c := opened(t, configOf(f, Memory()))
	wantStatus(t, c.State(), Unknown)
	if f.times() != 1 {
		t.Errorf("asked %v", f.asked)
	}
	closed(t, c)
}

func TestDir(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	store := Dir(folder)
	if document, err := store.Load("license"); document != nil || err != nil {
		t.Errorf("got %q, %v", document, err)
	}
	var wait sync.WaitGroup
	texts := []string{strings.Repeat("a", 10_000), strings.Repeat("b", 20_000)}
	for _, text := range texts {
		wait.Go(func() {
			for range 20 {
				if err := store.Save("license", []byte(text)); err != nil {
					t.Error(err)
				}
				if got, err := store.Load("license"); err != nil || !slices.Contains(texts, string(got)) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wait.Wait()
	ago := time.Now().Add(-2 * time.Hour) // a process has crashed then
	crashed := filepath.Join(folder, "license.1.tmp")
	if err := errors.Join(os.WriteFile(crashed, nil, 0o600), os.Chtimes(crashed, ago, ago)); err != nil {
		t.Fatal(err)
	}
	if err := store.Save("license", []byte("x")); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	file, errFile := os.Stat(filepath.Join(folder, "license.state"))
	parent, errParent := os.Stat(folder)
	if errFile != nil || errParent != nil || file.Mode().Perm() != 0o600 || parent.Mode().Perm() != 0o700 {
		t.Errorf("others may read it: %v, %v", file, parent)
	}
}

func TestImportFile(t *testing.T) {
	testKey()
	f := newFake()
	f.says(isUnreachable)
	c := opened(t, configOf(f, Memory()))
	defer closed(t, c)
	file := filepath.Join(t.TempDir(), "license.lic")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := signedToken(time.Now().Add(-time.Hour), 48*time.Hour)
	for name, text := range map[string]string{
		"empty": "", "expired": signedToken(time.Now().Add(-2*time.Hour), time.Hour),
		"large": strings.Repeat("x", maxLicenseFile+1), "changed": old[:len(old)-8] + "AAAAAAAA",
	} {
		write(text)
		if s, err := c.ImportFile(file); err == nil || s.Status != Unknown {
			t.Errorf("%s: got %s, %v", name, s.Status, err)
		}
	}
	write(old + "\r\n")
	if s, err := c.ImportFile(file); err != nil || s.Status != Active {
		t.Errorf("got %s, %v", s.Status, err)
	}
	f.says(refuses(LicenseRevoked))
	c.Refresh(t.Context())
	var refusal *Refusal
	if s, err := c.ImportFile(file); !errors.As(err, &refusal) || s.Status != Refused {
		t.Errorf("an old file after a refusal: %s, %v", s.Status, err)
	}
}

func TestDevices(t *testing.T) {
	testKey()
	const fingerprint = "this computer"
	f := newFake()
	config := configOf(f, Memory())
	config.Fingerprint = fingerprint
	c := opened(t, config)
	defer closed(t, c)
	id := deviceID(testLicense, fingerprint)
	f.says(func(path string, q question) (int, string) {
		switch {
		case path == "/list-devices":
			return 200, `{"limit":2,"devices":[{"id":"other","name":"front desk","since":"2027-01-01T00:00:00.000Z",` +
				`"until":"2027-02-01T00:00:00.000Z"},{"id":"` + id + `","name":"","since":"2027-01-01T00:00:00.000Z",` +
				`"until":"2027-02-01T00:00:00.000Z"}]}`
		case path == "/release-device" && q.Device == "other":
			return 400, `{"error":"RELEASE_LIMIT_REACHED"}`
		case path == "/release-device" && q.Fingerprint == fingerprint:
			return 204, ""
		}
		return 500, `{}`
	})
	devices, err := c.Devices(t.Context())
	if err != nil || devices.Limit != 2 || len(devices.Devices) != 2 ||
		devices.Devices[0].This || !devices.Devices[1].This {
		t.Errorf("got %+v, %v", devices, err)
	}
	var refusal *Refusal
	if err := c.Release(t.Context(), "other"); !errors.As(err, &refusal) {
		t.Errorf("got %v", err)
	}
	wantStatus(t, c.State(), Active)
	if err := c.Release(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if s := c.State(); s.Status != Unknown || !s.RetryAt.IsZero() {
		t.Errorf("after its seat was given back: %+v", s)
	}
}

func TestFingerprint(t *testing.T) {
	of := fingerprintFrom("machine", "app")
	if !isFingerprint(of) || of == fingerprintFrom("machine", "other") || of == fingerprintFrom("other", "app") {
		t.Errorf("got %s", of)
	}
	if fingerprintFrom("", "app") != "" {
		t.Error("no id has a fingerprint")
	}
	folder := filepath.Join(t.TempDir(), "new")
	ids := make(chan string, 8)
	for range cap(ids) {
		go func() { ids <- installationIDIn(folder, "app") }()
	}
	id := <-ids
	for range cap(ids) - 1 {
		if other := <-ids; other != id || id == "" {
			t.Errorf("two processes have %q and %q", id, other)
		}
	}
	if installationIDIn(folder, "other") == id {
		t.Error("two products share an id")
	}
	if a, b := FingerprintOf("app"), FingerprintOf("app"); a != b {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestReadPEM(t *testing.T) {
	public, _ := newPublicKey("", &testKey().PublicKey)
	set, err := readKeys(keySetText())
	if err != nil || len(set) != 1 || set[0].kid != public.kid {
		t.Errorf("got %v, %v", set, err)
	}
	digest := sha256.Sum256([]byte("x"))
	signature, _ := rsa.SignPKCS1v15(nil, testKey(), crypto.SHA256, digest[:])
	if rsa.VerifyPKCS1v15(set[0].key, crypto.SHA256, digest[:], signature) != nil {
		t.Error("another key was read")
	}
}

// TestReadKeys: editors and shells write what a product builds in their own way.
func TestReadKeys(t *testing.T) {
	pemOf := func(key any) string {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, text := string(keySetText()), pemOf(&testKey().PublicKey)
	foreign := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + pemOf(&curve.PublicKey)
	utf16 := func(mark string) string { return mark + strings.ReplaceAll(set, "", "\x00")[1:] }
	for _, c := range []struct{ name, text, problem string }{
		{"a set", set, ""},
		{"a set after a byte order mark", "\ufeff\r\n" + set, ""},
		{"PEM", text, ""},
		{"PEM after a byte order mark", "\ufeff" + text, ""},
		{"PEM among other blocks", foreign + text, ""},
		{"PEM of other blocks only", foreign, errNoKeys.Error()},
		{"UTF-16, little endian", utf16("\xff\xfe"), "UTF-16"},
		{"UTF-16, big endian", "\xfe\xff\x00" + utf16(""), "UTF-16"},
		{"UTF-16 without a byte order mark", utf16(""), "UTF-16"},
		{"empty", "", errNoKeys.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := readKeys([]byte(c.text))
			switch {
			case c.problem == "" && (err != nil || len(keys) != 1):
				t.Errorf("got %d keys, %v", len(keys), err)
			case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
				t.Errorf("got %v, want %s", err, c.problem)
			}
		})
	}
}

// FuzzStored: whatever a store holds, a start makes something of it.
func FuzzStored(f *testing.F) {
	f.Add([]byte(""))
	f.Add(record{Key: "x", Token: "y"}.write())
	f.Fuzz(func(t *testing.T, document []byte) {
		stored, _ := readStored(document)
		rules{key: "x"}.started(stored, readMark(document), time.Now(), 0.5)
	})
}

// FuzzAllowsHost: no application URL and no host makes it panic.
func FuzzAllowsHost(f *testing.F) {
	f.Add("https://app.example.com:80/x", "app.example.com")
	f.Add(`re:^a$`, "[::1]:80")
	f.Fuzz(func(t *testing.T, url, host string) { License{AppURLs: []string{url}}.AllowsHost(host) })
}
