package issuance

import (
	"context"
	"errors"
	"strings"

	"openlicenser/shared/api"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
)

// licenseID returns the id in the path. What is no UUID is no license of ours.
func licenseID(r api.Request) (string, error) {
	id := r.PathParameter("licenseid")
	if !license.IsUUID(id) {
		return "", license.ErrNotFound
	}
	return id, nil
}

// spellings returns the ways to write an id in which it is looked for, in this order: as it is given, then in lower
// case, or in upper case where it is in lower case already. Ids are stored in lower case, but by other tools perhaps in
// upper case. Each further way costs a read, and only where the ways before have found nothing.
func spellings(id string) []string {
	other := strings.ToLower(id)
	if other == id {
		other = strings.ToUpper(id)
	}
	if other == id {
		return []string{id}
	}
	return []string{id, other}
}

// read returns the license that the path names, or license.ErrNotFound.
func (i Issuer) read(ctx context.Context, r api.Request) (l license.License, err error) {
	asked, err := licenseID(r)
	if err != nil {
		return license.License{}, err
	}
	for _, id := range spellings(asked) {
		l, err = i.Licenses.Get(ctx, id)
		if err == nil {
			note(ctx, l)
		}
		if !errors.Is(err, license.ErrNotFound) {
			break
		}
	}
	return l, err
}

// head returns the end of a license's chain, and the id that the chain has. Where there is no chain, that is the id as
// it was asked for.
func (i Issuer) head(ctx context.Context, asked string) (id string, head audit.Head, err error) {
	for _, id := range spellings(asked) {
		head, err := i.Trail.Head(ctx, id)
		if err != nil || head != (audit.Head{}) {
			return id, head, err
		}
	}
	return asked, audit.Head{}, nil
}

// recordHash returns that of the license whose chain has the head. Before the chain's first entry its id is not known
// for sure.
func (i Issuer) recordHash(ctx context.Context, id string, head audit.Head) (record checkpoint.RecordHash, err error) {
	ids := []string{id}
	if head == (audit.Head{}) {
		ids = spellings(id)
	}
	for _, id := range ids {
		record, err = i.Records.Of(ctx, id)
		if err != nil || record.Hash != "" {
			break
		}
	}
	return record, err
}

// prove returns checkpoint.ErrNoLeaf where the checkpoint has no leaf of the license.
func (i Issuer) prove(ctx context.Context, asked string) (proof checkpoint.Proof, err error) {
	for _, id := range spellings(asked) {
		proof, err = checkpoint.Prove(ctx, i.Checkpoints, id)
		if !errors.Is(err, checkpoint.ErrNoLeaf) {
			break
		}
	}
	return proof, err
}

// page returns the query's page, and the query in whose customer id, of both spellings, there are licenses.
func (i Issuer) page(ctx context.Context, q license.Query) (page license.Page, _ license.Query, err error) {
	ids := spellings(q.CustomerID)
	if q.Position != "" {
		ids = ids[:1] // the cursor's
	}
	for _, q.CustomerID = range ids {
		page, err = i.Licenses.List(ctx, q)
		if err != nil || len(page.Licenses) > 0 || page.Next != "" {
			break
		}
	}
	return page, q, err
}

// canonicalPath is the request's path with the license's id in lower case, because in either case it names the same
// license.
func canonicalPath(r api.Request) string {
	id, err := licenseID(r)
	if err != nil {
		return r.Path()
	}
	return strings.Replace(r.Path(), id, strings.ToLower(id), 1)
}
