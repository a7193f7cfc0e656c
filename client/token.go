package licensing

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const tokenSubject = "authorization_token"

// errUnknownKey reports a token whose kid none of the keys has.
var errUnknownKey = errors.New("the token is signed with a key that this product does not know")

// grant is what a genuine token says. Its times are not yet compared with the clock.
type grant struct {
	license License
	kid     string
	issued  time.Time // iat
	from    time.Time // the later one of iat and nbf
	expires time.Time // exp
}

// fits returns how the token goes with the clock: nil, or ErrClock. There is no leeway for exp, and skew for iat and
// nbf.
func (g grant) fits(now time.Time, skew time.Duration) error {
	switch {
	case g.from.After(now.Add(skew)):
		return fmt.Errorf("%w: the token is good from %s on", ErrClock, g.from.Format(time.RFC3339))
	case !now.Before(g.expires):
		return fmt.Errorf("%w, or the token is old: it has expired at %s", ErrClock, g.expires.Format(time.RFC3339))
	}
	return nil
}

// trimToken drops what stands around the token of a license file.
func trimToken(text string) string { return strings.Trim(text, " \t\r\n\ufeff") }

// readToken checks the signature of a token, and whether it is for this license and this device.
func (r rules) readToken(text string, keys []publicKey) (*grant, error) {
	claims := jwt.MapClaims{} // a struct would take expirationDate for expirationdate
	kid := ""
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}), jwt.WithJSONNumber(),
		jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	_, err := parser.ParseWithClaims(trimToken(text), claims, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical {
			return nil, errors.New("the header has crit, and no extension is known") // RFC 7515 section 4.1.11
		}
		value, has := t.Header["kid"]
		kid, _ = value.(string)
		if has && kid == "" {
			return nil, errors.New("the kid is no text")
		}
		set := jwt.VerificationKeySet{}
		for _, k := range withKid(keys, kid) {
			set.Keys = append(set.Keys, k.key)
		}
		if len(set.Keys) == 0 {
			return nil, errUnknownKey
		}
		return set, nil
	})
	if err != nil {
		return nil, fmt.Errorf("no token of this vendor: %w", err)
	}
	g, err := readClaims(claims)
	if err != nil {
		return nil, err
	}
	g.kid = kid
	switch device := g.license.Device; {
	case r.licenseID == "" || !strings.EqualFold(g.license.ID, r.licenseID):
		return nil, errors.New("the token is for another license")
	case device != "" && device != deviceID(g.license.ID, r.fingerprint):
		return nil, errors.New("the token is for another device")
	}
	return g, nil
}

func readClaims(claims jwt.MapClaims) (*grant, error) {
	if subject, _ := claims["sub"].(string); subject != tokenSubject {
		return nil, errors.New("the JWT is no authorization token")
	}
	var g grant
	var err error
	for name, into := range map[string]*time.Time{
		"exp": &g.expires, "iat": &g.issued, "nbf": &g.from, "expirationdate": &g.license.Expires,
	} {
		value, has := claims[name]
		if !has && name == "nbf" {
			continue
		}
		number, isNumber := value.(json.Number)
		seconds, errNumber := number.Int64()
		if !isNumber || errNumber != nil {
			err = errors.Join(err, fmt.Errorf("the claim %s is no number of seconds", name))
		}
		*into = time.Unix(seconds, 0).UTC()
	}
	if g.issued.After(g.from) {
		g.from = g.issued
	}
	for name, into := range map[string]*string{
		"licenseid": &g.license.ID, "customername": &g.license.CustomerName, "device": &g.license.Device,
	} {
		isText := true
		if value, has := claims[name]; has {
			*into, isText = value.(string)
		}
		if !isText {
			err = errors.Join(err, fmt.Errorf("the claim %s is no text", name))
		}
	}
	if until, has := claims["updatesuntil"]; has {
		written, _ := until.(string)
		parsed, errDate := time.Parse(time.RFC3339, written)
		if errDate != nil {
			err = errors.Join(err, errors.New("the claim updatesuntil is no date"))
		}
		g.license.UpdatesUntil = parsed
	}
	services, _ := claims["services"].(string)
	urls, _ := claims["appurls"].(string)
	g.license.Services, g.license.AppURLs = readServices(services), readAppURLs(urls)
	return &g, err
}
