package audit

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/attribute"
	"openlicenser/shared/plainjson"
)

// FuzzCanonicalEntry holds the encoder of entries to RFC 8785, as jsontext has it.
func FuzzCanonicalEntry(f *testing.F) {
	f.Add("a", "é\ufb01", "🎉\x00\x1f\b\t\n\f\r\"\\/\u2028\x7f<>&",
		[]byte(`{"M":{"b":{"S":"\u003c"},"a":{"N":"1"}}}`), int64(1), true)
	f.Add("", "", "", []byte(`{"bytes":70000,"sha256":"00"}`), int64(-3), false)
	f.Add("", "", "", []byte(`{"a":1.0,"b":[1e2,null,true,-0]}`), int64(1)<<53, false)
	f.Fuzz(func(t *testing.T, name1, name2, text string, raw []byte, number int64, flag bool) {
		type plain Entry // without the encoder
		e := Entry{
			Format: 2, LicenseID: name1, Sequence: number, Time: text, Action: Action(text), Actor: name2,
			Reason: text, RequestID: name2, RecordHash: name1, Adopted: flag,
			Gap: flag, TimeToLive: flag, EventID: text, SequenceNumber: name1, Previous: name2, Hash: text,
			Changes: map[string]FieldChange{name1: {Old: raw}, name2: {New: raw, Old: raw}},
		}
		if flag {
			e.Stream, e.ReasonNonce, e.ReasonCommitment = name1, text, name2
			e.Nonces = map[string]FieldNonces{name1: {Old: text}, name2: {Old: name1, New: text}}
		}
		if !utf8.ValidString(name1) || !utf8.ValidString(name2) || !utf8.ValidString(text) || !utf8.Valid(raw) {
			return // encoding/json and this encoder both replace it; jsontext never sees it
		}
		got, err := e.appendCanonical(nil)
		if max(number, -number) > maxExactInteger || number == -1<<63 {
			if err == nil && number != -1<<63 {
				t.Fatalf("%d is not refused", number)
			}
			return
		}
		text2, errPlain := plainjson.Marshal(plain(e))
		if errPlain != nil || len(raw) == 0 {
			return // raw is no JSON
		}
		want := jsontext.Value(text2)
		errWant := want.Canonicalize()
		if (err == nil) != (errWant == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("got  %s, %v\nwant %s, %v", got, err, want, errWant)
		}
	})
}

// FuzzAppendRaw holds the canonical form of values to RFC 8785. Hashes over anything else would not be those of the
// RFC.
func FuzzAppendRaw(f *testing.F) {
	for _, seed := range []string{
		`{"L":[{"S":"a\n\u0001"},{"M":{"a":{"N":"1"},"b":{"NULL":true}}},{"BOOL":false}]}`,
		`{"b":0,"a":0}`, `{"a":0,"a":0}`, `"\u0041"`, `"\u001F"`,
		`"\u000a"`, `"\/"`, `01`, `1.0`, `12345678901234567`, `1 `, `[1,]`, `{"a"}`, `"é"`, `{"é":1}`,
		`{"\u0001":1}`, `[]`, `{}`, `null`, `nul`, `-0`, `"a`, "\"\x7f\"",
		`{"a":1,}`, `[1 ,2]`, `1x`, "\"\xff\"", `{"S":"text"}`, `{"S":"}`,
		`{"N":"1"}`, `{"S":"a\"}`, `{"S":"é"}`, `{"S":"a","S":"b"}`, "{\"S\":\"\n\"}", `{"BOOL":true}`,
		`{"BOOL":truE}`, `{"BOOL":false}`, `{"S":"a"}}`, "{\"S\":\"\xff\"}", `{"S":""}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := jsontext.Value(bytes.Clone(text))
		errWant := want.Canonicalize()
		got, err := appendRaw(nil, text)
		if (err == nil) != (errWant == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%q: got %q, %v, want %q, %v", text, got, err, want, errWant)
		}
	})
}

// TestAppendRawKeepsEntries: what entries hold is canonical as it is.
func TestAppendRawKeepsEntries(t *testing.T) {
	for _, text := range []string{
		`{"S":"text é \" \\ \n \u0001"}`, `{"N":"1"}`, `{"M":{"a":{"L":[]},"b":{"M":{}}}}`,
		`{"bytes":70000,"sha256":"00"}`, `{"NULL":true}`, `{"BOOL":false}`,
	} {
		if got, err := appendRaw(nil, []byte(text)); err != nil || string(got) != text {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
}

// TestIsPlain: the usual values are not written anew each time.
func TestIsPlain(t *testing.T) {
	for _, text := range []string{`{"S":"2030-01-01T00:00:00.000Z"}`, `{"N":"1"}`, `{"BOOL":true}`, `{"BOOL":false}`} {
		if !isPlain([]byte(text)) {
			t.Errorf("%s is not", text)
		}
	}
}

// TestHashRecord: two ways to say the same have one hash.
func TestHashRecord(t *testing.T) {
	hash := func(text string) string {
		var record attribute.Map
		if err := json.Unmarshal([]byte(text), &record); err != nil {
			t.Fatal(err)
		}
		hash, err := HashRecord(record, Nonces{"a": "NONCE"})
		if err != nil {
			t.Fatal(err)
		}
		if stored, err := HashStored(record); err != nil || (stored == hash) != (len(record) == 0) {
			t.Errorf("the hash over the values is %s, %v, that over commitments %s", stored, err, hash)
		}
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	for name, test := range map[string]struct {
		a, b string
		same bool
	}{
		"order of members": {`{"a":{"S":"1"},"b":{"S":"2"}}`, `{"b":{"S":"2"},"a":{"S":"1"}}`, true},
		"escapes":          {`{"a":{"S":"é<\/"}}`, `{"a":{"S":"\u00e9\u003c/"}}`, true},
		"string sets":      {`{"a":{"SS":["b","a","ä"]}}`, `{"a":{"SS":["ä","a","b"]}}`, true},
		"number sets":      {`{"a":{"NS":["10","9"]}}`, `{"a":{"NS":["9","10"]}}`, true},
		"binary sets":      {`{"a":{"BS":["/w==","AQ=="]}}`, `{"a":{"BS":["AQ==","/w=="]}}`, true},
		"sets in lists": {
			`{"a":{"L":[{"M":{"x":{"SS":["b","a"]}}}]}}`, `{"a":{"L":[{"M":{"x":{"SS":["a","b"]}}}]}}`, true,
		},
		"lists have order":    {`{"a":{"L":[{"S":"b"},{"S":"a"}]}}`, `{"a":{"L":[{"S":"a"},{"S":"b"}]}}`, false},
		"a list is no set":    {`{"a":{"L":[{"S":"a"}]}}`, `{"a":{"SS":["a"]}}`, false},
		"a number is no text": {`{"a":{"N":"1"}}`, `{"a":{"S":"1"}}`, false},
		"null is not absent":  {`{"a":{"NULL":true}}`, `{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if same := hash(test.a) == hash(test.b); same != test.same {
				t.Errorf("the same hash: %v, want %v", same, test.same)
			}
		})
	}
	if hash, err := HashRecord(nil, nil); hash != "" || err != nil {
		t.Errorf("of no record: %q, %v", hash, err)
	}
	if _, err := HashRecord(attribute.Map{"a": 1.5}, nil); err == nil {
		t.Error("a Go float64 has a hash")
	}
}
