package embedded_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/audit"
	"openlicenser/shared/embedded"
	"openlicenser/shared/idempotency"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/idempotencytest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/testing/telemetrytest"
	"openlicenser/shared/token"
)

func open(t testing.TB, path string) *embedded.Folder {
	t.Helper()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	return folder
}

func TestLicenses(t *testing.T) {
	licensetest.TestStore(t, func(t *testing.T) licensetest.Harness {
		licenses := open(t, t.TempDir()).Licenses
		return licensetest.Harness{Store: licenses, PutRecord: licenses.PutRecord, Record: licenses.Record}
	})
}

func TestAuditTrail(t *testing.T) {
	audittest.TestStore(t, func(t *testing.T) audit.Store { return open(t, t.TempDir()).AuditTrail })
}

func TestIdempotency(t *testing.T) {
	idempotencytest.TestStore(t, func(t *testing.T) idempotency.Store { return open(t, t.TempDir()).Idempotency })
}

// TestRestart: everything is still there, the keys too.
func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "by", "open")
	first := open(t, path)
	l := licensetest.Issue(t)
	if err := first.Licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	ring, _ := first.Secrets.Ring(t.Context())
	public, _ := first.SigningKey.PublicKey(t.Context())
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := open(t, path)
	got, err := second.Licenses.Get(t.Context(), l.ID)
	if err != nil || licensetest.Diff(l, got) != "" {
		t.Errorf("the license is now %+v, %v", got, err)
	}
	if again, _ := second.Secrets.Ring(t.Context()); again.Current != ring.Current || ring.Current == "" {
		t.Error("the secret has changed")
	}
	if again, _ := second.SigningKey.PublicKey(t.Context()); !public.Equal(again) {
		t.Error("the token key has changed")
	}
	changes, err := second.Changes.Oldest(t.Context(), 10)
	if err != nil || len(changes) != 1 || changes[0].LicenseID != l.ID {
		t.Errorf("changes %v, %v", changes, err)
	}
}

