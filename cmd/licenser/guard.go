package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard refuses what must not reach the functions: requests under a foreign name, what other web pages send to the
// vendor's routes, and callers of these without the vendor's token.
type guard struct {
	names       map[string]bool    // hosts that requests may name, beside this machine's own; lower case
	token       *[sha256.Size]byte // digest of the vendor's token; nil: the vendor's routes need none
	crossOrigin *http.CrossOriginProtection
	log         *slog.Logger
}

// newGuard returns the guard of a server that listens on address, which --listen gave as listen. It returns an error
// where other machines could issue licenses: where they reach the address, or a proxy that hosts names, and there is no
// token.
func newGuard(listen string, address net.Addr, hosts []string, token string, log *slog.Logger) (*guard, error) {
	g := &guard{names: map[string]bool{}, crossOrigin: http.NewCrossOriginProtection(), log: log}
	if token != "" {
		digest := sha256.Sum256([]byte(token))
		g.token = &digest
	}
	const needsToken = "whoever reaches it could issue and revoke licenses: give the vendor's routes a token with --vendor-token-file"
	if tcp, isTCP := address.(*net.TCPAddr); g.token == nil && !(isTCP && tcp.IP.IsLoopback()) {
		return nil, fmt.Errorf("--listen %s is open to other machines, and %s, or listen on 127.0.0.1", listen, needsToken)
	}
	if g.token == nil && len(hosts) > 0 {
		return nil, fmt.Errorf("--host %s is for a proxy, and %s", hosts[0], needsToken)
	}
	if name, _, err := net.SplitHostPort(listen); err == nil && name != "" {
		g.names[strings.ToLower(name)] = true
	}
	for _, host := range hosts {
		name, err := checkHost(host)
		if err != nil {
			return nil, err
		}
		g.names[name] = true
	}
	return g, nil
}

// checkHost returns a value of --host as hostName returns the Host of a request.
func checkHost(host string) (string, error) {
	name := hostName(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return name, nil
	}
	for _, c := range name {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("-._", c) {
			continue
		}
		return "", fmt.Errorf("--host %q: give the name alone as browsers send it, without scheme, port or path, as licenses.example.com", host)
	}
	if name == "" || strings.Contains(host, ":") {
		return "", fmt.Errorf("--host %q: give the name alone, without a port, as licenses.example.com", host)
	}
	return name, nil
}

// hostName returns the host of a Host header, in lower case and without port, brackets and the dot of the root.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// checkName lets only requests pass that are for a name of this server. A web page can give its own name the address of
// this machine (DNS rebinding), and is then of the same origin as the server for the browser; only the Host tells.
func (g *guard) checkName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.isOurs(r) {
			g.refuse(w, r, http.StatusForbidden, "ACCESS_DENIED", "The request is for another host. "+
				"This server answers to this machine's own names, to that of --listen, and to those given with --host.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOurs reports whether the Host is a name of this server. Port forwarding changes ports, so any will do. Nobody but
// this machine can have the address of the connection itself.
func (g *guard) isOurs(r *http.Request) bool {
	name := hostName(r.Host)
	if name == "localhost" || g.names[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	local, isTCP := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ip.Unmap().IsLoopback() || isTCP && ip.Unmap() == local.AddrPort().Addr().Unmap()
}

// protect lets only the vendor's requests pass. The token does not go further: a function has no use for it.
func (g *guard) protect(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if g.isOfAnotherPage(r) {
			g.refuse(w, r, http.StatusForbidden, "ACCESS_DENIED", "The vendor's routes are closed to web pages of other origins.")
			return
		}
		if g.token != nil {
			if err := g.checkToken(r.Header["Authorization"]); err != nil {
				w.Header().Set("WWW-Authenticate", err.Error())
				g.refuse(w, r, http.StatusUnauthorized, "UNAUTHORIZED", "Send the vendor's token: Authorization: Bearer TOKEN.")
				return
			}
			r.Header.Del("Authorization")
		}
		next(w, r)
	}
}

// isOfAnotherPage reports whether a browser says that a page of another origin sent the request. CrossOriginProtection
// lets safe methods pass; here they are held to the same, because a page learns of a GET at least whether it succeeded.
func (g *guard) isOfAnotherPage(r *http.Request) bool {
	unsafe := *r
	unsafe.Method = http.MethodPost
	return g.crossOrigin.Check(&unsafe) != nil
}

// The challenges of RFC 6750 section 3.
var (
	errNoToken    = errors.New(`Bearer`)
	errWrongToken = errors.New(`Bearer error="invalid_token"`)
)

// checkToken returns errNoToken or errWrongToken. It takes as long for each wrong token.
func (g *guard) checkToken(authorization []string) error {
	if len(authorization) != 1 {
		return errNoToken
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return errNoToken
	}
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if subtle.ConstantTimeCompare(digest[:], g.token[:]) != 1 {
		return errWrongToken
	}
	return nil
}

// refuse writes a body that serves both kinds of callers, as gatewayResponse does, and says what to do. Nothing of the
// request is in it.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	g.log.WarnContext(r.Context(), "refused", "code", code, "method", r.Method, "host", r.Host, "origin", r.Header.Get("Origin"),
		"remote", r.RemoteAddr, "reason", detail)
	body, err := json.Marshal(struct {
		Error  string `json:"error"`
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{code, "about:blank", http.StatusText(status), status, code, detail})
	if err != nil {
		panic(err) // texts and a number can be marshaled
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body) // a client that has gone gets no answer
}
