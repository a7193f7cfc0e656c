package issuance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"openlicenser/shared/api"
	"openlicenser/shared/license"
)

var (
	errNoIfMatch  = errors.New("no If-Match")
	errBadIfMatch = errors.New("If-Match is neither * nor a list of entity tags")
	errStale      = errors.New("If-Match does not match")
)

// There is no 304, and an If-None-Match for plans alone. Responses are not for caches (Cache-Control: no-store). And a
// license expires without a new entity tag, which a 304 would hide.

// entityTag returns the entity tag of a license (RFC 9110 section 8.8.3): its version, and the instant of its change,
// because other tools change a license without counting its version on. Where such a tool notes no instant either, a
// digest of the license takes its place.
func entityTag(l license.License) string { return `"` + opaqueTag(l) + `"` }

// opaqueTag returns the entity tag without its quotes.
func opaqueTag(l license.License) string {
	state := strconv.FormatInt(l.Changed.UnixMilli(), 36)
	if l.Changed.IsZero() {
		state = contentDigest(l)
	}
	return strconv.FormatInt(l.Version, 10) + "-" + state
}

// contentDigest returns a digest of what is understood of a license, and of what the store would recognize it by. It is
// longer than any instant.
func contentDigest(l license.License) string {
	text, err := json.Marshal([]any{license.WithoutIndex(l.Record()), l.Problems, l.Expectation()})
	if err != nil {
		panic(err) // all of it comes from a record, which is JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// ifMatch is the precondition of a request: which states of the license it may change. The zero ifMatch allows none.
type ifMatch struct {
	any  bool
	tags []string // without quotes
}

// readIfMatch reads If-Match (RFC 9110 section 13.1.1). A request without one may change any state. The error is
// errBadIfMatch.
func readIfMatch(r api.Request) (ifMatch, error) {
	lines := r.HeaderValues("If-Match")
	if lines == nil {
		return ifMatch{any: true}, nil
	}
	text := strings.Join(lines, ",") // several lines are one list (RFC 9110 section 5.3)
	if trimSpace(text) == "*" {
		return ifMatch{any: true}, nil
	}
	tags, ok := parseEntityTags(text)
	if !ok {
		return ifMatch{}, errBadIfMatch
	}
	return ifMatch{tags: tags}, nil
}

// requireIfMatch reads If-Match, and returns errNoIfMatch for a request without one.
func requireIfMatch(r api.Request) (ifMatch, error) {
	if r.HeaderValues("If-Match") == nil {
		return ifMatch{}, errNoIfMatch
	}
	return readIfMatch(r)
}

// allows reports whether the license is in one of the states. It compares weakly: a proxy that compresses responses
// makes W/"x" of our "x", and means the same state.
func (m ifMatch) allows(l license.License) bool { return m.allowsTag(opaqueTag(l)) }

// allowsTag is allows for the entity tag of a state, without its quotes.
func (m ifMatch) allowsTag(tag string) bool { return m.any || slices.Contains(m.tags, tag) }

// parseEntityTags reads a list of one or more entity tags (RFC 9110 sections 5.6.1.2 and 8.8.3). It ignores whether
// they are weak. It reads x as "x", because the quotes get lost in shells and spreadsheets.
func parseEntityTags(text string) (tags []string, ok bool) {
	for {
		text = strings.TrimLeft(text, ", \t")
		if text == "" {
			return tags, len(tags) > 0
		}
		tag, rest, ok := cutEntityTag(text)
		rest = trimSpace(rest)
		if !ok || rest != "" && rest[0] != ',' {
			return nil, false
		}
		tags, text = append(tags, tag), rest
	}
}

// cutEntityTag cuts the text behind its first entity tag.
func cutEntityTag(text string) (tag, rest string, ok bool) {
	text = strings.TrimPrefix(text, "W/")
	if quoted, isQuoted := strings.CutPrefix(text, `"`); isQuoted {
		tag, rest, ok = strings.Cut(quoted, `"`)
		return tag, rest, ok && !strings.ContainsFunc(tag, isNotTagCharacter)
	}
	end := strings.IndexAny(text, ", \t")
	if end < 0 {
		end = len(text)
	}
	tag, rest = text[:end], text[end:]
	return tag, rest, tag != "" && tag != "*" && !strings.ContainsFunc(tag, isNotTagCharacter)
}

// isNotTagCharacter reports whether a character is not etagc.
func isNotTagCharacter(c rune) bool { return c <= ' ' || c == '"' || c == 0x7F }

func trimSpace(text string) string { return strings.Trim(text, " \t") }
