package licensefile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"openlicenser/cmd/licenser/terminal"
)

// readCSV reads a header and rows. An empty cell is an absent field.
func readCSV(file io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		r, header, err := openCSV(file)
		if err != nil {
			yield(Row{}, err)
			return
		}
		for {
			cells, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Row{}, fmt.Errorf("%w; a cell with quotes or line breaks in it must stand in double quotes", err))
				return
			}
			line, _ := r.FieldPos(0)
			if !yield(csvRow(line, header, cells), nil) {
				return
			}
		}
	}
}

func csvRow(line int, header, cells []string) Row {
	if len(cells) != len(header) {
		row := Row{Line: line}
		row.refuse("row", fmt.Sprintf("has %d cells, the first line has %d", len(cells), len(header)))
		return row
	}
	values := map[string]json.RawMessage{}
	for i, cell := range cells {
		if cell = terminal.UnguardCell(cell); strings.TrimSpace(cell) != "" {
			values[header[i]] = cellValue(header[i], cell)
		}
	}
	row := newRow(line, values)
	for i, cell := range cells {
		if !utf8.ValidString(cell) {
			row.refuse(header[i], "is not UTF-8; save the file as CSV in UTF-8")
		}
	}
	return row
}

// byteOrderMark begins the files of some spreadsheets.
const byteOrderMark = "\xEF\xBB\xBF"

// openCSV reads the header. The separator is whichever of comma, semicolon and tab the header has most of.
func openCSV(file io.Reader) (r *csv.Reader, header []string, err error) {
	buffered := bufio.NewReaderSize(file, 64<<10)
	if start, _ := buffered.Peek(len(byteOrderMark)); string(start) == byteOrderMark {
		if _, err := buffered.Discard(len(byteOrderMark)); err != nil {
			return nil, nil, err
		}
	}
	start, _ := buffered.Peek(buffered.Size())
	first, _, _ := bytes.Cut(start, []byte("\n"))
	r = csv.NewReader(buffered)
	r.FieldsPerRecord = -1
	for _, separator := range []rune{';', '\t'} {
		if bytes.Count(first, []byte(string(separator))) > bytes.Count(first, []byte(string(r.Comma))) {
			r.Comma = separator
		}
	}
	header, err = r.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("the file is empty; its first line must name the columns")
	}
	if err != nil {
		return nil, nil, err
	}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(terminal.UnguardCell(name)))
		if _, isKnown := fields[name]; !isKnown {
			return nil, nil, fmt.Errorf("line 1, column %d: %s", i+1, unknownField(name))
		}
		if slices.Contains(header[:i], name) {
			return nil, nil, fmt.Errorf("line 1, column %d: there is a column %s already", i+1, name)
		}
		header[i] = name
	}
	if !slices.Contains(header, "customername") {
		return nil, nil, errors.New("line 1: there is no column customername; the first line must name the columns")
	}
	return r, header, nil
}
