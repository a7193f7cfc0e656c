package main

import "openlicenser/shared/urlpattern"

// hostCase is an application URL, and hosts that it allows or does not.
type hostCase struct {
	Name    string   `json:"name"`
	URL     string   `json:"url"`           // as the token has it
	Sent    string   `json:"sent,omitzero"` // as the vendor has written it, where the server stores another spelling
	Issued  bool     `json:"issued"`        // the server takes it; others are in tables of earlier tools
	Allowed []string `json:"allowed"`
	Refused []string `json:"refused"`
}

// hosts returns hosts.json.
func hosts() (f struct {
	Cases []hostCase `json:"cases"`
}) {
	add := func(name, sent string, allowed, refused []string) {
		c := hostCase{Name: name, URL: sent, Allowed: allowed, Refused: refused}
		if canonical, problem := urlpattern.Canonical(sent); problem == "" {
			c.Issued = true
			if canonical != sent {
				c.URL, c.Sent = canonical, sent
			}
		}
		f.Cases = append(f.Cases, c)
	}
	add("a host", "https://app.example.com",
		[]string{"app.example.com", "APP.Example.COM", "app.example.com:443", "app.example.com:8443"},
		[]string{"example.com", "x.app.example.com", "app.example.com.evil.org", "evilapp.example.com",
			"app.example.com.", "app.example.com/", "https://app.example.com", "user@app.example.com",
			"app.example.com:x", " app.example.com",
			"app.example.com\n", "app.example.com:443:443", ""})
	add("http and https are the same", "http://app.example.com", []string{"app.example.com"}, nil)
	add("capitals", "HTTPS://App.Example.COM/", []string{"app.example.com"}, nil)
	add("a port does not count", "https://app.example.com:8443", []string{"app.example.com", "app.example.com:9"}, nil)
	add("the default port is not stored", "https://app.example.com:443", []string{"app.example.com"}, nil)
	add("path, query and fragment do not count", "https://app.example.com/reports?x=@y#z", []string{"app.example.com"},
		[]string{"y", "app.example.com/reports"})
	add("one label", "http://localhost:3000", []string{"localhost", "localhost:8080"},
		[]string{"localhost.example.com"})
	add("an IPv4 address", "http://192.0.2.1", []string{"192.0.2.1", "192.0.2.1:80"}, []string{"192.0.2.10", "192.0.2"})
	add("an IPv6 address", "http://[2001:DB8:0::1]:8080",
		[]string{"[2001:db8::1]", "[2001:db8::1]:443", "2001:db8::1", "[2001:DB8::1]"},
		[]string{"[2001:db8::2]", "[2001:db8:0::1]", "[2001:db8::1", "[2001:db8::1]x"})
	add("an international name", "https://bücher.example", []string{"xn--bcher-kva.example", "XN--BCHER-KVA.example"},
		[]string{"bücher.example", "bucher.example"})
	add("an underscore", "https://my_app.example.com", []string{"my_app.example.com"}, []string{"my-app.example.com"})

	add("a pattern for a domain", `re:^(.+\.)?example\.com$`,
		[]string{"example.com", "app.example.com", "a.b.example.com:8443", "APP.EXAMPLE.COM"},
		[]string{"notexample.com", "example.com.evil.org", ".example.com.", "app.example.com\n",
			"app.example.com\u0085", "app.example.com\u2028", "app.example.com\u2029", "example.org"})
	add("a pattern for one label", `re:^[a-z0-9-]+\.example\.com$`, []string{"app.example.com", "x-1.example.com"},
		[]string{"example.com", "a.b.example.com", "a_b.example.com"})
	add("alternatives and counts", `re:^(app|www)[0-9]{1,2}\.example\.com$`,
		[]string{"app1.example.com", "www22.example.com"},
		[]string{"app.example.com", "app123.example.com", "api1.example.com"})
	add("the host is matched in lower case, and the pattern is as it is", `re:^APP\.example\.com$`, nil,
		[]string{"app.example.com", "APP.example.com"})

	add("a pattern of an earlier tool searches", `re:example`, []string{"example.com", "my-example.org"},
		[]string{"sample.com"})
	add("the end of the text as RE2 writes it", `re:^app\.example\.com\z`, nil, []string{"app.example.comz"})
	add("a pattern that is none", `re:(`, nil, []string{"app.example.com", "("})
	add("a star is no wildcard", "https://*.example.com", nil,
		[]string{"app.example.com", "*.example.com", "example.com"})
	add("a user name", "https://user@app.example.com", nil, []string{"app.example.com"})
	add("no scheme", "app.example.com", nil, []string{"app.example.com"})
	add("another scheme", "ftp://app.example.com", nil, []string{"app.example.com"})
	add("no host", "https:///path", nil, []string{"", "path"})
	add("empty", "", nil, []string{"", "app.example.com"})
	return f
}
