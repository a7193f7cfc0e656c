package token_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

const secret = token.Secret("a secret of more than thirty-two bytes")

var ring = token.Ring{Current: secret}

var now = licensetest.Now

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// sign makes a key of any header and claims, correctly signed.
func sign(header, claims string) string {
	signed := encode(header) + "." + encode(claims)
	return signed + "." + hs256(secret, signed)
}

func hs256(secret token.Secret, signed string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const (
	goodHeader = `{"typ":"JWT","alg":"HS256"}`
	goodClaims = `{"sub":"License Key","licenseid":"id-1"}`
)

func TestReadLicenseKey(t *testing.T) {
	for name, key := range map[string]string{
		"as issued":             sign(goodHeader, goodClaims),
		"without typ":           sign(`{"alg":"HS256"}`, goodClaims),
		"with an unknown kid":   sign(`{"alg":"HS256","kid":"../../etc/passwd"}`, goodClaims),
		"exp in the future":     sign(goodHeader, `{"licenseid":"id-1","exp":4102444800}`),
		"nbf in the past":       sign(goodHeader, `{"licenseid":"id-1","nbf":1718622505.5}`),
		"iat in the future":     sign(goodHeader, `{"licenseid":"id-1","iat":4102444800}`), // a clock that is ahead
		"white space in claims": sign(goodHeader, ` { "licenseid" : "id-1" } `),
	} {
		t.Run(name, func(t *testing.T) {
			id, err := token.ReadLicenseKey(ring, key, now)
			if err != nil || id != "id-1" {
				t.Errorf("got %q, %v", id, err)
			}
		})
	}
}

// TestReadHostileLicenseKey: each of these is refused although, where a signature is possible at all, it is right.
func TestReadHostileLicenseKey(t *testing.T) {
	good := sign(goodHeader, goodClaims)
	signature := good[strings.LastIndex(good, ".")+1:]
	unsigned := strings.TrimSuffix(good, signature)
	lastChar := good[len(good)-1]
	otherBits := string(base64URL[strings.IndexByte(base64URL, lastChar)+1]) // 32 bytes leave two bits unused
	public := newRSAKey(t)
	publicPEM, err := token.PublicKeyPEM(&public.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{
		"empty":                                "",
		"words":                                "hello",
		"dots":                                 "..",
		"two segments":                         strings.TrimSuffix(unsigned, "."),
		"four segments":                        good + ".",
		"a million segments":                   strings.Repeat("a.", 1<<20),
		"4 MiB":                                strings.Repeat("a", 4<<20),
		"signature empty":                      unsigned,
		"signature of the empty secret":        unsigned + hs256("", strings.TrimSuffix(unsigned, ".")),
		"signature of a blank secret":          unsigned + hs256(" ", strings.TrimSuffix(unsigned, ".")),
		"signature of another secret":          unsigned + hs256(secret+"x", strings.TrimSuffix(unsigned, ".")),
		"signature cut":                        good[:len(good)-4],
		"padding":                              good + "=",
		"unused bits":                          good[:len(good)-1] + otherBits,
		"line break at the end":                good + "\n",
		"line break in the signature":          unsigned + signature[:10] + "\r\n" + signature[10:],
		"line break in the header":             "\n" + good,
		"blank":                                " " + good,
		"standard base64":                      strings.ReplaceAll(good, "_", "/") + "+",
		"not UTF-8":                            good[:len(good)-1] + "\xff",
		"alg none":                             sign(`{"alg":"none"}`, goodClaims),
		"alg none, no signature":               encode(`{"alg":"none"}`) + "." + encode(goodClaims) + ".",
		"alg None":                             sign(`{"alg":"None"}`, goodClaims),
		"alg NONE":                             sign(`{"alg":"NONE"}`, goodClaims),
		"alg nOnE":                             sign(`{"alg":"nOnE"}`, goodClaims),
		"alg empty":                            sign(`{"alg":""}`, goodClaims),
		"alg absent":                           sign(`{"typ":"JWT"}`, goodClaims),
		"alg null":                             sign(`{"alg":null}`, goodClaims),
		"alg list":                             sign(`{"alg":["HS256"]}`, goodClaims),
		"alg in lower case":                    sign(`{"alg":"hs256"}`, goodClaims),
		"alg HS512":                            sign(`{"alg":"HS512"}`, goodClaims),
		"alg RS256, public key as HMAC secret": signWith(token.Secret(publicPEM), `{"alg":"RS256"}`, goodClaims),
		"alg HS256, public key as HMAC secret": signWith(token.Secret(publicPEM), goodHeader, goodClaims),
		"Alg":                                  sign(`{"Alg":"HS256"}`, goodClaims),
		"alg twice":                            sign(`{"alg":"HS256","alg":"HS256"}`, goodClaims),
		"crit":                                 sign(`{"alg":"HS256","crit":["exp"]}`, goodClaims),
		"b64":                                  sign(`{"alg":"HS256","b64":false}`, goodClaims),
		"zip":                                  sign(`{"alg":"HS256","zip":"DEF"}`, goodClaims),
		"header null":                          sign(`null`, goodClaims),
		"header list":                          sign(`[]`, goodClaims),
		"header with a tail":                   sign(goodHeader+`{}`, goodClaims),
		"header not UTF-8":                     sign("{\"alg\":\"HS256\",\"x\":\"\xff\"}", goodClaims),
		"claims null":                          sign(goodHeader, `null`),
		"claims cut":                           sign(goodHeader, `{"licenseid":"id-1"`),
		"claims not UTF-8":                     sign(goodHeader, "{\"licenseid\":\"\xff\"}"),
		"licenseid absent":                     sign(goodHeader, `{}`),
		"licenseid empty":                      sign(goodHeader, `{"licenseid":""}`),
		"licenseid a number":                   sign(goodHeader, `{"licenseid":1}`),
		"licenseid twice":                      sign(goodHeader, `{"licenseid":"id-1","licenseid":"id-2"}`),
		"licenseid twice, escaped":             sign(goodHeader, `{"licenseid":"id-1","\u006cicenseid":"id-2"}`),
		"licenseId":                            sign(goodHeader, `{"licenseId":"id-1"}`),
		"licenseid too long":                   sign(goodHeader, `{"licenseid":"`+strings.Repeat("a", 2049)+`"}`),
		"exp now":                              sign(goodHeader, `{"licenseid":"id-1","exp":`+seconds(now)+`}`),
		"exp 0":                                sign(goodHeader, `{"licenseid":"id-1","exp":0}`),
		"exp a text":                           sign(goodHeader, `{"licenseid":"id-1","exp":"4102444800"}`),
		"exp null":                             sign(goodHeader, `{"licenseid":"id-1","exp":null}`),
		"exp beyond all numbers":               sign(goodHeader, `{"licenseid":"id-1","exp":1e999}`),
		"nbf in a second": sign(
			goodHeader, `{"licenseid":"id-1","nbf":`+seconds(now.Add(time.Second))+`}`,
		),
		"nbf a text":             sign(goodHeader, `{"licenseid":"id-1","nbf":"0"}`),
		"an authorization token": sign(goodHeader, `{"licenseid":"id-1","sub":"authorization_token"}`),
		"nested deep": sign(
			goodHeader, `{"licenseid":"id-1","a":`+strings.Repeat("[", 5000)+`}`,
		),
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := token.ReadLicenseKey(ring, key, now); !errors.Is(err, token.ErrInvalidLicenseKey) {
				t.Errorf("got %q, %v", id, err)
			}
		})
	}
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func seconds(t time.Time) string {
	text, _ := json.Marshal(t.Unix())
	return string(text)
}

func signWith(secret token.Secret, header, claims string) string {
	signed := encode(header) + "." + encode(claims)
	return signed + "." + hs256(secret, signed)
}

func newRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestNothingIsDecodedBeforeTheSignature: a huge key costs next to nothing.
func TestHugeKeyCostsNothing(t *testing.T) {
	key := strings.Repeat("a", 1<<20) + "." + strings.Repeat("b", 1<<20) + "." + strings.Repeat("c", 43)
	bytes := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			token.ReadLicenseKey(ring, key, now)
		}
	}).AllocedBytesPerOp()
	if bytes > 1<<10 {
		t.Errorf("%d bytes for a key that is too long", bytes)
	}
}

