package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// sessions knows who may see the pages: browsers that have opened a one-time link. The link sets a cookie, and is good
// for nothing afterwards.
type sessions struct {
	mu      sync.Mutex
	links   [][sha256.Size]byte // digests of what the queries of links hold that were not opened yet, the latest last
	cookies [][sha256.Size]byte // digests, the latest last
	told    time.Time           // when the last link was announced
}

// The bounds of what is known at once. The oldest goes.
const (
	maxLinks    = 5
	maxSessions = 100
)

// loginParameter is the query parameter of a one-time link.
const loginParameter = "login"

// announcePause is how often a new link is announced at most, whoever asks.
const announcePause = 5 * time.Second

// announce makes a one-time link. Those before stay good.
func (c *Console) announce() {
	secret := rand.Text()
	s := &c.sessions
	s.mu.Lock()
	s.links, s.told = withLatest(s.links, secret, maxLinks), c.Now()
	s.mu.Unlock()
	c.Announce(c.Path + "?" + loginParameter + "=" + secret)
}

// withLatest adds the digest of a secret, and lets the oldest go where there are too many.
func withLatest(digests [][sha256.Size]byte, secret string, most int) [][sha256.Size]byte {
	digests = append(digests, sha256.Sum256([]byte(secret)))
	return digests[max(len(digests)-most, 0):]
}

// announceAgain makes another link for a person whose browser has none, unless one was announced a moment ago. A
// request that another page makes is nobody's.
func (c *Console) announceAgain(r *http.Request) {
	site, mode := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode")
	if site != "" && site != "none" && site != "same-origin" || mode != "" && mode != "navigate" {
		return
	}
	c.sessions.mu.Lock()
	isDue := c.Now().Sub(c.sessions.told) >= announcePause
	c.sessions.mu.Unlock()
	if isDue {
		c.announce()
	}
}

// redeem returns the cookie's value for the secret of a link, once.
func (s *sessions) redeem(secret string) (cookie string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.links, sha256.Sum256([]byte(secret))) // of digests, so that timing tells nothing
	if at < 0 {
		return "", false
	}
	s.links = slices.Delete(s.links, at, at+1)
	cookie = rand.Text()
	s.cookies = withLatest(s.cookies, cookie, maxSessions)
	return cookie, true
}

// knows reports whether one of the cookies is of a browser that has opened a link. Another server of this machine may
// have set more of the same name.
func (s *sessions) knows(cookies []*http.Cookie) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(cookies, func(cookie *http.Cookie) bool {
		return slices.Contains(s.cookies, sha256.Sum256([]byte(cookie.Value)))
	})
}

// cookieName has the port in it, because cookies are the same for all ports of a host.
func cookieName(r *http.Request) string {
	_, port, _ := net.SplitHostPort(r.Host)
	return "licenser-console-" + port
}

// contentPolicy lets pages load from the console alone, and nobody frame them.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'"

// protect lets nobody near the pages but a browser on this machine that has opened a one-time link, and no other page
// in it. License keys and customers' names go into no cache, and into no referrer of another site.
func (c *Console) protect(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Security-Policy":      contentPolicy,
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "same-origin",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control":                "no-store",
		} {
			w.Header().Set(name, value)
		}
		if !isOfThisMachine(r) {
			c.refuse(w, r, "The console answers on this machine alone, under its own names: localhost and 127.0.0.1. "+
				"Elsewhere, start it with licenser console --api URL.")
			return
		}
		if err := crossOrigin.Check(r); err != nil {
			c.refuse(w, r, "The request comes from another page.")
			return
		}
		if c.isStatic(r) { // the page for those who are refused needs them too
			next.ServeHTTP(w, r)
			return
		}
		if secret := r.URL.Query().Get(loginParameter); secret != "" && r.Method == http.MethodGet &&
			r.URL.Path == c.Path {
			c.login(w, r, secret)
			return
		}
		if !c.sessions.knows(r.CookiesNamed(cookieName(r))) {
			c.announceAgain(r)
			c.refuse(w, r, "Either another page has led here: then go on below. Or this browser has not opened the "+
				"console's one-time link yet: it is where the console was started, a new one as well.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *Console) isStatic(r *http.Request) bool {
	name, isBelow := strings.CutPrefix(r.URL.Path, c.Path)
	return isBelow && slices.Contains(staticFiles, name)
}

func (c *Console) login(w http.ResponseWriter, r *http.Request, secret string) {
	cookie, ok := c.sessions.redeem(secret)
	if !ok {
		c.announceAgain(r)
		c.refuse(w, r, "This link was used already, or there is a newer one. It is where the console was started.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: cookie, Path: c.Path, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	http.Redirect(w, r, c.Path, http.StatusSeeOther)
}

// refuse answers with a page that leads nowhere.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, text string) {
	c.render(w, r, page{status: http.StatusForbidden, template: "closed.html", title: "Closed", data: text})
}

// forwardingHeaders are what proxies add to a request (RFC 7239 section 5, RFC 9110 section 7.6.3).
var forwardingHeaders = []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host"}

// IsForwarded reports whether a request says that it came through a proxy.
func IsForwarded(r *http.Request) bool {
	return slices.ContainsFunc(forwardingHeaders, func(name string) bool { return r.Header[name] != nil })
}

// isOfThisMachine reports whether a request comes from this machine, for a name that always means it, and was not
// forwarded. A web page can give its own name this machine's address, and reach it so (DNS rebinding): that name is in
// Host then.
func isOfThisMachine(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(r.Host, "["), "]")
	}
	sender, _, _ := net.SplitHostPort(r.RemoteAddr)
	isOwnName := strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
	return isOwnName && net.ParseIP(sender).IsLoopback() && !IsForwarded(r)
}
