package issuance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
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

// spellings returns the spellings of an id in which to look for it: as it is given, in lower case, which is ours, and
// in upper case, which may be other tools'.
func spellings(id string) []string {
	all := []string{id}
	for _, other := range []string{strings.ToLower(id), strings.ToUpper(id)} {
		if !slices.Contains(all, other) {
			all = append(all, other)
		}
	}
	return all
}

// read returns the license that the path names, or license.ErrNotFound. Each further spelling of the id costs a read,
// but only where the ones before have found nothing.
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
