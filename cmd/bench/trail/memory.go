//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"time"
)

// watch times what do does, and samples the memory of the process meanwhile. A mapped file is no part of it.
func (b *bench) watch(licenses int, what string, do func() error) (figure, error) {
	stopProfile, err := b.profile(licenses, what)
	if err != nil {
		return figure{}, err
	}
	debug.FreeOSMemory()
	before, most := memory(), uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for ticker := time.NewTicker(time.Millisecond); ; {
			most = max(most, memory())
			select {
			case <-ticker.C:
			case <-stop:
				ticker.Stop()
				return
			}
		}
	}()
	begun := time.Now()
	err = do()
	took := time.Since(begun)
	close(stop)
	<-stopped
	return figure{
		Licenses: licenses, What: what, Seconds: took.Seconds(), Memory: most - min(before, most),
	}, errors.Join(err, stopProfile())
}

// memory returns how many bytes Go's runtime has of the system.
func memory() uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// profile begins profiles of a measurement where they are asked for. stop writes them.
func (b *bench) profile(licenses int, what string) (stop func() error, err error) {
	if b.Profile == "" {
		return func() error { return nil }, nil
	}
	name := strings.NewReplacer(" ", "", ",", "-", "%", "percent").Replace(what)
	path := filepath.Join(b.Profile, fmt.Sprint(b.Store, "-", licenses, "-", name))
	file, err := os.Create(path + ".cpu")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		runtime.GC() // the profile of allocations is as of the last collection
		allocations, err := os.Create(path + ".allocs")
		if err != nil {
			return err
		}
		return errors.Join(pprof.Lookup("allocs").WriteTo(allocations, 0), allocations.Close(), file.Close())
	}, nil
}
