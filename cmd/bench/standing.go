//go:build unix

package main

import (
	"fmt"

	"openlicenser/functions/checkpoint/checkpointing"
	"openlicenser/shared/audit"
	"openlicenser/shared/testing/samtemplate"
)

// Prices of a month, in dollars, us-east-1, November 2026.
const (
	perReadCapacity  = 0.00013 * hoursOfMonth // DynamoDB (https://aws.amazon.com/dynamodb/pricing/provisioned/)
	perWriteCapacity = 0.00065 * hoursOfMonth
	perAlarmMetric   = 0.10 // CloudWatch (https://aws.amazon.com/cloudwatch/pricing/)
	perMetric        = 0.30
	perDashboard     = 3.00
	perKey           = 1.00 // KMS (https://aws.amazon.com/kms/pricing/)
	perSecret        = 0.40 // Secrets Manager (https://aws.amazon.com/secrets-manager/pricing/)
	perWebACL        = 5.00 // AWS WAF (https://aws.amazon.com/waf/pricing/)
	perWebACLRule    = 1.00
	perEdSignature   = 15e-6 // KMS, ECC
	perStoredObject  = 5e-6  // S3, a PUT

	// alarmsOfScaling are those that auto scaling makes for the reads or the writes of a table or an index: AlarmHigh,
	// AlarmLow, ProvisionedCapacityHigh and ProvisionedCapacityLow.
	alarmsOfScaling = 4

	// metricsOfMapping are those of an event source mapping with the metrics EventCount.
	metricsOfMapping = 7
)

// A checkpoint of so many licenses of so many KB, made every hour, is on the bill of a stack that nobody asks. How long
// it takes on Lambda is an estimate.
const (
	licensesOfCheckpoint = 1000
	kilobytesOfLicense   = 1
	secondsOfCheckpoint  = 2
	objectsOfCheckpoint  = 2 // where nothing has changed
)

// ownMetrics are the metrics of ours that come where all is well.
var ownMetrics = []string{checkpointing.CheckpointsKey}

// standing returns what a stack costs in a month in which nobody asks for anything, without its dashboard.
func standing(t *samtemplate.Template) ([]line, error) {
	capacity, err := capacityOf(t)
	if err != nil {
		return nil, err
	}
	keys, err := count(t, "AWS::KMS::Key", "AWS::KMS::ReplicaKey")
	if err != nil {
		return nil, err
	}
	secrets, err := count(t, "AWS::SecretsManager::Secret")
	if err != nil {
		return nil, err
	}
	alarms, read, err := alarmsOf(t)
	if err != nil {
		return nil, err
	}
	metrics, err := metricsOf(t)
	if err != nil {
		return nil, err
	}
	hourly, err := checkpoints(t, capacity.scaling == 0)
	if err != nil {
		return nil, err
	}
	least := capacity.reads*perReadCapacity + capacity.writes*perWriteCapacity
	return []line{
		newLine(least, "$0.00013 and $0.00065 an hour",
			"the license table and its indexes at their least: %g read units, %g write units",
			capacity.reads, capacity.writes),
		newLine(float64(alarmsOfScaling*capacity.scaling)*perAlarmMetric, "$0.10 each",
			"auto scaling's alarms, %d for each of the %d capacities that scale", alarmsOfScaling, capacity.scaling),
		newLine(float64(keys)*perKey, "$1.00 each", "KMS keys, %d", keys),
		newLine(float64(secrets)*perSecret, "$0.40 each", "secrets, %d", secrets),
		newLine(float64(read)*perAlarmMetric, "$0.10 for each metric",
			"alarms, %d, which read %d metrics", alarms, read),
		newLine(float64(metrics)*perMetric, "$0.30 each", "custom metrics that come where all is well, %d", metrics),
		hourly,
	}, nil
}

func count(t *samtemplate.Template, types ...string) (n int, err error) {
	for _, name := range types {
		ids, err := t.Of(name)
		if err != nil {
			return 0, err
		}
		n += len(ids)
	}
	return n, nil
}

