package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const backlogName = "backlog"

// backlog lists discrepancies in the order of license ids, one for each license. Its text has a line for each:
//
//	<license id> <sequence> <time>
//
// The license id is percent-encoded as in a Leaf, the sequence is that of the chain's last entry, and the time, when
// the discrepancy was first seen, is RFC 3339 in UTC.
type backlog []Discrepancy

func (b backlog) text() []byte {
	text := []byte{}
	for _, d := range b {
		text = fmt.Appendf(text, "%s %d %s\n", url.PathEscape(d.LicenseID), d.Sequence, d.Since.Format(time.RFC3339))
	}
	return text
}

// since returns when a discrepancy was first seen. A chain that has grown meanwhile was recorded in, so that the
// discrepancy is another one.
func (b backlog) since(d Discrepancy, now time.Time) time.Time {
	i, isListed := b.find(d.LicenseID)
	if !isListed || b[i].Sequence != d.Sequence || b[i].Since.After(now) { // or the clock was wrong then
		return now
	}
	return b[i].Since
}

// rank returns 0 for a license that is on the list, and 1 for another.
func (b backlog) rank(licenseID string) int {
	if _, isListed := b.find(licenseID); isListed {
		return 0
	}
	return 1
}

func (b backlog) find(licenseID string) (int, bool) {
	return slices.BinarySearchFunc(b, licenseID, func(d Discrepancy, id string) int {
		return cmp.Compare(d.LicenseID, id)
	})
}

// readBacklog returns what Reconcile has kept. It returns an ArchiveError where that cannot be read.
func readBacklog(ctx context.Context, archive Reader) (backlog, error) {
	text, err := archive.Get(ctx, backlogName)
	if errors.Is(err, ErrNone) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("backlog: %w", err)
	}
	var list backlog
	for line := range strings.Lines(string(text)) {
		d, err := parseDiscrepancy(line)
		if err == nil && len(list) > 0 && list[len(list)-1].LicenseID >= d.LicenseID {
			err = errors.New("out of order")
		}
		if err != nil {
			return nil, &ArchiveError{backlogName, fmt.Errorf("line %d: %w", len(list)+1, err)}
		}
		list = append(list, d)
	}
	return list, nil
}

func parseDiscrepancy(line string) (Discrepancy, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return Discrepancy{}, errors.New("not a license id, a sequence and a time")
	}
	id, errID := url.PathUnescape(fields[0])
	sequence, errSequence := strconv.ParseInt(fields[1], 10, 64)
	since, errSince := time.Parse(time.RFC3339, fields[2])
	return Discrepancy{LicenseID: id, Sequence: sequence, Since: since}, errors.Join(errID, errSequence, errSince)
}
