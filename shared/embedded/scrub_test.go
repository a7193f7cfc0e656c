package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// erased is in every value that the tests erase, also as the indexes have it.
const erased = "forget-me"

// personal returns a license's record with values to erase: short ones, which are keys of indexes too, and every tenth
// time one that takes many pages by itself.
func personal(t testing.TB, number int) attribute.Map {
	t.Helper()
	record := licensetest.Issue(t).Record()
	record["customername"] = fmt.Sprint(erased, " ", number)
	record["email"] = fmt.Sprint(erased, number, "@example.com")
	if number%10 == 0 {
		record["notes"] = strings.Repeat(erased+" ", 3000)
	}
	return license.Adopt(record, licensetest.Now).Apply(record)
}

// eraseSome makes licenses with such values, changes them again and again, and erases the values of half of them and
// all of the others. Then it empties the feed.
func eraseSome(t testing.TB, folder *embedded.Folder, licenses int) {
	t.Helper()
	ctx := t.Context()
	var writers sync.WaitGroup
	for n := range licenses {
		writers.Go(func() {
			record := personal(t, n)
			for version := range 4 {
				record["changereason"] = fmt.Sprint("change ", version)
				if err := folder.Licenses.PutRecord(ctx, record); err != nil {
					t.Error(err)
				}
			}
			l, err := license.FromRecord(record)
			if n%2 == 0 {
				err = errors.Join(err, folder.Licenses.Remove(ctx, l))
			} else {
				l.CustomerName, l.Email, l.Notes = "erased", "", ""
				err = errors.Join(err, folder.Licenses.PutRecord(ctx, l.Record()))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	emptyFeed(t, folder)
}

func emptyFeed(t testing.TB, folder *embedded.Folder) {
	t.Helper()
	changes, err := folder.Changes.Oldest(t.Context(), 1_000_000)
	if err := errors.Join(err, folder.Changes.Remove(t.Context(), changes)); err != nil {
		t.Fatal(err)
	}
}

func markScrub(t testing.TB, folder *embedded.Folder) {
	t.Helper()
	if err := folder.MarkScrub(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func scrub(t testing.TB, folder *embedded.Folder) {
	t.Helper()
	if err := folder.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// isScrubDue reports whether AwaitScrub returns at once.
func isScrubDue(t testing.TB, folder *embedded.Folder) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := folder.AwaitScrub(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return err == nil
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// wantErased wants what is erased to be in the data file no more, or else still.
func wantErased(t testing.TB, file string, want bool) {
	t.Helper()
	if found := bytes.Count(readFile(t, file), []byte(erased)); found == 0 != want {
		t.Errorf("what is erased is in the file %d times", found)
	}
}

// wantSound wants bbolt's own check and the folder's to find nothing. It closes the folder.
func wantSound(t testing.TB, path string, folder *embedded.Folder) {
	t.Helper()
	if err := errors.Join(folder.CheckAgain(t.Context()), folder.Close()); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(dataFile(path), 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) (err error) {
		name, _ := tx.Cursor().Seek([]byte("filler"))
		if bytes.HasPrefix(name, []byte("filler")) {
			t.Error("the filler is still there")
		}
		for found := range tx.Check() {
			err = errors.Join(err, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// pagesOf returns how many pages bbolt knows of a data file, and the numbers of those that are free.
func pagesOf(t testing.TB, content []byte) (all int, free []int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "copy.db")
	errWrite := os.WriteFile(file, content, 0o600)
	db, err := bbolt.Open(file, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err := errors.Join(errWrite, err); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		all = int(tx.Size()) / db.Info().PageSize
		for number := range all {
			page, err := tx.Page(number)
			if err != nil {
				return err
			}
			if page.Type == "free" {
				free = append(free, number)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, free
}

// copyBetweenWrites copies the data file as a crash between two transactions would leave it.
func copyBetweenWrites(t testing.TB, folder *embedded.Folder, path string) (content []byte) {
	t.Helper()
	if err := folder.BetweenWrites(func() { content = readFile(t, dataFile(path)) }); err != nil {
		t.Fatal(err)
	}
	return content
}

// TestScrub: while others read and write, what was erased goes from every byte of the file, and nothing else does.
func TestScrub(t *testing.T) {
	defer embedded.SetFillSize(256 << 10)() // many transactions
	path := t.TempDir()
	folder := open(t, path)
	kept := licensetest.Issue(t)
	if err := folder.Licenses.Create(t.Context(), kept); err != nil {
		t.Fatal(err)
	}
	eraseSome(t, folder, 120)
	markScrub(t, folder)
	wantErased(t, dataFile(path), false)

	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for ctx.Err() == nil {
				l := licensetest.Issue(t)
				revoked := licensetest.Revoke(t, l, "why")
				if err := errors.Join(folder.Licenses.Create(t.Context(), l),
					folder.Licenses.Update(t.Context(), l, revoked)); err != nil {
					t.Error(err)
				}
			}
		})
		others.Go(func() {
			for ctx.Err() == nil {
				_, errList := folder.Licenses.List(t.Context(), license.Query{Now: licensetest.Now, Limit: 20})
				got, errGet := folder.Licenses.Get(t.Context(), kept.ID)
				if err := errors.Join(errList, errGet); err != nil || licensetest.Diff(kept, got) != "" {
					t.Errorf("got %+v, %v", got, err)
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	scrub(t, folder)
	stop()
	others.Wait()
	wantErased(t, dataFile(path), true)
	if isScrubDue(t, folder) {
		t.Error("the mark is still there")
	}
	wantSound(t, path, folder)
}

// freeFolder makes a folder whose data file has twice the size in pages, of which as much is free and holds what is
// erased.
func freeFolder(t testing.TB, size int, isFree func(page int) bool) (path string) {
	t.Helper()
	path = t.TempDir()
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	pageSize := os.Getpagesize()
	value := bytes.Repeat([]byte(erased+" "), pageSize/4/(len(erased)+1)) // two in a page, which is then half full
	key := func(entry int) []byte { return fmt.Appendf(nil, "%08d", entry) }
	entries := 2 * 2 * size / pageSize
	editBuckets(t, path, func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte("pages"))
		for entry := range entries {
			err = errors.Join(err, bucket.Put(key(entry), embedded.Seal(key(entry), value)))
		}
		return err
	})
	editBuckets(t, path, func(tx *bbolt.Tx) (err error) {
		for entry := range entries {
			if isFree(entry / 2) {
				err = errors.Join(err, tx.Bucket([]byte("pages")).Delete(key(entry)))
			}
		}
		return err
	})
	if err := os.Remove(dataFile(path) + ".sha256"); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScrubWritesEveryFreePage: each page that was free is another afterwards, whether it was alone or among others.
// The file does not grow, also not with the next scrubs.
func TestScrubWritesEveryFreePage(t *testing.T) {
	path := freeFolder(t, 4<<20, func(page int) bool { return page < 512 || page%2 == 0 })
	folder := open(t, path)
	markScrub(t, folder)
	before := copyBetweenWrites(t, folder, path)
	all, free := pagesOf(t, before)
	alone := 0
	for i, page := range free {
		if (i == 0 || free[i-1] != page-1) && (i == len(free)-1 || free[i+1] != page+1) {
			alone++
		}
	}
	if alone < 500 || len(free)-alone < 500 {
		t.Fatalf("%d of %d free pages are alone", alone, len(free))
	}

	scrub(t, folder)
	after, pageSize := readFile(t, dataFile(path)), os.Getpagesize()
	for _, page := range free {
		if bytes.Equal(before[page*pageSize:(page+1)*pageSize], after[page*pageSize:(page+1)*pageSize]) {
			t.Errorf("page %d was not written", page)
		}
	}
	for range 10 {
		markScrub(t, folder)
		scrub(t, folder)
	}
	if again, _ := pagesOf(t, readFile(t, dataFile(path))); again > all+5 {
		t.Errorf("the file has grown from %d to %d pages", all, again)
	}
	wantSound(t, path, folder)
}

// TestScrubWaitsForReads: bbolt keeps the pages that a read sees, here all that were given up. New reads and writes do
// not wait for it.
func TestScrubWaitsForReads(t *testing.T) {
	path := t.TempDir()
	if err := errors.Join(open(t, path).Close(), os.Remove(dataFile(path)+".sha256"),
		os.Truncate(dataFile(path), 60<<20)); err != nil { // or bbolt would wait for the read to let the file grow
		t.Fatal(err)
	}
	folder := open(t, path)
	begun, end, reading := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		reading <- folder.Reading(func() {
			close(begun)
			<-end
		})
	}()
	<-begun
	eraseSome(t, folder, 60)
	markScrub(t, folder)
	scrubbed := make(chan error, 1)
	go func() { scrubbed <- folder.Scrub(t.Context()) }()
	for range 50 {
		l := licensetest.Issue(t)
		errCreate := folder.Licenses.Create(t.Context(), l)
		_, errGet := folder.Licenses.Get(t.Context(), l.ID)
		if err := errors.Join(errCreate, errGet); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-scrubbed:
		t.Errorf("it did not wait: %v", err)
		scrubbed <- err
	default:
	}
	close(end)
	if err := errors.Join(<-reading, <-scrubbed); err != nil {
		t.Fatal(err)
	}
	wantErased(t, dataFile(path), true)
	wantSound(t, path, folder)
}

// TestScrubAfterCrash: wherever a crash cuts a scrub off, the mark is still there, and the next one finishes.
func TestScrubAfterCrash(t *testing.T) {
	defer embedded.SetFillSize(256 << 10)()
	path := t.TempDir()
	folder := open(t, path)
	eraseSome(t, folder, 60)
	markScrub(t, folder)
	crashes := [][]byte{copyBetweenWrites(t, folder, path)}
	scrubbed := make(chan error, 1)
	go func() { scrubbed <- folder.Scrub(t.Context()) }()
	for isOver := false; !isOver; {
		select {
		case err := <-scrubbed:
			if err != nil {
				t.Fatal(err)
			}
			isOver = true
		default:
		}
		crashes = appendCrashes(crashes, copyBetweenWrites(t, folder, path))
	}
	inScrub := 0
	for i, crash := range crashes {
		path := copyFolder(t, path)
		if err := os.WriteFile(dataFile(path), crash, 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, path)
		switch isDue := isScrubDue(t, again); {
		case isDue && bytes.Contains(crash, []byte("filler")):
			inScrub++
		case !isDue && bytes.Contains(crash, []byte(erased)):
			t.Errorf("crash %d of %d: there is no mark", i, len(crashes))
		}
		scrub(t, again)
		wantErased(t, dataFile(path), true)
		wantSound(t, path, again)
	}
	if inScrub < 6 {
		t.Errorf("%d of %d crashes are in the scrub", inScrub, len(crashes))
	}
}

// appendCrashes adds what a crash leaves now. It adds what one left earlier, too, if a single transaction has come
// since the last copy: such writes its pages before it writes the one of the two meta pages that makes them count.
func appendCrashes(crashes [][]byte, now []byte) [][]byte {
	last, pageSize, changed := crashes[len(crashes)-1], os.Getpagesize(), 0
	for meta := range 2 {
		if !bytes.Equal(last[meta*pageSize:(meta+1)*pageSize], now[meta*pageSize:(meta+1)*pageSize]) {
			changed++
		}
	}
	switch changed {
	case 0:
		return crashes
	case 1:
		crashes = append(crashes, append(bytes.Clone(last[:2*pageSize]), now[2*pageSize:]...))
	}
	return append(crashes, now)
}

// TestScrubOfCutOffWrite: a write that was cut off has left values behind all pages that bbolt knows.
func TestScrubOfCutOffWrite(t *testing.T) {
	path := t.TempDir()
	folder := open(t, path)
	if err := folder.Licenses.PutRecord(t.Context(), personal(t, 1)); err != nil {
		t.Fatal(err)
	}
	crashes := [][]byte{copyBetweenWrites(t, folder, path)}
	record := personal(t, 10)
	record["notes"] = strings.Repeat(erased+" ", 30_000) // the file has to grow
	if err := folder.Licenses.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	crashes = appendCrashes(crashes, copyBetweenWrites(t, folder, path))
	if err := folder.Close(); err != nil || len(crashes) != 3 {
		t.Fatalf("%d copies, %v", len(crashes), err)
	}
	err := errors.Join(os.WriteFile(dataFile(path), crashes[1], 0o600), os.Remove(dataFile(path)+".sha256"))
	if err != nil {
		t.Fatal(err)
	}

	folder = open(t, path)
	page, err := folder.Licenses.List(t.Context(), license.Query{Now: licensetest.Now, Limit: 10})
	if err != nil || len(page.Licenses) != 1 {
		t.Fatalf("%d licenses, %v", len(page.Licenses), err)
	}
	if err := folder.Licenses.Remove(t.Context(), page.Licenses[0]); err != nil {
		t.Fatal(err)
	}
	emptyFeed(t, folder)
	markScrub(t, folder)
	wantErased(t, dataFile(path), false)
	scrub(t, folder)
	wantErased(t, dataFile(path), true)
	if size := len(readFile(t, dataFile(path))); size > len(crashes[1]) {
		t.Errorf("the file has grown from %d to %d bytes", len(crashes[1]), size)
	}
	wantSound(t, path, folder)
}

// TestScrubWaitsForTheFeed: what was before a change is in the feed until the change is removed.
func TestScrubWaitsForTheFeed(t *testing.T) {
	path := t.TempDir()
	folder := open(t, path)
	if isScrubDue(t, folder) {
		t.Error("it is due without a mark")
	}
	record := personal(t, 10)
	l, err := license.FromRecord(record)
	if err := errors.Join(err, folder.Licenses.PutRecord(t.Context(), record),
		folder.Licenses.Remove(t.Context(), l)); err != nil {
		t.Fatal(err)
	}
	markScrub(t, folder)
	if err := folder.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil { // for which it does not wait
		t.Fatal(err)
	}
	for left := 2; left > 0; left-- {
		if isScrubDue(t, folder) {
			t.Errorf("it is due with %d older changes in the feed", left)
		}
		before := readFile(t, dataFile(path))
		scrub(t, folder)
		if !bytes.Equal(before, readFile(t, dataFile(path))) {
			t.Errorf("it has begun with %d older changes in the feed", left)
		}
		if err := folder.Changes.Remove(t.Context(), oldest(t, folder, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if !isScrubDue(t, folder) {
		t.Error("it is not due")
	}
	scrub(t, folder)
	wantErased(t, dataFile(path), true)
	if isScrubDue(t, folder) {
		t.Error("it is still due")
	}
}

// TestScrubDuringAnErasure: a mark that is set during a scrub stays.
func TestScrubDuringAnErasure(t *testing.T) {
	path := t.TempDir()
	folder := open(t, path)
	record := personal(t, 1)
	l, err := license.FromRecord(record)
	if err := errors.Join(err, folder.Licenses.PutRecord(t.Context(), record)); err != nil {
		t.Fatal(err)
	}
	emptyFeed(t, folder)
	markScrub(t, folder)
	scrubbed := make(chan error, 1)
	err = folder.Reading(func() { // for whose end the scrub waits
		before := copyBetweenWrites(t, folder, path)
		go func() { scrubbed <- folder.Scrub(t.Context()) }()
		for bytes.Equal(before, copyBetweenWrites(t, folder, path)) {
			time.Sleep(time.Millisecond)
		}
		if err := folder.Licenses.Remove(t.Context(), l); err != nil {
			t.Error(err)
		}
		markScrub(t, folder)
	})
	if err := errors.Join(err, <-scrubbed); err != nil {
		t.Fatal(err)
	}
	wantErased(t, dataFile(path), false)
	emptyFeed(t, folder)
	if !isScrubDue(t, folder) {
		t.Fatal("the mark is gone")
	}
	scrub(t, folder)
	wantErased(t, dataFile(path), true)
}

// TestScrubStops: when its context ends it leaves no filler, but the mark.
func TestScrubStops(t *testing.T) {
	defer embedded.SetFillSize(os.Getpagesize())()
	path := t.TempDir()
	folder := open(t, path)
	eraseSome(t, folder, 60)
	markScrub(t, folder)
	ctx, stop := context.WithCancel(t.Context())
	scrubbed := make(chan error, 1)
	go func() { scrubbed <- folder.Scrub(ctx) }()
	for !bytes.Contains(copyBetweenWrites(t, folder, path), []byte("filler")) {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-scrubbed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := folder.AwaitScrub(ctx); err != nil {
		t.Errorf("the mark is gone: %v", err)
	}
	wantErased(t, dataFile(path), false)
	wantSound(t, path, folder)
	embedded.SetFillSize(1 << 20)
	folder = open(t, path)
	scrub(t, folder)
	wantErased(t, dataFile(path), true)
	if err := folder.AwaitScrub(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it does not stop waiting: %v", err)
	}
}

// TestScrubUnderLoad: it ends, and the file stays as large as it has to be, while other writes free more pages than it
// fills.
func TestScrubUnderLoad(t *testing.T) {
	defer embedded.SetFillSize(8 * os.Getpagesize())()
	path := t.TempDir()
	folder := open(t, path)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for n := range 32 {
		writers.Go(func() {
			record := personal(t, n)
			for ctx.Err() == nil {
				if err := folder.Licenses.PutRecord(t.Context(), record); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		time.Sleep(20 * time.Millisecond)
		emptyFeed(t, folder)
		markScrub(t, folder)
		emptyFeed(t, folder)
		scrub(t, folder)
	}
	stop()
	writers.Wait()
	wantSound(t, path, folder)
}

// TestAwaitScrub: a mark ends the wait, the removal of the last older change does, and so does the check of a large
// file.
func TestAwaitScrub(t *testing.T) {
	for name, test := range map[string]struct{ before, last func(*embedded.Folder) }{
		"mark": {
			func(*embedded.Folder) {},
			func(f *embedded.Folder) { markScrub(t, f) },
		},
		"removal": {
			func(f *embedded.Folder) {
				if err := f.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil {
					t.Fatal(err)
				}
				markScrub(t, f)
			},
			func(f *embedded.Folder) { emptyFeed(t, f) },
		},
		"check": {
			func(f *embedded.Folder) { markScrub(t, f) },
			func(f *embedded.Folder) {
				if err := f.Check(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			if name == "check" {
				if err := os.Remove(dataFile(path) + ".sha256"); err != nil {
					t.Fatal(err)
				}
				enlarge(t, path)
			}
			synctest.Test(t, func(t *testing.T) {
				folder := open(t, path)
				test.before(folder)
				var isOver bool
				go func() {
					if err := folder.AwaitScrub(t.Context()); err != nil {
						t.Error(err)
					}
					isOver = true
				}()
				synctest.Wait()
				if isOver {
					t.Fatal("it did not wait")
				}
				test.last(folder)
				synctest.Wait()
				if !isOver {
					t.Error("it still waits")
				}
			})
		})
	}
}
