//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"openlicenser/shared/testing/samtemplate"
)

// services are the URLs of what withServices has started.
type services struct{ dynamoDB, moto string }

// What the Makefile has installed.
const (
	dynamoDBFolder = ".tools/dynamodb-local"
	venv           = ".tools/venv/bin"
)

// withServices does something while DynamoDB Local and moto run.
func withServices(ctx context.Context, do func(services) error) error {
	root, err := samtemplate.Root()
	if err != nil {
		return err
	}
	dynamoDB, err := freePort()
	if err != nil {
		return err
	}
	moto, err := freePort()
	if err != nil {
		return err
	}
	folder := filepath.Join(root, dynamoDBFolder)
	s := services{"http://127.0.0.1:" + dynamoDB, "http://127.0.0.1:" + moto}
	return withServer(ctx, "DynamoDB Local", s.dynamoDB, []string{ // which has no address to listen on among its options
		"java", "-Djava.library.path=" + folder, "-cp", filepath.Join(folder, "*"),
		"com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", dynamoDB,
	}, func() error {
		return withServer(ctx, "moto", s.moto+"/moto-api/", []string{
			filepath.Join(root, venv, "moto_server"), "--host", "127.0.0.1", "--port", moto,
		}, func() error { return do(s) })
	})
}

// withServer does something while a server runs that any answer shows to be ready.
func withServer(ctx context.Context, name, url string, args []string, do func() error) error {
	var output bytes.Buffer
	p, err := start(args, &output, &output)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer p.stop()
	if err := p.ready(ctx, url, time.Minute, func(status int) bool { return status < http.StatusInternalServerError }); err != nil {
		p.stop()
		fmt.Fprintf(os.Stderr, "%s said:\n%s", name, &output)
		return fmt.Errorf("%s: %w", name, err)
	}
	return do()
}
