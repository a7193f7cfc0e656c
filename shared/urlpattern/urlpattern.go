// Package urlpattern checks the application URLs that a license may hold. One is an absolute http or https URL, or
// "re:" and a regular expression over the host name. What no product can match is refused, with what to write instead.
// The package knows nothing of licenses.
package urlpattern

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"openlicenser/shared/unicodetext"
)

// The limits of a URL, and of a pattern without its prefix. They count Unicode code points.
const (
	MaxURL     = 2048
	MaxPattern = 256
)

// prefix marks a regular expression over the host name.
const prefix = "re:"

// What to write in place of a URL that is refused.
const (
	wantURL = "must be an absolute http or https URL, as https://app.example.com, " +
		"or re: and a regular expression"
	wantNoWildcard = "must name one host; for all hosts of a domain write a regular expression in place of *, " +
		`as re:^([a-z0-9-]+\.)*example\.com$`
	wantIPv6 = "must have an IPv6 address in [ ], with no zone and no IPv4 address in it, as http://[2001:db8::1]"
	wantIPv4 = "must have an IPv4 address of four numbers from 0 to 255, as http://192.0.2.1, " +
		"or a host name that does not end with a number"
)

// Canonical returns a URL in the one spelling that is stored, or a problem: why no product can match it, and what to
// write instead. Products compare a URL as text, so the spelling is that of browsers: lower case, an international host
// name in its xn-- form, no default port. A pattern stays as it is.
//
// The Java client of the original Open Licenser compares host names alone, whatever the port. Its browser client
// compares the whole URL with location.origin, port included, and knows no "re:".
func Canonical(text string) (canonical, problem string) {
	if pattern, isPattern := strings.CutPrefix(text, prefix); isPattern {
		return text, patternProblem(pattern)
	}
	authority, path := splitURL(text)
	problem = cmp.Or(visibleProblem(strings.TrimSuffix(text, path), isInvisibleInHost),
		visibleProblem(path, unicodetext.IsInvisible))
	if problem != "" {
		return "", problem
	}
	parsed, err := url.Parse(text)
	switch {
	case strings.Contains(authority, "*"):
		return "", wantNoWildcard
	case strings.Contains(authority, "@"):
		return "", "must have no user name and no password"
	case err != nil && strings.HasPrefix(authority, "["):
		return "", wantIPv6
	case err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "":
		return "", wantURL
	case !utf8.ValidString(text + parsed.Host): // the host had percent escapes
		return "", wantURL
	}
	port, problem := canonicalPort(parsed.Scheme, parsed.Port())
	if problem != "" {
		return "", problem
	}
	host, problem := canonicalHost(parsed.Hostname(), strings.HasPrefix(authority, "["))
	if problem != "" {
		return "", problem
	}
	canonical = parsed.Scheme + "://" + host + port + path
	if max(utf8.RuneCountInString(text), utf8.RuneCountInString(canonical)) > MaxURL {
		return "", fmt.Sprintf("must be at most %d characters", MaxURL)
	}
	return canonical, ""
}

// visibleProblem returns what is wrong with a text that has an invisible character, or nothing.
func visibleProblem(text string, isInvisible func(rune) bool) string {
	i := strings.IndexFunc(text, isInvisible)
	if i < 0 {
		return ""
	}
	hidden, _ := utf8.DecodeRuneInString(text[i:])
	return fmt.Sprintf("must be without spaces and invisible characters; it has %U", hidden)
}

// isInvisibleInHost lets the joiners pass: host names in Persian and in Indic scripts have them, and canonicalHost
// refuses them elsewhere. In a path nothing would.
func isInvisibleInHost(c rune) bool {
	return unicodetext.IsInvisible(c) && c != zeroWidthNonJoiner && c != zeroWidthJoiner
}

const (
	zeroWidthNonJoiner = '\u200C'
	zeroWidthJoiner    = '\u200D'
)

// splitURL returns the authority (RFC 3986 section 3.2) and all that follows. A URL without a scheme begins with it.
func splitURL(text string) (authority, path string) {
	if _, rest, hasScheme := strings.Cut(text, "://"); hasScheme {
		text = rest
	}
	if end := strings.IndexAny(text, "/?#"); end >= 0 {
		return text[:end], text[end:]
	}
	return text, ""
}

// canonicalPort returns the port with its colon. Browsers leave out the default port.
func canonicalPort(scheme, port string) (canonical, problem string) {
	if port == "" {
		return "", ""
	}
	number, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || number == 0:
		return "", "must have a port from 1 to 65535, or none"
	case scheme == "http" && number == 80, scheme == "https" && number == 443:
		return "", ""
	}
	return ":" + strconv.FormatUint(number, 10), ""
}

// hostNames brings host names into the form that browsers look up (https://www.unicode.org/reports/tr46/). Hyphens and
// ASCII are left to labelProblem, which says what is wrong. It also allows the _, which hosts of some networks have.
var hostNames = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(false))

// canonicalHost returns the host as browsers write it. An address is a host that a product may run on.
func canonicalHost(host string, isBracketed bool) (canonical, problem string) {
	if isBracketed {
		address, err := netip.ParseAddr(host)
		if err != nil || !address.Is6() || address.Is4In6() || address.Zone() != "" {
			return "", wantIPv6
		}
		return "[" + address.String() + "]", ""
	}
	ascii, err := hostNames.ToASCII(host)
	written, _ := hostNames.ToUnicode(host)
	for label := range strings.SplitSeq(written, ".") { // before err, because it says what to do
		if problem := labelProblem(label); problem != "" {
			return "", problem
		}
	}
	labels := strings.Split(ascii, ".")
	switch {
	case err != nil:
		return "", "must have a host name that browsers accept; this one's international characters make none (UTS #46)"
	case len(ascii) > maxHostName:
		return "", fmt.Sprintf("must have a host name of at most %d characters", maxHostName)
	case slices.ContainsFunc(labels, func(label string) bool { return len(label) > maxLabel }):
		return "", fmt.Sprintf("must have at most %d characters between two dots of its host name, as xn--", maxLabel)
	case isNumber(labels[len(labels)-1]):
		if address, err := netip.ParseAddr(ascii); err != nil || !address.Is4() {
			return "", wantIPv4
		}
	}
	return ascii, ""
}

// maxLabel is the longest label (RFC 1035 section 2.3.4).
const maxLabel = 63

// labelProblem returns what is wrong with a label in its Unicode form, or nothing.
func labelProblem(label string) string {
	switch {
	case label == "":
		return "must have a host name without empty parts: with no dot first, last or beside another"
	case strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-"):
		return "must have a host name with no hyphen first, last or beside a dot"
	case strings.ContainsFunc(label, isNoHostCharacter):
		return "must have a host name of letters, digits, hyphens and underscores, with dots between them"
	}
	return ""
}

func isNoHostCharacter(c rune) bool {
	return c < utf8.RuneSelf && c != '-' && c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
}

// isNumber reports whether browsers take a host that ends with the label for an IPv4 address
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func isNumber(label string) bool {
	if digits, isHex := strings.CutPrefix(label, "0x"); isHex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
