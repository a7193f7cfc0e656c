package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// onHome is how many licenses each list of the first page shows.
const onHome = 10

// soon is how long before its end a license is on the first page.
const soon = 30 * 24 * time.Hour

type homeData struct {
	Ending, Broken []vendorapi.License
	MoreEnding     string // the query of the whole list; empty where this is it
	MoreBroken     string
	IsEmpty        bool // there are no licenses at all
}

// home shows a search, what ends soon, and what needs repair.
func (c *Console) home(r *http.Request) (page, error) {
	ending := vendorapi.ListQuery{
		Status: license.Active, Limit: onHome, Order: license.Ascending,
		ExpiringAfter: license.FormatDate(c.Now()), ExpiringBefore: license.FormatDate(c.Now().Add(soon)),
	}
	broken := vendorapi.ListQuery{Status: license.Unreadable, Limit: onHome}
	var data homeData
	for _, list := range []struct {
		query vendorapi.ListQuery
		into  *[]vendorapi.License
		more  *string
	}{{ending, &data.Ending, &data.MoreEnding}, {broken, &data.Broken, &data.MoreBroken}} {
		found, err := c.API.LicensePage(r.Context(), list.query)
		if err != nil {
			return page{}, err
		}
		*list.into = found.Licenses
		if found.Cursor != "" {
			*list.more = queryOf(list.query).Encode()
		}
	}
	if len(data.Ending)+len(data.Broken) == 0 {
		newest, err := c.API.LicensePage(r.Context(), vendorapi.ListQuery{Limit: 1})
		if err != nil {
			return page{}, err
		}
		data.IsEmpty = len(newest.Licenses) == 0
	}
	return page{template: "home.html", title: "Licenses", data: data}, nil
}

// search leads to the one license that is meant, or to a list. It comes as a form, so that no license key gets into the
// browser's history.
func (c *Console) search(r *http.Request) (page, error) {
	text := strings.TrimSpace(r.PostForm.Get("text"))
	if text == "" {
		return goTo("/licenses"), nil
	}
	id, err := vendorapi.IDOf(text)
	if err != nil {
		return page{}, err
	}
	l, err := c.API.License(r.Context(), id)
	var problem *vendorapi.Problem
	switch {
	case err == nil:
		return goTo("/licenses/" + url.PathEscape(l.LicenseID)), nil
	case !errors.As(err, &problem) || problem.Status != http.StatusNotFound:
		return page{}, err
	case !strings.HasPrefix(id, vendorapi.ByReference("")):
		problem.Detail = "There is no license of this id or license key. It may be of another service, or was deleted."
		return page{}, problem
	case strings.Contains(text, "@"):
		return goTo("/licenses?" + url.Values{"email": {text}}.Encode()), nil
	}
	return goTo("/licenses?" + url.Values{"customername": {text}}.Encode()), nil
}

// onPage is how many licenses a page of a list shows.
const onPage = 50

type listData struct {
	Licenses []vendorapi.License
	Fields   []field
	Errors   []string // of none of the fields
	Next     string   // the query of the next page
	IsFirst  bool
	Filtered bool
}

