package vendorapi

import (
	"context"
	"encoding/hex"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
)

// Issue makes a license. The result has its license key.
func (c *Client) Issue(ctx context.Context, draft LicenseDraft, o Options) (License, error) {
	return c.license(ctx, request{method: http.MethodPost, path: "/licenses", body: draft, Options: o})
}

// License returns a license.
func (c *Client) License(ctx context.Context, licenseID string) (License, error) {
	return c.license(ctx, request{method: http.MethodGet, path: licensePath(licenseID)})
}

// Change changes the given fields. The server wants Options.IfMatch.
func (c *Client) Change(ctx context.Context, licenseID string, patch LicensePatch, o Options) (License, error) {
	return c.license(ctx, request{method: http.MethodPatch, path: licensePath(licenseID), body: patch, Options: o})
}

// Delete removes a license that was issued by mistake. The server wants a reason and Options.IfMatch, and does not know
// an Idempotency-Key here.
func (c *Client) Delete(ctx context.Context, licenseID, reason string, o Options) error {
	_, err := c.do(ctx, request{
		method: http.MethodDelete, path: licensePath(licenseID), body: change{Reason: reason},
		Options: o.conditions(),
	}, nil)
	return err
}

// Revoke ends a license for good.
func (c *Client) Revoke(ctx context.Context, licenseID, reason string, o Options) (License, error) {
	return c.transition(ctx, licenseID, "/revoke", change{Reason: reason}, o)
}

// Suspend stops a license until it is reinstated.
func (c *Client) Suspend(ctx context.Context, licenseID, reason string, o Options) (License, error) {
	return c.transition(ctx, licenseID, "/suspend", change{Reason: reason}, o)
}

// Reinstate takes a suspension back or, with a reason, a revocation.
func (c *Client) Reinstate(ctx context.Context, licenseID, reason string, o Options) (License, error) {
	return c.transition(ctx, licenseID, "/reinstate", change{Reason: reason}, o)
}

// Renew moves the end of a license to a later date, in ISO 8601, or to never.
func (c *Client) Renew(ctx context.Context, licenseID, expirationDate, reason string, o Options) (License, error) {
	return c.transition(ctx, licenseID, "/renew", change{ExpirationDate: expirationDate, Reason: reason}, o)
}

// Erase takes out what a license tells about a person. The server wants a reason. It returns the zero License for one
// that is gone, of which it erases what is left. By its reference a license can be erased once: the reference goes too.
func (c *Client) Erase(ctx context.Context, licenseID, reason string, o Options) (License, error) {
	return c.transition(ctx, licenseID, "/erase", change{Reason: reason}, o)
}

// change is the body of a transition, a renewal or a removal.
type change struct {
	ExpirationDate string `json:"expirationdate,omitempty"`
	Reason         string `json:"reason,omitempty"`
}

func (c *Client) transition(ctx context.Context, licenseID, action string, body change, o Options) (License, error) {
	path := licensePath(licenseID) + action
	return c.license(ctx, request{method: http.MethodPost, path: path, body: body, Options: o})
}

// license sends a request whose response is a license.
func (c *Client) license(ctx context.Context, r request) (l License, err error) {
	header, err := c.do(ctx, r, &l)
	if err != nil {
		return License{}, err
	}
	l.ETag = header.Get("ETag")
	return l, nil
}

// ByReference returns what stands for the id of the license that has the reference, in every method.
func ByReference(reference string) string { return "ref:" + reference }

func licensePath(licenseID string) string { return "/licenses/" + url.PathEscape(licenseID) }

// LicenseKey returns the license key of a license, in both forms.
func (c *Client) LicenseKey(ctx context.Context, licenseID string) (key LicenseKey, err error) {
	err = c.get(ctx, licensePath(licenseID)+"/key", nil, &key)
	return key, err
}

// ListQuery selects licenses. A zero field filters nothing.
type ListQuery struct {
	Reference      string
	Email          string
	CustomerID     string
	CustomerName   string // its beginning
	Status         license.Status
	ExpiringAfter  string // ISO 8601, inclusive
	ExpiringBefore string // ISO 8601, exclusive
	Order          license.Order
	Limit          int    // the most licenses on a page, up to MaxLimit; 0 leaves it to the server
	Cursor         string // LicensePage.Cursor of the page before
}

// MaxLimit is the most that a page holds.
const MaxLimit = 100