// TestBadSecretIsOurFault: it must not look like an invalid key, which would make a product drop its license.
func TestBadSecretIsOurFault(t *testing.T) {
	for name, bad := range map[string]token.Ring{
		"empty": {}, "empty, with an earlier one": {Earlier: []token.EarlierSecret{{Secret: secret}}},
		"empty earlier one": {Current: secret, Earlier: []token.EarlierSecret{{}}},
	} {
		for _, s := range []token.Secret{"", "another of more than thirty-two bytes"} {
			key := signWith(s, goodHeader, goodClaims)
			if id, err := token.ReadLicenseKey(bad, key, now); err == nil ||
				errors.Is(err, token.ErrInvalidLicenseKey) {
				t.Errorf("%s: got %q, %v", name, id, err)
			}
		}
	}
}

// TestLongestLicenseKey: one byte more is refused although its signature is right.
func TestLongestLicenseKey(t *testing.T) {
	for length, want := range map[int]error{
		token.MaxLicenseKey: nil, token.MaxLicenseKey + 1: token.ErrInvalidLicenseKey,
	} {
		key := keyOfLength(t, length)
		if _, err := token.ReadLicenseKey(ring, key, now); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

// keyOfLength fills header and claims until the key is as long as it should be.
func keyOfLength(t *testing.T, length int) string {
	t.Helper()
	for inHeader := range 4 {
		for inClaims := length / 2; inClaims < length; inClaims++ {
			header := `{"alg":"HS256","x":"` + strings.Repeat("a", inHeader) + `"}`
			claims := `{"licenseid":"id-1","x":"` + strings.Repeat("a", inClaims) + `"}`
			encoded := base64.RawURLEncoding.EncodedLen
			if encoded(len(header))+encoded(len(claims))+45 == length {
				return sign(header, claims)
			}
		}
	}
	t.Fatalf("no key is %d bytes long", length)
	return ""
}

func TestSecretDoesNotPrint(t *testing.T) {
	for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%v %+v %s %q", secret, secret, secret, secret)} {
		if strings.Contains(text, "thirty-two") {
			t.Errorf("printed as %s", text)
		}
	}
}

// TestSignLicenseKey: an independent library reads what we issue.
func TestSignLicenseKey(t *testing.T) {
	l := licensetest.Issue(t)
	key, err := token.SignLicenseKey(secret, "Test Issuer", l)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(key, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims([]byte(secret), &claims); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"sub": "License Key", "iss": "Test Issuer", "customerid": l.CustomerID, "licenseid": l.ID,
		"customername": l.CustomerName, "iat": float64(l.Created.Unix()),
	} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	if id, err := token.ReadLicenseKey(ring, key, now); err != nil || id != l.ID {
		t.Errorf("read back: %q, %v", id, err)
	}
}

// TestLongNames: however long the name that another tool has stored, its license key is one that is read. A name that
// this service takes is in it whole.
func TestLongNames(t *testing.T) {
	const most = 1536 // bytes of a name in the key, as JSON
	for name, test := range map[string]struct{ stored, want string }{
		"longest of the service":     {strings.Repeat("\U0001D538", 256), strings.Repeat("\U0001D538", 256)},
		"longest, escaped":           {strings.Repeat("<", 256), strings.Repeat("<", 256)},
		"longest, separators":        {strings.Repeat("\u2028", 256), strings.Repeat("\u2028", 256)},
		"one byte more than fits":    {strings.Repeat("a", most+1), strings.Repeat("a", most)},
		"one escape more than fits":  {strings.Repeat("&", 257), strings.Repeat("&", 256)},
		"a character across the end": {strings.Repeat("a", most-3) + "\U0001D538a", strings.Repeat("a", most-3)},
		"an escape across the end":   {strings.Repeat("a", most-5) + ">b", strings.Repeat("a", most-5)},
		"a quote across the end":     {strings.Repeat("a", most-1) + `"`, strings.Repeat("a", most-1)},
		"bytes that are no UTF-8":    {strings.Repeat("\xff", 400_000), strings.Repeat("\ufffd", 256)},
		"7,000 bytes":                {strings.Repeat("a", 7000), strings.Repeat("a", most)},
		"control characters":         {strings.Repeat("\x01", 7000), strings.Repeat("\x01", 256)},
		"as long as an item may be":  {strings.Repeat("é", 200_000), strings.Repeat("é", most/2)},
	} {
		t.Run(name, func(t *testing.T) {
			l := licensetest.Issue(t)
			l.CustomerName = test.stored
			l.CustomerID, l.ID = strings.Repeat("c", 1024), strings.Repeat("i", 2048)
			key, err := token.SignLicenseKey(secret, "Test Issuer", l)
			if err != nil || len(key) > token.MaxLicenseKey {
				t.Fatalf("%d bytes, %v", len(key), err)
			}
			if id, err := token.ReadLicenseKey(ring, key, now); err != nil || id != l.ID {
				t.Errorf("read back: %q, %v", id, err)
			}
			text, err := base64.RawURLEncoding.DecodeString(strings.Split(key, ".")[1])
			var claims struct{ CustomerName string }
			if err := errors.Join(err, json.Unmarshal(text, &claims)); err != nil || claims.CustomerName != test.want {
				t.Errorf("the name has %d bytes, want %d: %v", len(claims.CustomerName), len(test.want), err)
			}
			if again, _ := token.SignLicenseKey(secret, "Test Issuer", l); again != key {
				t.Error("another key the second time")
			}
		})
	}
}

// TestLongIDs: a key that would be refused for ever is none.
func TestLongIDs(t *testing.T) {
	for name, change := range map[string]func(*license.License){
		"customerid":         func(l *license.License) { l.CustomerID = strings.Repeat("c", 7000) },
		"licenseid, escaped": func(l *license.License) { l.ID = strings.Repeat("<", 2048) },
	} {
		t.Run(name, func(t *testing.T) {
			l := licensetest.Issue(t)
			change(&l)
			if key, err := token.SignLicenseKey(secret, "Test Issuer", l); err == nil {
				t.Errorf("%d bytes", len(key))
			}
		})
	}
}

// FuzzReadLicenseKey: a key that is accepted is signed, and has one spelling.
func FuzzReadLicenseKey(f *testing.F) {
	f.Add(sign(goodHeader, goodClaims))
	f.Add(sign(`{"alg":"none"}`, goodClaims))
	f.Add("..")
	f.Fuzz(func(t *testing.T, key string) {
		id, err := token.ReadLicenseKey(ring, key, now)
		if err != nil {
			if !errors.Is(err, token.ErrInvalidLicenseKey) {
				t.Fatal(err)
			}
			return
		}
		signed := key[:strings.LastIndex(key, ".")]
		if id == "" || key != signed+"."+hs256(secret, signed) {
			t.Fatalf("accepted %q", key)
		}
	})
}

// FuzzReadSignedClaims: whatever the claims, signed as they are, an id comes out or ErrInvalidLicenseKey.
func FuzzReadSignedClaims(f *testing.F) {
	f.Add(goodHeader, goodClaims)
	f.Add(goodHeader, `{"licenseid":"a","exp":1e400}`)
	f.Fuzz(func(t *testing.T, header, claims string) {
		id, err := token.ReadLicenseKey(ring, sign(header, claims), now)
		if err != nil && !errors.Is(err, token.ErrInvalidLicenseKey) {
			t.Fatal(err)
		}
		if err == nil && !json.Valid([]byte(claims)) {
			t.Fatalf("%q was accepted for %q", claims, id)
		}
	})
}
