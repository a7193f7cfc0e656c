package licensefile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/strictjson"
)

// maxLine is the longest line in bytes. The vendor's API takes no longer bodies, and an escape makes six of one.
const maxLine = 6 * 256 << 10

// readLines reads a JSON object from each line. Empty lines are skipped.
func readLines(file io.Reader) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, maxLine)
		number := 0
		for lines.Scan() {
			number++
			line := lines.Bytes()
			if number == 1 {
				line = bytes.TrimPrefix(line, []byte(byteOrderMark))
			}
			if len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			if !yield(lineRow(number, line), nil) {
				return
			}
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(Row{}, fmt.Errorf("line %d has more than %d bytes", number+1, maxLine))
		case err != nil:
			yield(Row{}, err)
		}
	}
}

func lineRow(number int, line []byte) Row {
	var values map[string]jsontext.Value
	if err := strictjson.Unmarshal(line, &values); err != nil {
		row := Row{Line: number}
		row.refuse("row", "must be one JSON object in UTF-8, with each member once")
		return row
	}
	return newRow(number, values)
}
