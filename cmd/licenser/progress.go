package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressLineEvery is how often progress is a line where it is no bar.
const progressLineEvery = 10 * time.Second

// progress shows how far a command has come: a bar on a terminal, and elsewhere a line now and then. A nil one shows
// nothing.
type progress struct {
	out   io.Writer
	what  string // as records
	bar   *progressbar.ProgressBar
	mu    sync.Mutex
	total int64     // about as many as there are; 0: nobody knows
	line  time.Time // when the last line was written
}

// newProgress returns a progress on standard error, unless a test sets another writer.
func newProgress(out io.Writer, what string, total int64) *progress {
	p := &progress{out: out, what: what, total: total, line: time.Now()}
	if file, isFile := out.(*os.File); !isFile || !term.IsTerminal(int(file.Fd())) {
		return p
	}
	if total == 0 {
		total = -1 // a spinner
	}
	p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	return p
}

// expect says about how many there are, as far as that is known by now.
func (p *progress) expect(total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
	if p.bar != nil {
		p.bar.ChangeMax64(total)
	}
}

// show says how many there are so far.
func (p *progress) show(so int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.bar != nil:
		if n := int64(so); p.total > 0 && n > p.total { // the total was an older one
			p.total = n
			p.bar.ChangeMax64(n)
		}
		_ = p.bar.Set(so) // it is no reason to stop
	case time.Since(p.line) >= progressLineEvery:
		p.line = time.Now()
		of := ""
		if p.total > 0 {
			of = fmt.Sprintf(" of about %d", p.total)
		}
		fmt.Fprintf(p.out, "%d%s %s\n", so, of, p.what)
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p != nil && p.bar != nil {
		_ = p.bar.Finish()
	}
}
