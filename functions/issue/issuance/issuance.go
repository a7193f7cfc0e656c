// Package issuance is the vendor's API: it issues, reads, lists and revokes licenses, and shows their audit
// trail. It knows no AWS but API Gateway's events, and cannot sign authorization tokens.
package issuance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"openlicenser/shared/api"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
)

// Issuer answers the vendor's requests.
type Issuer struct {
	Licenses license.Store
	Trail    audit.Store
	Records  checkpoint.RecordHashes // of the licenses' records
	Secrets  token.Secrets

	Idempotency idempotency.Store

	Checkpoints   checkpoint.Reader
	CheckpointKey checkpoint.Key
	Origin        string // of the checkpoints

	Name string // the claim iss of license keys
	Now  func() time.Time
	Log  *slog.Logger
}

// Router routes requests to the issuer.
func (i Issuer) Router() api.Router {
	return api.Router{
		Function: "issue",
		MaxBody:  maxBody,
		Routes: withoutStrayQueries(api.Routes{
			"POST /licenses":                       i.once(i.issue),
			"GET /licenses":                        i.list,
			"GET /licenses/{licenseid}":            i.get,
			"PATCH /licenses/{licenseid}":          i.once(i.patch),
			"DELETE /licenses/{licenseid}":         i.remove,
			"GET /licenses/{licenseid}/key":        i.licenseKey,
			"POST /licenses/{licenseid}/revoke":    i.once(i.transition(license.License.Revoke)),
			"POST /licenses/{licenseid}/suspend":   i.once(i.transition(license.License.Suspend)),
			"POST /licenses/{licenseid}/reinstate": i.once(i.transition(license.License.Reinstate)),
			"POST /licenses/{licenseid}/renew":     i.once(i.renew),
			"GET /licenses/{licenseid}/audit":      i.audit,

			"GET /licenses/{licenseid}/audit/proof": i.proof,
			"GET /audit/checkpoint":                 i.checkpoint,
			"GET /audit/checkpoint-key":             i.checkpointKey,
		}),
		Public:   []string{"GET /audit/checkpoint", "GET /audit/checkpoint-key"}, // they prove nothing in private
		Fallback: func(context.Context, api.Request) (api.Response, error) { return api.Response{}, errNoRoute },
		Failure:  failure,
		Render:   api.Problem,
		Log:      i.Log,
	}
}

func (i Issuer) issue(ctx context.Context, r api.Request, t try) (api.Response, error) {
	draft, err := readDraft(r)
	if err != nil && !isInvalid(err) {
		return api.Response{}, err
	}
	l, errDraft := draft.Issue(t.newID, t.change(""))
	if err := mergeInvalid(err, errDraft); err != nil {
		return api.Response{}, err
	}
	note(ctx, l)
	// The key is made first: a license that was stored without an answer would be one that nobody asked for.
	key, err := i.sign(ctx, l)
	if err != nil {
		return api.Response{}, err
	}
	err = i.Licenses.Create(ctx, l)
	if t.again && errors.Is(err, license.ErrExists) { // an earlier try has made it, and perhaps with a customer id of its own
		if l, err = i.Licenses.Get(ctx, t.newID); err == nil {
			key, err = i.sign(ctx, l)
		}
	}
	if err != nil {
		return api.Response{}, fmt.Errorf("create: %w", err)
	}
	body := i.represent(l)
	body.LicenseKey = key
	response, err := withETag(http.StatusCreated, l, body)
	if err != nil {
		return api.Response{}, err
	}
	response.Header["Location"] = r.URLPath() + "/" + l.ID
	return response, nil
}

func (i Issuer) get(ctx context.Context, r api.Request) (api.Response, error) {
	l, err := i.read(ctx, r)
	if err != nil {
		return api.Response{}, err
	}
	return withETag(http.StatusOK, l, i.represent(l))
}

