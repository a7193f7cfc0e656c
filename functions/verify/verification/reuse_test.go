package verification_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
)

// sharedSignatures is a token.Signatures in memory, over the licenses and the devices of a verifier.
type sharedSignatures struct {
	licenses license.Reader
	devices  device.Store
	kept     map[string]token.Signature
	expires  time.Time
	err      error // of Keep
}

func (s *sharedSignatures) Get(ctx context.Context, id, deviceID string) (token.Kept, error) {
	l, err := s.licenses.Get(ctx, id)
	kept := token.Kept{License: l, Signature: s.kept[id]}
	if err == nil && deviceID != "" {
		kept.OfDevice = s.kept[id+"/"+deviceID]
		kept.Seats, kept.SeatsErr = s.devices.Seats(ctx, id)
	}
	return kept, err
}

func (s *sharedSignatures) Keep(
	_ context.Context, id, deviceID string, signature token.Signature, expires time.Time,
) error {
	if s.err != nil {
		return s.err
	}
	stored := token.Signature{SignedAt: signature.SignedAt, Bytes: signature.Bytes}
	if deviceID != "" {
		id, stored.Expires = id+"/"+deviceID, signature.Expires
	}
	s.kept[id], s.expires = stored, expires
	return nil
}

const reusePeriod = 9 * 24 * time.Hour

// instance is one of those that share signatures, with memory of its own.
func instance(v verification.Verifier, shared token.Signatures) verification.Verifier {
	v.Reuse = verification.NewReuse(reusePeriod, shared)
	return v
}

// TestReusedToken: at every age, by an instance that remembers the token and by one that was started since.
func TestReusedToken(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	shared := &sharedSignatures{licenses: v.Licenses, kept: map[string]token.Signature{}}
	at := time.Now().Truncate(time.Second)
	verify := func(v verification.Verifier, after time.Duration) string {
		t.Helper()
		v.Now = func() time.Time { return at.Add(after) }
		response, body := handle(t, v, verifyEvent(c.Cases[0].Body, false))
		if response.StatusCode != http.StatusOK {
			t.Fatalf("after %v: %d %s", after, response.StatusCode, response.Body)
		}
		return body["message"]
	}
	v = instance(v, shared)
	first := verify(v, 0)
	if !shared.expires.Equal(at.Add(reusePeriod)) {
		t.Errorf("kept until %v", shared.expires)
	}
	for _, test := range []struct {
		name  string
		after time.Duration
		again bool
	}{
		{"at once", 0, true},
		{"just before the period ends", reusePeriod - time.Nanosecond, true},
		{"when the period ends", reusePeriod, false},
		{"by a clock that is behind", -time.Second, false},
	} {
		remembering := instance(v, shared)
		verify(remembering, 0)
		kept := shared.kept
		for name, v := range map[string]verification.Verifier{
			"remembering": remembering, "started since": instance(v, shared),
		} {
			shared.kept = map[string]token.Signature{}
			for id, signature := range kept {
				shared.kept[id] = signature
			}
			if again := verify(v, test.after) == first; again != test.again {
				t.Errorf("%s, %s: the same token: %v", test.name, name, again)
			}
		}
		shared.kept = kept
	}
	shared.kept = map[string]token.Signature{}
	shared.err = errors.New("no such table")
	verify(instance(v, shared), time.Hour) // a token all the same
}

// TestNoReuseOfRefused: each verification sees the license as it is, reused token or not.
func TestNoReuseOfRefused(t *testing.T) {
	c := readConformance(t)
	v := newVerifier(t, c)
	writer := v.Licenses.(license.Store)
	shared := &sharedSignatures{licenses: v.Licenses, kept: map[string]token.Signature{}}
	v = instance(v, shared)
	if response, _ := handle(t, v, verifyEvent(c.Cases[0].Body, false)); response.StatusCode != http.StatusOK {
		t.Fatal(response.Body)
	}
	for id := range shared.kept {
		before, err := writer.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		after, err := before.Suspend(license.Change{At: time.Now(), By: "test", Reason: "test", RequestID: "1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Update(t.Context(), before, after); err != nil {
			t.Fatal(err)
		}
	}
	for name, v := range map[string]verification.Verifier{"remembering": v, "started since": instance(v, shared)} {
		if response, body := handle(t, v, verifyEvent(c.Cases[0].Body, false)); body["error"] != "LICENSE_SUSPENDED" {
			t.Errorf("%s: %s", name, response.Body)
		}
	}
}
