package issuance_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/device"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

// What a fuzzed request carries besides its texts.
const (
	withIfMatch = 1 << iota
	withKey
	withBase64
	foreignRecord // the license was written by another tool
)

// Placeholders in a fuzzed request, for what a mutation would not guess.
const (
	theID     = "ID"     // of the license that there is
	theETag   = "ETAG"   // of its state
	theCursor = "CURSOR" // of the list, or of the trail
	thePlan   = "PLAN"   // the name of a plan that there is
)

// theDevice is the id of a device.
const theDevice = "q0fXo2JyTmCq1s9u7Zb3Zw"

// world is what is there before a fuzzed request: two licenses, so that a list can have a second page, one of them with
// a trail.
type world struct {
	licenses *memoryLicenses
	devices  memoryDevices
	plans    *memoryPlans
	keys     memoryKeys
	ports    ports
	id       string // of the license with a trail
}

// newWorlds returns a function that makes worlds. They share what a request cannot change.
func newWorlds(f *testing.F) func(flags uint8) world {
	trail := audittest.NewMemory(f)
	history := audittest.History(f, 3)
	for _, event := range history {
		if err := (audit.Recorder{Store: trail}).Record(f.Context(), event); err != nil {
			f.Fatal(err)
		}
	}
	path := f.TempDir()
	folder, errFolder := embedded.Open(path) // for the checkpoint, whose maker lists all chains
	archive, errArchive := embedded.OpenCheckpoints(path)
	key, errKey := embedded.OpenCheckpointKey(path)
	ring, errRing := token.ParseRing([]byte(`{"key":"a secret of 32 bytes or more, for tests"}`))
	if err := errors.Join(errFolder, errArchive, errKey, errRing); err != nil {
		f.Fatal(err)
	}
	defer folder.Close()
	for _, event := range history {
		if err := (audit.Recorder{Store: folder.AuditTrail}).Record(f.Context(), event); err != nil {
			f.Fatal(err)
		}
	}
	maker := checkpoint.Maker{Trail: folder.AuditTrail, Archive: archive, Signer: key, Origin: origin}
	if _, err := maker.Make(f.Context(), licensetest.Now); err != nil {
		f.Fatal(err)
	}
	l, plan, other := licensetest.Issue(f), licensetest.Plan(f, thePlan), licensetest.Plan(f, "Pro")
	return func(flags uint8) world {
		w := world{
			devices:  memoryDevices{},
			licenses: &memoryLicenses{records: map[string]attribute.Map{}, references: map[string]string{}},
			plans:    &memoryPlans{plans: map[string]license.Plan{plan.Name: plan, other.Name: other}},
			keys:     memoryKeys{},
			id:       history[0].LicenseID,
		}
		l.MaxDevices, l.SeatsEpoch = 2, 1
		w.devices[w.id] = &device.Seats{Epoch: 1, Held: map[string]device.Seat{
			theDevice: {Until: licensetest.Now.Add(time.Hour), Since: licensetest.Now},
		}}
		for id, reference := range map[string]string{w.id: "order 1", "00000000-0000-4000-8000-0000000000ab": "é/2"} {
			l.ID, l.Reference = id, reference
			w.licenses.records[id], w.licenses.references[reference] = l.Record(), id
		}
		if flags&foreignRecord != 0 {
			w.licenses.records[w.id] = attribute.Map{
				"licenseid": w.id, "expirationdate": "2030-01-03", "notes": attribute.Number("1"),
			}
		}
		w.ports = ports{
			Licenses: w.licenses, Records: w.licenses, Idempotency: w.keys, Trail: trail, Secrets: fixedRing(ring),
			Devices: w.devices, Plans: w.plans, Checkpoints: archive, CheckpointKey: key,
			Now: func() time.Time { return licensetest.Now },
		}
		return w
	}
}

