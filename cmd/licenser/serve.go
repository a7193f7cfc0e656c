package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"text/template"
	"time"

	"golang.org/x/net/netutil"

	"openlicenser/functions/issue/issuance"
	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/embedded"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
)

// serveCommand runs the same handlers as Lambda, on the data in one folder.
type serveCommand struct {
	Listen            string `help:"Address and port to listen on. One that other machines reach needs --vendor-token-file." default:"127.0.0.1:3000"`
	Data              string `help:"Folder for the data and the keys; made where it does not exist." default:".licenser" type:"path"`
	Issuer            string `help:"The claim iss of license keys and tokens." env:"LICENSER_ISSUER" default:"Open Licenser"`
	TokenLifetimeDays int    `help:"Days for which an authorization token is valid." env:"TOKEN_LIFETIME_DAYS" default:"90"`
	TokenReuseDays    string `help:"Days after its signing for which a token is given again, as long as it would say the same; 0 turns that off. A tenth of the lifetime unless set." env:"TOKEN_REUSE_DAYS"`

	VendorTokenFile string   `help:"File with the bearer token that the vendor's routes then want of every request. Without it whoever reaches them can issue licenses, and what comes through a proxy is refused." type:"path"`
	Host            []string `help:"A name, besides this machine's own, under which requests may come, as that of a proxy; can be repeated. Without --vendor-token-file only the public routes are open under it." placeholder:"NAME"`

	CheckpointInterval time.Duration `help:"How often a checkpoint over the audit trail is made." default:"1h"`

	lifetime, reuse time.Duration // of tokens
	vendorToken     string        // what VendorTokenFile holds; empty without one
	guard           *guard

	out, log io.Writer // standard output and standard error, unless a test sets them
}

func (serveCommand) Help() string {
	return examples(`licenser serve --data .licenser`,
		`licenser serve --listen 127.0.0.1:8080 --data .licenser --issuer "Example Ltd"`)
}

// Run serves until the context ends, then finishes the requests that have begun.
func (c serveCommand) Run(ctx context.Context) (err error) {
	if err := c.readFlags(); err != nil {
		return err
	}
	if c.out == nil {
		c.out, c.log = os.Stdout, os.Stderr
	}
	recording := newActivityLog(telemetry.NewConsoleLogger(c.log).Handler(), time.Now())
	log := slog.New(recording)
	setCollector()
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s (choose another address with --listen): %w", c.Listen, err)
	}
	defer listener.Close()
	if c.guard, err = newGuard(c.Listen, listener.Addr(), c.Host, c.vendorToken, log); err != nil {
		return err
	}
	folder, err := embedded.Open(c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	principal, err := c.principal()
	if err != nil {
		return err
	}
	slog.SetDefault(log)
	checkpoints, err := openCheckpoints(folder, c.Data, c.CheckpointInterval, log)
	if err != nil {
		return err
	}
	gateway, err := c.gateway(folder, checkpoints, principal, log)
	if err != nil {
		return err
	}
	gateway.mux.HandleFunc("GET /local/activity/{licenseid}", c.guard.protect(recording.activities.ServeHTTP))
	handler, err := c.withConsole(gateway, listener.Addr(), log)
	if err != nil {
		return err
	}
	if err := c.printWelcome(listener.Addr()); err != nil {
		return err
	}

	streamContext, stopStream := context.WithCancel(context.WithoutCancel(ctx))
	var streaming sync.WaitGroup
	stream := c.stream(folder, log)
	streaming.Go(func() { stream.run(streamContext) })
	streaming.Go(func() { checkpoints.run(streamContext) })
	streaming.Go(func() { scrub(streamContext, folder, log) })
	err = whileSound(ctx, folder, log, func(ctx context.Context) error {
		return serveHTTP(ctx, listener, c.guard.checkName(handler))
	})
	gateway.inFlight.Wait()
	stopStream()
	streaming.Wait()
	return err
}

// readFlags sets what follows from the flags. An error names the flag.
func (c *serveCommand) readFlags() (err error) {
	if c.lifetime, err = token.Lifetime(c.TokenLifetimeDays); err != nil {
		return usageError("--token-lifetime-days: %w", err)
	}
	if c.reuse, err = token.ReusePeriod(c.TokenReuseDays, c.lifetime); err != nil {
		return usageError("--token-reuse-days: %w", err)
	}
	if c.CheckpointInterval <= 0 {
		return usageError("--checkpoint-interval: %v is not positive", c.CheckpointInterval)
	}
	if c.VendorTokenFile != "" {
		if c.vendorToken, err = readVendorToken(c.VendorTokenFile); err != nil {
			return usageError("--vendor-token-file: %w", err)
		}
	}
	return nil
}

// principal returns who makes changes, for the audit trail. With a token that is whoever holds it, not the user that
// this process runs as.
func (c serveCommand) principal() (string, error) {
	if c.VendorTokenFile != "" {
		return "vendor-token", nil
	}
	current, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("name of the user: %w", err)
	}
	return current.Username, nil
}

