package issuance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"openlicenser/functions/issue/issuance"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/licensetest"
)

// occupy gives a device a seat, as the verify function does.
func (v vendor) occupy(l license.License, deviceID, name string, until time.Time) {
	v.t.Helper()
	seats, err := v.folder.Devices.Seats(v.t.Context(), l.ID)
	if err != nil {
		v.t.Fatal(err)
	}
	grant := seats.Grant(device.Terms{Epoch: l.SeatsEpoch, Max: l.MaxDevices}, device.Wish{
		Device: deviceID, Name: name, Now: licensetest.Now, Until: until, Enough: until,
	})
	if grant.Write == nil {
		v.t.Fatalf("no seat for %s", deviceID)
	}
	if err := v.folder.Devices.Write(v.t.Context(), l.ID, *grant.Write); err != nil {
		v.t.Fatal(err)
	}
}

// issueForDevices issues a license with the members, and returns it as it is stored.
func (v vendor) issueForDevices(members string) license.License {
	v.t.Helper()
	a := v.call("POST", "/licenses", "", `{"customername":"E","expirationdate":"2030-01-31",`+members+`}`, nil)
	if a.status != http.StatusCreated {
		v.t.Fatalf("got %d %s", a.status, a.text)
	}
	return v.stored(a.LicenseID)
}

func (v vendor) stored(id string) license.License {
	v.t.Helper()
	l, err := v.folder.Licenses.Get(v.t.Context(), id)
	if err != nil {
		v.t.Fatal(err)
	}
	return l
}

// devices returns the response to GET devices.
func (v vendor) devices(id string) string {
	v.t.Helper()
	a := v.call("GET", "/licenses/{licenseid}/devices", id, "", nil)
	if a.status != http.StatusOK || a.header["Cache-Control"] != "no-store" {
		v.t.Fatalf("devices: got %d %v %s", a.status, a.header, a.text)
	}
	return a.text
}

// removeDevices sends a DELETE for one device, or for all where deviceID is empty.
func (v vendor) removeDevices(id, deviceID, body string, header map[string]string) answer {
	v.t.Helper()
	event := events.APIGatewayProxyRequest{
		HTTPMethod: "DELETE", Resource: "/licenses/{licenseid}/devices", Body: body, Headers: header,
		PathParameters: map[string]string{"licenseid": id},
	}
	if deviceID != "" {
		event.Resource += "/{device}"
		event.PathParameters["device"] = deviceID
	}
	event.RequestContext.RequestID = "request-1"
	event.RequestContext.Identity.UserArn = principal
	return v.handle(event)
}

const (
	otherDevice = "b7Yd0m1sR5eJw3kTq9Xn2A"
	hour        = time.Hour
)

