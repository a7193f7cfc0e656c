package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// vendorTokenPattern is the b64token of RFC 6750 section 2.1.
var vendorTokenPattern = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// The length of a vendor's token in characters. A shorter one could be guessed.
const (
	minVendorToken = 32
	maxVendorToken = 1024
)

// readVendorToken returns the bearer token of the vendor's routes, which is the only line of a file. Its errors hold
// nothing of the token.
func readVendorToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o006 != 0 { // Windows has no such bits
		return "", fmt.Errorf("%s: every user of this machine can read or write it: "+
			"run chmod o= on it, and put a new token in", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxVendorToken+3)) // and a line's end
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	switch {
	case len(token) < minVendorToken, len(token) > maxVendorToken:
		return "", fmt.Errorf("%s: the token must have %d to %d characters; openssl rand -base64 32 makes one",
			path, minVendorToken, maxVendorToken)
	case !vendorTokenPattern.MatchString(token):
		return "", fmt.Errorf("%s: the token must be one line of letters, digits and - . _ ~ + / "+
			"with = at its end only; openssl rand -base64 32 makes one", path)
	}
	return token, nil
}
