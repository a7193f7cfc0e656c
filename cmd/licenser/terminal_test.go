package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// person sits at a terminal in which the program runs.
type person struct {
	t       *testing.T
	command *exec.Cmd
	screen  *os.File
	ended   chan struct{}

	mu   sync.Mutex
	seen string
}

// sit runs the program in a terminal of so many columns.
func sit(s *server, columns uint16, environment []string, arguments ...string) *person {
	s.t.Helper()
	if runtime.GOOS == "windows" {
		s.t.Skip("there are no pseudo terminals")
	}
	p := &person{t: s.t, command: exec.Command(binary, arguments...), ended: make(chan struct{})}
	p.command.Env = append(os.Environ(), append(environment, "LICENSER_API="+s.url, "TERM=xterm-256color")...)
	var err error
	p.screen, err = pty.StartWithSize(p.command, &pty.Winsize{Rows: 24, Cols: columns})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { p.screen.Close(); p.command.Process.Kill() })
	go func() {
		defer close(p.ended)
		buffer := make([]byte, 4096)
		for {
			n, err := p.screen.Read(buffer)
			p.mu.Lock()
			p.seen += string(buffer[:n])
			p.mu.Unlock()
			if err != nil { // EIO where the program has ended
				return
			}
		}
	}()
	return p
}

// sees waits until the screen shows a text.
func (p *person) sees(text string) *person {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		found := strings.Contains(p.seen, text)
		p.mu.Unlock()
		if found {
			return p
		}
	}
	p.t.Fatalf("the screen does not show %q:\n%s", text, p.seen)
	return p
}

