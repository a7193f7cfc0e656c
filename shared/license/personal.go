package license

import (
	"slices"

	"openlicenser/shared/attribute"
)

// ErasedName is the customer's name of a license whose customer was forgotten.
const ErasedName = "erased"

// impersonal are the attributes that tell nothing about a person, or have to stay: what the license allows, its life,
// the customer's pseudonym, and who changed it in which request.
var impersonal = slices.Concat([]string{
	AttrID, attrAppURLs, attrServices, attrChanged, AttrCustomerID, AttrExpirationDate, AttrRevoked, attrVersion,
	attrCreated, AttrSuspended, attrDeleted, AttrGraceDays, AttrTokenKeyID, AttrMaxDevices, attrLease, attrMaxLease,
	AttrPlan, attrUpdatesUntil, attrSeatsEpoch, attrChangedBy, AttrRequestID, attrPutBack, AttrErased,
}, IndexAttributes)

// IsPersonal reports whether an attribute may tell something about a person. That is so of every attribute that the
// domain does not know.
func IsPersonal(name string) bool { return !slices.Contains(impersonal, name) }

// HoldsPersonal reports whether a record has a personal value. The reason of its last change is none that an erasure
// would take away: it may be the reason of the erasure itself.
func HoldsPersonal(record attribute.Map) bool {
	for name, value := range record {
		isErased := name == AttrCustomerName && value == ErasedName
		if IsPersonal(name) && name != AttrChangeReason && value != "" && value != nil && !isErased {
			return true
		}
	}
	return false
}

// IsErasure reports whether a change has forgotten the customer: it has set a new mark, and no personal value is left.
func IsErasure(before, after attribute.Map) bool {
	mark, _ := after[AttrErased].(string)
	return mark != "" && before[AttrErased] != after[AttrErased] && !HoldsPersonal(after)
}
