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

// Checkpoint is the statement that is signed. Its text is:
//
//	openlicenser/example/audit
//	tree buckets-1024
//	cyTGBLcrgwVdC9Hlv7yXtXxn2xQYzGyBfmvVTSeRx8E=
//	number 17
//	time 2026-11-23T22:00:00Z
//	previous 5dd2dbb1e2ba1a4c5f2f4d9d2a8a7d7e5d1f0c5b3a29181706f5e4d3c2b1a099
//
// Each line ends with a line feed. It is no C2SP tlog-checkpoint, which would tell everybody how many chains there are.
type Checkpoint struct {
	Origin   string    // the trail's name, and that of its key
	Root     tlog.Hash // over the roots of all buckets
	Number   int64     // of this checkpoint, from 1, without gaps
	Time     time.Time // RFC 3339, UTC, whole seconds
	Previous string    // SHA-256 of the checkpoint before with its signature; "-" in the first
}

const (
	treeLine   = "tree buckets-1024"
	noPrevious = "-" // of the first checkpoint
)

// String returns the text that is signed.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%s\n%s\n%s\nnumber %d\ntime %s\nprevious %s\n",
		c.Origin, treeLine, c.Root, c.Number, c.Time.Format(time.RFC3339), c.Previous)
}

var errText = errors.New("not a checkpoint of audit chains")

// errEarlierForm reports a checkpoint of one tree over all chains, whose second line is their number.
var errEarlierForm = errors.New("a checkpoint of an earlier version, which this one cannot go on from: " +
	"keep it and begin anew, see docs/audit-trail.md")

// parse reads a checkpoint's text, without signatures. It refuses any other spelling than String's.
func parse(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 7 {
		return Checkpoint{}, errText
	}
	if _, err := strconv.ParseUint(lines[1], 10, 63); err == nil {
		return Checkpoint{}, errEarlierForm
	}
	root, errRoot := tlog.ParseHash(lines[2])
	number, errNumber := strconv.ParseInt(strings.TrimPrefix(lines[3], "number "), 10, 64)
	at, errTime := time.Parse(time.RFC3339, strings.TrimPrefix(lines[4], "time "))
	if errors.Join(errRoot, errNumber, errTime) != nil {
		return Checkpoint{}, errText
	}
	c := Checkpoint{
		Origin: lines[0], Root: root, Number: number, Time: at.UTC(),
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
	return c.Origin != "" && (first || later)
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
	// A signature of someone else, or unused bits at the end of base64, which package note ignores, would give one
	// checkpoint several hashes.
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return Checkpoint{}, errors.New("checkpoint: it has other signatures than the one of its key")
	}
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