// TestSecretChanges: a secret that was changed in the file is noticed, and a file that cannot be read costs nothing
// that works.
func TestSecretChanges(t *testing.T) {
	path := t.TempDir()
	folder, file := open(t, path), filepath.Join(path, "license-key-secret.json")
	before, err := folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := before.Rotate(token.NewSecret(), licensetest.Now)
	if err != nil {
		t.Fatal(err)
	}
	text, err := rotated.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{text, []byte("{"), nil} {
		if content == nil {
			err = os.Remove(file)
		} else {
			err = os.WriteFile(file, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := folder.Secrets.Ring(t.Context()); err != nil || got.Current != rotated.Current ||
			len(got.Earlier) != 1 {
			t.Errorf("after %q: %d earlier secrets, %v", content, len(got.Earlier), err)
		}
	}
	if _, err := folder.Secrets.Refresh(t.Context()); err == nil {
		t.Error("asked for anew, the missing file is no error")
	}
}

// TestKeysThatCannotBeRead: what was read last serves on for a day after that, with a record, and then it is a fault.
func TestKeysThatCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		ask  func(context.Context, *embedded.Folder) error
	}{
		"secret": {"license-key-secret.json", func(ctx context.Context, f *embedded.Folder) error {
			ring, err := f.Secrets.Ring(ctx)
			if (err == nil) != (ring.Current != "") {
				t.Errorf("a secret of %d bytes, %v", len(ring.Current), err)
			}
			return err
		}},
		"token key": {"token-key.pem", func(ctx context.Context, f *embedded.Folder) error {
			public, err := f.SigningKey.PublicKey(ctx)
			if (err == nil) != (public != nil) {
				t.Errorf("a key %v, %v", public, err)
			}
			return err
		}},
		"published keys": {"token-key-next.pem", func(ctx context.Context, f *embedded.Folder) error {
			if _, err := f.SigningKey.PublicKey(ctx); err != nil { // which can be read, and is another file
				t.Error(err)
			}
			published, err := f.SigningKey.Published(ctx)
			if (err == nil) != (len(published) == 2) {
				t.Errorf("%d keys, %v", len(published), err)
			}
			return err
		}},
	} {
		for damage, change := range map[string]func(string) error{
			"broken":  func(path string) error { return os.WriteFile(path, []byte("broken"), 0o600) },
			"removed": os.Remove,
		} {
			if damage == "removed" && test.file == "token-key-next.pem" {
				continue // which is how a promotion ends
			}
			t.Run(name+" "+damage, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					log := telemetrytest.Capture(t)
					path := t.TempDir()
					if err := (open(t, path)).Close(); err != nil {
						t.Fatal(err)
					}
					if err := (embedded.KeyStore{Folder: path}).Create(t.Context()); err != nil {
						t.Fatal(err)
					}
					folder := open(t, path)
					time.Sleep(48 * time.Hour) // of the bubble's clock
					if err := test.ask(t.Context(), folder); err != nil || log.Len() > 0 {
						t.Fatalf("%v, logged %s", err, log)
					}
					file := filepath.Join(path, test.file)
					good, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					if err := change(file); err != nil {
						t.Fatal(err)
					}
					for _, step := range []struct {
						after time.Duration
						level string
					}{
						{12 * time.Hour, "level=WARN"}, // the first failure, however long nobody has asked
						{15*time.Minute - 1, "level=WARN"},
						{1, "level=ERROR"},
						{12*time.Hour - 15*time.Minute - 1, "level=ERROR"},
					} {
						time.Sleep(step.after)
						log.Reset()
						err := test.ask(t.Context(), folder)
						if err != nil || !strings.Contains(log.String(), step.level) ||
							!strings.Contains(log.String(), "could not be read anew, the last one serves on") {
							t.Errorf("%v, logged %s, want %s", err, log, step.level)
						}
					}
					time.Sleep(time.Nanosecond)
					err = test.ask(t.Context(), folder)
					if err == nil || !strings.Contains(err.Error(), "too long ago to serve on") {
						t.Errorf("after a day: %v", err)
					}
					if err := os.WriteFile(file, good, 0o600); err != nil {
						t.Fatal(err)
					}
					if err := test.ask(t.Context(), folder); err != nil {
						t.Errorf("repaired: %v", err)
					}
					if err := change(file); err != nil {
						t.Fatal(err)
					}
					log.Reset()
					err = test.ask(t.Context(), folder)
					if err != nil || !strings.Contains(log.String(), "level=WARN") {
						t.Errorf("broken again: %v, logged %s", err, log)
					}
					if err := folder.Close(); err != nil { // with the goroutines of the bubble
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestShortSecretIsReported: once for each ring.
func TestShortSecretIsReported(t *testing.T) {
	log := telemetrytest.Capture(t)
	path := t.TempDir()
	folder, file := open(t, path), filepath.Join(path, "license-key-secret.json")
	for i, step := range []struct {
		stored string
		want   string
	}{
		{`{"key":"9 bytes !"}`, "secrets=1"},
		{`{"key":"0123456789abcdef0123456789abcdef","earlier":[{"key":"9 bytes !"}, {"key":"x"}]}`, "secrets=2"},
		{`{"key":"0123456789abcdef0123456789abcdef",
			"earlier":[{"key":"9 bytes !","refusedfrom":"2020-01-01T00:00:00Z"}]}`, ""},
	} {
		log.Reset()
		if err := os.WriteFile(file, []byte(step.stored), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := folder.Secrets.Ring(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		text := log.String()
		if strings.Count(text, "less than 32 bytes") != min(len(step.want), 1) || !strings.Contains(text, step.want) ||
			strings.Contains(text, "9 bytes !") || strings.Contains(text, token.Secret("9 bytes !").KeyID()) {
			t.Errorf("step %d: logged %s", i, log)
		}
	}
}

// TestPermissions: nobody but the owner may read.
func TestPermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	open(t, path)
	files := 0
	err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files++
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	})
	if err != nil || files != 4 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestChanges: the feed has each change once, in order, with what was before, and forgets only what it is told to.
func TestChanges(t *testing.T) {
	folder := open(t, t.TempDir())
	before := licensetest.Issue(t)
	after := licensetest.Revoke(t, before, "why")
	if err := folder.Licenses.Create(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	if err := folder.Licenses.Update(t.Context(), before, after); err != nil {
		t.Fatal(err)
	}
	if err := folder.Licenses.Update(t.Context(), before, after); err == nil {
		t.Fatal("a stale update was taken")
	}
	select {
	case <-folder.Changes.Added():
	default:
		t.Error("no signal")
	}
	changes, err := folder.Changes.Oldest(t.Context(), 10)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	if changes[0].Old != nil || changes[1].Old["isrevoked"] != false || changes[1].New["isrevoked"] != true {
		t.Errorf("got %+v", changes)
	}
	if err := folder.Changes.Remove(t.Context(), changes[:1]); err != nil {
		t.Fatal(err)
	}
	left, err := folder.Changes.Oldest(t.Context(), 10)
	if err != nil || len(left) != 1 || left[0].SequenceNumber != changes[1].SequenceNumber {
		t.Errorf("left %+v, %v", left, err)
	}
}

// TestWritesShareTransactions: one write's refusal does not undo the others that it shares a transaction with.
func TestWritesShareTransactions(t *testing.T) {
	folder := open(t, t.TempDir())
	taken := licensetest.Issue(t)
	if err := folder.Licenses.Create(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	ids := make([]string, 100)
	for i := range ids {
		l := licensetest.Issue(t)
		ids[i] = l.ID
		group.Go(func() {
			if err := folder.Licenses.Create(t.Context(), l); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			if err := folder.Licenses.Create(t.Context(), taken); err != license.ErrExists {
				t.Errorf("got %v, want ErrExists", err)
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		if _, err := folder.Licenses.Get(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if changes, err := folder.Changes.Oldest(t.Context(), 1000); err != nil || len(changes) != 101 {
		t.Errorf("%d changes, want 101; %v", len(changes), err)
	}
}

// TestMissingFile: what licenses depend on is never made anew behind their back.
func TestMissingFile(t *testing.T) {
	for _, name := range []string{"license-key-secret.json", "token-key.pem", "licenser.db"} {
		for how, lose := range map[string]func(string) error{
			"removed": os.Remove,
			"emptied": func(path string) error { return os.Truncate(path, 0) },
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				path := t.TempDir()
				folder := open(t, path)
				if err := folder.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil {
					t.Fatal(err)
				}
				if err := folder.Close(); err != nil {
					t.Fatal(err)
				}
				if err := lose(filepath.Join(path, name)); err != nil {
					t.Fatal(err)
				}
				if again, err := embedded.Open(path); err == nil {
					again.Close()
					t.Error("opened")
				} else if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// TestKeysOfNewFolder: a start that was cut off between the files is completed by the next.
func TestKeysOfNewFolder(t *testing.T) {
	path := t.TempDir()
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(path, "token-key.pem")); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// TestEveryFlip: whatever byte of the file is damaged, it is found at the start. Without the digest of the whole file,
// as after a crash, a value is never read as another: it is found at the start, or it was nothing that is read.
func TestEveryFlip(t *testing.T) {
	path := t.TempDir()
	folder := open(t, path)
	var issued []license.License
	for range 30 {
		l := licensetest.Issue(t)
		issued = append(issued, l)
		if err := folder.Licenses.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, "licenser.db")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := os.ReadFile(file + ".sha256")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i := 0; i < 200; i++ {
		at := i * len(good) / 200
		damaged := bytes.Clone(good)
		damaged[at+i%16] ^= 1 << (i % 8)
		errFile, errDigest := os.WriteFile(file, damaged, 0o600), os.WriteFile(file+".sha256", digest, 0o600)
		if err := errors.Join(errFile, errDigest); err != nil {
			t.Fatal(err)
		}
		if again, err := embedded.Open(path); err == nil {
			again.Close()
			t.Fatalf("byte %d: the damage was not found", at)
		}
		if err := os.Remove(file + ".sha256"); err != nil {
			t.Fatal(err)
		}
		again, err := embedded.Open(path)
		if err != nil {
			if !strings.Contains(err.Error(), "is damaged") {
				t.Errorf("byte %d: %v", at, err)
			}
			found++
			continue
		}
		for _, l := range issued {
			if got, err := again.Licenses.Get(t.Context(), l.ID); err != nil || licensetest.Diff(l, got) != "" {
				t.Errorf("byte %d: %+v, %v", at, got, err)
				break
			}
		}
		if page, err := again.Licenses.List(t.Context(), license.Query{Limit: 100}); err != nil ||
			len(page.Licenses) != len(issued) {
			t.Errorf("byte %d: a list of %d, %v", at, len(page.Licenses), err)
		}
		again.Close()
	}
	if found == 0 {
		t.Error("without the digest, no damage was found")
	}
}

// TestListOddRecords: a record that can be read in part is in the list of all licenses, and hides no other.
func TestListOddRecords(t *testing.T) {
	folder := open(t, t.TempDir())
	for i := range 3 {
		record := licensetest.Issue(t).Record()
		if i == 1 {
			record["isrevoked"] = "true"
		}
		if err := folder.Licenses.PutRecord(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	page, err := folder.Licenses.List(t.Context(), license.Query{Limit: 10})
	if err != nil || len(page.Licenses) != 3 || page.Licenses[1].Status(licensetest.Now) != license.Unreadable {
		t.Errorf("%+v, %v", page.Licenses, err)
	}
}

// TestCustomerMoves: another tool gives a license to another customer.
func TestCustomerMoves(t *testing.T) {
	folder := open(t, t.TempDir())
	l := licensetest.Issue(t)
	for _, customer := range []string{"customer-1", "customer-2"} {
		record := l.Record()
		record["customerid"] = customer
		record = license.Adopt(record, licensetest.Now).Apply(record)
		if err := folder.Licenses.PutRecord(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	for customer, want := range map[string]int{"customer-1": 0, "customer-2": 1} {
		page, err := folder.Licenses.List(t.Context(), license.Query{CustomerID: customer, Limit: 10})
		if err != nil || len(page.Licenses) != want {
			t.Errorf("%s has %d licenses, want %d; %v", customer, len(page.Licenses), want, err)
		}
	}
}

// TestOpenRefuses: each of these is one clear error that names what is wrong.
func TestOpenRefuses(t *testing.T) {
	write := func(name, text string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	edit := func(change func(text []byte) []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			file := filepath.Join(path, "licenser.db")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, change(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		damage func(t *testing.T, path string)
		want   string
	}{
		"secret is no JSON":   {write("license-key-secret.json", "hello"), "license-key-secret.json"},
		"secret is empty":     {write("license-key-secret.json", `{"key":""}`), "license-key-secret.json"},
		"token key is no PEM": {write("token-key.pem", "hello"), "token-key.pem: not a PEM file"},
		"token key is cut": {
			write("token-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "token-key.pem",
		},
		"data file is text":     {write("licenser.db", strings.Repeat("hello", 10000)), "licenser.db is damaged"},
		"data file is cut":      {edit(func(b []byte) []byte { return b[:len(b)/2] }), "licenser.db is damaged"},
		"data file is cut more": {edit(func(b []byte) []byte { return b[:9000] }), "licenser.db is damaged"},
		"data file has a hole": {edit(func(b []byte) []byte {
			clear(b[4*4096:])
			return b
		}), "licenser.db is damaged"},
		"data file has noise": {edit(func(b []byte) []byte {
			for i := 3 * 4096; i < len(b); i += 7 {
				b[i] ^= 0x5A
			}
			return b
		}), "licenser.db is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			folder := open(t, path)
			for range 200 {
				if err := folder.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil {
					t.Fatal(err)
				}
			}
			if err := folder.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(path, "licenser.db.sha256")); err != nil { // as after a crash
				t.Fatal(err)
			}
			test.damage(t, path)
			again, err := embedded.Open(path)
			if err == nil {
				again.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
	t.Run("a file in place of the folder", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := embedded.Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("open already", func(t *testing.T) {
		path := t.TempDir()
		open(t, path)
		if _, err := embedded.Open(path); err == nil || !strings.Contains(err.Error(), "another process has it open") {
			t.Errorf("got %v", err)
		}
	})
}

// TestOpenEarlierVersion: the indexes that a file of an earlier version lacks are made when it is opened.
func TestOpenEarlierVersion(t *testing.T) {
	path := t.TempDir()
	folder := open(t, path)
	l := licensetest.Issue(t)
	if err := folder.Licenses.PutRecord(t.Context(), license.WithoutIndex(l.Record())); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(path, "licenser.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, index := range license.Indexes {
			if err := tx.DeleteBucket([]byte(index.Name)); err != nil {
				return err
			}
		}
		_, err := tx.CreateBucket([]byte("expiries"))
		return err
	})
	if err := errors.Join(err, db.Close(), os.Remove(filepath.Join(path, "licenser.db.sha256"))); err != nil {
		t.Fatal(err)
	}
	q := license.Query{Status: license.Active, Now: licensetest.Now, Limit: 1}
	page, err := open(t, path).Licenses.List(t.Context(), q)
	if err != nil || len(page.Licenses) != 1 || page.Licenses[0].ID != l.ID {
		t.Errorf("got %+v, %v", page, err)
	}
}

func BenchmarkCreate(b *testing.B) {
	folder := open(b, b.TempDir())
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := folder.Licenses.Create(b.Context(), licensetest.Issue(b)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "licenses/s")
}

// TestTokenKeys: each key signs where it stands in a file that signs, and what another process changes is noticed.
func TestTokenKeys(t *testing.T) {
	path := t.TempDir()
	key := open(t, path).SigningKey
	store := embedded.KeyStore{Folder: path}
	if err := store.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a token"))
	want := func(when string, signs ...bool) []token.PublishedKey {
		t.Helper()
		published, err := key.Published(t.Context())
		if err != nil || len(published) != len(signs) {
			t.Fatalf("%s: %d keys, %v", when, len(published), err)
		}
		if current, err := key.PublicKey(t.Context()); err != nil || !current.Equal(published[0].Public) {
			t.Errorf("%s: another key comes first, %v", when, err)
		}
		for i, p := range published {
			signature, err := key.SignDigest(t.Context(), p.Public, digest)
			switch {
			case p.Signs != signs[i]:
				t.Errorf("%s: key %d says %t", when, i, p.Signs)
			case !signs[i] && !errors.Is(err, token.ErrKeyMoved):
				t.Errorf("%s: key %d signs, %v", when, i, err)
			case signs[i] && rsa.VerifyPKCS1v15(p.Public, crypto.SHA256, digest[:], signature) != nil:
				t.Errorf("%s: key %d does not sign, %v", when, i, err)
			}
		}
		return published
	}
	before := want("prepared", true, false)
	s := token.Succession{Store: store, Now: func() time.Time { return time.Now().Add(token.DefaultLead) }}
	if err := s.Promote(t.Context(), token.DefaultLead); err != nil {
		t.Fatal(err)
	}
	after := want("promoted", true, true)
	if !after[0].Public.Equal(before[1].Public) || !after[1].Public.Equal(before[0].Public) {
		t.Error("the keys have not changed places")
	}

	if err := os.WriteFile(filepath.Join(path, "token-key.pem"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again := want("while a file cannot be read", true, true); !again[0].Public.Equal(after[0].Public) {
		t.Error("another key signs")
	}
}
