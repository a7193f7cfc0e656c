package urlpattern

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The regular expressions that new application URLs may hold after "re:". Products of many engines match them
// against a host name, so the grammar keeps to what RE2, Java and JavaScript read alike:
//
//	pattern  = "^" sequence "$"
//	sequence = piece { piece }
//	piece    = atom [ "?" | "*" | "+" | "{n}" | "{n,}" | "{n,m}" ]
//	atom     = literal | "." | escape | class | ( "(" | "(?:" ) sequence { "|" sequence } ")"
//	literal  = ASCII letter | digit | "-" | "_"
//	escape   = "\." | "\-" | "\d" | "\w"
//	class    = "[" [ "^" ] { literal | "." | escape | literal "-" literal } "]"
//
// A "-" that is no range stands first or last in its class, a range joins two digits or two letters of one case,
// and no alternative or repeated atom can match nothing: engines differ in when they give up an empty repeat.
// What passes is then held to maxMatchSteps.

// maxCopies limits the single characters of a pattern once its counted repeats are written out. RE2 refuses
// counts above 1000, those of nested repeats multiplied; a count never exceeds its number of copies.
const maxCopies = 1000

// maxHostName is the longest host name (RFC 1035 section 2.3.4), hence the most that a repeat can count to.
const maxHostName = 253

const unbounded = -1

