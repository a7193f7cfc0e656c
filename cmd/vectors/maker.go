package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"

	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// start is the moment at which most vectors take place.
var start = time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)

const (
	issuer        = "Open Licenser vectors"
	secret        = token.Secret("the secret of the vectors; it signs nothing else")
	licenseID     = "0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6e"
	otherLicense  = "0199d1a2-7c3e-7b5a-9d0e-3f2a1b4c5d6f"
	fingerprint   = "the fingerprint of this computer"
	otherComputer = "the fingerprint of another computer"
	service       = "reports"
	lifetime      = 90 * 24 * time.Hour
)

//go:embed testdata/test-only-*.pem
var testKeys embed.FS

// signer signs with one key, and publishes it with others.
type signer struct {
	key  *rsa.PrivateKey
	also []*rsa.PrivateKey
}

var _ token.SigningKey = signer{}

func (s signer) PublicKey(context.Context) (*rsa.PublicKey, error) { return &s.key.PublicKey, nil }

func (s signer) Published(context.Context) ([]token.PublishedKey, error) {
	published := []token.PublishedKey{{Public: &s.key.PublicKey, Signs: true}}
	for _, key := range s.also {
		published = append(published, token.PublishedKey{Public: &key.PublicKey})
	}
	return published, nil
}

func (s signer) SignDigest(_ context.Context, _ *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error) {
	return rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
}

type signerKey = *rsa.PrivateKey

// maker makes the vectors. Its methods panic where something fails, because nothing of it depends on the outside.
type maker struct{ current, next, stranger *rsa.PrivateKey }

func newMaker() maker { return maker{testKey("current"), testKey("next"), testKey("stranger")} }

func testKey(name string) *rsa.PrivateKey {
	text := must(testKeys.ReadFile("testdata/test-only-" + name + ".pem"))
	block, _ := pem.Decode(text)
	return must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// files returns the vectors by the names of their files.
func (m maker) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, content := range map[string]any{
		"tokens.json":    m.tokens(),
		"responses.json": m.responses(),
		"hosts.json":     hosts(),
		"states.json":    m.states(),
		"clocks.json":    m.clocks(),
		"keysets.json":   m.keySets(),
	} {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(content); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = b.Bytes()
	}
	return files, nil
}

// theLicense is the one that most vectors are about.
func theLicense() license.License {
	return license.License{
		ID: licenseID, CustomerID: "869b100f-06b7-44cc-80df-b4c4bf728461", CustomerName: "Müller & Söhne <GmbH>?",
		Services: `[{"serviceName":"Reports","serviceValue":"reports"},` +
			`{"serviceName":"Export","serviceValue":"export"}]`,
		AppURLs: `[{"URL":"https://app.example.com"}]`, ExpirationDate: start.AddDate(1, 0, 0),
		Version: 1, Created: start.AddDate(0, -1, 0), Changed: start.AddDate(0, -1, 0),
	}
}

func licenseKey() string { return must(token.SignLicenseKey(secret, issuer, theLicense())) }

func shortKey() string {
	key, _ := token.SignShortKey(secret, licenseID)
	return key
}

// token returns the one that the server gives for a license at a moment.
func (m maker) token(by *rsa.PrivateKey, l license.License, at time.Time) string {
	a := token.Authorizer{Key: signer{key: by}, Issuer: issuer, Lifetime: lifetime}
	text, _, err := a.Authorize(context.Background(), l, at, token.Signature{})
	return must(text, err)
}

// deviceToken returns the one that the server gives a device.
func (m maker) deviceToken(computer string, at time.Time) string {
	a := token.Authorizer{Key: signer{key: m.current}, Issuer: issuer, Lifetime: lifetime}
	lease := token.Lease{Device: device.ID(licenseID, computer), Expires: at.Add(lifetime)}
	text, _, err := a.AuthorizeDevice(context.Background(), theLicense(), lease, at, token.Signature{})
	return must(text, err)
}

// keySet returns the JWK set of keys as the server publishes it.
func keySet(keys ...*rsa.PrivateKey) (set token.KeySet) {
	for _, key := range keys {
		set.Keys = append(set.Keys, token.NewJSONWebKey(&key.PublicKey))
	}
	return set
}

// asker is the product that asks, and its license key.
type asker struct {
	LicenseKey  string     `json:"licensekey"`
	Fingerprint string     `json:"fingerprint"`
	Service     string     `json:"service"`
	Released    *time.Time `json:"released,omitempty"`
}

func theAsker() asker {
	return asker{LicenseKey: licenseKey(), Fingerprint: fingerprint, Service: service}
}
