package functions_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	diff "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write those parts of the documentation that follow from the code")

// sourceFiles returns the paths of the repository's files whose names end in the suffix.
func sourceFiles(t *testing.T, suffix string) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case !entry.IsDir() && strings.HasSuffix(name, suffix):
			files = append(files, name)
		case entry.IsDir() && (base != "." && base[0] == '.' ||
			slices.Contains([]string{"testdata", "bin", "dist"}, base)):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// readDocuments returns all Markdown files by their paths.
func readDocuments(t *testing.T) map[string]string {
	t.Helper()
	documents := map[string]string{}
	for _, name := range sourceFiles(t, ".md") {
		documents[name] = readSource(t, name)
	}
	return documents
}

func readSource(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	anyFence = regexp.MustCompile("(?ms)^```.*?^```$")
	codeSpan = regexp.MustCompile("`[^`]+`")
	link     = regexp.MustCompile(`\[[^\[\]]*\]\(([^()]*)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLayout: the README is short, and prose fits a screen.
func TestLayout(t *testing.T) {
	for name, text := range readDocuments(t) {
		if lines := strings.Count(text, "\n"); name == "README.md" && lines > 200 {
			t.Errorf("the README has %d lines, of at most 200: what only some readers need belongs in docs/", lines)
		}
		prose := anyFence.ReplaceAllStringFunc(text, func(block string) string {
			return strings.Repeat("\n", strings.Count(block, "\n"))
		})
		for i, line := range strings.Split(prose, "\n") {
			if utf8.RuneCountInString(line) > 120 && !strings.HasPrefix(line, "|") {
				t.Errorf("%s:%d has more than 120 columns", name, i+1)
			}
		}
	}
}

// TestLinks: every link leads somewhere, to a heading too. Links to other sites are looked at only for their form.
func TestLinks(t *testing.T) {
	documents := readDocuments(t)
	for name, text := range documents {
		text = anyFence.ReplaceAllString(text, "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, err := url.Parse(match[1])
			switch {
			case err != nil || match[1] == "" || target.Scheme != "" && (target.Scheme != "https" || target.Host == ""):
				t.Errorf("%s: %s is no link", name, match[0])
				continue
			case target.Scheme != "":
				continue
			}
			file := name
			if target.Path != "" {
				file = path.Join(path.Dir(name), target.Path)
			}
			if _, err := os.Stat(filepath.Join("..", file)); err != nil {
				t.Errorf("%s: %s leads nowhere", name, match[0])
			} else if target.Fragment != "" && !slices.Contains(anchors(documents[file]), target.Fragment) {
				t.Errorf("%s: there is no heading for %s", name, match[0])
			}
		}
	}
}

// TestPaths: files and folders of this repository that the documents name are there.
func TestPaths(t *testing.T) {
	named := regexp.MustCompile("(?m)(?:^|[\\s`\"(])(?:\\./)?((?:shared|functions|cmd|events|docs|\\.ci)/[\\w./-]*\\w)")
	for name, text := range readDocuments(t) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", match[1])); err != nil {
				t.Errorf("%s: there is no %s", name, match[1])
			}
		}
	}
}

// anchors returns the names that GitHub gives to the headings.
func anchors(text string) (names []string) {
	seen := map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(anyFence.ReplaceAllString(text, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, match[1])
		if seen[name]++; seen[name] > 1 {
			name += "-" + strconv.Itoa(seen[name]-1)
		}
		names = append(names, name)
	}
	return names
}

// TestMakeTargets: make knows what the documents tell it to make.
func TestMakeTargets(t *testing.T) {
	makefile := readSource(t, "Makefile")
	command := regexp.MustCompile("(?m)(?:^|`|&& )make ([a-z-]+)")
	for name, text := range readDocuments(t) {
		for _, match := range command.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + match[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no make %s", name, match[1])
			}
		}
	}
}

