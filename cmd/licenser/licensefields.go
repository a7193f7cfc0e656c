package main

import (
	"slices"
	"strings"

	"openlicenser/shared/license"
	"openlicenser/shared/urlpattern"
)

// never stands for the end of a license that has none.
const never = "never"

// services are flags of the form NAME=VALUE.
type services []string

// read returns the services. A name may hold a =, a value may not.
func (s services) read() ([]license.Service, error) {
	var list []license.Service
	for _, text := range s {
		at := strings.LastIndex(text, "=")
		if at <= 0 || at == len(text)-1 {
			return nil, usageError("--service %q must be NAME=VALUE: "+
				"what people read, and what the product asks for", text)
		}
		list = append(list, license.Service{Name: text[:at], Value: text[at+1:]})
	}
	return list, nil
}

func appURLs(urls []string) []license.AppURL {
	var list []license.AppURL
	for _, u := range urls {
		list = append(list, license.AppURL{URL: u})
	}
	return list
}

// editServices returns the list with the services set, which replace those of the same value, and without those
// removed. All that is to be removed must be there.
func editServices(list, set []license.Service, remove []string) ([]license.Service, error) {
	edited := slices.Clone(list)
	for _, value := range slices.Compact(slices.Sorted(slices.Values(remove))) {
		rest := slices.DeleteFunc(slices.Clone(edited), func(s license.Service) bool { return s.Value == value })
		if len(rest) == len(edited) {
			return nil, usageError("--remove-service %q: there is no service of this value; there are: %s",
				value, orNone(list, func(s license.Service) string { return s.Value }))
		}
		edited = rest
	}
	for _, s := range set {
		at := slices.IndexFunc(edited, func(there license.Service) bool { return there.Value == s.Value })
		if at < 0 {
			edited = append(edited, s)
		} else {
			edited[at] = s
		}
	}
	return edited, nil
}

// editAppURLs returns the list with URLs added that are not there yet, and without those removed.
func editAppURLs(list []license.AppURL, add, remove []string) ([]license.AppURL, error) {
	edited := slices.Clone(list)
	for _, u := range slices.Compact(slices.Sorted(slices.Values(remove))) {
		canonical, _ := urlpattern.Canonical(u)
		rest := slices.DeleteFunc(slices.Clone(edited), func(there license.AppURL) bool {
			return there.URL == u || there.URL == canonical
		})
		if len(rest) == len(edited) {
			return nil, usageError("--remove-url %q: there is no such URL; there are: %s",
				u, orNone(list, func(u license.AppURL) string { return u.URL }))
		}
		edited = rest
	}
	for _, u := range appURLs(add) {
		if canonical, problem := urlpattern.Canonical(u.URL); problem == "" {
			u.URL = canonical
		}
		if !slices.Contains(edited, u) {
			edited = append(edited, u)
		}
	}
	return edited, nil
}

func orNone[T any](list []T, text func(T) string) string {
	if len(list) == 0 {
		return "none"
	}
	texts := make([]string, len(list))
	for i, element := range list {
		texts[i] = text(element)
	}
	return strings.Join(texts, ", ")
}

// examples returns the end of a command's help. docs/cli.md has it too, and tests run what it says.
func examples(lines ...string) string {
	return "Examples:\n\n" + strings.Join(mapped(lines, func(line string) string { return "    " + line }), "\n")
}

func mapped[T, U any](list []T, to func(T) U) []U {
	all := make([]U, len(list))
	for i, element := range list {
		all[i] = to(element)
	}
	return all
}
