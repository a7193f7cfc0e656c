package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json"
)

// maxLine bounds the length of an exported entry with its line end. No entry that fits where entries are stored is
// as long.
const maxLine = 1 << 20

// WriteChain exports entries as JSON Lines, with what they disclose. Each line is the canonical JSON (RFC 8785) of an
// entry with its hash, and ends with a line feed. The pages of a chain can be written one after the other.
//
//	{"action":"ISSUED","actor":"...","changes":{...},...,"sequence":1,"sequencenumber":"...","time":"..."}
//	{"action":"REVOKED",...,"sequence":2,...}
func WriteChain(w io.Writer, entries []Entry) error {
	var line []byte
	for _, e := range entries {
		var err error
		if line, err = e.appendCanonical(line[:0]); err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// ReadChain returns the entries of what WriteChain wrote, and refuses any other spelling of them: a chain has one
// exported form. It ends with the first error, which names the line, counted from 1.
func ReadChain(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewReader(r)
		var line, written []byte // both are used again for each line
		for number := 1; ; number++ {
			var err error
			line, err = readLine(lines, line[:0])
			if err == io.EOF && len(line) == 0 {
				return
			}
			var e Entry
			if err == nil {
				e, written, err = parseLine(line, written[:0])
			}
			if err != nil {
				err = fmt.Errorf("line %d: %w", number, err)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

var (
	errCutOff       = errors.New("the file is cut off here: a line ends with a line feed")
	errTooLong      = errors.New("longer than any entry")
	errNotCanonical = errors.New("not the canonical JSON of an entry")
)

// readLine appends a line without its line feed to line. At the end of the file it returns io.EOF.
func readLine(r *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case err == io.EOF && len(line) > 0:
			return line, errCutOff
		case err != bufio.ErrBufferFull:
			return line, err
		case len(line) > maxLine:
			return line, errTooLong
		}
	}
}

// parseLine also returns the entry as it was written again, into the memory of buffer.
func parseLine(line, buffer []byte) (e Entry, written []byte, err error) {
	if err := json.Unmarshal(line, &e, json.RejectUnknownMembers(true)); err != nil {
		return Entry{}, buffer, fmt.Errorf("%w: %w", errNotCanonical, err)
	}
	// Other white space, escapes, and orders of members pass until here.
	written, err = e.appendCanonical(buffer)
	if err != nil || !bytes.Equal(written, line) {
		return Entry{}, buffer, errNotCanonical
	}
	return e, written, nil
}
