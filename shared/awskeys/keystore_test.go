package awskeys

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/token"
)

var (
	_ KeyAPI      = (*kmstest.KMS)(nil)
	_ KeyStoreAPI = (*kmstest.KMS)(nil)
)

const tokenLifetime = 90 * 24 * time.Hour

// succession is a KMS with one token key, whose clock a test moves.
type succession struct {
	token.Succession
	t   *testing.T
	kms *kmstest.KMS
	now time.Time
}

func newSuccession(t *testing.T) *succession {
	t.Helper()
	s := &succession{t: t, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	s.kms = kmstest.New(clock)
	if _, err := s.kms.AddRSA(alias); err != nil {
		t.Fatal(err)
	}
	store, err := NewKeyStore(s.kms, alias)
	if err != nil {
		t.Fatal(err)
	}
	s.Succession = token.Succession{Store: store.WithClock(clock), Now: clock}
	return s
}

// want compares what the aliases stand for: current, next, previous.
func (s *succession) want(current, next, previous string) {
	s.t.Helper()
	got := fmt.Sprintf("%s %s %s", s.kms.Target(alias), s.kms.Target(nextAlias), s.kms.Target(previousAlias))
	if want := fmt.Sprintf("%s %s %s", current, next, previous); got != want {
		s.t.Errorf("current, next, previous are %q, want %q", got, want)
	}
}

func (s *succession) prepare() error { return s.Prepare(s.t.Context()) }
func (s *succession) promote() error { return s.Promote(s.t.Context(), token.DefaultLead) }
func (s *succession) retire() error {
	_, err := s.Retire(s.t.Context(), tokenLifetime, noPins)
	return err
}

func noPins(context.Context, string, time.Time) ([]string, error) { return nil, nil }

func (s *succession) wantRefused(err error, text string) {
	s.t.Helper()
	var refused *token.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, text) {
		s.t.Errorf("got %v, want a refusal that says %q", err, text)
	}
}

func (s *succession) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestSuccession goes the whole way, and asks for each step too early first.
func TestSuccession(t *testing.T) {
	s := newSuccession(t)
	s.wantRefused(s.promote(), "there is no successor")
	s.wantRefused(s.retire(), "there is no predecessor")
	s.ok(s.prepare())
	s.want("key-1", "key-2", "")
	in := s.kms.Created()
	if in.KeySpec != types.KeySpecRsa2048 || in.KeyUsage != types.KeyUsageTypeSignVerify ||
		*in.Policy != kmstest.Policy ||
		len(in.Tags) != 1 ||
		aws.ToString(in.Tags[0].TagKey) != "owner" {
		t.Errorf("made a key of %+v", in)
	}
	s.ok(s.prepare())
	s.want("key-1", "key-2", "")

	s.now = s.now.Add(token.DefaultLead - 1)
	s.wantRefused(s.promote(), "products may not know the successor yet")
	s.want("key-1", "key-2", "")
	s.now = s.now.Add(1)
	s.wantRefused(s.Promote(t.Context(), token.MinLead-1), "too short")
	s.ok(s.promote())
	s.want("key-2", "", "key-1")
	s.wantRefused(s.promote(), "there is no successor")

	s.now = s.now.Add(time.Hour)
	s.ok(s.prepare())
	s.now = s.now.Add(token.DefaultLead)
	s.wantRefused(s.promote(), "retire it first")
	s.want("key-2", "key-3", "key-1")
	s.now = s.now.Add(tokenLifetime - token.DefaultLead - 1)
	s.wantRefused(s.retire(), "tokens of the key")
	s.want("key-2", "key-3", "key-1")
	s.now = s.now.Add(1)
	s.ok(s.retire())
	s.want("key-2", "key-3", "")
	s.ok(s.promote())
	s.want("key-3", "", "key-2")
}

// TestRetirePinned: a license that is pinned, or was while its tokens are valid, keeps the key.
func TestRetirePinned(t *testing.T) {
	s := newSuccession(t)
	old, err := s.Store.Keys(t.Context())
	s.ok(err)
	s.ok(s.prepare())
	s.now = s.now.Add(token.DefaultLead)
	s.ok(s.promote())
	s.now = s.now.Add(2 * tokenLifetime)
	pins := func(_ context.Context, kid string, since time.Time) ([]string, error) {
		if kid != old[token.Current].KeyID || since.After(s.now.Add(-tokenLifetime)) {
			t.Errorf("asked for pins to %s since %s", kid, since)
		}
		return []string{"license-1", "license-2"}, nil
	}
	_, err = s.Retire(t.Context(), tokenLifetime, pins)
	s.wantRefused(err, "license-1, license-2")
	fault := errors.New("the API is away")
	failing := func(context.Context, string, time.Time) ([]string, error) { return nil, fault }
	if _, err = s.Retire(t.Context(), tokenLifetime, failing); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
	s.want("key-2", "", "key-1")
}

