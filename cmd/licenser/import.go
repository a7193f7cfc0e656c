package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"strconv"

	"golang.org/x/time/rate"

	"openlicenser/cmd/licenser/licensefile"
	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// importRate is how many licenses a second are issued on AWS: half of what the template lets through, so that the shop
// gets through too.
const importRate = 10

// importWorkers is how many rows are worked on at once.
const importWorkers = 16

type importCommand struct {
	File   string `arg:"" help:"A file of CSV, whose first line names the columns, or of JSON Lines." type:"existingfile"`
	Plan   string `help:"The plan of rows that name none." placeholder:"NAME"`
	DryRun bool   `help:"Check every row, and issue nothing."`
	Result string `help:"Where the ids and keys of the licenses go, or why there are none. FILE.result.csv unless set." placeholder:"FILE" type:"path"`
	Format string `help:"csv or jsonl, where the name of the file does not say." enum:",csv,jsonl" default:"" placeholder:"FORM"`
	Rate   int    `help:"Licenses a second. On this machine as fast as it goes, and else ${importRate}, unless set." placeholder:"N"`
	vendorAPI
}

func (importCommand) Help() string {
	return "All rows are checked first. If one is not as it must be, nothing is issued. The columns are the fields " +
		"of POST /licenses, in any order; what else licenser export writes is left aside. A row without a reference " +
		"gets one that is made of the file and the line. So an import that was interrupted is run again, also much " +
		"later: a row whose reference exists is done.\n\n" +
		examples(`licenser import licenses.csv --dry-run`, `licenser import licenses.csv --plan pro`)
}

// Validate is called by the parser.
func (c importCommand) Validate() error {
	if c.Rate < 0 {
		return errors.New("--rate must not be negative")
	}
	return nil
}

// Run checks all rows, and then issues their licenses.
func (c importCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	format, known := licensefile.FormatOf(c.File)
	if c.Format != "" {
		format, known = licensefile.Format(c.Format), true
	}
	if !known {
		return usageError("%s: is it CSV or JSON Lines? Say --format csv or --format jsonl.", c.File)
	}
	file, err := os.Open(c.File)
	if err != nil {
		return usageError("%w", err)
	}
	defer file.Close()
	begun, err := file.Stat()
	if err != nil {
		return err
	}
	if !begun.Mode().IsRegular() {
		return usageError("%s is no file: what is imported is read twice, so save it first.", c.File)
	}
	if err := checkResult(c.resultPath(), begun); err != nil {
		return err
	}
	i, err := c.importer(ctx)
	if err != nil {
		return err
	}
	// A service that cannot be reached at all is not waited for.
	if _, err := i.api.LicensePage(ctx, vendorapi.ListQuery{Limit: 1}); err != nil {
		return err
	}
	if i.file, err = digestOf(file); err != nil {
		return err
	}
	rows := c.rows(file, begun, format)
	checked, err := c.check(ctx, t, i, rows)
	if err != nil || c.DryRun {
		return err
	}
	return c.issue(ctx, t, i, rows, checked)
}

func (c importCommand) resultPath() string { return cmp.Or(c.Result, c.File+".result.csv") }

// digestOf tells files apart.
func digestOf(file io.Reader) (string, error) {
	digest := sha256.New()
	_, err := io.Copy(digest, file)
	return hex.EncodeToString(digest.Sum(nil)[:8]), err
}

