package main

import (
	"bytes"
	"encoding/csv"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/embedded"
	"openlicenser/shared/lambdatest"
	"openlicenser/shared/license/licensetest"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
)

// TestKeys goes the way of a secret that leaked, beside a server that is running: rotate, list, send other keys, retire.
func TestKeys(t *testing.T) {
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	leaked, err := folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := licensetest.Issue(t)
	if err := folder.Licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	oldKey, err := token.SignLicenseKey(leaked.Current, "Test Issuer", l)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(serveCommand{Issuer: "Test Issuer"}.gateway(folder, checkpoints{}, time.Hour, "test", telemetry.NewLogger(io.Discard)))
	defer server.Close()

	var out bytes.Buffer
	place := ringPlace{Data: path, out: &out}
	if err := (rotateKeysCommand{ringPlace: place}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 4 || !strings.Contains(lines[1], "accepted, signs from") ||
		!strings.HasPrefix(lines[2], leaked.Current.KeyID()+"  signs ") || strings.Contains(out.String(), string(leaked.Current)) {
		t.Errorf("printed\n%s", &out)
	}

	date := time.Now().UTC().Add(time.Hour).Truncate(time.Millisecond)
	if err := (retireKeyCommand{KeyID: leaked.Current.KeyID(), From: date.Format(time.RFC3339Nano), ringPlace: place}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	affected := affectedKeysCommand{KeyID: leaked.Current.KeyID(), LicenseKeys: true, vendorAPI: vendorAPI{server.URL}, ringPlace: place}
	if err := affected.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != l.ID || rows[1][3] != l.CustomerName {
		t.Fatalf("listed %v, %v", rows, err)
	}
	newKey := rows[1][5]

	ring, err := folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key string
		at  time.Time
		ok  bool
	}{
		"the old key before the date": {oldKey, date.Add(-time.Millisecond), true},
		"the old key from the date":   {oldKey, date, false},
		"the new key":                 {newKey, date, true},
	} {
		if id, err := token.ReadLicenseKey(ring, test.key, test.at); (err == nil) != test.ok || test.ok && id != l.ID {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

// TestKeysRefused: what cannot be done changes nothing.
func TestKeysRefused(t *testing.T) {
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	before, err := embedded.ReadRing(path)
	if err != nil {
		t.Fatal(err)
	}
	place := ringPlace{Data: path, out: io.Discard}
	for name, command := range map[string]func(*testing.T) error{
		"the newest secret": func(t *testing.T) error {
			return retireKeyCommand{KeyID: before.Current.KeyID(), From: "2030-01-01", ringPlace: place}.Run(t.Context())
		},
		"an unknown secret": func(t *testing.T) error {
			return retireKeyCommand{KeyID: "x", From: "2030-01-01", ringPlace: place}.Run(t.Context())
		},
		"no date": func(t *testing.T) error {
			return retireKeyCommand{KeyID: before.Current.KeyID(), From: "soon", ringPlace: place}.Run(t.Context())
		},
		"licenses of an unknown secret": func(t *testing.T) error {
			return affectedKeysCommand{KeyID: "x", vendorAPI: vendorAPI{"http://127.0.0.1:1"}, ringPlace: place}.Run(t.Context())
		},
		"no API": func(t *testing.T) error {
			return affectedKeysCommand{KeyID: before.Current.KeyID(), vendorAPI: vendorAPI{"localhost"}, ringPlace: place}.Run(t.Context())
		},
		"another folder": func(t *testing.T) error {
			return rotateKeysCommand{ringPlace: ringPlace{Data: t.TempDir(), out: io.Discard}}.Run(t.Context())
		},
	} {
		if err := command(t); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if after, err := embedded.ReadRing(path); err != nil || after.Current != before.Current || len(after.Earlier) != 0 {
		t.Errorf("the secret was changed, %v", err)
	}
}

// TestKeysOnAWS: the same on Secrets Manager; there the rotate function rotates.
func TestKeysOnAWS(t *testing.T) {
	ring, err := token.Ring{Current: token.NewSecret()}.Rotate(token.NewSecret(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var put string
	var rotated map[string]any
	stages := map[string]string{"AWSCURRENT": "read"}
	endpoint := lambdatest.NewAWS(t, map[string]lambdatest.Operation{
		"GetSecretValue": func(map[string]any) (int, any) {
			return http.StatusOK, map[string]any{"SecretString": string(text), "VersionId": "read"}
		},
		"PutSecretValue": func(input map[string]any) (int, any) {
			put = input["SecretString"].(string)
			for _, stage := range input["VersionStages"].([]any) {
				stages[stage.(string)] = "put"
			}
			return http.StatusOK, map[string]any{"VersionId": "put"}
		},
		"UpdateSecretVersionStage": func(input map[string]any) (int, any) {
			stage := input["VersionStage"].(string)
			if stages[stage] != input["RemoveFromVersionId"] {
				return http.StatusBadRequest, map[string]string{"__type": "InvalidParameterException"}
			}
			delete(stages, stage)
			if to, moves := input["MoveToVersionId"].(string); moves {
				stages[stage] = to
			}
			return http.StatusOK, map[string]any{}
		},
		"RotateSecret": func(input map[string]any) (int, any) {
			rotated = input
			return http.StatusOK, map[string]any{}
		},
	})
	setAWS(t, endpoint.URL)
	place := ringPlace{Secret: "licenser", out: io.Discard}
	retire := retireKeyCommand{KeyID: ring.Earlier[0].Secret.KeyID(), From: "2030-01-01", ringPlace: place}
	if err := retire.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := token.ParseRing([]byte(put)); err != nil || got.Current != ring.Current || got.Earlier[0].RefusedFrom.Year() != 2030 {
		t.Errorf("put a ring of %d, %v", len(got.All()), err)
	}
	if !maps.Equal(stages, map[string]string{"AWSCURRENT": "put"}) {
		t.Errorf("the stages are %v", stages)
	}
	stages["AWSCURRENT"] = "rotated meanwhile"
	if err := retire.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing is changed") {
		t.Errorf("after a rotation: %v", err)
	}
	if !maps.Equal(stages, map[string]string{"AWSCURRENT": "rotated meanwhile"}) {
		t.Errorf("the stages are %v", stages)
	}
	if err := (rotateKeysCommand{Function: "arn:of:rotate", ringPlace: place}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rotated["SecretId"] != "licenser" || rotated["RotationLambdaARN"] != "arn:of:rotate" {
		t.Errorf("asked for %v", rotated)
	}
}

// TestRequestsAreSigned: a request to another machine carries a signature for API Gateway.
func TestRequestsAreSigned(t *testing.T) {
	setAWS(t, "http://127.0.0.1:1")
	c, err := vendorAPI{"https://api.example.com/prod/"}.client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodGet, c.base+"/licenses?cursor=a%2Bb&limit=100", nil)
	if err := c.sign(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := request.Header.Get("Authorization"); !strings.Contains(got, "/eu-west-1/execute-api/aws4_request") || request.URL.Path != "/prod/licenses" {
		t.Errorf("signed %s with %q", request.URL, got)
	}
	local, err := vendorAPI{"http://127.0.0.1:3000"}.client(t.Context())
	if err != nil || local.config != nil {
		t.Errorf("the local server wants no signature, %v", err)
	}
}
