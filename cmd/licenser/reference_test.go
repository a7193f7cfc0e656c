package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
)

// leaves returns the commands that do something, in the order of the help.
func leaves(node *kong.Node) (found []*kong.Node) {
	if len(node.Children) == 0 {
		return []*kong.Node{node}
	}
	for _, child := range node.Children {
		found = append(found, leaves(child)...)
	}
	return found
}

// examplesOf returns what a command says before its examples, and these.
func examplesOf(command *kong.Node) (text string, lines []string) {
	text, shown, _ := strings.Cut(command.Detail, "Examples:\n\n")
	for line := range strings.Lines(shown) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.TrimSpace(text), lines
}

// everywhere are flags that docs/cli.md describes once.
var everywhere = []string{"help", "version", "output", "api", "api-token-file"}

// reference returns what docs/cli.md says of a command.
func reference(command *kong.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s\n", command.FullPath(), wrapped(command.Help))
	text, lines := examplesOf(command)
	if text != "" {
		fmt.Fprintf(&b, "\n%s\n", wrapped(text))
	}
	fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.Join(lines, "\n"))
	var rows []string
	add := func(name, help, initial string, required bool) {
		if initial != "" {
			help += " `" + initial + "` unless set."
		}
		if required {
			help += " Required."
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", name, strings.ReplaceAll(help, "|", `\|`)))
	}
	for _, argument := range command.Positional {
		add(strings.ToUpper(argument.Name), argument.Help, "", argument.Required)
	}
	for _, flag := range flagsAt(command) {
		if slices.Contains(everywhere, flag.Name) {
			continue
		}
		name := "--" + flag.Name
		if !flag.IsBool() {
			name += " " + flag.FormatPlaceHolder()
		}
		add(name, flag.Help, flag.Default, flag.Required && len(flag.Xor) == 0)
	}
	if len(rows) > 0 {
		fmt.Fprintf(&b, "\n| | |\n|---|---|\n%s", strings.Join(rows, ""))
	}
	return b.String()
}