// queryOf returns a query as the page of a list takes it.
func queryOf(q vendorapi.ListQuery) url.Values {
	values := url.Values{}
	for name, value := range map[string]string{
		"customername": q.CustomerName, "customerid": q.CustomerID, "email": q.Email, "status": string(q.Status),
		"expiringafter": q.ExpiringAfter, "expiringbefore": q.ExpiringBefore, "cursor": q.Cursor,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

// list shows licenses, the newest first, or those that are searched for.
func (c *Console) list(r *http.Request) (page, error) {
	f := newForm(r.Form)
	q := vendorapi.ListQuery{
		CustomerName: f.text("customername"), CustomerID: f.text("customerid"), Email: f.text("email"),
		Status: license.Status(f.text("status")), ExpiringAfter: f.text("expiringafter"),
		ExpiringBefore: f.text("expiringbefore"), Limit: onPage, Cursor: f.text("cursor"),
	}
	statuses := []option{{"", "any"}}
	for _, s := range []license.Status{
		license.Active, license.Grace, license.Expired, license.Suspended, license.Revoked, license.Unreadable,
	} {
		statuses = append(statuses, option{string(s), string(s)})
	}
	data := listData{IsFirst: q.Cursor == "", Filtered: len(queryOf(q)) > 0}
	found, err := c.API.LicensePage(r.Context(), q)
	var problem *vendorapi.Problem
	status := http.StatusOK
	switch {
	case errors.As(err, &problem) && problem.Code == "INVALID_FIELDS":
		status = http.StatusBadRequest
		for _, e := range problem.Errors {
			f.refuse(e.Field, e.Message)
			if e.Field == "cursor" || e.Field == "customerid" {
				data.Errors = append(data.Errors, e.Field+" "+e.Message)
			}
		}
	case err != nil:
		return page{}, err
	}
	data.Licenses = found.Licenses
	data.Fields = f.fill([]field{
		{Name: "customername", Label: "Customer", Type: "text", Help: "The beginning of the name."},
		{Name: "email", Label: "E-mail address", Type: "text"},
		{Name: "status", Label: "Status", Type: "select", Options: statuses},
		{Name: "expiringafter", Label: "Ends from", Type: "text", Help: "A date, as 2030-01-31."},
		{Name: "expiringbefore", Label: "Ends before", Type: "text", Help: "A date, as 2030-01-31."},
	})
	if q.Cursor = found.Cursor; q.Cursor != "" {
		data.Next = queryOf(q).Encode()
	}
	return page{status: status, template: "list.html", title: "Licenses", data: data}, nil
}

type licenseData struct {
	vendorapi.License
	Services []license.Service
	AppURLs  []license.AppURL
	Foreign  []string // lists that another tool has written in a form of its own, as they are
	Key      vendorapi.LicenseKey
	Devices  *vendorapi.Devices // nil for a license without devices
	Entries  []audit.Entry
	More     string // the cursor of further entries
	Signed   *signed
	IsIssued bool // a moment ago
	Mail     string
	Grace    int      // days
	Hidden   []string // why parts of the page are not there
}

// isShown reports whether a part of the page can be shown. What the credentials may not see is left out, and said.
func (d *licenseData) isShown(err error) (bool, error) {
	var problem *vendorapi.Problem
	if errors.As(err, &problem) && (problem.Status == http.StatusForbidden || problem.Code == "STATUS_FORBIDS") {
		t := troubleOf(problem)
		d.Hidden = append(d.Hidden, strings.TrimSpace(t.Text+" "+t.Next))
		return false, nil
	}
	return err == nil, err
}

// signed is the checkpoint that holds the license's trail.
type signed struct {
	Number, Sequence int64
	Time             time.Time
}

// show shows all that is known of a license.
func (c *Console) show(r *http.Request) (page, error) {
	ctx, id := r.Context(), r.PathValue("license")
	l, err := c.API.License(ctx, id)
	if err != nil {
		return page{}, err
	}
	data := licenseData{License: l, IsIssued: r.Form.Get("issued") != ""}
	if l.GraceDays != nil {
		data.Grace = *l.GraceDays
	}
	if data.Services, err = l.ServiceList(); err != nil {
		data.Foreign = append(data.Foreign, string(l.Services))
	}
	if data.AppURLs, err = l.AppURLList(); err != nil {
		data.Foreign = append(data.Foreign, string(l.AppURLs))
	}
	if err := c.complete(ctx, &data, r.Form.Get("cursor")); err != nil {
		return page{}, err
	}
	if data.IsIssued {
		data.Mail = mail(l, data.Key)
	}
	name := "License"
	if l.CustomerName != nil {
		name = *l.CustomerName
	}
	return page{template: "license.html", title: name, data: data}, nil
}

// complete adds what is not in the license itself: its key, its devices and its trail.
func (c *Console) complete(ctx context.Context, data *licenseData, cursor string) error {
	id := data.LicenseID
	key, errKey := c.API.LicenseKey(ctx, id)
	if shown, err := data.isShown(errKey); err != nil {
		return err
	} else if shown {
		data.Key = key
	}
	if data.MaxDevices > 0 {
		devices, errDevices := c.API.Devices(ctx, id)
		if shown, err := data.isShown(errDevices); err != nil {
			return err
		} else if shown {
			data.Devices = &devices
		}
	}
	trail, errTrail := c.API.AuditPage(ctx, id, vendorapi.MaxLimit, cursor)
	shown, err := data.isShown(errTrail)
	if err != nil || !shown {
		return err
	}
	data.Entries, data.More = trail.Entries, trail.Cursor
	signedUpTo, errProof := c.signedUpTo(ctx, id)
	if shown, err = data.isShown(errProof); shown {
		data.Signed = signedUpTo
	}
	return err
}

// signedUpTo returns up to which entry the latest checkpoint has signed the trail of a license, or nil.
func (c *Console) signedUpTo(ctx context.Context, licenseID string) (*signed, error) {
	proof, err := c.API.Proof(ctx, licenseID)
	var problem *vendorapi.Problem
	if errors.As(err, &problem) && problem.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := c.API.CheckpointKey(ctx)
	if err != nil {
		return nil, err
	}
	latest, leaf, err := proof.Verify(key, licenseID)
	if err != nil {
		return nil, err
	}
	return &signed{Number: latest.Number, Sequence: leaf.Sequence, Time: latest.Time}, nil
}

// mail is a text to send to the customer.
func mail(l vendorapi.License, key vendorapi.LicenseKey) string {
	var b strings.Builder
	b.WriteString("Hello,\n\nthank you for your order. This is your license key:\n\n")
	if key.ShortKey != "" {
		b.WriteString("    " + key.ShortKey + "\n\nIf the product asks for the long form:\n\n")
	}
	b.WriteString("    " + key.LicenseKey + "\n\nPaste it into the product when it asks for it.")
	if !l.ExpirationDate.IsNever() {
		b.WriteString(" It is good until " + l.ExpirationDate.UTC().Format(time.DateOnly) + ".")
	}
	if l.Reference != "" {
		b.WriteString("\n\nYour reference: " + l.Reference)
	}
	return b.String() + "\n"
}

type auditData struct {
	Checkpoint *checkpoint.Checkpoint // nil where none was made yet
	Signed     string
	Key        string
}

// audit shows the latest checkpoint, and how to verify the trail.
func (c *Console) audit(r *http.Request) (page, error) {
	var data auditData
	signed, err := c.API.Checkpoint(r.Context())
	var problem *vendorapi.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
		return page{template: "audit.html", title: "Audit trail", data: data}, nil
	case err != nil:
		return page{}, err
	}
	if data.Key, err = c.API.CheckpointKey(r.Context()); err != nil {
		return page{}, err
	}
	latest, err := checkpoint.Open(data.Key, []byte(signed))
	if err != nil {
		return page{}, err
	}
	data.Checkpoint, data.Signed = &latest, signed
	return page{template: "audit.html", title: "Audit trail", data: data}, nil
}
