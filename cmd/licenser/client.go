package main

import (
	"context"

	"openlicenser/shared/vendorapi"
	"openlicenser/shared/vendorapi/sigv4"
)

// vendorAPI is how commands name the vendor's API.
type vendorAPI struct {
	API string `help:"URL of the API, as the stack's output ApiUrl says. Requests to another machine are signed with the AWS credentials of this environment." env:"LICENSER_API" default:"http://127.0.0.1:3000" placeholder:"URL"`

	APITokenFile string `name:"api-token-file" help:"File with the token that a server of its own (licenser serve --vendor-token-file) wants; requests then carry it instead of an AWS signature." env:"LICENSER_API_TOKEN_FILE" type:"path"`
}

// client returns a client that sends the token, or else signs requests to another machine.
func (a vendorAPI) client(ctx context.Context) (*vendorapi.Client, error) {
	c, err := a.config(ctx)
	if err != nil {
		return nil, err
	}
	client, err := vendorapi.New(c)
	if err != nil {
		return nil, usageError("--api %w", err)
	}
	return client, nil
}

func (a vendorAPI) config(ctx context.Context) (c vendorapi.Config, err error) {
	if c.URL, err = vendorapi.ParseURL(a.API); err != nil {
		return c, usageError("--api %w", err)
	}
	switch {
	case a.APITokenFile != "":
		if c.Token, err = readVendorToken(a.APITokenFile); err != nil {
			return c, usageError("--api-token-file: %w", err)
		}
	case !vendorapi.IsLocal(c.URL):
		cfg, err := awsConfig(ctx)
		if err != nil {
			return c, err
		}
		c.Sign = sigv4.New(cfg)
	}
	return c, nil
}
