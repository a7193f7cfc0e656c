// Package browser_test drives the console in a real browser. It is a package of its own, so that nothing but its tests
// is built with what drives the browser. It holds tests only.
package browser_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp/kb"

	"openlicenser/shared/license"
	"openlicenser/shared/testing/browsertest"
	"openlicenser/shared/vendorapi"
)

// pictures is where to put pictures of the pages, for people to look at. Those of docs/ are made by
// go test ./cmd/licenser/browser -pictures ../../../docs/console.
var pictures = flag.String("pictures", "", "a `folder` for pictures of the pages")

// service is the local server, and what its tests know of it.
type service struct {
	*testing.T
	api  *vendorapi.Client
	base string // of the console
	link string // that was not used yet
}

// serve builds the program and starts the local server on a folder of its own.
func serve(t *testing.T) *service {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "licenser")
	if out, err := exec.Command("go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	command := exec.Command(binary, "serve", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--checkpoint-interval",
		"1s")
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill(); command.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	found := regexp.MustCompile(`http://[^/]+`).FindString(line)
	if err != nil || found == "" {
		t.Fatalf("printed %q, %v", line, err)
	}
	target, err := vendorapi.ParseURL(found)
	if err != nil {
		t.Fatal(err)
	}
	api, err := vendorapi.New(vendorapi.Config{URL: target, Transport: &http.Transport{}})
	if err != nil {
		t.Fatal(err)
	}
	return &service{T: t, api: api, base: found + "/console/", link: line[strings.Index(line, "http"):]}
}

// issue issues a license.
func (s *service) issue(draft vendorapi.LicenseDraft) vendorapi.License {
	s.Helper()
	l, err := s.api.Issue(s.Context(), draft, vendorapi.Options{})
	if err != nil {
		s.Fatal(err)
	}
	return l
}

func inDays(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }

// shop fills the service with what a vendor has after some weeks.
func (s *service) shop() (ordinary, odd vendorapi.License) {
	s.Helper()
	for _, p := range []vendorapi.Plan{
		{
			Plan: "pro", DurationDays: 365, UpdatesDays: 365, GraceDays: 14, MaxDevices: 3, LeaseMinutes: 1440,
			Services: []license.Service{{Name: "Reports", Value: "reports"}, {Name: "Export", Value: "export"}},
		},
		{Plan: "trial", DurationDays: 14, MaxDevices: 1, Services: []license.Service{{Name: "Reports",
			Value: "reports"}}},
	} {
		if _, err := s.api.PutPlan(s.Context(), p, vendorapi.Options{}); err != nil {
			s.Fatal(err)
		}
	}
	ordinary = s.issue(vendorapi.LicenseDraft{
		Plan: "pro", CustomerName: "Example Ltd", ExpirationDate: inDays(20), Email: "office@example.com",
		Reference: "order 4711", Notes: new("Calls often.\nAsk for the purchase order."),
		AppURLs: []license.AppURL{{URL: "https://app.example.com"}, {URL: `re:^[a-z]+\.example\.com$`}},
	})
	for i, name := range []string{"Office PC", "Laptop"} {
		_, err := s.api.Verify(s.Context(), vendorapi.Verification{
			LicenseKey: ordinary.LicenseKey, Fingerprint: fmt.Sprintf("computer-%d", i), DeviceName: name,
		})
		if err != nil {
			s.Fatal(err)
		}
	}
	var many []license.AppURL
	for i := range license.MaxAppURLs {
		many = append(many, license.AppURL{URL: fmt.Sprintf("https://shop-%03d.example.com", i)})
	}
	odd = s.issue(vendorapi.LicenseDraft{
		CustomerName:   strings.Repeat("Donaudampfschifffahrtsgesellschaft", 7) + " & Söhne 株式会社",
		ExpirationDate: "never", AppURLs: many, Reference: strings.Repeat("x", 256),
	})
	for n, name := range []string{"Bäckerei Müller", "Sailing Club", "Harbour Authority"} {
		l := s.issue(vendorapi.LicenseDraft{Plan: "trial", CustomerName: name, Reference: fmt.Sprintf("order 50%d", n)})
		if n == 1 {
			if _, err := s.api.Suspend(s.Context(), l.LicenseID, "payment is late", vendorapi.Options{}); err != nil {
				s.Fatal(err)
			}
		}
	}
	return ordinary, odd
}

