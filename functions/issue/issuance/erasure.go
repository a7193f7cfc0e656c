package issuance

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"openlicenser/shared/api"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
)

// unfinishedError reports that the record of a license is erased, and not yet all that belongs to it. Whatever the
// cause, it is a fault of ours, and the same request again goes on.
type unfinishedError struct {
	licenseID string
	cause     error
}

func (e *unfinishedError) Error() string { return "erase: " + e.cause.Error() }

// erase takes out what a license tells about a person, in its record and wherever else it is kept. The record and the
// references come first, in one moment: from then on nothing personal is written any more, but by what had read the
// license before. Whatever fails afterwards, the same request does all of it again, under a mark that is new.
//
// The license may have been removed before. Then its chain is there, and the stream has to tell that its history is
// erased: a record is put for that, and removed.
func (s Licenses) erase(ctx context.Context, r api.Request, a attempt) (api.Response, error) {
	reason, err := readRequiredReason(r)
	if err != nil {
		return api.Response{}, err
	}
	ifMatch, err := readIfMatch(r)
	if err != nil {
		return api.Response{}, err
	}
	target, err := s.erasable(ctx, r, a)
	if err != nil {
		return api.Response{}, err
	}
	l, err := s.eraseRecord(ctx, target, ifMatch, a, reason)
	if err != nil {
		return api.Response{}, err
	}
	if err := s.eraseRest(ctx, l, a.key); err != nil {
		return api.Response{}, &unfinishedError{l.ID, err}
	}
	if l.Deleted {
		return api.Response{
			Status: http.StatusNoContent, Header: map[string]string{"Cache-Control": "no-store"},
		}, nil
	}
	return s.respond(l)
}

// erasable names a license that is to be erased.
type erasable struct {
	id        string // in any spelling
	reference string // by which it was asked for; empty: by its id
}

// erasable returns what the path names. A reference that was erased leads nowhere any more. A later attempt at the same
// request then goes on with the license that the first one has found.
func (s Licenses) erasable(ctx context.Context, r api.Request, a attempt) (e erasable, err error) {
	if sent, isReference := strings.CutPrefix(r.PathParameter("licenseid"), referencePrefix); isReference {
		e.reference, _ = license.CanonicalReference(sent)
	}
	e.id, err = licenseID(ctx, s.Store, r)
	if errors.Is(err, license.ErrNotFound) && a.again && a.licenseID != "" {
		return erasable{id: a.licenseID}, nil
	}
	return e, err
}

// eraseRecord erases the record, or puts one for a license that is gone, and frees the references. Where others change
// the license meanwhile it begins anew. It returns the license as it is then.
func (s Licenses) eraseRecord(
	ctx context.Context, target erasable, ifMatch ifMatch, a attempt, reason string,
) (license.License, error) {
	for range maxUpdates {
		before, id, err := s.findErasable(ctx, target.id)
		if err != nil {
			return license.License{}, err
		}
		if !ifMatch.allows(before) {
			isDone, err := s.isDone(ctx, a, license.License{ID: id, RequestID: before.RequestID})
			if err != nil || !isDone {
				return license.License{}, cmp.Or(err, errStale)
			}
		}
		references, err := s.references(ctx, id, before.Reference, target.reference)
		if err == nil {
			err = license.CheckErasureReason(reason, references...)
		}
		if err != nil {
			return license.License{}, err
		}
		after, err := erased(before, id, a.change(reason))
		if err != nil {
			return license.License{}, err
		}
		err = s.Store.Erase(ctx, before, after, references)
		if !errors.Is(err, license.ErrConflict) {
			return after, err
		}
	}
	return license.License{}, license.ErrConflict
}

// findErasable returns the license, or the zero License for one that is gone and has a chain, and the id as it is
// stored.
func (s Licenses) findErasable(ctx context.Context, asked string) (l license.License, id string, err error) {
	l, err = readID(ctx, s.Store, asked)
	if !errors.Is(err, license.ErrNotFound) {
		return l, l.ID, err
	}
	for _, id := range spellings(asked) {
		chain, err := s.Trail.State(ctx, id)
		switch {
		case err != nil:
			return l, id, fmt.Errorf("audit trail: %w", err)
		case chain.Sequence > 0:
			telemetry.Note(ctx, slog.String("licenseid", id))
			return license.License{}, id, nil
		}
	}
	return l, asked, license.ErrNotFound
}

// references returns those that a license may have: the given ones, and those that its history tells.
func (s Licenses) references(ctx context.Context, id string, given ...string) ([]string, error) {
	if s.References != nil {
		told, err := s.References(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("references: %w", err)
		}
		given = append(given, told...)
	}
	return slices.DeleteFunc(given, func(reference string) bool {
		return reference == "" || len(reference) > license.MaxIDBytes // which no row has
	}), nil
}

// DisclosedReferences returns the References of a trail: those that it discloses.
func DisclosedReferences(trail audit.Store) func(context.Context, string) ([]string, error) {
	return func(ctx context.Context, licenseID string) ([]string, error) {
		return audit.DisclosedTexts(ctx, trail, licenseID, license.AttrReference)
	}
}

func erased(before license.License, id string, c license.Change) (license.License, error) {
	if before.ID == "" {
		return license.EraseRemoved(id, c, rand.Text())
	}
	return before.Erase(c, rand.Text())
}

// eraseRest erases what belongs to a license whose record is erased: the responses that are kept for an Idempotency-Key
// other than this one, the names of its devices, and the signatures of their tokens. What was to be removed goes.
//
// To forget the responses takes a second, after which the verifications that had read the license before are over, as a
// rule. So what they write of devices and signatures comes behind it.
func (s Licenses) eraseRest(ctx context.Context, l license.License, key string) error {
	seats, err := s.Devices.Seats(ctx, l.ID)
	if err != nil {
		return err
	}
	if l.Deleted {
		if err := s.removeErased(ctx, l); err != nil {
			return err
		}
	}
	if err := s.Idempotency.Forget(ctx, strings.ToLower(l.ID), key); err != nil {
		return err
	}
	if err := s.Devices.ForgetNames(ctx, l.ID); err != nil {
		return err
	}
	if s.Signatures == nil {
		return nil
	}
	return s.Signatures.Forget(ctx, l.ID, seats.IDs())
}

// removeErased removes a license that is marked for it, and its seats before. Somebody else may do so at the same time.
func (s Licenses) removeErased(ctx context.Context, l license.License) error {
	if err := s.Devices.Remove(ctx, l.ID); err != nil {
		return err
	}
	for range maxUpdates {
		err := s.Store.Remove(ctx, l)
		if !errors.Is(err, license.ErrConflict) {
			return err
		}
		l, err = s.Store.Get(ctx, l.ID)
		switch {
		case errors.Is(err, license.ErrNotFound):
			return nil
		case err != nil:
			return err
		case !l.Deleted:
			return license.ErrConflict // another tool has put it again
		}
	}
	return license.ErrConflict
}
