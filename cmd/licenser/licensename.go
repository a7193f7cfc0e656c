package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// licenseName names a license, as vendorapi.IDOf reads it.
type licenseName string

// Validate is called by the parser.
func (n licenseName) Validate() error {
	_, err := vendorapi.IDOf(string(n))
	return err
}

// id returns what stands for the license in the API.
func (n licenseName) id() string {
	id, err := vendorapi.IDOf(string(n))
	if err != nil {
		panic(err) // the parser has refused it
	}
	return id
}

// resolve returns the id of the license. It asks the API only where the name is a reference.
func (n licenseName) resolve(ctx context.Context, api *vendorapi.Client) (string, error) {
	id := n.id()
	if !strings.HasPrefix(id, vendorapi.ByReference("")) {
		return id, nil
	}
	l, err := api.License(ctx, id)
	return l.LicenseID, err
}

// licenseTarget is the license that a command is about.
type licenseTarget struct {
	License licenseName `arg:"" name:"license" help:"The license: its id, its license key in either form, or its reference."`
	vendorAPI
}

// explain adds to an error that there is no such license what a long license key says of itself, whose customer may be
// known by another license.
func (n licenseName) explain(err error) error {
	var problem *vendorapi.Problem
	if !errors.As(err, &problem) || problem.Code != "LICENSE_NOT_FOUND" {
		return err
	}
	claims := jwt.MapClaims{}
	if _, _, errParse := jwt.NewParser().ParseUnverified(token.CleanLicenseKey(string(n)), claims); errParse != nil {
		return err
	}
	p := *problem
	p.Detail = fmt.Sprintf("There is no license %s here. Its license key names the customer %q and the issuer %q; "+
		"it may be of another service, or its license was deleted.",
		n.id(), fmt.Sprint(claims["customername"]), fmt.Sprint(claims["iss"]))
	return &p
}

// expiryOf returns until when an authorization token is good. It does not check the signature.
func expiryOf(authorization string) (time.Time, error) {
	claims := jwt.RegisteredClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(authorization, &claims); err != nil {
		return time.Time{}, fmt.Errorf("the service has answered with something else than a token: %w", err)
	}
	if claims.ExpiresAt == nil {
		return time.Time{}, errors.New("the service has answered with a token that has no exp")
	}
	return claims.ExpiresAt.Time, nil
}
