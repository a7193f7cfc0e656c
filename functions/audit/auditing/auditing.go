// Package auditing answers the license table's stream: it records each change in the audit trail.
package auditing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/telemetry"
)

// Auditor records the changes that a batch of stream records tells of.
type Auditor struct {
	Recorder    audit.Recorder // its Store and Gap are called concurrently
	Concurrency int            // how many licenses are recorded at once; DefaultConcurrency unless set
	Log         *slog.Logger
}

// DefaultConcurrency is the number of connections that the AWS SDK keeps open to one host. More at once would
// make new ones all the time.
const DefaultConcurrency = 10

// answerReserve is kept back of the invocation's time. A function that is cut off answers nothing, and its whole batch
// comes again; this way, what is left when DynamoDB is slow is reported as failed, and what was recorded is done with.
const answerReserve = 5 * time.Second

// Handle returns which records have to come again. Lambda takes the lowest of them as the new beginning
// (https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html), so records
// behind it come twice, and the Recorder knows them. Licenses are recorded side by side, the records of each in their
// order. A license whose record failed is left alone for the rest of the batch, or its entries would be out of order;
// other licenses go on. The error is always nil.
func (a Auditor) Handle(ctx context.Context, batch events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerReserve))
		defer cancel()
	}
	var gaps atomic.Int64
	a.Recorder.OnGap = func(ctx context.Context, e audit.Entry) {
		gaps.Add(1)
		a.logGap(ctx, e)
	}
	failed := make([]bool, len(batch.Records)) // each lane writes only where its own records stand
	a.inLanes(batch.Records, func(lane []int) {
		var earlier error
		for _, i := range lane {
			err := earlier
			if err == nil {
				err = a.record(ctx, batch.Records[i])
			}
			if err == nil {
				continue
			}
			if errors.Is(err, audit.ErrHead) {
				gaps.Add(1)
			}
			failed[i], earlier = true, errEarlierFailed
			a.logFailure(ctx, batch.Records[i], err)
		}
	})
	response := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	for i, record := range batch.Records {
		if failed[i] {
			response.BatchItemFailures = append(response.BatchItemFailures,
				events.DynamoDBBatchItemFailure{ItemIdentifier: record.Change.SequenceNumber})
		}
	}
	attrs := []slog.Attr{
		slog.Int("records", len(batch.Records)),
		slog.Int("failed", len(response.BatchItemFailures)),
	}
	if n := int(gaps.Load()); n > 0 {
		attrs = append(attrs, telemetry.CountMetric(time.Now(), "audit", telemetry.GapsKey, n)...)
	}
	a.Log.LogAttrs(ctx, slog.LevelInfo, "batch", attrs...)
	return response, nil
}

// inLanes calls do for each license with the places of its records, in their order, for Concurrency licenses at once.
// A record that names no license has a lane of its own. inLanes returns when all calls have.
func (a Auditor) inLanes(records []events.DynamoDBEventRecord, do func(lane []int)) {
	var lanes [][]int
	laneOf := map[string]int{}
	for i, record := range records {
		id, named := licenseID(record)
		n, begun := laneOf[id]
		if !named || !begun {
			n = len(lanes)
			laneOf[id] = n
			lanes = append(lanes, nil)
		}
		lanes[n] = append(lanes[n], i)
	}
	waiting := make(chan []int)
	var workers sync.WaitGroup
	for range min(cmp.Or(a.Concurrency, DefaultConcurrency), len(lanes)) {
		workers.Go(func() {
			for lane := range waiting {
				do(lane)
			}
		})
	}
	for _, lane := range lanes {
		waiting <- lane
	}
	close(waiting)
	workers.Wait()
}

func (a Auditor) logFailure(ctx context.Context, record events.DynamoDBEventRecord, err error) {
	id, _ := licenseID(record)
	a.Log.LogAttrs(ctx, slog.LevelError, "record",
		slog.String("eventid", record.EventID),
		slog.String("sequencenumber", record.Change.SequenceNumber),
		slog.String("licenseid", id),
		slog.String("error", err.Error()))
}