// TestWritten: what stands between the marks follows from the code. With -update it is written.
func TestWritten(t *testing.T) {
	template := readTree(t)
	for mark, want := range map[string]string{
		"README.md make":            makeHelp(t),
		"docs/deploy.md parameters": parameterTable(template),
		"docs/deploy.md alarms":     alarmTable(t, template),
	} {
		name, part, _ := strings.Cut(mark, " ")
		text := readSource(t, name)
		between := regexp.MustCompile(`(?s)(<!-- ` + part + `: [^\n]*-->\n).*?(\n<!-- end -->)`)
		marks := between.FindStringSubmatchIndex(text)
		if marks == nil {
			t.Errorf("%s has no marks for %s", name, part)
			continue
		}
		written := text[:marks[3]] + "\n" + want + text[marks[4]:]
		if text != written && !*update {
			t.Errorf("%s: the %s are not as in the code: go test ./functions -run TestWritten -update", name, part)
		}
		if text != written && *update {
			if err := os.WriteFile(filepath.Join("..", name), []byte(written), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func makeHelp(t *testing.T) string {
	help := "```\n"
	target := regexp.MustCompile(`(?m)^([a-z-]+):.*## (.*)$`)
	for _, match := range target.FindAllStringSubmatch(readSource(t, "Makefile"), -1) {
		help += fmt.Sprintf("  make %-14s  %s\n", match[1], match[2])
	}
	return help + "```\n"
}

func parameterTable(template tree) string {
	var table strings.Builder
	for _, group := range at(template, "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups").([]any) {
		fmt.Fprintf(&table, "| %v | default | |\n|---|---|---|\n", at(group, "Label", "default"))
		for _, name := range at(group, "Parameters").([]any) {
			parameter := at(template, "Parameters", name.(string))
			value := fmt.Sprint(at(parameter, "Default"))
			if value != "" {
				value = "`" + value + "`"
			}
			fmt.Fprintf(&table, "| `%v` | %s | %v |\n", name, value, at(parameter, "Description"))
		}
		table.WriteString("\n")
	}
	return strings.TrimSuffix(table.String(), "\n")
}

func alarmTable(t *testing.T, template tree) string {
	table := "| alarm | says |\n|---|---|\n"
	alarms := ofType(t, template, "AWS::CloudWatch::Alarm")
	for _, name := range slices.Sorted(maps.Keys(alarms)) {
		table += fmt.Sprintf("| `%s` | %v |\n", name, at(alarms[name], "Properties", "AlarmDescription"))
	}
	return table
}

// table returns the rows of the one table in the document that begins with the header.
func table(t *testing.T, document, header string) (rows [][]string) {
	t.Helper()
	_, after, found := strings.Cut(readSource(t, document), "\n"+header+"\n|---")
	if !found || strings.Contains(after, "\n"+header+"\n") {
		t.Fatalf("%s has no single table %s", document, header)
	}
	for _, line := range strings.Split(after, "\n")[1:] {
		if !strings.HasPrefix(line, "|") {
			return rows
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// codes returns what stands as code in a cell.
func codes(cell string) (found []string) {
	for _, span := range codeSpan.FindAllString(cell, -1) {
		found = append(found, strings.Trim(span, "`"))
	}
	return found
}

// TestRoutes: docs/api.md has a line for each of the vendor's routes, and names each of those for products.
func TestRoutes(t *testing.T) {
	_, document := readAPI(t)
	var listed, want []string
	for _, row := range table(t, "docs/api.md", "| route | does |") {
		listed = append(listed, codes(row[0])...)
	}
	text := readSource(t, "docs/api.md")
	for route, operation := range document.Operations() {
		if !operation.Public {
			want = append(want, route)
		} else if !strings.Contains(text, "`"+route+"`") {
			t.Errorf("%s is not in docs/api.md", route)
		}
	}
	slices.Sort(listed)
	slices.Sort(want)
	if difference := diff.Diff(want, listed); difference != "" {
		t.Errorf("(-openapi.yaml +docs/api.md):\n%s", difference)
	}
}

// TestCodes: docs/api.md has all codes of openapi.yaml, with their statuses.
func TestCodes(t *testing.T) {
	_, document := readAPI(t)
	var vendor []string
	for route, operation := range document.Operations() {
		if !operation.Public {
			vendor = append(vendor, route)
		}
	}
	const verify = "POST /verify-license"
	refusals := document.Values("application/json", "error", verify)
	maps.DeleteFunc(refusals, func(status int, _ []string) bool { return status != http.StatusBadRequest })
	gateway := document.Values("application/json", "code", append(vendor, verify)...)
	upper := regexp.MustCompile(`\b[A-Z]+(_[A-Z]+)+\b|\b[A-Z]{4,}\b`)
	for _, test := range []struct {
		header      string
		status, say int // columns
		want        map[int][]string
	}{
		{"| status | body | what it means | what the product should do |", 0, 1, refusals},
		{"| status | `code` of the service |", 0, 1, document.Values("application/problem+json", "code", vendor...)},
		{"| status | `code` of API Gateway and of the local server in its place |", 0, 1, gateway},
	} {
		listed := map[int][]string{}
		for _, row := range table(t, "docs/api.md", test.header) {
			for text := range strings.SplitSeq(row[test.status], ", ") {
				status, err := strconv.Atoi(text)
				found := upper.FindAllString(strings.Join(codes(row[test.say]), " "), -1)
				if err == nil && found != nil {
					listed[status] = append(listed[status], found...)
				}
			}
		}
		for status := range listed {
			slices.Sort(listed[status])
		}
		if difference := diff.Diff(test.want, listed); difference != "" {
			t.Errorf("%s (-openapi.yaml +docs/api.md):\n%s", test.header, difference)
		}
	}
}

// TestConfiguration: docs/deploy.md has the variables that the functions read, with their defaults.
func TestConfiguration(t *testing.T) {
	type variable struct{ functions, value string }
	read := map[string]variable{}
	for _, function := range []string{"verify", "issue", "audit", "index", "checkpoint", "rotate"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(function, "main.go"), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if field, isField := node.(*ast.Field); isField && field.Tag != nil {
				text, _ := strconv.Unquote(field.Tag.Value)
				tag := reflect.StructTag(text)
				name, options, _ := strings.Cut(tag.Get("env"), ",")
				value := cmp.Or(tag.Get("envDefault"), "none")
				if strings.Contains(options, "required") {
					value = ""
				}
				functions := strings.TrimPrefix(read[name].functions+", "+function, ", ")
				read[name] = variable{functions, value}
			}
			return true
		})
	}
	delete(read, "")
	listed := map[string]variable{}
	for _, row := range table(t, "docs/deploy.md", "| variable | function | meaning | default |") {
		if row[1] == "all" {
			continue // of Lambda, not of ours
		}
		value := row[3]
		if written := codes(value); written != nil {
			value = written[0]
		} else if value != "" {
			value = "none"
		}
		listed[codes(row[0])[0]] = variable{row[1], value}
	}
	if difference := diff.Diff(read, listed, diff.AllowUnexported(variable{})); difference != "" {
		t.Errorf("(-main.go +docs/deploy.md):\n%s", difference)
	}
}

// TestOutputs: the stack has the outputs that the documents ask for.
func TestOutputs(t *testing.T) {
	template := readTree(t)
	output := regexp.MustCompile("(?:\\$\\(output |outputs?\\s`)(\\w+)")
	for name, text := range readDocuments(t) {
		for _, match := range output.FindAllStringSubmatch(text, -1) {
			if at(template, "Outputs", match[1]) == nil {
				t.Errorf("%s: there is no output %s", name, match[1])
			}
		}
	}
}

// imports returns, for each package of the module by its folder, what its code imports, tests left out. Packages of the
// module stand there by their folders.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	module := strings.TrimSpace(strings.TrimPrefix(strings.SplitN(readSource(t, "go.mod"), "\n", 2)[0], "module "))
	packages := map[string][]string{}
	for _, name := range sourceFiles(t, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		names := packages[path.Dir(name)]
		for _, imported := range file.Imports {
			text, _ := strconv.Unquote(imported.Path.Value)
			names = append(names, strings.TrimPrefix(text, module+"/"))
		}
		packages[path.Dir(name)] = names
	}
	return packages
}

// TestCodeMap: the README's map has every package, and no other.
func TestCodeMap(t *testing.T) {
	_, after, _ := strings.Cut(readSource(t, "README.md"), "\n```\nfunctions/")
	block, _, found := strings.Cut("functions/"+after, "\n```")
	if !found {
		t.Fatal("there is no map")
	}
	var folders []string // those that the line stands in, by its indentation
	mapped := map[string]bool{}
	for line := range strings.Lines(block) {
		text := strings.TrimLeft(line, " ")
		names, _, _ := strings.Cut(text, "  ")
		folders = folders[:(len(line)-len(text))/2]
		for name := range strings.SplitSeq(strings.TrimSpace(names), ", ") {
			mapped[path.Join(strings.Join(folders, "/"), name)] = true
		}
		if strings.HasSuffix(strings.TrimSpace(names), "/") {
			folders = append(folders, strings.TrimSuffix(strings.TrimSpace(names), "/"))
		}
	}
	for folder := range imports(t) {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(mapped)), func(name string) bool {
			return name == folder || path.Dir(name) == folder && path.Dir(folder) == "functions"
		}) {
			t.Errorf("%s is not in the README's map", folder)
		}
	}
	for name := range mapped {
		if _, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Errorf("%s is in the README's map, and not there", name)
		}
	}
}

// TestLayers: each package imports only what the README's table lets it.
func TestLayers(t *testing.T) {
	worlds := map[string]string{
		"AWS": "github.com/aws/", "HTTP": "net/http", "the AWS SDK": "github.com/aws/aws-sdk-go",
	}
	packages := imports(t)
	layers := table(t, "README.md", "| layer | packages | may import | not |")
	layerOf := func(folder string) (found []string) {
		for _, layer := range layers {
			for _, pattern := range codes(layer[1]) {
				full, _ := path.Match(pattern, folder)
				short, _ := path.Match("shared/"+pattern, folder)
				if full || short {
					found = append(found, layer[0])
				}
			}
		}
		return found
	}
	for folder, imported := range packages {
		own := layerOf(folder)
		if len(own) != 1 {
			t.Errorf("%s is in the layers %v of the README's table", folder, own)
			continue
		}
		row := layers[slices.IndexFunc(layers, func(layer []string) bool { return layer[0] == own[0] })]
		for _, name := range imported {
			if _, ours := packages[name]; ours && !mayImport(row[2], layerOf(name)) {
				t.Errorf("%s must not import %s: %s may import %s", folder, name, own[0], row[2])
			}
			for world := range strings.SplitSeq(row[3], ", ") {
				if prefix, known := worlds[world]; world != "" && (!known || strings.HasPrefix(name, prefix)) {
					t.Errorf("%s must not import %s: %s must not know %s", folder, name, own[0], world)
				}
			}
		}
	}
}

// mayImport reports whether the cell, as "domain, data" or "all but testing", names one of the layers.
func mayImport(cell string, layers []string) bool {
	except, all := strings.CutPrefix(cell, "all but ")
	named := strings.Split(except, ", ")
	return cell == "all" || slices.ContainsFunc(layers, func(layer string) bool {
		return slices.Contains(named, layer) != all
	})
}
