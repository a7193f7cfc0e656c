package main

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"openlicenser/shared/token"
)

// tokenCase is a token that the server has given, or that somebody claims it has.
type tokenCase struct {
	Name   string    `json:"name"`
	Asker  asker     `json:"asker"`
	Now    time.Time `json:"now"`
	Token  string    `json:"token"`
	Good   bool      `json:"good"`
	Status string    `json:"status"`
	Reason string    `json:"reason,omitempty"`
}

type tokensFile struct {
	Keys        token.KeySet `json:"keys"`
	SkewSeconds int          `json:"skewseconds"`
	Cases       []tokenCase  `json:"cases"`
}

// tokens returns tokens.json.
func (m maker) tokens() tokensFile {
	f := tokensFile{Keys: keySet(m.current, m.next), SkewSeconds: 300}
	add := func(name, text string, good bool, change func(*tokenCase)) {
		c := tokenCase{Name: name, Asker: theAsker(), Now: start, Token: text, Good: good, Status: "Unknown"}
		if good {
			c.Status = "Active"
		}
		if change != nil {
			change(&c)
		}
		f.Cases = append(f.Cases, c)
	}
	at := func(moment time.Time) func(*tokenCase) { return func(c *tokenCase) { c.Now = moment } }
	is := func(status, reason string) func(*tokenCase) {
		return func(c *tokenCase) { c.Status, c.Reason = status, reason }
	}
	good := m.token(m.current, theLicense(), start)
	add("as the server gives it", good, true, nil)
	add("asked for by the short license key", good, true, func(c *tokenCase) { c.Asker.LicenseKey = shortKey() })
	add("asked for by the short license key as it is typed", good, true, func(c *tokenCase) {
		c.Asker.LicenseKey = " " + strings.ToLower(strings.ReplaceAll(shortKey(), "-", " ")) + "\n"
	})
	add("asked for by the license key as a mail wraps it", good, true, func(c *tokenCase) {
		c.Asker.LicenseKey = "\"" + c.Asker.LicenseKey[:40] + "\r\n\u00a0" + c.Asker.LicenseKey[40:] + "\u200b\"="
	})
	add("signed by the successor", m.token(m.next, theLicense(), start), true, nil)
	add("license file: white space and a byte order mark around it", "\ufeff"+good+"\r\n", true, nil)
	add("white space inside", good[:50]+" "+good[50:], false, nil)
	m.addForged(add, good)
	m.addClaims(add)

	expires := start.Add(lifetime)
	add("a second before exp", good, true, at(expires.Add(-time.Second)))
	add("at exp: there is no leeway", good, false, at(expires))
	add("long expired", good, false, at(expires.AddDate(1, 0, 0)))
	issued := start.Add(-5 * time.Minute)
	add("iat in the future by Skew", good, true, at(issued.Add(-5*time.Minute)))
	add("iat in the future by more than Skew", good, false, at(issued.Add(-5*time.Minute-time.Second)))
	add("iat a year in the future", good, false, at(start.AddDate(-1, 0, 0)))

	l := theLicense()
	l.ExpirationDate, l.GraceDays = start.Add(-time.Hour), 7
	add("the license has ended, and its days of grace have not", m.token(m.current, l, start), true, is("Grace", ""))
	l = theLicense()
	l.ExpirationDate = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)
	add("a license without an end", m.token(m.current, l, start), true, nil)

	add("for this device", m.deviceToken(fingerprint, start), true, nil)
	add("for another device", m.deviceToken(otherComputer, start), false, nil)
	add("for a device, and the product tells none", m.deviceToken(fingerprint, start), false,
		func(c *tokenCase) { c.Asker.Fingerprint = "" })
	l = theLicense()
	l.ID = otherLicense
	add("for another license", m.token(m.current, l, start), false, nil)
	m.addServices(add, good)
	return f
}

