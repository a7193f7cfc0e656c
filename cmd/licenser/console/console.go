// Package console is the vendor's pages: what the staff that answers the telephone needs of licenses and plans. It
// renders on this machine, works without JavaScript, and talks to the vendor's API alone. So it can do what the
// credentials of its client may do, and no more.
package console

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"openlicenser/shared/vendorapi"
)

// Config says what a console shows, and to whom.
type Config struct {
	API  *vendorapi.Client
	Path string // that all pages are under, as /console/
	// Announce is called with each one-time link that somebody may need: the path of the console, and a query.
	Announce func(link string)
	Log      *slog.Logger
	Now      func() time.Time
}

// Console serves the pages. It answers requests of this machine alone, of a browser that has opened a one-time link.
type Console struct {
	Config
	sessions sessions
	pages    *template.Template
	mux      *http.ServeMux
	guarded  http.Handler
}

//go:embed templates/*.html
var templates embed.FS

//go:embed static/style.css static/console.js static/icon.svg
var static embed.FS

var staticFiles = []string{"style.css", "console.js", "icon.svg"}

// New returns a console, which announces its first one-time link.
func New(c Config) (*Console, error) {
	console := &Console{Config: c, mux: http.NewServeMux()}
	var err error
	console.pages, err = template.New("").Funcs(console.functions()).ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for route, serve := range map[string]handler{
		"GET /{$}":                             console.home,
		"POST /search":                         console.search,
		"GET /licenses":                        console.list,
		"GET /licenses/{license}":              console.show,
		"GET /licenses/{license}/edit":         console.edit,
		"POST /licenses/{license}/edit":        console.change,
		"GET /licenses/{license}/do/{action}":  console.confirm,
		"POST /licenses/{license}/do/{action}": console.do,
		"GET /issue":                           console.newLicense,
		"POST /issue":                          console.issue,
		"GET /plans":                           console.plans,
		"GET /plans/{plan}":                    console.plan,
		"POST /plans/{plan}":                   console.putPlan,
		"GET /new-plan":                        console.newPlan,
		"POST /new-plan":                       console.putPlan,
		"GET /plans/{plan}/delete":             console.confirmDeletePlan,
		"POST /plans/{plan}/delete":            console.deletePlan,
		"GET /audit":                           console.audit,
	} {
		method, path, _ := strings.Cut(route, " ")
		console.mux.Handle(method+" "+console.at(path), console.page(serve))
	}
	for _, name := range staticFiles {
		console.mux.HandleFunc("GET "+c.Path+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, static, "static/"+name)
		})
	}
	console.mux.Handle("/", console.page(func(*http.Request) (page, error) { return page{}, errNoPage }))
	console.guarded = console.protect(console.mux)
	console.announce()
	return console, nil
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.guarded.ServeHTTP(w, r) }

// page is what a handler answers with: a template with its data, or a redirect to another page.
type page struct {
	status   int // 200 unless set
	template string
	title    string
	data     any
	redirect string // below the console's path
}

// at returns the whole path of a page.
func (c *Console) at(path string) string { return strings.TrimSuffix(c.Path, "/") + path }

// goTo returns a redirect, by which the browser asks for the page with GET.
func goTo(path string) page { return page{redirect: path} }

type handler func(*http.Request) (page, error)

// layout is what all pages have.
type layout struct {
	Title   string
	Base    string
	Section string // of the navigation
	Data    any
}

// patience bounds how long a page waits for the service.
const patience = 40 * time.Second

// maxForm is the longest form in bytes that is read: more than what a license can hold.
const maxForm = 1 << 20

func (c *Console) page(serve handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		var answer page
		err := r.ParseForm()
		if err == nil {
			answer, err = serve(r)
		} else {
			err = errBadForm
		}
		if err != nil {
			answer = c.failure(r, err)
		}
		if answer.redirect != "" {
			http.Redirect(w, r, c.at(answer.redirect), http.StatusSeeOther)
			return
		}
		c.render(w, r, answer)
	})
}

