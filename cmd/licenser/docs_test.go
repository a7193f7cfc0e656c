package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/embedded"
)

// readDocuments returns the README and the pages of docs/ by their names.
func readDocuments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal("no documents", err)
	}
	documents := map[string]string{}
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents[filepath.Base(file)] = string(text)
	}
	return documents
}

var (
	fence = regexp.MustCompile("(?ms)^```\\w+\n(.*?)^```$")
	// A whole command, up to a comment, a pipe or a redirection.
	wholeCommand = regexp.MustCompile(
		`(?m)(?:^|[ /=])licenser (` +
			`(?:serve|license|plan|import|export|console|completion|keys|token-key|audit|adopt|doctor|--version)` +
			`[^#|>\n]*)`)
	// The beginning of one, as running text names it.
	namedCommand = regexp.MustCompile(
		"`(?:(?:bin/)?licenser )?(" +
			"(?:serve|license|plan|keys|token-key|audit|adopt|doctor) [a-z-][^`]*|" +
			"serve|adopt|doctor|console|--version)`")
)

func testParser(t *testing.T) *kong.Kong {
	t.Helper()
	return newParser(t.Context(), &program{}, kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard))
}

// TestDocumentedCommands: the program takes each command line that the documents show, and knows each that they name.
func TestDocumentedCommands(t *testing.T) {
	documents := readDocuments(t)
	t.Chdir(t.TempDir())
	for _, file := range []string{".licenser/audit-failures/*.json", "FILE...", "chain.jsonl", "vendor-token",
		"licenses.csv", "evidence.jsonl", "kept.txt", ".licenser.old/licenser.db"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.NewReplacer("/var/lib/licenser", ".licenser", "/etc/licenser/", "", "SEQUENCE", "1")
	shown, named := 0, 0
	model := testParser(t).Model.Node
	for name, text := range documents {
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			for _, match := range wholeCommand.FindAllStringSubmatch(block[1], -1) {
				shown++
				if _, err := testParser(t).Parse(shellWords(here.Replace(match[1]))); err != nil {
					t.Errorf("%s: licenser %s: %v", name, match[1], err)
				}
			}
		}
		for _, match := range namedCommand.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			named++
			if unknown := unknownWord(model, strings.Fields(match[1])); unknown != "" {
				t.Errorf("%s: licenser %s: there is no %s", name, match[1], unknown)
			}
		}
	}
	if shown < 20 || named < 10 {
		t.Errorf("found %d and %d", shown, named)
	}
}

// TestDocumentedLimits: docs/operate.md has the limits of the server.
func TestDocumentedLimits(t *testing.T) {
	_, limits, found := strings.Cut(strings.Join(strings.Fields(readDocuments(t)["operate.md"]), " "), "## Limits")
	if !found {
		t.Fatal("there are no limits")
	}
	for _, want := range []string{
		fmt.Sprintf("%d KiB for products, %d KiB for the vendor",
			verification.Verifier{}.Router().MaxBody>>10, vendorRouter(t).MaxBody>>10),
		fmt.Sprintf("bodies over %d KiB it holds %d MiB", smallBody>>10, allBodies>>20),
		fmt.Sprintf("%s connections", thousands(maxConnections)),
		fmt.Sprintf("under %d MiB", memoryLimit>>20),
		fmt.Sprintf("may be %d KB long", maxHeader>>10),
		fmt.Sprintf("within %.0f seconds, its header within %.0f seconds",
			requestTimeout.Seconds(), headerTimeout.Seconds()),
		fmt.Sprintf("cut off %.0f seconds after", newServer(nil).WriteTimeout.Seconds()),
		fmt.Sprintf("While %s changes wait", thousands(maxBehind)),
		fmt.Sprintf("At most %d more", embedded.MaxWriters),
	} {
		if !strings.Contains(limits, want) {
			t.Errorf("docs/operate.md does not say: %s", want)
		}
	}
}

// thousands writes a number of four to six digits as the documents do.
func thousands(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }

// unknownWord returns the first of the words that is no command or flag, or nothing.
func unknownWord(node *kong.Node, words []string) string {
	for _, word := range words {
		if strings.HasPrefix(word, "--") {
			isThis := func(flag *kong.Flag) bool { return "--"+flag.Name == word }
			if !slices.ContainsFunc(slices.Concat(node.AllFlags(false)...), isThis) {
				return word
			}
		} else if len(node.Children) > 0 { // otherwise it is an argument
			next := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word })
			if next < 0 {
				return word
			}
			node = node.Children[next]
		}
	}
	return ""
}