func (w world) handle(t testing.TB, event events.APIGatewayProxyRequest) events.APIGatewayProxyResponse {
	response, err := w.ports.router(t).Invoke(t.Context(), apitest.Event(event))
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// cursor leads on in the list that a route shows, one element a page.
func (w world) cursor(t testing.TB, resource string) string {
	_, after, _ := strings.Cut(w.handle(t, events.APIGatewayProxyRequest{
		HTTPMethod: "GET", Resource: resource, PathParameters: map[string]string{"licenseid": w.id},
		QueryStringParameters: map[string]string{"limit": "1"},
	}).Body, `"cursor":"`)
	cursor, _, _ := strings.Cut(after, `"`)
	return cursor
}

// FuzzRequest: whatever the vendor sends, the response is one that openapi.yaml promises and none of the server's
// faults; a refusal or a read changes nothing and keeps no Idempotency-Key; and a request that took effect takes it
// once.
func FuzzRequest(f *testing.F) {
	newWorld := newWorlds(f)
	promised := slices.Sorted(maps.Keys(newWorld(0).ports.router(f).Routes))
	routes := append(promised, "PUT /licenses", "HEAD /licenses/{licenseid}")
	route := func(name string) uint8 { return uint8(slices.Index(routes, name)) }
	for _, seed := range []struct {
		route, id, query, ifMatch, key, body string
		flags                                uint8
	}{
		{"POST /licenses", "", "", "", "key-1", `{"customername":"Example",` +
			`"customerid":"869b100f-06b7-44cc-80df-b4c4bf728461","expirationdate":"2030-01-31",` +
			`"services":[{"serviceName":"A","serviceValue":"b"}],"appurls":[{"URL":"https://app.example.com"}],` +
			`"notes":"n","gracedays":14}`, withKey},
		{"POST /licenses", "", "", "", "",
			"eyJjdXN0b21lcm5hbWUiOiJFIiwiZXhwaXJhdGlvbmRhdGUiOiIyMDMwLTAxLTMxIn0=", withBase64},
		{"GET /licenses", "", "status=active&limit=1&expiringbefore=2040-01-31", "", "", "", 0},
		{"GET /licenses", "", "limit=1&cursor=CURSOR", "", "", "", 0},
		{"GET /licenses", "", "customerid=869B100F-06b7-44cc-80df-b4c4bf728461&status=grace", "", "", "", 0},
		{"GET /licenses", "", "%E9=%E9&customername=%E9", "", "", "", 0},
		{"GET /licenses", "", "customername=%EF%BD%94est&email=a@example.com&status=unreadable", "", "", "", 0},
		{"GET /licenses", "", "reference=order%201&status=active&order=desc", "", "", "", 0},
		{"GET /licenses", "", "expiringafter=0001-01-01&expiringbefore=2030-01-31&order=asc&limit=1", "", "", "", 0},
		{"POST /licenses", "", "", "", "key-1", `{"customername":"E","expirationdate":"never","reference":"order 3",` +
			`"email":"name@example.com"}`, withKey},
		{"POST /licenses", "", "", "", "key-1", `{"customername":"E","expirationdate":"never","reference":"order 1"}`,
			withKey},
		{"POST /licenses", "", "", "", "", `{"customername":"E","expirationdate":"never","reference":"e\u0301\/2",` +
			`"email":null}`, 0},
		{"GET /licenses/{licenseid}", "ref:order%201", "", "", "", "", 0},
		{"GET /licenses/{licenseid}/key", "ref%3Ae%CC%81%2F2", "", "", "", "", 0},
		{"GET /licenses/{licenseid}/audit", "ref:order 1", "limit=1", "", "", "", 0},
		{"POST /licenses/{licenseid}/suspend", "ref:%c3%a9%2f2", "", "*", "key-1", `{"reason":"x"}`,
			withIfMatch | withKey},
		{"DELETE /licenses/{licenseid}", "ref:order%201", "", `*`, "", `{"reason":"a mistake"}`, withIfMatch},
		{"PATCH /licenses/{licenseid}", "ref:order%201", "", `*`, "key-1",
			`{"reference":"order 1","email":"a@example.com"}`, withIfMatch | withKey},
		{"PATCH /licenses/{licenseid}", theID, "", `*`, "key-1", `{"reference":"order 3","email":null}`,
			withIfMatch | withKey | foreignRecord},
		{"GET /licenses/{licenseid}", theID, "", "", "", "", 0},
		{"GET /licenses/{licenseid}", theID, "", "", "", "", foreignRecord},
		{"GET /licenses/{licenseid}", "00000000-0000-4000-8000-0000000000AB", "", "", "", "", 0},
		{"PATCH /licenses/{licenseid}", theID, "", `W/"ETAG"`, "key-1", `{"customername":"Renamed","appurls":null,` +
			`"notes":"x","tokenkeyid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","reason":"moved"}`,
			withIfMatch | withKey},
		{"PATCH /licenses/{licenseid}", theID, "", `"0-0", ETAG`, "",
			`{"gracedays":7,"services":[{"serviceName":"A","serviceValue":"b"}]}`, withIfMatch | foreignRecord},
		{"DELETE /licenses/{licenseid}", theID, "", `*`, "", `{"reason":"a mistake"}`, withIfMatch},
		{"GET /licenses/{licenseid}/key", theID, "", "", "", "", 0},
		{"POST /licenses/{licenseid}/revoke", theID, "", "", "key-1", `{"reason":"ended"}`, withKey},
		{"POST /licenses/{licenseid}/suspend", theID, "", "ETAG", "", ``, withIfMatch},
		{"POST /licenses/{licenseid}/reinstate", theID, "", "", "", `{"reason":"a mistake"}`, 0},
		{"POST /licenses/{licenseid}/renew", theID, "", "", "key-1",
			`{"expirationdate":"2040-01-31T00:00:00Z","reason":"paid"}`, withKey},
		{"POST /licenses/{licenseid}/erase", theID, "", `ETAG`, "key-1", `{"reason":"asked"}`, withIfMatch | withKey},
		{"POST /licenses/{licenseid}/erase", "ref:order%201", "", "", "key-1", `{"reason":"asked"}`, withKey},
		{"POST /licenses/{licenseid}/erase", theID, "", "", "", `{"reason":"by order 1"}`, foreignRecord},
		{"GET /licenses/{licenseid}/audit", theID, "limit=1&cursor=CURSOR", "", "", "", 0},
		{"GET /licenses/{licenseid}/audit/proof", theID, "", "", "", "", 0},
		{"POST /licenses", "", "", "", "key-1", `{"customername":"E","expirationdate":"never","maxdevices":250,` +
			`"leaseminutes":10,"maxleaseminutes":1581120}`, withKey},
		{"PATCH /licenses/{licenseid}", theID, "", `*`, "key-1", `{"maxdevices":null,"leaseminutes":null}`,
			withIfMatch | withKey},
		{"GET /licenses/{licenseid}/devices", theID, "", "", "", "", 0},
		{"DELETE /licenses/{licenseid}/devices", theID, "", `ETAG`, "key-1", `{"reason":"x"}`, withIfMatch | withKey},
		{"DELETE /licenses/{licenseid}/devices/{device}", "ref:order%201", "", "", "", `{"reason":"x"}`, 0},
		{"GET /audit/checkpoint", "", "", "", "", "", 0},
		{"GET /audit/checkpoint-key", "", "", "", "", "", 0},
		{"POST /licenses", "", "", "", "key-1", `{"plan":"PLAN","customername":"E","updatesuntil":"2027-01-31",` +
			`"maxdevices":0,"leaseminutes":null}`, withKey},
		{"POST /licenses", "", "", "", "key-1", `{"plan":"PLAN","customername":"E","expirationdate":null,` +
			`"services":[],"appurls":[],"gracedays":0,"notes":"","updatesuntil":"never"}`, withKey},
		{"POST /licenses", "", "", "", "", `{"plan":"none","customername":"E"}`, 0},
		{"PATCH /licenses/{licenseid}", theID, "", `*`, "key-1", `{"plan":"PLAN","updatesuntil":null}`,
			withIfMatch | withKey},
		{"PATCH /licenses/{licenseid}", theID, "", `*`, "", `{"plan":null,"updatesuntil":"2020-01-31"}`,
			withIfMatch | foreignRecord},
		{"PUT /plans/{plan}", thePlan, "", "", "", `{"services":[{"serviceName":"A","serviceValue":"b"}],` +
			`"appurls":[{"URL":"https://app.example.com"}],"notes":"n","gracedays":14,"maxdevices":3,` +
			`"leaseminutes":60,"maxleaseminutes":120,"durationdays":365,"updatesdays":36500}`, 0},
		{"PUT /plans/{plan}", "new", "", "", "", `{"plan":"new","leaseminutes":10,"version":7,"changed":"x"}`, 0},
		{"PUT /plans/{plan}", thePlan, "", "ETAG", "", `{"plan":null,"changedby":[]}`, withIfMatch},
		{"PUT /plans/{plan}", "a b", "", "", "", `{}`, 0},
		{"GET /plans/{plan}", thePlan, "", "", "", "", 0},
		{"DELETE /plans/{plan}", thePlan, "", "*", "", "", withIfMatch},
		{"GET /plans", "", "limit=1&cursor=CURSOR", "", "", "", 0},
		{"PUT /licenses", "", "", "", "", "{}", 0},
		{"HEAD /licenses/{licenseid}", theID, "", "", "", "", 0},
	} {
		f.Add(route(seed.route), seed.id, seed.query, seed.ifMatch, seed.key, seed.body, seed.flags)
	}
	f.Fuzz(func(t *testing.T, n uint8, id, query, ifMatch, idempotencyKey, body string, flags uint8) {
		method, resource, _ := strings.Cut(routes[int(n)%len(routes)], " ")
		w := newWorld(flags)
		etag := strings.Trim(w.handle(t, events.APIGatewayProxyRequest{
			HTTPMethod: "GET", Resource: "/licenses/{licenseid}", PathParameters: map[string]string{"licenseid": w.id},
		}).Headers["ETag"], `"`)
		if strings.Contains(query, theCursor) {
			query = strings.ReplaceAll(query, theCursor, w.cursor(t, resource))
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return // the gateway's affair
		}
		id = strings.ReplaceAll(id, theID, w.id)
		event := events.APIGatewayProxyRequest{
			HTTPMethod: method, Resource: resource, Body: body,
			Path:                            strings.NewReplacer("{licenseid}", id, "{plan}", id).Replace(resource),
			PathParameters:                  map[string]string{"licenseid": id, "plan": id, "device": theDevice},
			IsBase64Encoded:                 flags&withBase64 != 0,
			MultiValueQueryStringParameters: values, Headers: map[string]string{},
		}
		if flags&withIfMatch != 0 {
			event.Headers["If-Match"] = strings.ReplaceAll(ifMatch, theETag, etag)
		}
		if flags&withKey != 0 {
			event.Headers["idempotency-key"] = idempotencyKey
		}
		event.RequestContext.Identity.UserArn = principal

		response := w.handle(t, event)
		apitest.CheckEvent(t, event, response)
		switch {
		case response.StatusCode >= http.StatusInternalServerError:
			t.Fatalf("got %d %s", response.StatusCode, response.Body)
		case response.StatusCode >= http.StatusBadRequest || method == http.MethodGet:
			if writes := w.licenses.writes + w.plans.writes; writes > 0 || len(w.keys) > 0 {
				t.Fatalf("got %d %s; %d writes, keys %v", response.StatusCode, response.Body, writes, w.keys)
			}
		case method == http.MethodPut:
			writes := w.plans.writes
			again := w.handle(t, event)
			if again.StatusCode == http.StatusPreconditionFailed && flags&withIfMatch != 0 {
				break // the first one has changed it
			}
			if again.StatusCode != http.StatusOK || again.Body != response.Body || w.plans.writes != writes {
				t.Fatalf("got %d %s, then %d %s", response.StatusCode, response.Body, again.StatusCode, again.Body)
			}
		case flags&withKey != 0 && method != http.MethodDelete:
			writes := w.licenses.writes
			again := w.handle(t, event)
			if again.StatusCode != response.StatusCode || again.Body != response.Body ||
				again.Headers["Idempotency-Replayed"] != "true" || w.licenses.writes != writes {
				t.Fatalf("got %d %s, then %d %s; %d writes, then %d", response.StatusCode, response.Body,
					again.StatusCode, again.Body, writes, w.licenses.writes)
			}
		}
	})
}
