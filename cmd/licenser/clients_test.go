package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"openlicenser/shared/testing/apitest"
)

// toolsVariable names the folder that `make test-clients` has filled.
const toolsVariable = "LICENSER_TEST_CLIENTS"

// cannedAnswers are answers to GET /licenses/{licenseid} that take more than the life of a license to get.
var cannedAnswers = map[string]apitest.Response{
	"endless": cannedAnswer(200, `{"licenseid":"endless","status":"active","expirationdate":null,`+
		`"services":[{"other":1}],"appurls":[]}`),
	"unreadable": cannedAnswer(200, `{"licenseid":"unreadable","status":"unreadable",`+
		`"problems":[{"field":"services","message":"is no list"}]}`),
	"gateway": cannedAnswer(500, `{"error":"INTERNAL_LICENSE_SERVER_ERROR","type":"about:blank",`+
		`"title":"Internal Server Error","status":500,"code":"INTERNAL_LICENSE_SERVER_ERROR"}`),
}

func cannedAnswer(status int, body string) apitest.Response {
	return apitest.Response{Status: status, Body: body, Header: map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "X-Request-Id": "1", "Etag": `"1-0"`,
	}}
}

// TestCannedAnswers: what the generated clients are tested with is what openapi.yaml describes.
func TestCannedAnswers(t *testing.T) {
	for _, a := range cannedAnswers {
		apitest.Check(t, "GET /licenses/{licenseid}", a)
	}
}

// TestGeneratedClients makes clients of openapi.yaml with the generators' default settings. Each must compile, and lead
// a license through its life: see testdata/clients.
func TestGeneratedClients(t *testing.T) {
	tools := os.Getenv(toolsVariable)
	if tools == "" {
		t.Skipf("%s is not set: make test-clients sets it", toolsVariable)
	}
	s := start(t, t.TempDir())
	canned := httptest.NewServer(http.HandlerFunc(serveCanned))
	t.Cleanup(canned.Close)
	for name, newClient := range map[string]func(c generatedClient) []string{
		"oapi-codegen":             generatedClient.goByOAPICodegen,
		"openapi-generator java":   generatedClient.java,
		"openapi-generator python": generatedClient.python,
	} {
		t.Run(name, func(t *testing.T) {
			c := newGeneratedClient(t, tools)
			life := newClient(c)
			c.run("", append(life, s.url, canned.URL)...)
		})
	}
	s.stop()
}

func serveCanned(w http.ResponseWriter, r *http.Request) {
	a, known := cannedAnswers[strings.TrimPrefix(r.URL.Path, "/licenses/")]
	if !known {
		http.NotFound(w, r)
		return
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	fmt.Fprint(w, a.Body)
}

// generatedClient is made in a folder of its own. Its methods return the command that leads a license through its life,
// but for the two URLs.
type generatedClient struct {
	*testing.T
	folder, tools, openAPI, sources string
}

func newGeneratedClient(t *testing.T, tools string) generatedClient {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	openAPI, programs := filepath.Join(root, "openapi.yaml"), filepath.Join(root, "cmd/licenser/testdata/clients")
	return generatedClient{t, t.TempDir(), tools, openAPI, programs}
}

func (c generatedClient) goByOAPICodegen() []string {
	c.Helper()
	if err := os.CopyFS(c.folder, os.DirFS(filepath.Join(c.sources, "go"))); err != nil {
		c.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(c.folder, "api"), 0o755); err != nil {
		c.Fatal(err)
	}
	c.run(c.folder, "go", "tool", "oapi-codegen",
		"-generate", "types,client", "-package", "api", "-o", "api/api.go", c.openAPI)
	c.run(c.folder, "go", "build", "-o", "life", ".")
	return []string{filepath.Join(c.folder, "life")}
}

func (c generatedClient) java() []string {
	c.Helper()
	c.generate("java")
	classes := filepath.Join(c.folder, "classes")
	classpath := strings.Join(append(c.jars(false), classes), string(os.PathListSeparator))
	sources := []string{filepath.Join(c.sources, "java/Life.java")}
	for _, folder := range []string{"", "api", "auth", "model"} {
		found, err := filepath.Glob(filepath.Join(c.folder, "src/main/java/org/openapitools/client", folder, "*.java"))
		if err != nil || len(found) == 0 {
			c.Fatalf("no sources in %q: %v", folder, err)
		}
		sources = append(sources, found...)
	}
	c.run("", slices.Concat([]string{"javac", "-nowarn", "-d", classes, "-cp", classpath}, sources)...)
	return []string{"java", "-cp", classpath, "Life"}
}

func (c generatedClient) python() []string {
	c.Helper()
	c.generate("python")
	c.Setenv("PYTHONPATH", c.folder)
	return []string{filepath.Join(c.tools, "venv/bin/python"), filepath.Join(c.sources, "python/life.py")}
}

func (c generatedClient) generate(language string) {
	c.Helper()
	c.run("", "java", "-jar", c.jars(true)[0], "generate", "-g", language, "-i", c.openAPI, "-o", c.folder)
}

// jars returns the OpenAPI Generator's, or those that its Java clients need.
func (c generatedClient) jars(generator bool) []string {
	c.Helper()
	all, err := filepath.Glob(filepath.Join(c.tools, "clients/*.jar"))
	if err != nil {
		c.Fatal(err)
	}
	jars := slices.DeleteFunc(all, func(jar string) bool {
		return strings.HasPrefix(filepath.Base(jar), "openapi-generator-cli-") != generator
	})
	if len(jars) == 0 {
		c.Fatalf("no jars in %s", c.tools)
	}
	return jars
}

// run runs a command, and fails the test with what it said.
func (c generatedClient) run(folder string, args ...string) {
	c.Helper()
	command := exec.CommandContext(c.Context(), args[0], args[1:]...)
	command.Dir = folder
	if out, err := command.CombinedOutput(); err != nil {
		c.Fatalf("%s: %v\n%s", filepath.Base(args[0]), err, out)
	}
}
