package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/vendorapi"
)

// TestPatience: a busy service is asked again, more slowly and not for ever, and faster when it is well again. What
// cannot pass is not asked again.
func TestPatience(t *testing.T) {
	busy := &vendorapi.Problem{Status: http.StatusTooManyRequests, RetryAfter: 24 * time.Hour}
	for name, test := range map[string]struct {
		errors []error // of the calls, the last one of all further calls
		calls  int
		longer time.Duration // than this it takes
	}{
		"OK":                 {[]error{nil}, 1, 0},
		"too much once":      {[]error{busy, nil}, 2, longestPause},
		"unavailable":        {[]error{&vendorapi.Problem{Status: 503}}, importTries, 30 * time.Second},
		"no network":         {[]error{&url.Error{Op: "Get", Err: io.EOF}, nil}, 2, firstPause},
		"refused":            {[]error{&vendorapi.Problem{Status: 400}}, 1, 0},
		"no credentials":     {[]error{errors.New("no credentials")}, 1, 0},
		"not allowed at all": {[]error{&vendorapi.Problem{Status: 403}}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := &importer{pace: rate.NewLimiter(10, 1), fastest: 10}
				calls, begun := 0, time.Now()
				err := i.try(t.Context(), func() error {
					err := test.errors[min(calls, len(test.errors)-1)]
					calls++
					return err
				})
				took := time.Since(begun)
				if want := test.errors[len(test.errors)-1]; !errors.Is(err, want) || calls != test.calls ||
					took < test.longer || took > test.longer+2*time.Minute {
					t.Errorf("%d calls in %v, %v", calls, took, err)
				}
				isSlower := i.pace.Limit() < 10
				if isSlower != (test.longer > 0) {
					t.Errorf("the pace is %v", i.pace.Limit())
				}
				for range 100 {
					i.speedUp()
				}
				if i.pace.Limit() != 10 {
					t.Errorf("the pace is %v in the end", i.pace.Limit())
				}
			})
		})
	}
}

