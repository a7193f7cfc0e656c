package dynamo_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/device"
	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/awstest"
	"openlicenser/shared/testing/devicetest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

// tokenEnds is exp of the token of the device.
var tokenEnds = issued.AddDate(0, 0, 90)

// deviceSignatures has the real client speak to a wire, with seats.
func deviceSignatures(t *testing.T, answers ...answer) (*wire, *dynamo.Signatures) {
	w, client := serve(t, answers...)
	licenses, devices := dynamo.NewLicenses(client, "licenses", "r"), dynamo.NewDevices(client, "devices")
	return w, dynamo.NewSignatures(client, "signatures", licenses, devices)
}

// keptOf is the signature's item of a device.
func keptOf(id, deviceID string) string {
	return strings.NewReplacer(`"c2lnbmVk"`, `"b2YgZGV2aWNl"`, `"expires":{"N":"1795946400"}`,
		`"expires":{"N":"1802944800"},"exp":{"N":"1802944800"}`).Replace(kept(id + "/" + deviceID))
}

func deviceBatch(licenses, devices, signatures, unprocessed string) answer {
	return ok(fmt.Sprintf(`{"Responses":{"licenses":[%s],"devices":[%s],"signatures":[%s]},"UnprocessedKeys":{%s}}`,
		licenses, devices, signatures, unprocessed))
}

// licensed returns a license with seats, its record, and the item of its seats.
func licensed(t *testing.T) (l license.License, record, seats string) {
	t.Helper()
	l = licensetest.Issue(t)
	l.MaxDevices, l.SeatsEpoch = 2, 1793500000000
	return l, dynamoJSON(t, l.Record()), strings.Replace(seatsItem, `{"S":"x"}`, fmt.Sprintf(`{"S":%q}`, l.ID), 1)
}

