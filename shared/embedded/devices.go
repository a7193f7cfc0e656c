package embedded

import (
	"cmp"
	"context"

	"go.etcd.io/bbolt"

	"openlicenser/shared/device"
)

// Devices is the device.Store in a data folder.
type Devices struct{ db *database }

var _ device.Store = (*Devices)(nil)

// Seats implements device.Store.
func (d *Devices) Seats(ctx context.Context, licenseID string) (seats *device.Seats, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = d.db.View(func(tx *bbolt.Tx) error {
		seats, err = readSeats(tx, licenseID)
		return err
	})
	return seats, err
}

func readSeats(tx *bbolt.Tx, licenseID string) (*device.Seats, error) {
	var seats device.Seats
	found, err := getJSON(tx.Bucket(devicesBucket), []byte(licenseID), &seats)
	if err != nil || !found {
		return nil, err
	}
	return &seats, nil
}

// Write implements device.Store.
func (d *Devices) Write(ctx context.Context, licenseID string, w device.Write) error {
	return write(ctx, d.db, func(tx *bbolt.Tx) (refusal, err error) {
		before, err := readSeats(tx, licenseID)
		if err != nil {
			return nil, err
		}
		after, refusal := w.Apply(before)
		if refusal != nil {
			return refusal, nil
		}
		return nil, putJSON(tx.Bucket(devicesBucket), []byte(licenseID), after)
	})
}

// ForgetNames implements device.Store.
func (d *Devices) ForgetNames(ctx context.Context, licenseID string) error {
	return write(ctx, d.db, func(tx *bbolt.Tx) (refusal, err error) {
		seats, err := readSeats(tx, licenseID)
		if err == nil && seats != nil {
			err = putJSON(tx.Bucket(devicesBucket), []byte(licenseID), seats.WithoutNames())
		}
		return nil, cmp.Or(err, d.db.markScrub(tx))
	})
}

// Remove implements device.Store.
func (d *Devices) Remove(ctx context.Context, licenseID string) error {
	return write(ctx, d.db, func(tx *bbolt.Tx) (refusal, err error) {
		return nil, tx.Bucket(devicesBucket).Delete([]byte(licenseID))
	})
}
