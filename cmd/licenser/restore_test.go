package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/restore"
)

// sold are licenses whose data folder is copied, and which are then changed: what the copy has forgotten.
type sold struct {
	t                                                        *testing.T
	data, copied                                             string
	revoked, suspended, deleted, erased, renewed, same, late issued
}

func sell(t *testing.T) sold {
	t.Helper()
	folder := t.TempDir()
	w := sold{t: t, data: filepath.Join(folder, "data"), copied: filepath.Join(folder, "copied")}
	s := start(t, w.data)
	for _, l := range []*issued{&w.revoked, &w.suspended, &w.deleted, &w.renewed, &w.same} {
		*l = s.issue()
	}
	w.erased = s.sellToQuill("quill-order-1")
	s.trail(w.same.LicenseID, 1)
	s.trail(w.erased.LicenseID, 5)
	s.stop()
	copyFolder(t, w.data, w.copied)
	s = start(t, w.data)
	s.done("license", "revoke", w.revoked.LicenseID, "--reason", "unpaid", "--yes")
	s.done("license", "suspend", w.suspended.LicenseID, "--reason", "late")
	s.done("license", "delete", w.deleted.LicenseID, "--reason", "issued twice", "--yes")
	s.done("license", "erase", w.erased.LicenseID, "--reason", "asked for by letter", "--yes")
	s.done("license", "renew", w.renewed.LicenseID, "--expires", "2101-01-01", "--reason", "paid")
	w.late = s.issue()
	s.trail(w.deleted.LicenseID, 3)
	s.trail(w.late.LicenseID, 1)
	s.stop()
	return w
}

