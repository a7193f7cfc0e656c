package s3archive_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"openlicenser/shared/checkpoint"
	"openlicenser/shared/s3archive"
	"openlicenser/shared/testing/checkpointtest"
	"openlicenser/shared/testing/lambdatest"
)

func newArchive(t *testing.T) (*lambdatest.Bucket, *s3archive.Archive) {
	t.Helper()
	bucket := lambdatest.NewBucket(t)
	return bucket, s3archive.New(s3.New(s3.Options{
		BaseEndpoint: &bucket.URL, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 2
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	}), "the-bucket")
}

func TestContract(t *testing.T) {
	checkpointtest.TestArchive(t, func(t *testing.T) checkpoint.Archive {
		_, archive := newArchive(t)
		return archive
	})
}

func TestKeys(t *testing.T) {
	bucket, archive := newArchive(t)
	err := errors.Join(archive.Create(t.Context(), "checkpoints/00000000000000000017", []byte("c")),
		archive.Put(t.Context(), "latest", []byte("l")))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"the-bucket/checkpoints/00000000000000000017": "c",
		"the-bucket/latest":                           "l",
	} {
		if got := bucket.Object(path); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
}

// TestFaults: what says nothing about an object is never taken for its absence, or its presence.
func TestFaults(t *testing.T) {
	for _, code := range []string{"AccessDenied", "NoSuchBucket", "SlowDown", "ConditionalRequestConflict"} {
		t.Run(code, func(t *testing.T) {
			bucket, archive := newArchive(t)
			for name, do := range map[string]func() error{
				"Get":    func() error { _, err := archive.Get(t.Context(), "latest"); return err },
				"Create": func() error { return archive.Create(t.Context(), "checkpoints/1", nil) },
				"Put":    func() error { return archive.Put(t.Context(), "latest", nil) },
			} {
				bucket.Fail(code, code)
				if code == "ConditionalRequestConflict" && name == "Create" {
					bucket.Fail(code) // it is tried again
				}
				err := do()
				if err == nil || errors.Is(err, checkpoint.ErrNone) || errors.Is(err, checkpoint.ErrExists) {
					t.Errorf("%s: got %v", name, err)
				}
				drain(t, bucket, archive)
			}
		})
	}
}

// drain uses up the faults that the SDK did not repeat the request for.
func drain(t *testing.T, bucket *lambdatest.Bucket, archive *s3archive.Archive) {
	t.Helper()
	for range 2 {
		if _, err := archive.Get(t.Context(), "another"); errors.Is(err, checkpoint.ErrNone) {
			return
		}
	}
	t.Fatal("faults are left")
}

// TestCrossingCreate: a conditional write that crosses another one is tried again.
func TestCrossingCreate(t *testing.T) {
	bucket, archive := newArchive(t)
	bucket.Fail("ConditionalRequestConflict")
	if err := archive.Create(t.Context(), "checkpoints/1", []byte("c")); err != nil {
		t.Error(err)
	}
	bucket.Fail("ConditionalRequestConflict")
	if err := archive.Create(t.Context(), "checkpoints/1", []byte("d")); !errors.Is(err, checkpoint.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
}

// TestRepeatedAfterFault: the SDK repeats what was throttled.
func TestRepeatedAfterFault(t *testing.T) {
	bucket, archive := newArchive(t)
	bucket.Fail("SlowDown")
	if err := archive.Create(t.Context(), "checkpoints/1", []byte("c")); err != nil {
		t.Error(err)
	}
}
