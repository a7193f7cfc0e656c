package urlpattern

import (
	"slices"
	"unicode/utf8"
)

// The oracle follows an engine that matches by trial and error, step by step. The engine walks the automaton of the
// pattern: a position for each single character once counted repeats are written out, and an edge for each way of
// getting from one position to the next. When it fails, it has tried each path that reads a beginning of the host name.
//
// Let steps(B, m) bound the edges that the engine tries in branches B (positions reached by the same beginning) if m
// characters follow: all edges that leave B, and when the next character is c, what the branches B' reached by c try:
//
//	steps(B, m) = edges(B) + max over c of steps(B', m-1)
//
// That is exact, but there are too many B. So B' is cut into parts of at most maxTogether branches, whose steps are
// added up as if each part could have a host name of its own. That can only enlarge the maximum.

const (
	maxTogether = 8
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

// together is a part of the branches, with zeros after the last.
type together [maxTogether]int

// matchSteps returns steps of the start for the longest host name. It stops counting above maxMatchSteps, and gives up
// above maxParts.
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

// longestWalk returns the steps of the first part for a host name of maxHostName characters.
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

// after returns the branches that c leads to, in ascending order.
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

// alphabet returns one of each kind of characters that the automaton does not tell apart.
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
