package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxLine is the length of an exported entry with its line end: more than any entry that fits where entries are stored.
const maxLine = 1 << 20

// WriteChain exports entries as JSON Lines: each line is the canonical JSON (RFC 8785) of an entry with its hash, and
// ends with a line feed. The pages of a chain can be written one after the other.
//
//	{"action":"ISSUED","actor":"...","changes":{...},...,"sequence":1,"sequencenumber":"...","time":"..."}
//	{"action":"REVOKED",...,"sequence":2,...}
func WriteChain(w io.Writer, entries []Entry) error {
	var line []byte
	for _, e := range entries {
		var err error
		if line, err = e.appendCanonical(line[:0], true); err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// ReadChain reads what WriteChain wrote, and nothing else: every chain has one exported form. The error names the line,
// from 1, and is the last that it answers.
func ReadChain(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		lines := bufio.NewReader(r)
		var line, scratch []byte
		for number := 1; ; number++ {
			var err error
			line, err = readLine(lines, line[:0])
			if err == io.EOF && len(line) == 0 {
				return
			}
			var e Entry
			e, scratch, err = parseLine(line, err, scratch[:0])
			if err != nil {
				err = fmt.Errorf("line %d: %w", number, err)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// readLine answers bufio.ErrBufferFull for a line that is too long.
func readLine(r *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); err != bufio.ErrBufferFull || len(line) > maxLine {
			return line, err
		}
	}
}

var (
	errCutOff    = errors.New("it is cut off: a line ends with a line feed")
	errTooLong   = errors.New("it is longer than any entry")
	errCanonical = errors.New("it is not the canonical JSON of an entry")
)

// parseLine answers the scratch memory for the next line, too.
func parseLine(line []byte, err error, scratch []byte) (e Entry, _ []byte, _ error) {
	switch {
	case err == io.EOF:
		return e, scratch, errCutOff
	case err == bufio.ErrBufferFull:
		return e, scratch, errTooLong
	case err != nil:
		return e, scratch, err
	}
	line = line[:len(line)-1]
	if e, err = unmarshalCanonical(line); err != nil {
		return Entry{}, scratch, fmt.Errorf("%w: %w", errCanonical, err)
	}
	// Whatever passes here, as unknown members, members twice or in another case: it is not written again.
	written, err := e.appendCanonical(scratch, true)
	if err != nil || !bytes.Equal(written, line) {
		return Entry{}, scratch, errCanonical
	}
	return e, written, nil
}

// VerifyChain verifies an exported chain from its first entry on. The error names the first line that does not fit,
// which is that of the entry with this sequence.
func VerifyChain(r io.Reader, licenseID string) (*Verifier, error) {
	v := NewVerifier(licenseID, Head{})
	for e, err := range ReadChain(r) {
		if err != nil {
			return v, err
		}
		if err := v.Next(e); err != nil {
			return v, fmt.Errorf("line %d: %w", v.head.Sequence+1, err)
		}
	}
	return v, nil
}
