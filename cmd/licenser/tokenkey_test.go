package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/device"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

// publishedKids asks a server for the ids of its token keys.
func publishedKids(t *testing.T, url string) (kids []string) {
	t.Helper()
	response, err := http.Get(url + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set token.KeySet
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		kids = append(kids, key.KeyID)
	}
	return kids
}

func wantRefused(t *testing.T, err error, text string) {
	t.Helper()
	var refused *token.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, text) {
		t.Errorf("got %v, want a refusal that says %q", err, text)
	}
}

// TestTokenKey goes through the steps beside a server that is running, which notices each.
func TestTokenKey(t *testing.T) {
	s := newAuditedServer(t)
	later := time.Duration(0)
	var out bytes.Buffer
	place, screen := keyStoreFlags{Data: s.serve.Data}, people(&out, &out)
	screen.Now = func() time.Time { return time.Now().Add(later) }
	strand := false
	retire := func() error {
		return retireTokenKeyCommand{
			TokenLifetimeDays: 90, StrandDevices: strand, vendorAPI: vendorAPI{API: s.URL}, keyStoreFlags: place,
		}.Run(t.Context(), screen)
	}
	promote := promoteTokenKeyCommand{Lead: token.DefaultLead, keyStoreFlags: place}
	wantKids := func(want ...string) {
		t.Helper()
		if got := publishedKids(t, s.URL); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("published are %v, want %v", got, want)
		}
	}
	first := publishedKids(t, s.URL)[0]
	if err := (prepareTokenKeyCommand{place}).Run(t.Context(), screen); err != nil {
		t.Fatal(err)
	}
	kids := publishedKids(t, s.URL)
	if len(kids) != 2 || kids[0] != first {
		t.Fatalf("published are %v", kids)
	}
	second := kids[1]
	if lines := strings.Split(out.String(), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[1], first+"  signs ") ||
		!strings.HasPrefix(lines[2], second+"  published, does not sign") {
		t.Errorf("printed\n%s", &out)
	}
	published, err := embedded.KeyStore{Folder: place.Data}.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	since := license.FormatDate(published[token.Next].Since)
	for format, want := range map[terminal.Format]string{
		terminal.Text: second + "\tnext\t" + since + "\t",
		terminal.CSV:  terminal.GuardCell(second) + ",next," + since + ",",
		terminal.JSON: `{"kid":"` + second + `","state":"next","since":"` + since + `","key":"`,
	} {
		got := written(t, showTokenKeysCommand{place}, format)
		if lines := strings.Split(got, "\n"); len(lines) < 3 || !strings.HasPrefix(lines[2], want) ||
			strings.Contains(got, "PRIVATE") {
			t.Errorf("as %s: got\n%swant\n%s", format, got, want)
		}
	}
	wantExported(t, place, first, second)
	wantRefused(t, promote.Run(t.Context(), screen), "products may not know the successor yet")
	wantKids(first, second)
	later = token.DefaultLead
	if err := promote.Run(t.Context(), screen); err != nil {
		t.Fatal(err)
	}
	wantKids(second, first)

	wantRefused(t, retire(), "tokens of the key")
	later += 91 * 24 * time.Hour
	l := pin(t, s, licensetest.Issue(t), first)
	wantRefused(t, retire(), l.ID)
	l = pin(t, s, l, "")
	later = 30 * 24 * time.Hour
	wantPins := func(since time.Duration, want ...string) {
		t.Helper()
		api, err := vendorAPI{API: s.URL}.client(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (pins{api}).find(t.Context(), first, time.Now().Add(since)); err != nil ||
			strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("pinned are %v, %v; want %v", got, err, want)
		}
	}
	wantPins(-time.Hour, l.ID) // tokens of it may still be valid
	wantPins(time.Hour)
	time.Sleep(1300 * time.Millisecond) // streams tell the second
	renamed := time.Now().Add(-200 * time.Millisecond)
	rename(t, s, l)
	wantPins(time.Until(renamed)) // it was changed since, and not freed
	wantPins(-time.Hour, l.ID)
	wantKids(second, first)
	later = 200 * 24 * time.Hour
	lease(t, s, time.Now().Add(-time.Hour), 365)
	lease(t, s, time.Now().AddDate(0, 0, 199), 365) // taken since: its token is of the other key
	wantRefused(t, retire(), "devices may hold tokens of the key")
	wantKids(second, first)
	later, strand = 200*24*time.Hour, true
	if err := retire(); err != nil {
		t.Fatal(err)
	}
	wantKids(second)
}

