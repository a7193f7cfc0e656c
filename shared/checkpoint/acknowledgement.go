package checkpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const findingsName = "findings"

// Statement says what a run has found of a license, so that a person can settle just that. Its text is a line:
//
//	rewritten <license id> <sequence> <found>
//
// The kind is rewritten for a Finding, and missed for a Discrepancy. The license id is percent-encoded as in a Leaf,
// and the sequence that of the entry that was signed, or of the chain's last entry. What was found is the SHA-256 in
// hexadecimal of what stands there now: the same thing that is found again has the same text, and another has not.
type Statement struct {
	Kind      string
	LicenseID string
	Sequence  int64
	Found     string
}

// The kinds of a Statement.
const (
	KindRewritten = "rewritten"
	KindMissed    = "missed"
)

func (s Statement) String() string {
	return s.Kind + " " + url.PathEscape(s.LicenseID) + " " + strconv.FormatInt(s.Sequence, 10) + " " + s.Found + "\n"
}

func found(values ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q", values)))
	return hex.EncodeToString(sum[:])
}

// KeepStatements keeps what a run has found, for Acknowledge. It writes only what has changed.
func KeepStatements(ctx context.Context, archive Archive, statements []Statement) error {
	var text []byte
	for _, s := range statements {
		text = append(text, s.String()...)
	}
	kept, err := archive.Get(ctx, findingsName)
	switch {
	case err != nil && !errors.Is(err, ErrNone) && !errors.Is(err, ErrTooLarge):
		return fmt.Errorf("findings: %w", err)
	case bytes.Equal(kept, text):
		return nil
	}
	return archive.Put(ctx, findingsName, text)
}

// Acknowledgement says that someone has looked into a finding and settled it. The finding stays, and is counted no
// longer as long as it is the same. It is kept as JSON.
type Acknowledgement struct {
	Finding string    `json:"finding"` // the line of its Statement
	Reason  string    `json:"reason"`
	Actor   string    `json:"actor"`
	Time    time.Time `json:"time"`
}

func acknowledgementName(finding string) string {
	sum := sha256.Sum256([]byte(finding))
	return "acknowledged/" + hex.EncodeToString(sum[:])
}

// ErrNoFinding reports that the last run has found nothing of the kind.
var ErrNoFinding = errors.New("the last run has found nothing of this license at this entry")

// Acknowledge settles what the last run has found of a license at a sequence. It returns ErrNoFinding where that is
// nothing, and ErrExists where all of it is acknowledged already.
func Acknowledge(ctx context.Context, archive Archive, licenseID string, sequence int64, a Acknowledgement) error {
	text, err := archive.Get(ctx, findingsName)
	if errors.Is(err, ErrNone) {
		return ErrNoFinding
	}
	if err != nil {
		return err
	}
	wanted := " " + url.PathEscape(licenseID) + " " + strconv.FormatInt(sequence, 10) + " "
	found, kept := 0, 0
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, wanted) {
			continue
		}
		found++
		a.Finding = strings.TrimSuffix(line, "\n")
		content, err := json.Marshal(a)
		if err != nil {
			return err
		}
		switch err := archive.Create(ctx, acknowledgementName(line), append(content, '\n')); {
		case err == nil:
			kept++
		case !errors.Is(err, ErrExists):
			return err
		}
	}
	switch {
	case found == 0:
		return ErrNoFinding
	case kept == 0:
		return ErrExists
	}
	return nil
}

// Acknowledged returns the acknowledgement of a finding, or ErrNone.
func Acknowledged(ctx context.Context, archive Reader, s Statement) (Acknowledgement, error) {
	name := acknowledgementName(s.String())
	content, err := archive.Get(ctx, name)
	if err != nil {
		return Acknowledgement{}, err
	}
	var a Acknowledgement
	err = json.Unmarshal(content, &a)
	if err == nil && a.Finding+"\n" != s.String() {
		err = errors.New("it is of another finding")
	}
	if err != nil {
		return Acknowledgement{}, &ArchiveError{name, err}
	}
	return a, nil
}

// maxAcknowledged bounds how many findings of a run are looked up. More are no matter of single decisions.
const maxAcknowledged = 1000

// AcknowledgedOf reports of each finding whether it is acknowledged. It returns what it could not read besides: such a
// finding is not.
func AcknowledgedOf(ctx context.Context, archive Reader, statements []Statement) ([]bool, error) {
	is, errs := make([]bool, len(statements)), make([]error, len(statements))
	var group errgroup.Group
	group.SetLimit(concurrency)
	for i, s := range statements[:min(len(statements), maxAcknowledged)] {
		group.Go(func() error {
			_, err := Acknowledged(ctx, archive, s)
			is[i] = err == nil
			if !errors.Is(err, ErrNone) {
				errs[i] = err
			}
			return nil
		})
	}
	_ = group.Wait() // errs has them
	return is, errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}
