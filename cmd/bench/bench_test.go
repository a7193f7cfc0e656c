//go:build unix

package main

import (
	"bufio"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	for p, want := range map[float64]float64{1: 1, 20: 1, 21: 2, 50: 3, 90: 5, 99: 5, 100: 5} {
		if got := percentile(values, p); got != want {
			t.Errorf("p%v is %v, want %v", p, got, want)
		}
	}
	if percentile(nil, 50) != 0 || values[0] != 5 {
		t.Error("nothing has a percentile, or the values were sorted in place")
	}
}

// TestCost: of nine verifications one asks KMS and keeps its signature, as the README's table says.
func TestCost(t *testing.T) {
	reused := result{warm: []float64{0.0051, 0.0049}, calls: map[string]int{"BatchGetItem": 2}}
	signed := result{warm: []float64{0.020}, calls: map[string]int{"BatchGetItem": 1, "Sign": 1, "PutItem": 1}}
	got := fleet(costOf(reused, 512), costOf(signed, 512))
	want := cost{
		requests: 0.20e-6,
		duration: (8*0.0055 + 0.020) / 9 * 0.5 * 0.0000133334,
		dynamoDB: 1.5*0.125e-6 + 0.625e-6/9,
		kms:      3e-6 / 9,
	}
	if math.Abs(got.sum()-want.sum()) > 1e-12 || math.Abs(got.kms-want.kms) > 1e-12 ||
		math.Abs(got.dynamoDB-want.dynamoDB) > 1e-12 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestProxy(t *testing.T) {
	p := newProxy(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Test", "1")
		w.WriteHeader(http.StatusTeapot)
		w.Write([]byte("answer"))
	}))
	for name, least := range map[string]time.Duration{
		"GetItem": delays["GetItem"], "Sign": delays["Sign"], "Unknown": 0,
	} {
		request := httptest.NewRequest("POST", "/", nil)
		request.Header.Set("X-Amz-Target", "Service_1."+name)
		answer := httptest.NewRecorder()
		begun := time.Now()
		p.ServeHTTP(answer, request)
		if took := time.Since(begun); took < least {
			t.Errorf("%s took %v", name, took)
		}
		if answer.Code != http.StatusTeapot || answer.Body.String() != "answer" ||
			answer.Header().Get("X-Test") != "1" {
			t.Errorf("%s: %v", name, answer)
		}
	}
	if calls := p.take(); calls["GetItem"] != 1 || calls["Sign"] != 1 || len(calls) != 3 || len(p.take()) != 0 {
		t.Errorf("counted %v", calls)
	}
}

func TestReadOK(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nab"
	r := bufio.NewReader(strings.NewReader(good + good))
	for range 2 {
		if err := readOK(r); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{
		"", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", good[:len(good)-1],
	} {
		if readOK(bufio.NewReader(strings.NewReader(bad))) == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

// TestAccount: the stand-in keeps what is put, and forgets signatures.
func TestAccount(t *testing.T) {
	a, err := newAccount()
	if err != nil {
		t.Fatal(err)
	}
	id, key, err := a.issue(true)
	if err != nil || strings.Count(key, ".") != 2 {
		t.Fatalf("%q, %v", key, err)
	}
	call := func(operation, body string) string {
		request := httptest.NewRequest("POST", "/", strings.NewReader(body))
		request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
		answer := httptest.NewRecorder()
		a.ServeHTTP(answer, request)
		return answer.Body.String()
	}
	call("PutItem", `{"TableName":"signatures","Item":{"licenseid":{"S":"`+id+`"},"signature":{"B":"AA=="}}}`)
	keys := `{"Keys":[{"licenseid":{"S":"` + id + `"}}]}`
	both := `{"RequestItems":{"licenses":` + keys + `,"signatures":` + keys + `,"devices":` + keys + `}}`
	if got := call("BatchGetItem", both); !strings.Contains(got, "AA==") ||
		!strings.Contains(got, "Example Ltd") || strings.Count(got, "Workstation") != 50 {
		t.Errorf("both: %s", got)
	}
	a.forgetSignatures()
	if got := call("BatchGetItem", both); strings.Contains(got, "AA==") {
		t.Errorf("forgotten: %s", got)
	}
}
