package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/gowebpki/jcs"

	"openlicenser/shared/attribute"
)

// HashRecord is the SHA-256, in lower-case hexadecimal, of a record's canonical text: its DynamoDB JSON in the form of
// RFC 8785, in which the elements of a set (SS, NS, BS), which have no order, stand in the order of their strings' UTF-8
// bytes. Numbers stand in the text that DynamoDB gives them when it stores them, which is the same in the stream and in a
// read. No record, nil, has the hash "".
func HashRecord(record attribute.Map) (string, error) {
	if record == nil {
		return "", nil
	}
	text, err := appendMap(nil, record)
	if err != nil {
		return "", err
	}
	return hexHash(text), nil
}

func hexHash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// canonicalValue writes one attribute as HashRecord does.
func canonicalValue(value any) ([]byte, error) { return appendValue(nil, value) }

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
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
	}
	return append(dst, '}'), nil
}

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

// appendName begins the i-th member of an object, from 0.
func appendName(dst []byte, i int, name string) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return append(appendString(dst, name), ':')
}

// sortedNames sorts as RFC 8785 section 3.2.3 does: by UTF-16 code units.
func sortedNames[V any](m map[string]V) []string {
	names, ascii := make([]string, 0, len(m)), true
	for name := range m {
		names = append(names, name)
		ascii = ascii && isASCII(name)
	}
	if ascii {
		slices.Sort(names)
		return names
	}
	slices.SortFunc(names, func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	return names
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// shortEscapes are the escapes of RFC 8785 section 3.2.2.2 that are not \u00xx, by the byte that they stand for.
var shortEscapes = [utf8.RuneSelf]byte{'"': '"', '\\': '\\', '\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}

const lowerHex = "0123456789abcdef"

// appendString writes a string as RFC 8785 section 3.2.2.2 does. What is not UTF-8 becomes U+FFFD, as in encoding/json.
func appendString(dst []byte, text string) []byte {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	dst = append(dst, '"')
	written := 0
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[written:i]...)
		written = i + 1
		if short := shortEscapes[c]; short != 0 {
			dst = append(dst, '\\', short)
		} else {
			dst = append(dst, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&0xf])
		}
	}
	return append(append(dst, text[written:]...), '"')
}

// appendRaw writes a JSON text in its canonical form. What was written by this package is in that form already.
func appendRaw(dst, raw []byte) ([]byte, error) {
	if rest, canonical := skipCanonical(raw); canonical && len(rest) == 0 {
		return append(dst, raw...), nil
	}
	text, err := jcs.Transform(raw)
	return append(dst, text...), err
}

// skipCanonical goes over a JSON value that is certainly in the canonical form. Of some that are, as objects with names
// that are not ASCII, it is not certain.
func skipCanonical(text []byte) (rest []byte, canonical bool) {
	if len(text) == 0 {
		return nil, false
	}
	switch c := text[0]; {
	case c == '"':
		_, rest, canonical = skipString(text)
		return rest, canonical
	case c == '{':
		return skipObject(text)
	case c == '[':
		return skipArray(text)
	case c >= '0' && c <= '9':
		return skipWholeNumber(text)
	}
	for _, literal := range []string{"true", "false", "null"} {
		if len(text) >= len(literal) && string(text[:len(literal)]) == literal {
			return text[len(literal):], true
		}
	}
	return nil, false
}

func skipObject(text []byte) (rest []byte, canonical bool) {
	if len(text) > 1 && text[1] == '}' {
		return text[2:], true
	}
	var last []byte
	for {
		name, rest, ok := skipString(text[1:]) // text begins with a brace or a comma
		// Sorted by bytes is sorted by code units only in ASCII, and only where nothing is escaped.
		if !ok || !isPlainName(name) || last != nil && string(last) >= string(name) || len(rest) == 0 || rest[0] != ':' {
			return nil, false
		}
		if text, ok = skipCanonical(rest[1:]); !ok || len(text) == 0 {
			return nil, false
		}
		switch last = name; text[0] {
		case '}':
			return text[1:], true
		case ',':
		default:
			return nil, false
		}
	}
}

func isPlainName(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return name != nil
}

func skipArray(text []byte) (rest []byte, canonical bool) {
	if len(text) > 1 && text[1] == ']' {
		return text[2:], true
	}
	for {
		var ok bool
		if text, ok = skipCanonical(text[1:]); !ok || len(text) == 0 {
			return nil, false
		}
		switch text[0] {
		case ']':
			return text[1:], true
		case ',':
		default:
			return nil, false
		}
	}
}

