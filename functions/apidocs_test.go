package functions_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"openlicenser/shared/audit"
	"openlicenser/shared/device"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/urlpattern"
	"openlicenser/shared/vendorapi"
)

// firstColumn returns what stands as code in the first column of the table, sorted.
func firstColumn(t *testing.T, document, header string) (names []string) {
	t.Helper()
	for _, row := range table(t, document, header) {
		names = append(names, codes(row[0])...)
	}
	slices.Sort(names)
	return names
}

// members returns the names of a struct's JSON members, sorted, without those that have the option.
func members(of reflect.Type, without string) (names []string) {
	for i := range of.NumField() {
		name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if without == "" || options != without {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestEntryMembers: docs/audit-trail.md has the members of an audit entry, each once. Those that an entry always has
// are in the first table.
func TestEntryMembers(t *testing.T) {
	ordinary := firstColumn(t, "docs/audit-trail.md", "| member | holds |")
	listed := append(slices.Clone(ordinary), firstColumn(t, "docs/audit-trail.md", "| member | says |")...)
	slices.Sort(listed)
	entry := reflect.TypeFor[audit.Entry]()
	if difference := diff.Diff(members(entry, ""), listed); difference != "" {
		t.Errorf("(-audit.Entry +docs/audit-trail.md):\n%s", difference)
	}
	for _, name := range members(entry, "omitempty") {
		if !slices.Contains(ordinary, name) {
			t.Errorf("an entry always has %s", name)
		}
	}
}

// signer is a token.SigningKey.
type signer struct{ *rsa.PrivateKey }

func (s signer) PublicKey(context.Context) (*rsa.PublicKey, error) {
	return &s.PrivateKey.PublicKey, nil
}

func (s signer) Published(context.Context) ([]token.PublishedKey, error) { return nil, nil }

func (s signer) SignDigest(_ context.Context, _ *rsa.PublicKey, digest [sha256.Size]byte) ([]byte, error) {
	return rsa.SignPKCS1v15(nil, s.PrivateKey, crypto.SHA256, digest[:])
}

// TestTokenClaims: docs/api.md and openapi.yaml have the claims of a token. What is the vendor's alone is not among
// them.
func TestTokenClaims(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	authorizer := token.Authorizer{Key: signer{key}, Lifetime: time.Hour}
	l := license.License{
		ExpirationDate: license.Never, UpdatesUntil: time.Now(), Email: "vendors@example.com",
		Reference: "vendors order", Plan: "vendors plan",
	}
	lease := token.Lease{Device: device.ID("license", "computer"), Expires: time.Now().Add(time.Hour)}
	text, _, err := authorizer.AuthorizeDevice(t.Context(), l, lease, time.Now(), token.Signature{})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		t.Fatal(err, string(payload))
	}
	if strings.Contains(string(payload), "vendors") {
		t.Errorf("the token tells %s", payload)
	}
	want := slices.Sorted(maps.Keys(claims))
	if difference := diff.Diff(want, firstColumn(t, "docs/api.md", "| claim | |")); difference != "" {
		t.Errorf("(-token +docs/api.md):\n%s", difference)
	}
	_, document := readAPI(t)
	const schema = "AuthorizationTokenClaims"
	described, _ := document.At("components", "schemas", schema, "properties").(map[string]any)
	if difference := diff.Diff(want, slices.Sorted(maps.Keys(described))); difference != "" {
		t.Errorf("(-token +openapi.yaml):\n%s", difference)
	}
	if err := document.CheckComponent(schema, claims); err != nil {
		t.Error(err)
	}
}

// TestFields: docs/api.md has the fields of a license as it is issued, and their limits.
func TestFields(t *testing.T) {
	const header = "| field | | |"
	draft := members(reflect.TypeFor[vendorapi.LicenseDraft](), "")
	if difference := diff.Diff(draft, firstColumn(t, "docs/api.md", header)); difference != "" {
		t.Errorf("(-vendorapi.LicenseDraft +docs/api.md):\n%s", difference)
	}
	rows := map[string]string{}
	for _, row := range table(t, "docs/api.md", header) {
		rows[codes(row[0])[0]] = row[2]
	}
	rows["elsewhere"] = strings.Join(strings.Fields(readSource(t, "docs/api.md")), " ")
	for _, limit := range []struct{ row, text string }{
		{"customername", fmt.Sprintf("1 to %d characters", license.MaxCustomerName)},
		{"services", fmt.Sprintf("up to %d of", license.MaxServices)},
		{"services", fmt.Sprintf("each 1 to %d characters", license.MaxServiceText)},
		{"appurls", fmt.Sprintf("up to %d of", license.MaxAppURLs)},
		{"gracedays", fmt.Sprintf("0 to %d days", license.MaxGraceDays)},
		{"notes", fmt.Sprintf("up to %s characters", thousands(license.MaxNotes))},
		{"reference", fmt.Sprintf("1 to %d characters", license.MaxReference)},
		{"email", fmt.Sprintf("up to %d bytes", license.MaxEmail)},
		{"maxdevices", fmt.Sprintf("1 to %d: how many", license.MaxDevices)},
		{"leaseminutes", fmt.Sprintf("%d up to the lifetime", license.MinLeaseMinutes)},
		{"maxleaseminutes", fmt.Sprintf("up to %d,%s", license.MaxLeaseMinutes/1_000_000,
			thousands(license.MaxLeaseMinutes%1_000_000))},
		{"elsewhere", fmt.Sprintf("a name for people, up to %d bytes", device.MaxName)},
		{"elsewhere", fmt.Sprintf("A reference has 1 to %d characters", license.MaxReference)},
		{"elsewhere", fmt.Sprintf("expired in the last %d days", license.MaxGraceDays)},
		{"elsewhere", fmt.Sprintf("a `\"reason\"` of up to %s characters", thousands(license.MaxReason))},
		{"elsewhere", fmt.Sprintf("`services` and `appurls` are at most %d KiB", license.MaxListBytes>>10)},
		{"elsewhere", fmt.Sprintf("URL of up to %s characters", thousands(urlpattern.MaxURL))},
		{"elsewhere", fmt.Sprintf(`example\.com$`+"`, of up to %d characters", urlpattern.MaxPattern)},
		{"elsewhere", fmt.Sprintf("at most %d times `limit`", license.MaxReads)},
	} {
		if !strings.Contains(rows[limit.row], limit.text) {
			t.Errorf("docs/api.md, %s, does not say: %s", limit.row, limit.text)
		}
	}
}

// TestPlanFields: docs/api.md has the fields of a plan, and the most days of those that a license has not.
func TestPlanFields(t *testing.T) {
	const header = "| field of a plan | | |"
	server := []string{"-", "plan", "version", "changed", "changedby"} // which the server says, or the path
	want := slices.DeleteFunc(members(reflect.TypeFor[vendorapi.Plan](), ""), func(name string) bool {
		return slices.Contains(server, name)
	})
	var documented []string
	for _, row := range table(t, "docs/api.md", header) {
		documented = append(documented, codes(row[0])...)
		limit := "1 to " + thousands(license.MaxPlanDays) + ": days from the issue"
		if strings.Contains(row[0], "days`") && !strings.Contains(row[0], ",") && !strings.Contains(row[2], limit) {
			t.Errorf("docs/api.md, %s, does not say: %s", row[0], limit)
		}
	}
	slices.Sort(documented)
	if difference := diff.Diff(want, documented); difference != "" {
		t.Errorf("(-vendorapi.Plan +docs/api.md):\n%s", difference)
	}
}

// thousands writes a number of one to six digits as the documents do.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// TestIndexes: docs/api.md has the index that serves each query with its keys, every filter, and every index.
func TestIndexes(t *testing.T) {
	const some = "a text"
	at := time.Now()
	filters := map[string]func(*license.Query){
		"email":          func(q *license.Query) { q.Email = some },
		"customerid":     func(q *license.Query) { q.CustomerID = some },
		"customername":   func(q *license.Query) { q.CustomerName = some },
		"status":         func(q *license.Query) { q.Status = license.Active },
		"expiringbefore": func(q *license.Query) { q.ExpiringBefore = at.AddDate(1, 0, 0) },
		"expiringafter":  func(q *license.Query) { q.ExpiringAfter = at },
	}
	listed := firstColumn(t, "docs/api.md", "| filter | lists the licenses |")
	want := append(slices.Sorted(maps.Keys(filters)), "order", "reference") // which need no index of their own
	slices.Sort(want)
	if difference := diff.Diff(want, listed); difference != "" {
		t.Errorf("filters (-want +docs/api.md):\n%s", difference)
	}

	rows := table(t, "docs/api.md", "| filters | index (partition, sort key) | order | left out while reading |")
	written := map[string]bool{}
	var indexes []license.Index
	for n, row := range rows {
		cell := codes(row[1])
		if len(cell) != 3 {
			t.Fatalf("%s: docs/api.md has the index %v", row[0], cell)
		}
		index := license.Index{Name: cell[0], Partition: cell[1], Sort: cell[2]}
		indexes = append(indexes, index)
		wantIndex := func(query license.Query) {
			t.Helper()
			if query.Index() != index {
				t.Errorf("%s: docs/api.md has the index %v, want %v", row[0], index, query.Index())
			}
			if query.Ranges()[0].Descending != strings.HasSuffix(row[2], "first") {
				t.Errorf("%s: docs/api.md has the order %s", row[0], row[2])
			}
		}
		for _, filter := range codes(row[0]) {
			var query license.Query
			filters[filter](&query)
			wantIndex(query)
			written[filter] = true
		}
		var all license.Query // with those of the rows below
		for _, row := range rows[n:] {
			for _, filter := range codes(row[0]) {
				filters[filter](&all)
			}
		}
		wantIndex(all)
	}
	if len(written) != len(filters) {
		t.Errorf("only the filters %v are in a row", slices.Sorted(maps.Keys(written)))
	}
	byName := func(a, b license.Index) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(indexes, byName)
	if all := slices.SortedFunc(slices.Values(license.Indexes), byName); !slices.Equal(all, indexes) {
		t.Errorf("docs/api.md has the indexes %v, want %v", indexes, all)
	}
}

// TestResponsesInREADME: what the README says of a response to products is as in docs/api.md.
func TestResponsesInREADME(t *testing.T) {
	type response struct{ name, do string }
	all := map[response]bool{}
	for _, row := range table(t, "docs/api.md", "| status | body | what it means | what the product should do |") {
		all[response{row[0] + " " + row[1], row[3]}] = true
		all[response{"anything else", row[3]}] = strings.Contains(row[0], "5xx")
	}
	for _, row := range table(t, "README.md", "| response | what it means | what the product should do |") {
		if !all[response{row[0], row[2]}] {
			t.Errorf("docs/api.md does not have %s: %s", row[0], row[2])
		}
	}
}
