package vendorapi

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"openlicenser/shared/license"
)

// Plan is a set of defaults for new licenses. A zero field is none.
type Plan struct {
	Plan            string            `json:"plan"` // its name
	Services        []license.Service `json:"services"`
	AppURLs         []license.AppURL  `json:"appurls"`
	Notes           string            `json:"notes"`
	GraceDays       int               `json:"gracedays,omitempty"`
	MaxDevices      int               `json:"maxdevices,omitempty"`
	LeaseMinutes    int               `json:"leaseminutes,omitempty"`
	MaxLeaseMinutes int               `json:"maxleaseminutes,omitempty"`
	DurationDays    int               `json:"durationdays,omitempty"` // from the issue on
	UpdatesDays     int               `json:"updatesdays,omitempty"`  // from the issue on

	// The server alone writes these. It ignores them in a plan that is sent.
	Version   int64   `json:"version"`
	Changed   Instant `json:"changed,omitzero"`
	ChangedBy string  `json:"changedby,omitempty"`

	// ETag is the entity tag in the response's header, for Options.IfMatch. Plans of a list have none.
	ETag string `json:"-"`
}

// PlanPage is a page of the plans, which are in the order of their names.
type PlanPage struct {
	Plans  []Plan `json:"plans"`
	Cursor string `json:"cursor,omitempty"` // leads to the next page; empty at the end
}

// Plan returns a plan.
func (c *Client) Plan(ctx context.Context, name string) (Plan, error) {
	return c.plan(ctx, request{method: http.MethodGet, path: planPath(name)})
}

// PutPlan makes the plan, or replaces the one that has its name. With Options.IfMatch it only replaces, and that alone
// which was read. An Idempotency-Key is not known here.
func (c *Client) PutPlan(ctx context.Context, p Plan, o Options) (Plan, error) {
	return c.plan(ctx, request{
		method: http.MethodPut, path: planPath(p.Plan), body: p, Options: o.conditions(),
	})
}

// DeletePlan removes a plan. Licenses keep what they have of it. An Idempotency-Key is not known here.
func (c *Client) DeletePlan(ctx context.Context, name string, o Options) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: planPath(name), Options: o.conditions()}, nil)
	return err
}

// Plans returns all plans, in the order of their names.
func (c *Client) Plans(ctx context.Context) iter.Seq2[Plan, error] {
	return func(yield func(Plan, error) bool) {
		for cursor := ""; ; {
			var page PlanPage
			if err := c.get(ctx, "/plans", pageQuery(MaxLimit, cursor), &page); err != nil {
				yield(Plan{}, err)
				return
			}
			for _, p := range page.Plans {
				if !yield(p, nil) {
					return
				}
			}
			if cursor = page.Cursor; cursor == "" {
				return
			}
		}
	}
}

// plan sends a request whose response is a plan.
func (c *Client) plan(ctx context.Context, r request) (p Plan, err error) {
	header, err := c.do(ctx, r, &p)
	if err != nil {
		return Plan{}, err
	}
	p.ETag = header.Get("ETag")
	return p, nil
}

func planPath(name string) string { return "/plans/" + url.PathEscape(name) }
