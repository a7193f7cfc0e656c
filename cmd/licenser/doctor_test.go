package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"openlicenser/cmd/licenser/terminal"
)

// newExamined returns a cloud whose server has made its first checkpoint.
func newExamined(t *testing.T) *cloud {
	t.Helper()
	data := t.TempDir()
	s := start(t, data, "--checkpoint-interval", "100ms")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if status, text := s.call("GET", "/audit/checkpoint", ""); status == http.StatusOK {
			return newCloud(t, s, data)
		} else if time.Now().After(deadline) {
			t.Fatal(text)
		}
	}
}

// examine runs the command, and returns its rows.
func (c *cloud) examine(ctx context.Context, command doctorCommand) (rows []examined, err error) {
	c.t.Helper()
	var out bytes.Buffer
	command.Stack, command.pause = stackName, 5*time.Millisecond
	if command.Wait == 0 {
		command.Wait = 10 * time.Second
	}
	pipe := piped(&out)
	pipe.Format = terminal.JSON
	err = command.Run(ctx, pipe)
	if errJSON := json.Unmarshal(out.Bytes(), &rows); errJSON != nil && out.Len() > 0 {
		c.t.Fatal(errJSON, out.String())
	}
	return rows, err
}

// codes returns the codes of what is to be done, each once.
func codes(rows []examined) (codes []string) {
	for _, row := range rows {
		if row.isToDo() != (row.Code != "") {
			codes = append(codes, "a code that does not fit the result "+string(row.Result))
		}
		if row.Code != "" {
			codes = append(codes, row.Code)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// left returns how many licenses of the doctor's there are.
func (c *cloud) left() int {
	c.t.Helper()
	var page struct{ Licenses []any }
	c.server.get("/licenses?limit=100&customername=licenser%20doctor", &page)
	return len(page.Licenses)
}

// TestDoctor: nothing is to be done about a stack that is well, and its license has lived and is gone. The help names
// each IAM action that this took, and no other.
func TestDoctor(t *testing.T) {
	c := newExamined(t)
	var deleted atomic.Int32
	c.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			deleted.Add(1)
		}
		return false
	}
	var out, said bytes.Buffer
	command := doctorCommand{Stack: stackName, Wait: 10 * time.Second, pause: time.Millisecond}
	if err := command.Run(t.Context(), people(&out, &said)); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		"ok      stack ", "1 served, as JWK set and PEM", "current since ", "GET /licenses is refused with 403",
		"a token of the key ", "verify when revoked ", "the license is gone", " entries; the first was there within ",
		"is signed by the key in KMS", "with its stream and 6 indexes", "6 can run", ": none sounds",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, &out)
		}
	}
	if !strings.HasSuffix(said.String(), "\nAll is well.\n") {
		t.Errorf("said %s", &said)
	}
	if deleted.Load() != 1 || c.left() != 0 {
		t.Errorf("%d removals, %d licenses are left", deleted.Load(), c.left())
	}

	c.plant = fail("servicequotas:GetServiceQuota", "NoSuchResourceException")
	if rows, err := c.examine(t.Context(), doctorCommand{Check: true}); err != nil {
		t.Errorf("with a quota that was never changed: %v, %v", err, codes(rows))
	}
	called := append(slices.Collect(maps.Keys(c.called)), "execute-api:Invoke")
	slices.Sort(called)
	if !slices.Equal(called, doctorActions) {
		t.Errorf("called  %v\nallowed %v", called, doctorActions)
	}
	for _, action := range doctorActions {
		if help := (doctorCommand{}).Help(); !strings.Contains(help, action) {
			t.Errorf("the help does not name %s", action)
		}
	}
}

// TestDoctorOnlyLooks: with --check nothing is changed, and the report says what was left out.
func TestDoctorOnlyLooks(t *testing.T) {
	c := newExamined(t)
	c.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		return false
	}
	rows, err := c.examine(t.Context(), doctorCommand{Check: true})
	if err != nil {
		t.Errorf("%v: %v", err, codes(rows))
	}
	var left []string
	for _, row := range rows {
		if row.Result == resultLeftOut {
			left = append(left, row.Check)
		}
	}
	if want := []string{"life of a license", "audit trail", "metrics"}; !slices.Equal(left, want) {
		t.Errorf("left out %q", left)
	}
}

// TestDoctorFindings plants each thing that the report can tell of, and wants it to be told, and nothing else.
func TestDoctorFindings(t *testing.T) {
	c := newExamined(t)
	all := plants(t, c)
	parameters := c.parameters
	for code, p := range all {
		t.Run(code, func(t *testing.T) {
			c.plant, c.intercept, c.parameters = p.plant, p.intercept, maps.Clone(parameters)
			maps.Copy(c.parameters, p.parameters)
			command := doctorCommand{Check: !p.isOfLife}
			if p.isOfLife {
				command.Wait = 300 * time.Millisecond
			}
			rows, err := c.examine(t.Context(), command)
			want := append([]string{code}, p.also...)
			if got := codes(rows); !slices.Equal(got, want) || !errors.Is(err, errToDo) || exitCode(err) != exitOther {
				t.Errorf("found %v, %v", got, err)
			}
			text, errJSON := json.Marshal(rows)
			if errJSON != nil || !strings.Contains(string(text), p.says) {
				t.Errorf("does not say %q: %s", p.says, text)
			}
			if strings.Contains(string(text), "eyJ") {
				t.Errorf("tells a license key or a token: %s", text)
			}
		})
	}
	for _, code := range codesOfDoctor(t) {
		if _, isPlanted := all[code]; !isPlanted && code != "NO_CREDENTIALS" { // see TestDoctorWithoutCredentials
			t.Errorf("nothing leads to %s", code)
		}
	}
}