// wantExported wants products to get the keys, in both forms, and no private half.
func wantExported(t *testing.T, place keyStoreFlags, kids ...string) {
	t.Helper()
	var set token.KeySet
	text := written(t, exportTokenKeysCommand{keyStoreFlags: place}, terminal.Text)
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		t.Fatal(err)
	}
	rest := []byte(written(t, exportTokenKeysCommand{PEM: true, keyStoreFlags: place}, terminal.Text))
	if strings.Contains(text+string(rest), "PRIVATE") || strings.Contains(text, `"d"`) || len(set.Keys) != len(kids) {
		t.Errorf("exported\n%s%s", text, rest)
	}
	for i, kid := range kids {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatalf("there are %d keys in PEM", i)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		public, isRSA := parsed.(*rsa.PublicKey)
		if err != nil || !isRSA || token.KeyID(public) != kid || set.Keys[i].KeyID != kid {
			t.Errorf("key %d is %s, and in PEM %v, %v; want %s", i, set.Keys[i].KeyID, parsed, err, kid)
		}
	}
}

// lease issues a license for machines without a network, of which a device has taken a seat.
func lease(t *testing.T, s *auditedServer, since time.Time, days int) {
	t.Helper()
	l := licensetest.Issue(t)
	l.MaxDevices, l.MaxLeaseMinutes, l.SeatsEpoch = 1, days*24*60, 1
	if err := s.folder.Licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	seat := device.Seat{Until: since.AddDate(0, 0, days).Truncate(time.Second), Since: since.Truncate(time.Millisecond)}
	write := device.Write{Put: &device.Seats{
		Epoch: 1, Held: map[string]device.Seat{device.ID(l.ID, "computer"): seat}, Youngest: seat.Since,
	}}
	if err := s.folder.Devices.Write(t.Context(), l.ID, write); err != nil {
		t.Fatal(err)
	}
}

// pin creates the license or changes it, in the past of the commands' clock, and has the trail record it.
func pin(t *testing.T, s *auditedServer, l license.License, kid string) license.License {
	t.Helper()
	if _, err := s.folder.Licenses.Get(t.Context(), l.ID); err != nil {
		if err := s.folder.Licenses.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	change := licensetest.Change("pinned")
	change.At = time.Now()
	after, err := l.Patch(license.Patch{TokenKeyID: &kid}, change)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.folder.Licenses.Update(t.Context(), l, after); err != nil {
		t.Fatal(err)
	}
	s.record(t)
	return after
}

func rename(t *testing.T, s *auditedServer, l license.License) {
	t.Helper()
	name, change := "Renamed", licensetest.Change("renamed")
	change.At = time.Now()
	after, err := l.Patch(license.Patch{CustomerName: &name}, change)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.folder.Licenses.Update(t.Context(), l, after); err != nil {
		t.Fatal(err)
	}
	s.record(t)
}

// TestTokenKeyLocalCrash: what a crash between two files leaves publishes both keys, and the step completes it.
func TestTokenKeyLocalCrash(t *testing.T) {
	for name, done := range map[string]int{"after the first file": 1, "after the second": 2} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			folder, err := embedded.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			store := embedded.KeyStore{Folder: path}
			if err := store.Create(t.Context()); err != nil {
				t.Fatal(err)
			}
			before, err := store.Keys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			puts := []func() error{
				func() error { return store.Put(t.Context(), token.Previous, before[token.Current]) },
				func() error { return store.Put(t.Context(), token.Current, before[token.Next]) },
			}
			for _, put := range puts[:done] {
				if err := put(); err != nil {
					t.Fatal(err)
				}
			}
			if published, err := folder.SigningKey.Published(t.Context()); err != nil || len(published) != 2 {
				t.Errorf("%d keys are published, %v", len(published), err)
			}
			later := piped(io.Discard)
			later.Now = func() time.Time { return time.Now().Add(token.DefaultLead) }
			promote := promoteTokenKeyCommand{Lead: token.DefaultLead, keyStoreFlags: keyStoreFlags{Data: path}}
			if err := promote.Run(t.Context(), later); err != nil {
				t.Fatal(err)
			}
			after, err := store.Keys(t.Context())
			if err != nil || len(after) != 2 || after[token.Current].KeyID != before[token.Next].KeyID ||
				after[token.Previous].KeyID != before[token.Current].KeyID {
				t.Errorf("came from %v to %v, %v", before, after, err)
			}
			if info, err := os.Stat(filepath.Join(path, "token-key.pem")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("others may read the key: %v, %v", info.Mode(), err)
			}
		})
	}
}

// TestTokenKeyOnAWS: the steps reach KMS through the SDK.
func TestTokenKeyOnAWS(t *testing.T) {
	endpoint := lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"ListAliases": func(map[string]any) (int, any) {
			return http.StatusOK, map[string]any{
				"Aliases": []any{map[string]any{"AliasName": "alias/other", "TargetKeyId": "x", "CreationDate": 1.7e9}},
			}
		},
	})
	setAWS(t, endpoint.URL)
	for name, key := range map[string]string{
		"there is no alias/licenser": "alias/licenser", "is not an alias": "1234",
	} {
		err := showTokenKeysCommand{keyStoreFlags{Key: key}}.Run(t.Context(), piped(io.Discard))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want one that says %q", err, name)
		}
	}
}
