// Package s3archive keeps checkpoints in an S3 bucket: it implements checkpoint.Archive. It removes nothing. That
// nobody else does is up to the bucket, by versioning and Object Lock.
package s3archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"openlicenser/shared/checkpoint"
)

// API is the part of *s3.Client that Archive uses.
type API interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Archive keeps each object of the archive under its name. Reads of S3 are strongly consistent. A reader needs
// s3:ListBucket besides s3:GetObject: without it, S3 reports an object that is missing as one to which access is
// denied.
type Archive struct {
	client API
	bucket string
}

var _ checkpoint.Archive = (*Archive)(nil)

// New returns the archive in a bucket.
func New(client API, bucket string) *Archive { return &Archive{client, bucket} }

// Create implements checkpoint.Archive.
func (a *Archive) Create(ctx context.Context, name string, content []byte) error {
	var err error
	for range conflicts {
		err = a.put(ctx, name, content, func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
		if status(err) != http.StatusConflict {
			break
		}
	}
	if status(err) == http.StatusPreconditionFailed {
		return checkpoint.ErrExists
	}
	return err
}

// conflicts is how often a conditional write is tried that crosses another one, which S3 answers with a 409
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
const conflicts = 3

// Put implements checkpoint.Archive. What it replaces stays as a version.
func (a *Archive) Put(ctx context.Context, name string, content []byte) error {
	return a.put(ctx, name, content)
}

// Get implements checkpoint.Reader.
func (a *Archive) Get(ctx context.Context, name string) ([]byte, error) {
	out, err := a.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.bucket, Key: &name})
	var missing *types.NoSuchKey
	switch {
	case errors.As(err, &missing):
		return nil, checkpoint.ErrNone
	case err != nil:
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	defer out.Body.Close()
	content, err := checkpoint.ReadObject(out.Body)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	return content, nil
}

// put writes an object. A bucket with Object Lock demands a checksum
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html).
func (a *Archive) put(ctx context.Context, name string, content []byte, options ...func(*s3.PutObjectInput)) error {
	in := &s3.PutObjectInput{
		Bucket:            &a.bucket,
		Key:               &name,
		Body:              bytes.NewReader(content),
		ContentType:       aws.String("text/plain; charset=utf-8"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	}
	for _, option := range options {
		option(in)
	}
	if _, err := a.client.PutObject(ctx, in); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
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
