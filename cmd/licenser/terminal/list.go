package terminal

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Column is one of the facts about each of several things.
type Column[T any] struct {
	Name string // in CSV, and tab-separated; it stays for good
	// Title is what people see above it. Columns without one are not in a list for people.
	Title string
	Text  func(T) string // complete, for programs
	// People is what people see. Nil: Text.
	People func(T) string
	Color  func(T) Color // nil: none
	// Brief is what people see where the terminal is narrow. Nil: what they see anyway.
	Brief func(T) string
	// Narrow is down to how many characters the column can be cut where the terminal is narrow. 0: it stays whole.
	Narrow int
	// Extra columns are left out where the terminal is too narrow even so, the last one first.
	Extra bool
}

// Color is that of a cell.
type Color int

// The colors, by what they say.
const (
	Plain Color = iota
	Good
	Warning
	Bad
)

var colors = map[Color]text.Colors{
	Good: {text.FgGreen}, Warning: {text.FgYellow}, Bad: {text.FgRed, text.Bold},
}

func (c Column[T]) people(value T) string {
	if c.People != nil {
		return Printable(c.People(value))
	}
	return Printable(c.Text(value))
}

// List writes things as they come, and returns the error that ends them. What came before it was written. As JSON they
// are an array.
func List[T any](t *Terminal, columns []Column[T], things iter.Seq2[T, error]) error {
	switch {
	case t.Format == JSON:
		return listJSON(t.Out, things)
	case t.Format == CSV:
		return listCSV(t.Out, columns, things)
	}
	titled := slices.DeleteFunc(slices.Clone(columns), func(c Column[T]) bool { return c.Title == "" })
	if t.ForPeople {
		return listForPeople(t, titled, things)
	}
	return eachBelow(func() error {
		_, err := fmt.Fprintln(t.Out, strings.Join(names(titled), "\t"))
		return err
	}, things, func(value T) error {
		cells := make([]string, len(titled))
		for i, c := range titled {
			cells[i] = Printable(c.Text(value))
		}
		_, err := fmt.Fprintln(t.Out, strings.Join(cells, "\t"))
		return err
	})
}

// eachBelow writes a header before the first thing, or for none, but not where there is an error alone.
func eachBelow[T any](header func() error, things iter.Seq2[T, error], do func(T) error) error {
	isBegun := false
	begin := func() error {
		if isBegun {
			return nil
		}
		isBegun = true
		return header()
	}
	err := each(things, func(value T) error {
		if err := begin(); err != nil {
			return err
		}
		return do(value)
	})
	if err == nil {
		err = begin()
	}
	return err
}

func each[T any](things iter.Seq2[T, error], do func(T) error) error {
	for value, err := range things {
		if err != nil {
			return err
		}
		if err := do(value); err != nil {
			return err
		}
	}
	return nil
}

func names[T any](columns []Column[T]) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

func listJSON[T any](out io.Writer, things iter.Seq2[T, error]) error {
	separator := "["
	err := each(things, func(value T) error {
		text, err := marshal(value)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n%s", separator, text)
		separator = ","
		return err
	})
	if err != nil {
		return err // the array stays open, so that nobody takes a part for the whole
	}
	if separator == "[" {
		_, err = fmt.Fprintln(out, "[]")
		return err
	}
	_, err = fmt.Fprintln(out, "\n]")
	return err
}

func marshal(value any) (string, error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(text.String(), "\n"), err
}

func listCSV[T any](out io.Writer, columns []Column[T], things iter.Seq2[T, error]) error {
	w := csv.NewWriter(out)
	err := eachBelow(func() error { return w.Write(names(columns)) }, things,
		func(value T) error { return w.Write(csvRow(columns, value)) })
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	return err
}

func csvRow[T any](columns []Column[T], value T) []string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = GuardCell(c.Text(value))
	}
	return cells
}

// formulaStarts begin cells that spreadsheets take for formulas
// (https://owasp.org/www-community/attacks/CSV_Injection), and the apostrophe that guards them.
const formulaStarts = "=+-@\t'"

// GuardCell returns a cell of CSV that no spreadsheet takes for a formula.
func GuardCell(cell string) string {
	if cell != "" && strings.Contains(formulaStarts, cell[:1]) {
		return "'" + cell
	}
	return cell
}

// UnguardCell takes away what GuardCell has put before a cell.
func UnguardCell(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && strings.Contains(formulaStarts, cell[1:2]) {
		return cell[1:]
	}
	return cell
}

// block is how many things are aligned with each other. A list of any length begins at once.
const block = 200

