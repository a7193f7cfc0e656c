package license_test

import (
	"testing"
	"time"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

func TestStatus(t *testing.T) {
	end := licensetest.Now
	for name, test := range map[string]struct {
		l    license.License
		at   time.Time
		want license.Status
	}{
		"before the end":                {license.License{}, end.Add(-1), license.Active},
		"at the end":                    {license.License{}, end, license.Expired},
		"at the end, with grace":        {license.License{GraceDays: 1}, end, license.Grace},
		"last instant of grace":         {license.License{GraceDays: 1}, end.AddDate(0, 0, 1).Add(-1), license.Grace},
		"at the end of grace":           {license.License{GraceDays: 1}, end.AddDate(0, 0, 1), license.Expired},
		"revoked":                       {license.License{Revoked: true}, end.Add(-1), license.Revoked},
		"suspended":                     {license.License{Suspended: true}, end.Add(-1), license.Suspended},
		"revoked, suspended, expired":   {license.License{Revoked: true, Suspended: true}, end, license.Revoked},
		"suspended and expired":         {license.License{Suspended: true}, end, license.Suspended},
		"revoked, in the days of grace": {license.License{Revoked: true, GraceDays: 5}, end, license.Revoked},
	} {
		t.Run(name, func(t *testing.T) {
			test.l.ExpirationDate = end
			if got := test.l.Status(test.at); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
