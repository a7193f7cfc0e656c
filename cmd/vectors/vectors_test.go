package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openlicenser/shared/token"
)

// TestWritten: the files are what the program writes.
func TestWritten(t *testing.T) {
	files, err := newMaker().files()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "..", folder, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program writes (%v): go run ./cmd/vectors", name, err)
		}
	}
	found, err := filepath.Glob(filepath.Join("..", "..", folder, "*.json"))
	if err != nil || len(found) != len(files) {
		t.Errorf("there are %d files, and the program writes %d: %v", len(found), len(files), err)
	}
}

// TestTokens: another library than the Go client's finds the signature of each good token good.
func TestTokens(t *testing.T) {
	m := newMaker()
	for _, c := range m.tokens().Cases {
		if !c.Good {
			continue
		}
		text := string(bytes.Trim([]byte(c.Token), " \r\n\ufeff"))
		parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		signed := false
		for _, key := range []signerKey{m.current, m.next} {
			var claims map[string]any
			kid := parsed.Headers[0].KeyID
			isOf := kid == "" || kid == token.KeyID(&key.PublicKey)
			signed = signed || isOf && parsed.Claims(&key.PublicKey, &claims) == nil
		}
		if !signed {
			t.Errorf("%s: the signature is not good", c.Name)
		}
	}
}

// TestNames: tests of all languages are named for the cases, so no two have one name.
func TestNames(t *testing.T) {
	m := newMaker()
	seen := map[string]bool{}
	add := func(file, name string) {
		if name = file + ": " + name; seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
	}
	for _, c := range m.tokens().Cases {
		add("tokens", c.Name)
	}
	for _, c := range m.responses().Cases {
		add("responses", c.Name)
	}
	for _, c := range hosts().Cases {
		add("hosts", c.Name)
	}
	for _, c := range m.states().Cases {
		add("states", c.Name)
	}
	for _, c := range append(m.clocks().Cases, m.keySets().Cases...) {
		add("scenarios", c.Name)
	}
}
