package token

import (
	"context"
	"errors"
	"time"
)

// Secrets is the port through which license keys are signed and verified. An error is a fault of ours, never of a
// license key.
type Secrets interface {
	// Ring returns the ring, which may be one from memory.
	Ring(ctx context.Context) (Ring, error)
	// Refresh returns a ring that is at most a minute old, for a key whose signature matches no secret.
	// Calling it often costs no more than calling it once a minute.
	Refresh(ctx context.Context) (Ring, error)
}

// RingStore is the port through which a person reads and changes the stored ring.
type RingStore interface {
	// Read returns the ring as it is stored now.
	Read(ctx context.Context) (Ring, error)
	// Change replaces the stored ring by what edit makes of it, and returns that. An error of edit changes nothing. A
	// store that several people share refuses a change that another one has overtaken; the error says so.
	Change(ctx context.Context, edit func(Ring) (Ring, error)) (Ring, error)
	// Rotate gives the current secret a successor. It reports whether that is done, or else only begun: a store may
	// have a rotation of its own, with a clock of its own.
	Rotate(ctx context.Context, now time.Time) (done bool, err error)
}

// RingVersions is the port through which a stored ring is rotated in steps. The store keeps several versions of it.
// One of them is current: the ring in force. Another may be pending: the store has announced it, and it becomes
// current at the end of the rotation. Each call takes effect wholly or not at all, and an error but ErrNoRing leaves
// open which.
type RingVersions interface {
	// Find returns which version is current, empty for none, and whether another one is pending. A version may be both.
	Find(ctx context.Context, secretID, version string) (current string, isPending bool, err error)
	// Get returns the ring of a version, or ErrNoRing.
	Get(ctx context.Context, secretID, version string) (Ring, error)
	// PutPending stores the ring of the pending version, which is never replaced: put again, it must be the same.
	PutPending(ctx context.Context, secretID, version string, r Ring) error
	// DropPending makes a version pending no more.
	DropPending(ctx context.Context, secretID, version string) error
	// MakeCurrent puts one version into force in place of another. Where that one is not current any more, it is an
	// error.
	MakeCurrent(ctx context.Context, secretID, from, to string) error
}

// ErrNoRing is returned by RingVersions.Get for a version that is announced, and holds no ring yet.
var ErrNoRing = errors.New("the version has no value")
