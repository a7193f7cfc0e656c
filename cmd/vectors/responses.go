package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/token"
)

// response is one that a product gets, of the server or of what stands before it.
type response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// responseCase is a response to a product that has a stored token, and what it leads to.
type responseCase struct {
	Name     string   `json:"name"`
	Response response `json:"response"`

	Leads     string `json:"leads"`     // granted, refused or nothing
	Code      string `json:"code"`      // of the refusal or the mistake
	Token     string `json:"token"`     // new, old or none: what the product has then, and after a restart
	Status    string `json:"status"`    // that of the product then
	NotBefore int    `json:"notbefore"` // seconds: it is not asked again before; by a person it is
	NotAfter  int    `json:"notafter"`  // seconds: it is asked again until then
}

type responsesFile struct {
	Keys   token.KeySet   `json:"keys"`
	Asker  asker          `json:"asker"`
	Now    time.Time      `json:"now"`
	Stored string         `json:"stored"`
	Cases  []responseCase `json:"cases"`
}

const day = 24 * 60 * 60

// longestCode has as many characters as a code may have.
var longestCode = "LICENSE_" + strings.Repeat("X_9", 18) + "YZ"

// responses returns responses.json.
func (m maker) responses() responsesFile {
	f := responsesFile{
		Keys: keySet(m.current, m.next), Asker: theAsker(), Now: start,
		Stored: m.token(m.current, theLicense(), start.AddDate(0, 0, -10)),
	}
	granted := m.verify(theLicense(), verifyBody(licenseKey()), nil)
	f.Cases = append(f.Cases, responseCase{
		Name: "200: the license may be used", Response: granted,
		Leads: "granted", Token: "new", Status: "Active", NotBefore: day * 9 / 10, NotAfter: day * 11 / 10,
	})
	for _, c := range m.serverRefusals() {
		code := errorCode(c.Response.Body)
		c.Code, c.Leads, c.Token, c.Status = code, "refused", "none", "Refused"
		c.NotBefore, c.NotAfter = 3600*9/10, 3600*11/10
		if !strings.HasPrefix(code, "LICENSE_") && code != "INVALID_LICENSE" && code != "DEVICE_LIMIT_REACHED" {
			c.Leads, c.Token, c.Status = "nothing", "old", "Offline"
			c.NotBefore, c.NotAfter = 2, 4
		}
		f.Cases = append(f.Cases, c)
	}
	nothing := func(name string, r response, code string, notBefore, notAfter int) {
		f.Cases = append(f.Cases, responseCase{
			Name: name, Response: r, Leads: "nothing", Code: code, Token: "old", Status: "Offline",
			NotBefore: notBefore, NotAfter: notAfter,
		})
	}
	fault := m.fault()
	nothing("500: a fault of the server", fault, errorCode(fault.Body), 30, 33) // its Retry-After
	for _, c := range foreignResponses(m, granted) {
		nothing(c.Name, c.Response, c.Code, max(c.NotBefore, 2), max(c.NotAfter, 4))
	}
	refused := func(name, code string) {
		f.Cases = append(f.Cases, responseCase{
			Name: name, Response: jsonResponse(http.StatusBadRequest, `{"error":"`+code+`","later":{}}`),
			Leads: "refused", Code: code, Token: "none", Status: "Refused",
			NotBefore: 3600 * 9 / 10, NotAfter: 3600 * 11 / 10,
		})
	}
	refused("400 with a code of a later server that begins with LICENSE_", "LICENSE_MOVED")
	refused("400 with a code of 64 characters that begins with LICENSE_", longestCode)
	return f
}

