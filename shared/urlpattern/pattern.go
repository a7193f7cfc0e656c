package urlpattern

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The regular expressions that new application URLs may hold after "re:". Products match them against a host name with
// many engines. So the grammar keeps to what RE2, Java and JavaScript read alike:
//
//	pattern  = "^" sequence "$"
//	sequence = piece { piece }
//	piece    = atom [ "?" | "*" | "+" | "{n}" | "{n,}" | "{n,m}" ]
//	atom     = literal | "." | escape | class | ( "(" | "(?:" ) sequence { "|" sequence } ")"
//	literal  = ASCII letter | digit | "-" | "_"
//	escape   = "\." | "\-" | "\d" | "\w"
//	class    = "[" [ "^" ] { literal | "." | escape | literal "-" literal } "]"
//
// A "-" that is no range stands first or last in its class. A range joins two digits, or two letters of one case. No
// alternative or repeated atom can match nothing, because engines differ in when they give up an empty repeat. What
// passes is then held to the rules of maxMatchSteps.

// maxCopies limits the single characters of a pattern once its counted repeats are written out. RE2 refuses counts
// above 1000, those of nested repeats multiplied. A count never exceeds its number of copies.
const maxCopies = 1000

// maxHostName is the longest host name (RFC 1035 section 2.3.4), hence the most that a repeat can count to.
const maxHostName = 253

const unbounded = -1

// patternProblem returns why a pattern may not be licensed and what to write instead. It is empty for one that may.
func patternProblem(pattern string) string {
	if utf8.RuneCountInString(pattern) > MaxPattern {
		return fmt.Sprintf("must be a regular expression of at most %d characters", MaxPattern)
	}
	if strings.ContainsFunc(pattern, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "must be a regular expression of visible ASCII characters: " +
			"write an international host name in its xn-- form"
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
	return stepsProblem(whole)
}

var tooManyCopies = fmt.Sprintf(
	"must be at most %d characters long once its counted repeats are written out: use + for a large count", maxCopies)

// piece is an atom and how often it may occur: one of the characters, or one of the branches.
type piece struct {
	chars    charset
	branches [][]piece // nil when the atom is a character
	min, max int       // max may be unbounded
}

// nullable reports whether the piece can match nothing.
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

// patternParser reads the grammar above from the left. Its methods return a problem, or an empty string.
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

// atom reads what a quantifier may follow. The piece that it returns occurs once.
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
		problem = fmt.Sprintf("must match a host name, in which %c cannot occur: "+
			"write neither scheme, port nor path", c)
	}
	return x, problem
}

func isLiteral(c byte) bool { return c == '-' || c == '_' || kind(c) != 0 }

// kind returns the same for characters that a range may join, and 0 for those that it may not.
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

// escape reads an escape after its \, and adds what it stands for.
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
				return chars, "must have ranges of two digits or two letters of the same case, in their order, " +
					"as [A-Za-z0-9]"
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

func (s charset) union(t charset) charset { return charset{s[0] | t[0], s[1] | t[1]} }

func (s charset) overlaps(t charset) bool { return s[0]&t[0] != 0 || s[1]&t[1] != 0 }