// addServices adds what the license allows, or does not, to this product. Such a token is good, and is kept.
func (m maker) addServices(add func(string, string, bool, func(*tokenCase)), good string) {
	refused := func(reason string, change func(*asker)) func(*tokenCase) {
		return func(c *tokenCase) { c.Status, c.Reason = "Refused", reason; change(&c.Asker) }
	}
	add("without the service that the product is", good, true,
		refused("SERVICE_NOT_LICENSED", func(a *asker) { a.Service = "designer" }))
	add("services differ by case", good, true,
		refused("SERVICE_NOT_LICENSED", func(a *asker) { a.Service = "Reports" }))
	add("any service will do", good, true, func(c *tokenCase) { c.Asker.Service = "" })
	l := theLicense()
	l.Services = `no list`
	add("services that are no list allow none", m.token(m.current, l, start), true,
		refused("SERVICE_NOT_LICENSED", func(*asker) {}))
	l = theLicense()
	l.UpdatesUntil = time.Date(2026, 6, 30, 23, 59, 59, 999e6, time.UTC)
	updates := m.token(m.current, l, start)
	released := func(at time.Time) func(*tokenCase) {
		return func(c *tokenCase) { c.Asker.Released = &at }
	}
	add("updates ended, and the version was released before", updates, true, released(l.UpdatesUntil.AddDate(-1, 0, 0)))
	add("updates ended at the moment of the release", updates, true, released(l.UpdatesUntil))
	add("the version was released after updates ended", updates, true,
		refused("UPDATES_ENDED", func(a *asker) { at := l.UpdatesUntil.Add(time.Millisecond); a.Released = &at }))
	add("a version that does not say when it was released", updates, true, nil)
	add("updates have no end", good, true, released(start))
}

// addForged adds tokens that others than the server have made.
func (m maker) addForged(add func(string, string, bool, func(*tokenCase)), good string) {
	parts := splitToken(good)
	claims := decoded(parts[1])
	header := decoded(parts[0])
	kid := header["kid"]
	with := func(changes map[string]any) map[string]any {
		changed := maps.Clone(header)
		maps.Copy(changed, changes)
		maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
		return changed
	}
	add("signed by a stranger whose kid is unknown", m.token(m.stranger, theLicense(), start), false, nil)
	add("signed by a stranger under a known kid", signed(m.stranger, header, claims), false, nil)
	add("signed by the successor under the kid of the other key", signed(m.next, header, claims), false, nil)
	add("no kid: each key is tried", signed(m.next, with(map[string]any{"kid": nil}), claims), true, nil)
	add("no kid, signed by a stranger", signed(m.stranger, with(map[string]any{"kid": nil}), claims), false, nil)
	add("the kid is no text", signed(m.current, with(map[string]any{"kid": 1}), claims), false, nil)
	critical := with(map[string]any{"crit": []string{"b64"}, "b64": true})
	add("crit names an extension", signed(m.current, critical, claims), false, nil)
	add("no typ", signed(m.current, with(map[string]any{"typ": nil}), claims), true, nil)

	add("alg none", unsigned(map[string]any{"alg": "none", "kid": kid}, claims)+".", false, nil)
	text := unsigned(with(map[string]any{"alg": "HS256"}), claims)
	mac := hmac.New(sha256.New, must(token.PublicKeyPEM(&m.current.PublicKey)))
	mac.Write([]byte(text))
	add("HS256 by the public key as PEM", text+"."+encoded(mac.Sum(nil)), false, nil)
	text = unsigned(with(map[string]any{"alg": "RS512"}), claims)
	add("RS512", text+"."+encoded(must(rsa.SignPKCS1v15(nil, m.current, crypto.SHA512, sum512(text)))), false, nil)
	text = unsigned(with(map[string]any{"alg": "PS256"}), claims)
	digest := sha256.Sum256([]byte(text))
	add("PS256", text+"."+encoded(must(rsa.SignPSS(zeros{}, m.current, crypto.SHA256, digest[:], nil))), false, nil)
	add("alg in lower case", signed(m.current, with(map[string]any{"alg": "rs256"}), claims), false, nil)

	changed := maps.Clone(claims)
	changed["customername"] = "Somebody else"
	add("a claim was changed", parts[0]+"."+encoded(marshaled(changed))+"."+parts[2], false, nil)
	add("the signature was cut short", good[:len(good)-4], false, nil)
	add("no signature", parts[0]+"."+parts[1]+".", false, nil)
	add("two parts", parts[0]+"."+parts[1], false, nil)
	add("a fourth part", good+".x", false, nil)
	add("padding after the signature", good+"==", false, nil)
	add("another spelling of the signature: unused bits are set", respelled(good), false, nil)
	text = respelled(headerWithUnusedBits(header)) + "." + parts[1]
	digest = sha256.Sum256([]byte(text))
	signature := must(rsa.SignPKCS1v15(nil, m.current, crypto.SHA256, digest[:]))
	add("another spelling of the header, and signed so", text+"."+encoded(signature), false, nil)
	add("empty", "", false, nil)
	add("a license key", licenseKey(), false, nil)
	add("HTML", "<html><body>Log in to the network</body></html>", false, nil)
}