// TestSignaturesGetDevice: license and seats, strongly consistent, and two signatures come in one request. What
// DynamoDB leaves out, and matters, is read alone.
func TestSignaturesGetDevice(t *testing.T) {
	l, record, seats := licensed(t)
	const id = "device-1"
	both := kept(l.ID) + "," + keptOf(l.ID, id)
	item := func(text string) answer { return ok(`{"Item":` + text + `}`) }
	fault := fault(400, "AccessDeniedException", "")
	for name, test := range map[string]struct {
		answers             []answer
		calls               string
		seats               *device.Seats
		signature, ofDevice string
	}{
		"all": {[]answer{deviceBatch(record, seats, both, "")}, "", oneSeat(), "signed", "of device"},
		"in another order": {
			[]answer{deviceBatch(record, seats, keptOf(l.ID, id)+","+kept(l.ID), "")},
			"", oneSeat(), "signed", "of device",
		},
		"no seats":       {[]answer{deviceBatch(record, "", both, "")}, "", nil, "signed", "of device"},
		"no signatures":  {[]answer{deviceBatch(record, seats, "", "")}, "", oneSeat(), "", ""},
		"of the license": {[]answer{deviceBatch(record, seats, kept(l.ID), "")}, "", oneSeat(), "signed", ""},
		"of the device":  {[]answer{deviceBatch(record, seats, keptOf(l.ID, id), "")}, "", oneSeat(), "", "of device"},
		"another device's": {
			[]answer{deviceBatch(record, seats, keptOf(l.ID, "device-2"), "")}, "", oneSeat(), "", "",
		},
		"another license's": {[]answer{deviceBatch(record, seats, keptOf("x", id), "")}, "", oneSeat(), "", ""},
		"exp missing": {
			[]answer{deviceBatch(record, seats, strings.Replace(keptOf(l.ID, id), `"exp":`, `"other":`, 1), "")},
			"", oneSeat(), "", "",
		},
		"exp as text": {
			[]answer{deviceBatch(record, seats, strings.Replace(keptOf(l.ID, id), `"exp":{"N"`, `"exp":{"S"`, 1), "")},
			"", oneSeat(), "", "",
		},
		"signatures left out": {
			[]answer{deviceBatch(record, seats, "", `"signatures":{"Keys":[]}`)}, "", oneSeat(), "", "",
		},
		"seats left out": {
			[]answer{deviceBatch(record, "", both, `"devices":{"Keys":[]}`), item(seats)}, "GetItem devices",
			oneSeat(), "signed", "of device",
		},
		"seats left out, none": {
			[]answer{deviceBatch(record, "", both, `"devices":{"Keys":[]}`), noItem("devices")}, "GetItem devices",
			nil, "signed", "of device",
		},
		"license left out": {
			[]answer{deviceBatch("", seats, both, `"licenses":{"Keys":[]}`), item(record)}, "GetItem licenses",
			oneSeat(), "signed", "of device",
		},
		"all left out": {
			[]answer{
				deviceBatch("", "", "", `"licenses":{"Keys":[]},"devices":{"Keys":[]},"signatures":{"Keys":[]}`),
				item(record), item(seats),
			}, "GetItem licenses, GetItem devices", oneSeat(), "", "",
		},
		"fails": {
			[]answer{fault, item(record), item(seats)}, "GetItem licenses, GetItem devices", oneSeat(), "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := deviceSignatures(t, test.answers...)
			got, err := s.Get(t.Context(), l.ID, id)
			if err != nil || got.SeatsErr != nil {
				t.Fatal(err, got.SeatsErr)
			}
			if diff := licensetest.Diff(l, got.License); diff != "" {
				t.Errorf("license (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.seats, got.Seats); diff != "" {
				t.Errorf("seats (-want +got):\n%s", diff)
			}
			wantSignature(t, got.Signature, test.signature)
			wantSignature(t, got.OfDevice, test.ofDevice)
			if test.ofDevice != "" && !got.OfDevice.Expires.Equal(tokenEnds) {
				t.Errorf("the token of the device ends %v", got.OfDevice.Expires)
			}
			w.wantRequest(t, 0, "BatchGetItem", fmt.Sprintf(`{"RequestItems":{
				"licenses":{"Keys":[{"licenseid":{"S":%[1]q}}],"ConsistentRead":true},
				"devices":{"Keys":[{"licenseid":{"S":%[1]q}}],"ConsistentRead":true},
				"signatures":{"Keys":[{"licenseid":{"S":%[1]q}},{"licenseid":{"S":"%[1]s/device-1"}}]}}}`, l.ID))
			var calls []string
			for _, call := range w.calls[1:] {
				calls = append(calls, fmt.Sprint(call.operation, " ", call.body["TableName"]))
				if call.body["ConsistentRead"] != true {
					t.Errorf("%v", call)
				}
			}
			if got := strings.Join(calls, ", "); got != test.calls {
				t.Errorf("then %s, want %s", got, test.calls)
			}
		})
	}
}

