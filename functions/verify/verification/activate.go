package verification

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"sync"

	"openlicenser/shared/api"
)

// activatePage is the page for customers: it gets license files for computers without a network, and gives devices
// back. It asks the public routes beside it, and nobody else.
//
//go:embed activate.html
var activatePage []byte

// activateHeader returns the headers of the page. Its policy fits this text only, so a cache must hold both together.
var activateHeader = sync.OnceValue(func() map[string]string {
	return map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Cache-Control":           "public, max-age=300",
		"Content-Security-Policy": contentSecurityPolicy(activatePage),
		"Referrer-Policy":         "no-referrer",
		"X-Content-Type-Options":  "nosniff",
	}
})

// contentSecurityPolicy returns the policy that lets a page run its own script and style, ask its own origin, and do
// nothing else (https://www.w3.org/TR/CSP3/).
func contentSecurityPolicy(page []byte) string {
	return strings.Join([]string{
		"default-src 'none'",
		"script-src " + inlineHash(page, "script"),
		"style-src " + inlineHash(page, "style"),
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")
}

// inlineHash returns the hash of the text of the page's one element of a name, as a source of a policy.
func inlineHash(page []byte, element string) string {
	_, after, _ := bytes.Cut(page, []byte("<"+element+">"))
	text, _, _ := bytes.Cut(after, []byte("</"+element+">"))
	sum := sha256.Sum256(text)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (v Verifier) activate(context.Context, api.Request) (api.Response, error) {
	return api.Response{Status: http.StatusOK, Header: maps.Clone(activateHeader()), Body: activatePage}, nil
}
