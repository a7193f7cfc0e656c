package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"openlicenser/shared/version"
)

// platforms lists what the command line is built for.
var platforms = []struct{ system, processor string }{
	{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"},
}

// architectures maps Lambda's names of processors to Go's.
var architectures = map[string]string{"arm64": "arm64", "x86_64": "amd64"}

// makeRelease writes the files into the folder out. It runs at the top of the repository.
func makeRelease(ctx context.Context, out string) error {
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	r := release{ctx: ctx, out: out, work: work}
	if err := r.clear(); err != nil {
		return err
	}
	for _, p := range platforms {
		if err := r.commandLine(p.system, p.processor); err != nil {
			return err
		}
	}
	for architecture, processor := range architectures {
		if err := r.stack(architecture, processor); err != nil {
			return err
		}
	}
	if err := r.billOfMaterials(); err != nil {
		return err
	}
	return r.checksums()
}

type release struct {
	ctx       context.Context
	out, work string
	binaries  []string // that were built, for the bill of materials
}

// path names a file of the release.
func (r *release) path(rest string) string {
	return filepath.Join(r.out, "open-licenser_"+version.Number+rest)
}

func (r *release) clear() error {
	earlier, err := filepath.Glob(filepath.Join(r.out, "open-licenser_*"))
	if err != nil {
		return err
	}
	for _, file := range earlier {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return os.MkdirAll(r.out, 0o755)
}

// make runs make, because the Makefile has the flags of builds.
func (r *release) make(arguments ...string) error {
	command := exec.CommandContext(r.ctx, "make", append([]string{"--no-print-directory"}, arguments...)...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("make %s: %w", strings.Join(arguments, " "), err)
	}
	return nil
}

// documents returns what comes with every archive: the README, and what it leads its reader to.
func documents() (entries []entry, err error) {
	for _, pattern := range []string{
		"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "openapi.yaml",
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			entries = append(entries, entry{name: filepath.ToSlash(file), from: file})
		}
	}
	return entries, nil
}

func (r *release) commandLine(system, processor string) error {
	name := "licenser"
	if system == "windows" {
		name += ".exe"
	}
	binary := filepath.Join(r.work, system, processor, name)
	if err := r.make("build-licenser", "LICENSER="+binary, "GOOS="+system, "GOARCH="+processor); err != nil {
		return err
	}
	r.binaries = append(r.binaries, binary)
	entries, err := documents()
	if err != nil {
		return err
	}
	entries = append(entries, entry{name: name, from: binary, isProgram: true})
	rest := "_" + system + "_" + processor
	if system == "windows" {
		return writeZip(r.path(rest+".zip"), entries)
	}
	return writeTarGz(r.path(rest+".tar.gz"), entries)
}

// stack writes an archive of the template and its built functions, for one of Lambda's architectures.
func (r *release) stack(architecture, processor string) error {
	source, err := os.ReadFile("template.yaml")
	if err != nil {
		return err
	}
	template, functions, err := packageTemplate(source, architecture)
	if err != nil {
		return fmt.Errorf("template.yaml: %w", err)
	}
	entries, err := documents()
	if err != nil {
		return err
	}
	entries = append(entries,
		entry{name: "template.yaml", content: template},
		entry{name: "samconfig.toml", from: "samconfig.toml"})
	for _, function := range functions {
		folder := filepath.Join(r.work, architecture, function)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := r.make("build-"+function, "ARTIFACTS_DIR="+folder, "LAMBDA_GOARCH="+processor); err != nil {
			return err
		}
		binary := filepath.Join(folder, "bootstrap")
		r.binaries = append(r.binaries, binary)
		entries = append(entries, entry{name: codeFolder(function) + "/bootstrap", from: binary, isProgram: true})
	}
	return writeZip(r.path("_aws_"+architecture+".zip"), entries)
}

// checksums writes SHA256SUMS, which sha256sum --check reads.
func (r *release) checksums() error {
	files, err := filepath.Glob(filepath.Join(r.out, "open-licenser_*"))
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, file := range files { // sorted by Glob
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum[:]), filepath.Base(file))
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}
