// Command release makes what a release offers for download. That is the command line for each system, the template with
// its built functions, a bill of materials (SBOM), and checksums. The files are the same on every machine, byte for
// byte.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	out := flag.String("out", "dist", "folder for the files; those of an earlier release in it are removed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := makeRelease(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}