// skipWholeNumber takes only what every float64 holds exactly.
func skipWholeNumber(text []byte) (rest []byte, canonical bool) {
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if digits == 0 || digits > 15 || text[0] == '0' && digits > 1 {
		return nil, false
	}
	if digits < len(text) && strings.IndexByte(",]}", text[digits]) < 0 {
		return nil, false
	}
	return text[digits:], true
}

// skipString answers what stands between the quotation marks, too.
func skipString(text []byte) (inner, rest []byte, canonical bool) {
	if len(text) == 0 || text[0] != '"' {
		return nil, nil, false
	}
	text = text[1:]
	ascii := true
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return text[:i:i], text[i+1:], ascii || utf8.Valid(text[:i])
		case c < ' ':
			return nil, nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		case c == '\\':
			length := escapeLength(text[i:])
			if length == 0 {
				return nil, nil, false
			}
			i += length - 1
		}
	}
	return nil, nil, false
}

// escapeLength answers 0 for an escape that RFC 8785 writes otherwise.
func escapeLength(text []byte) int {
	if len(text) >= 2 && strings.IndexByte(`"\btnfr`, text[1]) >= 0 {
		return 2
	}
	if len(text) < 6 || string(text[:4]) != `\u00` {
		return 0
	}
	high, low := strings.IndexByte(lowerHex, text[4]), strings.IndexByte(lowerHex, text[5])
	if high < 0 || high > 1 || low < 0 || shortEscapes[high<<4|low] != 0 {
		return 0
	}
	return 6
}

// maxExactInteger is the largest number up to which JSON holds all whole numbers (RFC 8785 section 3.2.2.3).
const maxExactInteger = 1 << 53

// appendCanonical writes the entry in the form of RFC 8785, with or without its hash. The members stand in the order of
// their names.
func (e Entry) appendCanonical(dst []byte, withHash bool) ([]byte, error) {
	if max(e.Sequence, -e.Sequence, int64(e.Format), -int64(e.Format)) > maxExactInteger {
		return nil, fmt.Errorf("entry %d: JSON does not hold the number", e.Sequence)
	}
	dst = appendString(append(dst, `{"action":`...), string(e.Action))
	dst = appendString(append(dst, `,"actor":`...), e.Actor)
	dst = appendFlag(dst, `,"adopted":`, e.Adopted)
	dst, err := appendChanges(append(dst, `,"changes":`...), e.Changes)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	if e.ChangesDigest != nil {
		dst = e.ChangesDigest.appendCanonical(append(dst, `,"changesdigest":`...))
	}
	dst = appendString(append(dst, `,"eventid":`...), e.EventID)
	dst = strconv.AppendInt(append(dst, `,"format":`...), int64(e.Format), 10)
	dst = appendFlag(dst, `,"gap":`, e.Gap)
	if withHash {
		dst = appendString(append(dst, `,"hash":`...), e.Hash)
	}
	dst = appendFlag(dst, `,"late":`, e.Late)
	dst = appendString(append(dst, `,"licenseid":`...), e.LicenseID)
	dst = appendString(append(dst, `,"previous":`...), e.Previous)
	dst = appendText(dst, `,"reason":`, e.Reason)
	dst = appendText(dst, `,"recordhash":`, e.RecordHash)
	dst = appendText(dst, `,"requestid":`, e.RequestID)
	dst = strconv.AppendInt(append(dst, `,"sequence":`...), e.Sequence, 10)
	dst = appendString(append(dst, `,"sequencenumber":`...), e.SequenceNumber)
	dst = appendString(append(dst, `,"time":`...), e.Time)
	dst = appendFlag(dst, `,"timetolive":`, e.TimeToLive)
	return append(dst, '}'), nil
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

func appendChanges(dst []byte, changes map[string]FieldChange) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	for i, name := range sortedNames(changes) {
		dst = append(appendName(dst, i, name), '{')
		change := changes[name]
		if len(change.New) > 0 {
			if dst, err = appendRaw(append(dst, `"new":`...), change.New); err != nil {
				return nil, fmt.Errorf("attribute %q: %w", name, err)
			}
		}
		if len(change.Old) > 0 {
			if len(change.New) > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendRaw(append(dst, `"old":`...), change.Old); err != nil {
				return nil, fmt.Errorf("attribute %q: %w", name, err)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, '}'), nil
}

func (d Digest) appendCanonical(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"bytes":`...), int64(d.Bytes), 10)
	return append(appendString(append(dst, `,"sha256":`...), d.SHA256), '}')
}
