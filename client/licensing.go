// Package licensing lets a product run while its license says so. It trades the license key for a token, keeps the
// token on disk, asks again once a day, goes on without the service as long as it may, and stops at a definite no.
//
// The package knows products, and nothing of AWS or of the vendor. What every client must do, in whatever language,
// stands in clients/vectors of the repository; the tests of this package run it.
package licensing

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Version is the version of this module.
const Version = "1.0.0"

// Config says which license a product has, and how it goes by it.
type Config struct {
	// URL is that of the service, as https://licenses.example.com. Required.
	URL string

	// Key is the license key as the customer has pasted it, long or short. Without one nobody is asked, and the status
	// is Unknown until SetKey.
	Key string

	// Trusted are the public keys that the product brings: a JWK set or PEM, as licenser token-key export writes it, in
	// UTF-8. What is no RSA public key is left out, and an error if none is left.
	// Required, unless TrustOnFirstUse is set.
	Trusted []byte

	// TrustOnFirstUse says that keys may be fetched from the service, and then are kept. A token of an unknown key has
	// them fetched anew. Whoever rules the first connection rules the product. A product whose license is worth a
	// forgery brings its keys instead.
	TrustOnFirstUse bool

	// Service is the serviceValue that this product is, or nothing where the vendor sells one product only. A license
	// without it is a refusal. All products of a vendor share the keys, so without it any license of theirs will do.
	Service string

	// Released is when this version of the product was released. A license whose updates ended before is a refusal.
	Released time.Time

	// Fingerprint tells this computer from others: see FingerprintOf. Licenses with devices need it.
	Fingerprint string

	// DeviceName is what the customer sees of this computer in lists of devices: up to 32 bytes.
	DeviceName string

	// Store keeps what was answered: Dir or Memory. Required. One that panics ends the program, as in all of Go.
	Store Store

	// Refresh is how long after an answer the service is asked again, give or take a tenth. It is 24 hours unless set,
	// and a minute at least. However long it is, the service is asked at half of a token's remaining life.
	Refresh time.Duration

	// Offline is for how long a product runs without an answer. Unless set, it runs as long as its token is valid.
	Offline time.Duration

	// Skew is how far this computer's clock may be behind the service's. It is five minutes unless set.
	Skew time.Duration

	// HTTP sends the requests. Unless set, proxies are those of the environment, and a request has 15 seconds.
	// Redirects are never followed.
	HTTP *http.Client

	// Log gets what went wrong. Unless set, nobody does. It never gets the license key or the token. A handler that
	// panics ends the program, as in all of Go.
	Log *slog.Logger
}

// Status is what a product goes by.
type Status int

// All but Active, Grace and Offline end the product, or the feature of it.
const (
	Unknown        Status = iota // there was no answer yet
	Active                       // the license may be used
	Grace                        // the license has ended, and its days of grace have not: tell the customer to renew
	Offline                      // as Active; but the last attempt brought no answer about the license
	Refused                      // the service, or what the license says, is a definite no: see State.Reason
	ClockBack                    // the clock was set back by more than a day, or is behind the token
	OfflineTooLong               // no answer for too long: the token has expired, or Config.Offline has passed
)

var statusNames = [...]string{"Unknown", "Active", "Grace", "Offline", "Refused", "ClockBack", "OfflineTooLong"}

// String returns the name of the constant.
func (s Status) String() string {
	if s < 0 || int(s) >= len(statusNames) {
		return fmt.Sprintf("Status(%d)", int(s))
	}
	return statusNames[s]
}

// Usable reports whether the product may run.
func (s Status) Usable() bool { return s == Active || s == Grace || s == Offline }

// State is what is known of the license at one moment.
type State struct {
	Status  Status
	Reason  Code    // why, where the status is Refused
	License License // zero where there is no token

	CheckedAt   time.Time // when the service last said yes or no, by this computer's clock
	UsableUntil time.Time // until when the product runs if there is no further answer; zero where there is no token
	RetryAt     time.Time // when the service is asked next; zero for never
	Err         error     // why the last attempt brought no answer about the license; never a refusal
}

// Code is why a license may not be used: as the service says it, or one of the two below.
type Code string

// The definite answers of the service. Others that begin with LICENSE_ may come.
const (
	InvalidLicense     Code = "INVALID_LICENSE"      // no license key of this vendor, or its license is gone
	LicenseRevoked     Code = "LICENSE_REVOKED"      // the vendor ended it
	LicenseSuspended   Code = "LICENSE_SUSPENDED"    // the vendor stopped it for now
	LicenseExpired     Code = "LICENSE_EXPIRED"      // its end and its days of grace have passed
	DeviceLimitReached Code = "DEVICE_LIMIT_REACHED" // other devices hold all seats: see Client.Devices
)

// What this package says itself of a license that the service has granted.
const (
	ServiceNotLicensed Code = "SERVICE_NOT_LICENSED" // the license is without Config.Service
	UpdatesEnded       Code = "UPDATES_ENDED"        // this version was released after the license's end of updates
)

// Refusal is the error of a license that may not be used.
type Refusal struct{ Code Code }

func (r *Refusal) Error() string { return "the license may not be used: " + string(r.Code) }

// The errors of Client.Check besides a *Refusal.
var (
	ErrUnlicensed = errors.New("there is no license yet")
	ErrOffline    = errors.New("the license service was not reached for too long")
	ErrClock      = errors.New("the clock of this computer is wrong")
)

// ServerError is an answer of the service that says nothing about the license: a fault, or a mistake in the request.
type ServerError struct {
	Status int  // of HTTP
	Code   Code // empty where the answer has none, as that of a captive portal
}

func (e *ServerError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("an answer with status %d that is none of the license service", e.Status)
	}
	return fmt.Sprintf("the license service answered %d %s", e.Status, e.Code)
}