// logGap: someone has to find out what became of the change before this one, or what held this one back.
func (a Auditor) logGap(ctx context.Context, e audit.Entry) {
	a.Log.LogAttrs(ctx, slog.LevelError, "gap",
		slog.String("licenseid", e.LicenseID),
		slog.Int64("sequence", e.Sequence),
		slog.Bool("late", e.Late),
		slog.String("eventid", e.EventID),
		slog.String("sequencenumber", e.SequenceNumber))
}

var errEarlierFailed = errors.New("an earlier record of this license failed")

// record makes a panic an error, so that it ends neither the other lanes nor the function.
func (a Auditor) record(ctx context.Context, record events.DynamoDBEventRecord) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	id, named := licenseID(record)
	if !named {
		return errors.New("keys: no licenseid")
	}
	event, err := toEvent(id, record)
	if err != nil {
		return err
	}
	return a.Recorder.Record(ctx, event)
}

// licenseID returns the id of the record's license, if it has one that names a chain.
func licenseID(record events.DynamoDBEventRecord) (id string, named bool) {
	key := record.Change.Keys["licenseid"]
	if key.DataType() != events.DataTypeString || key.String() == "" {
		return "", false
	}
	return key.String(), true
}

func toEvent(licenseID string, record events.DynamoDBEventRecord) (event audit.Event, err error) {
	event = audit.Event{
		ID:             record.EventID,
		SequenceNumber: record.Change.SequenceNumber,
		Time:           record.Change.ApproximateCreationDateTime.Time,
		LicenseID:      licenseID,
		TimeToLive:     isTimeToLive(record),
	}
	if event.Old, err = toMap(record.Change.OldImage); err != nil {
		return event, fmt.Errorf("old image: %w", err)
	}
	if event.New, err = toMap(record.Change.NewImage); err != nil {
		return event, fmt.Errorf("new image: %w", err)
	}
	if event.Old == nil && event.New == nil {
		return event, errors.New("no image: the stream must be of NEW_AND_OLD_IMAGES")
	}
	return event, nil
}

// isTimeToLive tells whether the service itself removed the item because its time had come
// (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html).
func isTimeToLive(record events.DynamoDBEventRecord) bool {
	return record.EventName == string(events.DynamoDBOperationTypeRemove) && record.UserIdentity != nil &&
		record.UserIdentity.Type == "Service" && record.UserIdentity.PrincipalID == audit.TimeToLiveActor
}

// toMap answers nil for an image that is absent.
func toMap(image map[string]events.DynamoDBAttributeValue) (attribute.Map, error) {
	if len(image) == 0 {
		return nil, nil
	}
	converted := make(attribute.Map, len(image))
	for name, value := range image {
		v, err := toValue(value)
		if err != nil {
			return nil, fmt.Errorf("attribute %q: %w", name, err)
		}
		converted[name] = v
	}
	return converted, nil
}

// toValue asks for the type first: the accessors of events.DynamoDBAttributeValue panic on another.
func toValue(value events.DynamoDBAttributeValue) (any, error) {
	switch value.DataType() {
	case events.DataTypeString:
		return value.String(), nil
	case events.DataTypeNumber:
		return attribute.Number(value.Number()), nil
	case events.DataTypeBinary:
		return value.Binary(), nil
	case events.DataTypeBoolean:
		return value.Boolean(), nil
	case events.DataTypeNull:
		return nil, nil
	case events.DataTypeStringSet:
		return attribute.StringSet(value.StringSet()), nil
	case events.DataTypeNumberSet:
		return toNumberSet(value.NumberSet()), nil
	case events.DataTypeBinarySet:
		return attribute.BinarySet(value.BinarySet()), nil
	case events.DataTypeMap:
		m, err := toMap(value.Map())
		if m == nil {
			m = attribute.Map{}
		}
		return m, err
	case events.DataTypeList:
		list := make([]any, len(value.List()))
		for i, element := range value.List() {
			v, err := toValue(element)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	default:
		return nil, fmt.Errorf("unknown type %d", value.DataType())
	}
}

func toNumberSet(texts []string) attribute.NumberSet {
	set := make(attribute.NumberSet, len(texts))
	for i, text := range texts {
		set[i] = attribute.Number(text)
	}
	return set
}
