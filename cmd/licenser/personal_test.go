package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestNothingPersonalIsLogged: whatever the vendor, a product or a customer sends, right or wrong, no log record and no
// error has a value that is about a person. The license id is not.
func TestNothingPersonalIsLogged(t *testing.T) {
	s := start(t, t.TempDir(), "--checkpoint-interval", "50ms")
	const name, mail, notes = "Zacharias Quill", "zacharias@quill.example", "calls on Thursdays, xylophone"
	const reference, reason = "quill-order-1", "quill did not pay"
	const device, fingerprint = "quills-laptop", "quill-machine-id"
	personal := []string{"acharias", "uill", "xylophone", "quill"}
	answers := map[string]string{} // to what was wrong
	send := func(method, path, body string) string {
		status, text := s.call(method, path, body)
		if status >= 400 {
			answers[method+" "+path+" "+body] = text
		}
		return text
	}
	quoted := func(value any) string { text, _ := json.Marshal(value); return string(text) }
	draft := func(change map[string]any) string {
		fields := map[string]any{
			"customername": name, "email": mail, "notes": notes, "reference": reference,
			"expirationdate": "2100-01-01", "maxdevices": 1, "leaseminutes": 60,
		}
		for field, value := range change {
			fields[field] = value
		}
		return quoted(fields)
	}
	var issued struct{ LicenseID, LicenseKey string }
	err := json.Unmarshal([]byte(send("POST", "/licenses", draft(nil))), &issued)
	if err != nil || issued.LicenseKey == "" {
		t.Fatal(err, issued)
	}
	path, byReference := "/licenses/"+issued.LicenseID, "/licenses/ref:"+reference
	ask := func(route, device string) {
		send("POST", route, fmt.Sprintf(`{"licensekey":%q,"fingerprint":%q,"devicename":%q}`,
			issued.LicenseKey, fingerprint+device, device))
	}
	send("POST", "/licenses", draft(nil)) // the reference is taken
	send("POST", "/licenses", draft(map[string]any{"reference": "", "email": name}))
	send("POST", "/licenses", draft(map[string]any{"reference": strings.Repeat(name, 99)}))
	send("POST", "/licenses", draft(map[string]any{"reference": "other", "expirationdate": name}))
	send("POST", "/licenses", draft(nil)[1:])
	for _, list := range []string{"?name=", "?email=", "?customerid=", "?cursor=", "?status="} {
		send("GET", "/licenses"+list+url.QueryEscape(name), "")
	}
	send("GET", byReference, "")
	send("GET", "/licenses/ref:"+reference+"-unknown", "")
	send("GET", "/licenses/"+url.PathEscape(name), "")
	send("GET", "/plans/"+url.PathEscape(name), "")
	send("PATCH", path, quoted(map[string]any{"notes": notes + name}))
	ask("/verify-license", device)
	ask("/verify-license", device+"-two") // no seat is left
	ask("/list-devices", device)
	ask("/release-device", device)
	ask("/verify-license", strings.Repeat(device, 9))
	send("POST", "/verify-license", `{"licensekey":"`+name+`"}`)
	send("POST", path+"/suspend", quoted(map[string]any{"reason": reason}))
	send("POST", path+"/suspend", quoted(map[string]any{"reason": reason}))
	send("POST", path+"/revoke", quoted(map[string]any{"reason": strings.Repeat(reason, 999)}))
	send("POST", path+"/revoke", quoted(map[string]any{"reason": 1, "notes": notes}))
	send("POST", path+"/revoke", quoted(map[string]any{"reason": reason}))
	send("GET", path+"/audit", "")
	for _, erase := range []string{path, byReference, "/licenses/ref:" + reference + "-unknown"} {
		send("POST", erase+"/erase", quoted(map[string]any{"reason": "for " + name}))
	}
	send("POST", byReference+"/erase", quoted(map[string]any{"reason": "asked by letter"}))
	send("POST", byReference+"/erase", quoted(map[string]any{"reason": "asked by letter"})) // it leads nowhere
	send("PATCH", path, quoted(map[string]any{"notes": notes, "email": mail}))
	ask("/verify-license", device)
	s.call("DELETE", path, "")
	s.stop()

	if len(answers) < 15 {
		t.Errorf("only %d requests were wrong: %v", len(answers), answers)
	}
	for request, answer := range answers { // customers are told who holds their seats
		if strings.Contains(answer, `"DEVICE_LIMIT_REACHED"`) {
			answers[request] = strings.ReplaceAll(answer, device, "")
		}
	}
	for _, value := range personal {
		for line := range strings.Lines(s.stderr.String()) {
			if strings.Contains(line, value) {
				t.Errorf("%q is in the log: %s", value, line)
			}
		}
		for request, answer := range answers {
			if strings.Contains(answer, value) {
				t.Errorf("%q is in the error of %s: %s", value, request, answer)
			}
		}
	}
	if !strings.Contains(s.stderr.String(), issued.LicenseID) {
		t.Error("the log names no license, so that it may have been read too early")
	}
}
