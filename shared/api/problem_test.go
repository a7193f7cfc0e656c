package api_test

import (
	"testing"

	"openlicenser/shared/api"
)

// TestProblem: members for programs stand among those of RFC 9457, and a caller's text is shown as far as it is one.
func TestProblem(t *testing.T) {
	for name, test := range map[string]struct {
		failure api.Failure
		want    string
	}{
		"least": {
			api.Failure{Status: 404, Code: "NOT_THERE"},
			`{"type":"about:blank","title":"Not Found","status":404,"code":"NOT_THERE"}`,
		},
		"further members": {
			api.Failure{Status: 409, Code: "TAKEN", Detail: "By <another>.", Extensions: map[string]string{"id": "1"}},
			`{"type":"about:blank","title":"Conflict","status":409,"code":"TAKEN","detail":"By <another>.","id":"1"}`,
		},
		"no UTF-8": {
			api.Failure{Status: 400, Code: "WRONG", Fields: []struct {
				Field string `json:"field"`
			}{{"a\xe9"}}},
			`{"type":"about:blank","title":"Bad Request","status":400,"code":"WRONG",` +
				`"errors":[{"field":"a` + "\ufffd" + `"}]}`,
		},
	} {
		response := api.Problem(test.failure)
		if response.Status != test.failure.Status || string(response.Body) != test.want {
			t.Errorf("%s: got %d %s, want %s", name, response.Status, response.Body, test.want)
		}
	}
}
