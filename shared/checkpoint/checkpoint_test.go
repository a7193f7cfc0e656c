package checkpoint_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/checkpoint"
)

// sample is a checkpoint, to the byte.
const sample = "openlicenser/test/audit\ntree buckets-1024\ncyTGBLcrgwVdC9Hlv7yXtXxn2xQYzGyBfmvVTSeRx8E=\nnumber 17\n" +
	"time 2026-11-23T22:00:00Z\nprevious 5dd2dbb1e2ba1a4c5f2f4d9d2a8a7d7e5d1f0c5b3a29181706f5e4d3c2b1a099\n"

const firstSample = "o\ntree buckets-1024\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" +
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
		"Size":               replaced("tree buckets-1024", "3"),
		"AnotherTree":        replaced("buckets-1024", "buckets-2048"),
		"TreeWithoutName":    replaced("tree buckets-1024", "buckets-1024"),
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
	if c, err := checkpoint.Open(vkey, []byte(signed)); err != nil || c.Number != 1 {
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

// TestProof proves one license of many, which shares its bucket with three others.
func TestProof(t *testing.T) {
	w := newWorld(t, 9)
	ids := inBucket(5, 4)
	for _, id := range ids {
		w.trail.extend(t, id, 2)
	}
	w.make()
	id := ids[1]
	proof, err := checkpoint.Prove(t.Context(), w.archive, verifierKey(t), id)
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
	if _, _, err := read.Verify(verifierKey(t), id); err != nil || len(read.BucketPath) != 10 || len(read.Path) != 2 {
		t.Fatalf("%v: %s", err, text)
	}
	other, err := checkpoint.Prove(t.Context(), w.archive, verifierKey(t), ids[2])
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(p *checkpoint.Proof)) checkpoint.Proof {
		p := proof
		p.Path, p.BucketPath = slices.Clone(p.Path), slices.Clone(p.BucketPath)
		change(&p)
		return p
	}
	forged := checkpoint.Leaf{LicenseID: id, Sequence: 1, Hash: hashOf("forged")}.String()
	for name, p := range map[string]checkpoint.Proof{
		"OfAnotherLicense": other,
		"LeafForged":       with(func(p *checkpoint.Proof) { p.Leaf = forged }),
		"LeafNotALine":     with(func(p *checkpoint.Proof) { p.Leaf = "" }),
		"StepOnOtherSide":  with(func(p *checkpoint.Proof) { p.Path[0].Left = !p.Path[0].Left }),
		"StepMissing":      with(func(p *checkpoint.Proof) { p.Path = p.Path[1:] }),
		"StepMore":         with(func(p *checkpoint.Proof) { p.Path = append(p.Path, p.Path[0]) }),
		"StepChanged":      with(func(p *checkpoint.Proof) { p.Path[1].Hash[5] ^= 1 }),
		"HashMissing":      with(func(p *checkpoint.Proof) { p.BucketPath = p.BucketPath[1:] }),
		"HashMore":         with(func(p *checkpoint.Proof) { p.BucketPath = append(p.BucketPath, p.BucketPath[0]) }),
		"HashChanged":      with(func(p *checkpoint.Proof) { p.BucketPath[9][5] ^= 1 }),
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

// TestStep: a step has one spelling.
func TestStep(t *testing.T) {
	const hash = "cyTGBLcrgwVdC9Hlv7yXtXxn2xQYzGyBfmvVTSeRx8E="
	for _, text := range []string{"left " + hash, "right " + hash} {
		var s checkpoint.Step
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != text {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", hash, " " + hash, "Left " + hash, "left  " + hash, "left " + hash + " ",
		"left " + hash[1:], "left " + strings.Replace(hash, "x8E=", "x8F=", 1), "up " + hash} {
		if err := new(checkpoint.Step).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

// TestTree compares roots and paths with those of another implementation of RFC 6962, for all small sizes.
func TestTree(t *testing.T) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (hashes []tlog.Hash, err error) {
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	var leaves []tlog.Hash
	for n := range int64(40) {
		want, err := tlog.TreeHash(n, reader)
		if n == 0 {
			want, err = tlog.Hash(sha256.Sum256(nil)), nil
		}
		if got := checkpoint.TreeHash(leaves); err != nil || got != want {
			t.Errorf("%d leaves: root %v, want %v, %v", n, got, want, err)
		}
		for index := range leaves {
			proof, err := tlog.ProveRecord(n, int64(index), reader)
			var got tlog.RecordProof
			for _, step := range checkpoint.PathTo(leaves, index) {
				got = append(got, step.Hash)
			}
			if err != nil || !slices.Equal(got, proof) {
				t.Errorf("leaf %d of %d: %v, want %v, %v", index, n, got, proof, err)
			}
		}
		record := fmt.Append(nil, "leaf ", n)
		hashes, err := tlog.StoredHashes(n, record, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored, leaves = append(stored, hashes...), append(leaves, tlog.RecordHash(record))
	}
}
