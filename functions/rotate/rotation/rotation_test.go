package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"openlicenser/functions/rotate/rotation"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

const (
	secretID = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:licenser-AbCdEf"
	version  = "5a1c3f6e-7f0b-4f5e-9d9e-3a52f2a6c0de"
)

var errCrash = errors.New("cut off")

// versions is a secret in Secrets Manager. It refuses what Secrets Manager refuses, and can cut the caller off.
type versions struct {
	t      *testing.T
	stages map[string][]string
	rings  map[string]token.Ring

	calls    int
	crashAt  int  // the number of the call, from 1; 0 for none
	persists bool // whether that call still takes effect
}

// newVersions is a secret whose rotation has begun: Secrets Manager has made the pending version, without a value.
func newVersions(t *testing.T) *versions {
	return &versions{
		t:      t,
		stages: map[string][]string{"first": {"AWSCURRENT"}, version: {"AWSPENDING"}},
		rings:  map[string]token.Ring{"first": {Current: "a secret of more than thirty-two bytes"}},
	}
}

func (v *versions) call(secret string, do func() error) error {
	if secret != secretID {
		v.t.Errorf("asked for the secret %q", secret)
	}
	v.calls++
	switch {
	case v.calls != v.crashAt:
		return do()
	case v.persists:
		return errors.Join(errCrash, do())
	default:
		return errCrash
	}
}

func (v *versions) Find(_ context.Context, secret, version string) (current string, isPending bool, err error) {
	err = v.call(secret, func() error {
		current, isPending = v.currentVersion(), slices.Contains(v.stages[version], "AWSPENDING")
		return nil
	})
	return current, isPending, err
}

func (v *versions) currentVersion() string {
	for version, stages := range v.stages {
		if slices.Contains(stages, "AWSCURRENT") {
			return version
		}
	}
	return ""
}

func (v *versions) Get(_ context.Context, secret, version string) (r token.Ring, err error) {
	err = v.call(secret, func() error {
		ring, present := v.rings[version]
		if !present {
			return token.ErrNoRing
		}
		r = ring
		return nil
	})
	return r, err
}

func (v *versions) PutPending(_ context.Context, secret, version string, r token.Ring) error {
	return v.call(secret, func() error {
		if before, present := v.rings[version]; present && before.Current != r.Current {
			return errors.New("ResourceExistsException: a version with this token holds something else")
		}
		v.rings[version], v.stages[version] = r, []string{"AWSPENDING"}
		return nil
	})
}

func (v *versions) DropPending(_ context.Context, secret, version string) error {
	return v.call(secret, func() error {
		isPending := func(stage string) bool { return stage == "AWSPENDING" }
		v.stages[version] = slices.DeleteFunc(v.stages[version], isPending)
		return nil
	})
}

func (v *versions) MakeCurrent(_ context.Context, secret, from, to string) error {
	return v.call(secret, func() error {
		if !slices.Contains(v.stages[from], "AWSCURRENT") {
			return errors.New("InvalidParameterException: the version is not current")
		}
		v.stages[from], v.stages[to] = []string{"AWSPREVIOUS"}, []string{"AWSCURRENT", "AWSPENDING"}
		return nil
	})
}

func (v *versions) current() token.Ring {
	current := v.currentVersion()
	if current == "" {
		v.t.Fatal("no version is current")
	}
	return v.rings[current]
}

func newRotator(v *versions) (rotation.Rotator, *bytes.Buffer) {
	var log bytes.Buffer
	return rotation.Rotator{
		Versions: v,
		Now:      func() time.Time { return licensetest.Now },
		Log:      telemetry.NewLogger(&log),
	}, &log
}

func event(step, version string) rotation.Event {
	return rotation.Event{Step: step, SecretID: secretID, Version: version}
}

var steps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

// rotate sends the steps as Secrets Manager does: from the first one on again after an error.
func rotate(t *testing.T, r rotation.Rotator) {
	t.Helper()
	for range 3 {
		failed := false
		for _, step := range steps {
			if _, err := r.Handle(t.Context(), event(step, version)); err != nil {
				failed = true
				break
			}
		}
		if !failed {
			return
		}
	}
	t.Fatal("the rotation does not come to its end")
}

// TestRotation: the secret that signed before stays in the ring, and another one signs.
func TestRotation(t *testing.T) {
	v := newVersions(t)
	before := v.current()
	r, log := newRotator(v)
	rotate(t, r)
	after := v.current()
	if after.Current == before.Current || len(after.Current) < 52 || len(after.Earlier) != 1 ||
		after.Earlier[0].Secret != before.Current {
		t.Errorf("%d bytes, %d earlier", len(after.Current), len(after.Earlier))
	}
	if !after.Created.Equal(licensetest.Now) || !after.Earlier[0].Replaced.Equal(licensetest.Now) {
		t.Errorf("created %s, replaced %s", after.Created, after.Earlier[0].Replaced)
	}
	if strings.Contains(log.String(), string(after.Current)) ||
		strings.Count(log.String(), `"outcome":"done"`) != len(steps) {
		t.Errorf("logged %s", log)
	}
}