func (c serveCommand) gateway(
	folder *embedded.Folder, checkpoints checkpoints, principal string, log *slog.Logger,
) (gateway, error) {
	verifier := verification.Verifier{
		Licenses: folder.Reader(),
		Devices:  folder.Devices,
		Secrets:  folder.Secrets,
		Authorizer: token.Authorizer{
			Key:      folder.SigningKey,
			Issuer:   c.Issuer,
			Lifetime: c.lifetime,
		},
		Reuse: verification.NewReuse(c.reuse, nil), // this is the only instance
		Now:   time.Now,
		Log:   log,
	}
	issuer, err := c.issuer(folder, checkpoints, log)
	if err != nil {
		return gateway{}, err
	}
	return newGateway(
		lambdaFunction{router: verifier.Router()},
		lambdaFunction{router: issuer, principal: principal, guard: c.guard},
	), nil
}

// issuer returns the vendor's API.
func (c serveCommand) issuer(folder *embedded.Folder, checkpoints checkpoints, log *slog.Logger) (api.Router, error) {
	keys := issuance.Keys{Licenses: folder.Licenses, Secrets: folder.Secrets, Issuer: c.Issuer, Now: time.Now}
	return issuance.NewRouter(log,
		issuance.Licenses{
			Store: folder.Licenses, Idempotency: folder.Idempotency, Keys: keys, Secrets: folder.Secrets,
			Trail: folder.AuditTrail, References: issuance.DisclosedReferences(folder.AuditTrail),
			Devices: folder.Devices, Plans: folder.Plans, Now: time.Now,
			TokenLifetime: c.lifetime, // signatures are in memory alone
		},
		issuance.Plans{Store: folder.Plans, Secrets: folder.Secrets, Now: time.Now, TokenLifetime: c.lifetime},
		keys,
		issuance.Trail{
			Store:         folder.AuditTrail,
			Licenses:      folder.Licenses,
			Records:       checkpoint.StoredRecords{Records: folder.Licenses},
			Checkpoints:   checkpoints.archive,
			CheckpointKey: checkpoints.key,
			Origin:        checkpointOrigin,
			Secrets:       folder.Secrets,
			Now:           time.Now,
		},
	)
}

func (c serveCommand) stream(folder *embedded.Folder, log *slog.Logger) *eventSource {
	failures := filepath.Join(c.Data, "audit-failures")
	return &eventSource{
		changes:   folder.Changes,
		handle:    streamHandler(folder, log),
		failures:  failures,
		log:       log,
		maxBehind: maxBehind,
	}
}

// shutdownTimeout bounds how long a stop waits for requests that have begun.
const shutdownTimeout = 10 * time.Second

// serveHTTP serves until the context ends.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := newServer(handler)
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(bounded) != nil { // a client that does not finish its request must not hold up the stop
			stopped <- server.Close()
		}
		close(stopped)
	}()
	if err := server.Serve(netutil.LimitListener(listener, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// welcome holds commands to be pasted in this order. The second and the third read what they need from the response to
// the first.
var welcome = template.Must(template.New("welcome").Parse(`Open Licenser listens on {{.URL}}
Its data lies in {{.Folder}}
Stop it with Ctrl-C. To try it, paste into another terminal:

Issue a license:
  curl -s {{.URL}}/licenses{{.Authorization}} -d '{"customername":"Example Ltd",` +
	`"expirationdate":"{{.Expiration}}","services":[{"serviceName":"Reports","serviceValue":"reports"}],` +
	`"appurls":[{"URL":"https://app.example.com"}]}' | tee '{{.Folder}}/example.json'

Verify it, as a product does:
  curl -s {{.URL}}/verify-license ` +
	`-d "{\"licensekey\":\"$(sed 's/.*"licensekey":"\([^"]*\)".*/\1/' '{{.Folder}}/example.json')\"}"

Revoke it:
  curl -s {{.URL}}/licenses/` +
	`$(sed 's/.*"licenseid":"\([^"]*\)".*/\1/' '{{.Folder}}/example.json')/revoke{{.Authorization}} ` +
	`-d '{"reason":"contract ended"}'

`))

func (c serveCommand) printWelcome(address net.Addr) error {
	folder, err := filepath.Abs(c.Data)
	if err != nil {
		return err
	}
	authorization := ""
	if c.VendorTokenFile != "" {
		authorization = fmt.Sprintf(` -H "Authorization: Bearer $(cat '%s')"`, c.VendorTokenFile)
	}
	return welcome.Execute(c.out, map[string]string{
		"URL":           "http://" + reachable(address),
		"Folder":        folder,
		"Authorization": authorization,
		"Expiration":    time.Now().AddDate(1, 0, 0).Format(time.DateOnly),
	})
}

// reachable returns the address at which clients on this machine reach the server. It may listen on all addresses.
func reachable(address net.Addr) string {
	tcp, isTCP := address.(*net.TCPAddr)
	switch {
	case !isTCP || !tcp.IP.IsUnspecified():
		return address.String()
	case tcp.IP.To4() != nil:
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	default:
		return net.JoinHostPort("::1", strconv.Itoa(tcp.Port))
	}
}
