// Package checkpoint signs the heads of all audit chains together, and proves that a chain is the one that was signed.
// A chain by itself proves that nothing inside it was changed. A checkpoint proves that nothing was cut off its end,
// that it is not an old copy, and that it was not removed whole. The package knows no AWS and no HTTP.
package checkpoint

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is the statement that is signed. Its text is a C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint)
// with three extension lines:
//
//	openlicenser/example/audit
//	3
//	cyTGBLcrgwVdC9Hlv7yXtXxn2xQYzGyBfmvVTSeRx8E=
//	number 17
//	time 2026-11-23T22:00:00Z
//	previous 5dd2dbb1e2ba1a4c5f2f4d9d2a8a7d7e5d1f0c5b3a29181706f5e4d3c2b1a099
//
// Each line ends with a line feed.
type Checkpoint struct {
	Origin   string    // the trail's name, and that of its key
	Size     int64     // number of leaves
	Root     tlog.Hash // of the tree of leaves
	Number   int64     // of this checkpoint, from 1, without gaps
	Time     time.Time // RFC 3339, UTC, whole seconds
	Previous string    // SHA-256 of the checkpoint before with its signature; "-" in the first
}

// noPrevious is Previous of the first checkpoint.
const noPrevious = "-"

// String returns the text that is signed.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%s\n%d\n%s\nnumber %d\ntime %s\nprevious %s\n",
		c.Origin, c.Size, c.Root, c.Number, c.Time.Format(time.RFC3339), c.Previous)
}

var errText = errors.New("not a checkpoint of audit chains")

// parse reads a checkpoint's text, without signatures. It refuses any other spelling than String's.
func parse(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 7 {
		return Checkpoint{}, errText
	}
	size, errSize := strconv.ParseInt(lines[1], 10, 64)
	root, errRoot := tlog.ParseHash(lines[2])
	number, errNumber := strconv.ParseInt(strings.TrimPrefix(lines[3], "number "), 10, 64)
	at, errTime := time.Parse(time.RFC3339, strings.TrimPrefix(lines[4], "time "))
	if errors.Join(errSize, errRoot, errNumber, errTime) != nil {
		return Checkpoint{}, errText
	}
	c := Checkpoint{
		Origin: lines[0], Size: size, Root: root, Number: number, Time: at.UTC(),
		Previous: strings.TrimPrefix(lines[5], "previous "),
	}
	if !c.isValid() || c.String() != text {
		return Checkpoint{}, errText
	}
	return c, nil
}

func (c Checkpoint) isValid() bool {
	first := c.Number == 1 && c.Previous == noPrevious
	later := c.Number > 1 && isHash(c.Previous)
	return c.Origin != "" && c.Size >= 0 && (first || later)
}

// Open reads a signed checkpoint and checks the key's signature. vkey is a note verifier key
// (https://pkg.go.dev/golang.org/x/mod/sumdb/note), whose name is the origin.
func Open(vkey string, signed []byte) (Checkpoint, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("verifier key: %w", err)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	// Package note ignores unused bits at the end of base64. With them one checkpoint would have several hashes.
	for _, signature := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(signature.Base64); err != nil {
			return Checkpoint{}, fmt.Errorf("checkpoint: signature: %w", err)
		}
	}
	c, err := parse(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("the checkpoint is of origin %q, the key of %q", c.Origin, verifier.Name())
	}
	return c, nil
}

// Follows checks that c is the checkpoint right after previous, whose signed text is signed.
func (c Checkpoint) Follows(previous Checkpoint, signed []byte) error {
	switch {
	case c.Number != previous.Number+1:
		return fmt.Errorf("checkpoint %d stands after checkpoint %d", c.Number, previous.Number)
	case c.Previous != hashOf(signed):
		return fmt.Errorf("checkpoint %d names the hash of another checkpoint %d", c.Number, previous.Number)
	}
	return nil
}

func hashOf(signed []byte) string {
	sum := sha256.Sum256(signed)
	return hex.EncodeToString(sum[:])
}
