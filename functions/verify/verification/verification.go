// Package verification serves products: it exchanges a license key for an authorization token, and publishes the keys
// that tokens are checked with. It reads licenses and changes none; all that it writes are the signatures of tokens,
// so that a token can be given again. It knows no AWS: requests, licenses, keys and signatures come through ports.
package verification

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/strictjson"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
)

// maxBody is the longest body in bytes that is read.
const maxBody = 64 << 10

// The errors that products are told of, besides those of packages license and token.
var (
	errBadRequest        = errors.New("the body is not a JSON object with the string licensekey")
	errMissingLicenseKey = errors.New("no licensekey")
	errRevoked           = errors.New("the license is revoked")
	errSuspended         = errors.New("the license is suspended")
	errExpired           = errors.New("the license is expired")
	errBadQuery          = errors.New("the query cannot be parsed, or has several kid")
	errUnknownKeyID      = errors.New("no published key has this kid")
)

// Verifier serves the routes of products.
type Verifier struct {
	Licenses   license.Reader
	Secrets    token.Secrets
	Authorizer token.Authorizer
	Reuse      Reuse
	Now        func() time.Time
	Log        *slog.Logger

	// prefetchedSecret is closed when Prefetch has the secret, or has failed to get it. It is nil without a Prefetch.
	prefetchedSecret <-chan struct{}
}

// Router returns the routes of the verifier. Whatever asks for no public key is a verification, because deployments of
// the original Open Licenser chose their own paths.
func (v Verifier) Router() api.Router {
	return api.Router{
		Function: "verify",
		MaxBody:  maxBody,
		Routes: api.Routes{
			"POST /verify-license":       v.verify,
			"GET /.well-known/jwks.json": v.keySet,
			"GET /public-key.pem":        v.publicKeyPEM,
		},
		Public:   []string{"POST /verify-license", "GET /.well-known/jwks.json", "GET /public-key.pem", api.Unrouted},
		Fallback: v.verify,
		Failure:  failure,
		Render:   render,
		Log:      v.Log,
	}
}

func (v Verifier) verify(ctx context.Context, r api.Request) (api.Response, error) {
	key, err := licenseKey(r)
	if err != nil {
		return api.Response{}, err
	}
	now := v.Now()
	found := v.readAhead(ctx, key, now) // before the key is proved; only the id that it proves counts
	id, err := v.licenseID(ctx, key, now)
	if err != nil {
		return api.Response{}, err
	}
	telemetry.Note(ctx, slog.String("licenseid", id))
	if found.id != id {
		found = v.read(ctx, id, now)
	}
	if found.err != nil {
		return api.Response{}, found.err
	}
	telemetry.Note(ctx, slog.String("customerid", found.license.CustomerID))
	if err := usable(found.license, now); err != nil {
		return api.Response{}, err
	}
	authorization, signature, err := v.Authorizer.Authorize(ctx, found.license, now, found.signature.Signature)
	if err != nil {
		return api.Response{}, err
	}
	v.Reuse.keep(ctx, id, found.signature, signature)
	response, err := api.JSON(http.StatusOK, struct {
		Message string `json:"message"`
	}{authorization})
	return withCaching(response, "no-store"), err
}

// lookup is the result of reading a license and the signature of a token that it may be given again.
type lookup struct {
	id        string
	license   license.License
	signature reusable
	err       error
}

func (v Verifier) read(ctx context.Context, id string, now time.Time) lookup {
	l, signature, err := v.Reuse.read(ctx, v.Licenses, id, now)
	return lookup{id, l, signature, err}
}

// licenseID returns the id of the license that the key proves. Where the key's signature matches no secret, the secret
// may have been changed since it was read. So it is read anew before the key is refused.
func (v Verifier) licenseID(ctx context.Context, key string, now time.Time) (string, error) {
	ring, err := v.Secrets.Ring(ctx)
	if err != nil {
		return "", fmt.Errorf("license-key secret: %w", err)
	}
	id, err := token.ReadLicenseKey(ring, key, now)
	if !errors.Is(err, token.ErrSignature) {
		return id, err
	}
	if ring, err = v.Secrets.Refresh(ctx); err != nil {
		return "", fmt.Errorf("license-key secret: %w", err)
	}
	return token.ReadLicenseKey(ring, key, now)
}

