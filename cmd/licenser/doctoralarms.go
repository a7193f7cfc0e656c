package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"openlicenser/shared/telemetry"
)

// alarmSettles is how long a new alarm may lack data. All alarms of the stack say what missing data means, so that one
// that was evaluated has a state.
const alarmSettles = 15 * time.Minute

// alarms wants no alarm to sound, and each to reach somebody.
func (d *doctor) alarms(ctx context.Context) {
	const check = "alarms"
	of, known := d.resourcesOf(check, "AWS::CloudWatch::Alarm")
	if !known || len(of) == 0 {
		return
	}
	out, err := cloudwatch.NewFromConfig(d.cfg).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{
		AlarmNames: mapped(of, func(r resource) string { return r.name }), // at most 100
		MaxRecords: aws.Int32(100),
	})
	if err != nil {
		d.on(check).untried(err)
		return
	}
	described := map[string]types.MetricAlarm{}
	for _, alarm := range out.MetricAlarms {
		described[aws.ToString(alarm.AlarmName)] = alarm
	}
	before := len(d.rows)
	var topics []string
	for _, r := range of {
		alarm, exists := described[r.name]
		f := d.on("alarm", r.logicalID)
		if !exists {
			f.toDo("ALARM_GONE", "it is not there any more", "Find out who has removed it, behind the back of the "+
				"stack, and bring it back: an update of the stack does not.")
			continue
		}
		d.alarm(f, alarm)
		topics = append(topics, alarm.AlarmActions...)
	}
	if len(d.rows) == before {
		d.on(check).ok("%d: none sounds, each has an action", len(of))
	}
	slices.Sort(topics)
	for _, topic := range slices.Compact(topics) {
		if strings.Contains(topic, ":sns:") {
			d.topic(ctx, topic)
		}
	}
}

func (d *doctor) alarm(f finder, alarm types.MetricAlarm) {
	name, state := quoteForShell(aws.ToString(alarm.AlarmName)), alarm.StateValue
	switch {
	case len(alarm.AlarmActions) == 0:
		f.toDo("ALARM_WITHOUT_ACTION", "it has no action, so that nobody gets to know",
			"Give it the topic of the others; an update of the stack that changes AlarmTopicArn does.")
	case !aws.ToBool(alarm.ActionsEnabled):
		f.toDo("ALARM_WITHOUT_ACTION", "its actions are off, so that nobody gets to know", "Switch them on.",
			"aws cloudwatch enable-alarm-actions --alarm-names "+name)
	}
	changed := aws.ToTime(alarm.StateUpdatedTimestamp)
	if configured := aws.ToTime(alarm.AlarmConfigurationUpdatedTimestamp); configured.After(changed) {
		changed = configured
	}
	switch {
	case state == types.StateValueAlarm:
		f.toDo("ALARM_SOUNDS", "it sounds: "+aws.ToString(alarm.StateReason), aws.ToString(alarm.AlarmDescription))
	case state == types.StateValueInsufficientData && d.now().Sub(changed) > alarmSettles:
		f.toDo("ALARM_WITHOUT_DATA", "it has had no data since "+changed.UTC().Format(time.RFC3339)+
			", although it says what missing data means",
			"See whether its metrics and their dimensions are those that arrive.",
			"aws cloudwatch describe-alarms --alarm-names "+name)
	}
}

// topic wants somebody to read the alarms.
func (d *doctor) topic(ctx context.Context, arn string) {
	f := d.on("alarm topic")
	out, err := sns.NewFromConfig(d.cfg).GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &arn})
	if err != nil {
		f.untried(err)
		return
	}
	confirmed, pending := out.Attributes["SubscriptionsConfirmed"], out.Attributes["SubscriptionsPending"]
	isRead := confirmed != "" && confirmed != "0"
	switch {
	case isRead:
		f.ok("subscribers: %s", confirmed)
	case pending != "" && pending != "0":
		f.toDo("ALARMS_NOT_CONFIRMED", "nobody gets the alarms: subscriptions that wait for confirmation: "+pending,
			"Follow the link in the mail that the subscriber got.")
	default:
		f.toDo("ALARMS_NOT_READ", "nobody gets the alarms: the topic has no subscription",
			"Deploy with AlarmEmail, or subscribe.", "aws sns subscribe --topic-arn "+quoteForShell(arn)+
				" --protocol email --notification-endpoint you@example.com")
	}
}

