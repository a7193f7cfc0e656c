package issuance

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
)

// licenseID returns the license id in the path, or license.ErrNotFound for what is no UUID.
func licenseID(r api.Request) (string, error) {
	id := r.PathParameter("licenseid")
	if !license.IsUUID(id) {
		return "", license.ErrNotFound
	}
	return id, nil
}

// spellings returns the spellings of an id in which to look for it, in this order. The first is the id as it is given.
// The second is in lower case, or in upper case where the first is in lower case already: we store ids in lower case,
// other tools perhaps in upper case. It costs a read more, but only where the first has found nothing.
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
func read(ctx context.Context, store license.Store, r api.Request) (l license.License, err error) {
	asked, err := licenseID(r)
	if err != nil {
		return license.License{}, err
	}
	for _, id := range spellings(asked) {
		l, err = store.Get(ctx, id)
		if err == nil {
			note(ctx, l)
		}
		if !errors.Is(err, license.ErrNotFound) {
			break
		}
	}
	return l, err
}

// note names the license in the invocation's log record.
func note(ctx context.Context, l license.License) {
	telemetry.Note(ctx, slog.String("licenseid", l.ID), slog.String("customerid", l.CustomerID))
}

// canonicalPath returns the request's path with the license id in lower case. In either case it names the same license.
func canonicalPath(r api.Request) string {
	id, err := licenseID(r)
	if err != nil {
		return r.Path()
	}
	return strings.Replace(r.Path(), id, strings.ToLower(id), 1)
}
