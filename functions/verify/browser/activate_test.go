package browser_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"openlicenser/shared/testing/browsertest"
)

// The text that a product shows, and what the page asks for with it.
const (
	shownKey  = `TJPN7Y-NF2M8B-QXK4ZB-DW31AD-V2TQ0C-9HMSX5-PK7E8R`
	shown     = `{"licensekey":"` + shownKey + `","fingerprint":"{4C4C-0031} disk","leaseminutes":43200}`
	shownAsks = `verify-license ` + shown
)

// licenseToken is a token as far as the page reads it.
var licenseToken = "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(
	`{"licenseid":"d5b35ffa-af15-44b7-9de0-5b1b6dc4daec","exp":1798754400}`)) + ".c2lnbmF0dXJl"

// Two devices hold all seats.
const devices = `"limit":2,"devices":[` +
	`{"id":"aaaaaaaaaaaaaaaaaaaaaa","name":"Office PC",` +
	`"since":"2026-11-02T08:00:00Z","until":"2027-01-31T23:30:00Z"},` +
	`{"id":"bbbbbbbbbbbbbbbbbbbbbb","name":"","since":"2026-11-20T10:15:00Z","until":"2026-12-20T10:15:00Z"}]`

var (
	granted    = answer{status: 200, body: `{"message":"` + licenseToken + `"}`}
	noRoom     = answer{status: 400, body: `{"error":"DEVICE_LIMIT_REACHED",` + devices + `}`}
	twoDevices = answer{status: 200, body: `{` + devices + `}`}
	oneDevice  = answer{status: 200, body: `{"limit":2,"devices":[` +
		`{"id":"bbbbbbbbbbbbbbbbbbbbbb","name":"","since":"2026-11-20T10:15:00Z","until":"2026-12-20T10:15:00Z"}]}`}
	unlimited = answer{status: 200, body: `{"limit":null,"devices":[]}`}
	released  = answer{status: 204}
)

func refusal(code string) answer { return answer{status: 400, body: `{"error":"` + code + `"}`} }

// What is clicked.
const (
	getFile     = "#file-form button"
	showDevices = "#devices-form button"
	giveBack    = "li button"
	confirmed   = "#confirm-yes"
)

func TestActivate(t *testing.T) {
	ctx := browsertest.Start(t)
	for name, test := range map[string]func(t *testing.T, ctx context.Context){
		"a text becomes a file":      testFile,
		"forms of the text":          testForms,
		"corrected before it asks":   testCorrections,
		"a link":                     testLink,
		"no room":                    testNoRoom,
		"devices":                    testDevices,
		"what is said at each error": testErrors,
		"trouble":                    testTrouble,
		"the keyboard alone":         testKeyboard,
		"markup is text":             testMarkup,
		"screens":                    testScreens,
		"without a script":           testWithoutScript,
		"the policy is in force":     testPolicy,
		"accessibility":              testAccessibility,
		"the service itself":         testService,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, ctx)
		})
	}
}

func testFile(t *testing.T, ctx context.Context) {
	p := open(t, ctx)
	p.prepare("verify-license", granted)
	p.Paste("#request", shown)
	p.WaitText("#days-hint", "The product asks for 30 days.")
	p.Click(getFile)
	p.WaitText("#file-result", "The license file is ready")
	p.wantFocus("The license file is ready")
	p.wantAsked(shownAsks)
	// The end in the zone of the browser, Asia/Tokyo, and in UTC.
	end := run[string](p, `document.querySelector('#file-result time').innerText`)
	if !strings.Contains(end, "Jan 1, 2027") || !strings.Contains(end, "7:00") {
		t.Errorf("the end is shown as %q", end)
	}
	if title := run[string](p, `document.querySelector('#file-result time').title`); title != "2026-12-31 22:00 UTC" {
		t.Errorf("the end's title is %q", title)
	}
	if text := run[string](p, `document.querySelector('#file-text').value`); text != licenseToken {
		t.Errorf("the text is %q", text)
	}
	p.Click("#file-result a")
	if name, text := p.download(); name != "license-d5b35ffa.lic" || text != licenseToken {
		t.Errorf("%s holds %q", name, text)
	}
	p.Click("#file-result button")
	if selected := run[string](p, `String(getSelection())`); selected != licenseToken {
		t.Errorf("selected is %q", selected)
	}
	kept := run[string](p,
		`JSON.stringify([document.cookie, localStorage.length, sessionStorage.length, location.href])`)
	if want := fmt.Sprintf(`["",0,0,%q]`, p.url); kept != want {
		t.Errorf("the page keeps %s, want %s", kept, want)
	}
}

