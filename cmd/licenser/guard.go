package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"openlicenser/cmd/licenser/console"
	"openlicenser/shared/api"
)

// guard refuses requests that must not reach the functions. These are requests for a foreign host name, and requests to
// the vendor's routes that come from other web pages, lack the vendor's token, or, where there is none, come through a
// proxy.
type guard struct {
	listen      string             // the name that --listen gives, in lower case; may be empty
	proxied     map[string]bool    // the names that a proxy has for this server, in lower case
	token       *[sha256.Size]byte // digest of the vendor's token; nil for none
	crossOrigin *http.CrossOriginProtection
	log         *slog.Logger
}

// newGuard returns the guard of a server that listens on address, which --listen has given as listen. It returns an
// error if other machines reach the address and could issue licenses without a token.
func newGuard(listen string, address net.Addr, hosts []string, token string, log *slog.Logger) (*guard, error) {
	g := &guard{proxied: map[string]bool{}, crossOrigin: http.NewCrossOriginProtection(), log: log}
	if token != "" {
		digest := sha256.Sum256([]byte(token))
		g.token = &digest
	}
	if tcp, isTCP := address.(*net.TCPAddr); g.token == nil && !(isTCP && tcp.IP.IsLoopback()) {
		return nil, usageError("--listen %s is open to other machines, and whoever reaches it could issue and revoke "+
			"licenses: give the vendor's routes a token with --vendor-token-file, or listen on 127.0.0.1", listen)
	}
	if name, _, err := net.SplitHostPort(listen); err == nil {
		g.listen = strings.ToLower(name)
	}
	for _, host := range hosts {
		name, err := checkHost(host)
		if err != nil {
			return nil, err
		}
		g.proxied[name] = true
	}
	return g, nil
}

// checkHost returns a value of --host in the form of hostName, or an error.
func checkHost(host string) (string, error) {
	name := hostName(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return name, nil
	}
	for _, c := range name {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("-._", c) {
			continue
		}
		return "", usageError("--host %q: give the name alone as browsers send it, without scheme, port or path, "+
			"as licenses.example.com", host)
	}
	if name == "" || strings.Contains(host, ":") {
		return "", usageError("--host %q: give the name alone, without a port, as licenses.example.com", host)
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

// checkName refuses requests that are not for a name of this server. A web page can give its own name the address of
// this machine (DNS rebinding). For the browser it then has the same origin as the server, and only the Host tells them
// apart.
func (g *guard) checkName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.isOurs(r) {
			g.refuseHost(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOurs reports whether the Host is a name of this server. The port does not matter, because port forwarding changes
// it. The address of the connection itself is a name too, because only this machine has it.
func (g *guard) isOurs(r *http.Request) bool {
	name := hostName(r.Host)
	if name == "localhost" || name != "" && name == g.listen || g.proxied[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	local, isTCP := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ip.Unmap().IsLoopback() || isTCP && ip.Unmap() == local.AddrPort().Addr().Unmap()
}

// protect refuses requests that are not the vendor's. It removes the token, for which functions have no use.
func (g *guard) protect(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if g.isOfAnotherPage(r) {
			g.refuse(w, r, http.StatusForbidden, "ACCESS_DENIED",
				"The vendor's routes are closed to web pages of other origins.")
			return
		}
		if g.token == nil && g.isThroughProxy(r) {
			g.refuse(w, r, http.StatusForbidden, "ACCESS_DENIED", "The request comes through a proxy. "+
				"A server behind a proxy needs --vendor-token-file: "+
				"without it, whoever reaches the proxy could issue licenses.")
			return
		}
		if g.token != nil {
			if challenge := g.challenge(r.Header["Authorization"]); challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
				g.refuse(w, r, http.StatusUnauthorized, "UNAUTHORIZED",
					"Send the vendor's token: Authorization: Bearer TOKEN.")
				return
			}
			r.Header.Del("Authorization")
		}
		next(w, r)
	}
}

// isOfAnotherPage reports whether a browser says that a page of another origin has sent the request. Other than with
// CrossOriginProtection, that includes safe methods, because a page at least learns whether a GET has succeeded.
func (g *guard) isOfAnotherPage(r *http.Request) bool {
	unsafe := *r
	unsafe.Method = http.MethodPost
	return g.crossOrigin.Check(&unsafe) != nil
}

// isThroughProxy reports whether the request is for a name of the proxy's, or says that it was forwarded. With a proxy
// that puts this server's own address into Host, everybody passes checkName.
func (g *guard) isThroughProxy(r *http.Request) bool {
	return g.proxied[hostName(r.Host)] || console.IsForwarded(r)
}

// The challenges of RFC 6750 section 3.
const (
	noToken    = `Bearer`
	wrongToken = `Bearer error="invalid_token"`
)

// challenge returns noToken or wrongToken, and nothing for the vendor's token. It takes the same time for each wrong
// one.
func (g *guard) challenge(authorization []string) string {
	if len(authorization) != 1 {
		return noToken
	}
	scheme, token, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return noToken
	}
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if subtle.ConstantTimeCompare(digest[:], g.token[:]) != 1 {
		return wrongToken
	}
	return ""
}

// refuse sends the vendor a problem detail that says what to do. It must not hold anything of the request.
func (g *guard) refuse(w http.ResponseWriter, r *http.Request, status int, code, detail string) {
	g.logRefusal(r, code, detail)
	response := api.Problem(api.Failure{Status: status, Code: code, Detail: detail})
	for name, value := range response.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(response.Status)
	w.Write(response.Body) // the client may have gone
}

// refuseHost sends a body that serves products and the vendor. It must not hold anything of the request.
func (g *guard) refuseHost(w http.ResponseWriter, r *http.Request) {
	const (
		status = http.StatusForbidden
		code   = "ACCESS_DENIED"
		detail = "The request is for another host. " +
			"This server answers to this machine's own names, to that of --listen, and to those given with --host."
	)
	g.logRefusal(r, code, detail)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(gatewayBody(status, code, detail)) // the client may have gone
}

func (g *guard) logRefusal(r *http.Request, code, reason string) {
	g.log.WarnContext(r.Context(), "refused", "code", code, "method", r.Method, "host", r.Host,
		"origin", r.Header.Get("Origin"), "remote", r.RemoteAddr, "reason", reason)
}
