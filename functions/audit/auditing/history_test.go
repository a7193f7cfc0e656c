package auditing_test

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"pgregory.net/rapid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/stream"
	"openlicenser/shared/testing/licensetest"
)

// history is the stream of a license table, as its writers fill it.
type history struct {
	t       *rapid.T
	lives   []*life
	number  *big.Int
	records []streamRecord
}

// streamRecord is a change, and what an auditor that has had the ones before must make of it.
type streamRecord struct {
	events.DynamoDBEventRecord
	licenseID string
	gap       bool
	erased    bool
}

// life is what became of one license.
type life struct {
	id     string
	record attribute.Map // nil while there is none
	lost   bool          // the last change never reached the stream's consumer
}

// drawHistory makes up to most changes of a few licenses. prefix makes the ids differ from those of other histories.
func drawHistory(t *rapid.T, prefix string, most int) []streamRecord {
	h := &history{t: t, number: big.NewInt(rapid.Int64Range(1, 999_999).Draw(t, "first number"))}
	h.number.Mul(h.number, new(big.Int).Exp(big.NewInt(10), big.NewInt(rapid.Int64Range(0, 33).Draw(t, "digits")), nil))
	for i := range rapid.IntRange(1, 4).Draw(t, "licenses") {
		l := &life{id: fmt.Sprintf("%s-%d", prefix, i)}
		if rapid.IntRange(0, 3).Draw(t, "older than its chain") == 0 {
			l.record = attribute.Map{"licenseid": l.id, "expirationdate": "2030-01-01"}
		}
		h.lives = append(h.lives, l)
	}
	for range rapid.IntRange(1, most).Draw(t, "changes") {
		h.step(rapid.SampledFrom(h.lives).Draw(t, "license"))
	}
	return h.records
}

func (h *history) step(l *life) {
	if l.record == nil {
		h.create(l)
		return
	}
	switch choice := rapid.SampledFrom([]string{
		"ours", "ours", "ours", "ours", "erasure",
		"foreign edit", "foreign edit", "foreign replacement", "removal", "marked removal", "time to live",
	}).Draw(h.t, "writer"); choice {
	case "ours":
		h.ours(l)
	case "erasure":
		h.erase(l)
	case "foreign edit":
		edited := maps.Clone(l.record)
		names := []string{"notes", "isrevoked", "colour", "version", "changedby"}
		name := rapid.SampledFrom(names).Draw(h.t, "attribute")
		edited[name] = drawValue(h.t)
		h.put(l, edited, "")
	case "foreign replacement":
		h.put(l, attribute.Map{"licenseid": l.id, "expirationdate": "2030-01-01", "tags": drawValue(h.t)}, "")
	case "marked removal":
		if current, err := license.FromRecord(l.record); err == nil {
			h.put(l, current.Delete(h.change()).Record(), "")
		}
		h.put(l, nil, "")
	case "removal":
		h.put(l, nil, "")
	case "time to live":
		h.put(l, nil, "dynamodb.amazonaws.com")
	}
}

func (h *history) create(l *life) {
	if rapid.IntRange(0, 3).Draw(h.t, "foreign") == 0 {
		h.put(l, attribute.Map{"licenseid": l.id, "expirationdate": "2030-01-01", "odd": drawValue(h.t)}, "")
		return
	}
	issued, err := license.Draft{
		CustomerName: "Customer <1> & é 🎉", ExpirationDate: licensetest.Now.AddDate(1, 0, 0).Format(time.RFC3339),
	}.Issue(l.id, h.change())
	if err != nil {
		h.t.Fatalf("issue: %v", err)
	}
	h.put(l, issued.Record(), "")
}

// ours is a transition of the life cycle. One that is refused, or changes nothing, writes nothing.
func (h *history) ours(l *life) {
	current, err := license.FromRecord(l.record)
	if err != nil {
		return
	}
	change := h.change()
	after := current
	switch rapid.SampledFrom([]string{"change", "renew", "revoke", "suspend", "reinstate"}).Draw(h.t, "transition") {
	case "change":
		notes := rapid.StringN(0, 20, -1).Draw(h.t, "notes")
		after, err = current.Patch(license.Patch{Notes: &notes}, change)
	case "renew":
		after, err = current.Renew(license.FormatDate(current.ExpirationDate.AddDate(0, 1, 0)), change)
	case "revoke":
		after, err = current.Revoke(change)
	case "suspend":
		after, err = current.Suspend(change)
	case "reinstate":
		after, err = current.Reinstate(change)
	}
	if err == nil && after.Version != current.Version {
		h.put(l, after.Record(), "")
	}
}