// patternProblem tells why a pattern may not be licensed and what to write instead; it is empty when it may.
func patternProblem(pattern string) string {
	if utf8.RuneCountInString(pattern) > MaxPattern {
		return fmt.Sprintf("must be a regular expression of at most %d characters", MaxPattern)
	}
	if strings.ContainsFunc(pattern, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "must be a regular expression of visible ASCII characters: write an international host name in its xn-- form"
	}
	body, begins := strings.CutPrefix(pattern, "^")
	body, ends := strings.CutSuffix(body, "$")
	if !begins || !ends || strings.HasSuffix(body, `\`) {
		return `must be a regular expression that begins with ^ and ends with $, as re:^(.+\.)?example\.com$`
	}
	p := patternParser{rest: body}
	whole, problem := p.sequence()
	switch {
	case problem != "":
		return problem
	case strings.HasPrefix(p.rest, "|"):
		return "must have its alternatives in parentheses, as re:^(a|b)$: ^a|b$ is anchored at one end only"
	case p.rest != "":
		return "must have a ( for each )"
	case copies(whole) > maxCopies:
		return tooManyCopies
	}
	return newAutomaton(whole).problem()
}

var tooManyCopies = fmt.Sprintf(
	"must be at most %d characters long once its counted repeats are written out: use + for a large count", maxCopies)

// piece is an atom and how often it may occur: one of the characters, or one of the branches.
type piece struct {
	chars    charset
	branches [][]piece // nil when the atom is a character
	min, max int       // max may be unbounded
}

// nullable tells whether the piece can match nothing.
func (x piece) nullable() bool {
	return x.min == 0 || slices.ContainsFunc(x.branches, allNullable)
}

func allNullable(sequence []piece) bool {
	return !slices.ContainsFunc(sequence, func(x piece) bool { return !x.nullable() })
}

// copies counts the single characters of a sequence, counted repeats written out.
func copies(sequence []piece) (n int) {
	for _, x := range sequence {
		atom := 1
		if x.branches != nil {
			atom = copies(slices.Concat(x.branches...))
		}
		n += atom * max(x.min, x.max, 1)
	}
	return n
}

// patternParser reads the grammar above from the left. Its methods answer a problem, or an empty string.
type patternParser struct{ rest string }

func (p *patternParser) take(prefix string) (taken bool) {
	p.rest, taken = strings.CutPrefix(p.rest, prefix)
	return taken
}

func (p *patternParser) startsWithAny(chars string) bool {
	return p.rest != "" && strings.IndexByte(chars, p.rest[0]) >= 0
}

// sequence reads up to the end, or up to the | or ) that follows.
func (p *patternParser) sequence() (pieces []piece, problem string) {
	for p.rest != "" && !p.startsWithAny("|)") {
		x, problem := p.piece()
		if problem != "" {
			return nil, problem
		}
		pieces = append(pieces, x)
	}
	if len(pieces) == 0 {
		return nil, "must have no empty alternative, group or pattern: write (a|b)? for (a|b|)"
	}
	return pieces, ""
}

func (p *patternParser) piece() (x piece, problem string) {
	if x, problem = p.atom(); problem != "" || !p.startsWithAny("?*+{") {
		return x, problem
	}
	if x.nullable() {
		return x, "must not repeat what can match nothing: write (a+)? or a* for (a*)*"
	}
	if x.min, x.max, problem = p.quantifier(); problem != "" {
		return x, problem
	}
	if p.startsWithAny("?*+{") {
		return x, "must have at most one of ? * + {n,m} after a part: " +
			"lazy and possessive repeats change no match of a whole host name"
	}
	if copies([]piece{x}) > maxCopies {
		return x, tooManyCopies
	}
	return x, ""
}

// counts has no leading zeros: RE2 would read {01} as five literal characters.
var counts = regexp.MustCompile(`^\{(0|[1-9][0-9]{0,2})(,)?(0|[1-9][0-9]{0,2})?\}`)

func (p *patternParser) quantifier() (least, most int, problem string) {
	switch {
	case p.take("?"):
		return 0, 1, ""
	case p.take("*"):
		return 0, unbounded, ""
	case p.take("+"):
		return 1, unbounded, ""
	}
	found := counts.FindStringSubmatch(p.rest)
	if found == nil || (found[2] == "" && found[3] != "") {
		return 0, 0, fmt.Sprintf("must write counts as {n}, {n,} or {n,m} with numbers from 0 to %d", maxHostName)
	}
	p.rest = p.rest[len(found[0]):]
	least, _ = strconv.Atoi(found[1]) // the form holds digits only
	switch {
	case found[2] == "":
		most = least
	case found[3] == "":
		most = unbounded
	default:
		most, _ = strconv.Atoi(found[3])
	}
	if max(least, most) > maxHostName || (most != unbounded && most < max(least, 1)) {
		return 0, 0, fmt.Sprintf("must repeat {n,m} with n at most m, and m from 1 to %d", maxHostName)
	}
	return least, most, ""
}

// atom reads what a quantifier may follow; it is answered as occurring once.
func (p *patternParser) atom() (x piece, problem string) {
	x = piece{min: 1, max: 1}
	c := p.rest[0]
	p.rest = p.rest[1:]
	switch {
	case isLiteral(c):
		x.chars.add(c, c)
	case c == '.':
		x.chars = charset{}.inverted()
	case c == '\\':
		problem = p.escape(&x.chars)
	case c == '[':
		x.chars, problem = p.class()
	case c == '(':
		x.branches, problem = p.group()
	case c == '^' || c == '$':
		problem = "must have ^ only as its first character and $ only as its last"
	case strings.IndexByte("?*+{", c) >= 0:
		problem = "must have something to repeat before each ? * + {: write .* for any text"
	default:
		problem = fmt.Sprintf("must match a host name, in which %c cannot occur: write neither scheme, port nor path", c)
	}
	return x, problem
}

func isLiteral(c byte) bool { return c == '-' || c == '_' || kind(c) != 0 }

// kind tells which characters a range may join; 0 stands for none.
func kind(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return '0'
	case 'a' <= c && c <= 'z':
		return 'a'
	case 'A' <= c && c <= 'Z':
		return 'A'
	}
	return 0
}

// escape adds what the rest of an escape stands for.
func (p *patternParser) escape(chars *charset) (problem string) {
	switch {
	case p.take("."):
		chars.add('.', '.')
	case p.take("-"):
		chars.add('-', '-')
	case p.take("d"):
		chars.add('0', '9')
	case p.take("w"):
		chars.add('0', '9')
		chars.add('a', 'z')
		chars.add('A', 'Z')
		chars.add('_', '_')
	default:
		return `must have no escapes but \. \- \d \w: engines differ in the others`
	}
	return ""
}

// class reads a character class after its [.
func (p *patternParser) class() (chars charset, problem string) {
	negated := p.take("^")
	if p.take("-") {
		chars.add('-', '-')
	}
	for !p.take("]") {
		if p.rest == "" {
			return chars, "must have a ] for each ["
		}
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '\\':
			if problem = p.escape(&chars); problem != "" {
				return chars, problem
			}
		case c == '-' && !p.startsWithAny("]"):
			return chars, "must have - first or last in a character class, as [a-z0-9-], or between the ends of a range"
		case kind(c) != 0 && strings.HasPrefix(p.rest, "-") && !strings.HasPrefix(p.rest, "-]"):
			if len(p.rest) == 1 || kind(p.rest[1]) != kind(c) || p.rest[1] < c {
				return chars, "must have ranges of two digits or two letters of the same case, in their order, as [A-Za-z0-9]"
			}
			chars.add(c, p.rest[1])
			p.rest = p.rest[2:]
		case isLiteral(c) || c == '.':
			chars.add(c, c)
		default:
			return chars, `must have only ASCII letters, digits, - _ . \d \w in a character class, as [a-z0-9-]`
		}
	}
	if chars == (charset{}) {
		return chars, "must have no empty character class: write . for any character"
	}
	if negated {
		chars = chars.inverted()
	}
	return chars, ""
}

// group reads a group after its (.
func (p *patternParser) group() (branches [][]piece, problem string) {
	if !p.take("?:") && p.startsWithAny("?") {
		return nil, "must have no groups but ( ) and (?: ): engines differ in lookarounds, flags and named groups"
	}
	for {
		branch, problem := p.sequence()
		if problem != "" {
			return nil, problem
		}
		branches = append(branches, branch)
		if !p.take("|") {
			break
		}
	}
	switch {
	case !p.take(")"):
		return nil, "must have a ) for each ("
	case len(branches) > 1 && slices.ContainsFunc(branches, allNullable):
		return nil, "must have no alternative that can match nothing: write (a+|b)? for (a*|b)"
	}
	return branches, ""
}

// charset is a set of ASCII characters; U+0000, which no pattern can name, stands for all other characters.
type charset [2]uint64

func (s *charset) add(from, to byte) {
	for c := from; c <= to; c++ {
		s[c/64] |= 1 << (c % 64)
	}
}

func (s charset) has(c byte) bool   { return s[c/64]>>(c%64)&1 == 1 }
func (s charset) inverted() charset { return charset{^s[0], ^s[1]} }

// maxMatchSteps limits the characters that a backtracking engine (Java, JavaScript) compares before it gives up on
// the host name that suits it least. Node and Java take below 10 ms for a million. On host names of maxHostName
// characters .*.* takes 65,024, .*.*.* some five million, and (.+)+ above 2^250.
//
// The engine walks the automaton of the pattern: a position for each single character once counted repeats are
// written out, and an edge for each way of getting from one position to the next. As no repeated part matches
// nothing, each way is finite and there are finitely many. On failure the engine has tried, for each prefix of the
// host name, each path that reads it; we bound the number of these paths.
//
// Let steps(B, m) bound the edges that the engine tries in branches B (positions reached by the same prefix) if m
// characters follow: all edges that leave B, and when the next character is c, what the branches B' reached by c try:
//
//	steps(B, m) = edges(B) + max over c of steps(B', m-1)
//
// That is exact, but there are too many B. So B' is cut into parts of at most maxTogether branches, whose steps are
// added up as if each part could have a host name of its own. That can only enlarge the maximum: the bound is sound,
// and what it refuses needlessly are repeated alternatives of which more than maxTogether begin alike.
const maxMatchSteps = 1_000_000

const (
	maxTogether = 4
	maxParts    = 5000 // bounds the work of the check itself
)

// automaton is the position automaton of a pattern (Glushkov), which keeps edges that occur twice.
type automaton struct {
	chars  []charset // of each position; position 0 is none, position 1 the start
	follow [][]int   // for each position, the next ones, once for each way of getting there
	last   []int     // the positions at which the pattern may end
}

func newAutomaton(pattern []piece) *automaton {
	a := &automaton{chars: make([]charset, 2), follow: make([][]int, 2)}
	start := fragment{first: []int{1}, last: []int{1}}
	a.last = a.join(start, a.sequence(pattern)).last
	return a
}

// fragment is the part of an automaton that stands for a part of the pattern.
type fragment struct {
	first, last []int
	nullable    bool
}

func (a *automaton) join(x, y fragment) fragment {
	a.link(x.last, y.first)
	joined := fragment{x.first, y.last, x.nullable && y.nullable}
	if x.nullable {
		joined.first = slices.Concat(x.first, y.first)
	}
	if y.nullable {
		joined.last = slices.Concat(x.last, y.last)
	}
	return joined
}

func (a *automaton) link(last, first []int) {
	for _, p := range last {
		a.follow[p] = append(a.follow[p], first...)
	}
}

func (a *automaton) sequence(pieces []piece) fragment {
	whole := fragment{nullable: true}
	for _, x := range pieces {
		whole = a.join(whole, a.repeat(x))
	}
	return whole
}

// repeat writes a counted repeat out as engines try it: x{2,4} as xx(x(x)?)?, and x{2,} as xx+.
func (a *automaton) repeat(x piece) fragment {
	n := x.max
	if n == unbounded {
		n = max(x.min, 1)
	}
	whole := fragment{nullable: true}
	for i := n; i > 0; i-- {
		once := a.once(x)
		if i == n && x.max == unbounded {
			a.link(once.last, once.first)
		}
		whole = a.join(once, whole)
		if i > x.min {
			whole.nullable = true
		}
	}
	return whole
}

func (a *automaton) once(x piece) (whole fragment) {
	if x.branches == nil {
		position := []int{len(a.chars)}
		a.chars, a.follow = append(a.chars, x.chars), append(a.follow, nil)
		return fragment{first: position, last: position}
	}
	for _, branch := range x.branches {
		part := a.sequence(branch)
		whole.first, whole.last = append(whole.first, part.first...), append(whole.last, part.last...)
		whole.nullable = whole.nullable || part.nullable
	}
	return whole
}

func (a *automaton) problem() string {
	switch steps, counted := a.matchSteps(); {
	case !counted:
		return "must be simpler: use + and * for large counts after each other, as [a-z]+ for [a-z]{1,250}"
	case steps > maxMatchSteps:
		return `must not let repeats share a text in many ways, which can take some products forever: ` +
			`write ([a-z0-9-]+\.)* for (.+\.)*, (a|b)+ for (a+|b)+, and no more than two .* or .+`
	}
	return ""
}

// together is a part of the branches, with zeros after the last.
type together [maxTogether]int

// matchSteps bounds the steps of a match as maxMatchSteps tells. It stops counting above maxMatchSteps, and
// gives up above maxParts.
func (a *automaton) matchSteps() (steps int, counted bool) {
	parts := []together{{1}}
	index := map[together]int{parts[0]: 0}
	var next [][][]int // for each part and some characters, the parts that follow
	alphabet := a.alphabet()
	for i := 0; i < len(parts); i++ {
		var choices [][]int
		for _, c := range alphabet {
			var choice []int
			for part := range slices.Chunk(a.after(parts[i], c), maxTogether) {
				var key together
				copy(key[:], part)
				if _, known := index[key]; !known {
					index[key] = len(parts)
					parts = append(parts, key)
				}
				choice = append(choice, index[key])
			}
			if !slices.ContainsFunc(choices, func(other []int) bool { return slices.Equal(other, choice) }) {
				choices = append(choices, choice)
			}
		}
		if next = append(next, choices); len(parts) > maxParts {
			return 0, false
		}
	}
	return a.longestWalk(parts, next), true
}

// longestWalk answers the steps of the first part for a host name of maxHostName characters.
func (a *automaton) longestWalk(parts []together, next [][][]int) int {
	before, now := make([]int, len(parts)), make([]int, len(parts))
	for range maxHostName + 1 {
		before, now = now, before
		for i, part := range parts {
			worst := 0
			for _, choice := range next[i] {
				sum := 0
				for _, j := range choice {
					sum += before[j]
				}
				worst = max(worst, sum)
			}
			now[i] = min(a.edges(part)+worst, maxMatchSteps+1)
		}
		if now[0] > maxMatchSteps {
			break
		}
	}
	return now[0]
}

// edges counts what the engine tries in these branches before it reads a character; the end counts as an edge.
func (a *automaton) edges(branches together) (n int) {
	for _, p := range branches {
		if p != 0 {
			n += len(a.follow[p]) + 1
		}
	}
	return n
}

// after answers the branches that c leads to, in ascending order.
func (a *automaton) after(branches together, c byte) (reached []int) {
	for _, p := range branches {
		for _, q := range a.follow[p] {
			if a.chars[q].has(c) {
				reached = append(reached, q)
			}
		}
	}
	slices.Sort(reached)
	return reached
}

// alphabet answers one of each kind of characters that the automaton does not tell apart.
func (a *automaton) alphabet() (kinds []byte) {
	var distinct []charset
	for _, chars := range a.chars {
		if !slices.Contains(distinct, chars) {
			distinct = append(distinct, chars)
		}
	}
	seen := map[string]bool{}
	for c := range byte(utf8.RuneSelf) {
		in := make([]byte, len(distinct))
		for i, chars := range distinct {
			if chars.has(c) {
				in[i] = 1
			}
		}
		if !seen[string(in)] {
			seen[string(in)] = true
			kinds = append(kinds, c)
		}
	}
	return kinds
}
