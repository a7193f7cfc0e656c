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

// services are the URLs of DynamoDB Local and moto.
type services struct{ dynamoDB, moto string }

// Where the Makefile has installed them, below the root of the repository.
const (
	dynamoDBFolder = ".tools/dynamodb-local"
	venv           = ".tools/venv/bin"
)

// withServices calls do while DynamoDB Local and moto run.
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
	dynamoDBCommand := []string{ // which listens on all addresses, and has no option for one
		"java", "-Djava.library.path=" + folder, "-cp", filepath.Join(folder, "*"),
		"com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
		"-inMemory", "-sharedDb", "-disableTelemetry", "-port", dynamoDB,
	}
	motoCommand := []string{filepath.Join(root, venv, "moto_server"), "--host", "127.0.0.1", "--port", moto}
	return withServer(ctx, "DynamoDB Local", s.dynamoDB, dynamoDBCommand, func() error {
		return withServer(ctx, "moto", s.moto+"/moto-api/", motoCommand, func() error { return do(s) })
	})
}

// withServer calls do while a server runs. The server is ready once it sends any response but a 5xx.
func withServer(ctx context.Context, name, url string, args []string, do func() error) error {
	var output bytes.Buffer
	p, err := start(args, &output, &output)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	defer p.stop()
	isReady := func(status int) bool { return status < http.StatusInternalServerError }
	if err := p.ready(ctx, url, time.Minute, isReady); err != nil {
		p.stop()
		fmt.Fprintf(os.Stderr, "%s has printed:\n%s", name, &output)
		return fmt.Errorf("%s: %w", name, err)
	}
	return do()
}