// foreignResponses are those that say nothing about the license.
func foreignResponses(m maker, granted response) []responseCase {
	html := `<!DOCTYPE html><html><body><form action="/login">Log in to the network</form></body></html>`
	page := func(status int, headers map[string]string) response {
		if headers == nil {
			headers = map[string]string{}
		}
		headers["Content-Type"] = "text/html"
		return response{status, headers, html}
	}
	with := func(r response, name, value string) response {
		r.Headers = map[string]string{"Content-Type": "application/json", name: value}
		return r
	}
	limited := jsonResponse(http.StatusTooManyRequests, `{"error":"TOO_MANY_REQUESTS"}`)
	other := theLicense()
	other.ID = otherLicense
	return []responseCase{
		{Name: "429 is no no", Response: limited, Code: "TOO_MANY_REQUESTS"},
		{Name: "429 with Retry-After in seconds", Response: with(limited, "Retry-After", "120"),
			Code: "TOO_MANY_REQUESTS", NotBefore: 120, NotAfter: 132},
		{Name: "429 with Retry-After as a date",
			Response: with(limited, "Retry-After", start.Add(10*time.Minute).Format(http.TimeFormat)),
			Code:     "TOO_MANY_REQUESTS", NotBefore: 600, NotAfter: 660},
		{Name: "429 with Retry-After in the past",
			Response: with(limited, "Retry-After", start.Add(-time.Hour).Format(http.TimeFormat)),
			Code:     "TOO_MANY_REQUESTS"},
		{Name: "429 with a Retry-After of years counts as six hours",
			Response: with(limited, "Retry-After", "99999999999999999999"),
			Code:     "TOO_MANY_REQUESTS", NotBefore: 6 * 3600, NotAfter: 6 * 3600 * 11 / 10},
		{
			Name:     "429 with a Retry-After that is none",
			Response: with(limited, "Retry-After", "soon"), Code: "TOO_MANY_REQUESTS",
		},
		{
			Name:     "429 with a negative Retry-After",
			Response: with(limited, "Retry-After", "-1"), Code: "TOO_MANY_REQUESTS",
		},
		{
			Name:     "429 with the code of a refusal",
			Response: jsonResponse(429, `{"error":"LICENSE_REVOKED"}`), Code: "LICENSE_REVOKED",
		},
		{
			Name:     "500 with the code of a refusal",
			Response: jsonResponse(500, `{"error":"LICENSE_REVOKED"}`), Code: "LICENSE_REVOKED",
		},
		{
			Name:     "404 with the code of a refusal",
			Response: jsonResponse(404, `{"error":"INVALID_LICENSE"}`), Code: "INVALID_LICENSE",
		},
		{Name: "200 with the code of a refusal", Response: jsonResponse(200, `{"error":"LICENSE_REVOKED"}`)},
		{Name: "403 of a firewall", Response: jsonResponse(403, `{"error":"FORBIDDEN"}`), Code: "FORBIDDEN"},
		{Name: "413", Response: jsonResponse(413, `{"error":"REQUEST_TOO_LARGE"}`), Code: "REQUEST_TOO_LARGE"},
		{Name: "503",
			Response: with(jsonResponse(503, `{"error":"INTERNAL_LICENSE_SERVER_ERROR"}`), "Retry-After", "30"),
			Code:     "INTERNAL_LICENSE_SERVER_ERROR", NotBefore: 30, NotAfter: 33},
		{Name: "504 of a gateway in HTML", Response: page(504, nil)},
		{Name: "200 of a captive portal", Response: page(200, nil)},
		{Name: "400 of a proxy in HTML", Response: page(400, nil)},
		{Name: "511 of a captive portal", Response: page(511, nil)},
		{
			Name:     "302 is not followed",
			Response: page(302, map[string]string{"Location": "https://portal.example/login"}),
		},
		{Name: "307 is not followed: it would hand the license key over",
			Response: page(307, map[string]string{"Location": "https://portal.example/verify-license"})},
		{Name: "204", Response: response{204, map[string]string{}, ""}},
		{Name: "200 without a body", Response: jsonResponse(200, "")},
		{Name: "200 with broken JSON", Response: jsonResponse(200, granted.Body[:len(granted.Body)-2])},
		{Name: "200 with more after the object", Response: jsonResponse(200, granted.Body+"{}")},
		{Name: "200 with a list", Response: jsonResponse(200, "["+granted.Body+"]")},
		{Name: "200 with null", Response: jsonResponse(200, "null")},
		{Name: "200 without message", Response: jsonResponse(200, `{"ok":true}`)},
		{
			Name:     "200 with Message for message",
			Response: jsonResponse(200, strings.Replace(granted.Body, "message", "Message", 1)),
		},
		{Name: "200 with a number as message", Response: jsonResponse(200, `{"message":1}`)},
		{Name: "200 with something that is no token", Response: jsonResponse(200, `{"message":"welcome"}`)},
		{Name: "200 with a stranger's token",
			Response: jsonResponse(200, `{"message":"`+m.token(m.stranger, theLicense(), start)+`"}`)},
		{Name: "200 with the token of another license",
			Response: jsonResponse(200, `{"message":"`+m.token(m.current, other, start)+`"}`)},
		{Name: "200 with a token that has expired",
			Response: jsonResponse(200, `{"message":"`+m.token(m.current, theLicense(), start.Add(-lifetime))+`"}`)},
		{Name: "201 with a token", Response: response{201, granted.Headers, granted.Body}},
		{Name: "400 without a body", Response: jsonResponse(400, "")},
		{Name: "400 without error", Response: jsonResponse(400, `{"message":"Bad Request"}`)},
		{Name: "400 with broken JSON", Response: jsonResponse(400, `{"error":"LICENSE_REVOKED"`)},
		{Name: "400 with Error for error", Response: jsonResponse(400, `{"Error":"LICENSE_REVOKED"}`)},
		{Name: "400 with a list as error", Response: jsonResponse(400, `{"error":["LICENSE_REVOKED"]}`)},
		{
			Name:     "400 with a code in lower case",
			Response: jsonResponse(400, `{"error":"license_revoked"}`),
		},
		{
			Name:     "400 with a line break in the code",
			Response: jsonResponse(400, `{"error":"LICENSE_\nREVOKED"}`),
		},
		{
			Name:     "400 with a line break after the code",
			Response: jsonResponse(400, `{"error":"LICENSE_REVOKED\n"}`),
		},
		{
			Name:     "400 with words in the code",
			Response: jsonResponse(400, `{"error":"LICENSE_ of this network: log in"}`),
		},
		{
			Name:     "400 with other letters in the code",
			Response: jsonResponse(400, `{"error":"LICENSE_GESPERRT_FÜR_ALLE"}`),
		},
		{
			Name:     "400 with a code of 65 characters",
			Response: jsonResponse(400, `{"error":"`+longestCode+`X"}`),
		},
		{Name: "400 with an empty code", Response: jsonResponse(400, `{"error":""}`)},
		{Name: "429 with a code that is none", Response: jsonResponse(429, `{"error":"Too many requests"}`)},
		{Name: "403 with a code of 65 characters", Response: jsonResponse(403, `{"error":"`+longestCode+`X"}`)},
		{Name: "400 with a code that nobody knows", Response: jsonResponse(400, `{"error":"LATER"}`), Code: "LATER"},
	}
}

