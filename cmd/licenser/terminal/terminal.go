// Package terminal is how the program talks to people and to scripts. People at a terminal get aligned tables, colors,
// and dates in words. A pipe or a file gets the same facts in a form that stays: tab-separated, JSON or CSV. The
// package knows nothing of licenses.
package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Format is a form of output.
type Format string

// The forms of output. Text is a table on a terminal, and tab-separated elsewhere.
const (
	Text Format = "table"
	JSON Format = "json"
	CSV  Format = "csv"
)

// Terminal is where the program reads and writes.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
	Format   Format
	Now      func() time.Time

	ForPeople bool // Out is a terminal
	CanAsk    bool // somebody reads Err and types into In
	Colors    bool
	Width     int // of the terminal in columns; 0: without bound
}

// New returns the terminal of this process. Colors are off where NO_COLOR is set (https://no-color.org/) or the
// terminal is a dumb one.
func New(format Format) *Terminal {
	if format == "text" { // an older name
		format = Text
	}
	t := &Terminal{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Format: format, Now: time.Now,
		ForPeople: term.IsTerminal(int(os.Stdout.Fd())),
		CanAsk:    term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
	}
	if t.ForPeople {
		t.Colors = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
			t.Width = width
		}
	}
	return t
}

// The errors of Confirm.
var (
	ErrCannotAsk = errors.New("nobody can be asked here; --yes says that it is meant")
	ErrDeclined  = errors.New("nothing was changed")
)

// Confirm asks whether to go on, unless yes says so already. Its errors are ErrCannotAsk, ErrDeclined, and that of the
// context.
func (t *Terminal) Confirm(ctx context.Context, yes bool, question string) error {
	switch {
	case yes:
		return nil
	case !t.CanAsk:
		return ErrCannotAsk
	}
	for line := range strings.Lines(question) {
		fmt.Fprint(t.Err, Printable(strings.TrimSuffix(line, "\n")))
		if strings.HasSuffix(line, "\n") {
			fmt.Fprintln(t.Err)
		}
	}
	fmt.Fprint(t.Err, " [y/N] ")
	answer := make(chan string, 1)
	go func() { // reading cannot be interrupted, so that it is left alone after an interrupt
		line, _ := bufio.NewReader(t.In).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(t.Err)
		return ctx.Err()
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return ErrDeclined
	}
}

// Say tells people what was done. Scripts read the exit code instead.
func (t *Terminal) Say(format string, args ...any) {
	fmt.Fprintln(t.Err, Printable(fmt.Sprintf(format, args...)))
}
