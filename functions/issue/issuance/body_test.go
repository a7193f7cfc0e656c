package issuance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
)

// TestMalformedBody: the detail says what is wrong, and quotes nothing of the body.
func TestMalformedBody(t *testing.T) {
	v := newVendor(t)
	for name, test := range map[string]struct{ body, detail string }{
		"nothing":               {``, "is empty"},
		"not UTF-8":             {"{\"notes\":\"secret\xff\"}", "not in UTF-8"},
		"UTF-16":                {"\xff\xfe{\x00}\x00", "not in UTF-8"},
		"half a surrogate pair": {`{"notes":"secret\ud800"}`, "broken JSON, at byte 17"},
		"a member twice": {
			`{"notes":"secret","notes":"secret"}`, "stands twice in its object, the second time at byte 19",
		},
		"a nested member twice": {
			`{"services":[{"secret":1,"secret":2}]}`, "stands twice in its object, the second time at byte 26",
		},
		"a member in two ways": {
			`{"notes":"secret","n\u006ftes":""}`, "stands twice in its object, the second time at byte 19",
		},
		"a list":                  {`["secret"]`, "not an object"},
		"a text":                  {`"secret"`, "not an object"},
		"a number":                {`17`, "not an object"},
		"null":                    {`null`, "not an object"},
		"an object twice":         {`{"notes":"secret"}{}`, "broken JSON, at byte 19"},
		"cut off":                 {`{"notes":"secret`, "broken JSON"},
		"a comma too many":        {`{"notes":"secret",}`, "broken JSON, at byte 18"},
		"a form":                  {`notes=secret`, "broken JSON, at byte"},
		"white space":             {" \n", "broken JSON"},
		"deep nesting":            {strings.Repeat(`{"a":`, 20000), "broken JSON"},
		"a byte order mark":       {"\ufeff{}", "broken JSON, at byte 1"},
		"a control character":     {"{\"notes\":\"secret\n\"}", "broken JSON, at byte 17"},
		"single quotes of Python": {`{'notes': 'secret'}`, "broken JSON, at byte 2"},
	} {
		a := v.call("POST", "/licenses", "", test.body, nil)
		if a.status != http.StatusBadRequest || a.Code != "MALFORMED_BODY" ||
			!strings.Contains(a.text, test.detail) || strings.Contains(a.text, "secret") {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	event := events.APIGatewayProxyRequest{
		HTTPMethod: "POST", Resource: "/licenses", Body: "%%%", IsBase64Encoded: true,
	}
	if a := v.handle(event); a.Code != "MALFORMED_BODY" || !strings.Contains(a.text, "base64") {
		t.Errorf("not base64: got %d %s", a.status, a.text)
	}
	if v.count() != 0 {
		t.Errorf("%d licenses", v.count())
	}
}
