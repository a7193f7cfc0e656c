package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

// staff is a browser that has opened the console's one-time link.
type staff struct {
	*testing.T
	http http.Client
	url  string // of the console, with a slash at its end
}

var oneTimeLink = regexp.MustCompile(`Console, for one browser, once: (http://\S+)`)

// link returns the one-time link that the server has printed first.
func (s *server) link() string {
	s.t.Helper()
	found := oneTimeLink.FindStringSubmatch(s.welcome)
	if found == nil || !strings.HasPrefix(s.welcome, found[0]) {
		s.t.Fatalf("the link is not the first that is printed:\n%s", s.welcome)
	}
	return found[1]
}

// open opens a link in a new browser.
func open(t *testing.T, link string) *staff {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	// openapi.yaml says nothing of the pages.
	b := &staff{T: t, http: http.Client{Jar: jar, Transport: &http.Transport{}}}
	b.url, _, _ = strings.Cut(link, "?")
	response, err := b.http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Request.URL.String() != b.url {
		t.Fatalf("the link has led to %s with %d", response.Request.URL, response.StatusCode)
	}
	return b
}

func (b *staff) send(r *http.Request, err error) (status int, text string, at *url.URL) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	response, err := b.http.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	return response.StatusCode, string(body), response.Request.URL
}

// get returns a page that is there.
func (b *staff) get(path string) string {
	b.Helper()
	status, text, _ := b.send(http.NewRequest(http.MethodGet, b.url+path, nil))
	if status != http.StatusOK {
		b.Fatalf("%s: %d\n%s", path, status, text)
	}
	return text
}

