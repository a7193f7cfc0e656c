package browsertest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/chromedp/chromedp"
)

// AxeVariable demands that axe-core is there.
const AxeVariable = "LICENSER_TEST_AXE"

// atOnce stands in for setTimeout where scripts are forbidden, and no timer runs. axe-core waits for those without a
// delay; its others are time-outs, which never happen here. To permit scripts meanwhile would hide all of noscript.
const atOnce = `(then, delay, ...values) => { if (!delay) Promise.resolve().then(() => then(...values)); return 0; }`

// violation is what a rule of axe-core has found, and where.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML string `json:"html"`
	} `json:"nodes"`
}

// Axe fails the test if axe-core finds anything in what the page shows now, contrast and labels among it. It skips the
// test where axe-core is not installed and AxeVariable does not demand it.
func (b *Tab) Axe() {
	b.Helper()
	for _, found := range b.violations() {
		b.Errorf("%s: %s: %s: %v", Run[string](b, `location.href`), found.ID, found.Help, found.Nodes)
	}
}

func (b *Tab) violations() []violation {
	b.Helper()
	script := b.axe()
	if b.withoutScripts {
		script = `((setTimeout) => {` + script + `})(` + atOnce + `)`
	}
	if !Run[bool](b, `'axe' in window`) {
		Run[chromedp.Void](b, script)
	}
	return Run[[]violation](b, `axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations)`)
}

// axe returns the script that make test-browser has installed for the module that the test is in.
func (b *Tab) axe() string {
	b.Helper()
	folder, err := os.Getwd()
	if err != nil {
		b.Fatal(err)
	}
	for !exists(filepath.Join(folder, "go.mod")) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
	}
	script, err := os.ReadFile(filepath.Join(folder, ".tools", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil && os.Getenv(AxeVariable) != "" {
		b.Fatal(err)
	}
	if err != nil {
		b.Skipf("no axe-core: make test-browser installs it")
	}
	return string(script)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}
