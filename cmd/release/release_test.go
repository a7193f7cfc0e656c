package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/testing/samtemplate"
)

// TestDocuments: what the README leads to comes with it.
func TestDocuments(t *testing.T) {
	t.Chdir("../..")
	entries, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LICENSE", "README.md", "SECURITY.md", "docs/api.md", "openapi.yaml"} {
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.name == name }) {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestPackageTemplate: all that is changed is where the code is, how it is built, and for which processor it is.
func TestPackageTemplate(t *testing.T) {
	source, err := samtemplate.Source()
	if err != nil {
		t.Fatal(err)
	}
	packaged, functions, err := packageTemplate(source, "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	want, got := readTree(t, source), readTree(t, packaged)
	architecture := in(got, "Parameters", "Architecture")
	if architecture["Default"] != "x86_64" || !slices.Equal(architecture["AllowedValues"].([]any), []any{"x86_64"}) {
		t.Errorf("architecture %v", architecture)
	}
	for _, id := range functions {
		function := in(got, "Resources", id)
		if in(function, "Properties")["CodeUri"] != "functions/"+id || function["Metadata"] != nil {
			t.Errorf("%s: %v", id, function)
		}
		delete(in(function, "Properties"), "CodeUri")
		delete(in(want, "Resources", id), "Metadata")
	}
	if !slices.Contains(functions, "VerifyFunction") || !slices.Contains(functions, "IssueFunction") {
		t.Errorf("functions %v", functions)
	}
	delete(in(want, "Globals", "Function"), "CodeUri")
	only := map[string]any{"Default": "x86_64", "AllowedValues": []any{"x86_64"}}
	maps.Copy(in(want, "Parameters", "Architecture"), only)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("more has changed (-template +package):\n%s", diff)
	}
}

// readTree returns a template with CloudFormation's functions written out.
func readTree(t *testing.T, text []byte) samtemplate.Tree {
	t.Helper()
	template, err := samtemplate.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := template.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// in returns the part of a tree below the names.
func in(tree samtemplate.Tree, names ...string) samtemplate.Tree {
	part, _ := samtemplate.At(tree, names...).(samtemplate.Tree)
	return part
}

func TestPackageTemplateErrors(t *testing.T) {
	const withoutResources = "Parameters: {Architecture: {Default: a, AllowedValues: [a]}}\n" +
		"Globals: {Function: {CodeUri: .}}\n"
	for name, source := range map[string]string{
		"no YAML":      "a: [",
		"nothing":      "",
		"no functions": withoutResources + "Resources: {}",
		"no resources": withoutResources,
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := packageTemplate([]byte(source), "arm64"); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestArchives: what is in them does not depend on order, time or owner.
func TestArchives(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "program")
	if err := os.WriteFile(program, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries := []entry{{name: "b/program", from: program, isProgram: true}, {name: "a.txt", content: []byte("text")}}
	for name, write := range map[string]func(string, []entry) error{"a.zip": writeZip, "a.tar.gz": writeTarGz} {
		t.Run(name, func(t *testing.T) {
			first, second := filepath.Join(folder, "1-"+name), filepath.Join(folder, "2-"+name)
			errFirst := write(first, entries)
			slices.Reverse(entries)
			if err := errors.Join(errFirst, write(second, entries)); err != nil {
				t.Fatal(err)
			}
			a, errA := os.ReadFile(first)
			b, errB := os.ReadFile(second)
			if errors.Join(errA, errB) != nil || !bytes.Equal(a, b) {
				t.Error("the two differ")
			}
			want := "a.txt -rw-r--r-- text\nb/program -rwxr-xr-x binary\n"
			if got := list(t, name, a); got != want {
				t.Errorf("got %q", got)
			}
		})
	}
	absent := []entry{{name: "c", from: filepath.Join(folder, "absent")}}
	if err := writeZip(filepath.Join(folder, "c.zip"), absent); err == nil {
		t.Error("no error for a file that is not there")
	}
}

// list reads an archive as anybody does.
func list(t *testing.T, name string, archive []byte) string {
	t.Helper()
	var listed strings.Builder
	add := func(name string, mode os.FileMode, r io.Reader) {
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		listed.WriteString(name + " " + mode.String() + " " + string(content) + "\n")
	}
	if strings.HasSuffix(name, ".zip") {
		z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range z.File {
			r, err := file.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(file.Name, file.Mode(), r)
		}
		return listed.String()
	}
	uncompressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(uncompressed); ; {
		header, err := r.Next()
		if err == io.EOF {
			return listed.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		add(header.Name, header.FileInfo().Mode(), r)
	}
}

func TestBillOfMaterials(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := release{out: t.TempDir(), binaries: []string{executable}}
	if err := r.billOfMaterials(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.path(".sbom.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"bomFormat": "CycloneDX"`, `"pkg:golang/std@go1.`, `"pkg:golang/gopkg.in/yaml.v3@v3.`,
	} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("no %s", part)
		}
	}
	for _, part := range []string{"timestamp", "serialNumber"} {
		if bytes.Contains(text, []byte(part)) {
			t.Errorf("it has a %s", part)
		}
	}
}
