package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
	"openlicenser/shared/bootstrap"
	"openlicenser/shared/device"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/testing/telemetrytest"
	"openlicenser/shared/token"
)

// seating is a license with seats on DynamoDB Local, and instances of the function that serve it, wired as in Lambda.
type seating struct {
	t         *testing.T
	license   license.License
	key       string
	devices   *dynamo.Devices
	instances []api.Router
}

// instances of the function. They share the tables, and nothing else.
const instances = 8

func newSeating(t *testing.T, maxDevices int, now func() time.Time) *seating {
	t.Helper()
	endpoint := awstest.Need(t, awstest.DynamoDBVariable)
	client := dynamodb.NewFromConfig(awstest.Config(endpoint))
	table := func(id string) string { return aws.ToString(awstest.NewTable(t, client, id).TableName) }
	e := environment{
		LicenseTable: table("LicenseTable"), SignatureTable: table("SignatureTable"), DeviceTable: table("DeviceTable"),
		LicenseKeySecret: "secret", TokenKey: "alias/token", Issuer: "Test", TokenLifetimeDays: 90,
	}
	l := licensetest.Issue(t)
	l, err := l.Patch(license.Patch{MaxDevices: &maxDevices, LeaseMinutes: new(10)}, licensetest.Change(""))
	if err != nil {
		t.Fatal(err)
	}
	if err := dynamo.NewLicenses(client, e.LicenseTable, "references").Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	secret := token.NewSecret()
	key, err := token.SignLicenseKey(secret, "Test", l)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := bootstrap.AWSConfig(t.Context(), config.WithBaseEndpoint(startCloud(t, endpoint, secret)),
		config.WithRegion(awstest.Region),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
	if err != nil {
		t.Fatal(err)
	}
	s := &seating{t: t, license: l, key: key, devices: dynamo.NewDevices(client, e.DeviceTable)}
	for range instances {
		var verifier verification.Verifier
		if verifier, err = newVerifier(e, cfg); err != nil {
			t.Fatal(err)
		}
		verifier.Now, verifier.Log = now, telemetrytest.Log
		s.instances = append(s.instances, verifier.Router())
	}
	return s
}

// startCloud returns the URL of an AWS of DynamoDB Local, one key and one secret.
func startCloud(t *testing.T, dynamoDB string, secret token.Secret) string {
	t.Helper()
	target, err := url.Parse(dynamoDB)
	if err != nil {
		t.Fatal(err)
	}
	keys := kmstest.New(time.Now)
	if _, err := keys.AddRSA("alias/token"); err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch operation := r.Header.Get("X-Amz-Target"); {
		case strings.HasPrefix(operation, "DynamoDB_"):
			proxy.ServeHTTP(w, r)
		case strings.HasPrefix(operation, "TrentService."):
			keys.ServeHTTP(w, r)
		default:
			fmt.Fprintf(w, `{"SecretString":"{\"key\":\"%s\"}"}`, string(secret))
		}
	}))
	t.Cleanup(cloud.Close)
	return cloud.URL
}

// ask returns the response of an instance, and its code.
func (s *seating) ask(instance int, route, fingerprint string) (status int, code, authorization string) {
	body, err := json.Marshal(map[string]string{"licensekey": s.key, "fingerprint": fingerprint})
	if err != nil {
		s.t.Error(err)
	}
	event := events.APIGatewayProxyRequest{HTTPMethod: http.MethodPost, Resource: route, Body: string(body)}
	response, err := s.instances[instance%instances].Invoke(s.t.Context(), apitest.Event(event))
	if err != nil {
		s.t.Error(err)
	}
	var said struct{ Error, Message string }
	if response.Body != "" {
		if err := json.Unmarshal([]byte(response.Body), &said); err != nil {
			s.t.Error(err)
		}
	}
	return response.StatusCode, said.Error, said.Message
}

// verify returns the end of the token that a device gets, and zero where it is refused.
func (s *seating) verify(instance int, fingerprint string) (ends time.Time) {
	status, code, authorization := s.ask(instance, "/verify-license", fingerprint)
	if status == http.StatusBadRequest && code == "DEVICE_LIMIT_REACHED" {
		return ends
	}
	if status != http.StatusOK {
		s.t.Errorf("%s: %d %s", fingerprint, status, code)
		return ends
	}
	var claims struct {
		Device string `json:"device"`
		Exp    int64  `json:"exp"`
	}
	parsed, err := jwt.ParseSigned(authorization, []jose.SignatureAlgorithm{jose.RS256})
	if err == nil {
		err = parsed.UnsafeClaimsWithoutVerification(&claims)
	}
	if err != nil || claims.Device != device.ID(s.license.ID, fingerprint) {
		s.t.Errorf("%s: %+v, %v", fingerprint, claims, err)
	}
	return time.Unix(claims.Exp, 0)
}