// wrapped breaks the lines of a text at 120 columns. Those that are indented are code.
func wrapped(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, " ") {
			lines = append(lines, line)
			continue
		}
		words := strings.Fields(line)
		line = ""
		for _, word := range words {
			if line != "" && len([]rune(line+" "+word)) > 120 {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

const (
	referenceBegins = "<!-- commands: written by go test ./cmd/licenser -run TestCommandReference -update -->\n"
	referenceEnds   = "\n<!-- end -->"
)

// TestCommandReference: docs/cli.md describes each command as the program does.
func TestCommandReference(t *testing.T) {
	var texts []string
	for _, command := range leaves(testParser(t).Model.Node) {
		texts = append(texts, reference(command))
	}
	const file = "../../docs/cli.md"
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(page), referenceBegins)
	written, after, ended := strings.Cut(rest, referenceEnds)
	want := "\n" + strings.Join(texts, "\n")
	switch {
	case !begun || !ended:
		t.Fatalf("%s has no place for the commands", file)
	case *updateGolden:
		if err := os.WriteFile(file, []byte(before+referenceBegins+want+referenceEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case written != want:
		t.Errorf("%s is not up to date: go test ./cmd/licenser -run TestCommandReference -update", file)
	}
	for _, flag := range everywhere {
		if !strings.Contains(before, "`--"+flag) {
			t.Errorf("%s does not describe --%s", file, flag)
		}
	}
}

// refusedExamples are steps that have to wait, and what the program says of them.
var refusedExamples = map[string]string{
	"licenser token-key promote": "products may not know the successor yet",
	"licenser token-key retire":  "there is no predecessor",
	"licenser audit acknowledge": "there are no checkpoints",
}

// TestExamples runs the examples of all commands, as a shell does, and wants them to do what they say.
func TestExamples(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	data := filepath.Join(t.TempDir(), "served")
	s := start(t, data, "--checkpoint-interval", "100ms")
	newCloud(t, s, data) // for licenser doctor
	t.Chdir(t.TempDir())
	prepareExamples(t, s)
	run := func(line string) (output string, err error) {
		command := exec.Command(shell, "-c", line)
		command.Env = append(os.Environ(), "LICENSER_API="+s.url,
			"PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := command.CombinedOutput()
		return string(out), err
	}
	for _, command := range leaves(testParser(t).Model.Node) {
		_, lines := examplesOf(command)
		if len(lines) == 0 {
			t.Errorf("%s has no example", command.FullPath())
		}
		for _, line := range lines {
			if !strings.HasPrefix(line+" ", command.FullPath()+" ") {
				t.Errorf("%s has the example %s", command.FullPath(), line)
			}
			switch command.Name {
			case "serve":
				runServeExample(t, line)
				continue
			case "console":
				runConsoleExample(t, line, s.url)
				continue
			}
			if strings.Contains(line, "KID") {
				line = strings.ReplaceAll(line, "KID", earlierKeyID(t))
			}
			line = strings.ReplaceAll(line, "DEVICE", deviceOfShip)
			output, err := run(line)
			refusal, isRefused := refusedExamples[command.FullPath()]
			if isRefused && (err == nil || !strings.Contains(output, refusal)) || !isRefused && err != nil {
				t.Errorf("%s: %v\n%s", line, err, output)
			}
		}
	}
	wantExamplesDone(t, s)
}

// deviceOfShip is a device that holds a seat of ship-12 again after each example that resets them.
const deviceOfShip = `$(licenser license token ship-12 --fingerprint another-computer >/dev/null 2>&1; ` +
	`licenser license devices ship-12 | sed -n '2s/\t.*//p')`

// prepareExamples makes what the examples are about: licenses and plans that the server has, files, and a data folder
// that no server has open.
func prepareExamples(t *testing.T, s *server) {
	for _, body := range []string{
		`{"customername":"Example Ltd","expirationdate":"2100-01-01","reference":"order-4711"}`,
		`{"customername":"Example Ltd","expirationdate":"2100-01-01","reference":"order-4712"}`,
		`{"customername":"Ship","expirationdate":"never","reference":"ship-12","maxdevices":3,"leaseminutes":60,` +
			`"maxleaseminutes":43200}`,
	} {
		if status, text := s.call("POST", "/licenses", body); status != 201 {
			t.Fatal(status, text)
		}
	}
	for _, name := range []string{"pro", "trial", "basic"} {
		if status, text := s.call("PUT", "/plans/"+name, `{"durationdays":14}`); status != 201 {
			t.Fatal(status, text)
		}
	}
	s.trail("ref:order-4711", 1)
	signed := 0
	for deadline := time.Now().Add(10 * time.Second); signed != 200 && time.Now().Before(deadline); {
		signed, _ = s.call("GET", "/licenses/ref:order-4711/audit/proof", "")
		time.Sleep(50 * time.Millisecond)
	}
	chain := s.done("audit", "export", "order-4711")
	if err := os.WriteFile("chain.jsonl", []byte(chain), 0o600); err != nil {
		t.Fatal(err)
	}
	const rows = "customername,expirationdate\nA,2100-01-01\n\"B, Ltd\",never\n"
	if err := os.WriteFile("licenses.csv", []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := embedded.Open(".licenser")
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Licenses.PutRecord(t.Context(), foreignRecord(1, nil)); err != nil {
		t.Fatal(err)
	}
	changes, err := folder.Changes.Oldest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	batch, errBatch := newBatch(changes)
	if err := errors.Join(errBatch, folder.Close()); err != nil {
		t.Fatal(err)
	}
	if err := writeFailure(".licenser/audit-failures/1.json", batch, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func runServeExample(t *testing.T, line string) {
	t.Helper()
	line = regexp.MustCompile(` --listen \S+`).ReplaceAllString(line, "")
	_, options, _ := strings.Cut(line, "--data .licenser")
	start(t, ".licenser", shellWords(options)...).stop()
}

func runConsoleExample(t *testing.T, line, api string) {
	t.Helper()
	line = regexp.MustCompile(` --listen \S+`).ReplaceAllString(line, "")
	command := exec.Command(binary, shellWords(line)[1:]...)
	command.Env = append(os.Environ(), "LICENSER_API="+api)
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer command.Process.Kill()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Errorf("%s: %v", line, err)
	}
	if err := errors.Join(command.Process.Signal(os.Interrupt), command.Wait()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}

// shellWords splits a command line as a shell does, as far as the documents need it.
func shellWords(line string) (words []string) {
	for _, word := range regexp.MustCompile(`(?:[^\s"]|"[^"]*")+`).FindAllString(line, -1) {
		words = append(words, strings.ReplaceAll(word, `"`, ""))
	}
	return words
}

// earlierKeyID returns the id of the secret that signed before.
func earlierKeyID(t *testing.T) string {
	ring, err := embedded.RingStore{Folder: ".licenser"}.Read(context.Background())
	if err != nil || len(ring.Earlier) == 0 {
		t.Fatal("no earlier secret", err)
	}
	return ring.Earlier[0].Secret.KeyID()
}

// wantExamplesDone wants of the licenses what the examples have done to them, the last ones among it.
func wantExamplesDone(t *testing.T, s *server) {
	var l struct {
		Status  license.Status
		Plan    string
		Email   string
		AppURLs []license.AppURL
	}
	s.get("/licenses/ref:order-4711", &l)
	if l.Status != license.Revoked || l.Plan != "pro" || l.Email != "office@example.com" || len(l.AppURLs) != 0 {
		t.Errorf("order-4711 is %+v", l)
	}
	if status, _ := s.call("GET", "/licenses/ref:order-4712", ""); status != 404 {
		t.Errorf("order-4712: %d", status)
	}
	if status, _ := s.call("GET", "/plans/basic", ""); status != 404 {
		t.Errorf("the plan basic: %d", status)
	}
	result, err := os.ReadFile("licenses.csv.result.csv")
	if err != nil || strings.Count(string(result), ",issued,") != 2 {
		t.Errorf("%v, imported %s", err, result)
	}
	for file, want := range map[string]string{
		"licenses.csv": "order-4711", "licenses.jsonl": `"reference":"ship-12"`, "chain.jsonl": `"action":"REVOKED"`,
		"trusted.json": `"kid": `, "trusted.pem": "BEGIN PUBLIC KEY",
		"device.lic": "ey", "affected.csv": "licenseid,",
	} {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, %.300s", file, err, text)
		}
	}
}
