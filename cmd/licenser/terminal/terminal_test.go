package terminal

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type ship struct {
	Name string `json:"name"`
	Port string `json:"port"`
}

func shipColumns() []Column[ship] {
	return []Column[ship]{
		{
			Name: "name", Title: "NAME", Narrow: 6, Text: func(s ship) string { return s.Name },
			Color: func(ship) Color { return Good },
		},
		{Name: "port", Title: "PORT", Extra: true, Text: func(s ship) string { return s.Port }},
		{Name: "hidden", Text: func(s ship) string { return s.Name + "!" }},
	}
}

func fleet(ships ...ship) iter.Seq2[ship, error] {
	return func(yield func(ship, error) bool) {
		for _, s := range ships {
			if !yield(s, nil) {
				return
			}
		}
	}
}

var errSunk = errors.New("sunk")

func sinking(ships ...ship) iter.Seq2[ship, error] {
	return func(yield func(ship, error) bool) {
		for s := range fleet(ships...) {
			if !yield(s, nil) {
				return
			}
		}
		yield(ship{}, errSunk)
	}
}

// TestList: people see what is theirs, aligned, and programs all of it in a form that stays.
func TestList(t *testing.T) {
	two := fleet(ship{"Ada", "Åland"}, ship{"日本丸", "=Köln\x1b[2J"})
	for name, test := range map[string]struct {
		terminal Terminal
		ships    iter.Seq2[ship, error]
		want     string
	}{
		"people": {Terminal{ForPeople: true}, two, "NAME    PORT\nAda     Åland\n日本丸  =Köln\uFFFD[2J\n"},
		"colors": {
			Terminal{ForPeople: true, Colors: true}, fleet(ship{"Ada", ""}),
			"\x1b[1mNAME\x1b[0m  \x1b[1mPORT\x1b[0m\n\x1b[32mAda\x1b[0m\n",
		},
		"narrow": {
			Terminal{ForPeople: true, Width: 14}, fleet(ship{"Cutty Sark", "Leith"}),
			"NAME     PORT\nCutty …  Leith\n",
		},
		"too narrow": {
			Terminal{ForPeople: true, Width: 12}, fleet(ship{"Cutty Sark", "Leith"}), "NAME\nCutty Sark\n",
		},
		"pipe": {Terminal{}, two, "name\tport\nAda\tÅland\n日本丸\t=Köln\uFFFD[2J\n"},
		"JSON": {
			Terminal{Format: JSON}, fleet(ship{"<A>", "B"}, ship{"C", ""}),
			"[\n{\"name\":\"<A>\",\"port\":\"B\"},\n{\"name\":\"C\",\"port\":\"\"}\n]\n",
		},
		"JSON of none": {Terminal{Format: JSON}, fleet(), "[]\n"},
		"CSV": {
			Terminal{Format: CSV}, fleet(ship{"-A", "B,C\nD"}),
			"name,port,hidden\n'-A,\"B,C\nD\",'-A!\n",
		},
		"CSV of none":   {Terminal{Format: CSV}, fleet(), "name,port,hidden\n"},
		"pipe of none":  {Terminal{}, fleet(), "name\tport\n"},
		"none":          {Terminal{ForPeople: true}, fleet(), ""},
		"JSON, sinking": {Terminal{Format: JSON}, sinking(ship{"A", "B"}), "[\n{\"name\":\"A\",\"port\":\"B\"}"},
		"CSV, sinking":  {Terminal{Format: CSV}, sinking(ship{"A", "B"}), "name,port,hidden\nA,B,A!\n"},
		"people, sinking": {
			Terminal{ForPeople: true}, sinking(ship{"A", "B"}), "NAME  PORT\nA     B\n",
		},
		"sinking at once":       {Terminal{ForPeople: true}, sinking(), ""},
		"pipe, sinking at once": {Terminal{}, sinking(), ""},
		"CSV, sinking at once":  {Terminal{Format: CSV}, sinking(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			terminal := test.terminal
			terminal.Out, terminal.Err = &out, io.Discard
			err := List(&terminal, shipColumns(), test.ships)
			if wantErr := strings.Contains(name, "sinking"); errors.Is(err, errSunk) != wantErr {
				t.Errorf("got %v", err)
			}
			if out.String() != test.want {
				t.Errorf("got  %q\nwant %q", out.String(), test.want)
			}
		})
	}
}

