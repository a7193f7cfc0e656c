package licensing_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	licensing "openlicenser/client"
)

// exampleService stands in for a license service that refuses.
func exampleService(code string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q}`, code)
	}))
}

// A feature that is sold stands behind Check.
func Example() {
	service := exampleService("LICENSE_REVOKED")
	defer service.Close()
	folder, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(folder)

	client, err := licensing.Open(context.Background(), licensing.Config{
		URL: service.URL, Key: "06CX38-KW7SXN-N78E7W-N1PK2X-DTHSG0-WPA3H2-4FC37M",
		TrustOnFirstUse: true, // a product brings its keys as Trusted instead
		Service:         "reports",
		Store:           licensing.Dir(folder),
	})
	if err != nil {
		panic(err)
	}
	defer client.Close()
	if err := client.Check(); err != nil {
		fmt.Println(err)
	}
	// Output: the license may not be used: LICENSE_REVOKED
}

// What to tell the customer depends on why the product may not run.
func ExampleClient_Check() {
	service := exampleService("DEVICE_LIMIT_REACHED")
	defer service.Close()
	client, err := licensing.Open(context.Background(), licensing.Config{
		URL: service.URL, Key: "06CX38-KW7SXN-N78E7W-N1PK2X-DTHSG0-WPA3H2-4FC37M", TrustOnFirstUse: true,
		Fingerprint: licensing.FingerprintOf("com.example.reports"), Store: licensing.Memory(),
	})
	if err != nil {
		panic(err)
	}
	defer client.Close()
	var refusal *licensing.Refusal
	switch err := client.Check(); {
	case errors.As(err, &refusal) && refusal.Code == licensing.DeviceLimitReached:
		fmt.Println("Other computers use the license. Give one back.")
	case errors.As(err, &refusal):
		fmt.Println("The license may not be used:", refusal.Code)
	case errors.Is(err, licensing.ErrClock):
		fmt.Println("Set the clock.")
	case errors.Is(err, licensing.ErrOffline), errors.Is(err, licensing.ErrUnlicensed):
		fmt.Println("Connect to the network.")
	}
	// Output: Other computers use the license. Give one back.
}

// A product that runs in a web server asks which hosts it may serve.
func ExampleLicense_AllowsHost() {
	license := licensing.License{
		AppURLs: []string{"https://app.example.com", `re:^(.+\.)?example\.org$`},
		Expires: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for _, host := range []string{"app.example.com:8443", "shop.example.org", "example.net"} {
		fmt.Println(host, license.AllowsHost(host))
	}
	// Output:
	// app.example.com:8443 true
	// shop.example.org true
	// example.net false
}
