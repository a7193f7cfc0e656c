package issuance

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
)

// referencePrefix begins what stands for a license id in a path: ref:{reference}.
const referencePrefix = "ref:"

// licenseID returns the id of the license that the path names, by itself or by its reference. It is license.ErrNotFound
// for what is neither a UUID nor a reference that any license has had.
func licenseID(ctx context.Context, store license.Store, r api.Request) (string, error) {
	id := r.PathParameter("licenseid")
	if reference, isReference := strings.CutPrefix(id, referencePrefix); isReference {
		return findReference(ctx, store, reference)
	}
	if !license.IsUUID(id) {
		return "", license.ErrNotFound
	}
	return id, nil
}

// findReference returns the id of the license that has the reference, or had it. What no reference can be is
// license.ErrNotFound.
func findReference(ctx context.Context, store license.Store, text string) (string, error) {
	reference, problem := license.CanonicalReference(text)
	if problem != "" {
		return "", license.ErrNotFound
	}
	return store.Referenced(ctx, reference)
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

// read returns the license that the path names, or license.ErrNotFound.
func read(ctx context.Context, store license.Store, r api.Request) (l license.License, err error) {
	asked, err := licenseID(ctx, store, r)
	if err != nil {
		return license.License{}, err
	}
	return readID(ctx, store, asked)
}

// readID returns the license with the id, or license.ErrNotFound. Each further spelling of the id costs a read, where
// the ones before have found nothing.
func readID(ctx context.Context, store license.Store, asked string) (l license.License, err error) {
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

// canonicalPath returns the request's path with one spelling of what names the license: its id in lower case, or its
// reference as it is stored. In either case an id names the same license, and callers differ in what they encode.
func canonicalPath(r api.Request) string {
	sent := r.PathParameter("licenseid")
	switch reference, isReference := strings.CutPrefix(sent, referencePrefix); {
	case isReference:
		stored, _ := license.CanonicalReference(reference)
		return pathOf(r, url.PathEscape(referencePrefix+stored))
	case license.IsUUID(sent):
		return pathOf(r, strings.ToLower(sent))
	}
	return r.Path()
}

// untellingPath returns canonicalPath without the reference, where there is one. What is kept of the path then tells
// nothing of it, not even to someone who guesses it.
func untellingPath(r api.Request) string {
	if strings.HasPrefix(r.PathParameter("licenseid"), referencePrefix) {
		return pathOf(r, referencePrefix)
	}
	return canonicalPath(r)
}

// pathOf returns the request's path with another segment in place of what names the license.
func pathOf(r api.Request, segment string) string {
	segments := strings.Split(r.Path(), "/")
	for i, s := range segments {
		if decoded, err := url.PathUnescape(s); err == nil && decoded == r.PathParameter("licenseid") {
			segments[i] = segment
		}
	}
	return strings.Join(segments, "/")
}
