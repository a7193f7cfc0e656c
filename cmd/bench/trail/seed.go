//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
)

// begun is when the first license was issued. Each further one follows a second later.
var begun = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// licenseID returns the id of the license with a number. Ids ascend with the numbers, because a file is filled fastest
// from its start to its end, and are spread over all that there are.
func licenseID(number, licenses int) string {
	id := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "license ", number))
	binary.BigEndian.PutUint32(id[:], uint32(uint64(number)<<32/uint64(licenses)))
	return id.String()
}

// newLicense returns a license as it is after so many changes.
func newLicense(number, licenses int, version int64) license.License {
	issued := begun.Add(time.Duration(number) * time.Second)
	return license.License{
		ID:             licenseID(number, licenses),
		CustomerID:     uuid.NewSHA1(uuid.Nil, fmt.Append(nil, "customer ", number/100)).String(),
		CustomerName:   fmt.Sprintf("Example %07d Ltd", number/100),
		Services:       `[{"serviceName":"Reports","serviceValue":"reports"}]`,
		AppURLs:        `[{"URL":"https://app.example.com"}]`,
		ExpirationDate: issued.AddDate(20, 0, 0),
		Notes:          fmt.Sprint("change ", version),
		Version:        version,
		Created:        issued,
		Changed:        issued.Add(time.Duration(version-1) * time.Hour),
		ChangedBy:      "bench",
	}
}

// issue returns a license that has one to three entries, and its chain.
func issue(ctx context.Context, number, licenses int) (l license.License, links []link, err error) {
	var chain oneChain
	var old attribute.Map
	for version := range int64(1 + number%3) {
		l = newLicense(number, licenses, version+1)
		event := audit.Event{
			ID: uuid.NewString(), SequenceNumber: fmt.Sprint(version + 1), Time: l.Changed,
			LicenseID: l.ID, Old: old, New: l.Record(),
		}
		if err := (audit.Recorder{Store: &chain}).Record(ctx, event); err != nil {
			return license.License{}, nil, err
		}
		old = event.New
	}
	return l, chain.links, nil
}

// link is what a store was asked to append.
type link struct {
	from  audit.Head
	entry audit.Entry
	to    audit.State
}

// oneChain is as much of an audit.Store of one chain in memory as recording takes.
type oneChain struct {
	audit.Store
	links []link
}

func (c *oneChain) State(context.Context, string) (audit.State, error) {
	if len(c.links) == 0 {
		return audit.State{}, nil
	}
	return c.links[len(c.links)-1].to, nil
}

func (c *oneChain) Append(_ context.Context, from audit.Head, e audit.Entry, to audit.State) error {
	c.links = append(c.links, link{from, e, to})
	return nil
}

// writer is where a license and its chain are put.
type writer struct {
	licenses license.Store
	trail    audit.Store
	flush    func(context.Context) error // after the last one; may be nil
}

// seed puts licenses with their chains, by many workers at once, each with a writer of its own.
func seed(ctx context.Context, licenses, workers int, newWriter func() writer) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			w := newWriter()
			for number := int(next.Add(1)) - 1; number < licenses; number = int(next.Add(1)) - 1 {
				if err := w.put(ctx, number, licenses); err != nil {
					return err
				}
			}
			if w.flush == nil {
				return nil
			}
			return w.flush(ctx)
		})
	}
	return group.Wait()
}

func (w writer) put(ctx context.Context, number, licenses int) error {
	l, links, err := issue(ctx, number, licenses)
	if err != nil {
		return err
	}
	if err := w.licenses.Create(ctx, l); err != nil {
		return err
	}
	for _, l := range links {
		if err := w.trail.Append(ctx, l.from, l.entry, l.to); err != nil {
			return err
		}
	}
	return nil
}

// change changes so many licenses, each another one, and records that.
func (t *trail) change(ctx context.Context, licenses int) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(256)
	for range licenses {
		number := t.changed * 7919 % t.size // a prime, so that they are spread
		t.changed++
		group.Go(func() error { return t.changeOne(groupCtx, licenseID(number, t.size)) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return t.settle(ctx)
}

func (t *trail) changeOne(ctx context.Context, id string) error {
	before, err := t.licenses.Get(ctx, id)
	if err != nil {
		return err
	}
	after := before
	after.Version, after.Changed, after.Notes = before.Version+1, time.Now(), uuid.NewString()
	old, err := t.records.Record(ctx, id)
	if err != nil {
		return err
	}
	if err := t.licenses.Update(ctx, before, after); err != nil {
		return err
	}
	updated, err := t.records.Record(ctx, id)
	if err != nil {
		return err
	}
	return audit.Recorder{Store: t.store}.Record(ctx, audit.Event{
		ID: uuid.NewString(), SequenceNumber: fmt.Sprint(after.Version), Time: after.Changed,
		LicenseID: id, Old: old, New: updated,
	})
}
