package license

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// MaxPlanDays is the most of DurationDays and UpdatesDays.
const MaxPlanDays = 36500

// Plan is a set of defaults for licenses, under a name: an edition, a trial. A license that is issued from it gets a
// copy of what the plan says at that moment. Nothing is inherited: what becomes of the plan later changes no license. A
// zero field is no default.
type Plan struct {
	Name            string // see IsPlanName
	Services        []Service
	AppURLs         []AppURL
	Notes           string
	GraceDays       int // left out for a license without an end
	MaxDevices      int // see License
	LeaseMinutes    int // may be there without MaxDevices, which the order then says
	MaxLeaseMinutes int
	DurationDays    int // from the issue of a license to its end
	UpdatesDays     int // from the issue of a license to the end of updates

	// Version counts the changes, from 1. It is 0 where there is no such plan.
	Version   int64
	Changed   time.Time
	ChangedBy string
	RequestID string
}

// IsPlanName reports whether a text is 1 to 64 of the characters that need no encoding in a path, and begins with a
// letter or a digit. Case counts.
var IsPlanName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`).MatchString

// Replace returns the plan that takes the place of p, as a change makes it of what the vendor asks for, or an
// *InvalidError. The zero Plan is none. One that says the same returns p as it is, with the same Version. TokenMinutes
// is as in a Patch.
func (p Plan) Replace(asked Plan, tokenMinutes int, c Change) (Plan, error) {
	var l License // the fields of a plan are those of a license
	fields := Patch{
		Services: &asked.Services, AppURLs: &asked.AppURLs, Notes: &asked.Notes, GraceDays: &asked.GraceDays,
		MaxDevices: &asked.MaxDevices, LeaseMinutes: &asked.LeaseMinutes, MaxLeaseMinutes: &asked.MaxLeaseMinutes,
		TokenMinutes: tokenMinutes, isOfPlan: true,
	}.apply(&l, c.At)
	refuse := func(field, message string) { fields = append(fields, FieldError{field, message}) }
	if !IsPlanName(asked.Name) {
		refuse(AttrPlan, "must be 1 to 64 letters, digits, dots, underscores and hyphens, "+
			"and begin with a letter or a digit")
	}
	refuseDays(refuse, attrDuration, asked.DurationDays)
	refuseDays(refuse, attrUpdates, asked.UpdatesDays)
	if len(fields) > 0 {
		return Plan{}, &InvalidError{Fields: fields}
	}
	if err := json.Unmarshal([]byte(l.AppURLs), &asked.AppURLs); err != nil {
		panic(err) // it is what marshalList has made
	}
	asked.Version, asked.Changed, asked.ChangedBy, asked.RequestID = p.Version, p.Changed, p.ChangedBy, p.RequestID
	if p.Version > 0 && reflect.DeepEqual(p.Record(), asked.Record()) {
		return p, nil
	}
	asked.Version, asked.Changed, asked.ChangedBy, asked.RequestID = p.Version+1, c.At, c.By, c.RequestID
	return asked, nil
}

func refuseDays(refuse func(field, message string), field string, days int) {
	if days < 0 || days > MaxPlanDays {
		refuse(field, fmt.Sprintf("must be a whole number from 1 to %d, or absent or 0 for none", MaxPlanDays))
	}
}

// Origin says which fields have their value from a plan, by their names in a request. What is wrong with one of them is
// the plan's fault, and an error has to say so.
type Origin struct {
	Plan   string
	Fields []string
}

// Without returns the origin when these fields have another value.
func (o Origin) Without(fields ...string) Origin {
	o.Fields = slices.DeleteFunc(slices.Clone(o.Fields), func(f string) bool { return slices.Contains(fields, f) })
	return o
}

// tell returns a message about fields, as services[2].serviceName, that names the plan if one of them is from it.
func (o Origin) tell(message string, fields ...string) string {
	note := fmt.Sprintf(" (from plan %q)", o.Plan)
	isFrom := slices.ContainsFunc(fields, func(field string) bool {
		field, _, _ = strings.Cut(field, "[")
		return slices.Contains(o.Fields, field)
	})
	if !isFrom || strings.HasSuffix(message, note) {
		return message
	}
	return message + note
}

// Draft returns what a license that is issued from the plan begins with.
func (p Plan) Draft(at time.Time) Draft {
	d := Draft{
		Plan: p.Name, Services: slices.Clone(p.Services), AppURLs: slices.Clone(p.AppURLs), Notes: p.Notes,
		GraceDays: p.GraceDays, MaxDevices: p.MaxDevices, LeaseMinutes: p.LeaseMinutes,
		MaxLeaseMinutes: p.MaxLeaseMinutes,
	}
	after := func(days int) string { return FormatDate(at.UTC().AddDate(0, 0, days)) }
	if p.DurationDays > 0 {
		d.ExpirationDate = after(p.DurationDays)
	}
	if p.UpdatesDays > 0 {
		d.UpdatesUntil = new(after(p.UpdatesDays))
	}
	d.Origin.Plan = p.Name
	for field, isThere := range map[string]bool{
		attrServices: len(p.Services) > 0, attrAppURLs: len(p.AppURLs) > 0, attrNotes: p.Notes != "",
		AttrGraceDays: p.GraceDays > 0, AttrMaxDevices: p.MaxDevices > 0, attrLease: p.LeaseMinutes > 0,
		attrMaxLease: p.MaxLeaseMinutes > 0, AttrExpirationDate: p.DurationDays > 0,
		attrUpdatesUntil: p.UpdatesDays > 0,
	} {
		if isThere {
			d.Origin.Fields = append(d.Origin.Fields, field)
		}
	}
	return d
}

// WithPlan returns the patch with what the plan has of what a license allows, where the patch says nothing of it, and
// with the plan's name. Notes and dates are a license's own.
func (p Patch) WithPlan(plan Plan) Patch {
	p.Plan, p.Origin = &plan.Name, Origin{Plan: plan.Name}
	fill(&p.Origin, attrServices, &p.Services, plan.Services, len(plan.Services) > 0)
	fill(&p.Origin, attrAppURLs, &p.AppURLs, plan.AppURLs, len(plan.AppURLs) > 0)
	for _, f := range []struct {
		name   string
		target **int
		value  int
	}{
		{AttrGraceDays, &p.GraceDays, plan.GraceDays},
		{AttrMaxDevices, &p.MaxDevices, plan.MaxDevices},
		{attrLease, &p.LeaseMinutes, plan.LeaseMinutes},
		{attrMaxLease, &p.MaxLeaseMinutes, plan.MaxLeaseMinutes},
	} {
		fill(&p.Origin, f.name, f.target, f.value, f.value > 0)
	}
	return p
}

// fill sets a field that is nil to the value, if the plan has one.
func fill[T any](o *Origin, field string, target **T, value T, isThere bool) {
	if *target == nil && isThere {
		*target, o.Fields = &value, append(o.Fields, field)
	}
}

// fitted returns the patch for a license: a plan's days of grace are left out where it has no end.
func (p Patch) fitted(l License) Patch {
	end := l.ExpirationDate
	if p.ExpirationDate != nil {
		end, _ = ParseEnd(*p.ExpirationDate)
	}
	if !end.Before(Never) && slices.Contains(p.Origin.Fields, AttrGraceDays) {
		p.GraceDays, p.Origin = nil, p.Origin.Without(AttrGraceDays)
	}
	return p
}
