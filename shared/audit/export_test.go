package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

// everyAction makes a chain that holds each action once. It returns the license id, the store, and the exported lines.
func everyAction(t *testing.T) (id string, store *audittest.Memory, lines [][]byte) {
	t.Helper()
	issued := licensetest.Issue(t)
	must := func(l license.License, err error) license.License {
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	changed := issued
	changed.Notes, changed.Version = "other\nnotes", 2
	renewed := must(changed.Renew("2099-01-01", licensetest.Change("paid")))
	suspended := must(renewed.Suspend(licensetest.Change("unpaid")))
	reinstated := must(suspended.Reinstate(licensetest.Change("paid after all")))
	revoked := must(reinstated.Revoke(licensetest.Change("contract ended")))
	records := []attribute.Map{nil}
	for _, l := range []license.License{issued, changed, renewed, suspended, reinstated, revoked} {
		records = append(records, l.Record())
	}
	records = append(records, nil)
	store = audittest.NewMemory(t)
	for i := range records[1:] {
		record(t, store, audit.Event{
			ID: fmt.Sprint("event-", i), SequenceNumber: fmt.Sprint(98 + i), Time: licensetest.Now,
			LicenseID: issued.ID, Old: records[i], New: records[i+1],
		})
	}
	var actions []audit.Action
	for _, e := range store.Chain(issued.ID) {
		actions = append(actions, e.Action)
		lines = append(lines, export(t, e))
	}
	want := []audit.Action{
		audit.Issued, audit.Changed, audit.Renewed, audit.Suspended, audit.Reinstated, audit.Revoked, audit.Deleted,
	}
	if !slices.Equal(actions, want) {
		t.Fatalf("actions %v, want %v", actions, want)
	}
	return issued.ID, store, lines
}

func record(t *testing.T, store audit.Store, event audit.Event) {
	t.Helper()
	if err := (audit.Recorder{Store: store}).Record(t.Context(), event); err != nil {
		t.Fatal(err)
	}
}

func export(t testing.TB, entries ...audit.Entry) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := audit.WriteChain(&buffer, entries); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// wantRefused wants the first line that does not fit to be named.
func wantRefused(t *testing.T, err error, line int, what string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("line %d: ", line)) {
		t.Errorf("%s: got %v, want an error at line %d", what, err, line)
	}
}

func TestExport(t *testing.T) {
	id, store, lines := everyAction(t)
	chain := bytes.Join(lines, nil)
	v, err := audittest.VerifyChain(bytes.NewReader(chain), id)
	if err != nil || len(v.Findings()) != 0 {
		t.Fatalf("findings %v, %v", v.Findings(), err)
	}
	head := store.MustState(id).Head
	if v.Head() != head {
		t.Errorf("ends with %+v, want %+v", v.Head(), head)
	}
	var again []audit.Entry
	for e, err := range audit.ReadChain(bytes.NewReader(chain)) {
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, e)
	}
	if got := export(t, again...); !bytes.Equal(got, chain) {
		t.Errorf("read and written again:\n%s\nwas\n%s", got, chain)
	}
}

// TestEveryFlip flips every bit of an exported chain.
func TestEveryFlip(t *testing.T) {
	id, store, lines := everyAction(t)
	head := audit.Head{}
	for i, line := range lines {
		rest := bytes.Join(lines[i:], nil)
		for at := range line {
			for bit := range 8 {
				rest[at] ^= 1 << bit
				v := audit.NewVerifier(id, head)
				err := verifyLines(v, rest)
				rest[at] ^= 1 << bit
				if err == nil || v.Head() != head {
					t.Fatalf("line %d, byte %d, bit %d: not found there: %v", i+1, at, bit, err)
				}
			}
		}
		head = audit.Head{}.After(store.Chain(id)[i])
	}
}

func verifyLines(v *audit.Verifier, text []byte) error {
	for e, err := range audit.ReadChain(bytes.NewReader(text)) {
		if err != nil {
			return err
		}
		if err := v.Next(e); err != nil {
			return err
		}
	}
	return nil
}