func jsonResponse(status int, body string) response {
	return response{status, map[string]string{"Content-Type": "application/json"}, body}
}

func errorCode(body string) string {
	var said struct{ Error string }
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		panic(err)
	}
	return said.Error
}

// serverRefusals are the server's own 400s.
func (m maker) serverRefusals() (cases []responseCase) {
	add := func(name string, change func(*license.License), body string) {
		l := theLicense()
		change(&l)
		cases = append(cases, responseCase{Name: name, Response: m.verify(l, body, nil)})
	}
	as := verifyBody(licenseKey())
	forDevices := func(l *license.License) { l.MaxDevices, l.SeatsEpoch = 1, 1 }
	unchanged := func(*license.License) {}
	add("400: revoked", func(l *license.License) { l.Revoked = true }, as)
	add("400: suspended", func(l *license.License) { l.Suspended = true }, as)
	add("400: expired", func(l *license.License) { l.ExpirationDate = start.Add(-time.Hour) }, as)
	add("400: no license key", unchanged, verifyBody("abc"))
	add("400: the license is gone", func(l *license.License) { l.ID = otherLicense }, as)
	add("400: other devices hold all seats", forDevices, as)
	add("400: the product told no fingerprint", forDevices, `{"licensekey":"`+licenseKey()+`"}`)
	add("400: the product told a bad fingerprint", forDevices,
		`{"licensekey":"`+licenseKey()+`","fingerprint":"short"}`)
	add("400: the product sent no license key", unchanged, `{}`)
	add("400: the product sent no JSON", unchanged, `licensekey=x`)
	return cases
}

// fault is the server's 500.
func (m maker) fault() response {
	return m.verify(license.License{}, verifyBody(licenseKey()), io.ErrUnexpectedEOF)
}

func verifyBody(licenseKey string) string {
	return string(must(json.Marshal(map[string]string{"licensekey": licenseKey, "fingerprint": fingerprint})))
}

// verify returns what the server answers, where the license is the only one, or its table fails.
func (m maker) verify(l license.License, body string, failure error) response {
	v := verification.Verifier{
		Licenses: oneLicense{l, failure}, Devices: takenSeat{}, Secrets: fixedSecret{},
		Authorizer: token.Authorizer{Key: signer{key: m.current}, Issuer: issuer, Lifetime: lifetime},
		Now:        func() time.Time { return start }, Log: slog.New(slog.DiscardHandler),
	}
	got := must(v.Router().Invoke(context.Background(), apitest.Event(events.APIGatewayProxyRequest{
		HTTPMethod: http.MethodPost, Resource: "/verify-license", Path: "/verify-license", Body: body,
	})))
	r := response{Status: got.StatusCode, Headers: got.Headers, Body: got.Body}
	delete(r.Headers, "X-Request-Id") // another one each time
	return r
}

type oneLicense struct {
	license license.License
	failure error
}

func (o oneLicense) Get(_ context.Context, id string) (license.License, error) {
	switch {
	case o.failure != nil:
		return license.License{}, o.failure
	case id != o.license.ID:
		return license.License{}, license.ErrNotFound
	}
	return o.license, nil
}

// takenSeat has one seat, which another computer holds.
type takenSeat struct{ device.Store }

func (takenSeat) Seats(context.Context, string) (*device.Seats, error) {
	since := start.AddDate(0, 0, -1)
	seat := device.Seat{Until: start.AddDate(0, 0, 29), Since: since, Name: "front desk"}
	held := map[string]device.Seat{device.ID(licenseID, otherComputer): seat}
	return &device.Seats{Epoch: 1, Held: held, Youngest: since}, nil
}

type fixedSecret struct{}

func (fixedSecret) Ring(context.Context) (token.Ring, error) { return token.Ring{Current: secret}, nil }

func (s fixedSecret) Refresh(ctx context.Context) (token.Ring, error) { return s.Ring(ctx) }
