// Package issuance is the vendor's API. Its parts are Licenses, which issues, reads, lists and changes licenses, Plans,
// from which they are issued, Keys, which hands out license keys, and Trail, which shows the audit trail. It knows no
// AWS but API Gateway's events, and cannot sign authorization tokens.
package issuance

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"openlicenser/shared/api"
)

// Part is a part of the vendor's API: Licenses, Plans, Keys or Trail.
type Part interface {
	routes() api.Routes
	// lacking returns a text for itself and for each part in it that lacks ports, which the text names.
	lacking() []string
}

// NewRouter puts the vendor's API together. It refuses a part that lacks a port.
func NewRouter(log *slog.Logger, parts ...Part) (api.Router, error) {
	all, missing := api.Routes{}, lacking("the vendor's API", ports{"Log": log != nil})
	for _, part := range parts {
		maps.Copy(all, part.routes())
		for _, text := range part.lacking() {
			if !slices.Contains(missing, text) { // Licenses has the Keys in it, which are a part themselves
				missing = append(missing, text)
			}
		}
	}
	if len(missing) > 0 {
		return api.Router{}, errors.New(strings.Join(missing, "\n"))
	}
	return api.Router{
		MaxBody:  maxBody,
		Routes:   withoutStrayQueries(all),
		Public:   publicRoutes,
		Fallback: func(context.Context, api.Request) (api.Response, error) { return api.Response{}, errNoRoute },
		Failure:  failure,
		Render:   api.Problem,
		Log:      log,
	}, nil
}

// ports tells which ports of a part are there.
type ports map[string]bool

// lacking returns a text that names the ports which are not there, or none.
func lacking(part string, has ports) []string {
	maps.DeleteFunc(has, func(_ string, isThere bool) bool { return isThere })
	if len(has) == 0 {
		return nil
	}
	return []string{part + " lacks " + strings.Join(slices.Sorted(maps.Keys(has)), ", ")}
}