// respelled sets the last of the unused bits of base64url (RFC 4648 section 3.5).
func respelled(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(text) - 1
	return text[:last] + alphabet[strings.IndexByte(alphabet, text[last])+1:][:1]
}

// headerWithUnusedBits has no length that is a multiple of three.
func headerWithUnusedBits(header map[string]any) string {
	for changed := maps.Clone(header); ; changed["later"] = "x" {
		if text := marshaled(changed); len(text)%3 != 0 {
			return encoded(text)
		}
	}
}

// addClaims adds what is signed by the server's key, and is no token for this product.
func (m maker) addClaims(add func(string, string, bool, func(*tokenCase))) {
	parts := splitToken(m.token(m.current, theLicense(), start))
	for _, c := range []struct {
		name, claim string
		value       any
		good        bool
	}{
		{"another sub", "sub", "something else", false},
		{"no sub", "sub", nil, false},
		{"no exp", "exp", nil, false},
		{"exp is a text", "exp", "1900000000", false},
		{"no iat", "iat", nil, false},
		{"iat with a fraction", "iat", 1798800900.5, false},
		{"nbf in the past", "nbf", start.AddDate(-1, 0, 0).Unix(), true},
		{"nbf in the future by Skew", "nbf", start.Add(5 * time.Minute).Unix(), true},
		{"nbf in the future by more than Skew", "nbf", start.Add(5*time.Minute + time.Second).Unix(), false},
		{"nbf is a text", "nbf", "1798800900", false},
		{"no licenseid", "licenseid", nil, false},
		{"device is no text", "device", 1, false},
		{"updatesuntil is no date", "updatesuntil", "soon", false},
		{"no expirationDate: clients read expirationdate", "expirationDate", nil, true},
		{"no expirationdate: expirationDate is another claim", "expirationdate", nil, false},
		{"a claim that nobody knows", "later", map[string]any{"any": "thing"}, true},
	} {
		claims := decoded(parts[1])
		claims[c.claim] = c.value
		if c.value == nil {
			delete(claims, c.claim)
		}
		add(c.name, signed(m.current, decoded(parts[0]), claims), c.good, nil)
	}
}

// zeros makes the salt of PS256 the same in each run.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func sum512(text string) []byte {
	h := crypto.SHA512.New()
	h.Write([]byte(text))
	return h.Sum(nil)
}

func decoded(part string) (object map[string]any) {
	decoder := json.NewDecoder(strings.NewReader(string(must(base64.RawURLEncoding.DecodeString(part)))))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		panic(err)
	}
	return object
}

func splitToken(text string) []string { return strings.Split(text, ".") }

func encoded(part []byte) string { return base64.RawURLEncoding.EncodeToString(part) }

func marshaled(object map[string]any) []byte { return must(json.Marshal(object)) }

func unsigned(header, claims map[string]any) string {
	return fmt.Sprintf("%s.%s", encoded(marshaled(header)), encoded(marshaled(claims)))
}

func signed(by *rsa.PrivateKey, header, claims map[string]any) string {
	text := unsigned(header, claims)
	digest := sha256.Sum256([]byte(text))
	return text + "." + encoded(must(rsa.SignPKCS1v15(nil, by, crypto.SHA256, digest[:])))
}