func (p *person) types(keys string) *person {
	p.t.Helper()
	if _, err := io.WriteString(p.screen, keys); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// leaves waits for the end of the program, and returns what the screen has shown, and the exit code.
func (p *person) leaves() (screen string, code int) {
	p.t.Helper()
	err := p.command.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	<-p.ended
	return strings.ReplaceAll(p.seen, "\r\n", "\n"), p.command.ProcessState.ExitCode()
}

// TestDayAtATerminal: a person looks for a license, thinks twice before revoking it, and sees what became of it.
func TestDayAtATerminal(t *testing.T) {
	s := start(t, t.TempDir())
	s.done("license", "issue", "--customer-name", "Example Ltd", "--reference", "order-4711",
		"--expires", time.Now().UTC().AddDate(0, 0, 12).Format(time.DateOnly))
	revoke := func() *person {
		return sit(s, 120, nil, "license", "revoke", "order-4711", "--reason", "unpaid").sees("[y/N]")
	}

	screen, code := sit(s, 120, nil, "license", "list", "--customer-name", "example").leaves()
	if code != 0 || !strings.Contains(screen, "\x1b[32mactive\x1b[0m  Example Ltd  ") ||
		!regexp.MustCompile(`\(in 12 days\)`).MatchString(screen) {
		t.Errorf("list: exit code %d\n%q", code, screen)
	}

	screen, code = revoke().
		sees("of Example Ltd, active").sees("stop at their next verification. [y/N]").types("n\r").leaves()
	if code != exitOther || !strings.Contains(screen, "nothing was changed") {
		t.Errorf("no: exit code %d\n%s", code, screen)
	}
	var l vendorapi.License
	if s.get("/licenses/ref:order-4711", &l); l.Status != license.Active {
		t.Errorf("a no has made it %s", l.Status)
	}
	screen, code = revoke().types("\x03").leaves()
	if code != exitOther || !strings.Contains(screen, "interrupted") {
		t.Errorf("Ctrl-C: exit code %d\n%s", code, screen)
	}
	screen, code = revoke().types("y\r").leaves()
	if code != 0 || !strings.Contains(screen, "\x1b[31;1mrevoked\x1b[0m") {
		t.Errorf("yes: exit code %d\n%q", code, screen)
	}

	screen, code = sit(s, 120, []string{"NO_COLOR=1"}, "license", "show", "order-4711").leaves()
	if code != 0 || strings.Contains(screen, "\x1b[") || !strings.Contains(screen, "changereason     unpaid\n") {
		t.Errorf("without colors: exit code %d\n%q", code, screen)
	}
	screen, _ = sit(s, 60, []string{"NO_COLOR=1"}, "license", "list").leaves()
	for line := range strings.Lines(screen) {
		if len([]rune(strings.TrimSpace(line))) > 60+36 { // the id is never cut
			t.Errorf("too wide: %q", line)
		}
	}
	for _, question := range [][]string{
		{"license", "delete", "order-4711", "--reason", "x"},
		{"license", "reset-devices", "order-4711", "--reason", "x"},
		{"plan", "delete", "none"},
	} {
		screen, code := sit(s, 80, nil, question...).sees("[y/N]").types("\r").leaves()
		if code != exitOther || !strings.Contains(screen, "nothing was changed") {
			t.Errorf("licenser %v: exit code %d\n%s", question, code, screen)
		}
	}
}

// TestImportAtATerminal: a long import shows how far it is.
func TestImportAtATerminal(t *testing.T) {
	s := start(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "in.csv")
	text := "customername,expirationdate\n" + strings.Repeat("Example Ltd,never\n", 40)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	screen, code := sit(s, 100, nil, "import", file, "--rate", "30").sees("40 licenses are issued").leaves()
	if code != 0 || !regexp.MustCompile(`licenses +\d+% .*\(\d+/40`).MatchString(screen) {
		t.Errorf("exit code %d\n%q", code, screen)
	}
}

// TestCompletion: the shells get the words that can follow.
func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"": "license plan import export console audit keys token-key serve adopt " +
			"doctor completion",
		"lic":                            "license",
		"license re":                     "renew reinstate revoke reset-devices release-device",
		"license revoke --re":            "--reason",
		"license revoke order --y":       "--yes",
		"license list --status":          "--status",
		"license list --output ":         "table json csv",
		"license list -o j":              "json",
		"license list --output=c":        "--output=csv",
		"license list --status re":       "revoked",
		"license list --output j":        "json",
		"--output json license sh":       "show",
		"--output=json license sh":       "show",
		"license issue --plan license -": "",
		"completion ":                    "bash zsh fish",
		"completion z":                   "zsh",
		"import ":                        "",
		"nothing like that ": "license plan import export console audit keys token-key serve adopt " +
			"doctor completion",
		"license issue --customer-name list": "",
	} {
		words := strings.Split(line, " ")
		out, err := exec.Command(binary, append([]string{completeName}, words...)...).Output()
		got := strings.Join(strings.Fields(string(out)), " ")
		if strings.HasSuffix(line, " -") {
			if !strings.Contains(got, "--customer-name --email") || !strings.Contains(got, "--output") {
				t.Errorf("%q: %s", line, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %q, want %q, %v", line, got, want, err)
		}
	}
}

// TestShells: each shell that is here takes its completion, and completes by it.
func TestShells(t *testing.T) {
	scripts := map[string]string{
		"bash": `eval "$(licenser completion bash)"
COMP_WORDS=(licenser license revo) COMP_CWORD=2 COMP_LINE= COMP_POINT=0
_licenser; echo "${COMPREPLY[@]}"`,
		"zsh": `compdef() { :; }; compadd() { shift; echo "$@"; }; _files() { :; }
eval "$(licenser completion zsh)"
words=(licenser license revo) CURRENT=3; _licenser`,
		"fish": `licenser completion fish | source; complete --do-complete 'licenser license revo'`,
	}
	tried := 0
	for shell, script := range scripts {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		tried++
		command := exec.Command(path, "-c", script)
		command.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := command.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "revoke") {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
	if tried == 0 {
		t.Skip("there is none of the shells")
	}
}