func (i Issuer) licenseKey(ctx context.Context, r api.Request) (api.Response, error) {
	l, err := i.read(ctx, r)
	if err != nil {
		return api.Response{}, err
	}
	key, err := i.sign(ctx, l)
	if err != nil {
		return api.Response{}, err
	}
	return noStore(api.JSON(http.StatusOK, map[string]string{"licensekey": key}))
}

func (i Issuer) patch(ctx context.Context, r api.Request, t try) (api.Response, error) {
	if _, err := requireIfMatch(r); err != nil {
		return api.Response{}, err
	}
	patch, reason, err := readPatch(r)
	if err != nil {
		return api.Response{}, err
	}
	return i.update(ctx, r, t, reason, func(l license.License, c license.Change) (license.License, error) { return l.Patch(patch, c) })
}

// remove marks the license, so that the audit trail can say who removed it, and removes it. After a crash between the
// two, a license that is marked is as good as revoked, and removing it again completes it, whatever If-Match says.
func (i Issuer) remove(ctx context.Context, r api.Request) (api.Response, error) {
	ifMatch, err := requireIfMatch(r)
	if err != nil {
		return api.Response{}, err
	}
	reason, err := readRequiredReason(r)
	if err != nil {
		return api.Response{}, err
	}
	t, err := i.newTry(r)
	if err != nil {
		return api.Response{}, err
	}
	l, err := i.read(ctx, r)
	if err != nil {
		return api.Response{}, err
	}
	if !l.Deleted {
		if !ifMatch.allows(l) {
			return api.Response{}, errStale
		}
		marked := l.Delete(t.change(reason))
		if err := i.Licenses.Update(ctx, l, marked); err != nil {
			return api.Response{}, fmt.Errorf("mark: %w", err)
		}
		l = marked
	}
	if err := i.Licenses.Remove(ctx, l); err != nil {
		return api.Response{}, fmt.Errorf("remove: %w", err)
	}
	return api.Response{Status: http.StatusNoContent}, nil
}

// transition needs no If-Match: it is right whatever the license has become meanwhile.
func (i Issuer) transition(do func(license.License, license.Change) (license.License, error)) func(context.Context, api.Request, try) (api.Response, error) {
	return func(ctx context.Context, r api.Request, t try) (api.Response, error) {
		reason, err := readReason(r)
		if err != nil {
			return api.Response{}, err
		}
		return i.update(ctx, r, t, reason, do)
	}
}

func (i Issuer) renew(ctx context.Context, r api.Request, t try) (api.Response, error) {
	expirationDate, reason, err := readRenewal(r)
	if err != nil {
		return api.Response{}, err
	}
	return i.update(ctx, r, t, reason, func(l license.License, c license.Change) (license.License, error) { return l.Renew(expirationDate, c) })
}

// maxUpdates bounds how often an update begins anew when others change the license meanwhile.
const maxUpdates = 5

// update reads the license, changes it and writes it. Where the caller sent If-Match, it must match what is read; a
// change of others between reading and writing begins the update anew, so that none is lost.
func (i Issuer) update(ctx context.Context, r api.Request, t try, reason string, do func(license.License, license.Change) (license.License, error)) (api.Response, error) {
	ifMatch, err := readIfMatch(r)
	if err != nil {
		return api.Response{}, err
	}
	change := t.change(reason)
	for range maxUpdates {
		before, err := i.read(ctx, r)
		if err != nil {
			return api.Response{}, err
		}
		if t.again && before.RequestID == t.requestID { // an earlier try has made the change
			return withETag(http.StatusOK, before, i.represent(before))
		}
		if !ifMatch.allows(before) {
			return api.Response{}, errStale
		}
		after, err := do(before, change)
		if err != nil {
			return api.Response{}, err
		}
		if after.Version != before.Version {
			err = i.Licenses.Update(ctx, before, after)
		}
		switch {
		case err == nil:
			return withETag(http.StatusOK, after, i.represent(after))
		case !errors.Is(err, license.ErrConflict):
			return api.Response{}, fmt.Errorf("update: %w", err)
		}
	}
	return api.Response{}, license.ErrConflict
}

