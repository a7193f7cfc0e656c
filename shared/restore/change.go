package restore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
)

// issue plans to put a record again.
func (p *planner) issue() (Plan, error) {
	disclosed, isLeftOut := map[string]json.RawMessage{}, []string{}
	made := Plan{What: Issue, MayPass: true}
	for name, w := range p.wanted.values {
		switch {
		case w.value == nil || audit.IsStamp(name):
			continue
		case audit.IsDisclosed(w.value):
			disclosed[name] = w.value
		case license.IsPersonal(name):
			isLeftOut = append(isLeftOut, name)
		default:
			made.What = LeftAlone
		}
		made.cover(w.by)
	}
	if made.What == LeftAlone || !p.wanted.isWhole {
		const found = "it is gone, and the trail does not hold all that it was"
		return Plan{What: LeftAlone, MayPass: true, Found: found}, nil
	}
	made.Found = "it is gone, and the trail does not say so" + listed("; the trail does not hold", isLeftOut)
	after, err := audit.Attributes(disclosed)
	if p.wanted.isErased {
		after[license.AttrErased] = p.mark
	}
	made.writes = []attribute.Map{after}
	return made, err
}

// eraseRemoved plans to erase a license that is gone: its record is put for a moment, without more than the mark.
func (p *planner) eraseRemoved(licenseID string) Plan {
	record := license.Marked(attribute.Map{license.AttrID: licenseID, license.AttrErased: p.mark})
	const found = "it is gone, and the trail tells of its customer again, who was forgotten"
	made := Plan{What: Erase, MayPass: true, Found: found}
	made.cover(p.wanted.by)
	made.writes = []attribute.Map{record, nil}
	return made
}

// remove plans to remove a record: it is marked first, so that the trail says who has removed it and why. One that we
// have marked before an interruption is removed in any case.
func (p *planner) remove() (Plan, error) {
	isMarked := license.IsMarked(p.record)
	said := fmt.Sprintf("the trail says that it was removed (entry %d), and ", p.wanted.by)
	if p.wanted.isThere {
		said = "its removal was interrupted: "
	}
	if p.base < 0 && !isMarked {
		return Plan{What: LeftAlone, MayPass: true, Found: said + p.foundAs()}, nil
	}
	made := Plan{What: Remove, Found: said + p.foundAs()}
	made.cover(p.wanted.by)
	marked := license.Marked(p.record)
	if p.lacksErasure() {
		made.What, made.Found = Erase, made.Found+"; its customer is forgotten first"
		p.forget(marked)
		isMarked = false
	}
	if !isMarked {
		made.writes = append(made.writes, marked)
	}
	made.writes = append(made.writes, nil)
	return made, nil
}

// change plans to give a record what the trail says.
func (p *planner) change() (Plan, error) {
	d := p.differences()
	after := maps.Clone(p.record)
	for _, name := range d.removed {
		without(after, name)
	}
	set, err := audit.Attributes(d.set)
	if err != nil {
		return Plan{}, err
	}
	maps.Copy(after, set)
	made := Plan{What: None, Found: p.foundAs()}
	changed := slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(d.set)), d.removed...)))
	for _, name := range changed {
		made.cover(p.wantedOf(name).by)
	}
	switch {
	case p.lacksErasure():
		made.What, made.MayPass = Erase, p.base < 0
		p.forget(after)
		made.cover(p.wanted.values[license.AttrErased].by)
	case len(changed) > 0:
		made.What = kindOf(d.set)
		made.IsShort = isShorter(p.record, after)
	case len(d.contested)+len(d.withheld)+len(d.unknown) > 0:
		made.What = LeftAlone
		made.MayPass = len(d.unknown) > 0
	}
	if made.What != LeftAlone && made.What != None {
		made.writes = []attribute.Map{after}
	}
	made.Found += listed("; not as the trail says:", names(changed)) +
		listed("; as another tool has written them since, and left so:", d.kept) +
		listed("; changed by another tool since, against the trail, and left so:", d.contested) +
		listed("; changed to what the trail does not hold, and left so:", d.withheld) +
		listed("; not as the trail says, and left so:", d.unknown)
	p.doubt(&made)
	return made, nil
}

// doubt says what the chain said before changes of which nobody knows, where the record is otherwise.
func (p *planner) doubt(made *Plan) {
	for _, l := range p.wanted.lost {
		isOtherwise := map[What]bool{
			Remove:  true,
			Revoke:  p.record[license.AttrRevoked] != true,
			Suspend: p.record[license.AttrRevoked] != true && p.record[license.AttrSuspended] != true,
			Erase:   license.HoldsPersonal(p.record),
		}[l.what]
		if !isOtherwise {
			continue
		}
		if made.What == None {
			made.What = LeftAlone
		}
		made.Found += fmt.Sprintf("; entry %d says %s, and a change after it is missing on the trail",
			l.by, l.what.done())
	}
}

// done says what was done.
func (w What) done() string {
	return map[What]string{Erase: "erased", Revoke: "revoked", Suspend: "suspended", Remove: "removed"}[w]
}

// differences are attributes that are not as the trail says, but for stamps and for what an erasure decides about.
type differences struct {
	set       map[string]json.RawMessage // what they are given
	removed   []string
	kept      []string // another tool has changed them since, and the trail has not
	contested []string // both have, or the tool has taken back what ends or stops the use of the license
	withheld  []string // the trail has, and does not hold the value
	unknown   []string // nobody knows who has
}

