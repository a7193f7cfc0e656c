//go:build unix

package main

import "math"

// Prices in dollars, us-east-1, November 2026.
const (
	perRequest       = 0.20e-6       // Lambda (https://aws.amazon.com/lambda/pricing/)
	perGigabyteSec   = 0.0000133334  // Lambda on arm64
	perReadUnit      = 0.125e-6      // DynamoDB on demand (https://aws.amazon.com/dynamodb/pricing/on-demand/)
	perWriteUnit     = 0.625e-6      //
	perSignature     = 3e-6          // KMS, RSA_2048 (https://aws.amazon.com/kms/pricing/)
	original         = 8.40          // a million verifications of the original, without the gateway
	reusedOf         = 9             // days that a token is reused by default, and so verifications by one signature
	costTarget       = original / 10 //
	consistentUnits  = 1             // a strongly consistent read of up to 4 KB
	signatureUnits   = 0.5           // an eventually consistent one
	keptSignatureSum = 1             // a write of up to 1 KB
)

// price maps operations to the cost of one call, without the function's own time.
var price = map[string]float64{
	"GetItem":      consistentUnits * perReadUnit,
	"BatchGetItem": (consistentUnits + signatureUnits) * perReadUnit,
	"PutItem":      keptSignatureSum * perWriteUnit,
	"Sign":         perSignature,
}

// cost is the cost of one verification, in its parts.
type cost struct{ requests, duration, dynamoDB, kms float64 }

func (c cost) sum() float64 { return c.requests + c.duration + c.dynamoDB + c.kms }

// costOf returns the cost of a verification by a function with so much memory.
func costOf(r result, megabytes float64) cost {
	c := cost{requests: perRequest, duration: billed(r.warm) * megabytes / 1024 * perGigabyteSec}
	for name, calls := range r.calls {
		part := price[name] * float64(calls) / float64(len(r.warm))
		if name == "Sign" {
			c.kms += part
		} else {
			c.dynamoDB += part
		}
	}
	return c
}

// billed returns the mean of durations in seconds, each rounded up to a millisecond as Lambda does.
func billed(durations []float64) float64 {
	var sum float64
	for _, d := range durations {
		sum += math.Ceil(d*1000) / 1000
	}
	return sum / float64(len(durations))
}

// fleet returns the cost if one installation verifies each license once a day. Then one verification of nine is signed.
func fleet(reused, signed cost) cost {
	mix := func(reused, signed float64) float64 { return (reused*(reusedOf-1) + signed) / reusedOf }
	return cost{
		mix(reused.requests, signed.requests), mix(reused.duration, signed.duration),
		mix(reused.dynamoDB, signed.dynamoDB), mix(reused.kms, signed.kms),
	}
}