// wantedMetric is a metric that has to be there by now.
type wantedMetric struct {
	what             string
	namespace, name  string
	dimensions       map[string]string
	afterRequestOnly bool // it is there once something was asked for
}

func (d *doctor) wantedMetrics() (wanted []wantedMetric) {
	if name := d.stack.named("CheckpointFunction"); name != "" && d.stack.parameters["CheckpointConcurrency"] != "0" {
		wanted = append(wanted, wantedMetric{
			"checkpoints", telemetry.Namespace, "AuditCheckpoints", map[string]string{telemetry.FunctionKey: name},
			false,
		})
	}
	return append(wanted, wantedMetric{
		"requests to the API", "AWS/ApiGateway", "Count",
		map[string]string{"ApiName": d.stack.name, "Stage": d.stack.parameters["Stage"]}, true,
	})
}

// metrics waits for the metrics that alarms and the dashboard read. Those of the functions come out of their logs.
func (d *doctor) metrics(ctx context.Context, isReadOnly bool) {
	const check = "metrics"
	if d.stack.resourcesErr != nil {
		d.on(check).untried(d.stack.resourcesErr)
		return
	}
	missing := d.wantedMetrics()
	if isReadOnly {
		missing = slices.DeleteFunc(missing, func(m wantedMetric) bool { return m.afterRequestOnly })
		d.on(check).leaveOut("--check verifies nothing, so those of requests were not waited for")
	}
	all, deadline := len(missing), time.Now().Add(d.wait)
	if !isReadOnly && all > 0 {
		d.say("Waiting for metrics, for up to %v. They take some minutes as a rule.", d.wait)
	}
	client := cloudwatch.NewFromConfig(d.cfg)
	for {
		var err error
		if missing, err = d.missing(ctx, client, missing); err != nil {
			d.on(check).untried(err)
			return
		}
		if len(missing) == 0 || isReadOnly || !sleep(ctx, metricPauses*d.pause, deadline) {
			break
		}
	}
	for _, m := range missing {
		if ctx.Err() == nil {
			d.on(check, m.name).toDo("METRIC_MISSING",
				fmt.Sprintf("no %s arrive (%s in %s)", m.what, m.name, m.namespace),
				"Run the command again with a longer --wait. Alarms on a metric that stays away never sound: see "+
					"whether the log of the function has records with _aws.")
		}
	}
	if len(missing) == 0 && all > 0 {
		d.on(check).ok("%d arrive", all)
	}
}

// metricPauses is how many pauses pass before another look at metrics, each of which is billed.
const metricPauses = 20

// metricPeriod is the period of the stack's alarms.
const metricPeriod = 300 // seconds

// missing returns those of the metrics that have no data yet.
func (d *doctor) missing(
	ctx context.Context, client *cloudwatch.Client, wanted []wantedMetric,
) (missing []wantedMetric, err error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	from := d.now().Add(-d.checkpointOverdue())
	var queries []types.MetricDataQuery
	for i, m := range wanted {
		metric := &types.Metric{Namespace: &m.namespace, MetricName: &m.name}
		for name, value := range m.dimensions {
			metric.Dimensions = append(metric.Dimensions, types.Dimension{Name: &name, Value: &value})
		}
		queries = append(queries, types.MetricDataQuery{
			Id: aws.String(metricID(i)),
			MetricStat: &types.MetricStat{
				Metric: metric, Stat: aws.String("Sum"), Period: aws.Int32(metricPeriod),
			},
		})
	}
	out, err := client.GetMetricData(ctx, &cloudwatch.GetMetricDataInput{
		StartTime: &from, EndTime: aws.Time(d.now().Add(time.Minute)), MetricDataQueries: queries,
	})
	if err != nil {
		return nil, err
	}
	arrived := map[string]bool{}
	for _, r := range out.MetricDataResults {
		arrived[aws.ToString(r.Id)] = slices.ContainsFunc(r.Values, func(v float64) bool { return v > 0 })
	}
	for i, m := range wanted {
		if !arrived[metricID(i)] {
			missing = append(missing, m)
		}
	}
	return missing, nil
}

func metricID(i int) string { return fmt.Sprint("m", i) }
