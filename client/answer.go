package licensing

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// answer is what a response of the service leads to.
type answer struct {
	token      string        // of a grant
	refused    Code          // of a definite no
	err        error         // of all else: nothing changes but when the service is asked again
	retryAfter time.Duration // as far as the service says
	date       time.Time     // of the service's clock; zero where it does not say
}

// maxRetryAfter bounds what a service, or what stands before it, can ask for.
const maxRetryAfter = 6 * time.Hour

// readAnswer tells the answers of POST /verify-license apart. A captive portal answers too: what is not the one object
// that the service sends says nothing about the license.
func readAnswer(status int, header http.Header, body []byte, now time.Time) (a answer) {
	a.date, _ = http.ParseTime(header.Get("Date"))
	a.retryAfter = readRetryAfter(header.Get("Retry-After"), now)
	code := codeOf(body)
	switch {
	case status == http.StatusOK:
		if a.token = memberOf(body, "message"); a.token == "" {
			a.err = &ServerError{Status: status}
		}
	case status == http.StatusBadRequest && code.isRefusal():
		a.refused = code
	default:
		a.err = &ServerError{Status: status, Code: code}
	}
	return a
}

// isRefusal reports whether a 400 with the code is a definite no. The codes of other 400s are mistakes of the product.
func (c Code) isRefusal() bool {
	return c == InvalidLicense || c == DeviceLimitReached || strings.HasPrefix(string(c), "LICENSE_")
}

// codePattern is what codes of the service look like. Any other text is none.
var codePattern = regexp.MustCompile(`^[A-Z0-9_]{1,64}$`)

func codeOf(body []byte) Code { return Code(codePattern.FindString(memberOf(body, "error"))) }

// memberOf returns a member of a JSON object that is a string, or nothing.
func memberOf(body []byte, name string) string {
	object := map[string]json.RawMessage{}
	if json.Unmarshal(body, &object) != nil {
		return ""
	}
	return text(object[name])
}

// readRetryAfter reads either form of RFC 9110 section 10.2.3.
func readRetryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