func TestTamperedExport(t *testing.T) {
	id, store, lines := everyAction(t)
	forge := func(i int, change func(*audit.Entry)) []byte {
		e := store.Chain(id)[i]
		e.Changes = maps.Clone(e.Changes)
		change(&e)
		e.Hash, _ = e.ComputeHash()
		return export(t, e)
	}
	replace := func(i int, line string) [][]byte {
		changed := slices.Clone(lines)
		changed[i] = []byte(line)
		return changed
	}
	third := string(lines[2])
	for name, test := range map[string]struct {
		lines [][]byte
		at    int
	}{
		"removed":       {slices.Delete(slices.Clone(lines), 2, 3), 3},
		"first removed": {lines[1:], 1},
		"swapped":       {[][]byte{lines[0], lines[2], lines[1]}, 2},
		"twice":         {[][]byte{lines[0], lines[0]}, 2},
		"forged":        {replace(2, string(forge(2, func(e *audit.Entry) { e.Reason = "x" }))), 4},
		"last forged": {
			replace(2, string(forge(2, func(e *audit.Entry) { e.RecordHash = strings.Repeat("0", 64) }))), 3,
		},
		"an old value forged":    {replace(2, string(forge(2, forgeOldValue))), 3},
		"no record where one is": {replace(2, string(forge(2, func(e *audit.Entry) { e.Action = audit.Issued }))), 3},
		"first is no issue":      {replace(0, string(forge(0, func(e *audit.Entry) { e.Action = audit.Changed }))), 1},
		"adopted late":           {replace(2, string(forge(2, func(e *audit.Entry) { e.Adopted = true }))), 3},
		"a record after its end": {replace(6, string(forge(6, func(e *audit.Entry) { e.RecordHash = "00" }))), 7},
		"an earlier event":       {replace(2, string(forge(2, func(e *audit.Entry) { e.SequenceNumber = "99" }))), 3},
		"another format":         {replace(2, string(forge(2, func(e *audit.Entry) { e.Format = 1 }))), 3},
		"no last line feed":      {replace(6, strings.TrimSuffix(string(lines[6]), "\n")), 7},
		"CRLF":                   {replace(2, strings.TrimSuffix(third, "\n")+"\r\n"), 3},
		"an empty line":          {replace(2, "\n"+third), 3},
		"white space":            {replace(2, strings.Replace(third, `","`, `", "`, 1)), 3},
		"trailing bytes":         {replace(2, strings.TrimSuffix(third, "\n")+"{}\n"), 3},
		"unknown member":         {replace(2, `{"Z":1,`+third[1:]), 3},
		"member twice":           {replace(2, `{"action":"RENEWED",`+third[1:]), 3},
		"member in another case": {replace(2, `{"Action":"RENEWED",`+third[1:]), 3},
		"value's member twice":   {replace(2, strings.Replace(third, `{"N":"2"}`, `{"N":"2","N":"2"}`, 1)), 3},
		"another escape":         {replace(2, strings.Replace(third, `paid`, `p\u0061id`, 1)), 3},
		"not sorted": {replace(2, "{"+strings.TrimSuffix(strings.TrimPrefix(third, `{"action":"RENEWED",`), "}\n")+
			`,"action":"RENEWED"}`+"\n"), 3},
		"null":             {replace(2, "null\n"), 3},
		"a very long line": {replace(2, strings.Repeat(" ", 2<<20)+third), 3},
	} {
		t.Run(name, func(t *testing.T) {
			if bytes.Equal(bytes.Join(test.lines, nil), bytes.Join(lines, nil)) {
				t.Fatal("nothing was changed")
			}
			_, err := audittest.VerifyChain(bytes.NewReader(bytes.Join(test.lines, nil)), id)
			wantRefused(t, err, test.at, name)
		})
	}
	_, err := audittest.VerifyChain(bytes.NewReader(lines[0]), "another")
	wantRefused(t, err, 1, "of another license")
}

func forgeOldValue(e *audit.Entry) {
	change := e.Changes["expirationdate"]
	change.Old = []byte(`{"S":"2020-01-01T00:00:00.000Z"}`)
	e.Changes["expirationdate"] = change
}

// TestEnd: what is missing at the end only the head tells, or a checkpoint.
func TestEnd(t *testing.T) {
	id, store, lines := everyAction(t)
	chain := store.Chain(id)
	stored := audit.Head{}.After(chain[6])
	for name, test := range map[string]struct {
		lines  [][]byte
		stored audit.Head
	}{
		"tail cut off":    {lines[:6], stored},
		"head moved back": {lines, audit.Head{}.After(chain[5])},
		"no head":         {lines, audit.Head{}},
		"no entries":      {nil, stored},
		"another record": {lines, audit.Head{
			Sequence: stored.Sequence, Hash: stored.Hash, SequenceNumber: stored.SequenceNumber, RecordHash: "00",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := audittest.VerifyChain(bytes.NewReader(bytes.Join(test.lines, nil)), id)
			if err != nil {
				t.Fatal(err)
			}
			if v.Head() == test.stored {
				t.Error("not found")
			}
		})
	}
}

// FuzzReadChain: what is read is written again as it was. A text is a known chain, or a line of it, with up to two
// edits. It is described by numbers because the fuzzer minimizes texts, which for one as long as a line takes longer
// than all else.
func FuzzReadChain(f *testing.F) {
	chain, err := os.ReadFile("testdata/chain.jsonl")
	if err != nil || len(chain) == 0 {
		f.Fatal(err)
	}
	texts := [][]byte{chain, []byte("{}\n"), []byte("null\n"), nil}
	for line := range bytes.Lines(chain) {
		texts = append(texts, line)
	}
	for n := range texts {
		f.Add(uint8(n), uint16(0), uint8(0), uint64(0), uint16(0), uint8(0), uint64(0))
	}
	f.Add(uint8(0), uint16(1), uint8(0), uint64('"'), uint16(1000), uint8(1), uint64(0))
	f.Add(uint8(4), uint16(300), uint8(2), uint64(0), uint16(10), uint8(0), uint64(' '))
	f.Fuzz(func(t *testing.T, n uint8, at1 uint16, cut1 uint8, insert1 uint64, at2 uint16, cut2 uint8, insert2 uint64) {
		text := edit(edit(texts[int(n)%len(texts)], at1, cut1, insert1), at2, cut2, insert2)
		var entries []audit.Entry
		for e, err := range audit.ReadChain(bytes.NewReader(text)) {
			if err != nil {
				return
			}
			entries = append(entries, e)
		}
		if got := export(t, entries...); !bytes.Equal(got, text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// edit cuts bytes out of a text and inserts those of a number, without its zeros, in their place.
func edit(text []byte, at uint16, cut uint8, insert uint64) []byte {
	from := int(at) % (len(text) + 1)
	to := min(from+int(cut), len(text))
	inserted := bytes.Trim(binary.LittleEndian.AppendUint64(nil, insert), "\x00")
	return slices.Concat(text[:from], inserted, text[to:])
}

var errReader = errors.New("the disk is gone")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errReader }

func TestReadChainPassesErrorsOn(t *testing.T) {
	if _, err := audittest.VerifyChain(brokenReader{}, "x"); !errors.Is(err, errReader) {
		t.Errorf("got %v", err)
	}
}
