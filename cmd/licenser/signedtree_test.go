package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// newSignedServer has a signed chain, the signed chain of a license that is gone, and one that is younger than the
// checkpoint.
func newSignedServer(t *testing.T) (s *auditedServer, gone, young license.License) {
	t.Helper()
	s = newAuditedServer(t)
	gone, young = licensetest.Issue(t), licensetest.Issue(t)
	if err := s.folder.Licenses.Create(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	s.record(t)
	if err := s.folder.Licenses.Remove(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	s.record(t)
	if _, err := s.checkpoints.handle(t.Context(), events.EventBridgeEvent{}); err != nil {
		t.Fatal(err)
	}
	if err := s.folder.Licenses.Create(t.Context(), young); err != nil {
		t.Fatal(err)
	}
	s.record(t)
	return s, gone, young
}

func all(c *verifyCommand) { c.Licenses, c.All, c.Checkpoint = nil, true, true }

// TestVerifyAllSigned: each part of the tree is read once, no proof is, and chains of licenses that are gone are
// checked too.
func TestVerifyAllSigned(t *testing.T) {
	s, gone, young := newSignedServer(t)
	var mu sync.Mutex
	asked := map[string]int{}
	s.tamper = func(path, body string) string {
		mu.Lock()
		defer mu.Unlock()
		asked[path]++
		return body
	}
	out, err := s.verify(t, all)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		s.license.ID + "  ok  entries 2", gone.ID + "  ok  entries 2", young.ID + "  not signed yet",
		young.ID + "  ok  entries 1",
	} {
		if strings.Count(out, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, out)
		}
	}
	parts := 0
	for path, times := range asked {
		isPart := strings.HasPrefix(path, "/audit/pages/") || strings.HasPrefix(path, "/audit/roots/")
		if isPart {
			parts++
		}
		isYoungs := strings.HasPrefix(path, "/audit/pages/") && times <= 2 // once more, to see that it is not there
		if isPart && times != 1 && !isYoungs || strings.HasSuffix(path, "/proof") {
			t.Errorf("%s was asked for %d times", path, times)
		}
	}
	if parts < 2 {
		t.Errorf("asked for %v", asked)
	}
}

