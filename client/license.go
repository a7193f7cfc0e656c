package licensing

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// License is what a token says of its license.
type License struct {
	ID           string
	CustomerName string
	Expires      time.Time // without days of grace; far away for a license without an end
	UpdatesUntil time.Time // zero where updates have no end
	Device       string    // the id of this device, where the license is for devices
	Services     []Service
	AppURLs      []string
}

// Service is a product, module or feature that the vendor sells.
type Service struct{ Name, Value string }

// Allows reports whether the license has a service of that value.
func (l License) Allows(service string) bool {
	return slices.ContainsFunc(l.Services, func(s Service) bool { return s.Value == service })
}

// AllowsHost reports whether one of the license's application URLs allows a host, as https://app.example.com allows
// app.example.com. The host may have a port, which does not count. Write it as browsers do: an international name in
// its xn-- form, an IPv6 address in its shortest. A license without application URLs allows no host.
// None allows a host of more than 255 characters.
func (l License) AllowsHost(host string) bool {
	host, ok := hostOf(host)
	return ok && slices.ContainsFunc(l.AppURLs, func(url string) bool { return urlAllows(url, host) })
}

// urlAllows compares host names as text. A re: searches the host, as the original's Java client does. New ones are
// anchored. One that RE2 cannot read allows nothing.
func urlAllows(url, host string) bool {
	if pattern, isPattern := strings.CutPrefix(url, "re:"); isPattern {
		compiled, err := regexp.Compile(pattern)
		return err == nil && compiled.MatchString(host)
	}
	scheme, rest, _ := strings.Cut(url, "://")
	if scheme = lowerASCII(scheme); scheme != "http" && scheme != "https" {
		return false
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	allowed, ok := hostOf(rest)
	return ok && allowed == host
}

// maxHost is more than the 253 of RFC 1035 section 2.3.4, and the longest host that patterns search.
const maxHost = 255 // characters

// hostOf returns a host in lower case without port and brackets. What can be none is not ok.
func hostOf(authority string) (host string, ok bool) {
	if strings.ContainsFunc(authority, isNoHostCharacter) {
		return "", false
	}
	host, port := lowerASCII(authority), ""
	if inside, isAddress := strings.CutPrefix(host, "["); isAddress {
		var closed bool
		if host, port, closed = strings.Cut(inside, "]"); !closed {
			return "", false
		}
		if port != "" && !strings.HasPrefix(port, ":") {
			return "", false
		}
		port = strings.TrimPrefix(port, ":")
	} else if strings.Count(host, ":") == 1 {
		host, port, _ = strings.Cut(host, ":")
	}
	return host, host != "" && utf8.RuneCountInString(host) <= maxHost && strings.Trim(port, "0123456789") == ""
}

func isNoHostCharacter(c rune) bool {
	return c <= ' ' || c == 0x7F || strings.ContainsRune(`/?#@\*`, c)
}

func lowerASCII(text string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, text)
}

// readServices returns none where the claim cannot be read: the product is refused then.
func readServices(claim string) (services []Service) {
	for _, member := range readList(claim) {
		services = append(services, Service{Name: text(member["serviceName"]), Value: text(member["serviceValue"])})
	}
	return services
}

func readAppURLs(claim string) (urls []string) {
	for _, member := range readList(claim) {
		urls = append(urls, text(member["URL"]))
	}
	return urls
}

func readList(claim string) (list []map[string]json.RawMessage) {
	if json.Unmarshal([]byte(claim), &list) != nil {
		return nil
	}
	return list
}