func (c *Console) render(w http.ResponseWriter, r *http.Request, p page) {
	var body bytes.Buffer
	section, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, c.Path), "/")
	err := c.pages.ExecuteTemplate(&body, p.template, layout{
		Title: p.title, Base: c.Path, Section: cmp.Or(sectionOf[section], section), Data: p.data,
	})
	if err != nil {
		c.Log.ErrorContext(r.Context(), "console", "template", p.template, "error", err)
		http.Error(w, "The page could not be made; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(cmp.Or(p.status, http.StatusOK))
	_, _ = io.Copy(w, &body) // the browser may have gone
}

// sectionOf says in which section of the navigation a page is, where its path does not.
var sectionOf = map[string]string{"": "home", "new-plan": "plans"}

var (
	errNoPage  = errors.New("no such page")
	errBadForm = errors.New("the form cannot be read")
)

// trouble is what went wrong, for people.
type trouble struct{ Text, Next, Code, Back string } // Back: the path of the page to go back to

// failure returns the page for an error.
func (c *Console) failure(r *http.Request, err error) page {
	var problem *vendorapi.Problem
	show := func(status int, title string, t trouble) page {
		if id := r.PathValue("license"); id != "" && status != http.StatusNotFound {
			t.Back = c.at(licensePath(id))
		}
		return page{status: status, template: "failure.html", title: title, data: t}
	}
	switch {
	case errors.Is(err, errNoPage):
		return show(http.StatusNotFound, "No such page", trouble{Text: "There is no such page."})
	case errors.Is(err, errBadForm):
		return show(http.StatusBadRequest, "Not understood", trouble{Text: "What was sent is too long, or no form."})
	case errors.Is(err, vendorapi.ErrDamagedKey), errors.Is(err, vendorapi.ErrNoName):
		return show(http.StatusBadRequest, "Not understood", trouble{
			Text: "What was searched for: " + err.Error() + ".",
		})
	case errors.As(err, &problem):
		return show(statusFor(problem.Status), titleFor(problem), troubleOf(problem))
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err // without the address, which may hold what was searched for
	}
	c.Log.ErrorContext(r.Context(), "console", "route", r.Pattern, "error", err)
	if errors.As(err, new(*vendorapi.CredentialsError)) {
		return show(http.StatusForbidden, "Signed out", trouble{Text: signedOut, Next: signIn})
	}
	return show(http.StatusBadGateway, "The service cannot be reached", trouble{
		Text: "The service cannot be reached, so nothing is known of what was asked.",
		Next: "Look whether this computer is online, and try again. If a change was asked for, look first whether " +
			"it was made.",
	})
}

// What staff meet in the morning.
const (
	signedOut = "The sign-in of this console has ended."
	signIn    = "Sign in again where the console was started, as by aws sso login, and then try again here."
)

// statusFor returns the status of a page for that of the service. Its 401 is about the console's credentials, and not
// about the browser's.
func statusFor(status int) int {
	switch {
	case status == http.StatusUnauthorized:
		return http.StatusForbidden
	case status >= http.StatusInternalServerError:
		return http.StatusBadGateway
	}
	return status
}

func titleFor(p *vendorapi.Problem) string {
	switch p.Status {
	case http.StatusNotFound, http.StatusGone:
		return "Not found"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "Not allowed"
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity,
		http.StatusPreconditionRequired:
		return "Not possible now"
	case http.StatusBadRequest:
		return "Not accepted"
	}
	return "The service is in trouble"
}

func troubleOf(p *vendorapi.Problem) trouble {
	t := trouble{Text: p.Detail, Code: p.Code}
	for _, e := range p.Errors {
		t.Text += " " + e.Field + " " + e.Message + "."
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if strings.Contains(p.Detail, "expired") || strings.Contains(p.Detail, "security token") {
			t.Text, t.Next = signedOut, signIn
			break
		}
		t.Text = "The credentials that this console works with may not do this."
		t.Next = fmt.Sprintf("They need the permission execute-api:Invoke on %s. Ask whoever runs the service for it.",
			p.Request())
	case http.StatusPreconditionFailed:
		t.Text, t.Next = "Somebody else has changed it meanwhile. Nothing was changed.",
			"Look at it again, and then decide."
	case http.StatusUnprocessableEntity, http.StatusPreconditionRequired:
		t.Text, t.Next = "The form is an older one. Nothing was changed.", "Open the page again, and fill it in anew."
	case http.StatusNotFound:
		if p.Code == "LICENSE_NOT_FOUND" {
			t.Next = "Look for it by the customer's name."
		}
	case http.StatusTooManyRequests:
		t.Text, t.Next = "The service is asked too much at the moment.", "Try again in a minute."
	}
	if p.Status >= http.StatusInternalServerError {
		t.Next = "Try again in a minute. If a change was asked for, look first whether it was made."
	}
	t.Text = cmp.Or(t.Text, fmt.Sprintf("The service has answered %d %s.", p.Status, http.StatusText(p.Status)))
	return t
}