func fingerprint(n int) string { return fmt.Sprintf("fingerprint-%d", n) }

// TestRaces: of devices that ask for a seat in the same moment, exactly as many get one as there are.
func TestRaces(t *testing.T) {
	for _, test := range []struct{ requests, devices, limit, tokens, seats int }{
		{64, 64, 10, 10, 10},
		{40, 40, 1, 1, 1},
		{30, 30, 30, 30, 30},
		{40, 1, 1, 40, 1},
		{40, 1, 10, 40, 1},
		{60, 20, 10, 30, 10},      // each three times
		{150, 150, 150, 150, 150}, // a class that begins
	} {
		name := fmt.Sprintf("%d by %d devices for %d", test.requests, test.devices, test.limit)
		t.Run(name, func(t *testing.T) {
			s := newSeating(t, test.limit, time.Now)
			var tokens atomic.Int32
			var all sync.WaitGroup
			start := make(chan struct{})
			for n := range test.requests {
				all.Go(func() {
					<-start
					if !s.verify(n, fingerprint(n%test.devices)).IsZero() {
						tokens.Add(1)
					}
				})
			}
			close(start)
			all.Wait()
			seats, err := s.devices.Seats(t.Context(), s.license.ID)
			if err != nil {
				t.Fatal(err)
			}
			if int(tokens.Load()) != test.tokens || len(seats.Held) != test.seats {
				t.Errorf("%d tokens, %d seats", tokens.Load(), len(seats.Held))
			}
		})
	}
}

// tenure is when a device has a token, from the moment it left.
type tenure struct {
	device      int
	from, until time.Time
}

// TestSoak: devices come and go, renew, give back and take over, while the clock runs. At no instant have more of them
// a token than there are seats. What was given back does not count.
func TestSoak(t *testing.T) {
	const devices, limit, turns = 16, 4, 40
	begun := time.Now().Truncate(time.Second)
	var elapsed atomic.Int64
	now := func() time.Time { return begun.Add(time.Duration(elapsed.Load())) }
	s := newSeating(t, limit, now)
	var mu sync.Mutex
	var held []tenure
	var refused, released atomic.Int32
	var all sync.WaitGroup
	for n := range devices {
		all.Go(func() {
			var own []tenure // which it has not given back
			for range turns {
				elapsed.Add(rand.Int64N(int64(4 * time.Second)))
				if rand.IntN(8) == 0 {
					at := now()
					status, code, _ := s.ask(rand.IntN(instances), "/release-device", fingerprint(n))
					switch {
					case status == http.StatusNoContent:
						for i := range own {
							if own[i].until.After(at) {
								own[i].until = at
								released.Add(1)
							}
						}
					case code != "RELEASE_LIMIT_REACHED":
						t.Errorf("release: %d %s", status, code)
					}
					continue
				}
				until := s.verify(rand.IntN(instances), fingerprint(n))
				if until.IsZero() {
					refused.Add(1)
					elapsed.Add(rand.Int64N(int64(20 * time.Second)))
					continue
				}
				own = append(own, tenure{n, now(), until})
			}
			mu.Lock()
			defer mu.Unlock()
			held = append(held, own...)
		})
	}
	all.Wait()
	seated := map[int]bool{}
	for _, h := range held {
		seated[h.device] = true
		valid := map[int]bool{}
		for _, other := range held {
			if !other.from.After(h.from) && other.until.After(h.from) {
				valid[other.device] = true
			}
		}
		if len(valid) > limit {
			t.Fatalf("%v after the beginning, %d devices have tokens", h.from.Sub(begun), len(valid))
		}
	}
	t.Logf("%v: %d tokens for %d devices, %d refusals, %d released", time.Duration(elapsed.Load()), len(held),
		len(seated), refused.Load(), released.Load())
	if len(seated) <= limit || refused.Load() == 0 || released.Load() == 0 || now().Sub(begun) < 20*time.Minute {
		t.Error("too little has happened")
	}
}
