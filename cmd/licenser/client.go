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
}

// client calls the vendor's API.
type client struct {
	base   string
	config *aws.Config // nil: requests are not signed
}

func (a vendorAPI) client(ctx context.Context) (client, error) {
	base, err := url.Parse(a.API)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return client{}, fmt.Errorf("--api %q is not an http or https URL", a.API)
	}
	c := client{base: strings.TrimSuffix(a.API, "/")}
	if ip := net.ParseIP(base.Hostname()); base.Hostname() == "localhost" || ip.IsLoopback() {
		return c, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err == nil && cfg.Region == "" {
		err = errors.New("no AWS region; set AWS_REGION")
	}
	c.config = &cfg
	return c, err
}

// requestTimeout is API Gateway's limit of 29 seconds, and the way.
const requestTimeout = 35 * time.Second

// get reads the JSON of a path below the API's URL into answer, or a text as it is into a *string.
func (c client) get(ctx context.Context, path string, query url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	if err := c.sign(ctx, request); err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
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

// sign adds an AWS signature of version 4, as API Gateway wants it of the vendor.
func (c client) sign(ctx context.Context, request *http.Request) error {
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