// erase forgets the customer.
func (h *history) erase(l *life) {
	erased := maps.Clone(l.record)
	for name := range erased {
		if license.IsPersonal(name) {
			delete(erased, name)
		}
	}
	change := h.change()
	maps.Copy(erased, attribute.Map{
		"customername": license.ErasedName, "notes": "", "erased": fmt.Sprint("mark ", len(h.records)),
		"version":   attribute.Number(fmt.Sprint(license.RecordVersion(erased) + 1)),
		"changedby": change.By, "changereason": change.Reason, "requestid": change.RequestID,
	})
	h.put(l, erased, "")
}

func (h *history) change() license.Change {
	n := len(h.records)
	return license.Change{
		At: licensetest.Now.Add(time.Duration(n) * time.Second), By: "arn:aws:iam::123456789012:user/vendor",
		Reason: rapid.SampledFrom([]string{"", "a reason"}).Draw(h.t, "reason"), RequestID: fmt.Sprint("request-", n),
	}
}

// put appends the change to the stream, unless it gets lost on the way: the next one is a gap then. What changes
// nothing does not come into a stream.
func (h *history) put(l *life, record attribute.Map, principal string) {
	if h.same(l.record, record) {
		return
	}
	h.number.Add(h.number, big.NewInt(rapid.Int64Range(1, 1_000_000).Draw(h.t, "distance")))
	old := l.record
	l.record = record
	lost := rapid.IntRange(0, 19).Draw(h.t, "lost") == 19 && l.anyRecorded(h)
	if !lost {
		r := streamRecord{licenseID: l.id, gap: l.lost, erased: license.IsErasure(old, record)}
		r.EventID, r.EventSource = fmt.Sprintf("%s-event-%d", l.id, len(h.records)), "aws:dynamodb"
		r.Change.SequenceNumber = h.number.String()
		at := licensetest.Now.Add(time.Duration(len(h.records)) * time.Minute)
		r.Change.ApproximateCreationDateTime = events.SecondsEpochTime{Time: at}
		r.Change.Keys = map[string]events.DynamoDBAttributeValue{"licenseid": events.NewStringAttribute(l.id)}
		r.Change.OldImage, r.Change.NewImage = h.image(old), h.image(record)
		r.EventName = eventName(old, record)
		if principal != "" {
			r.UserIdentity = &events.DynamoDBUserIdentity{Type: "Service", PrincipalID: principal}
		}
		h.records = append(h.records, r)
	}
	l.lost = lost
}

func (h *history) same(a, b attribute.Map) bool {
	hashA, errA := audit.HashStored(a)
	hashB, errB := audit.HashStored(b)
	if err := errors.Join(errA, errB); err != nil {
		h.t.Fatalf("hash: %v", err)
	}
	return hashA == hashB
}

// anyRecorded: where nothing of a license was recorded before, a foreign record passes for one that was adopted.
func (l *life) anyRecorded(h *history) bool {
	for _, r := range h.records {
		if r.licenseID == l.id {
			return !l.lost // two in a row can end where they began, which no hash shows
		}
	}
	return false
}

func eventName(old, record attribute.Map) string {
	switch {
	case old == nil:
		return "INSERT"
	case record == nil:
		return "REMOVE"
	default:
		return "MODIFY"
	}
}

func (h *history) image(record attribute.Map) stream.Image {
	var sets attribute.Map
	if record != nil {
		sets = shuffleSets(h.t, record).(attribute.Map)
	}
	image, err := stream.ImageOf(sets)
	if err != nil {
		h.t.Fatal(err)
	}
	return image
}

// drawValue makes a value of any type of DynamoDB's.
func drawValue(t *rapid.T) any {
	return rapid.SampledFrom([]any{
		"text", "<&> é 🎉 \u2028 \x01", true, false, nil,
		attribute.Number("0"), attribute.Number("17"), attribute.Number("-1.5"),
		[]byte{1, 2}, attribute.StringSet{"b", "a"}, attribute.StringSet{"a", "b"}, attribute.NumberSet{"2", "10"},
		attribute.BinarySet{{2}, {1}}, []any{"a", nil, attribute.Map{"z": true, "é": "b"}}, attribute.Map{},
	}).Draw(t, "value")
}

// shuffleSets returns a value with the elements of its sets in any order.
func shuffleSets(t *rapid.T, value any) any {
	switch v := value.(type) {
	case attribute.StringSet:
		return attribute.StringSet(rapid.Permutation(v).Draw(t, "order"))
	case attribute.NumberSet:
		return attribute.NumberSet(rapid.Permutation(v).Draw(t, "order"))
	case []any:
		list := make([]any, len(v))
		for i, element := range v {
			list[i] = shuffleSets(t, element)
		}
		return list
	case attribute.Map:
		members := attribute.Map{}
		for _, name := range slices.Sorted(maps.Keys(v)) { // the same draws in the same order, for rapid
			members[name] = shuffleSets(t, v[name])
		}
		return members
	default:
		return value
	}
}
