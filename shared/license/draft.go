package license

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"openlicenser/shared/plainjson"
	"openlicenser/shared/urlpattern"
)

// The limits of what a vendor may ask for. Lengths count Unicode code points.
const (
	MaxCustomerName = 256
	MaxNotes        = 4096
	MaxServices     = 100
	MaxServiceText  = 256
	MaxAppURLs      = 500
	MaxListBytes    = 64 << 10 // of each list as stored JSON: a DynamoDB item holds 400 KB
	MaxGraceDays    = 365
	MaxReason       = 1024
	MaxReference    = 256
	MaxDevices      = 250
	MinLeaseMinutes = 10
	MaxLeaseMinutes = 3 * 366 * 24 * 60
	MaxEmail        = 254 // bytes, the longest path without its brackets (RFC 5321 section 4.5.3.1.3)
)

// Draft is a license as the vendor asks for it.
type Draft struct {
	Plan           string // the name of the plan that it is issued from; empty: none
	CustomerID     string // UUID; made when empty
	CustomerName   string
	ExpirationDate string // as ParseEnd reads it
	Services       []Service
	AppURLs        []AppURL
	Notes          string
	GraceDays      int
	UpdatesUntil   *string // as ParseEnd reads it; nil: updates have no end
	Reference      string  // see CanonicalReference; empty: none
	Email          string  // empty: none

	MaxDevices      int // see License
	LeaseMinutes    int
	MaxLeaseMinutes int
	TokenMinutes    int // see Patch

	Origin Origin // of what Plan.Draft has given
}

// Service is an element of License.Services.
type Service struct {
	Name  string `json:"serviceName"`
	Value string `json:"serviceValue"`
}

// AppURL is an element of License.AppURLs, as package urlpattern knows it.
type AppURL struct {
	URL string `json:"URL"`
}

// FieldError says what is wrong with one field, and what the field should be.
type FieldError struct {
	Field   string `json:"field"` // as services[2].serviceName
	Message string `json:"message"`
}

// InvalidError lists all that is wrong with an input.
type InvalidError struct{ Fields []FieldError }

func (e *InvalidError) Error() string { return "invalid: " + joinFields(e.Fields) }

func joinFields(fields []FieldError) string {
	texts := make([]string, len(fields))
	for i, f := range fields {
		texts[i] = f.Field + " " + f.Message
	}
	return strings.Join(texts, "; ")
}

// Patch holds the fields of a license that a vendor may change. A nil leaves a field as it is.
type Patch struct {
	CustomerName   *string
	Plan           *string // the name of a plan; empty: none
	ExpirationDate *string // as ParseEnd reads it
	Services       *[]Service
	AppURLs        *[]AppURL
	Notes          *string
	GraceDays      *int
	UpdatesUntil   *string // as ParseEnd reads it; never: updates have no end
	TokenKeyID     *string // empty: the license is pinned to no key
	Reference      *string // of a license that has none
	Email          *string // empty: none

	MaxDevices      *int // see License; 0 takes each of them away
	LeaseMinutes    *int
	MaxLeaseMinutes *int

	// TokenMinutes is how long a token is valid. LeaseMinutes may not be longer, and is as long where it is 0.
	TokenMinutes int

	Origin   Origin // of what WithPlan has given
	isDraft  bool   // a plan can give what is missing
	isOfPlan bool   // leases may stand without devices
}

// NewID returns the id for a new license: a UUID of version 7, which sorts by time (RFC 9562 section 5.7).
func NewID() (string, error) {
	id, err := uuid.NewV7()
	return id.String(), err
}

// Issue returns the license that the draft asks for, or an *InvalidError. The id is one of NewID.
func (d Draft) Issue(id string, c Change) (License, error) {
	l := License{ID: id, Created: c.At}
	fields := Patch{
		CustomerName: &d.CustomerName, Plan: &d.Plan, ExpirationDate: &d.ExpirationDate, UpdatesUntil: d.UpdatesUntil,
		Services: &d.Services, AppURLs: &d.AppURLs, Notes: &d.Notes, GraceDays: &d.GraceDays,
		Reference: &d.Reference, Email: &d.Email,
		MaxDevices: &d.MaxDevices, LeaseMinutes: &d.LeaseMinutes, MaxLeaseMinutes: &d.MaxLeaseMinutes,
		TokenMinutes: d.TokenMinutes, Origin: d.Origin, isDraft: true,
	}.fitted(l).apply(&l, c.At)
	if d.CustomerID != "" && !IsUUID(d.CustomerID) {
		fields = append(fields, FieldError{"customerid",
			"must be a UUID, as 869b100f-06b7-44cc-80df-b4c4bf728461, or absent"})
	}
	if len(fields) > 0 {
		return License{}, &InvalidError{Fields: fields}
	}
	l.CustomerID = strings.ToLower(d.CustomerID)
	if l.CustomerID == "" {
		l.CustomerID = uuid.NewString()
	}
	return l.stamped(c), nil
}