// TestLongList: what comes after the first block is shown as wide as there is room, and a list of any length begins at
// once.
func TestLongList(t *testing.T) {
	var out bytes.Buffer
	n := 0
	ships := func(yield func(ship, error) bool) {
		for ; n < 3*block; n++ {
			name := "short"
			if n >= block {
				name = "much longer than before"
				if out.Len() == 0 {
					t.Error("nothing is out after a whole block")
				}
			}
			if !yield(ship{name, "P"}, nil) {
				return
			}
		}
	}
	if err := List(&Terminal{Out: &out, Err: io.Discard, ForPeople: true}, shipColumns(), ships); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 1+3*block || lines[1] != "short  P" || lines[1+block] != "much longer than before  P" {
		t.Errorf("%d lines, %q, %q", len(lines), lines[1], lines[1+block])
	}
}

func TestShow(t *testing.T) {
	for name, test := range map[string]struct {
		terminal Terminal
		want     string
	}{
		"people": {Terminal{ForPeople: true}, "name    Ada\nhidden  Ada!\n"},
		"colors": {
			Terminal{ForPeople: true, Colors: true},
			"\x1b[1mname  \x1b[0m  \x1b[32mAda\x1b[0m\n\x1b[1mhidden\x1b[0m  Ada!\n",
		},
		"pipe":            {Terminal{}, "name\tAda\nport\t\nhidden\tAda!\n"},
		"JSON":            {Terminal{Format: JSON}, "{\"name\":\"Ada\",\"port\":\"\"}\n"},
		"JSON for people": {Terminal{Format: JSON, ForPeople: true}, "{\n  \"name\": \"Ada\",\n  \"port\": \"\"\n}\n"},
		"CSV":             {Terminal{Format: CSV}, "name,port,hidden\nAda,,Ada!\n"},
	} {
		var out bytes.Buffer
		test.terminal.Out = &out
		if err := Show(&test.terminal, shipColumns(), ship{Name: "Ada"}); err != nil || out.String() != test.want {
			t.Errorf("%s: got %q, %v", name, out.String(), err)
		}
	}
}

// TestWriteError: a full disk is no success.
func TestWriteError(t *testing.T) {
	for _, format := range []Format{Text, JSON, CSV} {
		for _, forPeople := range []bool{false, true} {
			terminal := &Terminal{Out: fullDisk{}, Err: io.Discard, Format: format, ForPeople: forPeople}
			if err := List(terminal, shipColumns(), fleet(ship{"A", "B"})); !errors.Is(err, errFull) {
				t.Errorf("list as %s, for people %t: %v", format, forPeople, err)
			}
			if err := Show(terminal, shipColumns(), ship{"A", "B"}); !errors.Is(err, errFull) {
				t.Errorf("show as %s, for people %t: %v", format, forPeople, err)
			}
		}
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left on device")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

// TestGuardedCells: no cell begins as a formula does, and each comes back as it was.
func TestGuardedCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.OneOf(rapid.String(), rapid.StringMatching(`['=+@\t-]{0,3}.?`)).Draw(t, "cell")
		guarded := GuardCell(cell)
		if guarded != "" && strings.ContainsAny(guarded[:1], "=+-@\t") {
			t.Errorf("%q begins as a formula", guarded)
		}
		if UnguardCell(guarded) != cell {
			t.Errorf("%q came back as %q", cell, UnguardCell(guarded))
		}
	})
	for cell, want := range map[string]string{"'tis": "'tis", "'": "'", "'=1": "=1", "": "", "''=1": "'=1"} {
		if got := UnguardCell(cell); got != want {
			t.Errorf("%q without its guard is %q, want %q", cell, got, want)
		}
	}
}

