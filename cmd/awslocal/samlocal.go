//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/samtemplate"
)

// Configuration, which the Makefile sets.
var (
	sam          = os.Getenv("SAM")          // the SAM CLI
	build        = os.Getenv("BUILD")        // the folder with the output of sam build
	architecture = os.Getenv("ARCHITECTURE") // which the functions were built for: arm64 or x86_64
)

// samLocal starts the API on the stand-ins. It runs the command with the API's URL in its environment. Without a
// command it prints the URL, and waits until the context ends.
func samLocal(ctx context.Context, args []string) error {
	bridge, err := dockerBridge(ctx)
	if err != nil {
		return err
	}
	return withServices(ctx, func(s services) error {
		cloud := awstest.NewCloud(s.dynamoDB, s.moto)
		template, err := deploy(ctx, cloud)
		if err != nil {
			return err
		}
		endpoint, err := serveEndpoint(bridge, s, cloud.KMS)
		if err != nil {
			return err
		}
		return withImage(ctx, endpoint, func() error {
			return startAPI(ctx, func(api string, options, environment []string) error {
				if len(args) > 0 {
					invoke := strings.Join(append([]string{sam, "local", "invoke"}, options...), " ")
					return command(ctx, args, slices.Concat(environment, s.environment(), []string{
						awstest.APIVariable + "=" + api, awstest.SAMInvokeVariable + "=" + invoke,
					})...)
				}
				fmt.Printf(welcome, api, api, api, api, api, logFile())
				feed(ctx, s, template.Value("LicenseTable.StreamArn"))
				return ctx.Err()
			})
		})
	})
}

var errNoDocker = errors.New(`sam local runs the functions in Docker, and no Docker engine runs here.
Install one (on Debian and Ubuntu: sudo apt-get install -y --no-install-recommends docker.io), start it
(sudo systemctl start docker, or sudo dockerd), and let "docker version" name a server`)

// dockerBridge returns the address at which containers reach this machine. An engine that has just made its bridge does
// not name the gateway, which is then the first address of the subnet.
func dockerBridge(ctx context.Context) (address string, err error) {
	output, err := exec.CommandContext(ctx, "docker", "network", "inspect", "bridge",
		"--format", "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}").Output()
	if err != nil {
		return "", errNoDocker
	}
	gateway, subnet, _ := strings.Cut(strings.TrimSuffix(string(output), "\n"), " ")
	if gateway != "" && gateway != "<no value>" {
		return gateway, nil
	}
	prefix, err := netip.ParsePrefix(subnet)
	if err != nil {
		return "", fmt.Errorf("docker's network bridge: %w", err)
	}
	return prefix.Masked().Addr().Next().String(), nil
}

// deploy makes the resources of the template. Each is named by its logical id, which is what sam local gives the
// functions where the template refers to a resource.
func deploy(ctx context.Context, cloud awstest.Cloud) (*samtemplate.Template, error) {
	template, err := samtemplate.Read()
	if err != nil {
		return nil, err
	}
	return awstest.Deploy(ctx, template, cloud, func(id string) string { return id })
}

// serveEndpoint serves one endpoint for all of AWS, on the address of the Docker bridge only. It finds the service
// by the request's X-Amz-Target.
func serveEndpoint(bridge string, s services, kms http.Handler) (endpoint string, err error) {
	dynamoDBURL, err := url.Parse(s.dynamoDB)
	if err != nil {
		return "", err
	}
	motoURL, err := url.Parse(s.moto)
	if err != nil {
		return "", err
	}
	dynamoDB, moto := httputil.NewSingleHostReverseProxy(dynamoDBURL), httputil.NewSingleHostReverseProxy(motoURL)
	listener, err := net.Listen("tcp", net.JoinHostPort(bridge, "0"))
	if err != nil {
		return "", err
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch service, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); service {
		case "TrentService":
			kms.ServeHTTP(w, r)
		case "DynamoDB_20120810", "DynamoDBStreams_20120810":
			dynamoDB.ServeHTTP(w, r)
		default:
			moto.ServeHTTP(w, r)
		}
	}))
	return "http://" + listener.Addr().String(), nil
}