// TestSignaturesGetDeviceErrors: seats that cannot be read or understood are an error of their own, which does not
// matter for a license without devices.
func TestSignaturesGetDeviceErrors(t *testing.T) {
	l, record, seats := licensed(t)
	plain := licensetest.Issue(t)
	for name, answers := range map[string][]answer{
		"said of another table": {
			ok(`{"Responses":{"licenses":[` + record + `],"signatures":[]},"UnprocessedKeys":{}}`),
		},
		"null for a list": {
			ok(`{"Responses":{"licenses":[` + record + `],"devices":null,"signatures":[]},"UnprocessedKeys":{}}`),
		},
		"another license's": {deviceBatch(record, seatsItem, "", "")},
		"left out, and then denied": {
			deviceBatch(record, "", "", `"devices":{"Keys":[]}`), fault(400, "AccessDeniedException", ""),
		},
		"failed, and then not said": {
			fault(400, "AccessDeniedException", ""), ok(`{"Item":` + record + `}`), ok(`{}`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := deviceSignatures(t, answers...)
			got, err := s.Get(t.Context(), l.ID, "device-1")
			if err != nil || got.License.ID != l.ID || got.SeatsErr == nil || got.Seats != nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for name, change := range oddSeats {
		if name == "another license's" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			_, s := deviceSignatures(t, deviceBatch(record, change(seats), "", ""))
			got, err := s.Get(t.Context(), l.ID, "device-1")
			if err != nil || got.License.ID != l.ID || got.SeatsErr == nil {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("without devices", func(t *testing.T) { // nothing more is read for the seats
		_, s := deviceSignatures(t,
			deviceBatch(dynamoJSON(t, plain.Record()), "", "", `"devices":{"Keys":[]}`))
		if got, err := s.Get(t.Context(), plain.ID, "device-1"); err != nil || got.SeatsErr != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("without a table of devices", func(t *testing.T) {
		w, s := signatures(t, batch(record, kept(l.ID), ""))
		got, err := s.Get(t.Context(), l.ID, "device-1")
		if err != nil || got.Seats != nil || len(got.OfDevice.Bytes) > 0 {
			t.Errorf("got %+v, %v", got, err)
		}
		w.wantRequest(t, 0, "BatchGetItem", fmt.Sprintf(`{"RequestItems":{
			"licenses":{"Keys":[{"licenseid":{"S":%[1]q}}],"ConsistentRead":true},
			"signatures":{"Keys":[{"licenseid":{"S":%[1]q}}]}}}`, l.ID))
	})
	t.Run("ErrNotFound", func(t *testing.T) {
		_, s := deviceSignatures(t, deviceBatch("", seatsItem, "", ""))
		_, err := s.Get(t.Context(), "x", "device-1")
		wantErr(t, err, license.ErrNotFound)
	})
}

// TestSignaturesKeepDevice: the signature of a device's token stands beside that of the license's, with exp.
func TestSignaturesKeepDevice(t *testing.T) {
	w, s := deviceSignatures(t, ok(`{}`))
	signature := token.Signature{SignedAt: issued, Expires: tokenEnds, Bytes: []byte("of device")}
	if err := s.Keep(t.Context(), "x", "device-1", signature, tokenEnds); err != nil {
		t.Error(err)
	}
	w.wantRequest(t, 0, "PutItem", `{"TableName":"signatures","Item":`+keptOf("x", "device-1")+`}`)
}

// TestSignaturesOfDevices keeps and reads on DynamoDB itself.
func TestSignaturesOfDevices(t *testing.T) {
	client := newClient(awstest.Need(t, awstest.DynamoDBVariable))
	licenses := dynamo.NewLicenses(client, createTable(t, client, "LicenseTable"), "references")
	devices := dynamo.NewDevices(client, createTable(t, client, "DeviceTable"))
	s := dynamo.NewSignatures(client, createTable(t, client, "SignatureTable"), licenses, devices)
	l, _, _ := licensed(t)
	if err := licenses.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	want := func(id, signature, ofDevice string, seats *device.Seats) {
		t.Helper()
		got, err := s.Get(t.Context(), l.ID, id)
		if err != nil || got.SeatsErr != nil || got.License.MaxDevices != 2 {
			t.Fatal(err, got.SeatsErr, got.License.MaxDevices)
		}
		wantSignature(t, got.Signature, signature)
		wantSignature(t, got.OfDevice, ofDevice)
		if diff := cmp.Diff(seats, got.Seats); diff != "" {
			t.Errorf("seats (-want +got):\n%s", diff)
		}
	}
	want("device-1", "", "", nil)
	for id, text := range map[string]string{"": "signed", "device-1": "of 1", "device-2": "of 2"} {
		signature := token.Signature{SignedAt: issued, Expires: tokenEnds, Bytes: []byte(text)}
		if err := s.Keep(t.Context(), l.ID, id, signature, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	seats := devicetest.SeatsOf(50)
	if err := devices.Write(t.Context(), l.ID, device.Write{Put: seats}); err != nil {
		t.Fatal(err)
	}
	want("device-1", "signed", "of 1", seats)
	want("device-2", "signed", "of 2", seats)
	want("device-3", "signed", "", seats)
	if err := s.Forget(t.Context(), l.ID, []string{"device-1", "device-3"}); err != nil {
		t.Fatal(err)
	}
	want("device-1", "", "", seats)
	want("device-2", "", "of 2", seats)
}