// testForms: the same request, however the text comes.
func testForms(t *testing.T, ctx context.Context) {
	for name, test := range map[string]struct{ text, days, device, want string }{
		"as it is":     {text: shown},
		"over lines":   {text: strings.NewReplacer(`{"`, "{\n  \"", `,`, ",\n  ", `0}`, "0\n}\n").Replace(shown)},
		"lines broken": {text: strings.ReplaceAll(strings.ReplaceAll(shown, "QXK4", "QX\r\nK4"), "0031", "00\n31")},
		"in a mail":    {text: "Dear {support},\nhere it is: " + shown + "\nThanks {very much}"},
		"typographic":  {text: "\ufeff" + strings.NewReplacer(`"`, "\u201d", `:`, ":\u00a0").Replace(shown)},
		"a link":       {text: "https://licenses.example.com/activate#" + escaped(shown)},
		"shorter": {
			text: shown, days: "7",
			want: strings.Replace(shown, "43200", "10080", 1),
		},
		"not longer": {text: shown, days: "31"},
		"with a name": {
			text: shown, device: "Lab 3",
			want: strings.Replace(shown, `,"lease`, `,"devicename":"Lab 3","lease`, 1),
		},
		"named by the product": {
			text: strings.Replace(shown, `{"l`, `{"devicename":"Lab 3","l`, 1),
			want: strings.Replace(shown, `,"lease`, `,"devicename":"Lab 3","lease`, 1),
		},
		"no length": {
			text: `{"licensekey":"a.b.c","fingerprint":"12345678"}`,
			want: `{"licensekey":"a.b.c","fingerprint":"12345678"}`,
		},
		"no length, but days": {
			text: `{"licensekey":"a.b.c","fingerprint":"12345678"}`, days: "2",
			want: `{"licensekey":"a.b.c","fingerprint":"12345678","leaseminutes":2880}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, ctx)
			p.prepare("verify-license", granted)
			p.Paste("#request", test.text)
			p.Paste("#days", test.days)
			if test.device != "" {
				p.Paste("#name", test.device)
			}
			p.Click(getFile)
			p.WaitText("#file-result", "ready")
			if test.want == "" {
				test.want = shown
			}
			p.wantAsked("verify-license " + test.want)
		})
	}
}

// escaped encodes a text for a fragment.
func escaped(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// testCorrections: what can be seen to be wrong is not asked for.
func testCorrections(t *testing.T, ctx context.Context) {
	p := open(t, ctx)
	for _, test := range []struct{ text, days, name, field, says string }{
		{"", "", "", "request", "This is not the text"},
		{shownKey, "", "", "request", "This is not the text"},
		{shown[:len(shown)-1], "", "", "request", "This is not the text"},
		{`{"licensekey":7}`, "", "", "request", "This is not the text"},
		{shown, "0", "", "days", "whole number"},
		{shown, "1.5", "", "days", "whole number"},
		{shown, "", strings.Repeat("ä", 17), "name", "too long"},
	} {
		p.Paste("#request", test.text)
		p.Paste("#days", test.days)
		p.Paste("#name", test.name)
		p.Click(getFile)
		p.WaitText("#file-status", test.says)
		p.wantFocus(test.field)
		marked := run[string](p, `[...document.querySelectorAll('[aria-invalid=true]')].map((f) => f.id).join()`)
		if marked != test.field {
			t.Errorf("%v: marked are %q", test, marked)
		}
	}
	p.Click(showDevices)
	p.WaitText("#devices-status", "Paste your license key.")
	p.wantFocus("key")
	p.wantAsked()
}

// testLink: the text comes in the fragment, leaves the address bar, and nothing is asked before the button is pressed.
func testLink(t *testing.T, ctx context.Context) {
	p := newPage(t, ctx)
	p.Go(p.url + "#" + escaped(shown))
	if address := run[string](p, `location.href`); address != p.url {
		t.Errorf("the address is %s", address)
	}
	if text := run[string](p, `document.querySelector('#request').value`); text != shown {
		t.Errorf("the text is %s", text)
	}
	p.wantFocus("Get the license file")
	p.wantAsked()

	other := strings.Replace(shown, "43200", "1440", 1)
	run[bool](p, `location.hash = `+browsertest.Quote(escaped(other))+`, true`)
	p.WaitText("#days-hint", "The product asks for 1 day.")
	if address := run[string](p, `location.href`); address != p.url {
		t.Errorf("after the second link the address is %s", address)
	}
	p.wantAsked()
	p.prepare("verify-license", granted)
	p.Key(kb.Enter)
	p.WaitText("#file-result", "ready")
	p.wantAsked("verify-license " + other)
}

// testNoRoom: a device is given back, and then the same file is asked for again.
func testNoRoom(t *testing.T, ctx context.Context) {
	p := open(t, ctx)
	p.Size(760, 740)
	p.prepare("verify-license", noRoom)
	p.Paste("#request", shown)
	p.Click(getFile)
	p.WaitText("#file-status", "Give one of them back")
	p.WaitText("#file-result", "2 of 2 devices")
	p.wantAsked(shownAsks)
	p.picture("activate") // docs/activate.png

	p.Click(giveBack)
	p.WaitText("#confirm", "Give back “Office PC”?")
	p.WaitText("#confirm", "goes on until Feb 1, 2027")
	p.WaitText("#confirm", "At most 3 devices")
	p.Click("#confirm-no")
	p.Wait(`!document.querySelector('#confirm').open`)
	p.wantAsked()

	p.prepare("release-device", refusal("RELEASE_LIMIT_REACHED"))
	p.Click(giveBack)
	p.Click(confirmed)
	p.WaitText("#file-status", "No more devices can be given back for now")
	p.WaitText("#file-result", "Office PC")
	p.wantAsked(`release-device {"licensekey":"` + shownKey + `","device":"aaaaaaaaaaaaaaaaaaaaaa"}`)

	p.Paste("#request", "something else") // which the list is not of
	p.prepare("release-device", released)
	p.prepare("verify-license", granted)
	p.Click(giveBack)
	p.Click(confirmed)
	p.WaitText("#file-result", "ready")
	p.WaitText("#file-status", "“Office PC” was given back.")
	p.wantAsked(`release-device {"licensekey":"`+shownKey+`","device":"aaaaaaaaaaaaaaaaaaaaaa"}`, shownAsks)
}

func testDevices(t *testing.T, ctx context.Context) {
	p := open(t, ctx)
	p.prepare("list-devices", twoDevices)
	p.Paste("#key", " XXXXXX-XXXXXX \n")
	p.Key(kb.Enter)
	p.WaitText("#devices-result", "2 of 2 devices")
	p.wantAsked(`list-devices {"licensekey":"XXXXXX-XXXXXX"}`)
	p.WaitText("#devices-result", "since Nov 2, 2026, 5:00 PM, until Feb 1, 2027, 8:30 AM")
	p.WaitText("#devices-result", "Device bbbbbbbb, without a name")
	title := run[string](p, `document.querySelector('#devices-result time').title`)
	if title != "2026-11-02 08:00 UTC" {
		t.Errorf("the title is %q", title)
	}

	p.prepare("release-device", released)
	p.prepare("list-devices", oneDevice)
	p.Click(giveBack)
	p.Click(confirmed)
	p.WaitText("#devices-result", "1 of 2 devices")
	p.WaitText("#devices-status", "“Office PC” was given back.")
	p.wantFocus("1 of 2 devices")
	p.wantAsked(`release-device {"licensekey":"XXXXXX-XXXXXX","device":"aaaaaaaaaaaaaaaaaaaaaa"}`,
		`list-devices {"licensekey":"XXXXXX-XXXXXX"}`)

	p.prepare("list-devices", unlimited)
	p.Paste("#key", shown)
	p.Click(showDevices)
	p.WaitText("#devices-result", "does not count devices")
	p.wantAsked(`list-devices {"licensekey":"` + shownKey + `"}`)
}

// testErrors: each code of the contract has a text of its own, which says what to do.
func testErrors(t *testing.T, ctx context.Context) {
	p := open(t, ctx)
	said := map[string]string{}
	for _, code := range []string{
		"INVALID_LICENSE", "LICENSE_REVOKED", "LICENSE_SUSPENDED", "LICENSE_EXPIRED", "MISSING_LICENSE_KEY",
		"BAD_LICENSE_SERVER_REQUEST", "FINGERPRINT_REQUIRED", "INVALID_FINGERPRINT",
	} {
		p.prepare("verify-license", refusal(code))
		p.Paste("#request", shown)
		p.Click(getFile)
		p.Wait(`!!document.querySelector('#file-status .problem')`)
		text := run[string](p, `document.querySelector('#file-status').innerText`)
		if strings.Contains(text, code) || !strings.Contains(text, ".") || said[text] != "" {
			t.Errorf("%s is told as %q, and so is %s", code, text, said[text])
		}
		said[text] = code
		p.wantFocus("file-status")
		if run[bool](p, `document.querySelector('#file-retry button') !== null`) {
			t.Errorf("%s: asking again is offered after a definite no", code)
		}

		p.prepare("list-devices", refusal(code))
		p.Paste("#key", "a.b.c")
		p.Click(showDevices)
		p.Wait(`!!document.querySelector('#devices-status .problem')`)
		if other := run[string](p, `document.querySelector('#devices-status').innerText`); other != text {
			t.Errorf("%s is told as %q and as %q", code, text, other)
		}
	}
	p.prepare("verify-license", refusal("NEW_CODE"))
	p.Click(getFile)
	p.WaitText("#file-status", "The service says NEW_CODE. Ask the vendor.")
	if len(p.takeAsked()) != 17 {
		t.Error("not all were asked for")
	}
}

// testTrouble: what says nothing about the license can be tried again, but not before the service wants.
func testTrouble(t *testing.T, ctx context.Context) {
	for name, test := range map[string]struct {
		first answer
		says  string
		waits bool
	}{
		"too many requests":  {answer{429, `{"error":"TOO_MANY_REQUESTS"}`, "2"}, "Too many are asking", true},
		"fault":              {answer{500, `{"error":"INTERNAL_LICENSE_SERVER_ERROR"}`, "2"}, "a fault (500)", true},
		"fault until a date": {answer{503, `{}`, "a date"}, "a fault (503)", true},
		"fault of a proxy":   {answer{502, `<html>`, ""}, "a fault (502)", false},
		"no connection":      {answer{}, "cannot be reached", false},
		"another's web page": {answer{200, `<html>Sign in to the hotel</html>`, ""}, "Something else", false},
		"another's refusal":  {answer{403, `{"error":"ACCESS_DENIED"}`, ""}, "Something else", false},
		"a bare 400":         {answer{400, `Bad Request`, ""}, "Something else", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, ctx)
			if test.first.retryAfter == "a date" {
				test.first.retryAfter = time.Now().Add(4 * time.Second).UTC().Format(http.TimeFormat)
			}
			p.prepare("verify-license", test.first, granted)
			p.Paste("#request", shown)
			p.Click(getFile)
			p.WaitText("#file-status", test.says)
			p.wantAsked(shownAsks)
			if test.waits {
				p.WaitText("#file-retry", "Try again in ")
				p.Click("#file-retry button")
				p.Wait(`document.querySelector('#file-retry').innerText === 'Try again'`)
				p.wantAsked()
			}
			p.Click("#file-retry button")
			p.WaitText("#file-result", "ready")
			p.wantAsked(shownAsks)
			if left := run[string](p, `document.querySelector('#file-status').innerText +
				document.querySelector('#file-retry').innerText`); left != "" {
				t.Errorf("still shown: %q", left)
			}
		})
	}
}

// testKeyboard: all of it with Tab and Enter, in the order in which it is read.
func testKeyboard(t *testing.T, ctx context.Context) {
	p := open(t, ctx)
	for _, field := range []string{"request", "days", "name"} {
		p.Key(kb.Tab)
		p.wantFocus(field)
	}
	p.Key(kb.Tab + kb.Tab)
	p.wantFocus("key")
	p.Key("a.b.c")
	p.prepare("list-devices", twoDevices)
	p.Key(kb.Tab + kb.Enter)
	p.WaitText("#devices-result", "2 of 2 devices")

	p.Key(kb.Tab)
	p.wantFocus("Give back")
	p.Key(kb.Enter)
	p.wantFocus("confirm-no")
	p.Key(kb.Escape)
	p.wantFocus("Give back")
	p.Key(kb.Tab + kb.Enter)
	p.WaitText("#confirm-title", "Device bbbbbbbb")
	p.prepare("release-device", released)
	p.prepare("list-devices", oneDevice)
	p.Key(kb.Tab)
	p.wantFocus("confirm-yes")
	p.Key(kb.Enter)
	p.WaitText("#devices-result", "1 of 2 devices")
	p.wantAsked(`list-devices {"licensekey":"a.b.c"}`,
		`release-device {"licensekey":"a.b.c","device":"bbbbbbbbbbbbbbbbbbbbbb"}`,
		`list-devices {"licensekey":"a.b.c"}`)

	p.Go(p.url + "#" + escaped(shown))
	p.prepare("verify-license", granted)
	p.Key(kb.Enter)
	p.WaitText("#file-result", "ready")
	p.Key(kb.Tab)
	p.wantFocus("Save the license file")
	p.Key(kb.Enter)
	if _, text := p.download(); text != licenseToken {
		t.Errorf("the file holds %q", text)
	}
}

// testMarkup: what others have named their devices, and what the service says, is text.
func testMarkup(t *testing.T, ctx context.Context) {
	p := open(t, ctx)
	const markup = `<img src=x onerror=document.title=1><script>document.title=2</script>`
	quoted := browsertest.Quote(markup)
	p.prepare("list-devices", answer{status: 200, body: `{"limit":1,"devices":[{"id":"a","name":` + quoted +
		`,"since":"2026-11-02T08:00:00Z","until":` + quoted + `}]}`})
	p.Paste("#key", "a.b.c")
	p.Click(showDevices)
	p.WaitText("#devices-result", markup)
	p.Click(giveBack)
	p.WaitText("#confirm-title", markup)
	p.WaitText("#confirm-text", markup)
	p.Click("#confirm-no")
	p.prepare("verify-license", refusal(`<b>`))
	p.Paste("#request", shown)
	p.Click(getFile)
	p.WaitText("#file-status", "The service says <b>.")
	became := run[int](p, `document.querySelectorAll('img, b, main script').length`)
	if title := run[string](p, `document.title`); title != "Your license" || became != 0 {
		t.Errorf("%d elements, and the title %q", became, title)
	}
}

// states brings a page into everything that it can show, one after the other, and calls visit at each.
func states(p *page, visit func(state string)) {
	long := strings.Repeat("W", 32)
	visit("empty")
	p.Paste("#request", "{")
	p.Click(getFile)
	p.WaitText("#file-status", "This is not the text")
	visit("corrected")
	p.prepare("verify-license", answer{429, `{}`, "600"})
	p.Paste("#request", strings.Replace(shown, shownKey, strings.Repeat("a", 400), 1))
	p.Click(getFile)
	p.WaitText("#file-retry", "Try again in ")
	visit("trouble")
	p.prepare("verify-license", noRoom)
	p.Click(getFile)
	p.WaitText("#file-result", "2 of 2 devices")
	visit("no room")
	p.prepare("list-devices", answer{status: 200, body: strings.Replace(twoDevices.body, "Office PC", long, 1)})
	p.Paste("#key", "a.b.c")
	p.Click(showDevices)
	p.WaitText("#devices-result", long)
	visit("devices")
	p.Click("#devices-result button")
	p.WaitText("#confirm", long)
	visit("question")
	p.Click("#confirm-no")
	p.prepare("verify-license", granted)
	p.Click(getFile)
	p.WaitText("#file-result", "ready")
	visit("file")
}

// testScreens: nothing is wider than the screen, and everything to press is large enough for a finger.
func testScreens(t *testing.T, ctx context.Context) {
	for _, width := range []int{320, 360, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d-%s", width, scheme), func(t *testing.T) {
				t.Parallel()
				p := open(t, ctx)
				p.Size(int64(width), 740)
				p.Scheme(scheme)
				states(p, func(state string) {
					p.picture(fmt.Sprintf("%d-%s-%s", width, scheme, state))
					if needed := run[int](p, `document.documentElement.scrollWidth`); needed > width {
						t.Errorf("%s needs %d pixels", state, needed)
					}
					small := run[string](p, `[...document.querySelectorAll('button, a, input')].filter((e) =>
						e.checkVisibility() && e.getBoundingClientRect().height < 40).map((e) => e.outerHTML).join()`)
					if small != "" {
						t.Errorf("%s: too small for a finger: %s", state, small)
					}
				})
			})
		}
	}
}

// testWithoutScript: the page says how to get a file by other means.
func testWithoutScript(t *testing.T, ctx context.Context) {
	p := newPage(t, ctx)
	p.WithoutScripts()
	p.Go(p.url)
	text := run[string](p, `document.body.innerText`)
	if !strings.Contains(text, "curl -H") || strings.Contains(text, "License key") {
		t.Errorf("shown is\n%s", text)
	}
}

// testPolicy: a script that stands in the page by no will of ours does not run, and the tests would see that it tried.
func testPolicy(t *testing.T, ctx context.Context) {
	for name, attempt := range map[string]string{
		"inline script": `const s = document.createElement('script'); s.text = 'document.title = 1';
			document.body.append(s)`,
		"event handler": `document.body.setAttribute('onclick', 'document.title = 1'); document.body.click()`,
		"style":         `document.body.setAttribute('style', 'color: red')`,
		"other server":  `fetch('http://127.0.0.2:1/').catch(() => {})`,
		"image":         `const i = document.createElement('img'); i.src = 'activate'; document.body.append(i)`,
		"form":          `const f = document.createElement('form'); document.body.append(f); f.submit()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, ctx)
			run[bool](p, `(() => { `+attempt+`; })(), new Promise((done) => setTimeout(done, 200, true))`)
			if title := run[string](p, `document.title`); title != "Your license" {
				t.Error("it ran")
			}
			if problems := p.TakeProblems(); !strings.Contains(problems, "Content Security Policy") {
				t.Errorf("the browser says only %q", problems)
			}
		})
	}
}

// testAccessibility: axe-core finds nothing, in light and dark, in all states. It looks at contrast and labels, too.
func testAccessibility(t *testing.T, ctx context.Context) {
	for _, scheme := range []string{"light", "dark"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			p := open(t, ctx)
			p.Scheme(scheme)
			states(p, func(state string) {
				p.Log(state)
				p.Axe()
			})
		})
	}
}
