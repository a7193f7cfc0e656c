package functions_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"openlicenser/shared/testing/iamtest"
)

// TestPermissions: the functions may make each of their calls of AWS, in a stack of their own and over what an earlier
// one has left. They may do nothing else, but for what testdata/uncalled.txt gives a reason for.
func TestPermissions(t *testing.T) {
	made := newStack(t)
	made.drive()
	over := made.over()
	over.driveOver()
	actors := slices.Concat(actorsOf(made, made), actorsOf(over, made))
	listed := readUncalled(t)

	for _, problem := range slices.Concat(denied(actors), tooBroad(actors), unlisted(actors, listed)) {
		t.Error(problem)
	}
	if !t.Failed() { // else there would be mistakes that nobody has planted
		plantMistakes(t, actors)
		t.Run("buckets", func(t *testing.T) { checkBuckets(t, actors) })
	}
}

// denied returns a line for each call that a function may not make.
func denied(actors []actor) (problems []string) {
	for _, a := range actors {
		for _, call := range a.calls {
			if err := a.role.Allows(call, a.policyOf(call)); err != nil {
				problems = append(problems, a.names.Replace(err.Error()))
			}
		}
	}
	return problems
}

// tooBroad returns a line for each wildcard that allows a function something else than it asks for.
func tooBroad(actors []actor) (problems []string) {
	for _, a := range actors {
		for _, g := range a.grants() {
			if i := slices.IndexFunc(g.Action, hasWildcard); i >= 0 {
				problems = append(problems, fmt.Sprintf("%s allows %s: name the actions", g.owner, g.Action[i]))
			}
		}
		for _, s := range a.statements() {
			if !slices.ContainsFunc(s.Resource, hasWildcard) {
				continue
			}
			for _, other := range a.otherCalls() {
				if applies, err := s.Applies(other); applies || err != nil {
					problems = append(problems, a.names.Replace(fmt.Sprintf(
						"%s may also %s, by the statement for %v", a.role.Name, other, s.Resource)))
				}
			}
		}
	}
	return problems
}

func hasWildcard(pattern string) bool { return strings.Contains(pattern, "*") }

// statements returns the statements that allow something.
func (a actor) statements() (statements []iamtest.Statement) {
	for _, policy := range a.role.Policies {
		for _, s := range policy.Statement {
			if s.Effect == "Allow" {
				statements = append(statements, s)
			}
		}
	}
	return statements
}

// otherCalls returns the calls of the function as if they were about what it does not ask for. Another key has another
// alias.
func (a actor) otherCalls() (others []iamtest.Call) {
	made := map[string]bool{}
	for _, call := range a.calls {
		made[call.Action+" "+a.whole(call.Resource)] = true
	}
	for _, call := range a.calls {
		service, _, _ := strings.Cut(call.Action, ":")
		for _, resource := range a.others[service] {
			if made[call.Action+" "+resource] {
				continue
			}
			other := call
			other.Resource = resource
			if key, isObject := strings.CutPrefix(call.Resource, a.whole(call.Resource)+"/"); isObject {
				other.Resource += "/" + key
			}
			if len(call.Context["kms:RequestAlias"]) > 0 {
				other = other.With("kms:RequestAlias", "alias/another")
			}
			others = append(others, other)
		}
	}
	return others
}

// whole returns the ARN of the bucket for that of an object, and any other as it is.
func (a actor) whole(arn string) string {
	if strings.HasPrefix(arn, "arn:aws:s3:::") {
		arn, _, _ = strings.Cut(arn, "/")
	}
	return arn
}

// grant is a statement that allows something, of a role or a key, with the calls that it is for.
type grant struct {
	owner string // its name in the template
	iamtest.Statement
	calls []iamtest.Call
}

func (a actor) grants() (grants []grant) {
	for _, s := range a.statements() {
		grants = append(grants, grant{a.role.Name, s, a.calls})
	}
	for arn, policy := range a.policies {
		var calls []iamtest.Call
		for _, call := range a.calls {
			if call.Resource == arn {
				calls = append(calls, call)
			}
		}
		for _, s := range policy.Statement {
			if s.Effect == "Allow" {
				grants = append(grants, grant{a.names.Replace(arn), s, calls})
			}
		}
	}
	return grants
}

// isUsed reports whether a call needs a permission of the grant.
func (g grant) isUsed(p iamtest.Permission) bool {
	return slices.ContainsFunc(g.calls, func(c iamtest.Call) bool {
		applies, err := g.Applies(c)
		return applies && err == nil && p.IsUsed(c)
	})
}

// permissionsOf returns all permissions by their texts, as "VerifyRole kms:Sign TokenKey.Arn", and whether a call needs
// them.
func permissionsOf(actors []actor) map[string]bool {
	permissions := map[string]bool{}
	for _, a := range actors {
		for _, g := range a.grants() {
			for _, p := range g.Permissions() {
				name := a.names.Replace(g.owner + " " + p.String())
				permissions[name] = permissions[name] || g.isUsed(p)
			}
		}
	}
	return permissions
}

const uncalledFile = "testdata/uncalled.txt"

// unlisted returns a line for each permission that no call needs and that is not listed, and for what is listed and
// should not be.
func unlisted(actors []actor, listed map[string]bool) (problems []string) {
	permissions := permissionsOf(actors)
	for _, name := range slices.Sorted(maps.Keys(permissions)) {
		if !permissions[name] && !listed[name] {
			problems = append(problems, "no call needs "+name+
				": make one in drive, take the permission away, or give a reason in "+uncalledFile)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		if needed, exists := permissions[name]; needed || !exists {
			problems = append(problems, fmt.Sprintf("%s lists %s: take it out, as %s", uncalledFile, name,
				map[bool]string{true: "a call needs it", false: "there is no such permission"}[exists]))
		}
	}
	return problems
}

// readUncalled reads the permissions that no call needs. In the file there are paragraphs: a reason that begins with #,
// and lines of a role or a key, a resource, and the actions on it. The first paragraph says so.
func readUncalled(t *testing.T) map[string]bool {
	t.Helper()
	file, err := os.ReadFile(uncalledFile)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, paragraph := range strings.Split(string(file), "\n\n")[1:] {
		reason, lines, _ := strings.Cut(paragraph, "\n")
		if !strings.HasPrefix(reason, "# ") {
			t.Errorf("%s: no reason above %q", uncalledFile, reason)
		}
		for line := range strings.Lines(lines) {
			words := strings.Fields(line)
			if len(words) < 3 {
				t.Fatalf("%s: %q is not of the form OWNER RESOURCE ACTION…", uncalledFile, line)
			}
			for _, action := range words[2:] {
				listed[words[0]+" "+action+" "+words[1]] = true
			}
		}
	}
	return listed
}
