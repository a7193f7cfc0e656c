package checkpoint

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	strict "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/audit"
)

// Evidence is all that whoever trusts the key of checkpoints needs to check the chain of one license, without a server.
// Its file is JSON Lines, each line in the form of RFC 8785: the members of the proof with evidence and key, and then
// the entries of the chain, as audit.WriteChain writes them.
//
//	{"bucketpath":["…",…],"checkpoint":"…","evidence":1,"key":"openlicenser/example/audit+790815ca","leaf":"…",…}
//	{"action":"ISSUED",…}
type Evidence struct {
	Key     string // the name and the id of the key, as the first two parts of a note verifier key
	Proof   Proof
	Entries []audit.Entry
}

// evidenceVersion is the member evidence of the form that is written now.
const evidenceVersion = 1

// evidenceHeader is the first line.
type evidenceHeader struct {
	Evidence int    `json:"evidence"`
	Key      string `json:"key"`
	Proof
}

// KeyID returns the name and the id of a note verifier key: all of it but the key.
func KeyID(vkey string) string {
	name, rest, _ := strings.Cut(vkey, "+")
	id, _, _ := strings.Cut(rest, "+")
	return name + "+" + id
}

// Write writes the file.
func (e Evidence) Write(w io.Writer) error {
	header, err := e.header()
	if err != nil {
		return err
	}
	if _, err := w.Write(append(header, '\n')); err != nil {
		return err
	}
	return audit.WriteChain(w, e.Entries)
}

func (e Evidence) header() ([]byte, error) {
	text, err := json.Marshal(evidenceHeader{evidenceVersion, e.Key, e.Proof})
	if err != nil {
		return nil, err
	}
	canonical := jsontext.Value(text)
	err = canonical.Canonicalize()
	return canonical, err
}

// IsEvidence reports whether a file is evidence, by its first bytes. A chain's first line begins otherwise.
func IsEvidence(beginning []byte) bool { return bytes.HasPrefix(beginning, []byte(`{"bucketpath":`)) }

// maxHeader bounds the first line: a path has some 70 bytes a step, and at most 64 steps.
const maxHeader = 64 << 10

// ReadEvidence reads what Write has written, and refuses any other spelling of it.
func ReadEvidence(r io.Reader) (Evidence, error) {
	lines := bufio.NewReaderSize(r, maxHeader)
	line, err := lines.ReadSlice('\n')
	if err != nil {
		return Evidence{}, fmt.Errorf("line 1: %w", errors.Join(errEvidence, err))
	}
	var header evidenceHeader
	if err := strict.Unmarshal(line, &header, strict.RejectUnknownMembers(true)); err != nil {
		return Evidence{}, fmt.Errorf("line 1: %w: %w", errEvidence, err)
	}
	e := Evidence{Key: header.Key, Proof: header.Proof}
	written, err := e.header()
	if err != nil || header.Evidence != evidenceVersion || string(written)+"\n" != string(line) {
		return Evidence{}, fmt.Errorf("line 1: %w", errEvidence)
	}
	for entry, err := range audit.ReadChain(lines) {
		if err != nil {
			return Evidence{}, fmt.Errorf("below line 1: %w", err)
		}
		e.Entries = append(e.Entries, entry)
	}
	return e, nil
}

var errEvidence = errors.New("not the first line of evidence of version 1")

// Verdict is what evidence shows. Entries up to Leaf.Sequence are proven; those behind it are younger than the
// checkpoint.
type Verdict struct {
	Checkpoint Checkpoint
	Leaf       Leaf
	Chain      *audit.Verifier // has read all entries
}

// ErrUntrusted reports that nobody has said which key is to be trusted. All else was checked.
var ErrUntrusted = errors.New("without a trusted key nobody knows who has signed the checkpoint")

// Verify checks all of it with the key that the reader trusts. Without one it returns the verdict and ErrUntrusted.
func (e Evidence) Verify(vkey string) (Verdict, error) {
	v, err := e.verify(vkey)
	if err == nil && vkey == "" {
		err = ErrUntrusted
	}
	return v, err
}

func (e Evidence) verify(vkey string) (v Verdict, err error) {
	leaf, err := parseLeaf(e.Proof.Leaf)
	if err != nil {
		return v, fmt.Errorf("leaf: %w", err)
	}
	switch {
	case vkey == "":
		v.Checkpoint, v.Leaf, err = e.Proof.verifyUnsigned(leaf.LicenseID)
	case KeyID(vkey) != e.Key:
		return v, fmt.Errorf("the evidence is of the key %s, and the trusted one is %s", e.Key, KeyID(vkey))
	default:
		v.Checkpoint, v.Leaf, err = e.Proof.Verify(vkey, leaf.LicenseID)
	}
	if err != nil {
		return v, err
	}
	v.Chain = audit.NewVerifier(leaf.LicenseID, audit.Head{})
	for _, entry := range e.Entries {
		if err := v.Chain.Next(entry); err != nil {
			return v, err
		}
	}
	return v, leaf.Check(e.Entries)
}