// Patch returns the license with the given fields changed, or an *InvalidError. A patch that changes nothing returns
// the license as it is, with the same Version. Fields that are not given keep what other tools wrote into them.
func (l License) Patch(p Patch, c Change) (License, error) {
	p, refused := p.fitted(l).withoutPersonal(l)
	patched := l.mended(p.attributes()...)
	if fields := append(refused, p.apply(&patched, c.At)...); len(fields) > 0 {
		return l, &InvalidError{Fields: fields}
	}
	if set, remove := delta(l, patched); len(set) == 0 && len(remove) == 0 {
		return l, nil
	}
	return patched.stamped(c), nil
}

// attributes returns the names of a record's attributes that the given fields replace.
func (p Patch) attributes() (names []string) {
	for name, given := range map[string]bool{
		AttrCustomerName:   p.CustomerName != nil,
		AttrPlan:           p.Plan != nil,
		AttrExpirationDate: p.ExpirationDate != nil,
		attrServices:       p.Services != nil,
		attrAppURLs:        p.AppURLs != nil,
		attrNotes:          p.Notes != nil,
		AttrGraceDays:      p.GraceDays != nil,
		attrUpdatesUntil:   p.UpdatesUntil != nil,
		AttrTokenKeyID:     p.TokenKeyID != nil,
		AttrReference:      p.Reference != nil,
		attrEmail:          p.Email != nil,
		AttrMaxDevices:     p.MaxDevices != nil,
		attrLease:          p.LeaseMinutes != nil,
		attrMaxLease:       p.MaxLeaseMinutes != nil,
	} {
		if given {
			names = append(names, name)
		}
	}
	return names
}

// apply sets the given fields of l, and returns all that is wrong with them.
func (p Patch) apply(l *License, now time.Time) (fields []FieldError) {
	refuse := func(field, message string) {
		fields = append(fields, FieldError{field, p.Origin.tell(message, field)})
	}
	if p.Plan != nil {
		l.Plan = *p.Plan
	}
	if p.CustomerName != nil {
		refuseName(refuse, "customername", *p.CustomerName, MaxCustomerName)
		l.CustomerName = *p.CustomerName
	}
	if p.ExpirationDate != nil {
		var problem string
		if l.ExpirationDate, problem = p.end(*l, now); problem != "" {
			refuse("expirationdate", problem)
		}
	}
	if p.Services != nil {
		l.Services = marshalList(*p.Services)
		refuseServices(refuse, *p.Services, len(l.Services))
	}
	if p.AppURLs != nil {
		l.AppURLs = storedAppURLs(refuse, *p.AppURLs)
	}
	if p.Notes != nil {
		refuseText(refuse, "notes", *p.Notes, MaxNotes)
		l.Notes = *p.Notes
	}
	if p.GraceDays != nil {
		switch {
		case *p.GraceDays < 0 || *p.GraceDays > MaxGraceDays:
			refuse("gracedays", fmt.Sprintf("must be a whole number from 0 to %d", MaxGraceDays))
		case *p.GraceDays > 0 && l.IsEndless():
			refuse("gracedays", "must be 0 for a license without an end")
		}
		l.GraceDays = *p.GraceDays
	}
	if p.UpdatesUntil != nil {
		var problem string
		if l.UpdatesUntil, problem = updatesEnd(*p.UpdatesUntil); problem != "" {
			refuse(attrUpdatesUntil, problem)
		}
	}
	if p.TokenKeyID != nil {
		if *p.TokenKeyID != "" && !isKeyID(*p.TokenKeyID) {
			refuse("tokenkeyid", "must be the kid of a token key that is published")
		}
		l.TokenKeyID = *p.TokenKeyID
	}
	if p.Reference != nil {
		reference, problem := CanonicalReference(*p.Reference)
		if l.Reference != "" && reference != l.Reference {
			problem = "must stay as it is: a reference is for good"
		}
		if problem != "" && (*p.Reference != "" || l.Reference != "") {
			refuse(AttrReference, problem)
		}
		l.Reference = reference
	}
	p.applyDevices(l, now, refuse)
	if p.Email != nil {
		if *p.Email != "" && !isEmail(*p.Email) {
			const text = "must be an e-mail address of at most %d bytes, as name@example.com"
			refuse(attrEmail, fmt.Sprintf(text, MaxEmail))
		}
		l.Email = *p.Email
	}
	return fields
}

