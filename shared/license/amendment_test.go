package license_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// TestPutBack: each line of putBack's table, with what only we know.
func TestPutBack(t *testing.T) {
	with := func(more attribute.Map) attribute.Map {
		return license.Amendment{Set: more}.Apply(attribute.Map{"licenseid": "a", "customername": "theirs"})
	}
	number := func(n string) attribute.Number { return attribute.Number(n) }
	const index = license.PutBackActor
	foreign := with(nil)
	old := with(attribute.Map{
		"version": number("5"), "changedby": "vendor", "changereason": "why", "requestid": "r", "customername": "ours",
		"issuspended": true, "gracedays": number("5"), "createdtimestamp": number("1"), "unknown": "u",
	})
	sold := license.Amendment{Set: attribute.Map{
		"plan": "pro", "updatesuntil": "2027-01-31T23:59:59.999Z",
	}}
	restored := attribute.Map{
		"version": number("6"), "changedby": index, "changereason": "put back what another tool had left out",
		"putback": "10 createdtimestamp issuspended gracedays", "issuspended": true, "gracedays": number("5"),
		"createdtimestamp": number("1"),
	}
	// What we have changed since, and the other tool replaced again.
	reinstated := with(attribute.Map{
		"version": number("7"), "changedby": "vendor", "gracedays": number("5"), "createdtimestamp": number("1"),
		"putback": "10 createdtimestamp issuspended gracedays",
	})
	for name, test := range map[string]struct {
		record   attribute.Map
		old, new attribute.Map
		number   string
		want     attribute.Map // of what is not an index attribute and not theirs; nil: as it was
	}{
		"left as the other tool wrote it": {foreign, old, foreign, "10", restored},
		"with a plan and an end of updates": {foreign, sold.Apply(old), foreign, "10",
			license.Amendment{Set: attribute.Map{
				"putback": "10 createdtimestamp issuspended gracedays plan updatesuntil",
			}}.Apply(sold.Apply(restored))},
		"our own change": {foreign, old, with(attribute.Map{"version": number("6")}), "10", nil},
		"never was ours": {foreign, foreign, foreign, "10", nil},
		"our own removal": {foreign, license.Amendment{Set: attribute.Map{"isdeleted": true}}.Apply(old), nil, "10",
			nil},
		"removed and put anew by others": {foreign, old, nil, "10", restored},
		"comes again":                    {with(restored), old, foreign, "10", nil},
		"comes late":                     {with(restored), old, foreign, "9", nil},
		"changed by us since": {with(attribute.Map{
			"version": number("1"), "changedby": "vendor", "requestid": "r2", "gracedays": number("9"),
		}), old, foreign, "10", attribute.Map{
			"version": number("6"), "changedby": index, "changereason": "put back what another tool had left out",
			"putback":     "10 createdtimestamp issuspended gracedays=-",
			"issuspended": true, "gracedays": number("9"), "createdtimestamp": number("1"),
		}},
		"changed by us often": {with(attribute.Map{"version": number("8"), "changedby": "vendor"}), old, foreign, "10",
			license.Amendment{Set: attribute.Map{"version": number("9")}}.Apply(restored)},
		"put back after an earlier event, which came again": {with(restored), reinstated, foreign, "20", attribute.Map{
			"version": number("8"), "changedby": index, "changereason": "put back what another tool had left out",
			"putback": "20 createdtimestamp issuspended gracedays", "gracedays": number("5"),
			"createdtimestamp": number("1"),
		}},
		"and changed by us since": {license.Amendment{Set: attribute.Map{
			"version": number("7"), "changedby": "vendor",
		}}.Apply(with(restored)), reinstated, foreign, "20", attribute.Map{
			"version": number("8"), "changedby": index, "changereason": "put back what another tool had left out",
			"putback": "20 createdtimestamp=- issuspended=- gracedays=-", "issuspended": true, "gracedays": number("5"),
			"createdtimestamp": number("1"),
		}},
		"put back after an earlier event, before our change in between": {with(restored), with(attribute.Map{
			"version": number("1"), "changedby": "vendor", "gracedays": number("9"),
		}), foreign, "20", attribute.Map{
			"version": number("7"), "changedby": index, "changereason": "put back what another tool had left out",
			"putback":     "20 createdtimestamp=10 issuspended=10 gracedays",
			"issuspended": true, "gracedays": number("9"),
			"createdtimestamp": number("1"),
		}},
		"erased before it was put back": {with(attribute.Map{
			"version": number("1"), "changedby": "vendor", "erased": "m",
		}), license.Amendment{Set: attribute.Map{"email": "e", "reference": "r"}}.Apply(old), foreign, "10",
			license.Amendment{Set: attribute.Map{
				"erased": "m", "putback": "10 createdtimestamp issuspended gracedays erased=-",
			}}.Apply(restored)},
		"the mark of an erasure": {foreign, license.Amendment{Set: attribute.Map{"erased": "m"}}.Apply(old), foreign,
			"10", license.Amendment{Set: attribute.Map{
				"erased": "m", "putback": "10 createdtimestamp issuspended gracedays erased",
			}}.Apply(restored)},
		// The record was erased between two writes of the other tool, and the events of both came late.
		"the mark, after what was personal": {license.Amendment{Set: attribute.Map{
			"email": "e", "reference": "r", "putback": "10 createdtimestamp issuspended gracedays reference email",
		}}.Apply(with(restored)), with(attribute.Map{
			"version": number("1"), "changedby": "vendor", "erased": "m",
		}), foreign, "20", attribute.Map{
			"version": number("7"), "changedby": index, "changereason": "put back what another tool had left out",
			"putback":     "20 createdtimestamp=10 issuspended=10 gracedays=10 erased",
			"issuspended": true, "gracedays": number("5"), "createdtimestamp": number("1"), "erased": "m",
		}},
		"the latest mark": {with(attribute.Map{
			"version": number("7"), "changedby": "vendor", "erased": "m2", "putback": "10 erased",
		}), with(attribute.Map{"version": number("6"), "changedby": "vendor", "erased": "m1"}), foreign, "20",
			attribute.Map{
				"version": number("8"), "changedby": index, "changereason": "put back what another tool had left out",
				"putback": "20 erased=-", "erased": "m2",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			a := license.Amend(test.record, license.Event{Old: test.old, New: test.new, SequenceNumber: test.number})
			want := test.record
			if test.want != nil {
				want = with(test.want)
			}
			if diff := cmp.Diff(want, license.WithoutIndex(a.Apply(test.record))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if a.PutsBack != (test.want != nil) {
				t.Errorf("says of putting back: %v", a.PutsBack)
			}
			for name, value := range a.Expected {
				if diff := cmp.Diff(test.record[name], value); diff != "" {
					t.Errorf("expects of %s (-is +expected):\n%s", name, diff)
				}
			}
		})
	}
}

func TestTakesRevocationBack(t *testing.T) {
	record := func(version string, revoked any) attribute.Map {
		return attribute.Map{"licenseid": "a", "version": attribute.Number(version), "isrevoked": revoked}
	}
	foreign := attribute.Map{"licenseid": "a", "isrevoked": false}
	for name, test := range map[string]struct {
		old, new attribute.Map
		want     bool
	}{
		"replaced":             {record("2", true), foreign, true},
		"replaced, no flag":    {record("2", true), attribute.Map{"licenseid": "a"}, true},
		"replaced, odd flag":   {record("2", true), attribute.Map{"licenseid": "a", "isrevoked": "no"}, true},
		"edited":               {record("2", true), record("2", false), true},
		"theirs alone":         {attribute.Map{"licenseid": "a", "isrevoked": true}, foreign, true},
		"reinstated by us":     {record("2", true), record("3", false), false},
		"replaced as revoked":  {record("2", true), attribute.Map{"licenseid": "a", "isrevoked": true}, false},
		"removed":              {record("2", true), nil, false},
		"was not revoked":      {record("2", false), foreign, false},
		"was nothing":          {nil, foreign, false},
		"was odd":              {record("2", "true"), foreign, false},
		"replaced, never ours": {foreign, foreign, false},
	} {
		if got := (license.Event{Old: test.old, New: test.new}).TakesRevocationBack(); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
