package licensing

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	defaultRefresh = 24 * time.Hour
	defaultSkew    = 5 * time.Minute
)

// rules returns what follows from the configuration, or all that is wrong with it.
func (c Config) rules() (rules, *url.URL, error) {
	var problems []error
	refuse := func(format string, values ...any) { problems = append(problems, fmt.Errorf(format, values...)) }

	base, err := url.Parse(c.URL)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" {
		refuse("URL %q is no http(s) URL", c.URL)
	}
	r := rules{
		fingerprint: c.Fingerprint, service: c.Service, released: c.Released, firstUse: c.TrustOnFirstUse,
		refresh: max(cmp.Or(c.Refresh, defaultRefresh), minRefresh), offline: c.Offline,
		skew: cmp.Or(c.Skew, defaultSkew),
	}
	if len(c.Trusted) > 0 {
		if r.trusted, err = readKeys(c.Trusted); err != nil {
			refuse("Trusted: %w", err)
		}
	} else if !c.TrustOnFirstUse {
		refuse("there is neither Trusted nor TrustOnFirstUse")
	}
	if c.Store == nil {
		refuse("there is no Store")
	}
	if c.Refresh < 0 || c.Offline < 0 || c.Skew < 0 {
		refuse("Refresh, Offline and Skew must not be negative")
	}
	if c.Fingerprint != "" && !isFingerprint(c.Fingerprint) {
		refuse("Fingerprint is not 8 to 256 printable ASCII characters")
	}
	if len(c.DeviceName) > 32 {
		refuse("DeviceName has more than 32 bytes")
	}
	return r.withKey(c.Key), base, errors.Join(problems...)
}

func (r rules) withKey(pasted string) rules {
	r.key = cleanKey(pasted)
	r.licenseID = licenseIDOf(r.key)
	return r
}

func isFingerprint(text string) bool {
	isOther := func(c rune) bool { return c < ' ' || c > '~' }
	return len(text) >= 8 && len(text) <= 256 && !strings.ContainsFunc(text, isOther)
}