// TestCrash cuts the function off at every call, before and after it takes effect: the rotation comes to its end, once,
// and the secret in force can always read the keys of the one before.
func TestCrash(t *testing.T) {
	whole := newVersions(t)
	r, _ := newRotator(whole)
	rotate(t, r)
	for at := 1; at <= whole.calls; at++ {
		for _, persists := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d, %t", at, persists), func(t *testing.T) {
				v := newVersions(t)
				before := v.current()
				v.crashAt, v.persists = at, persists
				r, _ := newRotator(v)
				rotate(t, r)
				if after := v.current(); after.Current == before.Current || len(after.Earlier) != 1 ||
					after.Earlier[0].Secret != before.Current {
					t.Errorf("%d earlier secrets", len(after.Earlier))
				}
			})
		}
	}
}

// TestRepeated: a step that comes again after the end changes nothing.
func TestRepeated(t *testing.T) {
	v := newVersions(t)
	r, _ := newRotator(v)
	rotate(t, r)
	after := v.current()
	rotate(t, r)
	if again := v.current(); again.Current != after.Current || len(again.Earlier) != 1 {
		t.Error("the secret was changed again")
	}
}

func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*versions)
		event rotation.Event
		want  string
	}{
		"unknown step":      {nil, event("dropSecret", version), "not an event of a rotation"},
		"no version":        {nil, event("createSecret", ""), "not an event of a rotation"},
		"not pending":       {nil, event("createSecret", "another"), "is not AWSPENDING"},
		"nothing to finish": {nil, event("finishSecret", version), "no value"},
		"no current version": {func(v *versions) { delete(v.stages, "first") },
			event("createSecret", version), "no current version"},
		"changed meanwhile": {func(v *versions) {
			rotated, err := v.rings["first"].Rotate(token.NewSecret(), licensetest.Now)
			if err != nil {
				t.Fatal(err)
			}
			v.rings[version], v.rings["first"] = rotated, token.Ring{Current: token.NewSecret()}
		}, event("finishSecret", version), "was changed after"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVersions(t)
			if test.spoil != nil {
				test.spoil(v)
			}
			r, log := newRotator(v)
			_, err := r.Handle(t.Context(), test.event)
			if err == nil || !strings.Contains(err.Error(), test.want) ||
				!strings.Contains(log.String(), `"level":"ERROR"`) {
				t.Errorf("got %v, logged %s", err, log)
			}
			if slices.Contains(v.stages[version], "AWSCURRENT") {
				t.Error("the version is current")
			}
		})
	}
}

// TestUnfitPending: a version that can be finished no more makes room for the next rotation.
func TestUnfitPending(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*versions)
		want  string
	}{
		"too late": {func(v *versions) {
			at := licensetest.Now.Add(-2*time.Minute - time.Millisecond)
			rotated, err := v.rings["first"].Rotate(token.NewSecret(), at)
			if err != nil {
				t.Fatal(err)
			}
			v.rings[version] = rotated
		}, "more than 2m0s ago"},
		"of another ring": {func(v *versions) {
			v.rings[version] = token.Ring{Current: token.NewSecret(), Created: licensetest.Now}
		}, "was changed after"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVersions(t)
			test.spoil(v)
			r, _ := newRotator(v)
			for _, step := range []string{"testSecret", "finishSecret", "createSecret"} {
				_, err := r.Handle(t.Context(), event(step, version))
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: %v", step, err)
				}
			}
			if len(v.stages[version]) != 0 {
				t.Fatalf("the version is %v", v.stages[version])
			}
			const next = "the-next"
			v.stages[next] = []string{"AWSPENDING"}
			for _, step := range steps {
				if _, err := r.Handle(t.Context(), event(step, next)); err != nil {
					t.Errorf("the next rotation: %s: %v", step, err)
				}
			}
			if len(v.current().Earlier) != 1 {
				t.Error("the next rotation changed nothing")
			}
		})
	}
}

// TestOfConfiguration: testSecret comes alone, and changes nothing.
func TestOfConfiguration(t *testing.T) {
	for name, prepare := range map[string]func(*versions){
		"empty": func(*versions) {},
		"copy":  func(v *versions) { v.rings[version] = v.rings["first"] },
		"short": func(v *versions) { v.rings["first"] = token.Ring{Current: "9 bytes !"} },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVersions(t)
			prepare(v)
			r, _ := newRotator(v)
			if _, err := r.Handle(t.Context(), event("testSecret", version)); err != nil {
				t.Error(err)
			}
			v.rings["first"] = token.Ring{}
			if _, err := r.Handle(t.Context(), event("testSecret", version)); err == nil {
				t.Error("a ring that cannot sign passes")
			}
		})
	}
}

// TestEvents runs every sample event of this function, in the order of the steps.
func TestEvents(t *testing.T) {
	sampled := lambdatest.SampleEvents[rotation.Event](t, "../../../events/rotate")
	if len(sampled) != len(steps) {
		t.Errorf("%d sample events, want %d", len(sampled), len(steps))
	}
	v := newVersions(t)
	r, _ := newRotator(v)
	for _, step := range steps {
		if _, err := r.Handle(t.Context(), sampled[step]); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	if len(v.current().Earlier) != 1 {
		t.Error("the secret was not changed")
	}
}
