package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
)

// vendorAPI is how commands name the vendor's API.
type vendorAPI struct {
	API string `help:"URL of the API, as the stack's output ApiUrl says. Requests to another machine are signed with the AWS credentials of this environment." env:"LICENSER_API" default:"http://127.0.0.1:3000" placeholder:"URL"`

	APITokenFile string `name:"api-token-file" help:"File with the token that a server of its own (licenser serve --vendor-token-file) wants; requests then carry it instead of an AWS signature." env:"LICENSER_API_TOKEN_FILE" type:"path"`
}

// client calls the vendor's API.
type client struct {
	base   string
	token  string      // bearer token of the vendor; empty: requests carry none
	config *aws.Config // nil: requests are not signed
}

func (a vendorAPI) client(ctx context.Context) (client, error) {
	base, err := url.Parse(a.API)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return client{}, fmt.Errorf("--api %q is not an http or https URL", a.API)
	}
	c := client{base: strings.TrimSuffix(a.API, "/")}
	isLocal := base.Hostname() == "localhost" || net.ParseIP(base.Hostname()).IsLoopback()
	if a.APITokenFile != "" {
		if base.Scheme != "https" && !isLocal {
			return client{}, fmt.Errorf("--api %s: the token of --api-token-file goes to another machine over https only; anyone on the way could read it", a.API)
		}
		if c.token, err = readVendorToken(a.APITokenFile); err != nil {
			return client{}, fmt.Errorf("--api-token-file: %w", err)
		}
		return c, nil
	}
	if isLocal {
		return c, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err == nil && cfg.Region == "" {
		err = errors.New("no AWS region; set AWS_REGION")
	}
	c.config = &cfg
	return c, err
}

// apiTimeout is API Gateway's limit of 29 seconds, and the way.
const apiTimeout = 35 * time.Second

// get reads the JSON of a path below the API's URL into answer, or a text as it is into a *string.
func (c client) get(ctx context.Context, path string, query url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if err := c.authorize(ctx, request); err != nil {
		return err
	}
	follower := http.Client{CheckRedirect: stayOnHost}
	response, err := follower.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return &statusError{response.StatusCode, problemOf(path, response.Status, body)}
	}
	if text, isText := answer.(*string); isText {
		*text = string(body)
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// stayOnHost lets redirects lead nowhere else: credentials are for the host that --api names.
func stayOnHost(next *http.Request, earlier []*http.Request) error {
	first := earlier[0].URL
	switch {
	case next.URL.Scheme != first.Scheme || next.URL.Host != first.Host:
		return fmt.Errorf("the server redirects to %s://%s, which gets no credentials; if it is the right one, name it with --api", next.URL.Scheme, next.URL.Host)
	case len(earlier) >= 10:
		return errors.New("the server redirects without end")
	}
	return nil
}

// authorize adds the vendor's token or else, as API Gateway wants it of the vendor, an AWS signature of version 4.
func (c client) authorize(ctx context.Context, request *http.Request) error {
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
		return nil
	}
	if c.config == nil {
		return nil
	}
	credentials, err := c.config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	nothing := sha256.Sum256(nil)
	return v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(nothing[:]), "execute-api", c.config.Region, time.Now())
}

// statusError is an answer other than 200.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// problemOf says what a problem detail (RFC 9457) says.
func problemOf(path, status string, body []byte) string {
	var problem struct{ Code, Detail, Message string }
	if json.Unmarshal(body, &problem) == nil && problem.Code+problem.Message != "" {
		return strings.TrimSpace(fmt.Sprintf("%s: %s %s %s%s", path, status, problem.Code, problem.Detail, problem.Message))
	}
	return fmt.Sprintf("%s: %s", path, status)
}

// vendorLicense is what commands read of a license.
type vendorLicense struct {
	LicenseID    string
	Status       string
	CustomerID   string
	CustomerName string
	Version      int64
	Created      time.Time
	Changed      time.Time
	TokenKeyID   string
}

// licenses calls do with every license, newest first.
func (c client) licenses(ctx context.Context, do func(vendorLicense) error) error {
	query := url.Values{"limit": {"100"}}
	for {
		var page struct {
			Licenses []vendorLicense
			Cursor   string
		}
		if err := c.get(ctx, "/licenses", query, &page); err != nil {
			return err
		}
		for _, l := range page.Licenses {
			if err := do(l); err != nil {
				return err
			}
		}
		if page.Cursor == "" {
			return nil
		}
		query.Set("cursor", page.Cursor)
	}
}