// lastText is a member of an object that may stand twice. The last one counts, whatever those before it are.
type lastText struct {
	text    string // empty for null
	isOther bool   // neither a string nor null
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *lastText) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = lastText{}
	if d.PeekKind() != jsontext.KindString {
		value, err := d.ReadValue()
		l.isOther = value.Kind() != jsontext.KindNull
		return err
	}
	text, err := d.ReadToken()
	if err == nil {
		l.text = text.String()
	}
	return err
}

// licenseKey returns the license key in the body, clean. As for the original, the last of two members licensekey
// counts, and bytes that are not UTF-8 do not matter elsewhere. A key of which cleaning leaves nothing is missing.
func licenseKey(r api.Request) (string, error) {
	body, err := r.Body(maxBody)
	if err != nil {
		return "", errBadRequest
	}
	var object struct {
		LicenseKey lastText `json:"licensekey"`
	}
	err = strictjson.Unmarshal(body, &object, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil || object.LicenseKey.isOther {
		return "", errBadRequest
	}
	key := token.CleanLicenseKey(object.LicenseKey.text)
	if key == "" {
		return "", errMissingLicenseKey
	}
	return key, nil
}

// usable returns why no token is given for a license, or nil.
func usable(l license.License, now time.Time) error {
	switch status := l.Status(now); status {
	case license.Active, license.Grace:
		return nil
	case license.Revoked:
		return errRevoked
	case license.Suspended:
		return errSuspended
	case license.Expired:
		return errExpired
	default: // license.Unreadable
		return l.UnreadableError()
	}
}

func (v Verifier) keySet(ctx context.Context, _ api.Request) (api.Response, error) {
	published, err := v.Authorizer.Key.Published(ctx)
	if err != nil {
		return api.Response{}, fmt.Errorf("public keys: %w", err)
	}
	var set token.KeySet
	for _, key := range published {
		set.Keys = append(set.Keys, token.NewJSONWebKey(key.Public))
	}
	response, err := api.JSON(http.StatusOK, set)
	return withCaching(response, publicKeyCaching), err
}

// chosenKey returns the published key that the query names by its kid, or else the one that signs now. A query that
// does not tell which is errBadQuery: to whoever has asked for one key, another is no answer.
func (v Verifier) chosenKey(ctx context.Context, r api.Request) (*rsa.PublicKey, error) {
	query, err := r.QueryValues()
	kids := slices.Compact(slices.Sorted(slices.Values(query["kid"])))
	switch {
	case err != nil || len(kids) > 1:
		return nil, errBadQuery
	case len(kids) == 0:
		return v.Authorizer.Key.PublicKey(ctx)
	}
	published, err := v.Authorizer.Key.Published(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range published {
		if token.KeyID(key.Public) == kids[0] {
			return key.Public, nil
		}
	}
	return nil, errUnknownKeyID
}

func (v Verifier) publicKeyPEM(ctx context.Context, r api.Request) (api.Response, error) {
	public, err := v.chosenKey(ctx, r)
	if err != nil {
		return api.Response{}, fmt.Errorf("public key: %w", err)
	}
	body, err := token.PublicKeyPEM(public)
	if err != nil {
		return api.Response{}, err
	}
	response := api.Response{
		Status: http.StatusOK,
		Header: map[string]string{"Content-Type": pemType(r.Header("Accept")), "Vary": "Accept"},
		Body:   body,
	}
	return withCaching(response, publicKeyCaching), nil
}

// publicKeyCaching lets a key be cached for an hour. Its successor is published for longer than that before it signs:
// see token.DefaultLead.
const publicKeyCaching = "public, max-age=3600"

func withCaching(r api.Response, caching string) api.Response {
	if r.Header != nil {
		r.Header["Cache-Control"] = caching
	}
	return r
}
