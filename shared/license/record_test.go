package license_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// original is the example item of the original Open Licenser.
const original = `{"licenseid":{"S":"d5b35ffa-af15-44b7-9de0-5b1b6dc4daec"},
	"appurls":{"S":"[{\"URL\":\"http://asd.soic\"}]"},
 "changedtimestamp":{"N":"1718622505782"},"customerid":{"S":"869b100f-06b7-44cc-80df-b4c4bf728461"},
 "customername":{"S":"Test Customer"},"expirationdate":{"S":"2025-01-03T00:00:00.000Z"},"isrevoked":{"BOOL":false},
 "notes":{"S":"asdasf"},"services":{"S":"[{\"serviceName\":\"TEST\",\"serviceValue\":\"EmbeddedPowerBI\"}]"}}`

func originalRecord(t testing.TB) (record attribute.Map) {
	t.Helper()
	if err := json.Unmarshal([]byte(original), &record); err != nil {
		t.Fatal(err)
	}
	return record
}

func TestFromRecordOriginal(t *testing.T) {
	got, err := license.FromRecord(originalRecord(t))
	if err != nil {
		t.Fatal(err)
	}
	want := license.License{
		ID:             "d5b35ffa-af15-44b7-9de0-5b1b6dc4daec",
		CustomerID:     "869b100f-06b7-44cc-80df-b4c4bf728461",
		CustomerName:   "Test Customer",
		Services:       `[{"serviceName":"TEST","serviceValue":"EmbeddedPowerBI"}]`,
		AppURLs:        `[{"URL":"http://asd.soic"}]`,
		ExpirationDate: time.Date(2025, 1, 3, 0, 0, 0, 0, time.UTC),
		Notes:          "asdasf",
		Changed:        time.UnixMilli(1718622505782).UTC(),
	}
	if diff := licensetest.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFromRecordVariants: what other tools write, and what becomes of it.
func TestFromRecordVariants(t *testing.T) {
	const absent = "absent"
	date := func(text string) func(license.License) bool {
		want, err := time.Parse(time.RFC3339Nano, text)
		return func(l license.License) bool { return err == nil && l.ExpirationDate.Equal(want) }
	}
	midnight := date("2030-01-03T00:00:00Z")
	services := func(want license.JSONList) func(license.License) bool {
		return func(l license.License) bool { return l.Services == want }
	}
	usable := func(l license.License) bool { return l.Status(licensetest.Now) == license.Active }
	bookkeeping := func(l license.License) bool { return l.Version == 0 && usable(l) }

	understood := map[string]struct {
		attribute string
		value     any
		holds     func(license.License) bool
	}{
		"date in the strict form": {"expirationdate", "2030-01-03T00:00:00.000Z", midnight},
		"date without a fraction": {"expirationdate", "2030-01-03T00:00:00Z", midnight},
		"date with microseconds": {
			"expirationdate",
			"2030-01-03T00:00:00.123456Z",
			date("2030-01-03T00:00:00.123456Z"),
		},
		"date with an offset":                {"expirationdate", "2030-01-03T02:00:00+02:00", midnight},
		"date with an offset without colon":  {"expirationdate", "2030-01-03T02:00:00+0200", midnight},
		"date without a zone":                {"expirationdate", "2030-01-03T00:00:00", midnight},
		"date without zone, with a fraction": {"expirationdate", "2030-01-03T00:00:00.000", midnight},
		"date without seconds":               {"expirationdate", "2030-01-03T00:00Z", midnight},
		"date with a space":                  {"expirationdate", "2030-01-03 00:00:00+00:00", midnight},
		"date with an offset of hours":       {"expirationdate", "2030-01-03T00:00:00+00", midnight},
		"date with an offset after a space":  {"expirationdate", "2030-01-03 00:00:00 +0000", midnight},
		"date with UTC":                      {"expirationdate", "2030-01-03 00:00:00 UTC", midnight},
		"date with a decimal comma":          {"expirationdate", "2030-01-03T00:00:00,000Z", midnight},
		"date in the basic form":             {"expirationdate", "20300103T000000Z", midnight},
		"date alone in the basic form":       {"expirationdate", "20300103", midnight},
		"date that never comes, with grace":  {"expirationdate", "9999-12-31T23:59:59.999Z", license.License.IsEndless},
		"date in lower case":                 {"expirationdate", "2030-01-03t00:00:00z", midnight},
		"date alone":                         {"expirationdate", "2030-01-03", midnight},
		"isrevoked absent":                   {"isrevoked", absent, usable},
		"isrevoked false":                    {"isrevoked", false, usable},
		"isrevoked true":                     {"isrevoked", true, func(l license.License) bool { return l.Revoked }},
		"issuspended true": {
			"issuspended",
			true,
			func(l license.License) bool { return l.Suspended },
		},
		"isRevoked in another case": {"isRevoked", true, usable},
		"services as text, spaces kept": {
			"services",
			`[{"serviceName": "A"}]`,
			services(`[{"serviceName": "A"}]`),
		},
		"services as a native list": {"services", []any{attribute.Map{"serviceName": "A", "serviceValue": "<&>"}},
			services(`[{"serviceName":"A","serviceValue":"<&>"}]`)},
		"services as a native list of odd things": {
			"services",
			[]any{attribute.Map{"a": attribute.Number("1.50"), "b": nil, "c": []any{true}}},
			services(`[{"a":1.50,"b":null,"c":[true]}]`),
		},
		"services absent":     {"services", absent, services("[]")},
		"services empty text": {"services", " ", services("[]")},
		"services empty list": {"services", []any{}, services("[]")},
		"appurls absent": {
			"appurls",
			absent,
			func(l license.License) bool { return l.AppURLs == "[]" },
		},
		"customername absent": {
			"customername",
			absent,
			func(l license.License) bool { return l.CustomerName == "" },
		},
		"gracedays": {
			"gracedays",
			attribute.Number("7"),
			func(l license.License) bool { return l.GraceDays == 7 },
		},
		"gracedays 7.0": {
			"gracedays",
			attribute.Number("7.0"),
			func(l license.License) bool { return l.GraceDays == 7 },
		},
		"version as text":                {"version", "3", bookkeeping},
		"changedtimestamp as text":       {"changedtimestamp", "2024-06-17", bookkeeping},
		"changedtimestamp with fraction": {"changedtimestamp", attribute.Number("1718622505782.5"), bookkeeping},
		"notes as a list":                {"notes", []any{"a"}, bookkeeping},
		"tokenkeyid": {
			"tokenkeyid",
			"kid",
			func(l license.License) bool { return l.TokenKeyID == "kid" },
		},
		"tokenkeyid as a number": {
			"tokenkeyid",
			attribute.Number("7"),
			func(l license.License) bool { return l.TokenKeyID == "" },
		},
		"customerid as a number": {"customerid", attribute.Number("7"), bookkeeping},
		"plan":                   {"plan", "pro", func(l license.License) bool { return l.Plan == "pro" && usable(l) }},
		"plan as a number":       {"plan", attribute.Number("7"), bookkeeping},
		"updatesuntil": {
			"updatesuntil", "2027-01-31T23:59:59.999Z",
			func(l license.License) bool {
				return license.FormatDate(l.UpdatesUntil) == "2027-01-31T23:59:59.999Z" && usable(l)
			},
		},
		"updatesuntil in another form": {
			"updatesuntil", "20270131T120000+0100",
			func(l license.License) bool { return license.FormatDate(l.UpdatesUntil) == "2027-01-31T11:00:00.000Z" },
		},
		"updatesuntil in the past": {"updatesuntil", "2020-01-31", usable},
		"updatesuntil absent": {
			"updatesuntil", absent, func(l license.License) bool { return l.UpdatesUntil.IsZero() && usable(l) },
		},
		"an attribute that nobody knows": {"colour", attribute.StringSet{"red"}, bookkeeping},
	}
	for name, test := range understood {
		t.Run(name, func(t *testing.T) {
			record := originalRecord(t)
			record["expirationdate"] = "2030-01-03"
			record[test.attribute] = test.value
			if test.value == absent {
				delete(record, test.attribute)
			}
			l, err := license.FromRecord(record)
			if err != nil || !test.holds(l) {
				t.Errorf("got %+v, %v", l, err)
			}
		})
	}

	notUnderstood := map[string]struct {
		attribute string
		value     any
	}{
		"isrevoked is the text true":     {"isrevoked", "true"},
		"isrevoked is the text false":    {"isrevoked", "false"},
		"isrevoked is the number 0":      {"isrevoked", attribute.Number("0")},
		"isrevoked is NULL":              {"isrevoked", nil},
		"isrevoked is a list":            {"isrevoked", []any{false}},
		"issuspended is the text true":   {"issuspended", "true"},
		"issuspended is the number 1":    {"issuspended", attribute.Number("1")},
		"expirationdate absent":          {"expirationdate", absent},
		"expirationdate empty":           {"expirationdate", ""},
		"expirationdate NULL":            {"expirationdate", nil},
		"expirationdate is a number":     {"expirationdate", attribute.Number("1893628800")},
		"expirationdate is words":        {"expirationdate", "next year"},
		"expirationdate is no day":       {"expirationdate", "2030-02-30"},
		"expirationdate, day first":      {"expirationdate", "03-01-2030"},
		"expirationdate in year 10000":   {"expirationdate", "9999-12-31T23:59:59-12:00"},
		"services is no JSON":            {"services", "TEST"},
		"services is an object":          {"services", `{"serviceName":"A"}`},
		"services is JSON null":          {"services", "null"},
		"services holds null":            {"services", "[null]"},
		"services holds texts":           {"services", `["A"]`},
		"services is a native text list": {"services", []any{"A"}},
		"services is a set":              {"services", attribute.StringSet{"A"}},
		"services is a number":           {"services", attribute.Number("1")},
		"appurls is cut off":             {"appurls", `[{"URL":"http`},
		"appurls is NULL":                {"appurls", nil},
		"customername is a number":       {"customername", attribute.Number("7")},
		"gracedays is negative":          {"gracedays", attribute.Number("-1")},
		"gracedays is a fraction":        {"gracedays", attribute.Number("1.5")},
		"gracedays is text":              {"gracedays", "7"},
		"gracedays is beyond all bounds": {"gracedays", attribute.Number("1E30")},
		"updatesuntil is words":          {"updatesuntil", "next year"},
		"updatesuntil is never":          {"updatesuntil", "never"},
		"updatesuntil is empty":          {"updatesuntil", ""},
		"updatesuntil is NULL":           {"updatesuntil", nil},
		"updatesuntil is a number":       {"updatesuntil", attribute.Number("1893628800000")},
		"updatesuntil stands for none":   {"updatesuntil", "0001-01-01T00:00:00.000Z"},
		"licenseid absent":               {"licenseid", absent},
		"licenseid is a number":          {"licenseid", attribute.Number("7")},
	}
	for name, test := range notUnderstood {
		t.Run(name, func(t *testing.T) {
			record := originalRecord(t)
			record["expirationdate"] = "2030-01-03"
			record[test.attribute] = test.value
			if test.value == absent {
				delete(record, test.attribute)
			}
			l, err := license.FromRecord(record)
			if test.attribute == "licenseid" {
				if !errors.Is(err, license.ErrUnreadable) {
					t.Errorf("got %+v, %v; want ErrUnreadable", l, err)
				}
				return
			}
			if err != nil || l.Status(licensetest.Now) != license.Unreadable || l.IsReadable() ||
				!l.HasProblem(test.attribute) {
				t.Errorf("got %+v, %v; want it to be unreadable", l, err)
			}
		})
	}
}

// TestStatusOfOddRecords: a definite no needs only what decides it, in the order of precedence.
func TestStatusOfOddRecords(t *testing.T) {
	odd := attribute.Map{
		"issuspended": "yes", "expirationdate": "soon", "gracedays": attribute.Number("1.5"), "isdeleted": "x",
		"services": nil, "appurls": "x", "customername": attribute.Number("7"),
	}
	with := func(base attribute.Map, changes attribute.Map) attribute.Map {
		changed := maps.Clone(base)
		maps.Copy(changed, changes)
		return changed
	}
	for name, test := range map[string]struct {
		record attribute.Map
		want   license.Status
	}{
		"revoked, all else odd": {with(odd, attribute.Map{"isrevoked": true}), license.Revoked},
		"nothing says no":       {with(odd, attribute.Map{"isrevoked": false}), license.Unreadable},
		"revocation odd": {
			with(odd, attribute.Map{"isrevoked": "true", "issuspended": true}), license.Unreadable,
		},
		"suspended, the rest odd": {with(odd, attribute.Map{"issuspended": true}), license.Suspended},
		"suspension odd, expired": {
			attribute.Map{"issuspended": "yes", "expirationdate": "2020-01-01"}, license.Unreadable,
		},
		"expired, the rest odd": {
			with(odd, attribute.Map{"issuspended": false, "expirationdate": "2020-01-01",
				"gracedays": attribute.Number("2")}),
			license.Expired,
		},
		"past its date, grace odd": {
			attribute.Map{"expirationdate": "2020-01-01", "gracedays": attribute.Number("1.5")}, license.Unreadable,
		},
		"in its grace, services odd": {
			attribute.Map{"expirationdate": "2026-10-31", "gracedays": attribute.Number("7"), "services": nil},
			license.Unreadable,
		},
		"in force, bookkeeping odd": {
			attribute.Map{"customerid": true, "notes": []any{}, "version": "1", "changedby": false}, license.Active,
		},
		"in force, no customer's id":        {attribute.Map{"customerid": nil}, license.Active},
		"in force, customer's name is NULL": {attribute.Map{"customername": nil}, license.Unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := license.FromRecord(
				with(with(originalRecord(t), attribute.Map{"expirationdate": "2030-01-03"}), test.record),
			)
			if err != nil || l.Status(licensetest.Now) != test.want {
				t.Errorf("got %s of %+v, %v", l.Status(licensetest.Now), l, err)
			}
		})
	}
}

