package license

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"openlicenser/shared/attribute"
)

// Survey is what is found in the records of a store. Of a record it tells the id, names of attributes and of their
// types, and nothing else. Its lists are in order.
type Survey struct {
	Records int `json:"records"`
	Lacking int `json:"lackindexattributes"` // an Adoption would write them
	// Statuses counts the records by their status now. Verification of those that are Unreadable is a fault.
	Statuses map[Status]int `json:"statuses"`

	Refused  []RecordProblem `json:"refused"`  // those that are Unreadable
	Harmless []RecordProblem `json:"harmless"` // something else decides, or verification does not ask for it

	NotUUIDs         []string   `json:"licenseidsnouuid"`
	DifferByCase     [][]string `json:"licenseidsdifferbycase"` // ids that are the same but for case
	CustomerNotUUIDs []string   `json:"customeridsnouuid"`      // ids of the licenses
}

// RecordProblem says what of a record cannot be understood.
type RecordProblem struct {
	LicenseID string       `json:"licenseid"`
	Status    Status       `json:"status"`
	Problems  []FieldError `json:"problems"`
}

// Survey looks at all records, and changes nothing. Done is called after each record, one call after the other.
func (s Scan) Survey(ctx context.Context, now time.Time, done func(seen int)) (Survey, error) {
	surveyor := newSurveyor(now)
	var mu sync.Mutex
	err := s.each(ctx, func(_ context.Context, record attribute.Map, err error) error {
		mu.Lock()
		defer mu.Unlock()
		surveyor.add(record, err)
		done(surveyor.found.Records)
		return nil
	})
	return surveyor.survey(), err
}

// surveyor sees one record after the other.
type surveyor struct {
	now   time.Time
	found Survey
	first map[idDigest]string   // the first id of the digest; empty where it is in lower case, which nearly all are
	same  map[idDigest][]string // further ids of the digest
}

// idDigest is of an id in lower case. There is one for each record, so it is short.
type idDigest [16]byte

func digestOf(lower string) idDigest {
	hash := fnv.New128a()
	_, _ = hash.Write([]byte(lower)) // it never fails
	return idDigest(hash.Sum(nil))
}

func newSurveyor(now time.Time) *surveyor {
	return &surveyor{
		now: now,
		found: Survey{
			Statuses: map[Status]int{}, Refused: []RecordProblem{}, Harmless: []RecordProblem{},
			NotUUIDs: []string{}, DifferByCase: [][]string{}, CustomerNotUUIDs: []string{},
		},
		first: map[idDigest]string{}, same: map[idDigest][]string{},
	}
}

// add looks at a record. With an error it cannot be read, and holds its id alone.
func (s *surveyor) add(record attribute.Map, err error) {
	l, errRead := FromRecord(record)
	if id, _ := record[AttrID].(string); err != nil || errRead != nil {
		l = Damaged(id)
	} else if !Adopt(record, s.now).IsNothing() {
		s.found.Lacking++
	}
	s.found.Records++
	status := l.Status(s.now)
	s.found.Statuses[status]++
	if len(l.Problems) > 0 {
		list := &s.found.Harmless
		if status == Unreadable {
			list = &s.found.Refused
		}
		*list = append(*list, RecordProblem{LicenseID: l.ID, Status: status, Problems: l.Problems})
	}
	if l.CustomerID != "" && !IsUUID(l.CustomerID) {
		s.found.CustomerNotUUIDs = append(s.found.CustomerNotUUIDs, l.ID)
	}
	s.addID(l.ID)
}

func (s *surveyor) addID(id string) {
	if !IsUUID(id) {
		s.found.NotUUIDs = append(s.found.NotUUIDs, id)
	}
	lower := strings.ToLower(id)
	digest := digestOf(lower)
	first, isKnown := s.first[digest]
	switch {
	case isKnown:
		s.same[digest] = append(s.same[digest], cmp.Or(first, lower), id)
	case id == lower:
		s.first[digest] = ""
	default:
		s.first[digest] = id
	}
}

// survey returns what was found, in order.
func (s *surveyor) survey() Survey {
	for _, ids := range s.same {
		slices.Sort(ids)
		s.found.DifferByCase = append(s.found.DifferByCase, slices.Compact(ids))
	}
	slices.SortFunc(s.found.DifferByCase, slices.Compare)
	byID := func(a, b RecordProblem) int { return strings.Compare(a.LicenseID, b.LicenseID) }
	slices.SortFunc(s.found.Refused, byID)
	slices.SortFunc(s.found.Harmless, byID)
	slices.Sort(s.found.NotUUIDs)
	slices.Sort(s.found.CustomerNotUUIDs)
	return s.found
}
