package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/embedded"
	"openlicenser/shared/testing/licensetest"
)

// TestReplay: a change that was set aside is recorded, once, however often it is replayed.
func TestReplay(t *testing.T) {
	path, l := t.TempDir(), licensetest.Issue(t)
	file := filepath.Join(t.TempDir(), "1.json")
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	changes, err := folder.Changes.Oldest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	batch, err := newBatch(changes)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFailure(file, batch, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}

	var out, said bytes.Buffer
	for range 2 {
		out.Reset()
		if err := (replayCommand{Files: []string{file}, Data: path}).Run(t.Context(), people(&out, &said)); err != nil {
			t.Fatal(err)
		}
	}
	gap := strings.Repeat(" ", len(file)-len("FILE"))
	if want := "FILE" + gap + "  CHANGES  DONE\n" + file + "  1        yes\n"; out.String() != want {
		t.Errorf("printed\n%swant\n%s", &out, want)
	}
	if !strings.Contains(said.String(), "can be removed") {
		t.Errorf("said %s", &said)
	}
	if folder, err = embedded.Open(path); err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if entries, err := folder.AuditTrail.Entries(t.Context(), l.ID, 0, 10); err != nil || len(entries) != 1 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}

// TestReplayFails: what is not recorded is an error that names the file, and the other files are tried.
func TestReplayFails(t *testing.T) {
	path, file := t.TempDir(), filepath.Join(t.TempDir(), "1.json")
	folder, err := embedded.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	batch := events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{{EventID: "without a key"}}}
	if err := writeFailure(file, batch, time.Now()); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "2.json")
	if err := os.WriteFile(other, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = replayCommand{Files: []string{file, other}, Data: path}.Run(t.Context(), piped(io.Discard))
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), other) {
		t.Errorf("got %v", err)
	}
	var out, said bytes.Buffer
	screen := people(&out, &said)
	screen.Format = terminal.JSON
	err = replayCommand{Files: []string{file, other}, Data: path}.Run(t.Context(), screen)
	want := []replayedFile{{File: file, Changes: 1}, {File: other}}
	var got []replayedFile
	if errJSON := json.Unmarshal(out.Bytes(), &got); err == nil || errJSON != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v: %s", err, errJSON, &out)
	}
	if strings.Contains(said.String(), "can be removed") {
		t.Errorf("said %s", &said)
	}
	empty := t.TempDir()
	if err := (replayCommand{Files: []string{file}, Data: empty}).Run(t.Context(), piped(io.Discard)); err == nil {
		t.Error("replayed into an empty folder")
	}
	if files, _ := os.ReadDir(empty); len(files) != 0 {
		t.Errorf("made %v in a folder that is no data folder", files)
	}
}

// setAWS makes an endpoint and credentials the environment's.
func setAWS(t *testing.T, endpoint string) {
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "id",
		"AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}

// TestReplayOnAWS: the audit function gets the very batch, and its response decides.
func TestReplayOnAWS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1.json")
	batch := events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{{EventID: "an-event"}}}
	if err := writeFailure(file, batch, time.Now()); err != nil {
		t.Fatal(err)
	}
	var answer, functionError, path string
	var got events.DynamoDBEvent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		if functionError != "" {
			w.Header().Set("X-Amz-Function-Error", functionError)
		}
		fmt.Fprint(w, answer)
	}))
	defer server.Close()
	setAWS(t, server.URL)
	command := replayCommand{Files: []string{file}, Function: "audit-function"}
	for name, test := range map[string]struct{ answer, functionError, want string }{
		"recorded":      {`{"batchItemFailures":[]}`, "", ""},
		"not recorded":  {`{"batchItemFailures":[{"itemIdentifier":"17"}]}`, "", "17"},
		"not an answer": {`null and void`, "", "invalid character"},
		"out of memory": {`{"errorMessage":"signal: killed"}`, "Unhandled", "signal: killed"},
	} {
		answer, functionError = test.answer, test.functionError
		err := command.Run(t.Context(), piped(io.Discard))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if path != "/2015-03-31/functions/audit-function/invocations" ||
			len(got.Records) != 1 || got.Records[0].EventID != "an-event" {
			t.Errorf("%s: called %s with %+v", name, path, got)
		}
	}
	answer, functionError = `{"batchItemFailures":[]}`, ""
	for format, want := range map[terminal.Format]string{
		terminal.Text: "file\tchanges\tdone\n" + file + "\t1\ttrue\n",
		terminal.CSV:  "file,changes,done\n" + file + ",1,true\n",
		terminal.JSON: `[{"file":"` + file + `","changes":1,"done":true}]`,
	} {
		if got := written(t, command, format); got != want && strings.ReplaceAll(got, "\n", "") != want {
			t.Errorf("as %s: %s", format, got)
		}
	}
}

// TestCommandsTakeTerminal: the commands for keys and the trail write in all forms of output.
func TestCommandsTakeTerminal(t *testing.T) {
	found := 0
	for _, command := range leaves(testParser(t).Model.Node) {
		switch group, _, _ := strings.Cut(command.Path(), " "); group {
		case "audit", "keys", "token-key":
			if found++; !takesTerminal(command) {
				t.Errorf("%s has one form of output", command.Path())
			}
		}
	}
	if found != 15 {
		t.Errorf("found %d commands", found)
	}
}
