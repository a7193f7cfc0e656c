//go:build unix

package main

import (
	"context"
	"strings"
	"sync"

	"openlicenser/shared/checkpoint"
)

// counted counts what is written to an archive, by the first part of the names.
type counted struct {
	checkpoint.Archive

	mu      sync.Mutex
	written map[string]int
}

func newCounted(archive checkpoint.Archive) *counted {
	return &counted{Archive: archive, written: map[string]int{}}
}

// Create implements checkpoint.Archive.
func (c *counted) Create(ctx context.Context, name string, content []byte) error {
	c.count(name)
	return c.Archive.Create(ctx, name, content)
}

// Put implements checkpoint.Archive.
func (c *counted) Put(ctx context.Context, name string, content []byte) error {
	c.count(name)
	return c.Archive.Put(ctx, name, content)
}

func (c *counted) count(name string) {
	kind, _, _ := strings.Cut(name, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written[kind]++
}

// take returns the counts since it was last called.
func (c *counted) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	written := c.written
	c.written = map[string]int{}
	return written
}