// end returns the end that the patch gives the license, or a problem.
func (p Patch) end(l License, now time.Time) (end time.Time, problem string) {
	end, err := ParseEnd(*p.ExpirationDate)
	switch {
	case *p.ExpirationDate == "" && p.isDraft:
		problem = "is required: an ISO 8601 date, as 2030-01-31, or never, or a plan with durationdays"
	case *p.ExpirationDate == "":
		problem = "is required: an ISO 8601 date, as 2030-01-31, or never"
	case err != nil:
		problem = "must be an ISO 8601 date, as 2030-01-31 or 2030-01-31T12:00:00Z, or never"
	case !end.After(now):
		problem = "must lie in the future"
	case end.Equal(Never) && l.GraceDays > 0 && p.GraceDays == nil:
		problem = "must be a date while the license has days of grace; set gracedays to 0 first"
	}
	return end, problem
}

// updatesEnd returns the end of updates that the vendor gives, or a problem. It may have passed. Never is no end.
func updatesEnd(text string) (end time.Time, problem string) {
	end, err := ParseEnd(text)
	switch {
	case err != nil:
		problem = "must be an ISO 8601 date, as 2030-01-31 or 2030-01-31T12:00:00Z, or never"
	case end.IsZero():
		problem = "must lie after the first of all instants"
	case end.Equal(Never):
		end = time.Time{}
	}
	return end, problem
}

// thumbprintBytes is the length of a SHA-256, of which a thumbprint is made.
const thumbprintBytes = 32

// isKeyID reports whether a text has the form of a thumbprint (RFC 7638): 32 bytes in base64url. Which keys there are
// is not known here.
func isKeyID(text string) bool {
	thumbprint, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == 43 && len(thumbprint) == thumbprintBytes
}

func refuseServices(refuse func(field, message string), services []Service, bytes int) {
	if refuseSize(refuse, "services", "services", len(services), MaxServices, bytes) {
		return
	}
	for i, s := range services {
		refuseName(refuse, fmt.Sprintf("services[%d].serviceName", i), s.Name, MaxServiceText)
		refuseName(refuse, fmt.Sprintf("services[%d].serviceValue", i), s.Value, MaxServiceText)
	}
}

// storedAppURLs returns the list as it is stored.
func storedAppURLs(refuse func(field, message string), urls []AppURL) JSONList {
	list := marshalList(urls)
	if refuseSize(refuse, "appurls", "URLs", len(urls), MaxAppURLs, len(list)) {
		return list
	}
	stored := make([]AppURL, len(urls))
	for i, u := range urls {
		canonical, problem := urlpattern.Canonical(u.URL)
		if problem != "" {
			refuse(fmt.Sprintf("appurls[%d].URL", i), problem)
		}
		stored[i].URL = canonical
	}
	list = marshalList(stored)
	refuseSize(refuse, "appurls", "URLs", len(stored), MaxAppURLs, len(list)) // an xn-- form can be longer
	return list
}

// refuseSize refuses a list that has more elements than most, or more bytes as JSON than MaxListBytes.
func refuseSize(refuse func(field, message string), field, noun string, elements, most, bytes int) (refused bool) {
	switch {
	case elements > most:
		refuse(field, fmt.Sprintf("must hold at most %d %s", most, noun))
	case bytes > MaxListBytes:
		refuse(field, fmt.Sprintf("must be at most %d bytes of JSON", MaxListBytes))
	default:
		return false
	}
	return true
}

// marshalList returns a list as JSON. A nil list is an empty one.
func marshalList[T Service | AppURL](elements []T) JSONList {
	text, err := plainjson.Marshal(append([]T{}, elements...))
	if err != nil {
		panic(err) // structs of strings always marshal
	}
	return JSONList(text)
}

// CheckReason returns an *InvalidError for a reason that cannot be recorded.
func CheckReason(reason string) error {
	var fields []FieldError
	refuse := func(field, message string) { fields = append(fields, FieldError{field, message}) }
	refuseText(refuse, "reason", reason, MaxReason)
	if len(fields) > 0 {
		return &InvalidError{Fields: fields}
	}
	return nil
}

// IsUUID reports whether a text is a UUID in the form of RFC 9562 section 4. uuid.Parse accepts other forms too.
func IsUUID(text string) bool { return len(text) == 36 && uuid.Validate(text) == nil }
