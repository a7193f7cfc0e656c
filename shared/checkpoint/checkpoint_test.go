package checkpoint_test

import (
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/checkpoint"
)

// sample is a checkpoint, to the byte.
const sample = "openlicenser/test/audit\n3\ncyTGBLcrgwVdC9Hlv7yXtXxn2xQYzGyBfmvVTSeRx8E=\nnumber 17\n" +
	"time 2026-11-23T22:00:00Z\nprevious 5dd2dbb1e2ba1a4c5f2f4d9d2a8a7d7e5d1f0c5b3a29181706f5e4d3c2b1a099\n"

const firstSample = "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" +
	"number 1\ntime 2026-11-23T22:00:00Z\nprevious -\n"

func TestParse(t *testing.T) {
	for _, text := range []string{sample, firstSample} {
		c, err := checkpoint.Parse(text)
		if err != nil || c.String() != text {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
	replaced := func(old, new string) string { return strings.Replace(sample, old, new, 1) }
	refused := map[string]string{
		"Empty":              "",
		"NoLineFeed":         strings.TrimSuffix(sample, "\n"),
		"AnotherLine":        sample + "more\n",
		"NoOrigin":           replaced("openlicenser/test/audit", ""),
		"SizeWithZero":       replaced("\n3\n", "\n03\n"),
		"SizeWithSign":       replaced("\n3\n", "\n+3\n"),
		"SizeNegative":       replaced("\n3\n", "\n-3\n"),
		"RootShort":          replaced("cyTG", ""),
		"RootWithUnusedBits": replaced("x8E=", "x8F="),
		"NumberZero":         replaced("number 17", "number 0"),
		"NumberWithoutName":  replaced("number 17", "17"),
		"TimeOfAnotherZone":  replaced("22:00:00Z", "22:00:00+01:00"),
		"TimeWithFraction":   replaced("22:00:00Z", "22:00:00.5Z"),
		"PreviousUpperCase":  replaced("previous 5dd2dbb1", "previous 5DD2DBB1"),
		"PreviousShort":      replaced("previous 5dd2dbb1", "previous "),
		"PreviousMissing": replaced(
			"previous 5dd2dbb1e2ba1a4c5f2f4d9d2a8a7d7e5d1f0c5b3a29181706f5e4d3c2b1a099", "previous -"),
		"FirstWithPrevious": replaced("number 17", "number 1"),
		"CarriageReturns":   strings.ReplaceAll(sample, "\n", "\r\n"),
	}
	for name, text := range refused {
		if c, err := checkpoint.Parse(text); err == nil {
			t.Errorf("%s: read as %+v", name, c)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add(firstSample)
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := checkpoint.Parse(text); err == nil && c.String() != text {
			t.Errorf("%q is read, and written as %q", text, c.String())
		}
	})
}

func TestParseLeaf(t *testing.T) {
	hash := hashOf("an entry")
	for line, id := range map[string]string{
		license(1) + " 1 " + hash + "\n":                 license(1),
		"a%20b%0A%25 9223372036854775807 " + hash + "\n": "a b\n%",
		"%E2%82%AC 10 " + hash + "\n":                    "€",
	} {
		l, err := checkpoint.ParseLeaf(line)
		if err != nil || l.LicenseID != id || l.String() != line {
			t.Errorf("%q: %+v, %v", line, l, err)
		}
	}
	for name, line := range map[string]string{
		"NoLineFeed":        "id 1 " + hash,
		"TwoLineFeeds":      "id 1 " + hash + "\n\n",
		"NoID":              " 1 " + hash + "\n",
		"IDNotEncoded":      "€ 1 " + hash + "\n",
		"IDEncodedNeedless": "%61 1 " + hash + "\n",
		"IDLowerCase":       "%e2%82%ac 1 " + hash + "\n",
		"IDHalf":            "%E 1 " + hash + "\n",
		"SequenceZero":      "id 0 " + hash + "\n",
		"SequenceWithZero":  "id 01 " + hash + "\n",
		"SequenceTooLarge":  "id 9223372036854775808 " + hash + "\n",
		"HashShort":         "id 1 " + hash[1:] + "\n",
		"HashUpperCase":     "id 1 " + strings.ToUpper(hash) + "\n",
		"AnotherField":      "id 1 " + hash + " 2\n",
	} {
		if l, err := checkpoint.ParseLeaf(line); err == nil {
			t.Errorf("%s: read as %+v", name, l)
		}
	}
}

func FuzzParseLeaf(f *testing.F) {
	f.Add(license(1) + " 1 " + hashOf("an entry") + "\n")
	f.Add("a%20b%0A%25 9223372036854775807 " + hashOf("") + "\n")
	f.Fuzz(func(t *testing.T, line string) {
		if l, err := checkpoint.ParseLeaf(line); err == nil && l.String() != line {
			t.Errorf("%q is read, and written as %q", line, l.String())
		}
	})
}

func TestOpen(t *testing.T) {
	w := newWorld(t, 3)
	signed := string(w.make().Signed)
	vkey := verifierKey(t)
	if c, err := checkpoint.Open(vkey, []byte(signed)); err != nil || c.Size != 3 {
		t.Fatalf("got %+v, %v", c, err)
	}
	for i := range signed { // every bit counts
		for bit := range 8 {
			flipped := []byte(signed)
			flipped[i] ^= 1 << bit
			if _, err := checkpoint.Open(vkey, flipped); err == nil {
				t.Errorf("bit %d of byte %d was changed unseen", bit, i)
			}
		}
	}
	for name, key := range map[string]string{
		"AnotherKey":    otherKey(t, 2, origin),
		"AnotherOrigin": otherKey(t, 1, "openlicenser/other/audit"),
		"NoKey":         "openlicenser/test/audit",
	} {
		if _, err := checkpoint.Open(key, []byte(signed)); err == nil {
			t.Errorf("%s opens it", name)
		}
	}
}

func otherKey(t *testing.T, seed byte, origin string) string {
	t.Helper()
	vkey, err := checkpoint.VerifierKey(t.Context(), newKey(seed), origin)
	if err != nil {
		t.Fatal(err)
	}
	return vkey
}

func TestProof(t *testing.T) {
	w := newWorld(t, 9)
	w.make()
	id := license(4)
	proof, err := checkpoint.Prove(t.Context(), w.archive, id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(proof)
	if err != nil {
		t.Fatal(err)
	}
	var read checkpoint.Proof
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read.Verify(verifierKey(t), id); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	other, err := checkpoint.Prove(t.Context(), w.archive, license(5))
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(p *checkpoint.Proof)) checkpoint.Proof {
		p := proof
		p.Hashes = append(tlog.RecordProof{}, p.Hashes...)
		change(&p)
		return p
	}
	forged := checkpoint.Leaf{LicenseID: id, Sequence: 1, Hash: hashOf("forged")}.String()
	for name, p := range map[string]checkpoint.Proof{
		"OfAnotherLicense": other,
		"LeafForged":       with(func(p *checkpoint.Proof) { p.Leaf = forged }),
		"LeafNotALine":     with(func(p *checkpoint.Proof) { p.Leaf = "" }),
		"IndexOfAnother":   with(func(p *checkpoint.Proof) { p.Index++ }),
		"IndexNegative":    with(func(p *checkpoint.Proof) { p.Index = -1 }),
		"IndexBeyond":      with(func(p *checkpoint.Proof) { p.Index = 9 }),
		"HashMissing":      with(func(p *checkpoint.Proof) { p.Hashes = p.Hashes[1:] }),
		"HashMore":         with(func(p *checkpoint.Proof) { p.Hashes = append(p.Hashes, p.Hashes[0]) }),
		"HashChanged":      with(func(p *checkpoint.Proof) { p.Hashes[0][5] ^= 1 }),
		"CheckpointForged": with(func(p *checkpoint.Proof) {
			p.Checkpoint = strings.Replace(p.Checkpoint, "number 1", "number 2", 1)
		}),
		"CheckpointEmpty": with(func(p *checkpoint.Proof) { p.Checkpoint = "" }),
	} {
		if _, leaf, err := p.Verify(verifierKey(t), id); err == nil {
			t.Errorf("%s: verified as %+v", name, leaf)
		}
	}
}
