// Command vectors writes clients/vectors: what every client must do, as data. It makes them with the code of the
// server, so that they cannot drift from it. Run it in the root of the repository:
//
//	go run ./cmd/vectors
//
// The same sources write the same files. A test fails where those in the repository are others.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const folder = "clients/vectors"

func main() {
	if err := write(folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(folder string) error {
	files, err := newMaker().files()
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
