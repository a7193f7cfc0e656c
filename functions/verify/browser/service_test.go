package browser_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/token"
)

// service is the verify function on the embedded store, and a license with one seat.
type service struct {
	verifier verification.Verifier
	key      string // of the license
}

func newService(t *testing.T) service {
	t.Helper()
	folder, err := embedded.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	id, err := license.NewID()
	if err != nil {
		t.Fatal(err)
	}
	l, err := license.Draft{
		CustomerName: "Example Ltd", ExpirationDate: license.FormatDate(time.Now().AddDate(1, 0, 0)), MaxDevices: 1,
		LeaseMinutes: 60, MaxLeaseMinutes: 30 * 24 * 60,
	}.Issue(id, license.Change{At: time.Now(), By: "test", RequestID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	ring, err := folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.SignLicenseKey(ring.Signing(time.Now()), "test", l)
	if err != nil {
		t.Fatal(err)
	}
	return service{key: key, verifier: verification.Verifier{
		Licenses: folder.Licenses, Devices: folder.Devices, Secrets: folder.Secrets,
		Authorizer: token.Authorizer{Key: folder.SigningKey, Issuer: "test", Lifetime: 90 * 24 * time.Hour},
		Now:        time.Now, Log: slog.New(slog.DiscardHandler),
	}}
}

// ServeHTTP hands a request to the function as API Gateway does.
func (s service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	route := "/" + path.Base(r.URL.Path)
	event := events.APIGatewayProxyRequest{HTTPMethod: r.Method, Resource: route, Path: route, Body: string(body)}
	response, err := s.verifier.Router().Invoke(context.Background(), apitest.Event(event))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(response.StatusCode)
	io.WriteString(w, response.Body)
}

// testService: the page and the service understand each other. A computer takes the only seat; the next one finds it
// taken, gives it back, and gets its file.
func testService(t *testing.T, ctx context.Context) {
	p := newPage(t, ctx)
	s := newService(t)
	p.service = s
	ask := func(computer string) {
		p.Go(p.url)
		p.Paste("#request", fmt.Sprintf(`{"licensekey":%q,"fingerprint":%q,"leaseminutes":1440}`, s.key, computer))
		p.Click(getFile)
	}
	ask("computer-1")
	p.WaitText("#file-result", "The license file is ready")
	ask("computer-2")
	p.WaitText("#file-result", "Give back")
	p.Click(giveBack)
	p.Click(confirmed)
	p.WaitText("#file-result", "The license file is ready")
	p.Go(p.url)
	p.Paste("#key", s.key)
	p.Click(showDevices)
	p.WaitText("#devices-result", "1 of 1 device")
}
