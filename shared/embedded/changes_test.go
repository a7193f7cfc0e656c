package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
)

// full makes a folder whose feed has reached its limit of three changes, and the license of the last.
func full(t *testing.T) (*embedded.Folder, license.License) {
	t.Helper()
	folder := open(t, t.TempDir())
	folder.Changes.Limit(3)
	l := licensetest.Issue(t)
	revoked := licensetest.Revoke(t, l, "why")
	again := licensetest.Issue(t)
	for _, err := range []error{
		folder.Licenses.Create(t.Context(), l),
		folder.Licenses.Update(t.Context(), l, revoked),
		folder.Licenses.Create(t.Context(), again),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return folder, again
}

func oldest(t *testing.T, folder *embedded.Folder, n int) []embedded.Change {
	t.Helper()
	changes, err := folder.Changes.Oldest(t.Context(), 100)
	if err != nil || len(changes) < n {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	return changes[:n]
}

// TestFullFeed: every kind of write waits for room, until its time is almost over, and has then written nothing.
func TestFullFeed(t *testing.T) {
	for name, write := range map[string]func(*embedded.Folder, context.Context, license.License) error{
		"Create": func(f *embedded.Folder, ctx context.Context, l license.License) error {
			l.ID += "0"
			return f.Licenses.Create(ctx, l)
		},
		"Update": func(f *embedded.Folder, ctx context.Context, l license.License) error {
			return f.Licenses.Update(ctx, l, licensetest.Revoke(t, l, "why"))
		},
		"Remove": func(f *embedded.Folder, ctx context.Context, l license.License) error {
			return f.Licenses.Remove(ctx, l)
		},
		"PutRecord": func(f *embedded.Folder, ctx context.Context, l license.License) error {
			return f.Licenses.PutRecord(ctx, attribute.Map{"licenseid": l.ID})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				folder, l := full(t)
				const timeout = 28 * time.Second
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				begun := time.Now()
				err := write(folder, ctx, l)
				if waited := time.Since(begun); !errors.Is(err, license.ErrBusy) || ctx.Err() != nil ||
					waited < timeout-2*time.Second {
					t.Errorf("got %v after %v", err, waited)
				}
				if length, err := folder.Changes.Length(); length != 3 || err != nil {
					t.Errorf("%d changes, %v", length, err)
				}
				if _, err := folder.Licenses.Get(t.Context(), l.ID); err != nil {
					t.Errorf("read: %v", err)
				}

				time.AfterFunc(5*time.Second, func() {
					if err := folder.Changes.Remove(t.Context(), oldest(t, folder, 1)); err != nil {
						t.Error(err)
					}
				})
				begun = time.Now()
				ctx, cancel = context.WithTimeout(t.Context(), timeout)
				defer cancel()
				if err := write(folder, ctx, l); err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(begun).Round(time.Second); waited != 5*time.Second {
					t.Errorf("waited %v for room that was there after 5 s", waited)
				}
				if length, err := folder.Changes.Length(); length != 3 || err != nil {
					t.Errorf("%d changes after a removal and a write, %v", length, err)
				}
			})
		})
	}
}

// TestFullFeedWithoutTime: a write without a deadline waits until it is given up.
func TestFullFeedWithoutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder, _ := full(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		begun := time.Now()
		if err := folder.Licenses.Create(ctx, licensetest.Issue(t)); !errors.Is(err, license.ErrBusy) ||
			time.Since(begun) != time.Hour {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
	})
}

// TestFullFeedAtOnce: all writes that wait go on, and the feed grows beyond its limit by no more than them.
func TestFullFeedAtOnce(t *testing.T) {
	folder, _ := full(t)
	const writers = 20
	written := make(chan error, writers)
	for range writers {
		l := licensetest.Issue(t)
		go func() { written <- folder.Licenses.Create(t.Context(), l) }()
	}
	for done := 0; done < writers; {
		changes := oldest(t, folder, 1)
		if err := folder.Changes.Remove(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
		if length, err := folder.Changes.Length(); length > 3+writers || err != nil {
			t.Fatalf("%d changes, %v", length, err)
		}
		for isEmpty := false; !isEmpty; {
			select {
			case err := <-written:
				if done++; err != nil {
					t.Error(err)
				}
			case <-time.After(10 * time.Millisecond):
				isEmpty = true
			}
		}
	}
}

// TestBurst: of writes that begin at once, no more pass the feed's limit than may be under way.
func TestBurst(t *testing.T) {
	folder, l := full(t)
	if err := folder.Changes.Remove(t.Context(), oldest(t, folder, 1)); err != nil {
		t.Fatal(err)
	}
	const writers = 4000
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	written := make(chan error, writers)
	begin := make(chan struct{})
	for n := range writers {
		another := l
		another.ID = fmt.Sprint(l.ID, n)
		go func() {
			<-begin
			written <- folder.Licenses.Create(ctx, another)
		}()
	}
	close(begin)
	var created uint64
	for range writers {
		switch err := <-written; {
		case err == nil:
			created++
		case !errors.Is(err, license.ErrBusy):
			t.Fatal(err)
		}
	}
	length, err := folder.Changes.Length()
	if length != 2+created || length > 3+embedded.MaxWriters || err != nil {
		t.Errorf("%d changes after %d writes, %v", length, created, err)
	}
}

// TestWaitRecorded waits for what is in the feed, in whatever order it goes, and not for what comes later.
func TestWaitRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := open(t, t.TempDir())
		if err := folder.Changes.WaitRecorded(t.Context()); err != nil {
			t.Errorf("empty: %v", err)
		}
		for range 3 {
			if err := folder.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil {
				t.Fatal(err)
			}
		}
		for i, order := range []int{2, 0, 0} {
			time.AfterFunc(time.Duration(i+1)*time.Minute, func() {
				changes := oldest(t, folder, order+1)
				err := errors.Join(
					folder.Licenses.Create(t.Context(), licensetest.Issue(t)),
					folder.Changes.Remove(t.Context(), changes[order:order+1]),
				)
				if err != nil {
					t.Error(err)
				}
			})
		}
		begun := time.Now()
		err := folder.Changes.WaitRecorded(t.Context())
		if waited := time.Since(begun).Round(time.Second); err != nil || waited != 3*time.Minute {
			t.Errorf("%v after %v", err, waited)
		}
		if length, err := folder.Changes.Length(); length != 3 || err != nil {
			t.Errorf("%d changes, %v", length, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := folder.Changes.WaitRecorded(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a feed that stands still: %v", err)
		}
	})
}

// TestLength: from the oldest to the newest, and after a restart the same.
func TestLength(t *testing.T) {
	path := t.TempDir()
	folder := open(t, path)
	want := func(want uint64) {
		t.Helper()
		if length, err := folder.Changes.Length(); length != want || err != nil {
			t.Errorf("length %d, %v, want %d", length, err, want)
		}
	}
	want(0)
	for range 4 {
		if err := folder.Licenses.Create(t.Context(), licensetest.Issue(t)); err != nil {
			t.Fatal(err)
		}
	}
	want(4)
	changes := oldest(t, folder, 4)
	for _, removal := range []struct {
		changes []embedded.Change
		want    uint64
	}{
		{changes[1:2], 4}, {changes[:1], 2}, {changes[:2], 2}, {nil, 2},
	} {
		if err := folder.Changes.Remove(t.Context(), removal.changes); err != nil {
			t.Fatal(err)
		}
		want(removal.want)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	folder = open(t, path)
	want(2)
	if err := folder.Changes.Remove(t.Context(), oldest(t, folder, 2)); err != nil {
		t.Fatal(err)
	}
	want(0)
}