// post sends a form as it is on a page, with some fields filled in. It returns the page that follows.
func (b *staff) post(path string, fill url.Values) (status int, text string, at *url.URL) {
	b.Helper()
	values := url.Values{}
	if path != "search" {
		values = formOn(b.get(path))
	}
	for name, value := range fill {
		values[name] = value
	}
	r, err := http.NewRequest(http.MethodPost, b.url+path, strings.NewReader(values.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.send(r, err)
}

var (
	inputs    = regexp.MustCompile(`<input [^>]*name="([^"]+)"[^>]*>`)
	valueOfIt = regexp.MustCompile(` value="([^"]*)"`)
	textareas = regexp.MustCompile(`(?s)<textarea id="[^"]+" name="([^"]+)"[^>]*>\n(.*?)</textarea>`)
	selects   = regexp.MustCompile(`(?s)<select id="[^"]+" name="([^"]+)".*?</select>`)
	selected  = regexp.MustCompile(`<option value="([^"]*)" selected>`)
)

// formOn returns what the form on a page sends, as it is.
func formOn(text string) url.Values {
	values := url.Values{}
	for _, input := range inputs.FindAllStringSubmatch(text, -1) {
		if strings.Contains(input[0], `type="radio"`) && !strings.Contains(input[0], " checked") {
			continue
		}
		if value := valueOfIt.FindStringSubmatch(input[0]); value != nil {
			values.Set(input[1], html.UnescapeString(value[1]))
		}
	}
	for _, area := range textareas.FindAllStringSubmatch(text, -1) {
		values.Set(area[1], html.UnescapeString(strings.NewReplacer("\r\n", "\r\n", "\n", "\r\n").Replace(area[2])))
	}
	for _, choice := range selects.FindAllStringSubmatch(text, -1) {
		values.Set(choice[1], "")
		if option := selected.FindStringSubmatch(choice[0]); option != nil {
			values.Set(choice[1], html.UnescapeString(option[1]))
		}
	}
	return values
}

// TestConsoleIsClosed: the pages are for a browser that has opened the link, on this machine, and for no other page.
func TestConsoleIsClosed(t *testing.T) {
	s := start(t, t.TempDir())
	s.issueOne()
	link := s.link()
	b := open(t, link)
	cookies := b.http.Jar.Cookies(must(url.Parse(b.url)))
	if len(cookies) != 1 {
		t.Fatalf("cookies %v", cookies)
	}
	stranger := &staff{T: t, url: b.url, http: http.Client{Transport: &http.Transport{}}}
	for name, test := range map[string]struct {
		browser *staff
		change  func(*http.Request)
		method  string
		path    string
		status  int
	}{
		"OK":                  {b, nil, "GET", "licenses", 200},
		"no cookie":           {stranger, nil, "GET", "licenses", 403},
		"no cookie, a change": {stranger, nil, "POST", "issue", 403},
		"a made-up cookie": {stranger, func(r *http.Request) {
			r.AddCookie(&http.Cookie{Name: cookies[0].Name,
				Value: "A"})
		}, "GET", "", 403},
		"the link again, of the same browser": {b, func(r *http.Request) { r.URL = must(url.Parse(link)) }, "GET", "",
			403},
		"a cookie of another port first": {stranger, func(r *http.Request) {
			r.Header.Set("Cookie", cookies[0].Name+"=junk; "+cookies[0].String())
		}, "GET", "licenses", 200},
		"the link again": {stranger, func(r *http.Request) { r.URL = must(url.Parse(link)) }, "GET", "", 403},
		"a made-up link": {stranger, func(r *http.Request) { r.URL.RawQuery = "login=AAAA" }, "GET", "", 403},
		"rebound Host":   {b, func(r *http.Request) { r.Host = "attacker.example" }, "GET", "", 403},
		"through a proxy": {b, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, "GET", "",
			403},
		"foreign Origin": {b, func(r *http.Request) { r.Header.Set("Origin", "https://attacker.example") },
			"POST", "issue", 403},
		"foreign page": {b, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, "POST",
			"issue", 403},
		"page of a sister port": {b, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, "POST",
			"issue", 403},
		"the style sheet":   {stranger, nil, "GET", "style.css", 200},
		"another method":    {b, nil, "DELETE", "licenses", 404},
		"no such page":      {b, nil, "GET", "secrets", 404},
		"out of the folder": {b, nil, "GET", "../keys", 403}, // of the API, which knows no such route
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(test.method, b.url+test.path, strings.NewReader(""))
			if err == nil && test.change != nil {
				test.change(r)
			}
			status, text, _ := test.browser.send(r, err)
			if status != test.status {
				t.Errorf("%d, want %d\n%s", status, test.status, text)
			}
			if status == 403 && strings.Contains(text, "licenses/0") {
				t.Errorf("a license is told: %s", text)
			}
		})
	}
	if n := strings.Count(s.done("license", "list"), "\n") - 1; n != 1 {
		t.Errorf("%d licenses afterwards", n)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// TestConsoleHeaders: no page is framed, kept, or loads anything from elsewhere, and the cookie is for the console
// alone.
func TestConsoleHeaders(t *testing.T) {
	s := start(t, t.TempDir())
	link := s.link()
	client := http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	cookie := response.Header.Get("Set-Cookie")
	for _, want := range []string{"; Path=/console/", "; HttpOnly", "; SameSite=Strict"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %s has no %s", cookie, want)
		}
	}
	for _, at := range []string{link, s.url + "/console/", s.url + "/console/licenses"} {
		response, err := client.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
			"X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
				"form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", at, name, got)
			}
		}
	}
}

