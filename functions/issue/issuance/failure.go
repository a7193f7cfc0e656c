package issuance

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"openlicenser/shared/api"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/device"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
)

var (
	errNoRoute = errors.New("no such route")
	errNoTree  = errors.New("no such part of a checkpoint's tree")

	errNoNumber = errors.New("no checkpoint of this number")
)

// failures says what an error means to the vendor. An error that is not here is a fault of ours.
var failures = []struct {
	err    error
	status int
	code   string
	detail string
}{
	{errNoRoute, http.StatusNotFound, "NO_SUCH_ROUTE", "There is no such route; openapi.yaml lists them."},
	{api.ErrUnauthorized, http.StatusForbidden, "ACCESS_DENIED",
		"The front of this function lets everybody pass: " +
			"give the HTTP API's routes, or the function URL, IAM authorization."},
	{api.ErrBodyTooLarge, http.StatusRequestEntityTooLarge, "BODY_TOO_LARGE",
		fmt.Sprintf("The body must be at most %d bytes long.", maxBody)},
	{license.ErrNotFound, http.StatusNotFound, "LICENSE_NOT_FOUND", "There is no license with this id or reference."},
	{errGone, http.StatusGone, "LICENSE_GONE",
		"The license that this Idempotency-Key has made was removed since; " +
			"use a new key, and no reference that it had, to issue another one."},
	{errIdempotencyKey, http.StatusBadRequest, "INVALID_IDEMPOTENCY_KEY",
		fmt.Sprintf("Idempotency-Key must be one value of 1 to %d printable ASCII characters, not all of them blank, "+
			"as a UUID; leave it out to send none.", idempotency.MaxKey)},
	{idempotency.ErrOtherRequest, http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED",
		"This Idempotency-Key came with another request, or its license was erased since; " +
			"use a new key for each request."},
	{idempotency.ErrInFlight, http.StatusConflict, "IDEMPOTENCY_IN_FLIGHT",
		"A request with this Idempotency-Key is under way; send it again in some seconds."},
	{errNoIfMatch, http.StatusPreconditionRequired, "IF_MATCH_REQUIRED",
		"Send If-Match with the ETag that you read, so that no change of others is lost, " +
			"or * to change whatever is there."},
	{errBadIfMatch, http.StatusBadRequest, "INVALID_IF_MATCH",
		`If-Match must be the ETag that you read, as "1-mhg2q9c0", several with commas between them, or *; ` +
			"nothing was changed."},
	{errStale, http.StatusPreconditionFailed, "STALE", "The license was changed since you read it; read it again."},
	{errPlanStale, http.StatusPreconditionFailed, "STALE",
		"The plan was changed since you read it, or there is none; read it again."},
	{errPlanExists, http.StatusPreconditionFailed, "PLAN_EXISTS",
		"There is a plan of this name; leave If-None-Match out to replace it."},
	{errBadIfNoneMatch, http.StatusBadRequest, "INVALID_IF_NONE_MATCH",
		"If-None-Match must be *, for a plan that must not be there yet, or absent; nothing was changed."},
	{license.ErrNoPlan, http.StatusNotFound, "PLAN_NOT_FOUND", "There is no plan of this name."},
	{license.ErrPlanConflict, http.StatusConflict, "CONFLICT", "The plan is being changed by others; try again."},
	{license.ErrConflict, http.StatusConflict, "CONFLICT", "The license is being changed by others; try again."},
	{device.ErrConflict, http.StatusConflict, "CONFLICT",
		"The seats of the license are being changed by others; try again."},
	{license.ErrBusy, http.StatusServiceUnavailable, "BUSY",
		"Too many licenses are being changed or listed at once; send this request again in some seconds."},
	{checkpoint.ErrNone, http.StatusNotFound, "NO_CHECKPOINT", "No checkpoint of the audit trail was made yet."},
	{errNoNumber, http.StatusNotFound, "NO_CHECKPOINT", "There is no checkpoint of this number."},
	{errNoTree, http.StatusNotFound, "TREE_NOT_FOUND",
		"The archive of checkpoints has nothing with this root, which is 64 hexadecimal digits."},
	{checkpoint.ErrNoLeaf, http.StatusNotFound, "NOT_IN_CHECKPOINT",
		"The latest checkpoint does not hold this license: its first change is younger, or there is no such license."},
	{license.ErrUnreadable, http.StatusInternalServerError, "UNREADABLE_LICENSE",
		"The stored record cannot be read at all; the log says why. No product gets a token for it."},
}

// failure returns what to tell the vendor of an error.
func failure(err error) api.Failure {
	var invalid *license.InvalidError
	if errors.As(err, &invalid) {
		return invalidFields(invalid.Fields)
	}
	var malformed *bodyError
	if errors.As(err, &malformed) {
		return api.Failure{Status: http.StatusBadRequest, Code: "MALFORMED_BODY", Detail: malformed.detail}
	}
	var taken *license.ReferenceTakenError
	if errors.As(err, &taken) {
		return referenceTaken(taken)
	}
	var unfinished *unfinishedError
	if errors.As(err, &unfinished) {
		return api.Failure{
			Status: http.StatusInternalServerError, Code: "ERASURE_UNFINISHED",
			Extensions: map[string]string{"licenseid": unfinished.licenseID},
			Detail: "The record of the license is erased, and not yet all that belongs to it. " +
				"Send the same request again, with the id of the license in place of a reference.",
		}
	}
	var damaged *checkpoint.ArchiveError
	if errors.As(err, &damaged) {
		return api.Failure{
			Status: http.StatusInternalServerError, Code: "ARCHIVE_DAMAGED",
			Detail: "Something in the archive of checkpoints is missing, or is not what was kept; the log names it.",
		}
	}
	var impossible *license.TransitionError
	if errors.As(err, &impossible) {
		return api.Failure{Status: http.StatusConflict, Code: "STATUS_FORBIDS", Detail: impossible.Message}
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return api.Failure{Status: f.status, Code: f.code, Detail: f.detail}
		}
	}
	return api.Failure{
		Status: http.StatusInternalServerError,
		Code:   "INTERNAL_ERROR",
		Detail: "The fault is ours; try again later. " +
			"If the request was to change something, that may have been done: " +
			"read the license first, or send an Idempotency-Key.",
	}
}

// referenceTaken names the license that has the reference, so that the caller can go on with it.
func referenceTaken(taken *license.ReferenceTakenError) api.Failure {
	return api.Failure{
		Status: http.StatusConflict, Code: "REFERENCE_TAKEN",
		Extensions: map[string]string{"licenseid": taken.LicenseID},
		Detail:     "Another license has this reference, or had it until it was removed. Nothing was changed.",
	}
}

// maxFields bounds the fields that a response lists: a body can be wrong in a hundred thousand ways.
const maxFields = 100

// invalidFields tells of all fields that are wrong, as far as there is room. The log gets the names of ours alone:
// others are whatever the caller has sent.
func invalidFields(fields []license.FieldError) api.Failure {
	detail := "Some fields are not as they must be; nothing was changed."
	if len(fields) > maxFields {
		detail += fmt.Sprintf(" These are the first %d of %d.", maxFields, len(fields))
		fields = fields[:maxFields]
	}
	var names []string
	for _, f := range fields {
		if strings.HasPrefix(f.Message, unknownName) {
			f.Field = "(unknown)"
		}
		names = append(names, f.Field)
	}
	return api.Failure{
		Status: http.StatusBadRequest, Code: "INVALID_FIELDS", Detail: detail, Fields: fields,
		Log: "invalid: " + strings.Join(names, ", "),
	}
}