// differences goes by the moment as which the record was found. Without one it finds none but unknown.
func (p *planner) differences() differences {
	d := differences{set: map[string]json.RawMessage{}}
	known := maps.Clone(p.wanted.values)
	for name := range p.values {
		if _, isKnown := known[name]; !isKnown && p.wanted.isWhole {
			known[name] = wantedValue{by: p.wanted.by}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if audit.IsStamp(name) || p.wanted.isErased && isForgotten(name) {
			continue
		}
		wanted, value := known[name].value, p.values[name]
		isEqual := audit.Fits(wanted, value)
		if p.base < 0 {
			if !isEqual {
				d.unknown = append(d.unknown, name)
			}
			continue
		}
		was := p.at(name, p.base)
		isUnchanged := was.isKnown && bytes.Equal(was.value, wanted) // by the trail
		isForeign := was.isKnown && !audit.Fits(was.value, value)
		isRefused := license.IsRefusal(name) && isTrue(wanted)
		switch {
		case isEqual && (isUnchanged || !audit.IsCommitment(wanted)):
		case isUnchanged && !isRefused:
			d.kept = append(d.kept, name)
		case isUnchanged || isForeign && !isRefused:
			d.contested = append(d.contested, name)
		case !audit.IsDisclosed(wanted):
			d.withheld = append(d.withheld, name)
		case wanted == nil:
			d.removed = append(d.removed, name)
		default:
			d.set[name] = wanted
		}
	}
	return d
}

// wantedOf returns what the trail says of an attribute.
func (p *planner) wantedOf(name string) wantedValue {
	if w, isKnown := p.wanted.values[name]; isKnown {
		return w
	}
	return wantedValue{by: p.wanted.by}
}

// foundAs says as what the record was found.
func (p *planner) foundAs() string {
	if p.base < 0 {
		return "it is as nothing on the trail has left it"
	}
	m := p.moments[p.base]
	text := fmt.Sprintf("it is as entry %d left it", m.sequence)
	if m.isBefore {
		text = fmt.Sprintf("it is as it was before entry %d", m.sequence)
	}
	if !p.exact {
		text += ", and was changed by another tool since"
	}
	return text
}

// lacksErasure reports whether the customer was forgotten, and the record does not say so, or it or the trail tells of
// the customer again. With a mark that the trail does not know, the record was erased again, which is not recorded yet.
func (p *planner) lacksErasure() bool {
	isMissing := p.values[license.AttrErased] == nil && p.wanted.isThere || license.HoldsPersonal(p.record)
	isKnown := slices.ContainsFunc(p.tracks[license.AttrErased], func(s step) bool {
		return bytes.Equal(s.value, p.values[license.AttrErased])
	})
	return p.wanted.isErased && (isMissing || p.wanted.isTold && isKnown)
}

// forget leaves nothing personal in a record but what the erasure had left, and gives it another mark.
func (p *planner) forget(record attribute.Map) {
	maps.DeleteFunc(record, func(name string, _ any) bool { return license.IsPersonal(name) && !audit.IsStamp(name) })
	left := map[string]json.RawMessage{}
	for name, w := range p.wanted.values {
		if license.IsPersonal(name) && !audit.IsStamp(name) && w.value != nil && audit.IsDisclosed(w.value) {
			left[name] = w.value
		}
	}
	said, err := audit.Attributes(left)
	if err != nil || len(said) == 0 || license.HoldsPersonal(said) {
		said = attribute.Map{license.AttrCustomerName: license.ErasedName}
	}
	maps.Copy(record, said)
	record[license.AttrErased] = p.mark
}

// without removes an attribute. That without a name holds all that are personal: see audit.Values.
func without(record attribute.Map, name string) {
	if name != "" {
		delete(record, name)
		return
	}
	maps.DeleteFunc(record, func(name string, _ any) bool { return license.IsPersonal(name) })
}

// kindOf returns what a change of attributes is.
func kindOf(set map[string]json.RawMessage) What {
	switch {
	case isTrue(set[license.AttrRevoked]):
		return Revoke
	case isTrue(set[license.AttrSuspended]):
		return Suspend
	}
	return Change
}

// isShorter reports whether a change gives a license an earlier end, or fewer devices.
func isShorter(before, after attribute.Map) bool {
	was, errBefore := license.FromRecord(before)
	is, errAfter := license.FromRecord(after)
	if errBefore != nil || errAfter != nil {
		return false
	}
	isEarlier := is.EndIsKnown() && (!was.EndIsKnown() || is.EndsAt().Before(was.EndsAt()))
	isFewer := is.MaxDevices > 0 && (was.MaxDevices == 0 || is.MaxDevices < was.MaxDevices)
	return isEarlier || isFewer
}

// cover widens the entries of the plan.
func (p *Plan) cover(sequence int64) {
	if sequence == 0 {
		return
	}
	if p.From == 0 || sequence < p.From {
		p.From = sequence
	}
	p.To = max(p.To, sequence)
}

// listed returns a list behind its introduction, or nothing for none.
func listed(introduction string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return introduction + " " + strings.Join(names, ", ")
}

// names returns the names of attributes as people read them.
func names(attributes []string) []string {
	shown := slices.Clone(attributes)
	for i, name := range shown {
		if name == "" {
			shown[i] = "all personal attributes"
		}
	}
	return shown
}