// TestListsAreRead: what is written is what a reader of the format finds.
func TestListsAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Custom(func(t *rapid.T) ship {
			return ship{rapid.String().Draw(t, "name"), rapid.String().Draw(t, "port")}
		})).Draw(t, "ships")
		var asJSON, asCSV bytes.Buffer
		if err := List(&Terminal{Out: &asJSON, Format: JSON}, shipColumns(), fleet(want...)); err != nil {
			t.Fatal(err)
		}
		var read []ship
		if err := json.Unmarshal(asJSON.Bytes(), &read); err != nil || len(read) != len(want) {
			t.Fatalf("%v: %s", err, asJSON.String())
		}
		if err := List(&Terminal{Out: &asCSV, Format: CSV}, shipColumns(), fleet(want...)); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&asCSV).ReadAll()
		if err != nil || len(rows) != 1+len(want) {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for i, s := range want {
			if read[i] != s {
				t.Errorf("as JSON %q, want %q", read[i], s)
			}
			// CSV knows no carriage return before a line feed.
			name := strings.ReplaceAll(s.Name, "\r\n", "\n")
			if got := UnguardCell(rows[1+i][0]); got != name {
				t.Errorf("as CSV %q, want %q", got, name)
			}
		}
	})
}

func TestInWords(t *testing.T) {
	now := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	for distance, want := range map[time.Duration]string{
		0: "now", 59 * time.Second: "now", time.Minute: "in 1 minute", -time.Minute: "1 minute ago",
		59 * time.Minute: "in 59 minutes", time.Hour: "in 1 hour", 47 * time.Hour: "in 47 hours",
		48 * time.Hour: "in 2 days", 12*24*time.Hour + 11*time.Hour: "in 12 days", -12 * 24 * time.Hour: "12 days ago",
		12*24*time.Hour - 11*time.Hour: "in 12 days",
		89 * 24 * time.Hour:            "in 89 days", 90 * 24 * time.Hour: "in 3 months",
		729 * 24 * time.Hour:  "in 24 months",
		-731 * 24 * time.Hour: "2 years ago", 3653 * 24 * time.Hour: "in 10 years",
	} {
		if got := InWords(now.Add(distance), now); got != want {
			t.Errorf("%v: got %q, want %q", distance, got, want)
		}
	}
}

func TestDate(t *testing.T) {
	for text, want := range map[string]string{
		"2030-01-31T23:59:59.999Z": "2030-01-31", "2030-01-31T23:59:59Z": "2030-01-31 23:59 UTC",
		"2030-01-31T00:00:00Z": "2030-01-31 00:00 UTC", "2030-01-31T01:00:00+02:00": "2030-01-30 23:00 UTC",
	} {
		at, err := time.Parse(time.RFC3339, text)
		if got := Date(at); err != nil || got != want {
			t.Errorf("%s: got %q, %v", text, got, err)
		}
	}
}

// TestConfirm: only a yes is one, and where nobody can be asked nothing goes on.
func TestConfirm(t *testing.T) {
	for typed, want := range map[string]error{
		"y\n": nil, "YES\n": nil, " yes \n": nil, "y": nil,
		"n\n": ErrDeclined, "\n": ErrDeclined, "": ErrDeclined, "yesterday\n": ErrDeclined,
	} {
		var asked bytes.Buffer
		terminal := &Terminal{In: strings.NewReader(typed), Err: &asked, CanAsk: true}
		if err := terminal.Confirm(t.Context(), false, "A \x1b ship.\nSink it?"); !errors.Is(err, want) {
			t.Errorf("%q: got %v", typed, err)
		}
		if asked.String() != "A \uFFFD ship.\nSink it? [y/N] " {
			t.Errorf("asked %q", asked.String())
		}
	}
	alone := &Terminal{In: strings.NewReader("y\n"), Err: io.Discard}
	if err := alone.Confirm(t.Context(), false, ""); !errors.Is(err, ErrCannotAsk) {
		t.Errorf("without a terminal: %v", err)
	}
	if err := alone.Confirm(t.Context(), true, ""); err != nil {
		t.Errorf("with --yes: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never, end := io.Pipe()
	defer end.Close()
	waiting := &Terminal{In: never, Err: io.Discard, CanAsk: true}
	if err := waiting.Confirm(ctx, false, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