func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"token-key.pem", "license-key-secret.json"} { // CopyFS widens who may read them
		if err := os.Chmod(filepath.Join(to, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// forgetLicenses puts the licenses of a copy into a folder, and leaves its audit trail: so does a restore on AWS, where
// the trail has a table of its own.
func forgetLicenses(t *testing.T, folder, copied string) {
	t.Helper()
	path := filepath.Join(folder, "licenser.db")
	if err := os.Remove(path + ".sha256"); err != nil {
		t.Fatal(err)
	}
	older, err := bbolt.Open(filepath.Join(copied, "licenser.db"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"licenses"}
	for _, index := range license.Indexes {
		names = append(names, index.Name)
	}
	err = older.View(func(from *bbolt.Tx) error {
		return db.Update(func(to *bbolt.Tx) error {
			for _, name := range names {
				if err := to.DeleteBucket([]byte(name)); err != nil {
					return err
				}
				bucket, err := to.CreateBucket([]byte(name))
				if err != nil {
					return err
				}
				if err := from.Bucket([]byte(name)).ForEach(bucket.Put); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := older.Close(); err != nil {
		t.Fatal(err)
	}
}

// run runs the command, and wants an exit code.
func (w sold) run(code int, arguments ...string) outcome {
	w.t.Helper()
	o := runProgram(w.t, "", append([]string{"audit", "restore"}, arguments...)...)
	if o.code != code {
		w.t.Fatalf("licenser audit restore %q: exit code %d, want %d\n%s%s", arguments, o.code, code, o.out, o.err)
	}
	return o
}

// plans returns what the command has written as JSON: what is done, by license.
func (w sold) plans(text string) map[string]string {
	w.t.Helper()
	var done []restore.Done
	if err := json.Unmarshal([]byte(text), &done); err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	plans := map[string]string{}
	for _, d := range done {
		plans[d.LicenseID] = strings.TrimSpace(fmt.Sprintf("%s %d-%d %s", d.What, d.From, d.To, d.Result))
	}
	return plans
}

// want is what has to be done, with a result behind it.
func (w sold) want(result string) map[string]string {
	want := map[string]string{
		w.erased.LicenseID: "erase 6-6", w.revoked.LicenseID: "revoke 2-2", w.suspended.LicenseID: "suspend 2-2",
		w.deleted.LicenseID: "remove 3-3", w.renewed.LicenseID: "change 2-2", w.late.LicenseID: "issue 1-1",
	}
	for id := range want {
		want[id] = strings.TrimSpace(want[id] + " " + result)
	}
	return want
}

// check wants a folder whose licenses are as they were before the restore.
func (w sold) check(folder string) {
	w.t.Helper()
	s := start(w.t, folder)
	for l, want := range map[issued]string{
		w.revoked: "LICENSE_REVOKED", w.suspended: "LICENSE_SUSPENDED", w.deleted: "INVALID_LICENSE",
		w.renewed: "", w.same: "", w.late: "", w.erased: "",
	} {
		if answer := s.verify(l.LicenseKey); answer.Error != want || (answer.Message == "") != (want != "") {
			w.t.Errorf("verification of %s answers %+v, want %q", l.LicenseID, answer, want)
		}
	}
	var renewed, erased struct{ ExpirationDate, CustomerName, Email, Notes string }
	s.get("/licenses/"+w.renewed.LicenseID, &renewed)
	s.get("/licenses/"+w.erased.LicenseID, &erased)
	if !strings.HasPrefix(renewed.ExpirationDate, "2101-01-01") || erased.CustomerName != "erased" ||
		erased.Email != "" {
		w.t.Errorf("renewed %+v, erased %+v", renewed, erased)
	}
	s.stop()
}

// TestRestore: the licenses of a folder come back from a copy, and its audit trail does not.
func TestRestore(t *testing.T) {
	w := sell(t)
	forgetLicenses(t, w.data, w.copied)
	s := start(t, w.data)
	if answer := s.verify(w.revoked.LicenseKey); answer.Message == "" {
		t.Fatalf("nothing is forgotten: %+v", answer)
	}
	s.stop()

	before := fileHash(t, w.data)
	seen := w.run(exitCodeFirst, "--data", w.data)
	for _, want := range []string{
		"licenseid\twhat\tfrom\tto\tfound",
		w.revoked.LicenseID + "\trevoke\t2\t2\tit is as entry 1 left it; not as the trail says: isrevoked",
		w.deleted.LicenseID + "\tremove\t3\t3\tthe trail says that it was removed (entry 3), " +
			"and it is as entry 1 left it",
		w.late.LicenseID + "\tissue\t1\t1\tit is gone, and the trail does not say so",
	} {
		if !strings.Contains(seen.out, want+"\n") {
			t.Errorf("no %q in\n%s", want, seen.out)
		}
	}
	var order []string
	for line := range strings.Lines(seen.out) {
		order = append(order, strings.Split(line, "\t")[1])
	}
	slices.Sort(order[2:5])
	want := []string{"what", "erase", "remove", "revoke", "suspend", "change", "issue"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("the order (-want +got):\n%s", diff)
	}
	if !strings.Contains(seen.err, "not as the trail says: 6; --apply") {
		t.Errorf("said %s", seen.err)
	}
	if diff := cmp.Diff(w.want(""), w.plans(w.run(exitCodeFirst, "--data", w.data, "-o", "json").out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	refused := w.run(exitUsage, "--data", w.data, "--apply")
	if !strings.Contains(refused.err, terminal.ErrCannotAsk.Error()) || fileHash(t, w.data) != before {
		t.Errorf("changed, or said %s", refused.err)
	}
	one := w.run(exitCodeFirst, "--data", w.data, "-o", "csv", w.revoked.LicenseID, w.same.LicenseID)
	if want := w.same.LicenseID + ",none,,,it is as entry 1 left it"; !strings.Contains(one.out, want) ||
		strings.Count(one.out, "\n") != 3 {
		t.Errorf("of two licenses: %s", one.out)
	}

	done := w.run(0, "--data", w.data, "--apply", "--yes", "-o", "json")
	if diff := cmp.Diff(w.want("done"), w.plans(done.out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again := w.run(0, "--data", w.data)
	if strings.Count(again.out, "\n") != 1 || !strings.Contains(again.err, "are as the trail says") {
		t.Errorf("then: %s%s", again.out, again.err)
	}
	w.run(0, "--data", w.data, "--apply", "--yes")
	w.check(w.data)
	if found := quillIn(t, w.data); len(found) > 0 {
		t.Errorf("still there: %v", found)
	}

	s = start(t, w.data)
	verified := s.program("audit", "verify", "--all")
	gaps := regexp.MustCompile(`(?m)^.*WRONG.*$`).FindAllString(verified.out, -1)
	for _, line := range gaps {
		if !strings.Contains(line, "a change before this one is missing") {
			t.Error(line)
		}
	}
	if len(gaps) != 5 { // the license that was removed is not listed
		t.Errorf("found %d gaps", len(gaps))
	}
	s.stop()
}

func fileHash(t *testing.T, folder string) [sha256.Size]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "licenser.db"))
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(text)
}

// TestRestoreFolder: a whole folder comes back from a copy, its trail with it. The trail of the folder before tells
// what is missing.
func TestRestoreFolder(t *testing.T) {
	w := sell(t)
	if o := w.run(0, "--data", w.copied); !strings.Contains(o.err, "are as the trail says") {
		t.Errorf("by its own trail: %s%s", o.out, o.err)
	}
	s := start(t, w.copied)
	since := s.issue() // it goes on
	s.trail(since.LicenseID, 1)
	s.stop()
	seen := w.run(exitCodeFirst, "--data", w.copied, "--trail", w.data, "-o", "json")
	if diff := cmp.Diff(w.want(""), w.plans(seen.out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	newer := fileHash(t, w.data)
	done := w.run(0, "--data", w.copied, "--trail", w.data, "--apply", "--yes", "-o", "json")
	if diff := cmp.Diff(w.want("done"), w.plans(done.out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if done.err != "Licenses that are as the trail says again: 6 of 6.\n" {
		t.Errorf("said %s", done.err)
	}
	w.run(0, "--data", w.copied, "--trail", w.data)
	if fileHash(t, w.data) != newer {
		t.Error("the folder whose trail was read has changed")
	}
	w.check(w.copied)
	if found := quillIn(t, w.copied); len(found) > 0 {
		t.Errorf("still there: %v", found)
	}
	s = start(t, w.copied)
	if o := s.program("audit", "verify", "--all"); o.code != 0 {
		t.Errorf("the trail: %s%s", o.out, o.err)
	}
	e := s.trail(w.revoked.LicenseID, 2)[1]
	if e.Actor != license.RestoreActor || e.Reason != "restored from the audit trail: entry 2" {
		t.Errorf("entry %+v", e)
	}
	s.stop()
}

// TestRestoreAtATerminal: a person sees the plan before the question, and nothing is done without a yes.
func TestRestoreAtATerminal(t *testing.T) {
	w := sell(t)
	forgetLicenses(t, w.data, w.copied)
	s := &server{t: t}
	apply := func() *person {
		return sit(s, 200, nil, "audit", "restore", "--data", w.data, "--apply").
			sees(w.revoked.LicenseID).sees("Make these changes again? Licenses: 6. [y/N]")
	}
	screen, code := apply().types("n\r").leaves()
	if code != exitOther || !strings.Contains(screen, "nothing was changed") {
		t.Errorf("no: exit code %d\n%s", code, screen)
	}
	if screen, code := apply().types("y\r").leaves(); code != 0 || !strings.Contains(screen, "again: 6 of 6.") {
		t.Errorf("yes: exit code %d\n%s", code, screen)
	}
	w.check(w.data)
}

// TestRestoreUnrecorded: what the folder's trail does not tell of yet is said, and recorded before anything is done.
func TestRestoreUnrecorded(t *testing.T) {
	w := sell(t)
	folder, err := embedded.OpenExisting(t.Context(), w.data)
	if err != nil {
		t.Fatal(err)
	}
	l, err := folder.Licenses.Get(t.Context(), w.same.LicenseID)
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := l.Revoke(license.Change{At: time.Now(), By: "vendor", Reason: "unpaid", RequestID: "1"})
	if err == nil {
		err = folder.Licenses.Update(t.Context(), l, revoked)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	seen := w.run(exitOther, "--data", w.data)
	if !strings.Contains(seen.err, "does not tell of the last 1 changes") ||
		!strings.Contains(seen.out, w.same.LicenseID+"\tleft alone\t\t\tit is as nothing on the trail has left it") {
		t.Errorf("said %s%s", seen.out, seen.err)
	}
	o := w.run(exitCodeFirst, "--data", w.copied, "--trail", w.data)
	if !strings.Contains(o.err, "does not tell of the last 1 changes there") {
		t.Errorf("said %s%s", o.out, o.err)
	}
	w.run(0, "--data", w.data, "--apply", "--yes")
	w.run(0, "--data", w.data)
}

// TestRestoreUsage: what does not go together is refused before anything is opened.
func TestRestoreUsage(t *testing.T) {
	folder := t.TempDir()
	for _, arguments := range [][]string{
		{"--data", folder, "--audit-table", "a"}, {"--data", folder, "--device-table", "a"},
		{"--table", "a"}, {"--table", "a", "--audit-table", "b", "--disclosure-table", "c"},
		{"--table", "a", "--audit-table", "b", "--disclosure-table", "c", "--reference-table", "d", "--trail", folder},
		{"--table", "a", "--data", folder}, {},
	} {
		if o := runProgram(t, "", append([]string{"audit", "restore"}, arguments...)...); o.code != exitUsage {
			t.Errorf("%q: exit code %d, %s", arguments, o.code, o.err)
		}
	}
	if o := runProgram(t, "", "audit", "restore", "--data", folder); o.code != exitOther ||
		!strings.Contains(o.err, "is no data folder") {
		t.Errorf("an empty folder: exit code %d, %s", o.code, o.err)
	}
}
