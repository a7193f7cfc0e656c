package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/license"
	"openlicenser/shared/vendorapi"
)

type activityCommand struct {
	licenseTarget
	LogGroup string `help:"The log group of the verify function on AWS, as the stack's output VerifyLogGroup says." env:"LICENSER_LOG_GROUP" placeholder:"NAME"`
	Days     int    `help:"How many days to look back on AWS. The local server knows what was asked since it was started." default:"30" placeholder:"N"`
}

func (activityCommand) Help() string {
	return "On AWS it is a query of CloudWatch Logs Insights, which is billed by what it reads. It needs " +
		"logs:StartQuery, logs:GetQueryResults and logs:StopQuery.\n\n" +
		examples(`licenser license activity order-4711`)
}

// Validate is called by the parser.
func (c activityCommand) Validate() error {
	if c.Days < 1 {
		return errors.New("--days must be at least 1")
	}
	return nil
}

// Run reads the logs of the functions, or asks the local server.
func (c activityCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	l, err := api.License(ctx, c.License.id())
	if err != nil {
		return c.License.explain(err)
	}
	// The environment may name a log group for another service than the local one.
	isOwn := api.IsLocal() || c.APITokenFile != ""
	isOfEnvironment := c.LogGroup == os.Getenv("LICENSER_LOG_GROUP")
	var activity vendorapi.Activity
	switch {
	case isOwn && isOfEnvironment:
		activity, err = api.Activity(ctx, l.LicenseID)
	case c.LogGroup != "":
		activity, err = c.query(ctx, l.LicenseID, t.Now())
	default:
		return usageError("Name the log group of the verify function with --log-group or LICENSER_LOG_GROUP: " +
			"it is the stack's output VerifyLogGroup.")
	}
	if err != nil {
		return err
	}
	return showActivity(t, activity)
}

func showActivity(t *terminal.Terminal, a vendorapi.Activity) error {
	if t.Format == terminal.JSON {
		return terminal.Show[vendorapi.Activity](t, nil, a)
	}
	now := t.Now()
	if t.ForPeople {
		t.Say("Since %s: last asked %s, last token %s.", terminal.Date(a.Since.Time),
			cmp.Or(instantForPeople(a.Last, now), "never"), cmp.Or(instantForPeople(a.LastToken, now), "never"))
		if len(a.Asked) == 0 {
			return nil
		}
	}
	return terminal.List(t, []terminal.Column[vendorapi.Asked]{
		{
			Name: "code", Title: "ANSWER", Text: func(a vendorapi.Asked) string { return a.Code },
			Color: func(a vendorapi.Asked) terminal.Color {
				if a.Code == codeOK {
					return terminal.Good
				}
				return terminal.Bad
			},
		},
		{Name: "count", Title: "TIMES", Text: func(a vendorapi.Asked) string { return strconv.Itoa(a.Count) }},
		{
			Name: "last", Title: "LAST", Text: func(a vendorapi.Asked) string { return instantText(a.Last) },
			People: func(a vendorapi.Asked) string { return instantForPeople(a.Last, now) },
		},
		{Name: "device", Title: "DEVICE", Text: func(a vendorapi.Asked) string { return a.Device }},
	}, listed(a.Asked))
}

// activityQuery is one of CloudWatch Logs Insights
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html). The id is one that holds no quotes.
const activityQuery = `filter msg = "request" and route = "` + verifyRoute + `" and licenseid = "%s"
| stats count(*) as times, max(@timestamp) as latest by code, device
| sort latest desc
| limit 1000`

// The patience for a query. It reads all logs of the time, so that it takes a while.
const (
	queryTimeout = 2 * time.Minute
	queryPause   = time.Second
)

func (c activityCommand) query(ctx context.Context, licenseID string, now time.Time) (a vendorapi.Activity, err error) {
	if !license.IsUUID(licenseID) {
		return a, usageError("The id of the license is no UUID; look for %q in the log group %s by hand.",
			licenseID, c.LogGroup)
	}
	cfg, err := awsConfig(ctx)
	if err != nil {
		return a, err
	}
	client := cloudwatchlogs.NewFromConfig(cfg)
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	since := now.AddDate(0, 0, -c.Days)
	started, err := client.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{
		LogGroupName: &c.LogGroup, QueryString: aws.String(fmt.Sprintf(activityQuery, licenseID)),
		StartTime: aws.Int64(since.Unix()), EndTime: aws.Int64(now.Unix()),
	})
	if err != nil {
		return a, fmt.Errorf("query of the log group %s: %w", c.LogGroup, err)
	}
	rows, err := queryResults(ctx, client, started.QueryId)
	if err != nil {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), queryPause)
		defer cancel()
		_, errStop := client.StopQuery(stopping, &cloudwatchlogs.StopQueryInput{QueryId: started.QueryId})
		return a, errors.Join(err, errStop)
	}
	asked, err := readRows(rows)
	return newActivity(licenseID, since, asked), err
}

func queryResults(
	ctx context.Context, client *cloudwatchlogs.Client, id *string,
) (rows [][]types.ResultField, err error) {
	for {
		results, err := client.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: id})
		if err != nil {
			return nil, fmt.Errorf("results of the query: %w", err)
		}
		switch results.Status {
		case types.QueryStatusComplete:
			return results.Results, nil
		case types.QueryStatusScheduled, types.QueryStatusRunning:
		default:
			return nil, fmt.Errorf("the query of the logs has ended as %s; try again, with fewer --days",
				results.Status)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the query of the logs takes too long; try again, with fewer --days: %w", ctx.Err())
		case <-time.After(queryPause):
		}
	}
}

// parseQueryTime reads an instant of Logs Insights: a time in UTC or, as what was computed, Unix milliseconds.
func parseQueryTime(text string) (vendorapi.Instant, error) {
	if millis, err := strconv.ParseFloat(text, 64); err == nil {
		return vendorapi.Instant{Time: time.UnixMilli(int64(millis)).UTC()}, nil
	}
	at, err := time.Parse("2006-01-02 15:04:05.000", text)
	return vendorapi.Instant{Time: at}, err
}

func readRows(rows [][]types.ResultField) (asked []vendorapi.Asked, err error) {
	asked = make([]vendorapi.Asked, 0, len(rows))
	for _, row := range rows {
		fields := map[string]string{}
		for _, field := range row {
			fields[strings.TrimPrefix(aws.ToString(field.Field), "@")] = aws.ToString(field.Value)
		}
		count, errCount := strconv.Atoi(fields["times"])
		last, errTime := parseQueryTime(fields["latest"])
		if errCount != nil || errTime != nil {
			return nil, fmt.Errorf("a result of the query cannot be read: %v", fields)
		}
		asked = append(asked, vendorapi.Asked{
			Code: fields["code"], Device: fields["device"], Count: count, Last: last,
		})
	}
	return asked, nil
}