// capacity is what is provisioned at the least, of tables and indexes.
type capacity struct {
	reads, writes float64
	scaling       int // how many of them scale
}

func capacityOf(t *samtemplate.Template) (c capacity, err error) {
	for _, name := range []string{"AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"} {
		ids, err := t.Of(name)
		if err != nil {
			return c, err
		}
		for _, id := range ids {
			properties, err := t.Properties(id)
			if err != nil {
				return c, err
			}
			c.add(properties)
		}
	}
	return c, nil
}

func (c *capacity) add(properties map[string]any) {
	samtemplate.Walk(properties, func(_ []string, value any) {
		units := func(names ...string) float64 {
			n, _ := number(samtemplate.At(value, names...))
			return n
		}
		reads, writes := "ReadCapacityAutoScalingSettings", "WriteCapacityAutoScalingSettings"
		c.reads += units("ReadCapacityUnits") + units(reads, "MinCapacity")
		c.writes += units("WriteCapacityUnits") + units(writes, "MinCapacity")
		for _, scales := range []string{reads, writes} {
			if samtemplate.At(value, scales) != nil {
				c.scaling++
			}
		}
	})
}

// alarmsOf returns how many alarms there are, and how many metrics they read.
func alarmsOf(t *samtemplate.Template) (alarms, read int, err error) {
	ids, err := t.Of("AWS::CloudWatch::Alarm")
	if err != nil {
		return 0, 0, err
	}
	for _, id := range ids {
		metrics, err := t.Property(id, "Metrics")
		if err != nil {
			return 0, 0, err
		}
		list, isList := metrics.([]any)
		if !isList {
			read++
		}
		for _, metric := range list {
			if samtemplate.At(metric, "MetricStat") != nil { // else it is computed from others
				read++
			}
		}
	}
	return len(ids), read, nil
}

// metricsOf returns how many custom metrics come where all is well: those of ours, those of filters that count zeros,
// and those of event source mappings.
func metricsOf(t *samtemplate.Template) (n int, err error) {
	n = len(ownMetrics)
	filters, err := t.Of("AWS::Logs::MetricFilter")
	if err != nil {
		return 0, err
	}
	for _, id := range filters {
		made, err := t.Property(id, "MetricTransformations")
		if err != nil {
			return 0, err
		}
		list, _ := made.([]any)
		for _, metric := range list {
			if samtemplate.At(metric, "DefaultValue") != nil {
				n++
			}
		}
	}
	functions, err := t.Of("AWS::Serverless::Function")
	if err != nil {
		return 0, err
	}
	for _, id := range functions {
		events, err := t.Property(id, "Events")
		if err != nil {
			return 0, err
		}
		samtemplate.Walk(events, func(_ []string, value any) {
			if samtemplate.At(value, "MetricsConfig") != nil {
				n += metricsOfMapping
			}
		})
	}
	return n, nil
}

// checkpoints returns what a month's checkpoints cost. The license table is read by its own capacity, unless it is on
// demand. Twice in a run, the heads of each bucket are listed by an index, which takes half a unit or more.
func checkpoints(t *samtemplate.Template, isOnDemand bool) (line, error) {
	property, err := t.Property("CheckpointFunction", "MemorySize")
	if err != nil {
		return line{}, err
	}
	megabytes, err := number(property)
	if err != nil {
		return line{}, fmt.Errorf("CheckpointFunction.MemorySize: %w", err)
	}
	run := perRequest + secondsOfCheckpoint*megabytes/1024*perGigabyteSec +
		2*audit.Buckets*0.5*perReadUnit + perEdSignature + objectsOfCheckpoint*perStoredObject + perTrace
	if isOnDemand {
		run += licensesOfCheckpoint * kilobytesOfLicense / 8.0 * perReadUnit
	}
	return newLine(run*hoursOfMonth, "", "a checkpoint every hour, of %d licenses of %d KB, an estimate: "+
		"Lambda for %d s, DynamoDB, KMS, S3, X-Ray", licensesOfCheckpoint, kilobytesOfLicense, secondsOfCheckpoint), nil
}