// TestDeviceFields: the bounds of each field, as a license is issued and as it is changed.
func TestDeviceFields(t *testing.T) {
	const longest = 90 * 24 * 60 // minutes of a token
	for name, test := range map[string]struct {
		members string
		wrong   string // the field, empty where all is right
		says    string
	}{
		"none":                      {`"maxdevices":0`, "", ""},
		"one":                       {`"maxdevices":1`, "", ""},
		"most":                      {`"maxdevices":250`, "", ""},
		"too many":                  {`"maxdevices":251`, "maxdevices", "from 1 to 250"},
		"negative":                  {`"maxdevices":-1`, "maxdevices", "from 1 to 250"},
		"a fraction":                {`"maxdevices":1.5`, "maxdevices", "whole number"},
		"a text":                    {`"maxdevices":"1"`, "maxdevices", "whole number"},
		"null":                      {`"maxdevices":null,"leaseminutes":null,"maxleaseminutes":null`, "", ""},
		"shortest lease":            {`"maxdevices":1,"leaseminutes":10`, "", ""},
		"lease too short":           {`"maxdevices":1,"leaseminutes":9`, "leaseminutes", "from 10 to 129600"},
		"longest lease":             {fmt.Sprintf(`"maxdevices":1,"leaseminutes":%d`, longest), "", ""},
		"lease longer than a token": {`"maxdevices":1,"leaseminutes":129601`, "leaseminutes", "a token is valid"},
		"lease of 0":                {`"maxdevices":1,"leaseminutes":0`, "", ""},
		"lease without devices":     {`"leaseminutes":10`, "leaseminutes", "with maxdevices"},
		"longest without devices":   {`"maxleaseminutes":200000`, "leaseminutes", "with maxdevices"},
		"longest of three years":    {`"maxdevices":1,"maxleaseminutes":1581120`, "", ""},
		"longest of more":           {`"maxdevices":1,"maxleaseminutes":1581121`, "maxleaseminutes", "to 1581120"},
		"longest as the lease":      {`"maxdevices":1,"leaseminutes":60,"maxleaseminutes":60`, "", ""},
		"longest shorter": {
			`"maxdevices":1,"leaseminutes":60,"maxleaseminutes":59`, "maxleaseminutes", "which is 60",
		},
		"longest as a token":         {`"maxdevices":1,"maxleaseminutes":129600`, "", ""},
		"longest shorter than token": {`"maxdevices":1,"maxleaseminutes":129599`, "maxleaseminutes", "which is 129600"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t)
			id := v.issue().LicenseID
			for method, a := range map[string]answer{
				"POST": v.call("POST", "/licenses", "",
					`{"customername":"E","expirationdate":"2030-01-31",`+test.members+`}`, nil),
				"PATCH": v.callIfMatch("PATCH", "/licenses/{licenseid}", id, "*", `{`+test.members+`}`),
			} {
				isOK := a.status == http.StatusOK || a.status == http.StatusCreated
				if isOK != (test.wrong == "") {
					t.Fatalf("%s: got %d %s", method, a.status, a.text)
				}
				if isOK {
					continue
				}
				if len(a.Errors) != 1 || a.Errors[0].Field != test.wrong ||
					!strings.Contains(a.Errors[0].Message, test.says) {
					t.Errorf("%s: got %v, want %s %s", method, a.Errors, test.wrong, test.says)
				}
			}
		})
	}
}

// TestDeviceFieldsAreShown: as they were given, and not at all where there are none.
func TestDeviceFieldsAreShown(t *testing.T) {
	v := newVendor(t)
	l := v.issueForDevices(`"maxdevices":3,"leaseminutes":60,"maxleaseminutes":120`)
	const fields = `"maxdevices":3,"leaseminutes":60,"maxleaseminutes":120`
	if a := v.call("GET", "/licenses/{licenseid}", l.ID, "", nil); !strings.Contains(a.text, fields) {
		t.Errorf("got %s", a.text)
	}
	a := v.callIfMatch("PATCH", "/licenses/{licenseid}", l.ID, "*", `{"maxdevices":null}`)
	if a.status != http.StatusBadRequest || a.Errors[0].Field != "leaseminutes" {
		t.Errorf("without the leases: %d %s", a.status, a.text)
	}
	const none = `{"maxdevices":null,"leaseminutes":null,"maxleaseminutes":null}`
	a = v.callIfMatch("PATCH", "/licenses/{licenseid}", l.ID, "*", none)
	for _, text := range []string{"maxdevices", "leaseminutes", "seatsepoch"} {
		if a.status != http.StatusOK || strings.Contains(a.text, text) {
			t.Errorf("taken away: %d %s", a.status, a.text)
		}
	}
}

// TestSeatsEpoch: it is new where a license gets maxdevices and at a reset, and stays with another number of devices.
func TestSeatsEpoch(t *testing.T) {
	v := newVendor(t)
	id := v.issue().LicenseID
	last := v.stored(id).SeatsEpoch
	if last != 0 {
		t.Errorf("without devices: %d", last)
	}
	for _, step := range []struct {
		name, patch string
		isNew       bool
	}{
		{"given", `{"maxdevices":2}`, true},
		{"raised", `{"maxdevices":3}`, false},
		{"lowered", `{"maxdevices":1,"leaseminutes":60}`, false},
		{"taken away", `{"maxdevices":null,"leaseminutes":null}`, false},
		{"given again in the same millisecond", `{"maxdevices":1}`, true},
		{"reset", "", true},
		{"reset again", "", true},
	} {
		a := answer{}
		if step.patch != "" {
			a = v.callIfMatch("PATCH", "/licenses/{licenseid}", id, "*", step.patch)
		} else {
			a = v.removeDevices(id, "", `{"reason":"x"}`, nil)
		}
		epoch := v.stored(id).SeatsEpoch
		if a.status >= http.StatusBadRequest || epoch < last || (epoch != last) != step.isNew {
			t.Errorf("%s: %d, epoch %d after %d", step.name, a.status, epoch, last)
		}
		last = epoch
	}
}

