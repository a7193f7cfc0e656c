package license_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/urlpattern"
)

// storeURL issues a license with one application URL, and returns what is stored of it, or the refusal.
func storeURL(t testing.TB, text string) (stored, refusal string) {
	t.Helper()
	d := validDraft()
	d.AppURLs = []license.AppURL{{URL: text}}
	l, err := d.Issue("id", licensetest.Change(""))
	var invalid *license.InvalidError
	if errors.As(err, &invalid) && len(invalid.Fields) == 1 && invalid.Fields[0].Field == "appurls[0].URL" {
		return "", invalid.Fields[0].Message
	}
	var list []license.AppURL
	if err := errors.Join(err, json.Unmarshal([]byte(l.AppURLs), &list)); err != nil || len(list) != 1 {
		t.Fatalf("%q: %v", text, err)
	}
	return list[0].URL, ""
}

// storedURLs are application URLs that are taken, and how they are stored.
var storedURLs = map[string]struct{ text, want string }{
	"as it is":                  {"https://app.example.com", "https://app.example.com"},
	"with a slash":              {"https://app.example.com/", "https://app.example.com/"},
	"path, query and fragment":  {"http://localhost/A%20b?C=d#E", "http://localhost/A%20b?C=d#E"},
	"query without a path":      {"https://example.com?Q=/a", "https://example.com?Q=/a"},
	"star in the path":          {"https://example.com/*", "https://example.com/*"},
	"at sign in the path":       {"https://example.com/@me", "https://example.com/@me"},
	"path beyond ASCII":         {"https://example.com/bücher/میخواهم", "https://example.com/bücher/میخواهم"},
	"upper case":                {"HTTPS://App.Example.COM/Path", "https://app.example.com/Path"},
	"one label":                 {"http://intranet", "http://intranet"},
	"localhost":                 {"http://localhost", "http://localhost"},
	"port":                      {"http://localhost:8080/", "http://localhost:8080/"},
	"last port":                 {"https://example.com:65535", "https://example.com:65535"},
	"port with zeros":           {"https://example.com:08443", "https://example.com:8443"},
	"default port":              {"https://example.com:443/a", "https://example.com/a"},
	"default port of http":      {"http://example.com:80", "http://example.com"},
	"default port of the other": {"https://example.com:80", "https://example.com:80"},
	"empty port":                {"https://example.com:", "https://example.com"},
	"underscore":                {"http://my_host.example.com", "http://my_host.example.com"},
	"hyphens within":            {"https://r3---sn-a.example.com", "https://r3---sn-a.example.com"},
	"label of digits":           {"https://4711.example.com", "https://4711.example.com"},
	"longest label": {
		"https://" + strings.Repeat("a", 63) + ".com",
		"https://" + strings.Repeat("a", 63) + ".com",
	},
	"longest host name": {
		"https://" + strings.Repeat("a.", 126) + "a",
		"https://" + strings.Repeat("a.", 126) + "a",
	},
	"international":              {"https://bücher.example", "https://xn--bcher-kva.example"},
	"international, upper case":  {"https://BÜCHER.example:8443/Ü", "https://xn--bcher-kva.example:8443/Ü"},
	"international, decomposed":  {"https://bu\u0308cher.example", "https://xn--bcher-kva.example"},
	"international, xn-- form":   {"https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
	"international, XN-- form":   {"https://XN--BCHER-KVA.example", "https://xn--bcher-kva.example"},
	"international, by percent":  {"https://b%C3%BCcher.example", "https://xn--bcher-kva.example"},
	"sharp s":                    {"https://straße.example", "https://xn--strae-oqa.example"},
	"Japanese, ideographic dot":  {"https://例え。テスト", "https://xn--r8jz45g.xn--zckzah"},
	"full width":                 {"https://ｅｘａｍｐｌｅ.com", "https://example.com"},
	"Hebrew":                     {"https://דוגמה.example", "https://xn--6dbbec0c.example"},
	"Persian with a non-joiner":  {"https://نامه\u200cای.example", "https://xn--mgba3gch31f060k.example"},
	"Sinhala with a joiner":      {"https://ශ්\u200dරී.example", "https://xn--10cl1a0b660p.example"},
	"sign":                       {"https://a≠b.example.com", "https://xn--ab-miv.example.com"},
	"emoji":                      {"https://☕.example", "https://xn--53h.example"},
	"IPv4 address":               {"http://192.168.0.10:8080/a", "http://192.168.0.10:8080/a"},
	"IPv4 address in full width": {"http://１９２.0.2.1", "http://192.0.2.1"},
	"IPv6 address":               {"http://[::1]:8080/", "http://[::1]:8080/"},
	"IPv6 address, long":         {"http://[2001:DB8:0:0:0:0:0:1]", "http://[2001:db8::1]"},
	"pattern":                    {`re:^(.+\.)?example\.com$`, `re:^(.+\.)?example\.com$`},
	"pattern in upper case":      {`re:^Example\.com$`, `re:^Example\.com$`},
}

func TestAppURLStored(t *testing.T) {
	for name, test := range storedURLs {
		t.Run(name, func(t *testing.T) {
			if got, refusal := storeURL(t, test.text); got != test.want {
				t.Errorf("%q is stored as %q, %s; want %q", test.text, got, refusal, test.want)
			}
		})
	}
}

// refusedURLs are what no product can match, and what the refusal says.
var refusedURLs = map[string]struct{ text, says string }{
	"empty":                         {"", "absolute http or https URL"},
	"other scheme":                  {"ftp://example.com", "absolute http or https URL"},
	"no scheme":                     {"app.example.com", "absolute http or https URL"},
	"no host":                       {"https:///path", "absolute http or https URL"},
	"no slashes":                    {"https:example.com", "absolute http or https URL"},
	"one slash":                     {"https:/example.com", "absolute http or https URL"},
	"port alone":                    {"https://:8080", "empty parts"},
	"percent in the path":           {"https://example.com/%zz", "absolute http or https URL"},
	"backslash":                     {`https://example.com\path`, "absolute http or https URL"},
	"password":                      {"https://user:pw@example.com", "no password"},
	"user":                          {"https://user@example.com", "no user name"},
	"wildcard":                      {"https://*.example.com", "in place of *, as re:^"},
	"wildcard with a path":          {"https://*.example.com/app", "in place of *, as re:^"},
	"wildcard within":               {"https://app-*.example.com", "in place of *, as re:^"},
	"wildcard for the port":         {"http://localhost:*", "in place of *, as re:^"},
	"wildcard without a scheme":     {"*.example.com", "in place of *, as re:^"},
	"wildcard scheme":               {"*://example.com", "absolute http or https URL"},
	"wildcard alone":                {"*", "in place of *, as re:^"},
	"zero-width space":              {"https://exa\u200bmple.com", "it has U+200B"},
	"soft hyphen":                   {"https://exa\u00admple.com", "it has U+00AD"},
	"byte order mark in front":      {"\ufeffhttps://example.com", "it has U+FEFF"},
	"left-to-right mark behind":     {"https://example.com\u200e", "it has U+200E"},
	"word joiner in the path":       {"https://example.com/a\u2060b", "it has U+2060"},
	"joiner in the path":            {"https://example.com/a\u200db", "it has U+200D"},
	"non-joiner in the query":       {"https://example.com?a=\u200cb", "it has U+200C"},
	"non-joiner in the fragment":    {"https://نامه\u200cای.example#\u200c", "it has U+200C"},
	"override":                      {"https://exa\u202emple.com", "it has U+202E"},
	"no-break space":                {"https://example.com\u00a0", "it has U+00A0"},
	"space behind":                  {"https://example.com ", "it has U+0020"},
	"space in the path":             {"https://example.com/a b", "it has U+0020"},
	"line feed":                     {"https://example.com\n", "it has U+000A"},
	"variation selector":            {"https://exa\ufe0fmple.com", "it has U+FE0F"},
	"Hangul filler":                 {"https://exa\u3164mple.com", "it has U+3164"},
	"tag":                           {"https://exa\U000e0061mple.com", "it has U+E0061"},
	"joiner in a Latin name":        {"https://exa\u200dmple.com", "UTS #46"},
	"two dots":                      {"https://app..example.com", "empty parts"},
	"dot first":                     {"https://.example.com", "empty parts"},
	"dot last":                      {"https://example.com.", "empty parts"},
	"dot last, before a port":       {"https://example.com.:8443/", "empty parts"},
	"dot alone":                     {"https://.", "empty parts"},
	"two ideographic dots":          {"https://例え。。テスト", "empty parts"},
	"hyphen first":                  {"https://-app.example.com", "hyphen"},
	"hyphen last":                   {"https://app-.example.com", "hyphen"},
	"hyphen at the end":             {"https://example.com-", "hyphen"},
	"hyphen in full width":          {"https://－app.example.com", "hyphen"},
	"hyphen beside a letter":        {"https://ü-.example.com", "hyphen"},
	"label of 64":                   {"https://" + strings.Repeat("a", 64) + ".com", "at most 63 characters"},
	"label of 64 in its xn-- form":  {"https://" + strings.Repeat("a", 60) + "ü.com", "at most 63 characters"},
	"host name of 254":              {"https://" + strings.Repeat("a.", 126) + "aa", "at most 253 characters"},
	"host name of 254, with a port": {"https://" + strings.Repeat("a.", 126) + "aa:8080", "at most 253 characters"},
	"URL of 2049": {
		"https://example.com/" + strings.Repeat("é", urlpattern.MaxURL-19),
		"at most 2048 characters",
	},
	"plus sign":                     {"https://a+b.example.com", "letters, digits"},
	"slash by percent":              {"https://a%2Fb.example.com", "absolute http or https URL"},
	"invalid xn--":                  {"https://xn--a.example", "UTS #46"},
	"xn-- of ASCII":                 {"https://xn--abc-.example", "UTS #46"},
	"mark first":                    {"https://\u0308a.example", "UTS #46"},
	"both directions":               {"https://aא.example", "UTS #46"},
	"not UTF-8":                     {"https://\xff.example", "absolute http or https URL"},
	"not UTF-8, by percent":         {"https://b%ACcher.example", "absolute http or https URL"},
	"port 0":                        {"https://example.com:0", "port from 1 to 65535"},
	"port 65536":                    {"https://example.com:65536", "port from 1 to 65535"},
	"port of 20 digits":             {"https://example.com:99999999999999999999", "port from 1 to 65535"},
	"port that is a word":           {"https://example.com:http", "absolute http or https URL"},
	"IPv4 address, short":           {"http://127.1", "IPv4"},
	"IPv4 address with zeros":       {"http://127.0.0.01", "IPv4"},
	"IPv4 address in hexadecimal":   {"http://0x7f.0.0.0x1", "IPv4"},
	"IPv4 address too large":        {"http://256.0.0.1", "IPv4"},
	"IPv4 address of five":          {"http://1.2.3.4.5", "IPv4"},
	"number":                        {"http://2130706433", "IPv4"},
	"IPv6 address with a zone":      {"http://[fe80::1%25eth0]", "IPv6"},
	"IPv6 address that is IPv4":     {"http://[::ffff:192.0.2.1]", "IPv6"},
	"IPv6 address that is none":     {"http://[::g]", "IPv6"},
	"IPv6 address without brackets": {"http://2001:db8::1", "absolute http or https URL"},
	"host name in brackets":         {"http://[example.com]", "IPv6"},
}

func TestAppURLRefused(t *testing.T) {
	for name, test := range refusedURLs {
		t.Run(name, func(t *testing.T) {
			got, refusal := storeURL(t, test.text)
			if !strings.HasPrefix(refusal, "must ") || !strings.Contains(refusal, test.says) {
				t.Errorf("%q is stored as %q; the refusal is %q, want it to say %q", test.text, got, refusal, test.says)
			}
		})
	}
}

// TestAppURLAdvice: what a refusal advises is taken.
func TestAppURLAdvice(t *testing.T) {
	_, refusal := storeURL(t, "https://*.example.com")
	_, pattern, _ := strings.Cut(refusal, "re:")
	if got, refusal := storeURL(t, "re:"+pattern); refusal != "" || !strings.Contains(got, "example") {
		t.Errorf("re:%s %s", pattern, refusal)
	}
	for _, text := range []string{"https://app.example.com", "http://192.0.2.1", "http://[2001:db8::1]"} {
		if _, refusal := storeURL(t, text); refusal != "" {
			t.Errorf("%s %s", text, refusal)
		}
	}
}

// TestAppURLsGrow: the limit holds for what is stored, whose xn-- forms can be longer than what was sent.
func TestAppURLsGrow(t *testing.T) {
	host := strings.Repeat("aé.", 20) + "example"
	d := validDraft()
	for i := range 300 {
		d.AppURLs = append(d.AppURLs, license.AppURL{URL: fmt.Sprintf("https://%s/%d", host, i)})
	}
	sent, err := json.Marshal(d.AppURLs)
	if err != nil || len(sent) > license.MaxListBytes {
		t.Fatalf("%d bytes are sent, %v", len(sent), err)
	}
	var invalid *license.InvalidError
	if _, err := d.Issue("id", licensetest.Change("")); !errors.As(err, &invalid) ||
		invalid.Fields[0].Field != "appurls" {
		t.Errorf("got %v", err)
	}
}

// TestPatchLeavesStoredURLs: what another tool stored is looked at only when it is given.
func TestPatchLeavesStoredURLs(t *testing.T) {
	l := licensetest.Issue(t)
	l.AppURLs = `[{"URL":"https://*.example.com"}]`
	notes := "moved"
	patched, err := l.Patch(license.Patch{Notes: &notes}, licensetest.Change(""))
	if err != nil || patched.AppURLs != l.AppURLs {
		t.Errorf("got %s, %v", patched.AppURLs, err)
	}
	if renewed, err := l.Renew("never", licensetest.Change("")); err != nil || renewed.AppURLs != l.AppURLs {
		t.Errorf("got %s, %v", renewed.AppURLs, err)
	}
}

// FuzzAppURL: what is stored is a URL of an ASCII host that reads the same again, and is stored as it is.
func FuzzAppURL(f *testing.F) {
	for _, test := range storedURLs {
		f.Add(test.text)
	}
	for _, test := range refusedURLs {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "re:") {
			return // FuzzPatternProblem
		}
		stored, refusal := storeURL(t, text)
		if (stored == "") == (refusal == "") || !utf8.ValidString(refusal) {
			t.Fatalf("%q is stored as %q; the refusal is %q", text, stored, refusal)
		}
		if refusal != "" {
			return
		}
		parsed, err := url.Parse(stored)
		if err != nil {
			t.Fatal(err)
		}
		host := parsed.Hostname()
		if host == "" || len(host) > 253 || strings.ToLower(host) != host ||
			strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c > '~' }) {
			t.Errorf("%q has the host %q", text, host)
		}
		if !strings.Contains(host, ":") && slices.Contains(strings.Split(host, "."), "") {
			t.Errorf("%q has an empty label in %q", text, host)
		}
		if !strings.HasPrefix(stored, parsed.Scheme+"://"+parsed.Host) || parsed.User != nil {
			t.Errorf("%q is stored as %q, whose host is %q", text, stored, parsed.Host)
		}
		if again, refusal := storeURL(t, stored); again != stored {
			t.Errorf("%q is stored as %q, and then as %q, %s", text, stored, again, refusal)
		}
	})
}
