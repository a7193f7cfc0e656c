package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"openlicenser/shared/checkpoint"
)

// FuzzProof: a proof that was changed in any byte does not verify, unless its JSON says the same. Numbers describe the
// change because the fuzzer minimizes texts, which takes longer than all else.
func FuzzProof(f *testing.F) {
	w := newWorld(f, 9)
	ids := inBucket(5, 4)
	for _, id := range ids {
		w.trail.extend(f, id, 2)
	}
	w.make()
	id, vkey := ids[1], verifierKey(f)
	proof, err := checkpoint.Prove(f.Context(), w.archive, vkey, id)
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(proof)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), uint8(0), uint64(0), uint16(0), uint8(0))
	for at := range len(text) {
		// The next character of base64, or the next digit.
		f.Add(uint16(at), uint8(1), uint64(text[at]+1), uint16(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, at uint16, cut uint8, insert uint64, at2 uint16, flip uint8) {
		from := int(at) % (len(text) + 1)
		inserted := bytes.Trim(binary.LittleEndian.AppendUint64(nil, insert), "\x00")
		changed := slices.Concat(text[:from], inserted, text[min(from+int(cut), len(text)):])
		if len(changed) > 0 {
			changed[int(at2)%len(changed)] ^= flip
		}
		var read checkpoint.Proof
		if json.Unmarshal(changed, &read) != nil {
			return
		}
		_, _, err := read.Verify(vkey, id)
		if same := reflect.DeepEqual(read, proof); (err == nil) != same {
			t.Errorf("the proof is the same: %t; verified: %v: %s", same, err, changed)
		}
	})
}
