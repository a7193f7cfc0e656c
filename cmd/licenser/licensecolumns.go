package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// column is a fact about a license.
type column = terminal.Column[vendorapi.License]

// licenseColumns are all facts about a license. Their names are those of the vendor's API, and what licenser import
// reads. Dates in words are as of now.
func licenseColumns(now time.Time) []column {
	return []column{
		{
			Name: "status", Title: "STATUS", Color: statusColor,
			Text: func(l vendorapi.License) string { return string(l.Status) },
		},
		{
			Name: "customername", Title: "CUSTOMER", Narrow: 12,
			Text: func(l vendorapi.License) string { return valueOf(l.CustomerName) },
		},
		{
			Name: "expirationdate", Title: "ENDS", Text: endText,
			People: func(l vendorapi.License) string { return endForPeople(l, now) },
			Brief:  briefEnd,
			Color:  func(l vendorapi.License) terminal.Color { return endColor(l, now) },
		},
		{
			Name: "reference", Title: "REFERENCE", Narrow: 12, Extra: true,
			Text: func(l vendorapi.License) string { return l.Reference },
		},
		{
			Name: "plan", Title: "PLAN", Narrow: 6, Extra: true,
			Text: func(l vendorapi.License) string { return l.Plan },
		},
		{Name: "licenseid", Title: "LICENSE", Text: func(l vendorapi.License) string { return l.LicenseID }},
		{Name: "customerid", Text: func(l vendorapi.License) string { return l.CustomerID }},
		{Name: "email", Text: func(l vendorapi.License) string { return l.Email }},
		{
			Name: "services", Text: func(l vendorapi.License) string { return string(l.Services) },
			People: func(l vendorapi.License) string { return servicesForPeople(l) },
		},
		{
			Name: "appurls", Text: func(l vendorapi.License) string { return string(l.AppURLs) },
			People: func(l vendorapi.License) string { return urlsForPeople(l) },
		},
		{Name: "gracedays", Text: func(l vendorapi.License) string { return numberText(valueOf(l.GraceDays)) }},
		{
			Name: "updatesuntil", Text: func(l vendorapi.License) string { return instantText(l.UpdatesUntil) },
			People: func(l vendorapi.License) string { return instantForPeople(l.UpdatesUntil, now) },
		},
		{Name: "maxdevices", Text: func(l vendorapi.License) string { return numberText(l.MaxDevices) }},
		{Name: "leaseminutes", Text: func(l vendorapi.License) string { return numberText(l.LeaseMinutes) }},
		{Name: "maxleaseminutes", Text: func(l vendorapi.License) string { return numberText(l.MaxLeaseMinutes) }},
		{Name: "notes", Text: func(l vendorapi.License) string { return l.Notes }},
		{Name: "tokenkeyid", Text: func(l vendorapi.License) string { return l.TokenKeyID }},
		{Name: "erased", Text: func(l vendorapi.License) string { return l.Erased }},
		{Name: "version", Text: func(l vendorapi.License) string { return strconv.FormatInt(l.Version, 10) }},
		{
			Name: "created", Text: func(l vendorapi.License) string { return instantText(l.Created) },
			People: func(l vendorapi.License) string { return instantForPeople(l.Created, now) },
		},
		{
			Name: "changed", Text: func(l vendorapi.License) string { return instantText(l.Changed) },
			People: func(l vendorapi.License) string { return instantForPeople(l.Changed, now) },
		},
		{Name: "changedby", Text: func(l vendorapi.License) string { return l.ChangedBy }},
		{Name: "changereason", Text: func(l vendorapi.License) string { return l.ChangeReason }},
		{
			Name: "problems", Text: problemsText,
			Color: func(vendorapi.License) terminal.Color { return terminal.Bad },
		},
	}
}

// keyColumns are the two forms of a license key.
func keyColumns() []column {
	return []column{
		{Name: "licensekey", Text: func(l vendorapi.License) string { return l.LicenseKey }},
		{Name: "shortkey", Text: func(l vendorapi.License) string { return l.ShortKey }},
	}
}

func valueOf[T any](pointer *T) (value T) {
	if pointer != nil {
		value = *pointer
	}
	return value
}

// numberText leaves out 0, which stands for none.
func numberText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func statusColor(l vendorapi.License) terminal.Color {
	switch l.Status {
	case license.Active:
		return terminal.Good
	case license.Grace, license.Suspended:
		return terminal.Warning
	}
	return terminal.Bad
}

// endText is in the form in which a license is given its end.
func endText(l vendorapi.License) string {
	switch {
	case l.ExpirationDate.IsZero():
		return ""
	case l.ExpirationDate.IsNever():
		return never
	}
	return license.FormatDate(l.ExpirationDate.Time)
}

func endForPeople(l vendorapi.License, now time.Time) string {
	if l.ExpirationDate.IsZero() || l.ExpirationDate.IsNever() {
		return endText(l)
	}
	return terminal.Date(l.ExpirationDate.Time) + " (" + terminal.InWords(l.ExpirationDate.Time, now) + ")"
}

// briefEnd is the end without words.
func briefEnd(l vendorapi.License) string {
	if l.ExpirationDate.IsZero() || l.ExpirationDate.IsNever() {
		return endText(l)
	}
	return terminal.Date(l.ExpirationDate.Time)
}

// soon is how long before its end a license shows that it ends.
const soon = 30 * 24 * time.Hour

func endColor(l vendorapi.License, now time.Time) terminal.Color {
	switch end := l.ExpirationDate; {
	case end.IsZero():
		return terminal.Plain
	case !now.Before(end.Time):
		return terminal.Bad
	case end.Sub(now) < soon:
		return terminal.Warning
	}
	return terminal.Plain
}

func instantText(i vendorapi.Instant) string {
	if i.IsZero() {
		return ""
	}
	return license.FormatDate(i.Time)
}

func instantForPeople(i vendorapi.Instant, now time.Time) string {
	if i.IsZero() {
		return ""
	}
	return terminal.Date(i.Time) + " (" + terminal.InWords(i.Time, now) + ")"
}

// servicesForPeople returns name=value of each, or the list as it is where another tool has written it.
func servicesForPeople(l vendorapi.License) string {
	services, err := l.ServiceList()
	if err != nil {
		return string(l.Services)
	}
	texts := make([]string, len(services))
	for i, s := range services {
		texts[i] = s.Name + "=" + s.Value
	}
	return strings.Join(texts, ", ")
}

func urlsForPeople(l vendorapi.License) string {
	urls, err := l.AppURLList()
	if err != nil {
		return string(l.AppURLs)
	}
	texts := make([]string, len(urls))
	for i, u := range urls {
		texts[i] = u.URL
	}
	return strings.Join(texts, ", ")
}

func problemsText(l vendorapi.License) string {
	texts := make([]string, len(l.Problems))
	for i, p := range l.Problems {
		texts[i] = fmt.Sprintf("%s %s", p.Field, p.Message)
	}
	return strings.Join(texts, "; ")
}
