// Package idempotency lets a request that is sent twice take effect once. A client that sends it again with the same
// Idempotency-Key gets the first response again. It knows no HTTP and no AWS.
package idempotency

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"
)

// Lifetime is how long a response is kept.
const Lifetime = 24 * time.Hour

// MaxKey is the longest key in bytes.
const MaxKey = 255

// The errors of Begin and of a Store, to be tested with errors.Is.
var (
	ErrInFlight     = errors.New("a request with this key is under way")
	ErrOtherRequest = errors.New("the key was used for another request, or its request was forgotten")
	ErrGone         = errors.New("the record of the request is gone, or was forgotten")
)

// Request is a request that carries a key.
type Request struct {
	Key         string // of the record; see RecordKey
	Fingerprint string // of what is asked for
	ID          string // by which the first attempt marks what it changes
	At          time.Time
	NewID       string // the id of the license that it makes, if it makes one
	LicenseID   string // of the license that it is about, in lower case; NewID where it makes one; empty: not known
}

// isSame reports whether both requests are the same one, of which first was stored. That is so whatever new id each has
// for what it makes, and also where the license of the later one is found no more.
func (r Request) isSame(first Request) bool {
	isOther := first.LicenseID != "" && r.LicenseID != "" && r.LicenseID != r.NewID && r.LicenseID != first.LicenseID
	return r.Fingerprint == first.Fingerprint && !isOther
}

// RecordKey returns the key of the record for an Idempotency-Key. It keeps the keys of principals apart.
func RecordKey(principal, key string) string { return digest(principal, key) }

// Fingerprint returns a text that is the same for requests that ask for the same.
func Fingerprint(method, path, body string) string { return digest(method, path, body) }

func digest(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part)) // of one length, so that parts cannot run into each other
		hash.Write(sum[:])
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Response is the response to a request.
type Response struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// Record is what is stored about a request.
type Record struct {
	Request
	LeaseEnds time.Time // until then, the attempt counts as under way
	Expires   time.Time
	Response  *Response `json:"Answer"` // nil while there is none; the name is that in data folders
}

// Store keeps records. Each method is one conditional write.
type Store interface {
	// Put adds the record where there is none with its key, or one that has expired. Else it returns the one
	// that is there, and changes nothing.
	Put(ctx context.Context, r Record, now time.Time) (existing *Record, err error)

	// TakeOver moves the lease of a record without a response from one instant to another. It returns ErrInFlight
	// where someone else has moved it.
	TakeOver(ctx context.Context, key string, from, to time.Time) error

	// Complete stores the response in a record. It returns ErrGone, and stores nothing, where there is none or it was
	// forgotten.
	Complete(ctx context.Context, key string, r Response) error

	// Release removes a record whose request had no effect.
	Release(ctx context.Context, key string) error

	// Forget removes what a license has left in the records that were put up to now: responses, and fingerprints, which
	// a guess could be compared with. It does so of expired records and of requests that are under way too. The records
	// stay, so that nothing takes effect twice: whoever comes with their keys gets ErrOtherRequest. The record with the
	// key except is left as it is.
	Forget(ctx context.Context, licenseID, except string) error
}

// Outcome is what Begin found.
type Outcome struct {
	Response *Response // of an earlier attempt: nothing is left to do
	Request  Request   // of the first attempt, which marks what it changed with the request's ID
	Again    bool      // an earlier attempt may have had its effect
}

// Begin starts an attempt that may take until leaseEnds. It returns ErrInFlight while another attempt is under way, and
// ErrOtherRequest where the key came with another request.
func Begin(ctx context.Context, store Store, r Request, leaseEnds time.Time) (Outcome, error) {
	record := Record{Request: r, LeaseEnds: leaseEnds, Expires: r.At.Add(Lifetime)}
	existing, err := store.Put(ctx, record, r.At)
	switch {
	case err != nil:
		return Outcome{}, err
	case existing == nil:
		return Outcome{Request: r}, nil
	case !r.isSame(existing.Request):
		return Outcome{}, ErrOtherRequest
	case existing.Response != nil:
		return Outcome{Response: existing.Response, Request: existing.Request}, nil
	case r.At.Before(existing.LeaseEnds):
		return Outcome{}, ErrInFlight
	}
	// The earlier attempt has died, before its effect or after it. Whoever goes on must look which.
	if err := store.TakeOver(ctx, r.Key, existing.LeaseEnds, leaseEnds); err != nil {
		return Outcome{}, err
	}
	return Outcome{Request: existing.Request, Again: true}, nil
}
