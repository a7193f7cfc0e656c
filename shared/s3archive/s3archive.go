// Package s3archive keeps checkpoints in an S3 bucket: it implements checkpoint.Archive. It removes nothing. That
// nobody else does is up to the bucket, by versioning and Object Lock.
package s3archive

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/checkpoint"
)

// API is the part of *s3.Client that Archive uses.
type API interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Archive is a bucket with these objects:
//
//	latest                            the latest checkpoint
//	checkpoints/00000000000000000017  a checkpoint, by its number in 20 digits
//	heads/d4f5…                       a list of leaves, by the root of its tree in hexadecimal
//
// Reads of S3 are strongly consistent. A reader needs s3:ListBucket besides s3:GetObject: without it, S3 reports an
// object that is missing as one to which access is denied.
type Archive struct {
	client API
	bucket string
}

var _ checkpoint.Archive = (*Archive)(nil)

// New returns the archive in a bucket.
func New(client API, bucket string) *Archive { return &Archive{client, bucket} }

const latestKey = "latest"

func checkpointKey(number int64) string { return fmt.Sprintf("checkpoints/%020d", number) }

func headsKey(root tlog.Hash) string { return "heads/" + hex.EncodeToString(root[:]) }

// Latest implements checkpoint.Reader.
func (a *Archive) Latest(ctx context.Context) ([]byte, error) { return a.get(ctx, latestKey) }

// Leaves implements checkpoint.Reader.
func (a *Archive) Leaves(ctx context.Context, root tlog.Hash) ([]byte, error) {
	return a.get(ctx, headsKey(root))
}

// Checkpoint implements checkpoint.Archive.
func (a *Archive) Checkpoint(ctx context.Context, number int64) ([]byte, error) {
	return a.get(ctx, checkpointKey(number))
}

// Create implements checkpoint.Archive.
func (a *Archive) Create(ctx context.Context, number int64, signed []byte) error {
	err := a.put(ctx, checkpointKey(number), signed, func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
	if status(err) == http.StatusPreconditionFailed {
		return checkpoint.ErrExists
	}
	return err
}

// SetLatest implements checkpoint.Archive. What it replaces stays as a version.
func (a *Archive) SetLatest(ctx context.Context, signed []byte) error {
	return a.put(ctx, latestKey, signed)
}

// PutLeaves implements checkpoint.Archive. To put the same list again only adds a version of the object.
func (a *Archive) PutLeaves(ctx context.Context, root tlog.Hash, list []byte) error {
	return a.put(ctx, headsKey(root), list)
}

func (a *Archive) get(ctx context.Context, key string) ([]byte, error) {
	out, err := a.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.bucket, Key: &key})
	var missing *types.NoSuchKey
	switch {
	case errors.As(err, &missing):
		return nil, checkpoint.ErrNone
	case err != nil:
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	defer out.Body.Close()
	content, err := io.ReadAll(out.Body)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return content, nil
}

// put writes an object. A bucket with Object Lock demands a checksum
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html).
func (a *Archive) put(ctx context.Context, key string, content []byte, options ...func(*s3.PutObjectInput)) error {
	in := &s3.PutObjectInput{
		Bucket:            &a.bucket,
		Key:               &key,
		Body:              bytes.NewReader(content),
		ContentType:       aws.String("text/plain; charset=utf-8"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	}
	for _, option := range options {
		option(in)
	}
	if _, err := a.client.PutObject(ctx, in); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// status returns the HTTP status of an error of S3, or 0.
func status(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}
