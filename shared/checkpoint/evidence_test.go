package checkpoint_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"openlicenser/shared/checkpoint"
)

// newEvidence returns evidence of a chain of four entries, the last of which is younger than the checkpoint.
func newEvidence(t testing.TB) (checkpoint.Evidence, []byte) {
	t.Helper()
	w := newWorld(t, 20)
	ids := inBucket(5, 4)
	for _, id := range ids {
		w.trail.extend(t, id, 3)
	}
	w.make()
	w.trail.extend(t, ids[1], 1)
	proof, err := checkpoint.Prove(t.Context(), w.archive, verifierKey(t), ids[1])
	if err != nil {
		t.Fatal(err)
	}
	e := checkpoint.Evidence{Key: checkpoint.KeyID(verifierKey(t)), Proof: proof, Entries: w.trail.chains[ids[1]]}
	var file bytes.Buffer
	if err := e.Write(&file); err != nil {
		t.Fatal(err)
	}
	return e, file.Bytes()
}

func verifyEvidence(file []byte, vkey string) (checkpoint.Verdict, error) {
	e, err := checkpoint.ReadEvidence(bytes.NewReader(file))
	if err != nil {
		return checkpoint.Verdict{}, err
	}
	return e.Verify(vkey)
}

func TestEvidence(t *testing.T) {
	_, file := newEvidence(t)
	if !checkpoint.IsEvidence(file) || bytes.Count(file, []byte("\n")) != 5 {
		t.Errorf("the file is %s", file)
	}
	v, err := verifyEvidence(file, verifierKey(t))
	if err != nil || v.Checkpoint.Number != 1 || v.Leaf.Sequence != 3 || v.Chain.Head().Sequence != 4 {
		t.Errorf("got %+v, %v", v, err)
	}
	v, err = verifyEvidence(file, "")
	if !errors.Is(err, checkpoint.ErrUntrusted) || v.Leaf.Sequence != 3 || v.Chain.Head().Sequence != 4 {
		t.Errorf("without a key: %+v, %v", v, err)
	}
	for name, key := range map[string]string{
		"AnotherKey": otherKey(t, 2, origin), "AnotherOrigin": otherKey(t, 1, "openlicenser/other/audit"), "NoKey": "x",
	} {
		if _, err := verifyEvidence(file, key); err == nil || errors.Is(err, checkpoint.ErrUntrusted) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEvidenceFlipped: no byte of the file can be changed unseen, and none of its lines can be missing, but those that
// are younger than the checkpoint.
func TestEvidenceFlipped(t *testing.T) {
	_, file := newEvidence(t)
	vkey := verifierKey(t)
	for i := range file { // docs/verify_evidence.py is held to every bit
		flipped := bytes.Clone(file)
		flipped[i] ^= 1 << (i % 8)
		if _, err := verifyEvidence(flipped, vkey); err == nil {
			t.Errorf("bit %d of byte %d was changed unseen", i%8, i)
		}
	}
	lines := strings.SplitAfter(string(file), "\n")
	for i := range 4 {
		missing := strings.Join(append(append([]string{}, lines[:i]...), lines[i+1:]...), "")
		if _, err := verifyEvidence([]byte(missing), vkey); err == nil {
			t.Errorf("line %d was removed unseen", i+1)
		}
	}
	for n := 0; n < len(lines[0])+len(lines[1])+len(lines[2])+len(lines[3]); n += 17 {
		if _, err := verifyEvidence(file[:n], vkey); err == nil {
			t.Errorf("all behind byte %d was cut off unseen", n)
		}
	}
}

// TestEvidenceSpelling: the first line has one spelling.
func TestEvidenceSpelling(t *testing.T) {
	_, file := newEvidence(t)
	for name, change := range map[string][2]string{
		"WhiteSpace":    {`"evidence":1`, `"evidence": 1`},
		"Version":       {`"evidence":1`, `"evidence":2`},
		"Number":        {`"evidence":1`, `"evidence":1.0`},
		"AnotherMember": {`"evidence":1`, `"evidence":1,"f":1`},
		"Twice":         {`"evidence":1`, `"evidence":1,"evidence":1`},
		"Escape":        {`\n`, `\u000a`},
	} {
		other := strings.Replace(string(file), change[0], change[1], 1)
		if _, err := verifyEvidence([]byte(other), verifierKey(t)); err == nil || other == string(file) {
			t.Errorf("%s is read", name)
		}
	}
}

// FuzzEvidence: what is read has one spelling.
func FuzzEvidence(f *testing.F) {
	_, file := newEvidence(f)
	f.Add(file)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		e, err := checkpoint.ReadEvidence(bytes.NewReader(file))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := e.Write(&again); err != nil || !bytes.Equal(again.Bytes(), file) {
			t.Errorf("read, and written as %q, %v", &again, err)
		}
	})
}