func (i Issuer) list(ctx context.Context, r api.Request) (api.Response, error) {
	query, cursors, err := i.readListQuery(ctx, r)
	if err != nil {
		return api.Response{}, err
	}
	page, query, err := i.page(ctx, query)
	if err != nil {
		return api.Response{}, fmt.Errorf("list: %w", err)
	}
	cursors.list = listName(query)
	licenses := make([]representation, len(page.Licenses))
	for n, l := range page.Licenses {
		licenses[n] = i.represent(l)
	}
	return noStore(api.JSON(http.StatusOK, struct {
		Licenses []representation `json:"licenses"`
		Cursor   string           `json:"cursor,omitempty"`
	}{licenses, cursors.encode(page.Next)}))
}

// audit shows the trail of a license, also of one that is gone: that there is none is an empty list.
func (i Issuer) audit(ctx context.Context, r api.Request) (api.Response, error) {
	id, err := licenseID(r)
	if err != nil {
		return api.Response{}, err
	}
	telemetry.Note(ctx, slog.String("licenseid", id))
	query, cursors, err := i.readAuditQuery(ctx, r, id)
	if err != nil {
		return api.Response{}, err
	}
	id, head, err := i.head(ctx, id)
	if err != nil {
		return api.Response{}, fmt.Errorf("audit trail: %w", err)
	}
	entries, err := i.Trail.Entries(ctx, id, query.after, query.limit+1)
	if err != nil {
		return api.Response{}, fmt.Errorf("audit trail: %w", err)
	}
	page := auditPage{Entries: append([]audit.Entry{}, entries...)}
	fitting, err := fittingEntries(page.Entries[:min(len(entries), query.limit)])
	if err != nil {
		return api.Response{}, err
	}
	if fitting < len(entries) {
		page.Entries = page.Entries[:fitting]
		page.Cursor = cursors.encode(fmt.Sprint(entries[fitting-1].Sequence))
		return noStore(api.JSON(http.StatusOK, page))
	}
	page.Head = &chainHead{head.Sequence, head.Hash}
	record, err := i.recordHash(ctx, id, head)
	if err != nil {
		return api.Response{}, fmt.Errorf("record: %w", err)
	}
	page.RecordHash, page.Foreign = record.Hash, record.Foreign
	return noStore(api.JSON(http.StatusOK, page))
}

// auditPage is a page of a chain. The last one tells where the chain ends, and what the record is that it should end with.
type auditPage struct {
	Entries    []audit.Entry `json:"entries"`
	Cursor     string        `json:"cursor,omitempty"`
	Head       *chainHead    `json:"head,omitempty"`
	RecordHash string        `json:"recordhash,omitempty"`
	Foreign    bool          `json:"foreign,omitempty"`
}

type chainHead struct {
	Sequence int64  `json:"sequence"`
	Hash     string `json:"hash"`
}

// maxPage bounds a page in bytes of JSON: a Lambda function may answer 6 MB, and an entry has some 350 KB at most.
const maxPage = 4 << 20

// fittingEntries answers how many of the entries fit on a page.
func fittingEntries(entries []audit.Entry) (int, error) {
	size := 0
	for n, e := range entries {
		text, err := e.MarshalJSON()
		if err != nil {
			return 0, err
		}
		if size += len(text) + 1; size > maxPage {
			return n, nil
		}
	}
	return len(entries), nil
}

func (i Issuer) sign(ctx context.Context, l license.License) (string, error) {
	ring, err := i.Secrets.Ring(ctx)
	if err != nil {
		return "", fmt.Errorf("license-key secret: %w", err)
	}
	return token.SignLicenseKey(ring.Signing(i.Now()), i.Name, l)
}

func note(ctx context.Context, l license.License) {
	telemetry.Note(ctx, slog.String("licenseid", l.ID), slog.String("customerid", l.CustomerID))
}
