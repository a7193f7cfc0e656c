package verification

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"openlicenser/shared/api"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/strictjson"
	"openlicenser/shared/token"
)

// lastText is a member of an object that may stand twice. The last one counts, whatever those before it are.
type lastText struct {
	text    string // empty for null
	isOther bool   // neither a string nor null
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *lastText) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = lastText{}
	if d.PeekKind() != jsontext.KindString {
		value, err := d.ReadValue()
		l.isOther = value.Kind() != jsontext.KindNull
		return err
	}
	text, err := d.ReadToken()
	if err == nil {
		l.text = text.String()
	}
	return err
}

// request is what a product asks.
type request struct {
	key          string // clean
	fingerprint  string
	deviceName   string
	leaseMinutes int  // 0: as long as the license says
	isOdd        bool // one of these has the wrong type, which does not matter for a license without devices

	device      string // the id of a device, to be released
	isOddDevice bool   // it has the wrong type
}

// readRequest reads the body. As for the original, the last of two members licensekey counts, and bytes that are not
// UTF-8 do not matter elsewhere. A key of which cleaning leaves nothing is missing.
func readRequest(r api.Request) (request, error) {
	body, err := r.Body(maxBody)
	if err != nil {
		return request{}, errBadRequest
	}
	var object struct {
		LicenseKey   lastText   `json:"licensekey"`
		Fingerprint  lastText   `json:"fingerprint"`
		DeviceName   lastText   `json:"devicename"`
		Device       lastText   `json:"device"`
		LeaseMinutes lastNumber `json:"leaseminutes"`
	}
	err = strictjson.Unmarshal(body, &object, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil || object.LicenseKey.isOther {
		return request{}, errBadRequest
	}
	asked := request{
		key:          token.CleanLicenseKey(object.LicenseKey.text),
		fingerprint:  object.Fingerprint.text,
		deviceName:   device.CleanName(object.DeviceName.text),
		leaseMinutes: object.LeaseMinutes.number,
		isOdd: object.Fingerprint.isOther || object.DeviceName.isOther || object.LeaseMinutes.isOther ||
			len(object.DeviceName.text) > device.MaxName,
		device:      object.Device.text,
		isOddDevice: object.Device.isOther,
	}
	if asked.key == "" {
		return request{}, errMissingLicenseKey
	}
	return asked, nil
}

// deviceOn returns the id of the device on a license, and nothing where the request tells none.
func (r request) deviceOn(licenseID string) string {
	if r.isOdd || !device.IsFingerprint(r.fingerprint) {
		return ""
	}
	return device.ID(licenseID, r.fingerprint)
}

// lastNumber is a member like lastText. It holds a whole number of at least 0.
type lastNumber struct {
	number  int
	isOther bool
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *lastNumber) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = lastNumber{}
	value, err := d.ReadValue()
	if err != nil || value.Kind() == jsontext.KindNull {
		return err
	}
	number, errNumber := strconv.ParseFloat(string(value), 64)
	l.isOther = value.Kind() != jsontext.KindNumber || errNumber != nil || number != math.Trunc(number) || number < 0
	l.number = int(min(number, license.MaxLeaseMinutes))
	return nil
}
