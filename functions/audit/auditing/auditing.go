// Package auditing answers the license table's stream: it records each change in the audit trail.
package auditing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/telemetry"
)

// Auditor records the changes that a batch of stream records tells of.
type Auditor struct {
	Recorder audit.Recorder
	Log      *slog.Logger
}

// answerReserve is kept back of the invocation's time. A function that is cut off answers nothing, and its whole batch
// comes again; this way, what is left when DynamoDB is slow is reported as failed, and what was recorded is done with.
const answerReserve = 5 * time.Second

// Handle answers which records have to come again. Lambda takes the lowest of them as the new beginning
// (https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html), so records
// behind it come twice, and the Recorder knows them. A license whose record failed is left alone for the
// rest of the batch, or its entries would be out of order; other licenses go on. The error is always nil.
func (a Auditor) Handle(ctx context.Context, batch events.DynamoDBEvent) (events.DynamoDBEventResponse, error) {
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerReserve))
		defer cancel()
	}
	gaps := 0
	a.Recorder.Gap = func(ctx context.Context, e audit.Entry) {
		gaps++
		a.logGap(ctx, e)
	}
	response := events.DynamoDBEventResponse{BatchItemFailures: []events.DynamoDBBatchItemFailure{}}
	failed := map[string]bool{}
	for _, record := range batch.Records {
		id, err := a.record(ctx, record, failed)
		if err == nil {
			continue
		}
		failed[id] = true
		if errors.Is(err, audit.ErrHead) {
			gaps++
		}
		response.BatchItemFailures = append(response.BatchItemFailures,
			events.DynamoDBBatchItemFailure{ItemIdentifier: record.Change.SequenceNumber})
		a.Log.LogAttrs(ctx, slog.LevelError, "record",
			slog.String("eventid", record.EventID),
			slog.String("sequencenumber", record.Change.SequenceNumber),
			slog.String("licenseid", id),
			slog.String("error", err.Error()))
	}
	attrs := []slog.Attr{
		slog.Int("records", len(batch.Records)),
		slog.Int("failed", len(response.BatchItemFailures)),
	}
	if gaps > 0 {
		attrs = append(attrs, telemetry.CountMetric(time.Now(), "audit", telemetry.GapsKey, gaps)...)
	}
	a.Log.LogAttrs(ctx, slog.LevelInfo, "batch", attrs...)
	return response, nil
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

func (a Auditor) record(ctx context.Context, record events.DynamoDBEventRecord, failed map[string]bool) (licenseID string, err error) {
	defer func() { // licenseID is set by then: after a panic, too, the license is left alone
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	key := record.Change.Keys["licenseid"]
	if key.DataType() != events.DataTypeString || key.String() == "" {
		return "", errors.New("keys: no licenseid")
	}
	licenseID = key.String()
	if failed[licenseID] {
		return licenseID, errEarlierFailed
	}
	event, err := toEvent(licenseID, record)
	if err != nil {
		return licenseID, err
	}
	return licenseID, a.Recorder.Record(ctx, event)
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
