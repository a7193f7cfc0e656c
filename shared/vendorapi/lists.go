package vendorapi

import (
	"encoding/json"
	"errors"

	jsonv2 "github.com/go-json-experiment/json"

	"openlicenser/shared/license"
	"openlicenser/shared/strictjson"
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