// waitSigned waits until a checkpoint has signed a license's trail.
func (s *service) waitSigned(id string, sequence int64) {
	s.Helper()
	for range 200 {
		proof, err := s.api.Proof(s.Context(), id)
		if err == nil && strings.Contains(proof.Leaf, fmt.Sprintf(" %d ", sequence)) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.Fatalf("the trail of %s was not signed", id)
}

// open returns a tab in a browser that has opened a one-time link.
func (s *service) open(ctx context.Context, width, height int64, prepare ...func(*browsertest.Tab)) *browsertest.Tab {
	s.Helper()
	tab := browsertest.NewTab(s.T, ctx, width, height)
	for _, do := range prepare {
		do(tab)
	}
	tab.Go(s.link)
	tab.WaitText("h1", "Licenses")
	return tab
}

// find looks for a text by the search of the first page.
func find(tab *browsertest.Tab, base, text string) {
	tab.Helper()
	tab.Go(base)
	tab.Paste("#search", text)
	tab.Key(kb.Enter)
}

func TestConsole(t *testing.T) {
	ctx := browsertest.Start(t)
	for name, prepare := range map[string]func(*browsertest.Tab){
		"a day": func(*browsertest.Tab) {}, "a day without scripts": (*browsertest.Tab).WithoutScripts,
	} {
		t.Run(name, func(t *testing.T) { testDay(t, ctx, prepare) })
	}
	t.Run("copy", func(t *testing.T) { testCopy(t, ctx) })
	t.Run("framed", func(t *testing.T) { testFramed(t, ctx) })
	t.Run("pages", func(t *testing.T) { testPages(t, ctx) })
}

// testDay: from the search to the revocation, with mouse and keyboard.
func testDay(t *testing.T, ctx context.Context, prepare func(*browsertest.Tab)) {
	s := serve(t)
	ordinary, _ := s.shop()
	tab := s.open(ctx, 1200, 900, prepare)
	tab.WaitText("main", "in 20 days")

	find(tab, s.base, ordinary.ShortKey)
	tab.WaitText("h1", "Example Ltd")
	tab.WaitText("main", "2 of 3 seats are taken")
	tab.Click(`a[href*="do/release-device"]`)
	tab.WaitText("h1", "Give a device's seat back")
	tab.WaitText("main", "Office PC")
	tab.Paste("#reason", "sold")
	tab.Click("form button.main")
	tab.WaitText("main", "1 of 3 seats are taken")

	tab.Click(`a[href$="/do/renew"]`)
	tab.WaitText("main", "one year later")
	tab.Click("form button.main")
	tab.WaitText("h1", "Example Ltd")

	tab.Click(`a[href$="/edit"]`)
	tab.WaitText("h1", "Change")
	tab.Paste("#appurls", "https://app.example.com\nhttps://two.example.com")
	tab.Click("form button.main")
	tab.WaitText("main", "https://two.example.com")

	find(tab, s.base, "exam")
	tab.WaitText("main", "order 4711")
	tab.Click("tbody a")
	tab.Click(`a[href$="/do/revoke"]`)
	tab.WaitText("main", "The customer's products stop at their next verification")
	tab.Paste("#reason", "contract ended")
	tab.Click("form button.main")
	tab.WaitText("main", "was ended for good")

	tab.Go(s.base + "issue?plan=pro")
	tab.Paste("#customername", "New Ltd")
	tab.Click("form button.main")
	tab.WaitText("main", "The license is issued")

	l, err := s.api.License(t.Context(), ordinary.LicenseID)
	if err != nil || l.Status != license.Revoked || l.ChangeReason != "contract ended" ||
		l.ExpirationDate.Before(time.Now().AddDate(1, 0, 0)) {
		t.Errorf("in the end %+v, %v", l, err)
	}
}

// testCopy: a button copies the key, where the browser lets it.
func testCopy(t *testing.T, ctx context.Context) {
	s := serve(t)
	l := s.issue(vendorapi.LicenseDraft{CustomerName: "Example Ltd", ExpirationDate: "never"})
	tab := s.open(ctx, 1200, 900)
	tab.Go(s.base + "licenses/" + l.LicenseID)
	tab.Click("summary")
	browsertest.Run[bool](tab, `(navigator.clipboard.writeText = (text) => { window.copied = text; }, true)`)
	tab.Click(`button[data-from="licensekey"]`)
	tab.WaitText(`button[data-from="licensekey"]`, "Copied")
	if copied := browsertest.Run[string](tab, `window.copied`); copied != l.LicenseKey {
		t.Errorf("copied %q", copied)
	}
}

// testFramed: no other page shows the console in it, and none sends its forms.
func testFramed(t *testing.T, ctx context.Context) {
	s := serve(t)
	l := s.issue(vendorapi.LicenseDraft{CustomerName: "Example Ltd", ExpirationDate: "never"})
	tab := s.open(ctx, 1200, 900)
	action := s.base + "licenses/" + l.LicenseID + "/do/suspend"
	elsewhere := fmt.Sprintf(`<iframe src=%q></iframe><form method="post" action=%q><button>Win</button></form>`,
		s.base+"licenses", action)
	tab.Go("data:text/html," + url.PathEscape(elsewhere))
	tab.WaitText("button", "Win")
	tab.Click("button")
	tab.WaitText("h1", "The console is closed")
	if after, err := s.api.License(t.Context(), l.LicenseID); err != nil || after.Status != license.Active {
		t.Errorf("another page has made it %s, %v", after.Status, err)
	}
	tab.TakeProblems() // that the frame was refused
}

// testPages: axe-core finds nothing on any page, in light and dark, wide and narrow, and no page is wider than the
// screen. With -pictures it takes one of each.
func testPages(t *testing.T, ctx context.Context) {
	s := serve(t)
	empty := s.open(ctx, 1200, 900)
	s.look(empty, "empty", "")
	ordinary, odd := s.shop()
	s.waitSigned(ordinary.LicenseID, 1)
	tab := empty
	its := "licenses/" + ordinary.LicenseID
	for _, one := range []struct{ name, path string }{
		{"home", ""}, {"licenses", "licenses"}, {"none", "licenses?customername=Nobody"}, {"license", its},
		{"issued", its + "?issued=1"}, {"long", "licenses/" + odd.LicenseID}, {"change", its + "/edit"},
		{"change-long", "licenses/" + odd.LicenseID + "/edit"}, {"renew", its + "/do/renew"}, {"revoke",
			its + "/do/revoke"},
		{"issue", "issue?plan=pro"}, {"plans", "plans"}, {"plan", "plans/pro"}, {"audit", "audit"}, {"missing",
			"licenses/x"},
	} {
		s.look(tab, one.name, one.path)
	}
	tab.Go(s.base + "issue")
	browsertest.Run[bool](tab, `(document.querySelector("form").noValidate = true)`)
	tab.Paste("#email", "nobody")
	tab.Click("form button.main")
	tab.WaitText("#email-error", "must be an e-mail address")
	s.look(tab, "mistakes", "here")
}

// look looks at a page in all sizes and schemes. The path here is the page that is shown.
func (s *service) look(tab *browsertest.Tab, name, path string) {
	s.Helper()
	if path != "here" {
		tab.Go(s.base + path)
	}
	for _, size := range []struct {
		name  string
		width int64
	}{{"wide", 1200}, {"narrow", 360}} {
		tab.Size(size.width, 800)
		for _, scheme := range []string{"light", "dark"} {
			tab.Scheme(scheme)
			if wide := browsertest.Run[int64](tab, `document.documentElement.scrollWidth`); wide > size.width {
				s.Errorf("%s is %d wide on a screen of %d", name, wide, size.width)
			}
			tab.Axe()
			s.picture(tab, fmt.Sprintf("%s-%s-%s.webp", name, size.name, scheme))
		}
	}
}

// shown are the pages that docs/console.md has pictures of. Further ones are made elsewhere, to be looked at.
var shown = []string{
	"home", "licenses", "license", "issued", "change", "issue", "mistakes", "renew", "revoke", "plans", "plan", "audit",
}

func (s *service) picture(tab *browsertest.Tab, name string) {
	s.Helper()
	folder := *pictures
	if folder == "" {
		return
	}
	if page, _, _ := strings.Cut(name, "-"); !slices.Contains(shown, page) || strings.Contains(name, "long") {
		folder = filepath.Join(folder, "others")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		s.Fatal(err)
	}
	size := browsertest.Run[[]float64](tab, `[innerWidth, document.documentElement.scrollHeight]`)
	image := browsertest.Call(tab, page.CaptureScreenshot, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatWebp, Quality: new(int64(60)), CaptureBeyondViewport: new(true),
		Clip: &page.Viewport{Width: size[0], Height: size[1], Scale: 1},
	})
	if err := os.WriteFile(filepath.Join(folder, name), image.Data, 0o644); err != nil {
		s.Fatal(err)
	}
}
