package verification_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/net/html"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/testing/telemetrytest"
)

// getPage returns the response with the page for customers.
func getPage(t *testing.T) events.APIGatewayProxyResponse {
	t.Helper()
	return answer(t, verification.Verifier{Log: telemetrytest.Log}, events.APIGatewayProxyRequest{
		HTTPMethod: http.MethodGet, Resource: "/activate",
	})
}

// TestActivateHeaders: the policy has the hashes of the page's own script and style, as a browser takes them, and lets
// it do nothing else. That the policy is in force, the package browser tests.
func TestActivateHeaders(t *testing.T) {
	response := getPage(t)
	page, err := os.ReadFile("activate.html")
	if err != nil {
		t.Fatal(err)
	}
	if response.Body != string(page) || response.StatusCode != http.StatusOK {
		t.Errorf("%d, and the body is not the file", response.StatusCode)
	}
	hash := func(element string) string {
		texts := inline(t, page, element)
		if len(texts) != 1 {
			t.Fatalf("%d elements %s", len(texts), element)
		}
		sum := sha256.Sum256([]byte(texts[0]))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; script-src 'sha256-" + hash("script") + "'; " +
			"style-src 'sha256-" + hash("style") + "'; connect-src 'self'; " +
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Referrer-Policy":        "no-referrer",
		"X-Content-Type-Options": "nosniff",
		"Cache-Control":          "public, max-age=300",
	} {
		if got := response.Headers[name]; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// The router adds headers to each response, so each must have a map of its own.
	first := getPage(t).Headers
	first["X-Request-Id"] = "of another request"
	if getPage(t).Headers["X-Request-Id"] == first["X-Request-Id"] {
		t.Error("two responses have the same headers")
	}
}

// inline returns the texts of all elements of a name, as an HTML parser reads them.
func inline(t *testing.T, page []byte, element string) (texts []string) {
	t.Helper()
	document, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for node := range document.Descendants() {
		if node.Type == html.ElementNode && node.Data == element {
			texts = append(texts, node.FirstChild.Data)
		}
	}
	return texts
}

// TestActivateIsSelfContained: the page loads nothing, and puts foreign text nowhere but into text. The policy forbids
// the same; this says which line would break it.
func TestActivateIsSelfContained(t *testing.T) {
	page := getPage(t).Body
	for what, pattern := range map[string]string{
		"an element that loads":      `(?i)<(link|img|iframe|object|embed|audio|video|source|base|form[^>]* action)\b`,
		"an attribute that loads":    `(?i)\s(src|srcset|style|on\w+)=["'\w]`,
		"a rule that loads":          `\burl\(|@import|@font-face`,
		"an address with a host":     `(?i)(https?:)?//[a-z0-9]`,
		"an address from the root":   `['"]/[a-z.]`,
		"text that becomes markup":   `(inner|outer|insertAdjacent)HTML|document\.write|DOMParser|ContextualFragment`,
		"text that becomes a script": `\beval\b|\bFunction\(|setTimeout\(['"]|import\(`,
		"storage":                    `localStorage|sessionStorage|indexedDB|document\.cookie|\bcaches\b`,
		"a log":                      `console\.`,
		"a line break of Windows":    `\r`, // which a browser takes out before it hashes
	} {
		for _, found := range regexp.MustCompile(`.*(`+pattern+`).*`).FindAllString(page, -1) {
			if !strings.Contains(found, "https://ADDRESS/verify-license") { // a command to paste
				t.Errorf("%s: %s", what, strings.TrimSpace(found))
			}
		}
	}
	if size := len(page); size > 24<<10 {
		t.Errorf("%d bytes", size)
	}
	for line := range strings.Lines(page) {
		if len(line) > 125 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

// TestBrowserIsForTestsOnly: what drives a browser in tests is in no program.
func TestBrowserIsForTestsOnly(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "../../../functions/...", "../../../cmd/...")
	packages, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(packages, []byte("openlicenser/functions/verify\n")) {
		t.Fatalf("the list lacks the verify function:\n%s", packages)
	}
	if bytes.Contains(packages, []byte("chromedp")) {
		t.Error("a program imports chromedp")
	}
}
