package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
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
	Done    string // what was done a moment ago
	Lists   []homeList
	IsEmpty bool // there are no licenses at all
	Hidden  []string
}

// homeList is a list of licenses that somebody should look at.
type homeList struct {
	Title, Text, None, More, Query string // None: what is said where there are none; empty: the list is left out then
	Licenses                       []vendorapi.License
}

// home shows a search, what needs repair, what has ended and still works, and what ends soon.
func (c *Console) home(r *http.Request) (page, error) {
	data := homeData{Done: done(r)}
	ascending := license.Ascending
	found := 0
	for _, list := range []struct {
		homeList
		query vendorapi.ListQuery
	}{
		{homeList{
			Title: "Needs repair", More: "All that need repair",
			Text: "These records cannot be understood, so products get no answer for them. Another tool has written " +
				"them. Change what is wrong, or ask whoever runs that tool.",
		}, vendorapi.ListQuery{Status: license.Unreadable}},
		{homeList{
			Title: "Has ended, and still works for some days", More: "All of these",
		}, vendorapi.ListQuery{Status: license.Grace, Order: ascending}},
		{homeList{
			Title: "Ends in the next 30 days", None: "None does.", More: "All that end soon",
		}, vendorapi.ListQuery{
			Status: license.Active, Order: ascending, ExpiringBefore: c.Now().UTC().Add(soon).Format(time.DateOnly),
		}},
	} {
		list.query.Limit = onHome
		licenses, err := c.API.LicensePage(r.Context(), list.query)
		if shown, err := isShown(err, &data.Hidden); err != nil {
			return page{}, err
		} else if !shown {
			continue
		}
		found += len(licenses.Licenses)
		if list.Licenses = licenses.Licenses; licenses.Cursor != "" {
			list.Query = queryOf(list.query).Encode()
		}
		if len(list.Licenses) > 0 || list.None != "" {
			data.Lists = append(data.Lists, list.homeList)
		}
	}
	if found == 0 && len(data.Hidden) == 0 {
		newest, err := c.API.LicensePage(r.Context(), vendorapi.ListQuery{Limit: 1})
		if err != nil {
			return page{}, err
		}
		data.IsEmpty = len(newest.Licenses) == 0
	}
	return page{template: "home.html", title: "Licenses", data: data}, nil
}

// done returns what the page before says that it has done, of what there is to do.
func done(r *http.Request) string {
	switch name := r.Form.Get("done"); name {
	case "":
		return ""
	case "edit":
		return "The changes are saved."
	default:
		return actions[name].done
	}
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
		return goTo(licensePath(l.LicenseID)), nil
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
		"expiringafter": q.ExpiringAfter, "expiringbefore": q.ExpiringBefore, "order": string(q.Order),
		"cursor": q.Cursor,
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
		ExpiringBefore: f.text("expiringbefore"), Order: license.Order(f.text("order")), Limit: onPage,
		Cursor: f.text("cursor"),
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
			if !slices.Contains([]string{"customername", "email", "status", "expiringafter", "expiringbefore"},
				e.Field) {
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
		{Name: "customerid", Label: "Customer id", Type: "text"},
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
	Done     string // what was done a moment ago
	Alarm    string // what is wrong with the trail
	IsIssued bool   // a moment ago
	Mail     string
	Grace    int      // days
	Hidden   []string // why parts of the page are not there
}

// isShown reports whether a part of a page can be shown. What the service does not give is left out, and hidden says
// why.
func isShown(err error, hidden *[]string) (bool, error) {
	problem, isProblem := errors.AsType[*vendorapi.Problem](err)
	if !isProblem {
		return err == nil, err
	}
	t := troubleOf(problem)
	if text := strings.TrimSpace(t.Text + " " + t.Next); !slices.Contains(*hidden, text) {
		*hidden = append(*hidden, text)
	}
	return false, nil
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
	data := licenseData{License: l, IsIssued: r.Form.Get("issued") != "", Done: done(r)}
	if l.GraceDays != nil {
		data.Grace = *l.GraceDays
	}
	if data.Services, err = l.ServiceList(); err != nil {
		data.Foreign = append(data.Foreign, string(l.Services))
	}
	if data.AppURLs, err = l.AppURLList(); err != nil {
		data.Foreign = append(data.Foreign, string(l.AppURLs))
	}
	if err := c.complete(ctx, &data); err != nil {
		return page{}, err
	}
	if data.Key.LicenseKey != "" {
		data.Mail = mail(l, data.Key)
	}
	slices.Reverse(data.Entries) // the latest first
	name := "License"
	if l.CustomerName != nil {
		name = *l.CustomerName
	}
	return page{template: "license.html", title: name, data: data}, nil
}

// complete adds what is not in the license itself: its key, its devices and its trail.
func (c *Console) complete(ctx context.Context, data *licenseData) error {
	id := data.LicenseID
	key, errKey := c.API.LicenseKey(ctx, id)
	if shown, err := isShown(errKey, &data.Hidden); err != nil {
		return err
	} else if shown {
		data.Key = key
	}
	if data.MaxDevices > 0 {
		devices, errDevices := c.API.Devices(ctx, id)
		if shown, err := isShown(errDevices, &data.Hidden); err != nil {
			return err
		} else if shown {
			data.Devices = &devices
		}
	}
	entries, errTrail := c.entries(ctx, id)
	shown, err := isShown(errTrail, &data.Hidden)
	if err != nil || !shown {
		return err
	}
	data.Entries = entries
	signedUpTo, errProof := c.signedUpTo(ctx, id)
	var alarm *trailError
	if errors.As(errProof, &alarm) {
		data.Alarm = alarm.Error()
		return nil
	}
	if shown, err = isShown(errProof, &data.Hidden); shown {
		data.Signed = signedUpTo
	}
	return err
}

// entries returns the whole trail of a license, the oldest entry first.
func (c *Console) entries(ctx context.Context, licenseID string) (entries []audit.Entry, err error) {
	for e, err := range c.API.AuditEntries(ctx, licenseID) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
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
		return nil, &trailError{err}
	}
	return &signed{Number: latest.Number, Sequence: leaf.Sequence, Time: latest.Time}, nil
}

// trailError reports that the trail is not as a checkpoint says.
type trailError struct{ err error }

func (e *trailError) Error() string {
	return "The trail does not match what was signed. Tell whoever runs the service: " + e.err.Error()
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
	Alarm      string
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
	data.Signed = signed
	if latest, err := checkpoint.Open(data.Key, []byte(signed)); err == nil {
		data.Checkpoint = &latest
	} else {
		data.Alarm = (&trailError{err}).Error()
	}
	return page{template: "audit.html", title: "Audit trail", data: data}, nil
}