// codesOfDoctor returns the codes in the sources of the report.
func codesOfDoctor(t *testing.T) (codes []string) {
	t.Helper()
	files, err := filepath.Glob("doctor*.go")
	if err != nil || len(files) < 5 {
		t.Fatal(len(files), err)
	}
	coded := regexp.MustCompile(`(?:toDo\(|refused\([^"\n]*(?:"[a-z ]+"\), )?|Code: )"([A-Z_]+)"`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range coded.FindAllStringSubmatch(string(text), -1) {
			codes = append(codes, match[1])
		}
	}
	slices.Sort(codes)
	if codes = slices.Compact(codes); len(codes) < 50 {
		t.Errorf("found %d codes", len(codes))
	}
	return codes
}

// TestDoctorNotAllowed: who may not look at something learns all the rest, and what they lack.
func TestDoctorNotAllowed(t *testing.T) {
	c := newExamined(t)
	for _, action := range doctorActions {
		if action == "execute-api:Invoke" || action == "servicequotas:GetAWSDefaultServiceQuota" {
			continue
		}
		c.plant = fail(action, "AccessDeniedException")
		rows, err := c.examine(t.Context(), doctorCommand{Check: true})
		if action == "cloudformation:DescribeStacks" {
			if err == nil || !strings.Contains(err.Error(), "DescribeStacks") {
				t.Errorf("%s: %v", action, err)
			}
			continue
		}
		isSaid := slices.ContainsFunc(rows, func(row examined) bool {
			return row.Result == resultNotTried && row.Do == "Let these credentials do "+action+"."
		})
		if got := codes(rows); !errors.Is(err, errToDo) || !slices.Equal(got, []string{"NOT_ALLOWED"}) || !isSaid {
			t.Errorf("%s: %v, %v", action, err, rows)
		}
	}
	c.plant = nil
	c.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" {
			return false
		}
		noSuchRoute.write(w)
		return true
	}
	rows, err := c.examine(t.Context(), doctorCommand{})
	if got := codes(rows); !errors.Is(err, errToDo) || !slices.Equal(got, []string{"NOT_ALLOWED"}) {
		t.Errorf("without execute-api:Invoke: %v, %v", err, rows)
	}
}

// noCredentials is a sign-in that has ended.
type noCredentials struct{}

func (noCredentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{}, errors.New("the session has expired")
}

// TestDoctorWithoutCredentials: a sign-in that ends in between is no fault of the stack.
func TestDoctorWithoutCredentials(t *testing.T) {
	c := newExamined(t)
	s := deployedStack{outputs: c.outputs}
	d, err := newDoctor(aws.Config{Region: "eu-west-1", Credentials: noCredentials{}}, s, piped(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	d.signedRequest(t.Context())
	d.life(t.Context())
	if got := codes(d.rows); !slices.Equal(got, []string{"NO_CREDENTIALS"}) || len(d.rows) != 2 {
		t.Errorf("found %+v", d.rows)
	}
}

// TestDoctorRemoves: whatever happens in between, no license of the doctor's is left.
func TestDoctorRemoves(t *testing.T) {
	c := newExamined(t)
	for name, interfere := range map[string]func(cancel func()) func(http.ResponseWriter, *http.Request) bool{
		"verification fails": func(func()) func(http.ResponseWriter, *http.Request) bool {
			return broken("POST", "/verify-license")
		},
		"revocation fails": func(func()) func(http.ResponseWriter, *http.Request) bool {
			return broken("POST", "/revoke")
		},
		"first removal fails": func(func()) func(http.ResponseWriter, *http.Request) bool {
			return once(broken(http.MethodDelete, ""))
		},
		"response to the first removal is lost": func(func()) func(http.ResponseWriter, *http.Request) bool {
			return once(c.lost(http.MethodDelete, ""))
		},
		"response of the issue function is lost": func(func()) func(http.ResponseWriter, *http.Request) bool {
			return c.lost("POST", "/licenses")
		},
		"issue function takes its time": func(func()) func(http.ResponseWriter, *http.Request) bool {
			var tries atomic.Int32
			return func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != "POST" || r.URL.Path != "/licenses" {
					return false
				}
				switch tries.Add(1) {
				case 1:
					c.forward(r)
					panic(http.ErrAbortHandler)
				case 2, 3, 4:
					w.Header().Set("Content-Type", "application/problem+json")
					w.Header().Set("Cache-Control", "no-store")
					w.Header().Set("X-Request-Id", "another")
					w.WriteHeader(http.StatusConflict)
					_, _ = w.Write(gatewayBody(http.StatusConflict, inFlight, "It is under way."))
					return true
				}
				return false
			}
		},
		"interrupted while it is issued": func(cancel func()) func(http.ResponseWriter, *http.Request) bool {
			return once(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == "POST" && r.URL.Path == "/licenses" {
					c.forward(r)
					interrupt(r, cancel)
					return true
				}
				return false
			})
		},
		"interrupted while it is verified": func(cancel func()) func(http.ResponseWriter, *http.Request) bool {
			return func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/verify-license" {
					interrupt(r, cancel)
					return true
				}
				return false
			}
		},
		"interrupted while the trail is awaited": func(cancel func()) func(http.ResponseWriter, *http.Request) bool {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/audit") {
					cancel()
					internalError.write(w)
					return true
				}
				return false
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var issues, deletes atomic.Int32
			interfering := interfere(cancel)
			c.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.Method == http.MethodDelete:
					deletes.Add(1)
				case r.Method == "POST" && r.URL.Path == "/licenses":
					issues.Add(1)
				}
				return interfering(w, r)
			}
			rows, err := c.examine(ctx, doctorCommand{Wait: 300 * time.Millisecond})
			if c.left() != 0 || issues.Load() == 0 || deletes.Load() == 0 {
				t.Errorf("%d are left after %d and %d requests: %v", c.left(), issues.Load(), deletes.Load(), rows)
			}
			isInterrupted := strings.HasPrefix(name, "interrupted")
			if isInterrupted && (exitCode(err) != exitOther || !strings.Contains(err.Error(), "interrupted")) {
				t.Errorf("got %v", err)
			}
			if isInterrupted && len(codes(rows)) > 0 {
				t.Errorf("found %v", rows)
			}
			isGone := func(row examined) bool { return row.Check == "delete" && row.Result == resultOK }
			if !slices.ContainsFunc(rows, isGone) {
				t.Errorf("does not say that the license is gone: %v", rows)
			}
		})
	}
}