func listForPeople[T any](t *Terminal, columns []Column[T], things iter.Seq2[T, error]) error {
	var values []T
	var widths []int
	isFirst := true
	flush := func() error {
		if len(values) == 0 && !isFirst {
			return nil
		}
		if isFirst {
			columns, widths = fit(t.Width, columns, values)
		} else {
			widths = widen(t.Width, columns, widths, values)
		}
		_, err := fmt.Fprintln(t.Out, alignedRows(t, columns, widths, values, isFirst))
		values, isFirst = nil, false
		return err
	}
	err := each(things, func(value T) error {
		if values = append(values, value); len(values) == block {
			return flush()
		}
		return nil
	})
	if err == nil && isFirst && len(values) == 0 {
		_, err = fmt.Fprintln(t.Err, "None.")
		return err
	}
	if err != nil && len(values) == 0 {
		return err
	}
	if errFlush := flush(); err == nil {
		err = errFlush
	}
	return err
}

// widen returns the widths for a further block, in which cells may be longer. What was aligned stays so, as far as
// there is room.
func widen[T any](width int, columns []Column[T], widths []int, values []T) []int {
	_, wanted := fit(0, columns, values)
	total := -gap
	for i := range columns {
		if columns[i].Narrow == 0 {
			widths[i] = max(widths[i], wanted[i])
		}
		total += widths[i] + gap
	}
	for i := range columns {
		more := max(wanted[i]-widths[i], 0)
		if width > 0 {
			more = min(more, max(width-total, 0))
		}
		widths[i], total = widths[i]+more, total+more
	}
	return widths
}

// gap is how many spaces stand between columns.
const gap = 2

// fit returns the columns that a width has room for, and how wide they may be.
func fit[T any](width int, columns []Column[T], values []T) ([]Column[T], []int) {
	columns = slices.Clone(columns)
	for {
		widths, total := make([]int, len(columns)), -gap
		for i, c := range columns {
			widths[i] = text.StringWidth(c.Title)
			for _, value := range values {
				widths[i] = max(widths[i], text.StringWidth(c.people(value)))
			}
			total += widths[i] + gap
		}
		if width == 0 {
			return columns, widths
		}
		if total > width && shortened(columns) {
			continue
		}
		for i := len(columns) - 1; i >= 0 && total > width; i-- {
			least := max(columns[i].Narrow, text.StringWidth(columns[i].Title))
			if columns[i].Narrow > 0 && widths[i] > least {
				cut := min(widths[i]-least, total-width)
				widths[i], total = widths[i]-cut, total-cut
			}
		}
		last := -1
		for i, c := range columns {
			if c.Extra {
				last = i
			}
		}
		if total <= width || last < 0 {
			return columns, widths
		}
		columns = slices.Delete(columns, last, last+1)
	}
}

// shortened has columns show their brief form, and reports whether any did not before.
func shortened[T any](columns []Column[T]) (any bool) {
	for i, c := range columns {
		if c.Brief != nil {
			columns[i].People, columns[i].Brief, any = c.Brief, nil, true
		}
	}
	return any
}

func alignedRows[T any](t *Terminal, columns []Column[T], widths []int, values []T, withTitles bool) string {
	var lines []string
	add := func(show func(Column[T]) (cell string, color Color, bold bool)) {
		line := ""
		for i, c := range columns {
			cell, color, bold := show(c)
			cell = text.Snip(cell, widths[i], "…")
			line += paint(t, color, bold, cell)
			if i < len(columns)-1 {
				line += strings.Repeat(" ", widths[i]-text.StringWidth(cell)+gap)
			}
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	if withTitles {
		add(func(c Column[T]) (string, Color, bool) { return c.Title, Plain, true })
	}
	for _, value := range values {
		add(func(c Column[T]) (string, Color, bool) { return c.people(value), c.color(value), false })
	}
	return strings.Join(lines, "\n")
}

func (c Column[T]) color(value T) Color {
	if c.Color == nil {
		return Plain
	}
	return c.Color(value)
}

func paint(t *Terminal, c Color, bold bool, cell string) string {
	chosen := slices.Clone(colors[c])
	if bold {
		chosen = append(chosen, text.Bold)
	}
	if !t.Colors || len(chosen) == 0 {
		return cell
	}
	return chosen.EscapeSeq() + cell + text.Reset.EscapeSeq()
}

// Show writes all that is known of one thing. As JSON it is an object. What is empty is not shown to people.
func Show[T any](t *Terminal, columns []Column[T], value T) error {
	switch t.Format {
	case JSON:
		encoder := json.NewEncoder(t.Out)
		encoder.SetEscapeHTML(false)
		if t.ForPeople {
			encoder.SetIndent("", "  ")
		}
		return encoder.Encode(value)
	case CSV:
		return listCSV(t.Out, columns, func(yield func(T, error) bool) { yield(value, nil) })
	}
	widest := 0
	for _, c := range columns {
		widest = max(widest, len(c.Name))
	}
	for _, c := range columns {
		line := c.Name + "\t" + Printable(c.Text(value))
		if t.ForPeople {
			cell := c.people(value)
			if cell == "" {
				continue
			}
			label := fmt.Sprintf("%-*s", widest, c.Name)
			line = paint(t, Plain, true, label) + strings.Repeat(" ", gap) + paint(t, c.color(value), false, cell)
		}
		if _, err := fmt.Fprintln(t.Out, line); err != nil {
			return err
		}
	}
	return nil
}
