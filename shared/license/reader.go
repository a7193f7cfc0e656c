package license

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/plainjson"
)

// recordReader reads attributes, and collects what it cannot understand. It names types and never values, because
// problems are logged.
type recordReader struct {
	record   attribute.Map
	problems []FieldError
}

func (r *recordReader) refuse(name, why string) {
	r.problems = append(r.problems, FieldError{name, why})
}

func (r *recordReader) refuseType(name, want string) {
	r.refuse(name, fmt.Sprintf("is of the type %s, and must be %s", attribute.TypeOf(r.record[name]), want))
}

func (r *recordReader) text(name string) string {
	value, present := r.record[name]
	text, isText := value.(string)
	if present && !isText {
		r.refuseType(name, "a text (S)")
	}
	return text
}

// optionalText takes NULL for absent.
func (r *recordReader) optionalText(name string) string {
	if r.record[name] == nil {
		return ""
	}
	return r.text(name)
}

func (r *recordReader) optionalInteger(name string) int64 {
	whole, ok := wholeNumber(r.record[name])
	if !ok && r.record[name] != nil {
		r.refuse(name, "must be a whole number (N) from -2^53 to 2^53")
	}
	return whole
}

func (r *recordReader) optionalInstant(name string) time.Time {
	milliseconds, ok := number(r.record[name])
	switch {
	case ok:
		return time.UnixMilli(int64(milliseconds)).UTC()
	case r.record[name] != nil:
		r.refuse(name, "must be a number (N) of milliseconds since 1970, from -2^53 to 2^53")
	}
	return time.Time{}
}

func (r *recordReader) flag(name string) bool {
	value, present := r.record[name]
	flag, isFlag := value.(bool)
	if present && !isFlag {
		r.refuseType(name, "a truth value (BOOL)")
	}
	return flag
}

func (r *recordReader) date(name string) time.Time {
	text, isText := r.record[name].(string)
	if _, present := r.record[name]; present && !isText {
		r.refuseType(name, "a text (S) that holds an ISO 8601 date")
		return time.Time{}
	}
	date, err := ParseDate(text)
	if err != nil {
		r.refuse(name, "must be an ISO 8601 date, as 2030-01-31T00:00:00.000Z")
	}
	return date
}

// optionalDate returns zero for what is absent. NULL is not: it may stand for a date. Nor is the first of all instants,
// which would be taken for none.
func (r *recordReader) optionalDate(name string) time.Time {
	if _, present := r.record[name]; !present {
		return time.Time{}
	}
	date := r.date(name)
	if date.IsZero() && !slices.ContainsFunc(r.problems, func(p FieldError) bool { return p.Field == name }) {
		r.refuse(name, "must lie after the first of all instants")
	}
	return date
}

func (r *recordReader) count(name string, most int64) int {
	value, present := r.record[name]
	if !present {
		return 0
	}
	count, ok := wholeNumber(value)
	if !ok || count < 0 || count > most {
		r.refuse(name, fmt.Sprintf("must be a whole number (N) from 0 to %d", most))
		return 0
	}
	return int(count)
}

// list returns an empty text for what is no list.
func (r *recordReader) list(name string) JSONList {
	switch value := r.record[name].(type) {
	case []any:
		text, err := plainjson.Marshal(plain(value))
		if err != nil {
			r.refuse(name, "must be a list that JSON can express")
			return ""
		}
		return r.checkedList(name, string(text))
	case string:
		if strings.TrimSpace(value) == "" {
			return "[]"
		}
		return r.checkedList(name, value)
	default:
		if _, present := r.record[name]; present {
			r.refuseType(name, "a JSON array of objects as a text (S), or a list (L) of maps")
			return ""
		}
		return "[]"
	}
}

func (r *recordReader) checkedList(name, text string) JSONList {
	var elements []map[string]json.RawMessage
	err := json.Unmarshal([]byte(text), &elements)
	isNull := func(element map[string]json.RawMessage) bool { return element == nil }
	if err != nil || elements == nil || slices.ContainsFunc(elements, isNull) {
		r.refuse(name, "must be a JSON array of objects")
		return ""
	}
	return JSONList(text)
}

// plain returns an attribute's value as encoding/json writes it without type tags.
func plain(value any) any {
	switch v := value.(type) {
	case attribute.Number:
		return json.Number(v)
	case attribute.Map:
		members := make(map[string]any, len(v))
		for name, member := range v {
			members[name] = plain(member)
		}
		return members
	case []any:
		elements := make([]any, len(v))
		for i, element := range v {
			elements[i] = plain(element)
		}
		return elements
	default:
		return value
	}
}

// number reads an N from -2^53 to 2^53, between which a float64 holds every whole number exactly.
func number(value any) (float64, bool) {
	text, isNumber := value.(attribute.Number)
	parsed, err := strconv.ParseFloat(string(text), 64)
	return parsed, isNumber && err == nil && math.Abs(parsed) <= 1<<53
}

func wholeNumber(value any) (int64, bool) {
	parsed, ok := number(value)
	if !ok || parsed != math.Trunc(parsed) {
		return 0, false
	}
	return int64(parsed), true
}
