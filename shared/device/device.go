// Package device is about seats: which devices may use a license at the same time. A seat is a lease that ends when the
// last token of its device expires. All seats of a license are in one item, and each change is one conditional write of
// it. So there is no counter to repair, and a lost device frees its seat by itself. The package must not know AWS,
// HTTP, or how tokens are made.
package device

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"openlicenser/shared/unicodetext"
)

// The bounds of what a product tells of its device.
const (
	minFingerprint = 8
	maxFingerprint = 256
	MaxName        = 32 // bytes
)

// IsFingerprint reports whether a text can tell a device from others: 8 to 256 printable ASCII characters, whatever the
// product has chosen.
func IsFingerprint(text string) bool {
	isOther := func(c rune) bool { return c < ' ' || c > '~' }
	return len(text) >= minFingerprint && len(text) <= maxFingerprint && !strings.ContainsFunc(text, isOther)
}

// ID returns the id of a device on a license: the first 128 bits of SHA-256 over the license id, a zero byte and the
// fingerprint, in base64url. The fingerprint itself is stored nowhere, and one computer has another id on each license.
func ID(licenseID, fingerprint string) string {
	sum := sha256.Sum256([]byte(licenseID + "\x00" + fingerprint))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// IsID reports whether a text can be the id of a device.
func IsID(text string) bool {
	id, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(id) == 16 && len(text) == 22
}

// CleanName returns a device's name without characters that no name has: controls, and those that make it look like
// another one.
func CleanName(name string) string {
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicodetext.IsControl(c) || unicodetext.IsBidiControl(c) || c == utf8.RuneError {
			return -1
		}
		return c
	}, name))
}

// Seat is the lease of a device.
type Seat struct {
	Until time.Time // whole seconds; no token of the device is valid from then on
	Since time.Time // whole milliseconds; no other seat of the item has it, and later seats have a later one
	Name  string    // for people
}

// Seats are all seats of a license.
type Seats struct {
	Epoch    int64           // of the license, when the first seat was taken: see license.License.SeatsEpoch
	Held     map[string]Seat // by the device's id; also those that have ended and were not overwritten yet
	Youngest time.Time       // the latest Since that was given
	Released []time.Time     // the ends of tokens whose seats were given back before that
}

// Device is a device that holds a seat.
type Device struct {
	ID string
	Seat
}

// isHeld reports whether no other device may have the seat: it has not ended, or not for long enough.
func (s Seat) isHeld(now time.Time) bool { return s.Until.Add(clockSlack).After(now) }

// Devices returns the devices that hold a seat that has not ended, oldest first.
func (s *Seats) Devices(epoch int64, now time.Time) []Device {
	return s.devices(epoch, func(seat Seat) bool { return seat.Until.After(now) })
}

// InTheWay returns the devices whose seats no other device may have, oldest first. Some of them can have ended minutes
// ago.
func (s *Seats) InTheWay(epoch int64, now time.Time) []Device {
	return s.devices(epoch, func(seat Seat) bool { return seat.isHeld(now) })
}

func (s *Seats) devices(epoch int64, isWanted func(Seat) bool) (devices []Device) {
	if s == nil || s.Epoch != epoch {
		return nil
	}
	for id, seat := range s.Held {
		if isWanted(seat) {
			devices = append(devices, Device{id, seat})
		}
	}
	slices.SortFunc(devices, func(a, b Device) int { return a.Since.Compare(b.Since) })
	return devices
}

// IDs returns the ids of all devices that have a seat, be it one that has ended.
func (s *Seats) IDs() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.Held))
}

// WithoutNames returns the same seats without their names. A nil stands for no seats.
func (s *Seats) WithoutNames() *Seats {
	if s == nil {
		return nil
	}
	nameless := *s
	nameless.Held = make(map[string]Seat, len(s.Held))
	for id, seat := range s.Held {
		seat.Name = ""
		nameless.Held[id] = seat
	}
	return &nameless
}

// ErrConflict reports that the seats are not as they were read. Nothing was written.
var ErrConflict = errors.New("the seats have changed meanwhile")

// Store keeps the seats of licenses. A write that was acknowledged is durable. Any error other than ErrConflict leaves
// the outcome of a write unknown.
type Store interface {
	// Seats returns the seats of a license, and nil where none was ever taken. It is strongly consistent: it sees every
	// write acknowledged before. An error says nothing of seats.
	Seats(ctx context.Context, licenseID string) (*Seats, error)

	// Write changes the seats of a license, or returns ErrConflict. A write that the store repeats because its response
	// was lost may return ErrConflict too, although it was made.
	Write(ctx context.Context, licenseID string, w Write) error

	// ForgetNames takes the names out of the seats of a license, and leaves the seats. Where there are none it does
	// nothing. It returns ErrConflict where others change the seats all the time.
	ForgetNames(ctx context.Context, licenseID string) error

	// Remove removes the seats of a license that is gone. Where there are none it does nothing.
	Remove(ctx context.Context, licenseID string) error
}
