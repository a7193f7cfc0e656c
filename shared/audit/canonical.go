package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/attribute"
)

func hexHash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// appendValue appends the canonical text of one attribute, as HashRecord has it.
func appendValue(dst []byte, value any) ([]byte, error) {
	var err error
	switch v := value.(type) {
	case string:
		dst = appendString(append(dst, `{"S":`...), v)
	case attribute.Number:
		dst = appendString(append(dst, `{"N":`...), string(v))
	case []byte:
		dst = appendString(append(dst, `{"B":`...), base64.StdEncoding.EncodeToString(v))
	case bool:
		dst = strconv.AppendBool(append(dst, `{"BOOL":`...), v)
	case nil:
		dst = append(dst, `{"NULL":true`...)
	case attribute.StringSet:
		dst = appendSet(append(dst, `{"SS":`...), v, func(s string) string { return s })
	case attribute.NumberSet:
		dst = appendSet(append(dst, `{"NS":`...), v, func(s string) string { return s })
	case attribute.BinarySet:
		dst = appendSet(append(dst, `{"BS":`...), v, base64.StdEncoding.EncodeToString)
	case []any:
		dst, err = appendList(append(dst, `{"L":`...), v)
	case attribute.Map:
		dst, err = appendMap(append(dst, `{"M":`...), v)
	default:
		err = fmt.Errorf("no attribute holds a Go %T", value)
	}
	return append(dst, '}'), err
}

func appendMap(dst []byte, m attribute.Map) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	for i, name := range sortedNames(m) {
		if dst, err = appendValue(appendName(dst, i, name), m[name]); err != nil {
			return nil, attributeError(name, err)
		}
	}
	return append(dst, '}'), nil
}

func attributeError(name string, err error) error { return fmt.Errorf("attribute %q: %w", name, err) }

func appendList(dst []byte, list []any) ([]byte, error) {
	var err error
	dst = append(dst, '[')
	for i, element := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, element); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendSet[T any](dst []byte, set []T, text func(T) string) []byte {
	texts := make([]string, len(set))
	for i, element := range set {
		texts[i] = text(element)
	}
	slices.Sort(texts)
	dst = append(dst, '[')
	for i, element := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, element)
	}
	return append(dst, ']')
}

// appendName appends the name of an object's member i, counted from 0.
func appendName(dst []byte, i int, name string) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return append(appendString(dst, name), ':')
}

// sortedNames sorts by UTF-16 code units, as RFC 8785 section 3.2.3 does. For ASCII that is the order of bytes.
func sortedNames[V any](m map[string]V) []string {
	names := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	if !slices.ContainsFunc(names, isBeyondASCII) {
		slices.Sort(names)
		return names
	}
	slices.SortFunc(names, func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	return names
}

func isBeyondASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// appendString appends a string as RFC 8785 section 3.2.2.2 writes it. Bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}

// appendRaw appends a JSON value in its canonical form.
func appendRaw(dst, raw []byte) ([]byte, error) {
	if isPlain(raw) {
		return append(dst, raw...), nil
	}
	return jsontext.AppendFormat(dst, raw, canonicalForm...)
}

// canonicalForm are the options that jsontext.Value.Canonicalize sets.
var canonicalForm = []jsontext.Options{
	jsontext.CanonicalizeRawInts(true), jsontext.CanonicalizeRawFloats(true), jsontext.ReorderRawObjects(true),
}

// isPlain reports whether a JSON value is one of those that most attributes have: {"BOOL":true}, or an "S" or an
// "N" whose text is ASCII with nothing to escape. Such a value is in the canonical form, and to see so takes a
// tenth of the time that it takes to write that form.
func isPlain(raw []byte) bool {
	switch string(raw[:min(len(raw), len(`{"S":"`))]) {
	case `{"S":"`, `{"N":"`:
		text, ends := bytes.CutSuffix(raw[len(`{"S":"`):], []byte(`"}`))
		for _, c := range text {
			if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
				return false
			}
		}
		return ends
	case `{"BOOL`:
		return string(raw) == `{"BOOL":true}` || string(raw) == `{"BOOL":false}`
	default:
		return false
	}
}

// maxExactInteger is the largest number up to which JSON holds all whole numbers (RFC 8785 section 3.2.2.3).
const maxExactInteger = 1 << 53

// appendCanonical appends the entry in the form of RFC 8785.
func (e Entry) appendCanonical(dst []byte) ([]byte, error) { return e.appendForm(dst, false) }

// appendHashed appends what the entry's hash is over.
func (e Entry) appendHashed(dst []byte) ([]byte, error) { return e.appendForm(dst, true) }

