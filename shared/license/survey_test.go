package license_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// edited returns a foreign record with other attributes. A nil removes one.
func edited(n int, changes attribute.Map) attribute.Map {
	record := foreign(n)
	for name, value := range changes {
		if record[name] = value; value == nil {
			delete(record, name)
		}
	}
	return record
}

// TestSurvey plants one record of each kind.
func TestSurvey(t *testing.T) {
	const upper, mixed = "D5B35FFA-AF15-44B7-9DE0-000000000001", "D5b35FFA-AF15-44B7-9DE0-000000000001"
	ours := licensetest.Issue(t)
	r := newRecords(ours.Record(), foreign(1),
		edited(2, attribute.Map{"expirationdate": "soon"}),
		edited(3, attribute.Map{"expirationdate": "2020-01-01", "services": attribute.Number("5")}),
		edited(4, attribute.Map{"isrevoked": true, "expirationdate": "secret text"}),
		edited(5, attribute.Map{"issuspended": true}),
		edited(6, attribute.Map{"notes": true, "customername": nil}),
		edited(7, attribute.Map{"customerid": "acme"}),
		edited(8, attribute.Map{"licenseid": "trial"}),
		edited(9, attribute.Map{"licenseid": upper}),
		edited(10, attribute.Map{"licenseid": mixed}),
		edited(11, nil), edited(12, attribute.Map{"isrevoked": "no"}),
	)
	r.damaged = []string{foreign(11)["licenseid"].(string)}
	r.beforeAmend = func(string) error { t.Error("a survey writes"); return nil }
	seen := 0
	got, err := license.Scan{Records: r, Segments: 2, Pace: noWait}.Survey(
		t.Context(), licensetest.Now, func(n int) { seen = n })
	if err != nil {
		t.Fatal(err)
	}
	id := func(n int) string { return foreign(n)["licenseid"].(string) }
	problem := func(n int, status license.Status, problems ...string) license.RecordProblem {
		p := license.RecordProblem{LicenseID: id(n), Status: status}
		for _, text := range problems {
			field, message, _ := strings.Cut(text, " ")
			p.Problems = append(p.Problems, license.FieldError{Field: field, Message: message})
		}
		return p
	}
	const notADate = "expirationdate must be an ISO 8601 date, as 2030-01-31T00:00:00.000Z"
	want := license.Survey{
		Records: 13, Lacking: 11,
		Statuses: map[license.Status]int{
			license.Active: 7, license.Expired: 1, license.Revoked: 1, license.Suspended: 1, license.Unreadable: 3,
		},
		Refused: []license.RecordProblem{
			problem(2, license.Unreadable, notADate),
			{LicenseID: id(11), Status: license.Unreadable, Problems: license.Damaged(id(11)).Problems},
			problem(12, license.Unreadable, "isrevoked is of the type S, and must be a truth value (BOOL)"),
		},
		Harmless: []license.RecordProblem{
			problem(3, license.Expired,
				"services is of the type N, and must be a JSON array of objects as a text (S), or a list (L) of maps"),
			problem(4, license.Revoked, notADate),
			problem(6, license.Active, "notes is of the type BOOL, and must be a text (S)"),
		},
		NotUUIDs:         []string{"trial"},
		DifferByCase:     [][]string{{upper, mixed, id(1)}},
		CustomerNotUUIDs: []string{id(7)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "secret text") || seen != 13 {
		t.Errorf("%s, %v, %d seen", text, err, seen)
	}
}

// TestSurveyEmpty: lists are lists in JSON, also where they are empty.
func TestSurveyEmpty(t *testing.T) {
	got, err := license.Scan{Records: newRecords(), Segments: 1, Pace: noWait}.Survey(
		t.Context(), licensetest.Now, func(int) {})
	text, errJSON := json.Marshal(got)
	if errors.Join(err, errJSON) != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v, %v", text, err, errJSON)
	}
}

func TestSurveyFails(t *testing.T) {
	r := newRecords(foreigners(3)...)
	r.endOfSegments = errors.New("throttled")
	_, err := license.Scan{Records: r, Segments: 2, Pace: noWait}.Survey(t.Context(), licensetest.Now, func(int) {})
	if !errors.Is(err, r.endOfSegments) {
		t.Errorf("got %v", err)
	}
}
