// Command guard is a product that runs while its license says so. It has a free part, and a feature that is sold:
//
//	guard --url https://licenses.example.com --trusted trusted.json --key 06CX38-KW7SXN-…
//	guard --url https://licenses.example.com --trusted trusted.json          # later: the key is remembered
//
// licenser token-key export writes the file trusted.json. A real product embeds it, with the URL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	licensing "openlicenser/client"
)

const appID = "com.example.guard"

// released is when this version came out. A release build sets it.
var released = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	url := flag.String("url", "http://127.0.0.1:3000", "of the license service")
	trusted := flag.String("trusted", "", "file of licenser token-key export; without it the first connection counts")
	pasted := flag.String("key", "", "license key")
	file := flag.String("import", "", "license file, for a computer without a network")
	release := flag.Bool("release", false, "give this computer's seat back, and end")
	watch := flag.Bool("watch", false, "run until Ctrl-C, and tell of changes")
	flag.Parse()

	folder, err := os.UserConfigDir()
	if err != nil {
		return err
	}
	folder = filepath.Join(folder, appID)
	key, err := rememberedKey(folder, *pasted)
	if err != nil {
		return err
	}
	config := licensing.Config{
		URL: *url, Key: key, TrustOnFirstUse: *trusted == "",
		Service: "reports", Released: released,
		Fingerprint: licensing.FingerprintOf(appID), DeviceName: deviceName(),
		Store: licensing.Dir(filepath.Join(folder, "license")),
		Log:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if *trusted != "" {
		if config.Trusted, err = os.ReadFile(*trusted); err != nil {
			return err
		}
	}
	client, err := licensing.Open(ctx, config)
	if err != nil {
		return err
	}
	defer client.Close()
	switch {
	case *release:
		return client.Release(ctx, "")
	case *file != "":
		if _, err := client.ImportFile(*file); err != nil {
			return err
		}
	}
	if err := report(ctx, client); err != nil {
		return err
	}
	for *watch {
		select {
		case <-ctx.Done():
			return nil
		case state := <-client.Changes():
			fmt.Println("now:", advice(state))
		}
	}
	return nil
}

// report is the feature that is sold.
func report(ctx context.Context, client *licensing.Client) error {
	fmt.Println("Hello. This part is free.")
	state := client.State()
	if err := client.Check(); err != nil {
		fmt.Println(advice(state))
		if state.Reason == licensing.DeviceLimitReached {
			showDevices(ctx, client)
		}
		return err
	}
	fmt.Printf("The report for %s. %s\n", state.License.CustomerName, advice(state))
	return nil
}

// advice says in words for customers what a state means.
func advice(s licensing.State) string {
	switch s.Status {
	case licensing.Active:
		return "Your license is good."
	case licensing.Grace:
		return "Your license has ended. Please renew it until " + s.UsableUntil.Format(time.DateOnly) + "."
	case licensing.Offline:
		return "Your license is good. Please connect until " + s.UsableUntil.Format(time.DateOnly) + "."
	case licensing.OfflineTooLong:
		return "Your license was not checked for too long. Please connect this computer to the network."
	case licensing.ClockBack:
		return "The clock of this computer is wrong. Please set it."
	case licensing.Refused:
		return refusal(s.Reason)
	}
	return "Please enter your license key."
}

func refusal(code licensing.Code) string {
	switch code {
	case licensing.InvalidLicense:
		return "This is not one of our license keys. Please look whether it is complete."
	case licensing.LicenseExpired:
		return "Your license has ended. Please renew it."
	case licensing.DeviceLimitReached:
		return "Other computers use your license. Give one of these back:"
	case licensing.ServiceNotLicensed:
		return "Your license is for another product."
	case licensing.UpdatesEnded:
		return "Your license is for earlier versions. Please renew it, or install one of these."
	}
	return "Your license may not be used (" + string(code) + "). Please ask us."
}

func showDevices(ctx context.Context, client *licensing.Client) {
	devices, err := client.Devices(ctx)
	if err != nil {
		fmt.Println("They cannot be listed now:", err)
	}
	for _, d := range devices.Devices {
		fmt.Printf("  %s  %-20s until %s\n", d.ID, d.Name, d.Until.Format(time.DateTime))
	}
}

// rememberedKey keeps the key that the customer has given once.
func rememberedKey(folder, pasted string) (string, error) {
	file := filepath.Join(folder, "license-key")
	if pasted == "" {
		key, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			return "", nil
		}
		return string(key), err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	return pasted, os.WriteFile(file, []byte(pasted), 0o600)
}

// deviceName is the host name, as far as the service takes it.
func deviceName() string {
	name, _ := os.Hostname()
	return strings.ToValidUTF8(name[:min(len(name), 32)], "")
}