// rows reads the file from its beginning, as long as it is the one that was begun with: its rows are known by its
// digest and their lines.
func (c importCommand) rows(
	file *os.File, begun fs.FileInfo, format licensefile.Format,
) iter.Seq2[licensefile.Row, error] {
	return func(yield func(licensefile.Row, error) bool) {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			yield(licensefile.Row{}, err)
			return
		}
		for row, err := range licensefile.Read(file, format) {
			if err != nil {
				err = usageError("%s: %w", c.File, err)
			}
			if now, errStat := file.Stat(); errStat != nil || now.Size() != begun.Size() ||
				!now.ModTime().Equal(begun.ModTime()) {
				err = usageError("%s was changed while it was imported.", c.File)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

func (c importCommand) importer(ctx context.Context) (*importer, error) {
	api, err := c.client(ctx)
	if err != nil {
		return nil, err
	}
	limit := rate.Limit(c.Rate)
	if c.Rate == 0 {
		limit = importRate
		if api.IsLocal() {
			limit = rate.Inf
		}
	}
	return &importer{
		api: api, plan: c.Plan, pace: rate.NewLimiter(limit, 1), fastest: limit,
		plans: map[string]*vendorapi.Plan{},
	}, nil
}

// check returns how many rows there are, or reports all that are not as they must be.
func (c importCommand) check(
	ctx context.Context, t *terminal.Terminal, i *importer, rows iter.Seq2[licensefile.Row, error],
) (checked int, err error) {
	p := newProgress(t.Err, "rows checked", 0)
	existing, wrong := 0, []rowProblem(nil)
	references := map[[16]byte]int{} // line, by the digest of what stands in it
	err = inOrder(ctx, rows, importWorkers, i.check, func(r checkedRow) error {
		checked++
		p.show(checked)
		if r.exists {
			existing++
		}
		for _, problem := range r.problems {
			wrong = append(wrong, rowProblem{r.line, problem})
		}
		if r.reference == "" {
			return nil
		}
		digest := short(r.reference)
		if line, isThere := references[digest]; isThere {
			wrong = append(wrong, rowProblem{r.line, license.FieldError{
				Field:   "reference",
				Message: fmt.Sprintf("is that of line %d too; each license has one of its own", line),
			}})
		}
		references[digest] = r.line
		return nil
	})
	p.end()
	if len(wrong) > 0 {
		if err := terminal.List(t, rowProblemColumns, listed(wrong)); err != nil {
			return checked, err
		}
	}
	switch {
	case err != nil && len(wrong) > 0:
		return checked, advised{err, "Nothing was issued. What was found before is above."}
	case err != nil:
		return checked, advised{err, "Nothing was issued."}
	case len(wrong) > 0:
		return checked, usageError("%d of %d rows are fine; nothing was issued. Mend the others, and run it again.",
			checked-wrongRows(wrong), checked)
	case checked == 0:
		return 0, usageError("%s: there are no rows in it.", c.File)
	case c.DryRun:
		t.Say("All %d rows are fine%s. Nothing was issued.", checked, alreadyThere(existing))
	}
	return checked, nil
}

func alreadyThere(existing int) string {
	if existing == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of them because their licenses exist already", existing)
}

func wrongRows(wrong []rowProblem) int {
	lines := map[int]bool{}
	for _, w := range wrong {
		lines[w.Line] = true
	}
	return len(lines)
}

// rowProblem is something that is wrong with a row.
type rowProblem struct {
	Line int `json:"line"`
	license.FieldError
}

var rowProblemColumns = []terminal.Column[rowProblem]{
	{Name: "line", Title: "LINE", Text: func(p rowProblem) string { return strconv.Itoa(p.Line) }},
	{Name: "field", Title: "FIELD", Text: func(p rowProblem) string { return p.Field }},
	{Name: "message", Title: "REASON", Text: func(p rowProblem) string { return p.Message }},
}

// issue issues the licenses, and writes the results in the order of the rows.
func (c importCommand) issue(
	ctx context.Context, t *terminal.Terminal, i *importer, rows iter.Seq2[licensefile.Row, error], total int,
) (err error) {
	file, err := createResult(c.resultPath())
	if err != nil {
		return err
	}
	p := newProgress(t.Err, "licenses", int64(total))
	var done tally
	results := func(yield func(importedRow, error) bool) {
		err := inOrder(ctx, rows, importWorkers, i.issue, func(r importedRow) error {
			done.add(r)
			p.show(done.rows)
			if !yield(r, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(importedRow{}, err)
		}
	}
	err = terminal.List(&terminal.Terminal{Out: file, Format: terminal.CSV}, importedColumns, results)
	p.end()
	path, errFinish := file.finish(err == nil)
	return done.report(t, total, path, cmp.Or(err, errFinish))
}

// tally counts what became of rows.
type tally struct {
	rows, existing, refused int
	isAnonymous             bool // a row has no reference of its own
}

func (n *tally) add(r importedRow) {
	n.rows++
	n.isAnonymous = n.isAnonymous || r.isAnonymous
	switch r.Result {
	case rowExisted:
		n.existing++
	case rowRefused:
		n.refused++
	}
}

// report tells what became of the rows, and what to do about those that were refused. A row without a reference is
// known by the file that it is in: in a file that was mended, it would be issued once more.
func (n *tally) report(t *terminal.Terminal, total int, path string, err error) error {
	switch {
	case err != nil:
		return advised{err, fmt.Sprintf("%d of %d rows are done, see %s. Run the same again: what was issued counts "+
			"as done.",
			n.rows, total, path)}
	case n.refused > 0 && n.isAnonymous:
		return usageError("%d of %d rows were refused, see %s; the others are issued. Copy those that were refused "+
			"into a "+
			"file of their own, and mend them there: rows without a reference, in a file that was changed, are new "+
			"ones.",
			n.refused, total, path)
	case n.refused > 0:
		return usageError("%d of %d rows were refused, see %s; the others are issued. Mend them, and run it again.",
			n.refused, total, path)
	}
	t.Say("%d licenses are issued, %d existed already. Their keys are in %s.", n.rows-n.existing, n.existing, path)
	return nil
}

var errStopped = errors.New("the results could not be written")

// What became of a row.
const (
	rowIssued  = "issued"
	rowExisted = "existed"
	rowRefused = "refused"
)

// importedRow is what became of a row.
type importedRow struct {
	Line                                       int
	Result                                     string
	LicenseID, LicenseKey, ShortKey, Reference string
	Reason                                     string // why there is no license, or not the one that is asked for

	isAnonymous bool // the row has no reference of its own
}

var importedColumns = []terminal.Column[importedRow]{
	{Name: "line", Text: func(r importedRow) string { return strconv.Itoa(r.Line) }},
	{Name: "result", Text: func(r importedRow) string { return r.Result }},
	{Name: "licenseid", Text: func(r importedRow) string { return r.LicenseID }},
	{Name: "reference", Text: func(r importedRow) string { return r.Reference }},
	{Name: "licensekey", Text: func(r importedRow) string { return r.LicenseKey }},
	{Name: "shortkey", Text: func(r importedRow) string { return r.ShortKey }},
	{Name: "reason", Text: func(r importedRow) string { return r.Reason }},
}

// isOfRow reports whether a refusal is about one row, and not about all that follow as well.
func isOfRow(p *vendorapi.Problem) bool {
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return false
	}
	return p.Status < http.StatusInternalServerError
}
