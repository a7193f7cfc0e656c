//go:build unix

// Awslocal runs a command with stand-ins for AWS beside it. It ends all that it started when the command ends or fails,
// and on Ctrl-C. `make test-aws`, `make sam-local-test` and `make sam-local` call it.
//
//	awslocal run COMMAND...          with DynamoDB Local and moto, whose URLs are in the command's environment
//	awslocal sam-local [COMMAND...]  with `sam local start-api` and KMS as well; without a command until Ctrl-C
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"openlicenser/shared/testing/awstest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:])
	var failed *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "awslocal: interrupted; everything is ended")
		os.Exit(130)
	case errors.As(err, &failed) && failed.Exited(): // the command has printed what is wrong
		os.Exit(failed.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "awslocal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) > 1 && args[0] == "run":
		return withServices(ctx, func(s services) error {
			return command(ctx, args[1:], s.environment()...)
		})
	case len(args) > 0 && args[0] == "sam-local":
		return samLocal(ctx, args[1:])
	default:
		return errors.New("usage: awslocal run COMMAND... | awslocal sam-local [COMMAND...]")
	}
}

// command runs a command to its end, or stops it when the context ends.
func command(ctx context.Context, args []string, environment ...string) error {
	p, err := start(args, os.Stdout, os.Stderr, environment...)
	if err != nil {
		return err
	}
	defer p.stop()
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// environment returns the variables that tell tests where the services are, and that no test may be skipped.
func (s services) environment() []string {
	return []string{
		awstest.DynamoDBVariable + "=" + s.dynamoDB,
		awstest.MotoVariable + "=" + s.moto,
		awstest.RequiredVariable + "=required",
	}
}
