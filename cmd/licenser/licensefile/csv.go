package licensefile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/cmd/licenser/terminal"
)

// readCSV reads a header and rows. An empty cell is an absent field, and a row of empty cells is none.
func readCSV(file io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		limited := &rowLimiter{file: file}
		r, header, before, err := openCSV(limited)
		if err != nil {
			yield(Row{}, err)
			return
		}
		for {
			limited.read = 0
			cells, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if errors.Is(err, csv.ErrQuote) || errors.Is(err, csv.ErrBareQuote) {
				err = fmt.Errorf("%w; a cell with quotes or line breaks in it must stand in double quotes", err)
			}
			if err != nil {
				yield(Row{}, err)
				return
			}
			line, _ := r.FieldPos(0)
			if !isBlank(cells) && !yield(csvRow(before+line, header, cells), nil) {
				return
			}
		}
	}
}

// rowLimiter ends a file in which a row is longer than any can be, as one with a quote that never closes.
type rowLimiter struct {
	file io.Reader
	read int // bytes since the last row began, and what was read ahead
}

// maxRow is in bytes. A quote is written twice.
const maxRow = 2 * maxLine

func (l *rowLimiter) Read(p []byte) (int, error) {
	if l.read > maxRow {
		return 0, fmt.Errorf("a row has more than %d bytes; look for a cell whose double quotes do not close", maxRow)
	}
	n, err := l.file.Read(p)
	l.read += n
	return n, err
}

func isBlank(cells []string) bool {
	return !slices.ContainsFunc(cells, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

func csvRow(line int, header, cells []string) Row {
	for len(cells) > len(header) && cells[len(cells)-1] == "" {
		cells = cells[:len(cells)-1]
	}
	if len(cells) != len(header) {
		row := Row{Line: line}
		row.refuse("row", fmt.Sprintf("has %d cells, the first line has %d", len(cells), len(header)))
		return row
	}
	values := map[string]jsontext.Value{}
	for i, cell := range cells {
		cell = terminal.UnguardCell(cell)
		if header[i] != notesField {
			cell = strings.TrimSpace(cell)
		}
		if cell != "" && utf8.ValidString(cell) {
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

// notesField may have white space around it, and have nothing else.
const notesField = "notes"

// byteOrderMark begins the files of some spreadsheets.
const byteOrderMark = "\xEF\xBB\xBF"

var errEncoding = errors.New("the file is not UTF-8 with lines; save it as CSV in UTF-8")

// openCSV reads the header. The separator is the one that a line sep=… before it names, or whichever of comma,
// semicolon and tab the header has most of. It returns how many lines stand before the header.
func openCSV(file io.Reader) (r *csv.Reader, header []string, before int, err error) {
	buffered := bufio.NewReaderSize(file, 64<<10)
	start, _ := buffered.Peek(buffered.Size())
	if bytes.HasPrefix(start, []byte("\xFF\xFE")) || bytes.HasPrefix(start, []byte("\xFE\xFF")) ||
		isWithOldLines(start) {
		return nil, nil, 0, errEncoding
	}
	skip := len(start) - len(bytes.TrimPrefix(start, []byte(byteOrderMark)))
	separator := ','
	if named, rest, found := bytes.Cut(start[skip:], []byte("\n")); found && isSeparatorLine(named) {
		separator, before = rune(named[len("sep=")]), 1
		skip = len(start) - len(rest)
	} else {
		for _, other := range []rune{';', '\t'} {
			if bytes.Count(named, []byte(string(other))) > bytes.Count(named, []byte(string(separator))) {
				separator = other
			}
		}
	}
	if _, err := buffered.Discard(skip); err != nil {
		return nil, nil, 0, err
	}
	r = csv.NewReader(buffered)
	r.Comma, r.FieldsPerRecord = separator, -1
	header, err = r.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, 0, errors.New("the file is empty; its first line must name the columns")
	}
	if err == nil {
		header, err = readHeader(header)
	}
	return r, header, before, err
}

func isSeparatorLine(line []byte) bool {
	line = bytes.TrimRight(line, "\r")
	return len(line) == len("sep=;") && bytes.HasPrefix(line, []byte("sep="))
}

// isWithOldLines reports whether lines end as those of Macs did long ago.
func isWithOldLines(start []byte) bool {
	return bytes.ContainsRune(start, '\r') && !bytes.ContainsRune(start, '\n')
}

// readHeader returns the names of the columns. Empty ones behind all others are left out.
func readHeader(header []string) ([]string, error) {
	for len(header) > 0 && strings.TrimSpace(header[len(header)-1]) == "" {
		header = header[:len(header)-1]
	}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(terminal.UnguardCell(name)))
		switch _, isKnown := fields[name]; {
		case name == "":
			return nil, fmt.Errorf("line 1: column %d has no name", i+1)
		case !isKnown:
			return nil, fmt.Errorf("line 1, column %d: %s", i+1, unknownField(name))
		case slices.Contains(header[:i], name):
			return nil, fmt.Errorf("line 1, column %d: there is a column %s already", i+1, name)
		}
		header[i] = name
	}
	if !slices.Contains(header, "customername") {
		return nil, errors.New("line 1: there is no column customername; the first line must name the columns")
	}
	return header, nil
}
