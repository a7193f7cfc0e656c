package urlpattern

import (
	"slices"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// measured returns what the rules say of a pattern, or false where its grammar is wrong.
func measured(pattern string) (a *automaton, m meter, ways int, isPattern bool) {
	p := patternParser{rest: pattern[1 : len(pattern)-1]}
	whole, problem := p.sequence()
	if problem != "" || p.rest != "" || copies(whole) > maxCopies {
		return nil, m, 0, false
	}
	ways = m.sequence(whole, exits{}, 1)
	return newAutomaton(whole), m, ways, true
}

// TestWaysAndTries holds both factors of the bound to what an engine does after each beginning of a host name.
func TestWaysAndTries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := patterns().Filter(func(pattern string) bool {
			_, m, ways, isPattern := measured(pattern)
			return isPattern && !m.ambiguous && ways < maxLengths
		}).Draw(t, "pattern")
		a, m, ways, _ := measured(pattern)
		host := rapid.StringOfN(rapid.SampledFrom([]rune("ab0-.")), 1, 20, -1).Draw(t, "host")
		paths := a.start()
		for i := range len(host) {
			paths = a.step(paths, host[i])
			if most := max(slices.Max(paths), a.ends(paths)); most > ways {
				t.Fatalf("%s has %d ways to read %q, more than %d", pattern, most, host[:i+1], ways)
			}
			tries := 0
			for p, n := range paths {
				if n > 0 {
					tries += len(a.follow[p]) + 1
				}
			}
			if tries > m.tries[host[i]] {
				t.Fatalf("%s tries %d after %q, more than %d", pattern, tries, host[:i+1], m.tries[host[i]])
			}
		}
	})
}

// TestAcceptedStaysBelowMaxMatchSteps bounds the steps of the samples for every host name. For patterns at random it
// looks for the host name that suits them least: it takes the character that leaves most to try, and now and then
// another one.
func TestAcceptedStaysBelowMaxMatchSteps(t *testing.T) {
	for _, pattern := range acceptedPatterns {
		a, _, _, _ := measured(pattern)
		if steps, counted := a.matchSteps(); counted && steps > maxMatchSteps {
			t.Errorf("%s may take more than %d steps", pattern, maxMatchSteps)
		}
		if steps := a.worstWalk(nil); steps > maxMatchSteps {
			t.Errorf("%s takes %d steps", pattern, steps)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		pattern := accepted().Draw(t, "pattern")
		others := rapid.SliceOfN(rapid.IntRange(0, maxHostName*5), 0, 20).Draw(t, "others")
		a, _, _, _ := measured(pattern)
		if steps := a.worstWalk(others); steps > maxMatchSteps {
			t.Errorf("%s takes %d steps", pattern, steps)
		}
	})
}

// worstWalk returns the steps for a host name of maxHostName characters. An element of others says where to take a
// character that is not the greediest, and which.
func (a *automaton) worstWalk(others []int) (steps int) {
	alphabet := a.alphabet()
	paths := a.start()
	for i := range maxHostName {
		steps += a.tries(paths)
		var choices [][]int
		for _, c := range alphabet {
			choices = append(choices, a.step(paths, c))
		}
		slices.SortStableFunc(choices, func(x, y []int) int { return a.tries(y) - a.tries(x) })
		paths = choices[0]
		for _, other := range others {
			if other/5 == i {
				paths = choices[min(other%5, len(choices)-1)]
			}
		}
	}
	return steps + a.tries(paths)
}

// start returns, for each position, how many paths end there.
func (a *automaton) start() []int {
	paths := make([]int, len(a.chars))
	paths[1] = 1
	return paths
}

// step follows all paths over one character.
func (a *automaton) step(paths []int, c byte) []int {
	next := make([]int, len(paths))
	for p, n := range paths {
		if n == 0 {
			continue
		}
		for _, q := range a.follow[p] {
			if a.chars[q].has(c) {
				next[q] = min(next[q]+n, maxMatchSteps+1)
			}
		}
	}
	return next
}

// tries counts the edges that all paths try next; the end counts as an edge.
func (a *automaton) tries(paths []int) (n int) {
	for p, m := range paths {
		n += m * (len(a.follow[p]) + 1)
	}
	return n
}

// ends counts the paths on which the pattern has matched.
func (a *automaton) ends(paths []int) (n int) {
	for _, p := range a.last {
		n += paths[p]
	}
	return n
}

// walk matches a text, and counts the edges that are tried.
func (a *automaton) walk(text string) (matched bool, steps int) {
	paths := a.start()
	for _, r := range text {
		if r >= utf8.RuneSelf {
			r = 0
		}
		steps += a.tries(paths)
		paths = a.step(paths, byte(r))
	}
	return a.ends(paths) > 0, steps + a.tries(paths)
}
