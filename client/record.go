package licensing

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// record is what restarts keep of a license key. It is stored as two lines: the SHA-256 of the second in hex, and JSON.
//
//	5891b5b5…
//	{"version":1,"key":"…","asked":"2027-01-01T00:00:00Z","checked":"2027-01-01T00:00:01Z","token":"ey…"}
type record struct {
	Version int          `json:"version"`
	Key     string       `json:"key"`               // keyHash of the license key that it is about
	Asked   time.Time    `json:"asked"`             // when the request was made whose answer this is
	Checked time.Time    `json:"checked"`           // when the answer came
	Token   string       `json:"token,omitempty"`   // of a grant
	Refused Code         `json:"refused,omitempty"` // of a definite no
	Keys    []jsonWebKey `json:"keys,omitempty"`    // those that were fetched
}

const (
	recordVersion = 1
	maxStored     = 1 << 20 // bytes
)

var errDamaged = errors.New("the stored state is damaged")

// readStored returns a stored record. One that is damaged, too large or of another version is an error, and the service
// is asked.
func readStored(data []byte) (stored record, err error) {
	body, err := readSummed(data)
	if err == nil {
		err = json.Unmarshal(body, &stored)
	}
	if err == nil && stored.Version != recordVersion {
		err = fmt.Errorf("it has version %d", stored.Version)
	}
	if err != nil {
		return record{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return stored, nil
}

func (r record) write() []byte {
	r.Version = recordVersion
	return writeSummed(r)
}

// fetchedKeys returns the stored keys that can be used.
func (r record) fetchedKeys() (keys []publicKey) {
	for _, k := range r.Keys {
		if public, usable := k.public(); usable {
			keys = append(keys, public)
		}
	}
	return keys
}

// isNewer reports whether a record is about the same key, and was asked for later. A time ahead of the clock says that
// the clock was wrong.
func (r record) isNewer(than record, now time.Time) bool {
	return r.Key == than.Key && r.Asked.After(than.Asked) && !r.Asked.After(now.Add(time.Minute))
}

// isGivenBack reports whether the seat of this device was given back, and nothing was asked since.
func (r record) isGivenBack() bool { return !r.Asked.IsZero() && r.Token == "" && r.Refused == "" }

// clockMark is the latest time that was ever seen. It has a document of its own, so that writing it never takes back
// what another process has been told of the license.
type clockMark struct {
	Latest time.Time `json:"latest"`
}

// readMark returns no time where the document is damaged.
func readMark(data []byte) time.Time {
	var mark clockMark
	body, err := readSummed(data)
	if err != nil || json.Unmarshal(body, &mark) != nil {
		return time.Time{}
	}
	return mark.Latest
}

func readSummed(data []byte) ([]byte, error) {
	sum, body, _ := bytes.Cut(bytes.TrimRight(data, "\r\n"), []byte("\n"))
	switch {
	case len(data) > maxStored:
		return nil, fmt.Errorf("it has %d bytes", len(data))
	case string(sum) != sumOf(body):
		return nil, errors.New("it is not what was written")
	}
	return body, nil
}

func writeSummed(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts, numbers and times of four-digit years always marshal
	}
	return []byte(sumOf(body) + "\n" + string(body) + "\n")
}

func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
