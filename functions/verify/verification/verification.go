// Package verification serves products: it exchanges a license key for an authorization token, and publishes the keys
// that tokens are checked with. It reads licenses and changes none. All that it writes are the seats of devices, and
// the signatures of tokens, so that a token can be given again. It knows no AWS: requests, licenses, seats, keys and
// signatures come through ports.
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

	"openlicenser/shared/api"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
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
	Devices    device.Store // nil: a license with devices is a fault of ours
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
		MaxBody: maxBody,
		Routes: api.Routes{
			"POST /verify-license":       v.verify,
			"POST /list-devices":         v.listDevices,
			"POST /release-device":       v.releaseDevice,
			"GET /.well-known/jwks.json": v.keySet,
			"GET /public-key.pem":        v.publicKeyPEM,
			"GET /activate":              v.activate,
		},
		Public: []string{
			"POST /verify-license", "POST /list-devices", "POST /release-device", "GET /.well-known/jwks.json",
			"GET /public-key.pem", "GET /activate", api.Unrouted,
		},
		Fallback: v.verify,
		Failure:  failure,
		Render:   render,
		Log:      v.Log,
	}
}

func (v Verifier) verify(ctx context.Context, r api.Request) (api.Response, error) {
	asked, err := readRequest(r)
	if err != nil {
		return api.Response{}, err
	}
	now := v.Now()
	found, err := v.find(ctx, asked, now)
	if err != nil {
		return api.Response{}, err
	}
	if err := usable(found.license, now); err != nil {
		return api.Response{}, err
	}
	var authorization string
	if found.license.MaxDevices > 0 {
		authorization, err = v.authorizeDevice(ctx, asked, found, now)
	} else {
		authorization, err = v.authorize(ctx, found, now)
	}
	if err != nil {
		return api.Response{}, err
	}
	response, err := api.JSON(http.StatusOK, struct {
		Message string `json:"message"`
	}{authorization})
	return withCaching(response, "no-store"), err
}

func (v Verifier) authorize(ctx context.Context, found lookup, now time.Time) (string, error) {
	authorization, signature, err := v.Authorizer.Authorize(ctx, found.license, now, found.signature.Signature)
	if err == nil {
		v.Reuse.keep(ctx, found.id, "", found.signature, signature, signature.SignedAt.Add(v.Reuse.period))
	}
	return authorization, err
}

// lookup is the result of reading a license, the signature of a token that it may be given again, and the seats of its
// devices where the request names one.
type lookup struct {
	id        string
	license   license.License
	signature reusable
	device    deviceLookup
	err       error
}

// find returns the license that a request's key proves, with what is read beside it.
func (v Verifier) find(ctx context.Context, asked request, now time.Time) (lookup, error) {
	found := v.readAhead(ctx, asked, now) // before the key is proved; only the id that it proves counts
	id, err := v.licenseID(ctx, asked.key, now)
	if err != nil {
		return lookup{}, err
	}
	telemetry.Note(ctx, slog.String("licenseid", id))
	if found.id != id {
		found = v.read(ctx, id, asked, now)
	}
	if found.err != nil {
		return lookup{}, found.err
	}
	telemetry.Note(ctx, slog.String("customerid", found.license.CustomerID))
	return found, nil
}

func (v Verifier) read(ctx context.Context, id string, asked request, now time.Time) lookup {
	found := v.Reuse.read(ctx, v.Licenses, id, asked.deviceOn(id), now)
	if asked.deviceOn(id) != "" && found.license.MaxDevices > 0 && !found.device.isRead {
		found.device.seats, found.device.err = v.readSeats(ctx, id)
	}
	return found
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