// TestPaceOnAWS: a service on AWS is asked at half the rate that the template lets through, unless another is asked
// for.
func TestPaceOnAWS(t *testing.T) {
	setAWS(t, "http://127.0.0.1:1")
	for name, test := range map[string]struct {
		c    importCommand
		want rate.Limit
	}{
		"AWS":    {importCommand{vendorAPI: vendorAPI{API: "https://api.example.com"}}, importRate},
		"asked":  {importCommand{vendorAPI: vendorAPI{API: "https://api.example.com"}, Rate: 50}, 50},
		"local":  {importCommand{vendorAPI: vendorAPI{API: "http://127.0.0.1:3000"}}, rate.Inf},
		"slower": {importCommand{vendorAPI: vendorAPI{API: "http://127.0.0.1:3000"}, Rate: 1}, 1},
	} {
		i, err := test.c.importer(t.Context())
		if err != nil || i.pace.Limit() != test.want || i.pace.Burst() != 1 {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
}

// TestResultFile: the result is for its owner alone, and an earlier one stays until there is a whole one.
func TestResultFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "keys.csv")
	write := func(text string, isWhole bool) string {
		t.Helper()
		f, err := createResult(path)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil {
			t.Fatal(err)
		}
		at, err := f.finish(isWhole)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Base(at)
	}
	wants := func(want string) {
		t.Helper()
		text, err := os.ReadFile(path)
		info, errInfo := os.Stat(path)
		if err != nil || errInfo != nil || string(text) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%q with %v, want %q, %v", text, info.Mode(), want, errors.Join(err, errInfo))
		}
	}
	if err := os.WriteFile(path, []byte("of others"), 0o666); err != nil {
		t.Fatal(err)
	}
	if at := write("first", true); at != "keys.csv" {
		t.Errorf("it is in %s", at)
	}
	wants("first")
	if at := write("a part", false); at != "keys.csv.part" {
		t.Errorf("a part is in %s", at)
	}
	wants("first")
	write("second", true)
	wants("second")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if at := write("a part", false); at != "keys.csv" {
		t.Errorf("the first part is in %s", at)
	}

	input, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(folder, "link.csv")
	if err := os.Link(path, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, link, folder, filepath.Join(folder, "none", "x.csv")} {
		if err := checkResult(path, input); exitCode(err) != exitUsage {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := checkResult(filepath.Join(folder, "new.csv"), input); err != nil {
		t.Error(err)
	}
}

// TestImportOfAChangedFile: a file that is changed while it is imported is not read on.
func TestImportOfAChangedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.csv")
	text := "customername,expirationdate\n" + strings.Repeat("A,never\n", 3)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	begun, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var last error
	for _, err := range (importCommand{File: path}).rows(file, begun, "csv") {
		if last = err; err == nil {
			n++
		}
		if n == 1 {
			later := begun.ModTime().Add(time.Second)
			if err := os.Chtimes(path, later, later); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	if n != 1 || last == nil || !strings.Contains(last.Error(), "was changed") {
		t.Errorf("%d rows, %v", n, last)
	}
}

// TestTally: what to do about refused rows depends on whether others would be issued once more.
func TestTally(t *testing.T) {
	said := &strings.Builder{}
	term := &terminal.Terminal{Err: said}
	for name, test := range map[string]struct {
		rows []importedRow
		err  error
		code int
		want string
	}{
		"OK": {[]importedRow{{Result: rowIssued}, {Result: rowExisted}}, nil, 0,
			"1 licenses are issued, 1 existed"},
		"named": {[]importedRow{{Result: rowRefused}}, nil, exitUsage, "Mend them, and run it again"},
		"anonymous": {[]importedRow{{Result: rowRefused}, {Result: rowIssued, isAnonymous: true}}, nil, exitUsage,
			"file of their own"},
		"interrupted": {[]importedRow{{Result: rowIssued}}, context.Canceled, exitOther, "Run the same again"},
	} {
		said.Reset()
		var n tally
		for _, r := range test.rows {
			n.add(r)
		}
		err := n.report(term, 9, "keys.csv", test.err)
		text := said.String()
		if err != nil {
			text = explain(err, testParser(t).Model.Node)
		}
		if exitCode(err) != test.code || !strings.Contains(text, test.want) || !strings.Contains(text, "keys.csv") {
			t.Errorf("%s: %d %s", name, exitCode(err), text)
		}
	}
}

// TestAdvice: what to do next is told whatever the service says.
func TestAdvice(t *testing.T) {
	root := testParser(t).Model.Node
	for _, err := range []error{
		&vendorapi.Problem{Status: 503, Code: "BUSY", Detail: "x"}, context.Canceled,
		&url.Error{Op: "Get", URL: "http://x", Err: io.EOF}, errors.New("else"),
	} {
		advice := advised{err, "What was written is not all."}
		if text := explain(advice, root); !strings.HasSuffix(text, "\nWhat was written is not all.") ||
			!strings.HasPrefix(text, explain(err, root)) || exitCode(advice) != exitCode(err) {
			t.Errorf("%v: %s", err, text)
		}
	}
}

// TestExitCodesOfProblems: each refusal of the service is one of the documented kinds.
func TestExitCodesOfProblems(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   int
	}{
		{400, "INVALID_FIELDS", exitUsage}, {400, "INVALID_LICENSE", exitNotFound}, {400, "LICENSE_EXPIRED",
			exitConflict},
		{400, "DEVICE_LIMIT_REACHED", exitConflict}, {401, "", exitOther}, {403, "", exitOther},
		{404, "", exitNotFound}, {409, "", exitConflict}, {410, "", exitNotFound}, {412, "", exitConflict},
		{422, "", exitUsage}, {428, "", exitUsage}, {429, "", exitUnavailable}, {500, "", exitUnavailable},
		{500, "UNREADABLE_LICENSE", exitOther}, {503, "", exitUnavailable},
	} {
		if got := exitCode(&vendorapi.Problem{Status: test.status, Code: test.code}); got != test.want {
			t.Errorf("%d %s: %d, want %d", test.status, test.code, got, test.want)
		}
	}
}