// interrupt ends the command, and waits until its request is.
func interrupt(r *http.Request, cancel func()) {
	_, _ = io.Copy(io.Discard, r.Body) // else the end of the request is not seen
	cancel()
	<-r.Context().Done()
}

// once interferes with the first request that it takes.
func once(interfere func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	var done atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) bool {
		if done.Load() || !interfere(w, r) {
			return false
		}
		done.Store(true)
		return true
	}
}

// lost has a request take effect, and cuts the connection in place of a response.
func (c *cloud) lost(method, end string) func(http.ResponseWriter, *http.Request) bool {
	var done atomic.Bool
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.HasSuffix(r.URL.Path, end) || done.Swap(true) {
			return false
		}
		c.forward(r)
		panic(http.ErrAbortHandler)
	}
}

// TestDoctorWithoutStack: a name of no stack has an exit code of its own, and a region in the error.
func TestDoctorWithoutStack(t *testing.T) {
	c := newExamined(t)
	c.plant = fail("cloudformation:DescribeStacks", "ValidationError")
	rows, err := c.examine(t.Context(), doctorCommand{})
	if exitCode(err) != exitNotFound || len(rows) != 0 ||
		!strings.Contains(err.Error(), "there is no stack "+stackName+" in eu-west-1") {
		t.Errorf("got %v, %v", err, rows)
	}
	if _, err := c.examine(t.Context(), doctorCommand{Wait: -1}); exitCode(err) != exitUsage {
		t.Errorf("a negative wait: %v", err)
	}
}

// TestDoctorForms: people get steps with commands to paste, programs each fact of its own.
func TestDoctorForms(t *testing.T) {
	c := newExamined(t)
	c.plant = set("cloudwatch:DescribeAlarms", "MetricAlarms.0", "ActionsEnabled", false)
	command := doctorCommand{Stack: stackName, Check: true, Wait: time.Second}
	var out, said bytes.Buffer
	if err := command.Run(t.Context(), people(&out, &said)); !errors.Is(err, errToDo) {
		t.Error(err)
	}
	for _, want := range []string{
		"TO DO     alarm ", "left out  audit trail ",
		"its actions are off, so that nobody gets to know (ALARM_WITHOUT_ACTION)\n   Switch them on.\n" +
			"aws cloudwatch enable-alarm-actions --alarm-names ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, &out)
		}
	}
	for format, want := range map[terminal.Format]string{
		terminal.Text: "result\tcheck\tsubject\tcode\tfound\tdo\nok\tstack\t\t\tCREATE_COMPLETE since ",
		terminal.CSV:  "result,check,subject,code,found,do,commands\nok,stack,,,CREATE_COMPLETE since ",
		terminal.JSON: `[` + "\n" + `{"check":"stack","result":"ok","found":"CREATE_COMPLETE since `,
	} {
		out.Reset()
		pipe := piped(&out)
		pipe.Format = format
		if err := command.Run(t.Context(), pipe); !errors.Is(err, errToDo) || !strings.HasPrefix(out.String(), want) {
			t.Errorf("as %s: %v\n%s", format, err, &out)
		}
	}
}
