package license

import (
	"encoding/json"
	"fmt"

	"openlicenser/shared/attribute"
)

// The attributes of a plan's record that no license has. Those of the same meaning have the same names.
const (
	attrDuration = "durationdays" // N
	attrUpdates  = "updatesdays"  // N
)

// Record returns the plan as a record. Its key is AttrPlan.
func (p Plan) Record() attribute.Map {
	record := attribute.Map{
		AttrPlan:     p.Name,
		attrServices: string(marshalList(p.Services)),
		attrAppURLs:  string(marshalList(p.AppURLs)),
		attrNotes:    p.Notes,
		attrVersion:  versionNumber(p.Version),
		attrChanged:  millis(p.Changed),
	}
	putNumbers(record, map[string]int64{
		AttrGraceDays:  int64(p.GraceDays),
		AttrMaxDevices: int64(p.MaxDevices),
		attrLease:      int64(p.LeaseMinutes),
		attrMaxLease:   int64(p.MaxLeaseMinutes),
		attrDuration:   int64(p.DurationDays),
		attrUpdates:    int64(p.UpdatesDays),
	})
	putTexts(record, map[string]string{attrChangedBy: p.ChangedBy, AttrRequestID: p.RequestID})
	return record
}

// Expectation returns the stored values by which a write recognizes the record that was read as p.
func (p Plan) Expectation() attribute.Map {
	return attribute.Map{attrVersion: versionNumber(p.Version), attrChanged: millis(p.Changed)}
}

// PlanFromRecord reads what Record has written. Nobody else writes plans, so whatever is odd is an error.
func PlanFromRecord(record attribute.Map) (Plan, error) {
	r := recordReader{record: record}
	p := Plan{
		Name:            r.text(AttrPlan),
		Services:        planList[Service](&r, attrServices),
		AppURLs:         planList[AppURL](&r, attrAppURLs),
		Notes:           r.text(attrNotes),
		GraceDays:       r.count(AttrGraceDays, MaxGraceDays),
		MaxDevices:      r.count(AttrMaxDevices, MaxDevices),
		LeaseMinutes:    r.count(attrLease, MaxLeaseMinutes),
		MaxLeaseMinutes: r.count(attrMaxLease, MaxLeaseMinutes),
		DurationDays:    r.count(attrDuration, MaxPlanDays),
		UpdatesDays:     r.count(attrUpdates, MaxPlanDays),
		Version:         r.optionalInteger(attrVersion),
		Changed:         r.optionalInstant(attrChanged),
		ChangedBy:       r.text(attrChangedBy),
		RequestID:       r.text(AttrRequestID),
	}
	if p.Version < 1 {
		r.refuse(attrVersion, "must be a whole number (N) from 1 on")
	}
	if len(r.problems) > 0 {
		return Plan{}, fmt.Errorf("the stored plan %q cannot be understood: %s", p.Name, joinFields(r.problems))
	}
	return p, nil
}

func planList[T Service | AppURL](r *recordReader, name string) (elements []T) {
	text := r.list(name)
	if text != "" && json.Unmarshal([]byte(text), &elements) != nil {
		r.refuse(name, "must hold texts")
	}
	return elements
}
