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

	"gopkg.in/yaml.v3"
)

func readTemplate(t *testing.T) []byte {
	t.Helper()
	source, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// TestPackageTemplate: all that is changed is where the code is, how it is built, and for which processor it is.
func TestPackageTemplate(t *testing.T) {
	packaged, functions, err := packageTemplate(readTemplate(t), "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	read := func(text []byte) map[string]any {
		var template map[string]any
		if err := yaml.Unmarshal(text, &template); err != nil {
			t.Fatal(err)
		}
		return template
	}
	want, got := read(readTemplate(t)), read(packaged)
	in := func(template map[string]any, names ...string) map[string]any {
		for _, name := range names {
			template, _ = template[name].(map[string]any)
		}
		return template
	}
	architecture := in(got, "Parameters", "Architecture")
	if architecture["Default"] != "x86_64" || !slices.Equal(architecture["AllowedValues"].([]any), []any{"x86_64"}) {
		t.Errorf("architecture %v", architecture)
	}
	for _, id := range functions {
		if in(got, "Resources", id, "Properties")["CodeUri"] != "functions/"+id ||
			in(got, "Resources", id)["Metadata"] != nil {
			t.Errorf("%s: %v", id, in(got, "Resources", id))
		}
		delete(in(got, "Resources", id, "Properties"), "CodeUri")
		delete(in(want, "Resources", id), "Metadata")
	}
	if !slices.Contains(functions, "VerifyFunction") || !slices.Contains(functions, "IssueFunction") {
		t.Errorf("functions %v", functions)
	}
	delete(in(want, "Globals", "Function"), "CodeUri")
	maps.Copy(
		in(want, "Parameters", "Architecture"),
		map[string]any{"Default": "x86_64", "AllowedValues": []any{"x86_64"}},
	)
	before, errBefore := yaml.Marshal(want)
	after, errAfter := yaml.Marshal(got)
	if err := errors.Join(errBefore, errAfter); err != nil || !bytes.Equal(before, after) {
		t.Errorf("more has changed: %v", err)
	}
	inTemplate, inPackage := intrinsics(t, readTemplate(t)), intrinsics(t, packaged)
	inTemplate["!Sub"] -= len(functions) // one in the Metadata of each
	if !maps.Equal(inTemplate, inPackage) || inPackage["!Ref"] == 0 {
		t.Errorf("CloudFormation's functions: %v, in the template %v", inPackage, inTemplate)
	}
}

// intrinsics counts the functions of CloudFormation in a template, which a map does not show.
func intrinsics(t *testing.T, text []byte) map[string]int {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
			counts[n.Tag]++
		}
		for _, child := range n.Content {
			walk(child)
		}
	}
	walk(&document)
	return counts
}

func TestPackageTemplateErrors(t *testing.T) {
	for name, source := range map[string]string{
		"no YAML": "a: [",
		"nothing": "",
		"no functions": "Parameters: {Architecture: {Default: a, AllowedValues: [a]}}\n" +
			"Globals: {Function: {CodeUri: .}}\nResources: {}",
		"no resources": "Parameters: {Architecture: {Default: a, AllowedValues: [a]}}\n" +
			"Globals: {Function: {CodeUri: .}}",
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
	if err := writeZip(
		filepath.Join(folder, "c.zip"), []entry{{name: "c", from: filepath.Join(folder, "absent")}},
	); err == nil {
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
