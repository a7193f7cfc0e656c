package urlpattern

import (
	"slices"
	"unicode/utf8"
)

// maxMatchSteps limits the characters that a backtracking engine (Java, JavaScript) compares before it gives up on the
// host name that suits it least. Node and Java take below 10 ms for a million. (.+)+ would take above 2^250.
//
// A place is a single character of the pattern, with counted repeats written out. After an engine has read a character,
// it is at a place that matches it. From there it tries each place that can follow, and then gives up. So the steps are
// at most
//
//	length of the host name * ways * tries
//
// The tries are those from all places that match one character, for the worst character. The ways are how often an
// engine can come to one place with one text behind it. These rules bound them:
//
//   - A repeated group must have one way. The text must tell where each of its turns ends. It does if all texts of the
//     group are equally long, or if a separator begins or ends the group: a character that nothing else in it matches.
//   - The ways of alternatives are added up. Alternatives that differ in a character before their first repeat, or in
//     the lengths of their texts, do not count together.
//   - A part of variable length is closed if the text tells where it ends. Then it has one way. It is closed if it
//     matches nothing that can follow, or if it ends with a character that the rest of its sequence does not match.
//   - A part that is not closed is open. It has as many ways as it can have lengths.
//   - One part of a sequence is free, because its length is what the others leave of the text. The parts behind it then
//     have as many ways as they can have lengths, closed or open.
//   - The ways of the parts of a sequence are multiplied.
const maxMatchSteps = 1_000_000

// maxLengths limits the lengths that a part counts for. The beginnings of a host name are half as long as the whole on
// average. More than one such part is above maxMatchSteps with either number.
const maxLengths = (maxHostName + 3) / 2

const (
	problemGroup = `must not let the turns of a repeated group share a text in many ways, ` +
		`which can take some products forever: ` +
		`begin or end the group with a character that nothing else in it matches, as ([a-z0-9-]+\.)* for (.+\.)*, ` +
		`or make all of its texts equally long, as (a|b)+ for (a+|b)+`
	problemSteps = `must not let its parts share a text in many ways, which can take some products forever: ` +
		`write no more than two .* or .+, and + for a large count, as [a-z]+ for [a-z]{1,250}`
)

// stepsProblem returns why a match could take more than maxMatchSteps, or nothing.
func stepsProblem(pattern []piece) string {
	var m meter
	ways := m.sequence(pattern, exits{}, 1)
	switch {
	case m.ambiguous:
		return problemGroup
	case ways*slices.Max(m.tries[:]) > maxMatchSteps/(maxHostName+1):
		return problemSteps
	}
	return ""
}

// exits are the places that can follow.
type exits struct {
	chars  charset
	places int
}

func (e exits) or(other exits) exits {
	return exits{e.chars.union(other.chars), e.places + other.places}
}

// begins returns the places that a sequence can begin at, up to what comes after it.
func begins(sequence []piece, after exits) exits {
	for _, x := range slices.Backward(sequence) {
		if x.nullable() {
			after = x.begins().or(after)
		} else {
			after = x.begins()
		}
	}
	return after
}

func (x piece) begins() (first exits) {
	if x.branches == nil {
		return exits{x.chars, 1}
	}
	for _, branch := range x.branches {
		first = first.or(begins(branch, exits{}))
	}
	return first
}

// meter sums up the tries for each character.
type meter struct {
	tries     [utf8.RuneSelf]int
	ambiguous bool // a repeated group has more than one way
}

// sequence returns the ways of a sequence. It adds the tries from its places, of which the pattern has so many copies.
func (m *meter) sequence(pieces []piece, after exits, copies int) int {
	inside, all, allButOne := 1, 1, 1 // all open parts count for their lengths, or one part is free
	for i, x := range pieces {
		rest := pieces[i+1:]
		next := begins(rest, after)
		inside = atMost(inside * m.piece(x, next, copies))
		allButOne = min(allButOne*x.lengths(), all)
		if x.isOpen(rest, next) {
			all = atMost(all * x.lengths())
		}
	}
	return atMost(inside * allButOne)
}

// atMost keeps products from overflowing.
func atMost(ways int) int { return min(ways, maxMatchSteps) }