// TestPromotionDate: the lifetime counts from the promotion, not from a try that was cut off before it.
func TestPromotionDate(t *testing.T) {
	s := newSuccession(t)
	s.ok(s.prepare())
	s.now = s.now.Add(token.DefaultLead)
	keys, err := s.Store.Keys(t.Context())
	s.ok(err)
	s.ok(s.Store.Put(t.Context(), token.Previous, keys[token.Current]))
	s.wantRefused(s.retire(), "was cut off")
	s.now = s.now.Add(30 * 24 * time.Hour)
	s.ok(s.promote())
	s.now = s.now.Add(tokenLifetime)
	s.wantRefused(s.retire(), "tokens of the key")
	s.now = s.now.Add(time.Hour)
	s.ok(s.retire())
}

// TestSuccessionCutOff cuts each step off at every call, before and after it takes effect. Each key that has signed
// stays published, and the step is completed by taking it again.
func TestSuccessionCutOff(t *testing.T) {
	cut := func(
		t *testing.T, name string, before func(*succession), step func(*succession) error,
		published []string, after [3]string,
	) {
		whole := newSuccession(t)
		before(whole)
		begun := whole.kms.Calls
		whole.ok(step(whole))
		for at := 1; at <= whole.kms.Calls-begun; at++ {
			for _, persists := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, call %d, %t", name, at, persists), func(t *testing.T) {
					s := newSuccession(t)
					before(s)
					s.kms.CutAt, s.kms.Persists = s.kms.Calls+at, persists
					if err := step(s); err != nil && !errors.Is(err, kmstest.ErrCut) {
						t.Fatal(err)
					}
					targets := []string{s.kms.Target(alias), s.kms.Target(nextAlias), s.kms.Target(previousAlias)}
					for _, key := range published {
						if !strings.Contains(strings.Join(targets, " ")+" ", key+" ") {
							t.Errorf("%s is not published: %q", key, targets)
						}
					}
					err := step(s)
					var refused *token.RefusedError
					if err != nil && !errors.As(err, &refused) { // it was done already
						t.Error(err)
					}
					s.want(after[0], after[1], after[2])
					if s.kms.Keys() != 2 {
						t.Errorf("%d keys", s.kms.Keys())
					}
				})
			}
		}
	}
	none := func(*succession) {}
	prepared := func(s *succession) { s.ok(s.prepare()); s.now = s.now.Add(token.DefaultLead) }
	promoted := func(s *succession) { prepared(s); s.ok(s.promote()); s.now = s.now.Add(tokenLifetime + time.Hour) }
	cut(t, "prepare", none, (*succession).prepare, []string{"key-1"}, [3]string{"key-1", "key-2", ""})
	cut(t, "promote", prepared, (*succession).promote, []string{"key-1", "key-2"}, [3]string{"key-2", "", "key-1"})
	cut(t, "retire", promoted, (*succession).retire, []string{"key-2"}, [3]string{"key-2", "", ""})
}

// TestRetiredKeyStaysAway: a key without an alias is used only where it was made just now.
func TestRetiredKeyStaysAway(t *testing.T) {
	s := newSuccession(t)
	for range 2 {
		s.ok(s.prepare())
		s.now = s.now.Add(token.DefaultLead)
		s.ok(s.promote())
		s.now = s.now.Add(tokenLifetime + time.Hour)
		s.ok(s.retire())
	}
	s.ok(s.prepare()) // key-2 was made by prepare and is retired
	s.want("key-3", "key-4", "")
}

func TestNoAlias(t *testing.T) {
	if _, err := NewKeyStore(nil, "arn:aws:kms:eu-central-1:123456789012:key/1"); err == nil {
		t.Error("a key that is behind no alias was taken")
	}
	s := newSuccession(t)
	store, err := NewKeyStore(s.kms, "alias/other")
	s.ok(err)
	if _, err := store.Keys(t.Context()); err == nil {
		t.Error("an alias that does not exist was taken")
	}
}
