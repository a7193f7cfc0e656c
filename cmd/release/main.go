// Command release makes what a release offers for download, byte for byte the same on every machine: the command line
// for each system, the template with its functions for sam deploy without Go, a bill of materials, and checksums of
// all.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	out := flag.String("out", "dist", "folder for the files; what an earlier release left in it goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := makeRelease(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}
