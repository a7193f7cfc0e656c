// Package issuance is the vendor's API. Its parts are Licenses, which issues, reads, lists and changes licenses, Keys,
// which hands out license keys, and Trail, which shows the audit trail. It knows no AWS but API Gateway's events, and
// cannot sign authorization tokens.
package issuance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"openlicenser/shared/api"
)

// Part is a part of the vendor's API: Licenses, Keys or Trail.
type Part interface {
	// routes returns the part's routes, or an error that names the ports it lacks.
	routes() (api.Routes, error)
}

// NewRouter puts the vendor's API together. It refuses a part that lacks a port.
func NewRouter(log *slog.Logger, parts ...Part) (api.Router, error) {
	all, err := api.Routes{}, lacking("the vendor's API", ports{"Log": log != nil})
	for _, part := range parts {
		routes, errPart := part.routes()
		maps.Copy(all, routes)
		err = errors.Join(err, errPart)
	}
	return api.Router{
		Function: "issue",
		MaxBody:  maxBody,
		Routes:   withoutStrayQueries(all),
		Public:   publicRoutes,
		Fallback: func(context.Context, api.Request) (api.Response, error) { return api.Response{}, errNoRoute },
		Failure:  failure,
		Render:   api.Problem,
		Log:      log,
	}, err
}

// ports tells which ports of a part are there.
type ports map[string]bool

// lacking returns an error that names the ports which are not there, or nil.
func lacking(part string, has ports) error {
	maps.DeleteFunc(has, func(_ string, isThere bool) bool { return isThere })
	if len(has) == 0 {
		return nil
	}
	return fmt.Errorf("%s lacks %s", part, strings.Join(slices.Sorted(maps.Keys(has)), ", "))
}
