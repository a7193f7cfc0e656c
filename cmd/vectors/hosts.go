package main

import (
	"strings"

	"openlicenser/shared/urlpattern"
)

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

	addAlike(add)
	addUnlike(add)
	longest := strings.Repeat("a", 255)
	add("a host of more than 255 characters is none: a pattern", `re:^a+$`, []string{"a", longest},
		[]string{longest + "a", strings.Repeat("a", 1000)})
	add("a host of more than 255 characters is none: a host", "https://"+longest+"a", nil, []string{longest + "a"})

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

// addAlike adds patterns that engines read alike.
func addAlike(add func(name, sent string, allowed, refused []string)) {
	add("groups, alternatives and lazy counts", `re:^(?:(app|www)-?){1,2}?\d{2,}\.x{3}y*?z+?$`,
		[]string{"app12.xxxz", "www-app-123.xxxyyzz"},
		[]string{"app1.xxxz", "app12.xxz", "app-www-app12.xxxz", "12.xxxz"})
	add("classes", `re:^[a-c\-.][\d_][^\d.x-z][\w\-]$`, []string{"a1a-", "-_--", ".9w_", "c0_z"},
		[]string{"d1a-", "aaa-", "a11-", "a1.-", "a1y-", "a1a."})
	add("digits and words are those of ASCII", `re:^\d\D\w\W$`, []string{"1aa.", "0.9-", "5é_é"},
		[]string{"aaa.", "11a.", "1a..", "1aaa", "\u0661aa.", "1aé."})
	add("escaped punctuation", `re:^a\-b\.c\_d$`, []string{"a-b.c_d"}, []string{"a-bxc_d", `a\-b.c_d`})
}

// addUnlike adds patterns that some engine refuses, or reads otherwise. They allow nothing. A client that has RE2 may
// go by it alone, so the hosts are such as RE2 refuses too.
func addUnlike(add func(name, sent string, allowed, refused []string)) {
	for _, c := range []struct {
		name, pattern string
		refused       []string
	}{
		{"a class of POSIX", `^[^[:digit:]]+$`, []string{"5", "5]", "55"}},
		{"an empty class", `^[^]*$`, []string{"a", "app.example.com", "]"}},
		{"a class that begins with its end", `^[^]a]$`, []string{"xa]", "a", "]"}},
		{"an intersection of classes", `^[a-z&&[^b]]$`, []string{"a", "b", "c", "z"}},
		{"repeated, an intersection of classes", `^[a-z&&[^b]]+$`, []string{"a", "b", "c", "zz"}},
		{"a class in a class", `^[a[b]]$`, []string{"a", "b"}},
		{"a range that ends with a class", `^[a-\d]$`, []string{"a", "5", "-"}},
		{"a range that goes down", `^[b-a]$`, []string{"a", "b"}},
		{"an escaped letter", `^a\hb$`, []string{"ahb", "ab"}},
		{"an escaped code point", `^\u0061$`, []string{"a", "u0061"}},
		{"a class of Java", `^\p{Lower}$`, []string{"a", "p{lower}"}},
		{"the end of the text as Java writes it", `^example\.com\Z`, []string{"example.com", "example.comz"}},
		{"a reference to a group", `^(a)\1$`, []string{"aa", "a", "a1"}},
		{"a look ahead", `^(?=a)a$`, []string{"a"}},
		{"a negative look ahead", `^(?!b)a$`, []string{"a"}},
		{"a look behind", `^a(?<=a)$`, []string{"a"}},
		{"a group that is not tried again", `^(?>a)$`, []string{"a"}},
		{"a possessive count", `^a++$`, []string{"a", "aa"}},
		{"a possessive star", `^a*+$`, []string{"a", "aa"}},
		{"a count of a count", `^a{1}{2}$`, []string{"a", "aa"}},
		{"a count without its least", `^a{,2}$`, []string{"a", "aa"}},
		{"a count that goes down", `^a{2,1}$`, []string{"a", "aa"}},
		{"a count above 1000", `^a{0,1001}$`, []string{"a", "aa"}},
		{"a group without an end", `^(a$`, []string{"a", "(a"}},
	} {
		add("what engines read differently allows nothing: "+c.name, "re:"+c.pattern, nil, c.refused)
	}
}
