package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/attribute"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/lambdatest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

// terminalCommand is a command that writes in all forms of output.
type terminalCommand interface {
	Run(context.Context, *terminal.Terminal) error
}

// piped is the terminal of a program whose output another program reads.
func piped(out io.Writer) *terminal.Terminal {
	return &terminal.Terminal{Out: out, Err: io.Discard, Format: terminal.Text, Now: time.Now}
}

// people is a terminal as people see it.
func people(out, err io.Writer) *terminal.Terminal {
	t := piped(out)
	t.Err, t.ForPeople = err, true
	return t
}

// written returns what a command writes in a form of output.
func written(t *testing.T, command terminalCommand, format terminal.Format) string {
	t.Helper()
	var out bytes.Buffer
	pipe := piped(&out)
	pipe.Format = format
	if err := command.Run(t.Context(), pipe); err != nil {
		t.Errorf("%T as %s: %v", command, format, err)
	}
	return out.String()
}

// serveFolder serves a folder until the caller closes the server.
func serveFolder(t *testing.T, folder *embedded.Folder) *httptest.Server {
	t.Helper()
	log := telemetry.NewLogger(io.Discard)
	serve := serveCommand{Issuer: "Test Issuer", lifetime: time.Hour}
	gateway, err := serve.gateway(folder, checkpoints{}, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	return httptest.NewServer(gateway)
}

// TestKeys goes the way of a secret that leaked, beside a server that is running: rotate, list, send other keys,
// retire.
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
	server := serveFolder(t, folder)
	defer server.Close()

	var out bytes.Buffer
	place, screen := ringStoreFlags{Data: path}, people(&out, &out)
	if err := (rotateKeysCommand{ringStoreFlags: place}).Run(t.Context(), screen); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 4 ||
		!strings.Contains(lines[1], "accepted, signs from") ||
		!strings.HasPrefix(lines[2], leaked.Current.KeyID()+"  signs ") ||
		strings.Contains(out.String(), string(leaked.Current)) {
		t.Errorf("printed\n%s", &out)
	}

	affected := affectedKeysCommand{
		KeyID: leaked.Current.KeyID(), LicenseKeys: true, vendorAPI: vendorAPI{API: server.URL}, ringStoreFlags: place,
	}
	if err := affected.Run(t.Context(), screen); err == nil || !strings.Contains(err.Error(), "still signs") ||
		strings.Contains(out.String(), oldKey) {
		t.Errorf("keys of the secret that leaked, before another one signs: %v", err)
	}

	date := time.Now().UTC().Add(time.Hour).Truncate(time.Millisecond)
	retire := retireKeyCommand{leaked.Current.KeyID(), date.Format(time.RFC3339Nano), place}
	if err := retire.Run(t.Context(), screen); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := affected.Run(t.Context(), screen); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][0] != l.ID || rows[1][3] != l.CustomerName {
		t.Fatalf("listed %v, %v", rows, err)
	}
	newKey, newShortKey := rows[1][5], rows[1][6]
	if rows[0][5] != "licensekey" || rows[0][6] != "shortkey" {
		t.Errorf("headed %v", rows[0])
	}
	oldShortKey, _ := token.SignShortKey(leaked.Current, l.ID)

	ring, err := folder.Secrets.Ring(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key string
		at  time.Time
		ok  bool
	}{
		"the old key before the date":       {oldKey, date.Add(-time.Millisecond), true},
		"the old key from the date":         {oldKey, date, false},
		"the new key":                       {newKey, date, true},
		"the old short key before the date": {oldShortKey, date.Add(-time.Millisecond), true},
		"the old short key from the date":   {oldShortKey, date, false},
		"the new short key":                 {newShortKey, date, true},
	} {
		if id, err := token.ReadLicenseKey(ring, test.key, test.at); (err == nil) != test.ok || test.ok && id != l.ID {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

// TestShortSecretIsRotatedAway goes the way of a secret that an existing deployment brought along, beside a server that
// is running.
func TestShortSecretIsRotatedAway(t *testing.T) {
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	const short = token.Secret("9 bytes !")
	file := filepath.Join(path, "license-key-secret.json")
	if err := os.WriteFile(file, []byte(`{"key":"`+string(short)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := licensetest.Issue(t)
	if err := folder.Licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	oldKey, err := token.SignLicenseKey(short, "Test Issuer", l)
	if err != nil {
		t.Fatal(err)
	}
	server := serveFolder(t, folder)
	defer server.Close()
	verify := func() int {
		body := strings.NewReader(`{"licensekey":"` + oldKey + `"}`)
		response, err := http.Post(server.URL+"/verify-license", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}

	var out bytes.Buffer
	now := time.Now().UTC().Truncate(time.Millisecond)
	place, screen := ringStoreFlags{Data: path}, people(&out, &out)
	screen.Now = func() time.Time { return now }
	run := func(command terminalCommand) (printed string) {
		t.Helper()
		out.Reset()
		if err := command.Run(t.Context(), screen); err != nil {
			t.Errorf("%T: %v", command, err)
		}
		if strings.Contains(out.String(), string(short)) {
			t.Errorf("%T printed the secret: %s", command, &out)
		}
		return out.String()
	}
	for _, step := range []struct {
		name    string
		command terminalCommand
		after   time.Duration
		want    []string // each of the lines below the heading holds its one
		advice  bool
		status  int // of a verification with the old key
	}{
		{"shown", showKeysCommand{place}, 0, []string{"signs; too short"}, true, 200},
		{"rotated", rotateKeysCommand{ringStoreFlags: place}, 0,
			[]string{"accepted, signs from", "signs; too short"}, true, 200},
		{"when the new one signs", showKeysCommand{place}, token.SigningDelay,
			[]string{"signs ", "accepted; too short"}, true, 200},
		{"to be refused", retireKeyCommand{short.KeyID(), now.Add(time.Hour).Format(time.RFC3339Nano), place}, 0,
			[]string{"signs ", "; too short"}, true, 200},
		{"refused", retireKeyCommand{short.KeyID(), now.Add(-time.Hour).Format(time.RFC3339Nano), place}, 0,
			[]string{"signs ", "refused from"}, false, 400},
	} {
		now = now.Add(step.after)
		printed := run(step.command)
		lines := strings.Split(strings.TrimSpace(printed), "\n")[1:]
		for i, want := range step.want {
			isMarked := strings.Contains(want, "too short")
			if len(lines) <= i || !strings.Contains(lines[i], want) ||
				strings.Contains(lines[i], "too short") != isMarked {
				t.Errorf("%s: %q is not in line %d of\n%s", step.name, want, i+1, printed)
			}
		}
		if strings.Contains(printed, "licenser keys affected") != step.advice {
			t.Errorf("%s: printed\n%s", step.name, printed)
		}
		if got := verify(); got != step.status {
			t.Errorf("%s: the old key is answered %d, want %d", step.name, got, step.status)
		}
		affected := affectedKeysCommand{
			KeyID:          short.KeyID(),
			vendorAPI:      vendorAPI{API: server.URL},
			ringStoreFlags: place,
		}
		if printed := run(affected); !strings.Contains(printed, l.ID) {
			t.Errorf("%s: affected prints\n%s", step.name, printed)
		}
	}
}

// TestAffectedOfOtherTools: a license of another tool does not say when it was issued, nor does one that cannot be
// understood. Both are listed, as one of ours that was issued later is not.
func TestAffectedOfOtherTools(t *testing.T) {
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
	later, ours := licensetest.Issue(t), licensetest.Issue(t)
	later.Created = time.Now().AddDate(1, 0, 0)
	ours.CustomerName = "=1+1"
	for _, l := range []license.License{later, ours} {
		if err := folder.Licenses.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	const foreign, unreadable = "869b100f-06b7-44cc-80df-b4c4bf728461", "00000000-0000-4000-8000-000000000001"
	for _, record := range []attribute.Map{
		{"licenseid": foreign, "expirationdate": "2030-01-03"},
		{"licenseid": unreadable, "expirationdate": "soon", "createdtimestamp": "today"},
	} {
		record = license.Adopt(record, time.Now()).Apply(record)
		if err := folder.Licenses.PutRecord(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	server := serveFolder(t, folder)
	defer server.Close()

	var out bytes.Buffer
	place, screen := ringStoreFlags{Data: path}, people(&out, &out)
	if err := (rotateKeysCommand{ringStoreFlags: place}).Run(t.Context(), screen); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	affected := affectedKeysCommand{
		KeyID: leaked.Current.KeyID(), vendorAPI: vendorAPI{API: server.URL}, ringStoreFlags: place,
	}
	if err := affected.Run(t.Context(), screen); err != nil {
		t.Fatal(err)
	}
	for _, format := range []terminal.Format{terminal.Text, terminal.CSV} {
		if got := written(t, affected, format); got != out.String() {
			t.Errorf("as %s it is\n%s", format, got)
		}
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, row := range rows[1:] {
		listed[row[0]] = row[1] + ", " + row[3] + ", created " + row[4]
	}
	created := license.FormatDate(ours.Created)
	want := map[string]string{
		foreign: "active, , created unknown", unreadable: "unreadable, , created unknown",
		ours.ID: "active, '=1+1, created " + created,
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("(-want +listed):\n%s", diff)
	}
	var array []map[string]string
	if err := json.Unmarshal([]byte(written(t, affected, terminal.JSON)), &array); err != nil || len(array) != 3 {
		t.Fatalf("%v: %v", err, array)
	}
	for _, l := range array {
		isOurs := l["licenseid"] == ours.ID
		if _, says := l["created"]; says != isOurs || isOurs && l["customername"]+l["created"] != "=1+1"+created {
			t.Errorf("listed %v", l)
		}
		if _, has := l["licensekey"]; has {
			t.Errorf("%s comes with a license key", l["licenseid"])
		}
	}
}

// TestSecretForms: programs get each fact of its own, and nobody a secret.
func TestSecretForms(t *testing.T) {
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	at := func(text string) time.Time {
		instant, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return instant
	}
	newest, retired, oldest := token.NewSecret(), token.NewSecret(), token.Secret("9 bytes !")
	ring := token.Ring{Current: newest, Created: at("2030-01-31T12:00:00Z"), Earlier: []token.EarlierSecret{
		{Secret: retired, Created: at("2029-01-31T12:00:00Z"), Replaced: at("2030-01-31T12:00:00Z"),
			RefusedFrom: at("2030-01-31T12:04:00Z")},
		{Secret: oldest, Replaced: at("2029-01-31T12:00:00Z")},
	}}
	text, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "license-key-secret.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	guard := strings.NewReplacer("NEWEST", terminal.GuardCell(newest.KeyID()),
		"RETIRED", terminal.GuardCell(retired.KeyID()), "OLDEST", terminal.GuardCell(oldest.KeyID()))
	kids := strings.NewReplacer("NEWEST", newest.KeyID(), "RETIRED", retired.KeyID(), "OLDEST", oldest.KeyID())
	const table = `kid,state,created,replaced,signsfrom,refusedfrom,short
NEWEST,accepted,2030-01-31T12:00:00.000Z,,2030-01-31T12:10:00.000Z,,false
RETIRED,refused,2029-01-31T12:00:00.000Z,2030-01-31T12:00:00.000Z,,2030-01-31T12:04:00.000Z,false
OLDEST,signs,,2029-01-31T12:00:00.000Z,,,true
`
	const array = `[
{"kid":"NEWEST","state":"accepted","created":"2030-01-31T12:00:00.000Z",` +
		`"signsfrom":"2030-01-31T12:10:00.000Z","short":false},
{"kid":"RETIRED","state":"refused","created":"2029-01-31T12:00:00.000Z","replaced":"2030-01-31T12:00:00.000Z",` +
		`"refusedfrom":"2030-01-31T12:04:00.000Z","short":false},
{"kid":"OLDEST","state":"signs","replaced":"2029-01-31T12:00:00.000Z","short":true}
]
`
	forPeople := ""
	for _, row := range [][]any{
		{"KEY ID", "STATE", "CREATED", "REPLACED"},
		{newest.KeyID(), "accepted, signs from 2030-01-31 12:10 UTC (in 5 minutes)", "2030-01-31 12:00 UTC", ""},
		{
			retired.KeyID(), "refused from 2030-01-31 12:04 UTC (1 minute ago)", "2029-01-31 12:00 UTC",
			"2030-01-31 12:00 UTC",
		},
		{oldest.KeyID(), "signs; too short", "unknown", "2029-01-31 12:00 UTC"},
	} {
		forPeople += strings.TrimRight(fmt.Sprintf("%-43s  %-56s  %-20s  %s", row...), " ") + "\n"
	}
	for name, test := range map[string]struct {
		forPeople bool
		format    terminal.Format
		want      string
	}{
		"people": {true, terminal.Text, forPeople},
		"pipe":   {false, terminal.Text, kids.Replace(strings.ReplaceAll(table, ",", "\t"))},
		"CSV":    {false, terminal.CSV, guard.Replace(table)},
		"JSON":   {true, terminal.JSON, kids.Replace(array)},
	} {
		t.Run(name, func(t *testing.T) {
			var out, said bytes.Buffer
			screen := people(&out, &said)
			screen.ForPeople, screen.Format = test.forPeople, test.format
			screen.Now = func() time.Time { return at("2030-01-31T12:05:00Z") }
			if err := (showKeysCommand{ringStoreFlags{Data: path}}).Run(t.Context(), screen); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("(-want +written):\n%s", diff)
			}
			if !strings.Contains(said.String(), "licenser keys affected") {
				t.Errorf("said %s", &said)
			}
			for _, secret := range ring.All() {
				if strings.Contains(out.String()+said.String(), string(secret)) {
					t.Errorf("printed a secret")
				}
			}
		})
	}
}

// TestShortSecretOnAWS: it is shown, and an empty one is an error.
func TestShortSecretOnAWS(t *testing.T) {
	v, _ := newSecretVersions(t)
	for stored, ok := range map[string]bool{`{"key":"9 bytes !"}`: true, `{"key":""}`: false, `{}`: false} {
		v.values["version-1"] = stored
		var out bytes.Buffer
		err := showKeysCommand{ringStoreFlags{Secret: "licenser"}}.Run(t.Context(), people(&out, io.Discard))
		if (err == nil) != ok || strings.Contains(out.String(), "signs; too short") != ok {
			t.Errorf("%s: %v, printed %s", stored, err, &out)
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
	before, err := embedded.RingStore{Folder: path}.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	place := ringStoreFlags{Data: path}
	kid := before.Current.KeyID()
	for name, command := range map[string]terminalCommand{
		"the newest secret": retireKeyCommand{KeyID: kid, From: "2030-01-01", ringStoreFlags: place},
		"an unknown secret": retireKeyCommand{KeyID: "x", From: "2030-01-01", ringStoreFlags: place},
		"no date":           retireKeyCommand{KeyID: kid, From: "soon", ringStoreFlags: place},
		"licenses of an unknown secret": affectedKeysCommand{
			KeyID: "x", vendorAPI: vendorAPI{API: "http://127.0.0.1:1"}, ringStoreFlags: place,
		},
		"no API": affectedKeysCommand{
			KeyID: kid, vendorAPI: vendorAPI{API: "localhost"}, ringStoreFlags: place,
		},
		"another folder": rotateKeysCommand{ringStoreFlags: ringStoreFlags{Data: t.TempDir()}},
	} {
		var out bytes.Buffer
		if err := command.Run(t.Context(), piped(&out)); err == nil || out.Len() > 0 {
			t.Errorf("%s: %v, printed %s", name, err, &out)
		}
	}
	if after, err := (embedded.RingStore{Folder: path}).Read(t.Context()); err != nil ||
		after.Current != before.Current ||
		len(after.Earlier) != 0 {
		t.Errorf("the secret was changed, %v", err)
	}
}

// TestFullRing: whoever cannot rotate is told which command makes room.
func TestFullRing(t *testing.T) {
	path := t.TempDir()
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	rotate := rotateKeysCommand{ringStoreFlags: ringStoreFlags{Data: path}}
	for range 50 {
		if err := rotate.Run(t.Context(), piped(io.Discard)); err != nil {
			t.Fatal(err)
		}
	}
	err = rotate.Run(t.Context(), piped(io.Discard))
	if err == nil || !strings.Contains(err.Error(), "licenser keys retire") {
		t.Errorf("full: %v", err)
	}
}

// secretVersions is a secret in Secrets Manager, with at most one version for each stage.
type secretVersions struct {
	values map[string]string // by version
	stages map[string]string // the version that has the stage

	cut     string // a stage whose next move takes effect, and the reply is lost
	refused string // a stage that nobody may move
	rotated map[string]any
}

func (v *secretVersions) operations() map[string]lambdatest.Operation {
	refused := lambdatest.Fault(http.StatusBadRequest, "InvalidParameterException")
	return map[string]lambdatest.Operation{
		"GetSecretValue": func(map[string]any) (int, any) {
			id := v.stages["AWSCURRENT"]
			var stages []string
			for stage, version := range v.stages {
				if version == id {
					stages = append(stages, stage)
				}
			}
			return http.StatusOK, map[string]any{"SecretString": v.values[id], "VersionId": id, "VersionStages": stages}
		},
		"PutSecretValue": func(input map[string]any) (int, any) {
			id := fmt.Sprintf("version-%d", len(v.values)+1)
			v.values[id] = input["SecretString"].(string)
			for _, stage := range input["VersionStages"].([]any) {
				v.stages[stage.(string)] = id
			}
			return http.StatusOK, map[string]any{"VersionId": id}
		},
		"UpdateSecretVersionStage": func(input map[string]any) (int, any) {
			stage := input["VersionStage"].(string)
			if v.stages[stage] != input["RemoveFromVersionId"] || stage == v.refused {
				return refused(input)
			}
			if stage == "AWSCURRENT" {
				v.stages["AWSPREVIOUS"] = v.stages[stage]
			}
			delete(v.stages, stage)
			if to, moves := input["MoveToVersionId"].(string); moves {
				v.stages[stage] = to
			}
			if stage == v.cut {
				v.cut = ""
				return http.StatusInternalServerError, map[string]string{"__type": "InternalServiceError"}
			}
			return http.StatusOK, map[string]any{}
		},
		"RotateSecret": func(input map[string]any) (int, any) {
			v.rotated = input
			return http.StatusOK, map[string]any{}
		},
	}
}

// newSecretVersions returns a secret that was rotated, and the ring in it. As Secrets Manager documents it, a rotation
// may leave both stages on its version.
func newSecretVersions(t *testing.T) (*secretVersions, token.Ring) {
	t.Helper()
	ring, err := token.Ring{Current: token.NewSecret()}.Rotate(token.NewSecret(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	v := &secretVersions{
		values: map[string]string{"version-1": string(text)},
		stages: map[string]string{"AWSCURRENT": "version-1", "AWSPENDING": "version-1"},
	}
	setAWS(t, lambdatest.NewAWS(t, v.operations()).URL)
	return v, ring
}

// TestRetireOnAWS: the version with the retired secret takes the place of the one that was read, once, and leaves the
// secret so that it can be rotated.
func TestRetireOnAWS(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*secretVersions)
		stages  map[string]string
		wantErr string
	}{
		"after a rotation": {func(*secretVersions) {},
			map[string]string{"AWSCURRENT": "version-2", "AWSPREVIOUS": "version-1"}, ""},
		"during a rotation": {func(v *secretVersions) { v.stages["AWSPENDING"] = "version-0" },
			map[string]string{"AWSCURRENT": "version-2", "AWSPREVIOUS": "version-1", "AWSPENDING": "version-0"}, ""},
		"after another one that was cut off": {func(v *secretVersions) { v.stages["LICENSER"] = "version-0" },
			map[string]string{"AWSCURRENT": "version-2", "AWSPREVIOUS": "version-1"}, ""},
		"the reply is lost": {func(v *secretVersions) { v.cut = "AWSCURRENT" },
			map[string]string{"AWSCURRENT": "version-2", "AWSPREVIOUS": "version-1"}, ""},
		"the current version cannot be moved": {func(v *secretVersions) { v.refused = "AWSCURRENT" },
			map[string]string{"AWSCURRENT": "version-1"}, "nothing is changed"},
		"the pending version cannot be moved": {func(v *secretVersions) { v.refused = "AWSPENDING" },
			map[string]string{"AWSCURRENT": "version-1", "AWSPENDING": "version-1"}, "nothing is changed"},
		"its own stage stays": {func(v *secretVersions) { v.refused = "LICENSER" },
			map[string]string{"AWSCURRENT": "version-2", "AWSPREVIOUS": "version-1", "LICENSER": "version-2"},
			"does no harm"},
	} {
		t.Run(name, func(t *testing.T) {
			v, ring := newSecretVersions(t)
			test.prepare(v)
			retire := retireKeyCommand{
				KeyID:          ring.Earlier[0].Secret.KeyID(),
				From:           "2030-01-01",
				ringStoreFlags: ringStoreFlags{Secret: "licenser"},
			}
			err := retire.Run(t.Context(), piped(io.Discard))
			if test.wantErr == "" && err != nil ||
				test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Errorf("got %v, want %q", err, test.wantErr)
			}
			if diff := cmp.Diff(test.stages, v.stages); diff != "" {
				t.Errorf("stages (-want +got):\n%s", diff)
			}
			got, err := token.ParseRing([]byte(v.values["version-2"]))
			if err != nil || got.Current != ring.Current || got.Earlier[0].RefusedFrom.Year() != 2030 {
				t.Errorf("put a ring of %d, %v", len(got.All()), err)
			}
		})
	}
}

// TestRetireLosesToRotation: what is put was made from a ring that is current no more.
func TestRetireLosesToRotation(t *testing.T) {
	v, ring := newSecretVersions(t)
	store, err := ringStoreFlags{Secret: "licenser"}.store(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Change(t.Context(), func(token.Ring) (token.Ring, error) {
		v.values["version-9"] = v.values["version-1"]
		v.stages = map[string]string{
			"AWSCURRENT":  "version-9",
			"AWSPREVIOUS": "version-1",
		} // the rotation ends meanwhile
		return ring.Retire(ring.Earlier[0].Secret.KeyID(), time.Now())
	})
	if err == nil || !strings.Contains(err.Error(), "nothing is changed") || v.stages["AWSCURRENT"] != "version-9" {
		t.Errorf("%v, the stages are %v", err, v.stages)
	}
}

// TestRotateOnAWS: there the rotate function rotates.
func TestRotateOnAWS(t *testing.T) {
	v, _ := newSecretVersions(t)
	place := ringStoreFlags{Secret: "licenser"}
	var out, said bytes.Buffer
	rotate := rotateKeysCommand{Function: "arn:of:rotate", ringStoreFlags: place}
	if err := rotate.Run(t.Context(), people(&out, &said)); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 0 || !strings.Contains(said.String(), "has begun") {
		t.Errorf("printed %s, said %s", &out, &said)
	}
	if v.rotated["SecretId"] != "licenser" || v.rotated["RotationLambdaARN"] != "arn:of:rotate" {
		t.Errorf("asked for %v", v.rotated)
	}
}
