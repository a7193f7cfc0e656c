package license_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/urlpattern"
)

func validDraft() license.Draft {
	return license.Draft{CustomerName: "Customer", ExpirationDate: "2030-01-31"}
}

func TestIssueFillsIn(t *testing.T) {
	newID, err := license.NewID()
	if err != nil {
		t.Fatal(err)
	}
	l, err := validDraft().Issue(newID, licensetest.Change(""))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := uuid.Parse(l.ID); err != nil || id.Version() != 7 || l.ID != newID {
		t.Errorf("the id is %q", l.ID)
	}
	if uuid.Validate(l.CustomerID) != nil || l.Services != "[]" || l.AppURLs != "[]" || l.Version != 1 {
		t.Errorf("got %+v", l)
	}
	if !l.Created.Equal(licensetest.Now) || !l.Changed.Equal(licensetest.Now) {
		t.Errorf("created %s, changed %s", l.Created, l.Changed)
	}
}

func TestIssueLimits(t *testing.T) {
	text := func(n int) string { return strings.Repeat("é", n) }
	url := func(u string) func(*license.Draft) {
		return func(d *license.Draft) { d.AppURLs = []license.AppURL{{URL: u}} }
	}
	now := licensetest.Now
	for name, test := range map[string]struct {
		change func(*license.Draft)
		wrong  string // the field, empty where all is right
	}{
		"longest name": {func(d *license.Draft) { d.CustomerName = text(license.MaxCustomerName) }, ""},
		"name too long": {
			func(d *license.Draft) { d.CustomerName = text(license.MaxCustomerName + 1) }, "customername",
		},
		"customer id": {
			func(d *license.Draft) { d.CustomerID = "869b100f-06b7-44cc-80df-b4c4bf728461" }, "",
		},
		"customer id in braces": {
			func(d *license.Draft) { d.CustomerID = "{869b100f-06b7-44cc-80df-b4c4bf728461}" }, "customerid",
		},
		"expires in a moment": {
			func(d *license.Draft) { d.ExpirationDate = now.Add(time.Second).Format(time.RFC3339) }, "",
		},
		"expires now": {
			func(d *license.Draft) { d.ExpirationDate = now.Format(time.RFC3339) }, "expirationdate",
		},
		"expires in year 10000": {
			func(d *license.Draft) { d.ExpirationDate = "9999-12-31T23:59:59-12:00" }, "expirationdate",
		},
		"expires today": {func(d *license.Draft) { d.ExpirationDate = now.Format(time.DateOnly) }, ""},
		"expired yesterday": {
			func(d *license.Draft) { d.ExpirationDate = now.AddDate(0, 0, -1).Format(time.DateOnly) }, "expirationdate",
		},
		"expires never": {func(d *license.Draft) { d.ExpirationDate = "never" }, ""},
		"never, with days of grace": {
			func(d *license.Draft) { d.ExpirationDate, d.GraceDays = "never", 1 }, "gracedays",
		},
		"last day, with grace": {
			func(d *license.Draft) { d.ExpirationDate, d.GraceDays = "9999-12-31", 1 }, "gracedays",
		},
		"day before it, with grace": {func(d *license.Draft) { d.ExpirationDate, d.GraceDays = "9999-12-30", 365 }, ""},
		"expires in year 9999":      {func(d *license.Draft) { d.ExpirationDate = "9999-12-31T23:59:59Z" }, ""},
		"expiration absent":         {func(d *license.Draft) { d.ExpirationDate = "" }, "expirationdate"},
		"longest notes":             {func(d *license.Draft) { d.Notes = text(license.MaxNotes) }, ""},
		"notes too long":            {func(d *license.Draft) { d.Notes = text(license.MaxNotes + 1) }, "notes"},
		"most services":             {func(d *license.Draft) { d.Services = services(license.MaxServices, "a") }, ""},
		"too many services": {
			func(d *license.Draft) { d.Services = services(license.MaxServices+1, "a") }, "services",
		},
		"service value too long": {
			func(d *license.Draft) { d.Services = services(1, text(license.MaxServiceText+1)) },
			"services[0].serviceValue",
		},
		"most URLs":                 {func(d *license.Draft) { d.AppURLs = urls(license.MaxAppURLs, 10) }, ""},
		"too many URLs":             {func(d *license.Draft) { d.AppURLs = urls(license.MaxAppURLs+1, 10) }, "appurls"},
		"URLs too long together":    {func(d *license.Draft) { d.AppURLs = urls(40, 2000) }, "appurls"},
		"most days of grace":        {func(d *license.Draft) { d.GraceDays = license.MaxGraceDays }, ""},
		"too many days of grace":    {func(d *license.Draft) { d.GraceDays = license.MaxGraceDays + 1 }, "gracedays"},
		"grace negative":            {func(d *license.Draft) { d.GraceDays = -1 }, "gracedays"},
		"pattern":                   {url(`re:^(.+\.)?example\.com$`), ""},
		"pattern of alternatives":   {url(`re:^(a|b)\.com$`), ""},
		"pattern half anchored":     {url(`re:^a|b$`), "appurls[0].URL"},
		"pattern open at the end":   {url(`re:^example\.com`), "appurls[0].URL"},
		"pattern open at the start": {url(`re:example\.com$`), "appurls[0].URL"},
		"pattern with an escaped $": {url(`re:^example\.com\$`), "appurls[0].URL"},
		"pattern that is broken":    {url(`re:^(example$`), "appurls[0].URL"},
		"pattern too long": {
			url("re:^" + strings.Repeat("a", urlpattern.MaxPattern-1) + "$"), "appurls[0].URL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := validDraft()
			test.change(&d)
			_, err := d.Issue("id", licensetest.Change(""))
			var invalid *license.InvalidError
			switch {
			case test.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.wrong != "" && !errors.As(err, &invalid):
				t.Errorf("got error %v", err)
			case test.wrong != "" && (len(invalid.Fields) != 1 || invalid.Fields[0].Field != test.wrong):
				t.Errorf("got %v, want %s to be wrong", invalid, test.wrong)
			}
		})
	}
}

func services(n int, value string) (list []license.Service) {
	for range n {
		list = append(list, license.Service{Name: "a", Value: value})
	}
	return list
}

func urls(n, length int) (list []license.AppURL) {
	for i := range n {
		url := fmt.Sprintf("https://a%d.example.com/%s", i, strings.Repeat("a", length))
		list = append(list, license.AppURL{URL: url})
	}
	return list
}