func (m *meter) piece(x piece, next exits, copies int) (ways int) {
	copies *= max(x.min, x.max, 1)
	if x.isRepeated() {
		next = x.begins().or(next)
	}
	if x.branches == nil {
		for c := range m.tries {
			if x.chars.has(byte(c)) {
				m.tries[c] += copies * (next.places + 1)
			}
		}
		return 1
	}
	ways = m.alternatives(x.branches, next, copies)
	if x.isRepeated() && (ways > 1 || !x.hasPlainTurns()) {
		m.ambiguous = true
	}
	return ways
}

func (x piece) isRepeated() bool { return x.max == unbounded || x.max > 1 }

// alternatives returns the most ways of alternatives that do not differ.
func (m *meter) alternatives(branches [][]piece, next exits, copies int) (ways int) {
	each := make([]int, len(branches))
	for i, branch := range branches {
		each[i] = m.sequence(branch, next, copies)
	}
	for _, branch := range branches {
		sum := 0
		for i, other := range branches {
			if !differ(branch, other) {
				sum = atMost(sum + each[i])
			}
		}
		ways = max(ways, sum)
	}
	return ways
}

// differ reports whether no text matches both sequences, because of its length or of a character before the first
// repeat.
func differ(a, b []piece) bool {
	shortestA, longestA := span(a)
	shortestB, longestB := span(b)
	if longestA < shortestB || longestB < shortestA {
		return true
	}
	for i := range min(len(a), len(b)) {
		if a[i].branches != nil || b[i].branches != nil || a[i].min == 0 || b[i].min == 0 {
			return false
		}
		if !a[i].chars.overlaps(b[i].chars) {
			return true
		}
		if a[i].max != 1 || b[i].max != 1 {
			return false
		}
	}
	return false
}

// hasPlainTurns reports whether a text tells where each turn of a repeated group ends.
func (x piece) hasPlainTurns() bool {
	if shortest, longest := spanOfAny(x.branches); shortest == longest {
		return true
	}
	if len(x.branches) > 1 {
		return false
	}
	group := x.branches[0]
	first, last := group[0], group[len(group)-1]
	return first.isSingle() && !first.chars.overlaps(charsOf(group[1:])) ||
		last.isSingle() && !last.chars.overlaps(charsOf(group[:len(group)-1]))
}

// isSingle reports whether the piece is one character that is always there.
func (x piece) isSingle() bool { return x.branches == nil && x.min == 1 && x.max == 1 }

// isOpen reports whether a text does not tell where the piece ends. The rest of the sequence begins with next.
func (x piece) isOpen(rest []piece, next exits) bool {
	if !charsOf([]piece{x}).overlaps(next.chars) {
		return false
	}
	if len(x.branches) != 1 {
		return true
	}
	last := x.branches[0][len(x.branches[0])-1]
	return !last.isSingle() || last.chars.overlaps(charsOf(rest))
}

// charsOf returns all characters that a sequence matches anywhere.
func charsOf(sequence []piece) (all charset) {
	for _, x := range sequence {
		all = all.union(x.chars)
		for _, branch := range x.branches {
			all = all.union(charsOf(branch))
		}
	}
	return all
}

// lengths returns how many lengths the texts of the piece can have, up to maxLengths.
func (x piece) lengths() int {
	shortest, longest := span([]piece{x})
	return min(longest-shortest+1, maxLengths)
}

// span returns the lengths of the shortest and the longest text of a sequence.
func span(sequence []piece) (shortest, longest int) {
	for _, x := range sequence {
		low, high := 1, 1
		if x.branches != nil {
			low, high = spanOfAny(x.branches)
		}
		shortest += low * x.min
		if x.max == unbounded {
			longest += high*x.min + maxHostName
		} else {
			longest += high * x.max
		}
	}
	return shortest, longest
}

func spanOfAny(branches [][]piece) (shortest, longest int) {
	shortest, longest = span(branches[0])
	for _, branch := range branches[1:] {
		low, high := span(branch)
		shortest, longest = min(shortest, low), max(longest, high)
	}
	return shortest, longest
}
