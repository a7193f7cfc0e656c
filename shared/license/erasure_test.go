package license_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// complete returns a license with a value in each of its fields.
func complete(t *testing.T) license.License {
	t.Helper()
	l := licensetest.Issue(t)
	value := reflect.ValueOf(&l).Elem()
	for field, of := range value.Fields() {
		switch {
		case !field.IsExported() || field.Name == "Problems" || !of.IsZero():
		case of.Kind() == reflect.String:
			of.SetString("value of " + field.Name)
		case of.Kind() == reflect.Bool:
			of.SetBool(true)
		case of.CanInt():
			of.SetInt(60)
		case of.Type() == reflect.TypeFor[time.Time]():
			of.Set(reflect.ValueOf(licensetest.Now))
		default:
			t.Fatalf("no value for %s", field.Name)
		}
	}
	return l
}

// read returns the license of a record.
func read(t *testing.T, record attribute.Map) license.License {
	t.Helper()
	l, err := license.FromRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func erase(t *testing.T, l license.License, reason, mark string) license.License {
	t.Helper()
	erased, err := l.Erase(licensetest.Change(reason), mark)
	if err != nil {
		t.Fatal(err)
	}
	return erased
}

// TestIsPersonal: of each attribute that there is, somebody has decided whether it may tell something about a person.
// One that is new fails here: say so of it in erasure.go, and here if it is personal. Erase then has to take it out.
func TestIsPersonal(t *testing.T) {
	personal := []string{"changereason", "customername", "email", "notes", "reference"}
	names := slices.Collect(maps.Keys(complete(t).Record()))
	names = append(names, license.Amended()...)
	for _, name := range names {
		if want := slices.Contains(personal, name); license.IsPersonal(name) != want {
			t.Errorf("%s is personal: %v, want %v", name, !want, want)
		}
	}
	for _, name := range personal {
		if !slices.Contains(names, name) {
			t.Errorf("there is no %s", name)
		}
	}
	for _, name := range []string{"phone", "Notes", "", "ix", "customerName"} {
		if !license.IsPersonal(name) {
			t.Errorf("%q counts as impersonal", name)
		}
	}
}

func TestHoldsPersonal(t *testing.T) {
	for name, test := range map[string]struct {
		more attribute.Map
		want bool
	}{
		"nothing":              {nil, false},
		"impersonal":           {attribute.Map{"customerid": "c", "plan": "pro", "putback": "1 gracedays"}, false},
		"index":                {attribute.Map{"ixname": "erased", "ixemail": "x"}, false},
		"the erased name":      {attribute.Map{"customername": "erased"}, false},
		"the reason":           {attribute.Map{"changereason": "asked by letter"}, false},
		"empty texts":          {attribute.Map{"notes": "", "email": "", "phone": ""}, false},
		"NULL":                 {attribute.Map{"notes": nil, "phone": nil}, false},
		"a name":               {attribute.Map{"customername": "Jane"}, true},
		"erased as notes":      {attribute.Map{"notes": "erased"}, true},
		"an address":           {attribute.Map{"email": "jane@example.com"}, true},
		"a reference":          {attribute.Map{"reference": "order 1"}, true},
		"a number as name":     {attribute.Map{"customername": attribute.Number("7")}, true},
		"what nobody knows":    {attribute.Map{"phone": attribute.StringSet{"1"}}, true},
		"an empty list":        {attribute.Map{"contacts": []any{}}, true},
		"a map":                {attribute.Map{"notes": attribute.Map{}}, true},
		"another letter case":  {attribute.Map{"customerName": "erased"}, true},
		"the name with spaces": {attribute.Map{"customername": " erased"}, true},
	} {
		record := license.Amendment{Set: test.more}.Apply(attribute.Map{"licenseid": "a", "isrevoked": false})
		if got := license.HoldsPersonal(record); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestErase: all that is personal goes, also what other tools have added, and all else stays.
func TestErase(t *testing.T) {
	record := complete(t).Record()
	delete(record, "erased")
	impersonal := maps.Clone(record)
	maps.Copy(record, attribute.Map{
		"phone": "123", "contact person": attribute.Map{"name": "Jane"}, "n\u00f6tes": nil,
		"putback": "10 email gracedays",
	})
	impersonal["putback"] = record["putback"]
	before := read(t, record)
	after := erase(t, before, "asked by letter", "mark-1")
	set, remove := license.Delta(before, after)
	for name := range set {
		if slices.Contains(remove, name) {
			t.Errorf("%s is set and removed", name)
		}
	}
	got := license.Amendment{Set: set, Remove: remove}.Apply(record)
	maps.Copy(impersonal, attribute.Map{
		"customername": "erased", "notes": "", "erased": "mark-1", "ixname": "erased", "version": attribute.Number("2"),
		"changereason": "asked by letter", "requestid": after.RequestID,
		"changedtimestamp": set["changedtimestamp"], "changedby": "arn:aws:iam::123456789012:user/vendor",
	})
	for _, name := range []string{"email", "reference", "ixemail"} {
		delete(impersonal, name)
	}
	if set["changedtimestamp"] == nil { // it was at the same moment
		impersonal["changedtimestamp"] = record["changedtimestamp"]
	}
	if diff := cmp.Diff(impersonal, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if license.HoldsPersonal(got) || !license.HoldsPersonal(record) {
		t.Errorf("holds something personal still: %v", got)
	}
	if now := read(t, got); !now.IsErased() || before.IsErased() {
		t.Errorf("got %+v", now)
	}

	// What a change that is no erasure does not know stays.
	change := licensetest.Revoke(t, read(t, license.Amendment{Set: attribute.Map{"phone": "1"}}.Apply(got)), "")
	if _, remove := license.Delta(read(t, got), change); slices.Contains(remove, "phone") {
		t.Error("a revocation removes phone")
	}
}

// TestEraseKeepsTheRest: the license can be used as before.
func TestEraseKeepsTheRest(t *testing.T) {
	before := licensetest.Issue(t)
	before.Email, before.Reference = "jane@example.com", "order 4711"
	after := erase(t, before, "asked by letter", "mark-1")
	want := before
	want.CustomerName, want.Email, want.Notes, want.Reference = "erased", "", "", ""
	want.Erased, want.Version, want.ChangeReason, want.RequestID = "mark-1", 2, "asked by letter", after.RequestID
	if diff := licensetest.Diff(want, after); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if after.Status(licensetest.Now) != license.Active {
		t.Errorf("the status is %s", after.Status(licensetest.Now))
	}
	again := erase(t, after, "erased once more", "mark-2")
	if again.Erased != "mark-2" || again.Version != 3 {
		t.Errorf("erased again: %+v", again)
	}
}

// TestEraseOddRecords: what cannot be understood is taken out as well.
func TestEraseOddRecords(t *testing.T) {
	record := attribute.Map{
		"licenseid": "a", "customername": attribute.Number("7"), "notes": []any{"Jane"}, "email": true,
		"reference": attribute.StringSet{"x"}, "erased": true, "expirationdate": "soon", "isrevoked": "no",
		"version": "3",
	}
	before := read(t, record)
	after := erase(t, before, "asked by letter", "mark-1")
	set, remove := license.Delta(before, after)
	got := license.WithoutIndex(license.Amendment{Set: set, Remove: remove}.Apply(record))
	want := attribute.Map{
		"licenseid": "a", "customername": "erased", "notes": "", "erased": "mark-1", "expirationdate": "soon",
		"isrevoked": "no", "version": attribute.Number("1"), "changereason": "asked by letter",
		"changedby": "arn:aws:iam::123456789012:user/vendor", "requestid": after.RequestID,
		"changedtimestamp": attribute.Number("1793534400000"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestEraseReason: the reason stays, so it must be there, and must not tell what goes.
func TestEraseReason(t *testing.T) {
	l := licensetest.Issue(t)
	l.CustomerName, l.Email, l.Reference = "Jane Müller ", "jane@example.com", "Order/4711"
	short := l
	short.CustomerName, short.Email, short.Reference = "Jan", "", "471"
	erased := erase(t, l, "asked by letter", "mark-1")
	for _, test := range []struct {
		of     license.License
		reason string
		says   string // empty: it is taken
	}{
		{l, "asked by letter of 3 May", ""},
		{l, "Jane asked", ""},
		{l, "", "is required"},
		{l, " \u200b", "is required"},
		{l, "JANE MÜLLER asked", "must not tell"},
		{l, "ja\u200bne Ｊane Mu\u0308ller asked", "must not tell"},
		{l, "mail of <Jane@EXAMPLE.com>", "must not tell"},
		{l, "see order/4711", "must not tell"},
		{short, "Jan asked in January of 4711", ""},
		{erased, "to be erased again", ""},
	} {
		after, err := test.of.Erase(licensetest.Change(test.reason), "mark-2")
		var invalid *license.InvalidError
		switch {
		case test.says == "":
			if err != nil || after.ChangeReason != test.reason {
				t.Errorf("%q: %v", test.reason, err)
			}
		case !errors.As(err, &invalid) || len(invalid.Fields) != 1 || invalid.Fields[0].Field != "reason" ||
			!strings.Contains(err.Error(), test.says):
			t.Errorf("%q: got %v, want %s", test.reason, err, test.says)
		case licensetest.Diff(test.of, after) != "" || strings.Contains(err.Error(), "4711"):
			t.Errorf("%q: got %+v, %v", test.reason, after, err)
		}
	}
}

// TestPatchErased: an erased license takes no personal values, but loses what another tool has given it.
func TestPatchErased(t *testing.T) {
	l := erase(t, licensetest.Issue(t), "asked by letter", "mark-1")
	foreign := l
	foreign.CustomerName, foreign.Email, foreign.Notes = "Jane", "jane@example.com", "called"
	for name, test := range map[string]struct {
		l     license.License
		p     license.Patch
		wrong string
	}{
		"name":       {l, license.Patch{CustomerName: new("Jane")}, "customername"},
		"address":    {l, license.Patch{Email: new("jane@example.com")}, "email"},
		"notes":      {l, license.Patch{Notes: new("called")}, "notes"},
		"reference":  {l, license.Patch{Reference: new("order 2")}, "reference"},
		"no address": {l, license.Patch{Email: new("nowhere")}, "email"},
		"no name":    {l, license.Patch{CustomerName: new("")}, "customername"},
		"all, and another mistake": {l, license.Patch{
			CustomerName: new("Jane"), Email: new("jane@example.com"), Notes: new("x"), Reference: new("y"),
			GraceDays: new(-1),
		}, "customername email notes reference gracedays"},
		"what it has":   {l, license.Patch{CustomerName: new("erased"), Notes: new(""), Email: new("")}, ""},
		"anything else": {l, license.Patch{GraceDays: new(7), Plan: new("pro")}, ""},
		"back to nothing": {foreign, license.Patch{
			CustomerName: new("erased"), Notes: new(""), Email: new(""),
		}, ""},
		"as the other tool has": {foreign, license.Patch{CustomerName: new("Jane"), Notes: new("called")}, ""},
		"other than that":       {foreign, license.Patch{Notes: new("called twice")}, "notes"},
	} {
		t.Run(name, func(t *testing.T) {
			after, err := test.l.Patch(test.p, licensetest.Change("why"))
			var invalid *license.InvalidError
			var wrong []string
			if errors.As(err, &invalid) {
				for _, f := range invalid.Fields {
					wrong = append(wrong, f.Field)
				}
			}
			if strings.Join(wrong, " ") != test.wrong || (err != nil) != (test.wrong != "") {
				t.Errorf("%v is wrong, want %q", err, test.wrong)
			}
			if err == nil && after.Erased != "mark-1" {
				t.Errorf("the mark is %q", after.Erased)
			}
		})
	}
	if renewed, err := l.Renew("never", licensetest.Change("")); err != nil || !renewed.IsErased() {
		t.Errorf("renewed: %+v, %v", renewed, err)
	}
}

// TestTombstone: what is put for the erasure of a license that was removed tells nothing of it, is in no list, and can
// be read and removed as any other.
func TestTombstone(t *testing.T) {
	l, err := license.EraseRemoved("a", licensetest.Change("asked by letter"), "mark-1")
	if err != nil {
		t.Fatal(err)
	}
	want := attribute.Map{
		"licenseid": "a", "isrevoked": true, "isdeleted": true, "erased": "mark-1", "version": attribute.Number("1"),
		"changedtimestamp": attribute.Number("1793534400000"), "changedby": "arn:aws:iam::123456789012:user/vendor",
		"changereason": "asked by letter", "requestid": l.RequestID,
	}
	if diff := cmp.Diff(want, l.Tombstone()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stored := read(t, l.Tombstone())
	if stored.Status(licensetest.Now) != license.Revoked || !stored.Deleted || license.HoldsPersonal(want) {
		t.Errorf("got %+v", stored)
	}
	if diff := cmp.Diff(stored.Expectation(), l.Expectation()); diff != "" {
		t.Errorf("it would not be recognized:\n%s", diff)
	}
	if _, err := license.EraseRemoved("a", licensetest.Change(""), "mark-1"); err == nil {
		t.Error("without a reason")
	}
}
