package license

import (
	"cmp"
	"fmt"
	"time"
)

// applyDevices sets what concerns devices. A license that gets a number of devices begins an epoch of seats: earlier
// seats would be those of a time when it had none.
func (p Patch) applyDevices(l *License, now time.Time, refuse func(field, message string)) {
	if p.MaxDevices == nil && p.LeaseMinutes == nil && p.MaxLeaseMinutes == nil {
		return
	}
	set := func(field string, target, value *int, least, most int, none string) {
		if value == nil {
			return
		}
		if *value != 0 && (*value < least || *value > most) {
			refuse(field, fmt.Sprintf("must be a whole number from %d to %d, or absent or 0 for %s", least, most, none))
		}
		*target = *value
	}
	had, longest := l.MaxDevices, MaxLeaseMinutes
	if p.TokenMinutes > 0 {
		longest = min(longest, p.TokenMinutes)
	}
	set(AttrMaxDevices, &l.MaxDevices, p.MaxDevices, 1, MaxDevices, "as many as like")
	set(attrLease, &l.LeaseMinutes, p.LeaseMinutes, MinLeaseMinutes, longest, "as long as a token is valid, the most")
	set(attrMaxLease, &l.MaxLeaseMinutes, p.MaxLeaseMinutes, MinLeaseMinutes, MaxLeaseMinutes, "leaseminutes")
	isOdd := p.MaxDevices != nil && l.HasProblem(attrSeatsEpoch)
	if l.MaxDevices != 0 && (had == 0 || isOdd) {
		l.SeatsEpoch = l.nextEpoch(now)
		*l = l.mended(attrSeatsEpoch)
	}
	usual := cmp.Or(l.LeaseMinutes, min(p.TokenMinutes, longest))
	switch {
	case l.MaxDevices == 0 && !p.isOfPlan && (l.LeaseMinutes != 0 || l.MaxLeaseMinutes != 0):
		const text = "and maxleaseminutes are for a license with maxdevices"
		refuse(attrLease, p.Origin.tell(text, attrLease, attrMaxLease))
	case (p.LeaseMinutes != nil || p.MaxLeaseMinutes != nil) && l.MaxLeaseMinutes != 0 && l.MaxLeaseMinutes < usual:
		text := fmt.Sprintf("must not be less than leaseminutes, which is %d", usual)
		refuse(attrMaxLease, p.Origin.tell(text, attrLease, attrMaxLease))
	}
}

// nextEpoch returns an epoch that the license never had before.
func (l License) nextEpoch(now time.Time) int64 { return max(now.UnixMilli(), l.SeatsEpoch+1) }