// appendForm appends the entry, or without its hash and closed what that is over. It writes the members in the order of
// their names, one by one, because a chain of a hundred thousand entries is verified while someone waits.
func (e Entry) appendForm(dst []byte, isHashed bool) ([]byte, error) {
	if max(e.Sequence, -e.Sequence, int64(e.Format), -int64(e.Format)) > maxExactInteger {
		return nil, fmt.Errorf("entry %d: JSON does not hold the number", e.Sequence)
	}
	dst = appendString(append(dst, `{"action":`...), string(e.Action))
	dst = appendString(append(dst, `,"actor":`...), e.Actor)
	dst = appendFlag(dst, `,"adopted":`, e.Adopted)
	dst, err := e.appendChanges(append(dst, `,"changes":`...), isHashed)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	dst = appendString(append(dst, `,"eventid":`...), e.EventID)
	dst = strconv.AppendInt(append(dst, `,"format":`...), int64(e.Format), 10)
	dst = appendFlag(dst, `,"gap":`, e.Gap)
	if !isHashed {
		dst = appendString(append(dst, `,"hash":`...), e.Hash)
	}
	dst = appendFlag(dst, `,"late":`, e.Late)
	dst = appendString(append(dst, `,"licenseid":`...), e.LicenseID)
	if len(e.Nonces) > 0 && !isHashed {
		dst = e.appendNonces(append(dst, `,"nonces":`...))
	}
	dst = appendString(append(dst, `,"previous":`...), e.Previous)
	dst = e.appendReason(dst, isHashed)
	dst = appendText(dst, `,"recordhash":`, e.RecordHash)
	dst = appendText(dst, `,"requestid":`, e.RequestID)
	dst = strconv.AppendInt(append(dst, `,"sequence":`...), e.Sequence, 10)
	dst = appendString(append(dst, `,"sequencenumber":`...), e.SequenceNumber)
	dst = appendText(dst, `,"stream":`, e.Stream)
	dst = appendString(append(dst, `,"time":`...), e.Time)
	dst = appendFlag(dst, `,"timetolive":`, e.TimeToLive)
	return append(dst, '}'), nil
}

// appendReason appends the reason and its nonce, or the commitment to it, or nothing.
func (e Entry) appendReason(dst []byte, isClosed bool) []byte {
	if isClosed {
		return appendText(dst, `,"reasoncommitment":`, e.reasonCommitment())
	}
	dst = appendText(dst, `,"reason":`, e.Reason)
	dst = appendText(dst, `,"reasoncommitment":`, e.ReasonCommitment)
	return appendText(dst, `,"reasonnonce":`, e.ReasonNonce)
}

func (e Entry) appendNonces(dst []byte) []byte {
	dst = append(dst, '{')
	for i, name := range sortedNames(e.Nonces) {
		nonces := e.Nonces[name]
		dst = append(appendName(dst, i, name), '{')
		if nonces.New != "" {
			dst = appendString(append(dst, `"new":`...), nonces.New)
		}
		if nonces.New != "" && nonces.Old != "" {
			dst = append(dst, ',')
		}
		if nonces.Old != "" {
			dst = appendString(append(dst, `"old":`...), nonces.Old)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendFlag(dst []byte, member string, flag bool) []byte {
	if !flag {
		return dst
	}
	return append(append(dst, member...), "true"...)
}

func appendText(dst []byte, member, text string) []byte {
	if text == "" {
		return dst
	}
	return appendString(append(dst, member...), text)
}

func (e Entry) appendChanges(dst []byte, isClosed bool) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	for i, name := range sortedNames(e.Changes) {
		change := e.Changes[name]
		if isClosed {
			change = change.closed(name, e.Nonces[name])
		}
		if dst, err = change.appendCanonical(appendName(dst, i, name)); err != nil {
			return nil, attributeError(name, err)
		}
	}
	return append(dst, '}'), nil
}

func (c FieldChange) appendCanonical(dst []byte) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	if len(c.New) > 0 {
		if dst, err = appendRaw(append(dst, `"new":`...), c.New); err != nil {
			return nil, err
		}
	}
	if len(c.New) > 0 && len(c.Old) > 0 {
		dst = append(dst, ',')
	}
	if len(c.Old) > 0 {
		dst, err = appendRaw(append(dst, `"old":`...), c.Old)
	}
	return append(dst, '}'), err
}

func (d Digest) appendCanonical(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"bytes":`...), int64(d.Bytes), 10)
	return append(appendString(append(dst, `,"sha256":`...), d.SHA256), '}')
}
