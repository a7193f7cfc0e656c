package license

import (
	"time"

	"openlicenser/shared/unicodetext"
)

// Change says who changes a license, when, why, and in which request.
type Change struct {
	At        time.Time
	By        string // who, as the front names them
	Reason    string // empty if none was given
	RequestID string
}

// TransitionError reports that the status of a license does not allow a change. Its text says what does.
type TransitionError struct{ Message string }

func (e *TransitionError) Error() string { return e.Message }

// The transitions of the life cycle. One that changes nothing returns the license as it is, with the same Version.
// Suspension and revocation are independent of the dates: an expired license can be renewed while it is suspended, and
// is then still suspended.
//
//	           revoke      suspend     reinstate            renew
//	active     revoked     suspended   -                    later end
//	grace      revoked     suspended   -                    later end
//	expired    revoked     suspended   -                    later end
//	suspended  revoked     -           by the dates         later end
//	revoked    -           refused     by the dates, with   refused
//	                                   a reason only

// Revoke ends the license for good.
func (l License) Revoke(c Change) (License, error) {
	if l.Revoked {
		return l, nil
	}
	l.Revoked = true
	return l.mended(AttrRevoked).stamped(c), nil
}

// Suspend stops the license until it is reinstated. The error is a *TransitionError.
func (l License) Suspend(c Change) (License, error) {
	switch {
	case l.Revoked:
		return l, &TransitionError{"The license is revoked; reinstate it first, with a reason."}
	case l.Suspended:
		return l, nil
	}
	l.Suspended = true
	return l.mended(AttrSuspended).stamped(c), nil
}

// Reinstate takes a suspension back or, with a reason, a revocation. A stored flag that cannot be understood may have
// meant either. The error is a *TransitionError.
func (l License) Reinstate(c Change) (License, error) {
	switch {
	case l.Deleted:
		return l, &TransitionError{"The license is being deleted; issue another one."}
	case (l.Revoked || !l.RevocationIsKnown()) && unicodetext.IsBlank(c.Reason):
		return l, &TransitionError{"A revocation is final unless it is taken back with a reason; send one."}
	case !l.Revoked && !l.Suspended && !l.HasProblem(AttrRevoked, AttrSuspended):
		return l, nil
	}
	l.Revoked, l.Suspended = false, false
	return l.mended(AttrRevoked, AttrSuspended).stamped(c), nil
}

// Renew moves the end to a later date, as ParseEnd reads it. The error is a *TransitionError, or an *InvalidError
// about the date.
func (l License) Renew(expirationDate string, c Change) (License, error) {
	if l.Revoked {
		return l, &TransitionError{"The license is revoked; reinstate it first, with a reason."}
	}
	renewed, err := l.Patch(Patch{ExpirationDate: &expirationDate}, c)
	if err != nil {
		return l, err
	}
	if renewed.ExpirationDate.Before(l.ExpirationDate) {
		message := "must not be earlier than it is, " + FormatDate(l.ExpirationDate) +
			"; renewing only extends, so change the license to shorten it"
		if l.IsEndless() {
			message = "must be never, as it is; renewing only extends, so change the license to give it an end"
		}
		return l, &InvalidError{[]FieldError{{"expirationdate", message}}}
	}
	return renewed, nil
}

// ResetDevices takes the seats of all devices back, from the next verification on. The error is a *TransitionError.
func (l License) ResetDevices(c Change) (License, error) {
	switch {
	case l.HasProblem(AttrMaxDevices):
		return l, &TransitionError{"What maxdevices is cannot be understood; change it first."}
	case l.MaxDevices == 0:
		return l, &TransitionError{"The license has no maxdevices, so no device holds a seat."}
	}
	l.SeatsEpoch = l.nextEpoch(c.At)
	return l.mended(attrSeatsEpoch).stamped(c), nil
}

// Delete revokes the license and marks it for removal. The mark says who removes it and why. It is written before the
// record is removed, so that the audit trail finds it in what was removed.
func (l License) Delete(c Change) License {
	l.Revoked, l.Deleted = true, true
	return l.mended(AttrRevoked, attrDeleted).stamped(c)
}

func (l License) stamped(c Change) License {
	l = l.mended(attrVersion, attrChanged, attrChangedBy, attrChangeReason, AttrRequestID)
	l.Version++
	l.Changed = c.At
	l.ChangedBy = c.By
	l.ChangeReason = c.Reason
	l.RequestID = c.RequestID
	l.stored = nil
	return l
}