// TestVerifyAllFinds: what is not as it was signed is found and named, also of a license that is gone.
func TestVerifyAllFinds(t *testing.T) {
	s, gone, _ := newSignedServer(t)
	page := func(id string) string {
		t.Helper()
		tree := s.tree(t)
		ls, err := tree.page(t.Context(), audit.BucketOf(id))
		if _, has := ls.Find(id); err != nil || !has {
			t.Fatalf("the page of %s: %v", id, err)
		}
		root := tree.roots[audit.BucketOf(id)]
		return filepath.Join(s.serve.Data, "checkpoints", "pages", hex.EncodeToString(root[:]))
	}
	chain := "/licenses/" + gone.ID + "/audit"
	const none = `{"entries":[],"head":{"sequence":0,"hash":""}}`
	for name, test := range map[string]struct {
		tamper func(path, body string) string
		damage string // a file that is removed meanwhile
		want   string
	}{
		"the chain of one that is gone is removed": {func(path, body string) string {
			if path == chain {
				return none
			}
			return body
		}, "", gone.ID + "  WRONG  checkpoint: entry 2: the chain is shorter"},
		"a page is missing": {nil, page(s.license.ID), "WRONG  checkpoint 2, bucket "},
		"a page is another": {func(path, body string) string {
			if strings.HasPrefix(path, "/audit/pages/") {
				return strings.Replace(body, " 2 ", " 1 ", 1)
			}
			return body
		}, "", "it is not what was kept under this name"},
	} {
		t.Run(name, func(t *testing.T) {
			s.tamper = test.tamper
			if test.damage != "" {
				if err := os.Rename(test.damage, test.damage+".away"); err != nil {
					t.Fatal(err)
				}
				defer os.Rename(test.damage+".away", test.damage)
			}
			out, err := s.verify(t, all)
			if !errors.Is(err, errTrail) || !strings.Contains(out, test.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	for name, tamper := range map[string]func(path, body string) string{
		"other roots": func(path, body string) string {
			if strings.HasPrefix(path, "/audit/roots/") {
				return body[65:] + body[:65]
			}
			return body
		},
		"another checkpoint": func(path, body string) string {
			if path == "/audit/checkpoint" {
				return strings.Replace(body, "number 2", "number 3", 1)
			}
			return body
		},
	} {
		s.tamper = tamper
		if out, err := s.verify(t, all); !errors.Is(err, errTrail) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func (s *auditedServer) tree(t *testing.T) *signedTree {
	t.Helper()
	api, err := vendorAPI{API: s.URL}.client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := openTree(t.Context(), api, s.key(t), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestSignedChainCalledUnsigned: whoever says of a chain that was signed that it is in no checkpoint, and shows one
// that was begun anew, is contradicted by the page.
func TestSignedChainCalledUnsigned(t *testing.T) {
	s, _, young := newSignedServer(t)
	tree := s.tree(t)
	now := time.Now().Format(time.RFC3339)
	begunAnew := []audit.Entry{{LicenseID: s.license.ID, Time: now, Sequence: 1, Hash: "other"}}
	why, err := tree.checkAbsent(t.Context(), s.license.ID, begunAnew)
	if err != nil || !errors.Is(why, checkpoint.ErrTailCut) {
		t.Errorf("got %v, %v", why, err)
	}
	why, err = tree.checkAbsent(t.Context(), young.ID, begunAnew)
	if err != nil || !errors.Is(why, errNotSignedYet) {
		t.Errorf("one that was not signed: %v, %v", why, err)
	}
	old := []audit.Entry{{LicenseID: young.ID, Time: time.Now().Add(-time.Hour).Format(time.RFC3339), Sequence: 1}}
	if why, err = tree.checkAbsent(t.Context(), young.ID, old); err != nil || !errors.Is(why, errNotSigned) {
		t.Errorf("one that should have been signed: %v, %v", why, err)
	}
}

// TestVerifyAllShowsProgress: where the lines go to a file, how far it is goes to the terminal.
func TestVerifyAllShowsProgress(t *testing.T) {
	s, _, _ := newSignedServer(t)
	var out, said bytes.Buffer
	shown := newProgress(&said, "chains", 0)
	shown.line = time.Time{}
	tree := s.tree(t)
	chains := 0
	for _, err := range tree.signedChains(t.Context(), shown.expect) {
		if err != nil {
			t.Fatal(err)
		}
		chains++
	}
	shown.show(chains)
	if !strings.Contains(said.String(), "3 of about 2 chains") { // two are signed
		t.Errorf("said %q", &said)
	}
	c := verifyCommand{All: true, Checkpoint: true, vendorAPI: vendorAPI{API: s.URL}, MaxAge: time.Hour}
	if err := c.Run(context.WithoutCancel(t.Context()), piped(&out)); err != nil {
		t.Error(err)
	}
}

// TestAcknowledge: a finding is settled once, by who is here, with a reason, and nothing else is.
func TestAcknowledge(t *testing.T) {
	s := newAuditedServer(t)
	rewritten := checkpoint.Statement{Kind: checkpoint.KindRewritten, LicenseID: s.license.ID, Sequence: 2, Found: "f"}
	err := checkpoint.KeepStatements(t.Context(), s.checkpoints.archive, []checkpoint.Statement{rewritten})
	if err != nil {
		t.Fatal(err)
	}
	c := acknowledgeCommand{LicenseID: s.license.ID, Sequence: 2, Reason: " restored ", Data: s.serve.Data}
	var out, said bytes.Buffer
	if err := c.Run(t.Context(), people(&out, &said)); err != nil || !strings.Contains(said.String(), "Acknowledged") {
		t.Fatalf("%v: %s", err, &said)
	}
	kept, err := checkpoint.Acknowledged(t.Context(), s.checkpoints.archive, rewritten)
	if err != nil || kept.Reason != "restored" || kept.Actor == "" || time.Since(kept.Time) > time.Minute {
		t.Errorf("kept %+v, %v", kept, err)
	}
	if err := c.Run(t.Context(), people(&out, &said)); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("again: %v", err)
	}
	empty := t.TempDir()
	for name, wrong := range map[string]acknowledgeCommand{
		"no reason":      {LicenseID: s.license.ID, Sequence: 2, Reason: " ", Data: s.serve.Data},
		"a sequence":     {LicenseID: s.license.ID, Sequence: -1, Reason: "r", Data: s.serve.Data},
		"another entry":  {LicenseID: s.license.ID, Sequence: 1, Reason: "r", Data: s.serve.Data},
		"a folder":       {LicenseID: s.license.ID, Sequence: 2, Reason: "r", Data: empty},
		"part of an id":  {LicenseID: s.license.ID[1:], Sequence: 2, Reason: "r", Data: s.serve.Data},
		"another server": {LicenseID: s.license.ID, Sequence: 2, Reason: "r", Data: newAuditedServer(t).serve.Data},
	} {
		if err := wrong.Run(t.Context(), people(&out, &said)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) != 0 {
		t.Errorf("made %v, %v", left, err)
	}
}

// TestLatestOfAnotherTime: an old checkpoint, or one of the future, is no proof for a chain that is in none.
func TestLatestOfAnotherTime(t *testing.T) {
	s, _, young := newSignedServer(t)
	for _, maxAge := range []time.Duration{time.Nanosecond, time.Hour} {
		out, err := s.verify(t, func(c *verifyCommand) {
			c.Licenses, c.Checkpoint, c.MaxAge = names(young.ID), true, maxAge
		})
		isOld := maxAge < time.Hour
		if errors.Is(err, errTrail) != isOld || strings.Contains(out, "older than") != isOld {
			t.Errorf("at most %s old: %v\n%s", maxAge, err, out)
		}
	}
	ahead := checkpoint.Checkpoint{Time: time.Now().Add(time.Hour)}
	if err := tooOld(ahead, 24*time.Hour); err == nil {
		t.Error("a checkpoint of the future is taken for the latest")
	}
	tree := s.tree(t)
	later := []audit.Entry{{LicenseID: young.ID, Time: time.Now().Add(time.Hour).Format(time.RFC3339), Sequence: 1}}
	if why, err := tree.checkAbsent(t.Context(), young.ID, later); err != nil || !errors.Is(why, errNotSigned) {
		t.Errorf("a chain of the future: %v, %v", why, err)
	}
}

// TestReplacedPage: a page that is another one in the archive is a finding, and the rest is checked.
func TestReplacedPage(t *testing.T) {
	s, gone, _ := newSignedServer(t)
	root := s.tree(t).roots[audit.BucketOf(s.license.ID)]
	page := filepath.Join(s.serve.Data, "checkpoints", "pages", hex.EncodeToString(root[:]))
	if err := os.WriteFile(page, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := s.verify(t, all)
	if !errors.Is(err, errTrail) || !strings.Contains(out, "WRONG  checkpoint 2, bucket ") ||
		!strings.Contains(out, gone.ID+"  ok") {
		t.Errorf("all: %v\n%s", err, out)
	}
	out, err = s.verify(t, func(c *verifyCommand) { c.Checkpoint = true })
	if !errors.Is(err, errTrail) || !strings.Contains(out, s.license.ID+"  WRONG  checkpoint: ") {
		t.Errorf("one: %v\n%s", err, out)
	}
}

// TestKeptCheckpoint: whoever has kept a checkpoint sees that the trail was rolled back, or went on in another way.
func TestKeptCheckpoint(t *testing.T) {
	s := newAuditedServer(t)
	key := s.key(t)
	more := func(n int) (latest string) {
		t.Helper()
		for range n {
			if _, err := s.checkpoints.handle(t.Context(), events.EventBridgeEvent{}); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(filepath.Join(s.serve.Data, "checkpoints", "latest"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	second := more(1)
	more(3)
	kept := filepath.Join(t.TempDir(), "checkpoint")
	check := func(text string) (string, error) {
		t.Helper()
		if err := os.WriteFile(kept, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return s.verify(t, func(c *verifyCommand) {
			c.Licenses, c.CheckpointFile, c.CheckpointKey = nil, kept, key
		})
	}
	if out, err := check(second); err != nil || !strings.Contains(out, "Checkpoint 2 of ") ||
		!strings.Contains(out, "the latest, number 5 of ") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := check(strings.Replace(second, "number 2", "number 3", 1)); !errors.Is(err, errTrail) {
		t.Errorf("a checkpoint that nobody has signed: %v\n%s", err, out)
	}
	archive := filepath.Join(s.serve.Data, "checkpoints")
	rolledBack := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(rolledBack, os.DirFS(archive)); err != nil {
		t.Fatal(err)
	}
	last := more(2)
	back := func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(archive), os.CopyFS(archive, os.DirFS(rolledBack))); err != nil {
			t.Fatal(err)
		}
	}
	back()
	if out, err := check(last); !errors.Is(err, errTrail) || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("rolled back: %v\n%s", err, out)
	}
	time.Sleep(1100 * time.Millisecond) // a checkpoint of another second is another one
	more(3)
	if out, err := check(last); !errors.Is(err, errTrail) || !strings.Contains(err.Error(), "went on in another way") {
		t.Errorf("rolled back, and gone on: %v\n%s", err, out)
	}
	back()
	if err := os.Remove(filepath.Join(archive, "checkpoints", "00000000000000000004")); err != nil {
		t.Fatal(err)
	}
	if out, err := check(second); !errors.Is(err, errTrail) || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("one between is missing: %v\n%s", err, out)
	}
}

// TestVerifyTableBehind: a table that came back from a backup is told from a trail that lacks a change.
func TestVerifyTableBehind(t *testing.T) {
	s := newAuditedServer(t)
	before := s.license.Record()
	if err := s.folder.Licenses.PutRecord(t.Context(), before); err != nil { // as before it was revoked
		t.Fatal(err)
	}
	out, err := s.verify(t, nil)
	if !errors.Is(err, errTrail) || !strings.Contains(out, "as entry 1 left it") ||
		!strings.Contains(out, "its table is behind the trail") {
		t.Errorf("%v\n%s", err, out)
	}
}