// LicensePage returns one page of a list.
func (c *Client) LicensePage(ctx context.Context, q ListQuery) (page LicensePage, err error) {
	query := pageQuery(q.Limit, q.Cursor)
	for name, value := range map[string]string{
		"reference":      q.Reference,
		"email":          q.Email,
		"customerid":     q.CustomerID,
		"customername":   q.CustomerName,
		"status":         string(q.Status),
		"expiringafter":  q.ExpiringAfter,
		"expiringbefore": q.ExpiringBefore,
		"order":          string(q.Order),
	} {
		set(query, name, value)
	}
	err = c.get(ctx, "/licenses", query, &page)
	return page, err
}

// Licenses returns all licenses that the query selects, from its cursor on. The order is that of the query's list.
func (c *Client) Licenses(ctx context.Context, q ListQuery) iter.Seq2[License, error] {
	if q.Limit == 0 {
		q.Limit = MaxLimit
	}
	return func(yield func(License, error) bool) {
		for {
			page, err := c.LicensePage(ctx, q)
			if err != nil {
				yield(License{}, err)
				return
			}
			for _, l := range page.Licenses {
				if !yield(l, nil) {
					return
				}
			}
			if q.Cursor = page.Cursor; q.Cursor == "" {
				return
			}
		}
	}
}

// AuditPage returns one page of a license's chain. The limit is that of ListQuery.
func (c *Client) AuditPage(
	ctx context.Context, licenseID string, limit int, cursor string,
) (page AuditPage, err error) {
	err = c.get(ctx, licensePath(licenseID)+"/audit", pageQuery(limit, cursor), &page)
	return page, err
}

// AuditPages returns the pages of a license's chain, oldest first. The last one tells the end of the chain.
func (c *Client) AuditPages(ctx context.Context, licenseID string) iter.Seq2[AuditPage, error] {
	return func(yield func(AuditPage, error) bool) {
		for cursor := ""; ; {
			page, err := c.AuditPage(ctx, licenseID, MaxLimit, cursor)
			if !yield(page, err) || err != nil || page.Cursor == "" {
				return
			}
			cursor = page.Cursor
		}
	}
}

// AuditEntries returns the entries of a license's chain, oldest first.
func (c *Client) AuditEntries(ctx context.Context, licenseID string) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		for page, err := range c.AuditPages(ctx, licenseID) {
			if err != nil {
				yield(audit.Entry{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Proof returns the proof that the latest checkpoint holds a license's chain.
func (c *Client) Proof(ctx context.Context, licenseID string) (proof checkpoint.Proof, err error) {
	err = c.get(ctx, licensePath(licenseID)+"/audit/proof", nil, &proof)
	return proof, err
}

// Checkpoint returns the latest checkpoint of the audit trail, a signed note.
func (c *Client) Checkpoint(ctx context.Context) (signed string, err error) {
	err = c.get(ctx, "/audit/checkpoint", nil, &signed)
	return signed, err
}

// NumberedCheckpoint returns the checkpoint of a number, a signed note.
func (c *Client) NumberedCheckpoint(ctx context.Context, number int64) (signed string, err error) {
	err = c.get(ctx, "/audit/checkpoints/"+strconv.FormatInt(number, 10), nil, &signed)
	return signed, err
}

// TreeRoots returns the roots of all buckets, by the root over them, in the form of checkpoint.Roots.
func (c *Client) TreeRoots(ctx context.Context, root tlog.Hash) (text string, err error) {
	err = c.get(ctx, "/audit/roots/"+hex.EncodeToString(root[:]), nil, &text)
	return text, err
}

// TreePage returns the leaves of a bucket, by their root, in the form of checkpoint.Page.
func (c *Client) TreePage(ctx context.Context, root tlog.Hash) (text string, err error) {
	err = c.get(ctx, "/audit/pages/"+hex.EncodeToString(root[:]), nil, &text)
	return text, err
}

// CheckpointKey returns the key that checkpoints are verified with.
func (c *Client) CheckpointKey(ctx context.Context) (key string, err error) {
	err = c.get(ctx, "/audit/checkpoint-key", nil, &key)
	return strings.TrimSuffix(key, "\n"), err
}

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	_, err := c.do(ctx, request{method: http.MethodGet, path: path, query: query}, into)
	return err
}

func pageQuery(limit int, cursor string) url.Values {
	query := url.Values{}
	set(query, "cursor", cursor)
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return query
}

// set leaves out what is empty, because the server refuses an empty parameter.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
