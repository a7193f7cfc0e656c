package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// unmarshalCanonical reads the JSON of an entry. What looks as appendCanonical writes it, it reads faster than
// encoding/json, which it leaves the rest to. It does not refuse all that is not canonical: who must know encodes the entry
// again.
func unmarshalCanonical(line []byte) (e Entry, err error) {
	p := parser{text: line, ok: true}
	p.object(func(name string) { p.member(&e, name) })
	if p.ok && len(p.text) == 0 {
		return e, nil
	}
	e = Entry{}
	err = json.Unmarshal(line, &e)
	return e, err
}

// parser goes through a text, and is no longer ok once it has met what it does not know.
type parser struct {
	text []byte
	ok   bool
}

func (p *parser) member(e *Entry, name string) {
	switch name {
	case "action":
		e.Action = Action(p.string())
	case "actor":
		e.Actor = p.string()
	case "adopted":
		e.Adopted = p.true()
	case "changes":
		e.Changes = map[string]FieldChange{}
		p.object(func(name string) { e.Changes[name] = p.change() })
	case "eventid":
		e.EventID = p.string()
	case "format":
		e.Format = int(p.integer())
	case "gap":
		e.Gap = p.true()
	case "hash":
		e.Hash = p.string()
	case "late":
		e.Late = p.true()
	case "licenseid":
		e.LicenseID = p.string()
	case "previous":
		e.Previous = p.string()
	case "reason":
		e.Reason = p.string()
	case "recordhash":
		e.RecordHash = p.string()
	case "requestid":
		e.RequestID = p.string()
	case "sequence":
		e.Sequence = p.integer()
	case "sequencenumber":
		e.SequenceNumber = p.string()
	case "time":
		e.Time = p.string()
	case "timetolive":
		e.TimeToLive = p.true()
	default: // changesdigest, too, which is rare
		p.ok = false
	}
}

func (p *parser) change() (change FieldChange) {
	p.object(func(name string) {
		switch name {
		case "new":
			change.New = p.raw()
		case "old":
			change.Old = p.raw()
		default:
			p.ok = false
		}
	})
	return change
}

func (p *parser) object(member func(name string)) {
	p.skip('{')
	if p.ok && len(p.text) > 0 && p.text[0] == '}' {
		p.skip('}')
		return
	}
	for p.ok {
		name := p.string()
		p.skip(':')
		if !p.ok {
			return
		}
		member(name)
		if p.ok && len(p.text) > 0 && p.text[0] == '}' {
			break
		}
		p.skip(',')
	}
	p.skip('}')
}

func (p *parser) skip(c byte) {
	if p.ok = p.ok && len(p.text) > 0 && p.text[0] == c; p.ok {
		p.text = p.text[1:]
	}
}

func (p *parser) string() (text string) {
	inner, rest, canonical := skipString(p.text)
	if p.ok = p.ok && canonical; !p.ok {
		return ""
	}
	if bytes.IndexByte(inner, '\\') < 0 {
		text = string(inner)
	} else {
		p.ok = json.Unmarshal(p.text[:len(inner)+2], &text) == nil
	}
	p.text = rest
	return text
}

func (p *parser) raw() json.RawMessage {
	rest, canonical := skipCanonical(p.text)
	if p.ok = p.ok && canonical; !p.ok {
		return nil
	}
	raw := bytes.Clone(p.text[:len(p.text)-len(rest)])
	p.text = rest
	return raw
}

func (p *parser) integer() int64 {
	rest, canonical := skipWholeNumber(p.text)
	if p.ok = p.ok && canonical; !p.ok {
		return 0
	}
	number, err := strconv.ParseInt(string(p.text[:len(p.text)-len(rest)]), 10, 64)
	p.ok, p.text = err == nil, rest
	return number
}

func (p *parser) true() bool {
	if p.ok = p.ok && bytes.HasPrefix(p.text, []byte("true")); p.ok {
		p.text = p.text[len("true"):]
	}
	return p.ok
}
