package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestForgotten: after an erasure no file of a data folder has a value that is about the customer, in no page and in no
// encoding. One license goes on, and one was removed before. The audit trail goes on too, and the one that was exported
// before still verifies.
func TestForgotten(t *testing.T) {
	data := t.TempDir()
	s := start(t, data, "--checkpoint-interval", "50ms")
	living, removed := s.sellToQuill("quill-order-1"), s.sellToQuill("quill-order-2")
	s.done("license", "delete", removed.LicenseID, "--reason", "quill has gone", "--yes")
	s.trail(removed.LicenseID, 7)
	before := s.done("audit", "export", living.LicenseID)
	if !strings.Contains(before, "Zacharias") {
		t.Fatalf("exported %s", before)
	}
	const longest = 30 * time.Second
	if found := quillIn(t, data); len(found) == 0 {
		t.Fatal("before the erasure nothing is found, so nothing can be said after it")
	}
	for _, l := range []issued{living, removed} {
		s.done("license", "erase", l.LicenseID, "--reason", "asked for by letter", "--yes")
	}
	for begun := time.Now(); len(quillIn(t, data)) > 0 && time.Since(begun) < longest; {
		time.Sleep(50 * time.Millisecond)
	}
	if answer := s.verify(living.LicenseKey); answer.Message == "" { // with the name, which is the customer's own key
		t.Errorf("verification answers %+v", answer)
	}
	if got := s.done("audit", "verify", "--all", "--checkpoint"); strings.Contains(got, "WRONG") {
		t.Errorf("the trail: %s", got)
	}
	after := s.done("audit", "export", living.LicenseID) + s.done("audit", "export", removed.LicenseID)
	s.stop()
	for _, text := range quillsTexts() {
		if strings.Contains(after, text) || strings.Contains(s.stderr.String(), text) {
			t.Errorf("%q is in an export, or in the log", text)
		}
	}
	if found := quillIn(t, data); len(found) > 0 {
		t.Errorf("still there: %v", found)
	}
	file := filepath.Join(t.TempDir(), "chain.jsonl")
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	s.done("audit", "verify", "--file", file)
}

// sellToQuill issues a license, which is verified with a device, changed and suspended, with a value that is about the
// customer wherever one fits.
func (s *server) sellToQuill(reference string) (l issued) {
	s.t.Helper()
	draft, err := json.Marshal(map[string]any{
		"customername": "Zacharias Quill", "email": "zacharias@quill.example", "reference": reference,
		"notes":          strings.Repeat("plays the xylophone. ", 190),
		"expirationdate": "2100-01-01", "maxdevices": 1, "leaseminutes": 60,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	send := func(key, method, path, body string) []byte {
		request, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		request.Header.Set("Idempotency-Key", key)
		request.Header.Set("If-Match", "*")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			s.t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode > http.StatusCreated {
			s.t.Fatalf("%s %s: %d %s, %v", method, path, response.StatusCode, text, err)
		}
		return text
	}
	text := send(reference, "POST", "/licenses", string(draft))
	if err := json.Unmarshal(text, &l); err != nil {
		s.t.Fatal(err)
	}
	for n, call := range [][2]string{
		{"POST /verify-license", fmt.Sprintf(
			`{"licensekey":%q,"fingerprint":"machine-0815","devicename":"quills laptop"}`, l.LicenseKey)},
		{"PATCH /licenses/" + l.LicenseID, `{"notes":"plays the xylophone no more"}`},
		{"POST /licenses/" + l.LicenseID + "/suspend", `{"reason":"quill does not pay"}`},
		{"POST /licenses/" + l.LicenseID + "/reinstate", `{"reason":"quill has paid"}`},
		{"PATCH /licenses/" + l.LicenseID, `{"maxdevices":0,"leaseminutes":0}`},
	} {
		method, path, _ := strings.Cut(call[0], " ")
		send(fmt.Sprint(reference, n), method, path, call[1])
	}
	return l
}

// quillsTexts are the values, and what of them stays the same in base64, wherever in a text they begin.
func quillsTexts() (texts []string) {
	for _, value := range []string{
		"Zacharias", "zacharias", "Quill", "quill", "quills laptop", "xylophone", "does not pay", "has paid",
	} {
		texts = append(texts, value)
		for shift := range 3 {
			encoded := base64.RawStdEncoding.EncodeToString([]byte("~~"[:shift] + value))
			if inner := encoded[(shift*8+5)/6 : (shift+len(value))*8/6]; len(inner) >= 8 {
				texts = append(texts, inner)
			}
		}
	}
	return texts
}

// quillIn returns where the values are in the files of a folder.
func quillIn(t *testing.T, folder string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // it may have been replaced meanwhile
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		for _, text := range quillsTexts() {
			if strings.Contains(string(content), text) {
				found = append(found, fmt.Sprintf("%q in %s", text, filepath.Base(path)))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
