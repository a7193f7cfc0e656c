package bootstrap

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"openlicenser/shared/telemetry"
)

const (
	// attemptTimeout bounds one attempt, so that a call that hangs leaves time for another one. DynamoDB and KMS
	// usually respond within 20 ms.
	attemptTimeout = 2 * time.Second
	maxAttempts    = 3
	// maxBackoff bounds the jittered pause between attempts.
	maxBackoff = 500 * time.Millisecond
)

// AWSConfig returns the configuration in the environment that Lambda gives the function, with more options on top.
// Calls have bounded time and few, jittered retries. They are counted in the invocation's log record.
func AWSConfig(ctx context.Context, more ...func(*config.LoadOptions) error) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx, append([]func(*config.LoadOptions) error{
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(attemptTimeout)),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = maxAttempts
				o.MaxBackoff = maxBackoff
			})
		}),
		config.WithLogger(logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
			slog.Warn("AWS SDK: " + fmt.Sprintf(format, v...))
		})),
		config.WithAPIOptions([]func(*middleware.Stack) error{countCalls}),
	}, more...)...)
}

// countCalls adds middleware that counts each call, not each attempt, in the invocation's record.
func countCalls(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("CountCalls", countCall), middleware.Before)
}

func countCall(
	ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
) (middleware.InitializeOutput, middleware.Metadata, error) {
	telemetry.Count(ctx, "awscalls")
	return next.HandleInitialize(ctx, in)
}