// TestDocumentedCommandsRun runs what the documents show for a local server on one, in their order, and wants of each
// what they say: that it works, or that it is too early.
func TestDocumentedCommandsRun(t *testing.T) {
	documents := readDocuments(t)
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	folder := t.TempDir()
	t.Chdir(folder)
	s := start(t, ".licenser", "--checkpoint-interval", "100ms")
	l := s.issue()
	s.trail(l.LicenseID, 1)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if status, text := s.call("GET", "/licenses/"+l.LicenseID+"/audit/proof", ""); status == 200 {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(text)
		}
	}
	if err := os.MkdirAll("bin", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, "bin/licenser"); err != nil {
		t.Fatal(err)
	}
	_, key := s.call("GET", "/audit/checkpoint-key", "")
	run := func(command string) (string, error) {
		shell := exec.Command("bash", "-c", command)
		shell.Env = append(os.Environ(), "LICENSER_API="+s.url, "KEY="+strings.TrimSpace(key))
		output, err := shell.CombinedOutput()
		return string(output), err
	}
	secrets, err := run("bin/licenser keys show --data .licenser")
	kid := regexp.MustCompile(`(?m)^(\S{43})\s`).FindStringSubmatch(secrets)
	if err != nil || kid == nil {
		t.Fatal(err, secrets)
	}
	tooEarly := map[string]string{
		"keys affected":     "still signs",
		"token-key promote": "can be promoted from",
		"token-key retire":  "there is no predecessor",
	}
	here := strings.NewReplacer("http://127.0.0.1:3000", s.url, "LICENSEID", l.LicenseID, "KID", kid[1])
	local := regexp.MustCompile(`(?m)^(?:curl -s http://127\.0\.0\.1|bin/licenser (\S+ \S+)).*$`)
	ran := 0
	for _, name := range []string{"README.md", "audit-trail.md", "keys-and-tokens.md"} {
		for _, block := range fence.FindAllStringSubmatch(documents[name], -1) {
			for _, match := range local.FindAllStringSubmatch(block[1], -1) {
				if match[1] == "audit replay" || match[1] == "doctor --stack" {
					continue // see TestReplay: it takes a failure, and a server that is stopped; and TestExamples
				}
				ran++
				output, err := run(here.Replace(match[0]))
				want, refused := tooEarly[match[1]]
				if (err != nil) != refused || !strings.Contains(output, want) {
					t.Errorf("%s: %s: %v\n%s", name, match[0], err, output)
				}
			}
		}
	}
	if ran < 14 {
		t.Errorf("ran %d", ran)
	}
	s.stop()
}

// TestDocumentedDoctor: docs/deploy.md has each code of the report of licenser doctor in its table, each name of its
// JSON, and each permission in its policy, and no other.
func TestDocumentedDoctor(t *testing.T) {
	_, text, _ := strings.Cut(readDocuments(t)["deploy.md"], "\n## After the first deployment\n")
	text, _, found := strings.Cut(text, "\n## ")
	if !found {
		t.Fatal("docs/deploy.md has no such section")
	}
	named := map[string]bool{}
	for _, match := range regexp.MustCompile("`([A-Z]+_[A-Z_]+)`").FindAllStringSubmatch(text, -1) {
		named[match[1]] = true
	}
	for _, code := range codesOfDoctor(t) {
		if !named[code] {
			t.Errorf("docs/deploy.md does not name %s", code)
		}
		delete(named, code)
	}
	if len(named) > 0 {
		t.Errorf("docs/deploy.md names %v, which nothing leads to", named)
	}
	for field := range reflect.TypeFor[examined]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/deploy.md does not name %s", name)
		}
	}
	var policy struct {
		Statement []struct{ Action []string }
	}
	_, block, _ := strings.Cut(text, "```json\n")
	if err := json.NewDecoder(strings.NewReader(block)).Decode(&policy); err != nil || len(policy.Statement) != 1 {
		t.Fatal(err, policy)
	}
	if got := policy.Statement[0].Action; !slices.Equal(got, doctorActions) {
		t.Errorf("docs/deploy.md allows %v", got)
	}
}

// TestDocumentedCheck: docs/migrate.md names every field of the report of licenser adopt --check, and every finding.
func TestDocumentedCheck(t *testing.T) {
	text := readDocuments(t)["migrate.md"]
	source, err := os.ReadFile("adoptfindings.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`"([A-Z]+_[A-Z_]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 18 {
		t.Errorf("found %d codes", len(codes))
	}
	for _, code := range codes {
		first, _, found := strings.Cut(text, "`"+code[1]+"`")
		if !found || !strings.HasPrefix(first[strings.LastIndex(first, "\n")+1:], "| ") {
			t.Errorf("docs/migrate.md has no row for %s", code[1])
		}
	}
	report, err := os.ReadFile("testdata/adopt-check.json")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^ *"(\w+)":`).FindAllStringSubmatch(string(report), -1)
	for _, name := range names {
		if !strings.Contains(text, "`"+name[1]+"`") && !strings.Contains(text, "`records."+name[1]+"`") {
			t.Errorf("docs/migrate.md does not say what %s is", name[1])
		}
	}
	if len(names) < 50 {
		t.Errorf("found %d names", len(names))
	}
}
