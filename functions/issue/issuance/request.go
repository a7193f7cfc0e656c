package issuance

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
	"openlicenser/shared/strictjson"
	"openlicenser/shared/unicodetext"
)

// maxBody is the longest body in bytes that is read.
const maxBody = 256 << 10

// wantEnd says what to send as the end of a license.
const wantEnd = "must be a string: an ISO 8601 date, or never"

// wantUpdates says what to send as the end of updates.
const wantUpdates = wantEnd + " or null"

// readPlanName returns the name of the plan that a license is to be issued from. It is empty where there is none, and
// where it cannot be read, which readDraft reports.
func readPlanName(object map[string]jsontext.Value) (name string) {
	if raw := object["plan"]; raw == nil || decodeStrictly(raw, &name) != nil {
		return ""
	}
	return name
}

// readDraft reads a license that is to be issued over the draft, which holds what its plan says. It reports all fields
// that cannot be read at once.
func readDraft(object map[string]jsontext.Value, d *license.Draft) error {
	return decodeObject(object, map[string]field{
		"plan":           {&d.Plan, "must be a string"},
		"customerid":     {&d.CustomerID, "must be a string"},
		"customername":   {&d.CustomerName, "must be a string"},
		"expirationdate": {&d.ExpirationDate, wantEnd},
		"services":       {&d.Services, `must be a list of {"serviceName": "…", "serviceValue": "…"}`},
		"appurls":        {&d.AppURLs, `must be a list of {"URL": "…"}`},
		"notes":          {&d.Notes, "must be a string"},
		"gracedays":      {&d.GraceDays, "must be a whole number"},
		"updatesuntil":   {&d.UpdatesUntil, wantUpdates},
		"reference":      {&d.Reference, "must be a string"},
		"email":          {&d.Email, "must be a string"},

		"maxdevices":      {&d.MaxDevices, "must be a whole number"},
		"leaseminutes":    {&d.LeaseMinutes, "must be a whole number"},
		"maxleaseminutes": {&d.MaxLeaseMinutes, "must be a whole number"},
	})
}

// The fields of a patch that can be removed by null (RFC 7396), and what they are then.
var removable = map[string]jsontext.Value{
	"services":   jsontext.Value("[]"),
	"appurls":    jsontext.Value("[]"),
	"notes":      jsontext.Value(`""`),
	"gracedays":  jsontext.Value("0"),
	"tokenkeyid": jsontext.Value(`""`),
	"plan":       jsontext.Value(`""`), // the label alone

	"updatesuntil": jsontext.Value(`"never"`),

	"maxdevices":      jsontext.Value("0"),
	"leaseminutes":    jsontext.Value("0"),
	"maxleaseminutes": jsontext.Value("0"),

	"email":     jsontext.Value(`""`),
	"reference": jsontext.Value(`""`), // which the domain refuses where there is one
}

// readPatch reads a JSON merge patch (RFC 7396) of a license, and the reason for it.
func readPatch(r api.Request) (p license.Patch, reason string, err error) {
	object, err := readMembers(r)
	if err != nil {
		return p, "", err
	}
	for name, empty := range removable {
		if isNull(object[name]) {
			object[name] = empty
		}
	}
	if isNull(object["reason"]) {
		delete(object, "reason")
	}
	err = decodeMembers(object, map[string]field{
		"customername":   {&p.CustomerName, "must be a string"},
		"plan":           {&p.Plan, "must be a string, or null"},
		"expirationdate": {&p.ExpirationDate, wantEnd},
		"services":       {&p.Services, `must be a list of {"serviceName": "…", "serviceValue": "…"}, or null`},
		"appurls":        {&p.AppURLs, `must be a list of {"URL": "…"}, or null`},
		"notes":          {&p.Notes, "must be a string, or null"},
		"gracedays":      {&p.GraceDays, "must be a whole number, or null"},
		"updatesuntil":   {&p.UpdatesUntil, wantUpdates},
		"tokenkeyid":     {&p.TokenKeyID, "must be a string, or null"},
		"reference":      {&p.Reference, "must be a string"},
		"email":          {&p.Email, "must be a string, or null"},

		"maxdevices":      {&p.MaxDevices, "must be a whole number, or null"},
		"leaseminutes":    {&p.LeaseMinutes, "must be a whole number, or null"},
		"maxleaseminutes": {&p.MaxLeaseMinutes, "must be a whole number, or null"},
		"reason":          {&reason, "must be a string"},
	})
	if err != nil {
		return p, "", err
	}
	return p, reason, license.CheckReason(reason)
}

func readRenewal(r api.Request) (expirationDate, reason string, err error) {
	err = readObject(r, map[string]field{
		"expirationdate": {&expirationDate, wantEnd},
		"reason":         {&reason, "must be a string"},
	})
	if err != nil {
		return "", "", err
	}
	return expirationDate, reason, license.CheckReason(reason)
}

