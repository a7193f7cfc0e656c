package vendorapi

import (
	"encoding/json"
	"errors"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"openlicenser/shared/license"
	"openlicenser/shared/strictjson"
	"openlicenser/shared/token"
)

// ErrForeignList reports that a list has more in it than is understood, which an edit of it would lose.
var ErrForeignList = errors.New("another tool has written it in a form of its own")

// ServiceList returns the services, or ErrForeignList.
func (l License) ServiceList() (services []license.Service, err error) {
	return services, readList(l.Services, &services)
}

// AppURLList returns the application URLs, or ErrForeignList.
func (l License) AppURLList() (urls []license.AppURL, err error) {
	return urls, readList(l.AppURLs, &urls)
}

func readList(list json.RawMessage, into any) error {
	if len(list) == 0 || strictjson.Unmarshal(list, into, jsonv2.RejectUnknownMembers(true)) != nil {
		return ErrForeignList
	}
	return nil
}

// IDOf returns what stands for a license in the API: for its id, as it is, for its license key in either form, or for
// its reference. It reads the id of a license key alone, and does not know whether the key is genuine.
func IDOf(text string) string {
	text = strings.TrimSpace(text)
	if license.IsUUID(text) || strings.HasPrefix(text, ByReference("")) {
		return text
	}
	if id := token.UnverifiedLicenseID(token.CleanLicenseKey(text)); id != "" {
		return id
	}
	return ByReference(text)
}
