//go:build unix

package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// recordLog keeps what a function logs, a record a line.
type recordLog struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *recordLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

// take returns the records since it was last called. They come by a pipe of their own, after the response: it waits for
// so many.
func (l *recordLog) take(wanted int) ([]string, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		text := l.text.String()
		if complete := strings.Count(text, "\n"); complete >= wanted && strings.LastIndex(text, "\n")+1 == len(text) {
			l.text.Reset()
			l.mu.Unlock()
			return strings.Split(text, "\n")[:complete], nil
		}
		l.mu.Unlock()
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("of %d records the function has logged %q", wanted, text)
		}
	}
}
