package main

import (
	"bytes"
	"encoding/csv"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/embedded"
	"openlicenser/shared/license/licensetest"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
)

// TestKeys goes the way of a secret that leaked, beside a server that is running: rotate, list, send other keys, retire.
func TestKeys(t *testing.T) {
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	leaked, err := folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := licensetest.Issue(t)
	if err := folder.Licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	oldKey, err := token.SignLicenseKey(leaked.Current, "Test Issuer", l)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(serveCommand{Issuer: "Test Issuer"}.gateway(folder, checkpoints{}, time.Hour, "test", telemetry.NewLogger(io.Discard)))
	defer server.Close()

	var out bytes.Buffer
	place := ringPlace{Data: path, out: &out}
	if err := (rotateKeysCommand{ringPlace: place}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 4 || !strings.Contains(lines[1], "accepted, signs from") ||
		!strings.HasPrefix(lines[2], leaked.Current.KeyID()+"  signs ") || strings.Contains(out.String(), string(leaked.Current)) {
		t.Errorf("printed\n%s", &out)
	}

	date := time.Now().UTC().Add(time.Hour).Truncate(time.Millisecond)
	if err := (retireKeyCommand{KeyID: leaked.Current.KeyID(), From: date.Format(time.RFC3339Nano), ringPlace: place}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	affected := affectedKeysCommand{KeyID: leaked.Current.KeyID(), LicenseKeys: true, vendorAPI: vendorAPI{server.URL}, ringPlace: place}
	if err := affected.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != l.ID || rows[1][3] != l.CustomerName {
		t.Fatalf("listed %v, %v", rows, err)
	}
	newKey := rows[1][5]

	ring, err := folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key string
		at  time.Time
		ok  bool
	}{
		"the old key before the date": {oldKey, date.Add(-time.Millisecond), true},
		"the old key from the date":   {oldKey, date, false},
		"the new key":                 {newKey, date, true},
	} {
		if id, err := token.ReadLicenseKey(ring, test.key, test.at); (err == nil) != test.ok || test.ok && id != l.ID {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

// TestKeysRefused: what cannot be done changes nothing.
func TestKeysRefused(t *testing.T) {
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	before, err := embedded.ReadRing(path)
	if err != nil {
		t.Fatal(err)
	}
	place := ringPlace{Data: path, out: io.Discard}
	for name, command := range map[string]func(*testing.T) error{
		"the newest secret": func(t *testing.T) error {
			return retireKeyCommand{KeyID: before.Current.KeyID(), From: "2030-01-01", ringPlace: place}.Run(t.Context())
		},
		"an unknown secret": func(t *testing.T) error {
			return retireKeyCommand{KeyID: "x", From: "2030-01-01", ringPlace: place}.Run(t.Context())
		},
		"no date": func(t *testing.T) error {
			return retireKeyCommand{KeyID: before.Current.KeyID(), From: "soon", ringPlace: place}.Run(t.Context())
		},
		"licenses of an unknown secret": func(t *testing.T) error {
			return affectedKeysCommand{KeyID: "x", vendorAPI: vendorAPI{"http://127.0.0.1:1"}, ringPlace: place}.Run(t.Context())
		},
		"no API": func(t *testing.T) error {
			return affectedKeysCommand{KeyID: before.Current.KeyID(), vendorAPI: vendorAPI{"localhost"}, ringPlace: place}.Run(t.Context())
		},
		"another folder": func(t *testing.T) error {
			return rotateKeysCommand{ringPlace: ringPlace{Data: t.TempDir(), out: io.Discard}}.Run(t.Context())
		},
	} {
		if err := command(t); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if after, err := embedded.ReadRing(path); err != nil || after.Current != before.Current || len(after.Earlier) != 0 {
		t.Errorf("the secret was changed, %v", err)
	}
}