// withImage calls do while there is the image that sam local runs the functions in. It needs no registry: the image
// holds the runtime interface emulator that comes with the SAM CLI, and our binaries need nothing else. The
// endpoint is in the image, because sam local passes on no variable that the template does not declare. An image
// that had the name before gets it back.
func withImage(ctx context.Context, endpoint string, do func() error) error {
	tag := "public.ecr.aws/lambda/provided:al2023-rapid-" + architecture
	before := docker("image", "inspect", "--format", "{{.Id}}", tag)
	image, err := buildImage(ctx, tag, endpoint)
	if err != nil {
		return err
	}
	defer func() {
		// sam local leaves a container behind at times.
		for container := range strings.FieldsSeq(docker("ps", "--all", "--quiet", "--filter", "ancestor="+image)) {
			docker("rm", "--force", container)
		}
		docker("image", "rm", "--force", image)
		if before != "" {
			docker("tag", before, tag)
		}
	}()
	return do()
}

// buildImage returns the id of the image.
func buildImage(ctx context.Context, tag, endpoint string) (string, error) {
	pattern := "../lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-" + architecture
	emulators, err := filepath.Glob(filepath.Join(filepath.Dir(sam), pattern))
	if err != nil || len(emulators) != 1 {
		return "", fmt.Errorf("found %d runtime interface emulators beside %s, %v", len(emulators), sam, err)
	}
	folder, err := os.MkdirTemp("", "awslocal")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	emulator, err := os.ReadFile(emulators[0])
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "aws-lambda-rie"), emulator, 0o755); err != nil {
		return "", err
	}
	recipe := "FROM scratch\nCOPY aws-lambda-rie /var/rapid/aws-lambda-rie\nENV AWS_ENDPOINT_URL=" + endpoint + "\n"
	if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(recipe), 0o644); err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, "docker", "build", "--quiet", "--tag", tag, folder)
	command.Env = append(os.Environ(), "DOCKER_BUILDKIT=0") // not every engine has BuildKit
	var complaints bytes.Buffer
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("docker build: %w\n%s", err, &complaints)
	}
	return strings.TrimSpace(string(output)), nil
}

// docker returns what docker prints, or nothing after an error.
func docker(args ...string) string {
	output, err := exec.Command("docker", args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(output))
}

// startAPI calls do while `sam local start-api` runs, with the API's URL, and with the options and the environment
// for other commands of the SAM CLI.
func startAPI(ctx context.Context, do func(api string, options, environment []string) error) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	api := "http://127.0.0.1:" + port
	options := []string{
		"--template", filepath.Join(build, "template.yaml"),
		"--parameter-overrides", "Architecture=" + architecture, "--skip-pull-image",
	}
	environment := []string{
		"SAM_CLI_TELEMETRY=0", "AWS_REGION=" + awstest.Region, "AWS_DEFAULT_REGION=" + awstest.Region,
		"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=example",
	}
	log, err := os.Create(logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	startAPI := []string{sam, "local", "start-api", "--host", "127.0.0.1", "--port", port, "--warm-containers", "EAGER"}
	p, err := start(append(startAPI, options...), log, log, environment...)
	if err != nil {
		return err
	}
	defer p.stop()
	isReady := func(status int) bool { return status == http.StatusOK }
	if err := p.ready(ctx, api+"/.well-known/jwks.json", 3*time.Minute, isReady); err != nil {
		p.stop()
		if text, err := os.ReadFile(log.Name()); err == nil {
			os.Stderr.Write(text)
		}
		return fmt.Errorf("sam local start-api: %w", err)
	}
	return do(api, options, environment)
}

func logFile() string { return filepath.Join(build, "start-api.log") }

const welcome = `
The API is at %s, with DynamoDB Local, moto and a stand-in for KMS behind it. Ctrl-C ends it all, and nothing is kept.

Paste into another terminal:

  curl -s %s/licenses -d '{"customername":"Example Ltd","expirationdate":"2099-01-31"}' | tee license.json
  curl -s %s/verify-license -d "{\"licensekey\":\"$(sed 's/.*"licensekey":"\([^"]*\)".*/\1/' license.json)\"}"
  curl -s %s/licenses
  curl -s %s/licenses/$(sed 's/.*"licenseid":"\([^"]*\)".*/\1/' license.json)/audit

The functions log to %s. sam local connects no stream: what reads it runs in this program.
`
