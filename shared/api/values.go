package api

import "strings"

// HeaderValues returns the values of a header by its name, in whatever case the caller wrote it: one for each line that
// the caller sent, empty ones included. It returns nil for a header that is absent.
func (r Request) HeaderValues(name string) []string {
	for written, values := range r.event.MultiValueHeaders {
		if strings.EqualFold(written, name) && len(values) > 0 {
			return values
		}
	}
	for written, value := range r.event.Headers {
		if strings.EqualFold(written, name) {
			return []string{value}
		}
	}
	return nil
}

// QueryValues returns the query's parameters, each with all of its values.
func (r Request) QueryValues() map[string][]string {
	all := make(map[string][]string, len(r.event.QueryStringParameters))
	for name, value := range r.event.QueryStringParameters {
		all[name] = []string{value}
	}
	for name, values := range r.event.MultiValueQueryStringParameters {
		if len(values) > 0 {
			all[name] = values
		}
	}
	return all
}