// TestBookkeepingProblems: what is wrong with the attributes that no patch takes is said truly, and any change mends
// those that it notes.
func TestBookkeepingProblems(t *testing.T) {
	record := originalRecord(t)
	maps.Copy(record, attribute.Map{
		"expirationdate": "2030-01-03", "version": attribute.Number("9007199254740994"),
		"changedtimestamp": attribute.Number("1e20"), "createdtimestamp": "2026-11-01", "changedby": true,
	})
	l, err := license.FromRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	want := []license.FieldError{
		{Field: "version", Message: "must be a whole number (N) from -2^53 to 2^53"},
		{Field: "createdtimestamp", Message: "must be a number (N) of milliseconds since 1970, from -2^53 to 2^53"},
		{Field: "changedtimestamp", Message: "must be a number (N) of milliseconds since 1970, from -2^53 to 2^53"},
		{Field: "changedby", Message: "is of the type BOOL, and must be a text (S)"},
	}
	if !slices.Equal(l.Problems, want) {
		t.Errorf("got %v", l.Problems)
	}

	suspended, err := l.Suspend(licensetest.Change(""))
	if err != nil || !slices.Equal(suspended.Problems, want[1:2]) || suspended.Version != 1 {
		t.Errorf("suspended: version %d, %v, %v", suspended.Version, suspended.Problems, err)
	}
	set, remove := license.Delta(l, suspended)
	for _, name := range []string{"version", "changedtimestamp", "changedby"} {
		if _, written := set[name]; !written {
			t.Errorf("%s stays as it is", name)
		}
	}
	if _, written := set["createdtimestamp"]; written || slices.Contains(remove, "createdtimestamp") {
		t.Errorf("createdtimestamp is touched: %v, %v", set, remove)
	}
}