// TestConsoleHostilePages: what stands in a license is text on every page, and no key gets into an address or the log.
func TestConsoleHostilePages(t *testing.T) {
	s := start(t, t.TempDir())
	const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	body, err := json.Marshal(map[string]any{
		"customername": hostile, "expirationdate": "2099-01-31", "notes": hostile, "reference": hostile,
		"services": []license.Service{{Name: hostile, Value: hostile}}, "maxdevices": 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	status, text := s.call(http.MethodPost, "/licenses", string(body))
	var l vendorapi.License
	if err := json.Unmarshal([]byte(text), &l); status != http.StatusCreated || err != nil {
		t.Fatal(status, text, err)
	}
	s.done("license", "token", l.LicenseID, "--fingerprint", "a-computer", "--device-name", `<b onclick="x">`)
	s.done("license", "suspend", l.LicenseID, "--reason", hostile)
	s.trail(l.LicenseID, 2)
	b := open(t, s.link())
	for _, path := range []string{
		"", "licenses", "licenses/" + l.LicenseID, "licenses/" + l.LicenseID + "/edit",
		"licenses/" + l.LicenseID + "/do/revoke", "licenses?customername=" + url.QueryEscape(hostile),
		"licenses/" + l.LicenseID + "/do/release-device?device=" + url.QueryEscape(hostile),
		"issue?plan=" + url.QueryEscape(hostile),
	} {
		page := b.get(path)
		if strings.Contains(page, "<script>") || strings.Contains(page, "<img") || strings.Contains(page,
			"<b onclick") {
			t.Errorf("%s has markup of the license:\n%s", path, page)
		}
	}
	for _, key := range []string{l.LicenseKey, l.ShortKey, strings.ToLower(l.ShortKey)} {
		status, _, at := b.post("search", url.Values{"text": {key}})
		if status != http.StatusOK || !strings.HasSuffix(at.Path, "/licenses/"+l.LicenseID) {
			t.Errorf("searched for a key: %d at %s", status, at)
		}
		if strings.Contains(at.String(), key) {
			t.Errorf("the key is in the address %s", at)
		}
	}
	s.stop()
	log := s.stderr.String()
	if strings.Contains(log, l.ShortKey) || strings.Contains(log, l.LicenseKey) || strings.Contains(log, "login=") {
		t.Error("a key or a link is in the log")
	}
}

// TestConsoleDay: issue from a plan, find, change, renew, suspend, reinstate, take a device back, revoke, delete.
func TestConsoleDay(t *testing.T) {
	s := start(t, t.TempDir())
	b := open(t, s.link())
	if home := b.get(""); !strings.Contains(home, "There are no licenses") {
		t.Errorf("an empty service: %s", home)
	}
	wants := func(what string, status int, text string, fragments ...string) {
		t.Helper()
		for _, want := range fragments {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %d, no %q in\n%s", what, status, want, text)
			}
		}
	}
	status, text, _ := b.post("new-plan", url.Values{"plan": {"pro"}, "durationdays": {"x"}, "services": {"Reports"}})
	wants("a wrong plan", status, text, "must be a whole number", "line 1 must be a name, = and a value",
		"<title>Error: New plan", `<a href="#services">Services</a>`)
	status, text, _ = b.post("new-plan", url.Values{
		"plan": {"pro"}, "durationdays": {"20"}, "services": {"Reports = reports\r\nExport=export"},
		"maxdevices": {"2"},
	})
	wants("a plan", status, text, ">pro</a>", "Reports, Export")
	status, text, _ = b.post("new-plan", url.Values{"plan": {"pro"}})
	wants("the same plan", status, text, "is the name of a plan already")

	status, text, _ = b.post("issue", url.Values{"plan": {"pro"}, "email": {"nobody"}})
	wants("a wrong license", status, text, "is required and must not be blank", "must be an e-mail address",
		`value="nobody"`,
		`aria-invalid="true"`, `<option value="pro" selected>`)
	status, text, at := b.post("issue", url.Values{"plan": {"pro"}, "customername": {"Example Ltd"},
		"reference": {"order 4711"}})
	wants("a license", status, text, "The license is issued", "your license key", "Your reference: order 4711",
		"Reports")
	id := strings.TrimPrefix(at.Path, "/console/licenses/")
	var l vendorapi.License
	get := func() vendorapi.License {
		t.Helper()
		l = vendorapi.License{}
		s.get("/licenses/"+id, &l)
		return l
	}
	if get(); l.Plan != "pro" || l.MaxDevices != 2 {
		t.Fatalf("issued %+v", l)
	}
	for _, text := range []string{"order 4711", "example", id, "EXAMPLE LTD"} {
		status, page, _ := b.post("search", url.Values{"text": {text}})
		wants("search for "+text, status, page, "Example Ltd")
	}
	wants("home", 200, b.get(""), "Ends in the next 30 days", "in 20 days")

	edit := "licenses/" + id + "/edit"
	before := l
	if status, _, _ := b.post(edit, nil); status != 200 || get().Version != before.Version {
		t.Errorf("saving nothing: %d, version %d", status, l.Version)
	}
	b.post(edit, url.Values{"appurls": {"https://a.example.com\r\nhttps://b.example.com\r\n"},
		"notes":      {"two\r\nlines"},
		"maxdevices": {""}, "email": {"a@example.com"}, "reason": {"asked for"}})
	if get(); len(must(l.AppURLList())) != 2 || l.Notes != "two\r\nlines" && l.Notes != "two\nlines" ||
		l.MaxDevices != 0 ||
		l.Email != "a@example.com" || l.ChangeReason != "asked for" || len(must(l.ServiceList())) != 2 {
		t.Errorf("changed to %+v", l)
	}
	status, text, _ = b.post(edit, url.Values{"appurls": {"https://a.example.com\r\nnonsense"},
		"customername": {"Renamed"}})
	wants("a wrong URL", status, text, "line 2 ", `value="Renamed"`)
	stale := formOn(b.get(edit))
	s.done("license", "change", id, "--notes", "of somebody else")
	stale.Set("notes", "mine")
	r, err := http.NewRequest(http.MethodPost, b.url+edit, strings.NewReader(stale.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, text, _ = b.send(r, nil)
	wants("a stale form", status, text, "Somebody else has changed it")
	if status != http.StatusPreconditionFailed || get().Notes != "of somebody else" {
		t.Errorf("a stale form: %d, notes %q", status, l.Notes)
	}

	do := func(action string, fill url.Values) string {
		t.Helper()
		status, text, _ := b.post("licenses/"+id+"/do/"+action, fill)
		if status != http.StatusOK {
			t.Errorf("%s: %d\n%s", action, status, text)
		}
		return text
	}
	do("renew", url.Values{"reason": {"paid"}})
	if end := time.Now().AddDate(1, 0, 20); get().ExpirationDate.Sub(end).Abs() > 49*time.Hour {
		t.Errorf("renewed until %v", l.ExpirationDate)
	}
	do("renew", url.Values{"until": {"date"}, "expirationdate": {"2099-12-31"}})
	if get(); license.FormatDate(l.ExpirationDate.Time) != "2099-12-31T23:59:59.999Z" {
		t.Errorf("renewed until %v", l.ExpirationDate)
	}
	status, text, _ = b.post("licenses/"+id+"/do/renew", url.Values{"until": {"date"},
		"expirationdate": {"2020-01-01"}})
	wants("an earlier end", status, text, "must lie in the future")
	do("plan", url.Values{"plan": {"pro"}})
	if get().MaxDevices != 2 {
		t.Errorf("after the plan %+v", l)
	}
	s.done("license", "token", id, "--fingerprint", "first-computer", "--device-name", "Office PC")
	device := regexp.MustCompile(`do/release-device\?device=([\w-]+)`).FindStringSubmatch(b.get("licenses/" + id))
	if device == nil {
		t.Fatal("no device is shown")
	}
	status, text, _ = b.post("licenses/"+id+"/do/release-device?device="+device[1], url.Values{"reason": {"sold"}})
	wants("a device taken back", status, text, "0 of 2 seats", "The device holds no seat.")
	kid := regexp.MustCompile(`<option value="([\w-]{43})"`).FindStringSubmatch(b.get("licenses/" + id + "/do/pin"))
	do("pin", url.Values{"tokenkeyid": {kid[1]}})
	if get().TokenKeyID != kid[1] {
		t.Errorf("pinned to %q", l.TokenKeyID)
	}
	wants("suspended", 200, do("suspend", url.Values{"reason": {"unpaid"}}), "is stopped until it is reinstated",
		"unpaid")
	wants("reinstated", 200, do("reinstate", url.Values{"reason": {"paid"}}), "can be used")
	status, text, _ = b.post("licenses/"+id+"/do/reset-devices", nil)
	wants("without a reason", status, text, "reason", "is required")
	do("reset-devices", url.Values{"reason": {"replaced"}})
	wants("revoked", 200, do("revoke", url.Values{"reason": {"contract ended"}}), "was ended for good")
	s.trail(id, 11)
	wants("the history", 200, b.get("licenses/"+id), "Revoked", "contract ended", "Devices reset", "<del>", "Notes: ")
	status, text, _ = b.post("licenses/"+id+"/do/erase", url.Values{"reason": {"for " + *get().CustomerName}})
	wants("an erasure that names the customer", status, text, "must not tell", "nobody can take that back")
	wants("erased", 200, do("erase", url.Values{"reason": {"asked by letter"}}), "The license is erased.",
		"what it told about the customer is gone", "<h1>erased</h1>")
	if get(); l.Erased == "" || l.Email != "" || l.Notes != "" || *l.CustomerName != "erased" {
		t.Errorf("erased: %+v", l)
	}
	if form := b.get(edit); strings.Contains(form, `name="customername"`) || strings.Contains(form, `name="notes"`) ||
		!strings.Contains(form, `name="gracedays"`) {
		t.Errorf("the form of an erased license: %s", form)
	}
	b.post(edit, url.Values{"gracedays": {"3"}})
	if get(); l.GraceDays == nil || *l.GraceDays != 3 {
		t.Errorf("changed to %+v", l)
	}
	do("delete", url.Values{"reason": {"a test"}})
	if status, _ := s.call(http.MethodGet, "/licenses/"+id, ""); status != http.StatusNotFound {
		t.Errorf("the license that was deleted: %d", status)
	}
	status, text, _ = b.post("plans/pro/delete", nil)
	wants("the plan is gone", status, text, "There are no plans yet")
	wants("the trail", 200, b.get("audit"), "licenser audit verify --all --checkpoint")
}

// TestIssueTwice: a form that is sent twice issues one license.
func TestIssueTwice(t *testing.T) {
	s := start(t, t.TempDir())
	b := open(t, s.link())
	form := formOn(b.get("issue"))
	form.Set("customername", "Example Ltd")
	form.Set("expirationdate", "never")
	var ids []string
	for range 2 {
		r, err := http.NewRequest(http.MethodPost, b.url+"issue", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		_, _, at := b.send(r, nil)
		ids = append(ids, at.Path)
	}
	if n := strings.Count(s.done("license", "list"), "\n") - 1; n != 1 || ids[0] != ids[1] {
		t.Errorf("%d licenses, shown at %v", n, ids)
	}
}

// TestConsoleCommand: the console of its own works on the API that it is told, and says which permission is missing.
func TestConsoleCommand(t *testing.T) {
	s := start(t, t.TempDir())
	s.issueOne()
	denied := false
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if denied && r.Method == http.MethodPost {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"message":"User is not authorized"}`)
			return
		}
		forward(w, r, s.url)
	}))
	defer front.Close()
	command := exec.Command(binary, "console", "--api", front.URL)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer command.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	found := oneTimeLink.FindStringSubmatch(line)
	if err != nil || found == nil {
		t.Fatalf("printed %q, %v", line, err)
	}
	b := open(t, found[1])
	var l vendorapi.License
	s.get("/licenses/ref:one", &l)
	if text := b.get("licenses/" + l.LicenseID); !strings.Contains(text, "License key") {
		t.Errorf("the license: %s", text)
	}
	for _, host := range []string{"attacker.example", "0.0.0.0", "localhost.", "127.0.0.1.attacker.example:80"} {
		r, err := http.NewRequest(http.MethodGet, b.url+"licenses", nil)
		if err == nil {
			r.Host = host
		}
		if status, _, _ := b.send(r, err); status != http.StatusForbidden {
			t.Errorf("as %s: %d", host, status)
		}
	}
	denied = true
	status, text, _ := b.post("licenses/"+l.LicenseID+"/do/suspend", nil)
	if want := "execute-api:Invoke on POST /licenses/" + l.LicenseID + "/suspend"; status != http.StatusForbidden ||
		!strings.Contains(text, want) {
		t.Errorf("without the permission: %d\n%s", status, text)
	}
	front.Close()
	status, text, _ = b.send(http.NewRequest(http.MethodGet, b.url+"plans", nil))
	if status != http.StatusBadGateway || !strings.Contains(text, "cannot be reached") {
		t.Errorf("without the service: %d\n%s", status, text)
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
	if o := s.program("console", "--listen", "0.0.0.0:0"); o.code != exitUsage || !strings.Contains(o.err,
		"127.0.0.1") {
		t.Errorf("open to all: %d %s", o.code, o.err)
	}
}

// TestManyAndOdd: pages of a list lead to all licenses, and a record that cannot be understood is shown for repair.
func TestManyAndOdd(t *testing.T) {
	data := newDataFolder(t, foreignRecord(1, map[string]any{"expirationdate": "soon", "services": `[{"odd":1}]`}))
	s := start(t, data)
	for i := range 60 {
		body := fmt.Sprintf(`{"customername":"Customer %02d","expirationdate":"2099-01-31"}`, i)
		if status, text := s.call(http.MethodPost, "/licenses", body); status != http.StatusCreated {
			t.Fatal(status, text)
		}
	}
	b := open(t, s.link())
	seen := map[string]bool{}
	pages := 0
	for path := "licenses"; path != ""; pages++ {
		text := b.get(path)
		for _, found := range regexp.MustCompile(`/console/licenses/([\w-]{36})"`).FindAllStringSubmatch(text, -1) {
			seen[found[1]] = true
		}
		next := regexp.MustCompile(`rel="next" href="/console/([^"]+)"`).FindStringSubmatch(text)
		path = ""
		if next != nil {
			path = html.UnescapeString(next[1])
		}
	}
	if len(seen) < 60 || pages != 2 {
		t.Errorf("%d licenses on %d pages", len(seen), pages)
	}
	var home string
	for range 100 { // the change feed gives the record its index attributes
		if home = b.get(""); strings.Contains(home, "Needs repair") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	id := "d5b35ffa-af15-44b7-9de0-000000000001"
	if !strings.Contains(home, "Needs repair") || !strings.Contains(home, id) {
		t.Errorf("home: %s", home)
	}
	if text := b.get("licenses/" + id); !strings.Contains(text, "expirationdate must be") || !strings.Contains(text,
		"odd") {
		t.Errorf("the odd one: %s", text)
	}
	if form := formOn(b.get("licenses/" + id + "/edit")); form.Has("services") {
		t.Error("a list of another tool can be edited, and what is not understood would be lost")
	}
	b.post("licenses/"+id+"/edit", url.Values{"expirationdate": {"2099-01-31"}})
	if text := b.get("licenses/" + id); !strings.Contains(text, "can be used") && !strings.Contains(text,
		"needs repair") {
		t.Errorf("repaired: %s", text)
	}
	for _, query := range []string{"status=lost", "expiringbefore=tomorrow", "cursor=x"} {
		status, text, _ := b.send(http.NewRequest(http.MethodGet, b.url+"licenses?"+query, nil))
		if status != http.StatusBadRequest || !strings.Contains(text, "must be") && !strings.Contains(text, "cursor") {
			t.Errorf("%s: %d\n%s", query, status, text)
		}
	}
}

// sent sends a form that was filled in before.
func (b *staff) sent(path string, form url.Values) (status int, text string) {
	b.Helper()
	r, err := http.NewRequest(http.MethodPost, b.url+path, strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	status, text, _ = b.send(r, err)
	return status, text
}

// TestFormsOfAnotherState: a form counts for the state of the license that it was made for, and once.
func TestFormsOfAnotherState(t *testing.T) {
	s := start(t, t.TempDir())
	s.issueOne("--max-devices", "1")
	var l vendorapi.License
	s.get("/licenses/ref:one", &l)
	b := open(t, s.link())
	at := "licenses/" + l.LicenseID + "/do/"
	renew := formOn(b.get(at + "renew"))
	for range 2 {
		if status, text := b.sent(at+"renew", renew); status != http.StatusOK {
			t.Errorf("renew: %d %s", status, text)
		}
	}
	s.get("/licenses/ref:one", &l)
	if l.Version != 2 || l.ExpirationDate.Year() != 2100 {
		t.Errorf("sent twice: version %d, until %v", l.Version, l.ExpirationDate)
	}
	forms := map[string]url.Values{}
	for _, action := range []string{"renew", "suspend", "reinstate", "revoke", "reset-devices", "plan", "pin",
		"delete", "erase"} {
		forms[action] = formOn(b.get(at + action))
		forms[action].Set("reason", "x")
	}
	s.done("license", "change", "one", "--notes", "of somebody else")
	for action, form := range forms {
		status, text := b.sent(at+action, form)
		if status != http.StatusPreconditionFailed || !strings.Contains(text, "Somebody else has changed it") ||
			!strings.Contains(text, "To the license") {
			t.Errorf("%s of another state: %d %s", action, status, text)
		}
	}
	if s.get("/licenses/ref:one", &l); l.Version != 3 {
		t.Errorf("version %d", l.Version)
	}
	form := formOn(b.get(at + "renew"))
	form.Set("expirationdate", "2150-01-31")
	if status, text := b.sent(at+"renew", form); status != http.StatusBadRequest || !strings.Contains(text,
		"choose one") {
		t.Errorf("a date beside another choice: %d %s", status, text)
	}
	for _, path := range []string{at + "release-device", at + "nothing"} {
		if status, _, _ := b.send(http.NewRequest(http.MethodGet, b.url+path, nil)); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _ := b.sent(at+"release-device", url.Values{"device": {" "}, "reason": {"x"}}); status == http.StatusOK {
		t.Error("no device, and it was given back")
	}
	if status, _ := b.sent("plans/none", url.Values{"durationdays": {"1"}}); status != http.StatusNotFound {
		t.Errorf("a plan that is not there: %d", status)
	}
}

// TestFormsKeepWhatTheyShow: saving a form of which one field was changed changes that field alone, whatever the others
// hold.
func TestFormsKeepWhatTheyShow(t *testing.T) {
	data := newDataFolder(t, foreignRecord(1, map[string]any{"customername": "two\nlines"}))
	s := start(t, data)
	services := `[{"serviceName":"Seats","serviceValue":"seats=5"},{"serviceName":"A = b","serviceValue":"c"}]`
	status, text := s.call(http.MethodPost, "/licenses",
		`{"customername":"  spaced ","expirationdate":"2099-01-31T12:00:00Z",`+
			`"reference":"one","services":`+services+`,"notes":"a\r\nb\r\n"}`)
	if status != http.StatusCreated {
		t.Fatal(status, text)
	}
	b := open(t, s.link())
	for _, id := range []string{"ref:one", "d5b35ffa-af15-44b7-9de0-000000000001"} {
		var before, after vendorapi.License
		s.get("/licenses/"+id, &before)
		form := formOn(b.get("licenses/" + before.LicenseID + "/edit"))
		form.Set("customername", strings.NewReplacer("\n", "").Replace(form.Get("customername"))) // as a browser does
		form.Set("email", "a@example.com")
		if status, text := b.sent("licenses/"+before.LicenseID+"/edit", form); status != http.StatusOK {
			t.Fatal(status, text)
		}
		s.get("/licenses/"+id, &after)
		if after.Email != "a@example.com" || string(after.Services) != string(before.Services) ||
			after.Notes != before.Notes ||
			*after.CustomerName != *before.CustomerName || after.ExpirationDate != before.ExpirationDate {
			t.Errorf("%s: changed to %+v", id, after)
		}
	}
	s.done("license", "change", "one", "--clear-services", "--service", "Seats=seats")
	var l vendorapi.License
	s.get("/licenses/ref:one", &l)
	b.post("licenses/"+l.LicenseID+"/edit", url.Values{"services": {"Seats = seats=5\r\nMore=more"}})
	s.get("/licenses/ref:one", &l)
	if servicesForPeople(l) != "Seats=seats=5, More=more" {
		t.Errorf("edited to %s", l.Services)
	}
}

// TestServeAnywhere: the server starts on an address of the network, without a console there, and on all addresses with
// one.
func TestServeAnywhere(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	token := writeToken(t, testToken, 0o600)
	for _, address := range addresses {
		network, isNetwork := address.(*net.IPNet)
		if !isNetwork || network.IP.IsLoopback() || network.IP.To4() == nil {
			continue
		}
		s := start(t, t.TempDir(), "--listen", network.IP.String()+":0", "--vendor-token-file", token)
		if strings.Contains(s.welcome, "Console") {
			t.Errorf("a link that nobody can open: %s", s.welcome)
		}
		s.stop()
	}
	s := start(t, t.TempDir(), "--listen", "0.0.0.0:0", "--vendor-token-file", token)
	if home := open(t, s.link()).get(""); !strings.Contains(home, "There are no licenses") {
		t.Errorf("on all addresses: %s", home)
	}
}

// behind starts a console of its own on an API behind a front that may answer by itself.
func (s *server) behind(answer func(w http.ResponseWriter, r *http.Request) bool) *staff {
	s.t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answer(w, r) {
			forward(w, r, s.url)
		}
	}))
	s.t.Cleanup(front.Close)
	command := exec.Command(binary, "console", "--api", front.URL)
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { command.Process.Kill(); command.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	found := oneTimeLink.FindStringSubmatch(line)
	if err != nil || found == nil {
		s.t.Fatalf("printed %q, %v", line, err)
	}
	return open(s.t, found[1])
}

// TestConsoleOfParts: what the service does not give is left out, and said; the rest is there.
func TestConsoleOfParts(t *testing.T) {
	s := start(t, t.TempDir(), "--checkpoint-interval", "100ms")
	s.issueOne("--email", "a@example.com")
	var l vendorapi.License
	s.get("/licenses/ref:one", &l)
	for range 200 {
		if status, _ := s.call(http.MethodGet, "/licenses/"+l.LicenseID+"/audit/proof", ""); status == http.StatusOK {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	refused, status, tampered := "", http.StatusForbidden, false
	b := s.behind(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case refused != "" && strings.HasSuffix(r.URL.Path, refused):
			w.WriteHeader(status)
			io.WriteString(w, `{"message":"no"}`)
			return true
		case tampered && strings.HasSuffix(r.URL.Path, "/proof"):
			io.WriteString(w, `{"checkpoint":"forged","index":0,"leaf":"","hashes":[]}`)
			return true
		}
		return false
	})
	page := "licenses/" + l.LicenseID
	if text := b.get(page); !strings.Contains(text, "Signed up to entry 1 by checkpoint") {
		t.Errorf("the signed license: %s", text)
	}
	for _, part := range []string{"/key", "/audit", "/proof"} {
		for _, status = range []int{http.StatusForbidden, http.StatusInternalServerError} {
			refused = part
			text := b.get(page)
			if !strings.Contains(text, "What it allows") || part == "/key" && strings.Contains(text,
				"thank you for your order") ||
				status == http.StatusForbidden && !strings.Contains(text, "execute-api:Invoke on GET") {
				t.Errorf("without %s, %d: %s", part, status, text)
			}
		}
	}
	refused, status = "/licenses", http.StatusForbidden
	if text := b.get(""); !strings.Contains(text, `id="search"`) || !strings.Contains(text,
		"execute-api:Invoke on GET /licenses") {
		t.Errorf("without the lists: %s", text)
	}
	refused = "/plans"
	if text := b.get("issue"); !strings.Contains(text, "none: by hand") {
		t.Errorf("without the plans: %s", text)
	}
	refused, tampered = "", true
	if text := b.get(page); !strings.Contains(text, "does not match what was signed") || !strings.Contains(text,
		"Issued") {
		t.Errorf("with another proof: %s", text)
	}
	status, text, at := b.post("search", url.Values{"text": {"A@example.com"}})
	if status != http.StatusOK || at.Query().Get("email") != "A@example.com" || !strings.Contains(text, page) {
		t.Errorf("searched for an address: %d at %s", status, at)
	}
}

// TestConsoleSignedOut: staff whose sign-in has ended are told what to do.
func TestConsoleSignedOut(t *testing.T) {
	s := start(t, t.TempDir())
	b := s.behind(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"message":"The security token included in the request is expired"}`)
		return true
	})
	status, text, _ := b.send(http.NewRequest(http.MethodGet, b.url+"plans", nil))
	if status != http.StatusForbidden || !strings.Contains(text, "aws sso login") {
		t.Errorf("%d %s", status, text)
	}
}