// TestListDevices: those that hold a seat of this epoch, oldest first, by id and by reference, and never a fingerprint.
func TestListDevices(t *testing.T) {
	v := newVendor(t)
	if text := v.devices(v.issue().LicenseID); text != `{"limit":null,"devices":[]}` {
		t.Errorf("without maxdevices: %s", text)
	}
	l := v.issueForDevices(`"maxdevices":3,"reference":"order 4711"`)
	if text := v.devices(l.ID); text != `{"limit":3,"devices":[]}` {
		t.Errorf("at first: %s", text)
	}
	v.occupy(l, theDevice, "front desk", licensetest.Now.Add(hour))
	v.occupy(l, otherDevice, "", licensetest.Now.Add(2*hour))
	want := `{"limit":3,"devices":[` +
		`{"id":"q0fXo2JyTmCq1s9u7Zb3Zw","name":"front desk","since":"2026-11-01T12:00:00.000Z",` +
		`"until":"2026-11-01T13:00:00.000Z"},` +
		`{"id":"b7Yd0m1sR5eJw3kTq9Xn2A","name":"","since":"2026-11-01T12:00:00.001Z",` +
		`"until":"2026-11-01T14:00:00.000Z"}]}`
	for _, id := range []string{l.ID, strings.ToUpper(l.ID), "ref:order 4711"} {
		if diff := cmp.Diff(want, v.devices(id)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	v.ports.Now = func() time.Time { return licensetest.Now.Add(hour) }
	if text := v.devices(l.ID); strings.Contains(text, theDevice) || !strings.Contains(text, otherDevice) {
		t.Errorf("when the first seat has ended: %s", text)
	}
	const unknown = "869b100f-06b7-44cc-80df-b4c4bf728461"
	if a := v.call("GET", "/licenses/{licenseid}/devices", unknown, "", nil); a.Code != "LICENSE_NOT_FOUND" {
		t.Errorf("unknown: %d %s", a.status, a.text)
	}
}

// TestResetDevices: a change of the license like any other, after which no device holds a seat.
func TestResetDevices(t *testing.T) {
	v := newVendor(t)
	l := v.issueForDevices(`"maxdevices":2,"reference":"order 4711"`)
	v.occupy(l, theDevice, "", licensetest.Now.Add(hour))
	held := v.devices(l.ID)
	const reason = `{"reason":"all were replaced"}`
	etag := v.call("GET", "/licenses/{licenseid}", l.ID, "", nil).header["ETag"]
	for name, test := range map[string]struct {
		body, ifMatch string
		code          string
	}{
		"without a body":      {"", "", "INVALID_FIELDS"},
		"without a reason":    {`{}`, "", "INVALID_FIELDS"},
		"with a blank reason": {`{"reason":" "}`, "", "INVALID_FIELDS"},
		"stale":               {reason, `"0-0"`, "STALE"},
		"If-Match is none":    {reason, `""x`, "INVALID_IF_MATCH"},
	} {
		header := map[string]string{}
		if test.ifMatch != "" {
			header["If-Match"] = test.ifMatch
		}
		if a := v.removeDevices(l.ID, "", test.body, header); a.Code != test.code || v.devices(l.ID) != held {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	header := map[string]string{"If-Match": etag, "Idempotency-Key": "key-1"}
	a := v.removeDevices("ref:order 4711", "", reason, header)
	after := v.call("GET", "/licenses/{licenseid}", l.ID, "", nil)
	if a.status != http.StatusNoContent || a.text != "" || a.header["ETag"] != after.header["ETag"] ||
		after.header["ETag"] == etag {
		t.Errorf("got %d %v %s; the license has %s", a.status, a.header, a.text, after.header["ETag"])
	}
	if after.Version != 2 || after.ChangedBy != principal || after.ChangeReason != "all were replaced" {
		t.Errorf("the license is %s", after.text)
	}
	if text := v.devices(l.ID); text != `{"limit":2,"devices":[]}` {
		t.Errorf("after the reset: %s", text)
	}
	again := v.removeDevices("ref:order 4711", "", reason, header)
	if again.status != http.StatusNoContent || again.header["Idempotency-Replayed"] != "true" ||
		again.header["ETag"] != a.header["ETag"] || v.stored(l.ID).Version != 2 {
		t.Errorf("sent again: %d %v", again.status, again.header)
	}
	a = v.removeDevices(v.issue().LicenseID, "", reason, nil)
	if a.status != http.StatusConflict || a.Code != "STATUS_FORBIDS" {
		t.Errorf("without maxdevices: %d %s", a.status, a.text)
	}
}

// TestReleaseDevice: the vendor takes single seats back, as many as it likes, and the license stays as it is.
func TestReleaseDevice(t *testing.T) {
	v := newVendor(t)
	l := v.issueForDevices(`"maxdevices":1,"reference":"order 4711"`)
	const reason = `{"reason":"stolen"}`
	for n := range 5 { // a customer may give back three
		v.occupy(l, theDevice, "", licensetest.Now.Add(hour))
		id := l.ID
		if n%2 == 1 {
			id = "ref:order 4711"
		}
		if a := v.removeDevices(id, theDevice, reason, nil); a.status != http.StatusNoContent || a.text != "" {
			t.Fatalf("release %d: got %d %s", n, a.status, a.text)
		}
		if text := v.devices(l.ID); text != `{"limit":1,"devices":[]}` {
			t.Fatalf("after release %d: %s", n, text)
		}
	}
	v.occupy(l, theDevice, "", licensetest.Now.Add(hour))
	held := v.devices(l.ID)
	for name, deviceID := range map[string]string{"holds no seat": otherDevice, "is no id": "x"} {
		if a := v.removeDevices(l.ID, deviceID, reason, nil); a.status != http.StatusNoContent {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	for name, test := range map[string]struct{ body, ifMatch, code string }{
		"without a reason": {`{}`, "*", "INVALID_FIELDS"}, "stale": {reason, `"0-0"`, "STALE"},
	} {
		a := v.removeDevices(l.ID, theDevice, test.body, map[string]string{"If-Match": test.ifMatch})
		if a.Code != test.code {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	if got := v.devices(l.ID); got != held || v.stored(l.ID).Version != 1 {
		t.Errorf("got %s, version %d", got, v.stored(l.ID).Version)
	}
	if a := v.removeDevices(v.issue().LicenseID, theDevice, reason, nil); a.status != http.StatusNoContent {
		t.Errorf("without maxdevices: got %d %s", a.status, a.text)
	}
}

// TestReleaseIsLogged: who took a seat back, and why, stands in the request's record.
func TestReleaseIsLogged(t *testing.T) {
	v := newVendor(t)
	l := v.issueForDevices(`"maxdevices":1`)
	var log strings.Builder
	licenses, plans, keys, trail := v.ports.parts()
	router, err := issuance.NewRouter(telemetry.NewLogger(&log), licenses, plans, keys, trail)
	if err != nil {
		t.Fatal(err)
	}
	event := events.APIGatewayProxyRequest{
		HTTPMethod: "DELETE", Resource: "/licenses/{licenseid}/devices/{device}", Body: `{"reason":"stolen"}`,
		PathParameters: map[string]string{"licenseid": l.ID, "device": theDevice},
	}
	event.RequestContext.Identity.UserArn = principal
	if _, err := router.Invoke(t.Context(), apitest.Event(event)); err != nil {
		t.Fatal(err)
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(log.String()), &record); err != nil {
		t.Fatalf("%v: %s", err, log.String())
	}
	for name, want := range map[string]string{
		"principal": principal, "reason": "stolen", "device": theDevice, "licenseid": l.ID,
	} {
		if record[name] != want {
			t.Errorf("%s is %v, want %s", name, record[name], want)
		}
	}
}

// TestDevicesNotUnderstood: of a record whose maxdevices another tool has written in a form of its own, nobody guesses.
func TestDevicesNotUnderstood(t *testing.T) {
	v := newVendor(t)
	l := v.issueForDevices(`"maxdevices":1`)
	record := l.Record()
	record["maxdevices"] = "one"
	if err := v.folder.Licenses.PutRecord(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"list":    v.call("GET", "/licenses/{licenseid}/devices", l.ID, "", nil),
		"reset":   v.removeDevices(l.ID, "", `{"reason":"x"}`, nil),
		"release": v.removeDevices(l.ID, theDevice, `{"reason":"x"}`, nil),
	} {
		if a.status != http.StatusConflict || a.Code != "STATUS_FORBIDS" {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
	}
	a := v.callIfMatch("PATCH", "/licenses/{licenseid}", l.ID, "*", `{"maxdevices":1}`)
	if a.status != http.StatusOK || v.devices(l.ID) != `{"limit":1,"devices":[]}` {
		t.Errorf("mended: %d %s", a.status, a.text)
	}
}

// faultyDevices is a device.Store whose calls fail with the error, where it has one.
type faultyDevices struct {
	device.Store
	read, write, remove, forget error
}

func (f faultyDevices) Seats(ctx context.Context, id string) (*device.Seats, error) {
	if f.read != nil {
		return nil, f.read
	}
	return f.Store.Seats(ctx, id)
}

func (f faultyDevices) Write(ctx context.Context, id string, w device.Write) error {
	if f.write != nil {
		return f.write
	}
	return f.Store.Write(ctx, id, w)
}

func (f faultyDevices) ForgetNames(ctx context.Context, id string) error {
	if f.forget != nil {
		return f.forget
	}
	return f.Store.ForgetNames(ctx, id)
}

func (f faultyDevices) Remove(ctx context.Context, id string) error {
	if f.remove != nil {
		return f.remove
	}
	return f.Store.Remove(ctx, id)
}

// TestDeviceFaults: a fault of the device table is a 500, and no license without devices needs that table.
func TestDeviceFaults(t *testing.T) {
	v := newVendor(t)
	l := v.issueForDevices(`"maxdevices":1`)
	v.occupy(l, theDevice, "", licensetest.Now.Add(hour))
	none := v.issue().LicenseID
	const reason = `{"reason":"x"}`
	for name, test := range map[string]struct {
		faults faultyDevices
		do     func() answer
		status int
	}{
		"list": {faultyDevices{read: errInternal}, func() answer {
			return v.call("GET", "/licenses/{licenseid}/devices", l.ID, "", nil)
		}, http.StatusInternalServerError},
		"release, unreadable": {faultyDevices{read: errInternal}, func() answer {
			return v.removeDevices(l.ID, theDevice, reason, nil)
		}, http.StatusInternalServerError},
		"release, unwritable": {faultyDevices{write: errInternal}, func() answer {
			return v.removeDevices(l.ID, theDevice, reason, nil)
		}, http.StatusInternalServerError},
		"release, always changed by others": {faultyDevices{write: device.ErrConflict}, func() answer {
			return v.removeDevices(l.ID, theDevice, reason, nil)
		}, http.StatusConflict},
		"without devices": {faultyDevices{read: errInternal, write: errInternal}, func() answer {
			return v.removeDevices(none, theDevice, reason, nil)
		}, http.StatusNoContent},
	} {
		t.Run(name, func(t *testing.T) {
			test.faults.Store = v.folder.Devices
			v.t, v.ports.Devices = t, test.faults
			if a := test.do(); a.status != test.status || strings.Contains(a.text, "arn:") {
				t.Errorf("got %d %s", a.status, a.text)
			}
		})
	}
}

// TestDeleteRemovesSeats: before the license is gone, so that removing it again completes what a fault has left.
func TestDeleteRemovesSeats(t *testing.T) {
	v := newVendor(t)
	l := v.issueForDevices(`"maxdevices":1`)
	v.occupy(l, theDevice, "", licensetest.Now.Add(hour))
	remove := func() answer {
		return v.callIfMatch("DELETE", "/licenses/{licenseid}", l.ID, "*", `{"reason":"a mistake"}`)
	}
	v.ports.Devices = faultyDevices{Store: v.folder.Devices, remove: errInternal}
	if a := remove(); a.status != http.StatusInternalServerError {
		t.Fatalf("got %d %s", a.status, a.text)
	}
	if marked := v.stored(l.ID); marked.Status(licensetest.Now) != license.Revoked || !marked.Deleted {
		t.Errorf("after the fault: %+v", marked)
	}
	v.ports.Devices = v.folder.Devices
	if a := remove(); a.status != http.StatusNoContent {
		t.Errorf("again: %d %s", a.status, a.text)
	}
	if seats, err := v.folder.Devices.Seats(t.Context(), l.ID); seats != nil || err != nil {
		t.Errorf("seats %v, %v", seats, err)
	}
	if _, err := v.folder.Licenses.Get(t.Context(), l.ID); !errors.Is(err, license.ErrNotFound) {
		t.Errorf("the license: %v", err)
	}
}