// TestProblemsNameNoValues: they are logged, and shown to whoever may read the license.
func TestProblemsNameNoValues(t *testing.T) {
	record := attribute.Map{"licenseid": "id"}
	names := []string{
		"isrevoked",
		"issuspended",
		"isdeleted",
		"expirationdate",
		"gracedays",
		"services",
		"appurls",
		"customername",
		"notes",
	}
	for _, name := range names {
		record[name] = attribute.StringSet{"a secret remark"}
	}
	record["services"], record["expirationdate"] = "a secret remark", "a secret remark"
	l, err := license.FromRecord(record)
	if err != nil || len(l.Problems) != len(names) {
		t.Fatalf("%v, %v", l.Problems, err)
	}
	text := l.UnreadableError().Error()
	if strings.Contains(text, "remark") || !errors.Is(l.UnreadableError(), license.ErrUnreadable) {
		t.Error(text)
	}
	for _, name := range names {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not in %s", name, text)
		}
	}
}

// TestRecordRoundTrips: what is written strictly is read as it was, through DynamoDB JSON.
func TestRecordRoundTrips(t *testing.T) {
	instant := rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(1, 253402300799999).Draw(t, "milliseconds")).UTC()
	})
	rapid.Check(t, func(t *rapid.T) {
		want := license.License{
			ID:           rapid.StringN(1, -1, 50).Draw(t, "id"),
			CustomerID:   rapid.String().Draw(t, "customer"),
			CustomerName: rapid.String().Draw(t, "name"),
			Services: license.JSONList(
				rapid.SampledFrom([]string{"[]", `[{"serviceName":"<é>"}]`}).Draw(t, "services"),
			),
			AppURLs:        "[]",
			ExpirationDate: instant.Draw(t, "expiration"),
			GraceDays:      rapid.IntRange(0, license.MaxGraceDays).Draw(t, "grace"),
			Notes:          rapid.String().Draw(t, "notes"),
			UpdatesUntil:   instant.Draw(t, "updates"),
			Plan:           rapid.String().Draw(t, "plan"),
			TokenKeyID:     rapid.String().Draw(t, "pin"),
			Revoked:        rapid.Bool().Draw(t, "revoked"),
			Suspended:      rapid.Bool().Draw(t, "suspended"),
			Version:        rapid.Int64Range(1, 1<<50).Draw(t, "version"),
			Created:        instant.Draw(t, "created"),
			Changed:        instant.Draw(t, "changed"),
			ChangedBy:      rapid.String().Draw(t, "by"),
			ChangeReason:   rapid.String().Draw(t, "reason"),
			RequestID:      rapid.String().Draw(t, "request"),
		}
		text, err := json.Marshal(want.Record())
		if err != nil {
			t.Fatal(err)
		}
		var record attribute.Map
		if err := json.Unmarshal(text, &record); err != nil {
			t.Fatal(err)
		}
		got, err := license.FromRecord(record)
		if err != nil {
			t.Fatal(err)
		}
		if diff := licensetest.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// TestDelta: an update's attributes lead from the one record to the other, and are no more than needed.
func TestDelta(t *testing.T) {
	before := licensetest.Issue(t)
	after := licensetest.Revoke(t, before, "")
	set, remove := license.Delta(before, after)
	if _, sent := set["customername"]; sent {
		t.Error("what did not change is written")
	}
	record := before.Record()
	maps.Copy(record, set)
	for _, name := range remove {
		delete(record, name)
	}
	got, err := license.FromRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	if diff := licensetest.Diff(after, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzFromRecord: whatever is stored, a license comes out that can be used safely, or ErrUnreadable.
func FuzzFromRecord(f *testing.F) {
	f.Add([]byte(original))
	f.Add([]byte(`{"licenseid":{"S":"x"},"isrevoked":{"S":"true"},"expirationdate":{"S":"2030-01-01"}}`))
	f.Add(
		[]byte(
			`{"licenseid":{"S":"x"},"gracedays":{"N":"1E99"},"expirationdate":{"S":"9999-12-31"},
				"services":{"L":[{"M":{"a":{"N":"x"}}}]}}`,
		),
	)
	f.Fuzz(func(t *testing.T, text []byte) {
		var record attribute.Map
		if json.Unmarshal(text, &record) != nil {
			return
		}
		l, err := license.FromRecord(record)
		if err != nil {
			if !errors.Is(err, license.ErrUnreadable) {
				t.Fatal(err)
			}
			return
		}
		if revoked, isFlag := record["isrevoked"].(bool); isFlag && l.Revoked != revoked {
			t.Fatalf("isrevoked %v was read as %v", revoked, l.Revoked)
		}
		if l.IsReadable() && (!json.Valid([]byte(l.Services)) || !json.Valid([]byte(l.AppURLs))) {
			t.Fatalf("got %+v", l)
		}
		if status := l.Status(licensetest.Now); !l.IsReadable() &&
			(status == license.Active || status == license.Grace) {
			t.Fatalf("%s, in spite of %v", status, l.Problems)
		}
	})
}