func isInvalid(err error) bool {
	var invalid *license.InvalidError
	return errors.As(err, &invalid)
}

// mergeInvalid reports what could not be read together with what the domain refused. Of a field that could not be read
// it reports nothing more.
func mergeInvalid(read, refused error) error {
	var unread, wrong *license.InvalidError
	if !errors.As(read, &unread) || !errors.As(refused, &wrong) {
		return cmp.Or(read, refused)
	}
	merged := slices.Clone(unread.Fields)
	for _, f := range wrong.Fields {
		if !slices.ContainsFunc(unread.Fields, func(u license.FieldError) bool { return u.Field == f.Field }) {
			merged = append(merged, f)
		}
	}
	return &license.InvalidError{Fields: merged}
}

// readReason reads the body of a change of status. It may be absent.
func readReason(r api.Request) (string, error) {
	if body, err := r.Body(maxBody); err == nil && len(body) == 0 {
		return "", nil
	}
	var reason string
	if err := readObject(r, map[string]field{"reason": {&reason, "must be a string"}}); err != nil {
		return "", err
	}
	return reason, license.CheckReason(reason)
}

// readRequiredReason reads the body of a removal.
func readRequiredReason(r api.Request) (string, error) {
	reason, err := readReason(r)
	if err == nil && unicodetext.IsBlank(reason) {
		missing := license.FieldError{Field: "reason", Message: "is required: the audit trail keeps it"}
		return "", &license.InvalidError{Fields: []license.FieldError{missing}}
	}
	return reason, err
}

// field says where a member goes, and what it must be.
type field struct {
	target any
	want   string
}

// readObject reads a body that is a JSON object of the given fields only.
func readObject(r api.Request, fields map[string]field) error {
	object, err := readMembers(r)
	if err != nil {
		return err
	}
	return decodeObject(object, fields)
}

// decodeObject reads the given fields, and no others. A null counts as absent, because generated clients send one for
// each field that was not set: it is removed from the object.
func decodeObject(object map[string]jsontext.Value, fields map[string]field) error {
	maps.DeleteFunc(object, func(name string, value jsontext.Value) bool {
		return isNull(value) && fields[name].target != nil
	})
	return decodeMembers(object, fields)
}

// readMembers returns the members of the body. For what is no JSON object it returns api.ErrBodyTooLarge or a
// *bodyError.
func readMembers(r api.Request) (object map[string]jsontext.Value, err error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return parseObject(body)
}

// readBody returns the body. For one that cannot be read it returns api.ErrBodyTooLarge or errBodyNotBase64.
func readBody(r api.Request) ([]byte, error) {
	body, err := r.Body(maxBody)
	if err != nil && !errors.Is(err, api.ErrBodyTooLarge) {
		err = errBodyNotBase64
	}
	return body, err
}

func decodeMembers(object map[string]jsontext.Value, fields map[string]field) error {
	var wrong []license.FieldError
	for _, name := range slices.Sorted(maps.Keys(object)) {
		f, known := fields[name]
		switch {
		case !known:
			names := strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
			wrong = append(wrong, license.FieldError{Field: name, Message: unknownName + "; known are " + names})
		case decodeStrictly(object[name], f.target) != nil:
			wrong = append(wrong, license.FieldError{Field: name, Message: f.want})
		}
	}
	if len(wrong) > 0 {
		return &license.InvalidError{Fields: wrong}
	}
	return nil
}

func isNull(value jsontext.Value) bool { return string(value) == "null" }

func decodeStrictly(raw jsontext.Value, target any) error {
	whole := json.WithUnmarshalers(json.UnmarshalFunc(readWhole))
	return strictjson.Unmarshal(raw, target, json.RejectUnknownMembers(true), whole)
}

// readWhole reads an integer as JSON Schema understands it: 14.0 and 1.4e1 are 14.
func readWhole(number []byte, whole *int) (err error) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(number)), "e")
	integer, fraction, _ := strings.Cut(mantissa, ".")
	shift, err := strconv.Atoi(cmp.Or(exponent, "0"))
	if err != nil {
		return err
	}
	digits := strings.TrimRight(integer+fraction, "0")
	zeros := len(integer) - len(digits) + shift
	switch {
	case digits == "" || digits == "-":
		digits, zeros = "0", 0
	case zeros < 0:
		return errors.New("a fraction")
	case zeros > maxDigits:
		return errors.New("beyond all bounds")
	}
	*whole, err = strconv.Atoi(digits + strings.Repeat("0", zeros))
	return err
}

// maxDigits is more than an int has, and bounds what is written out.
const maxDigits = 20
