package device_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"openlicenser/shared/device"
	"openlicenser/shared/testing/devicetest"
)

func TestIsFingerprint(t *testing.T) {
	for text, want := range map[string]bool{
		"":                       false,
		"1234567":                false,
		"12345678":               true,
		strings.Repeat("a", 256): true,
		strings.Repeat("a", 257): false,
		"        ":               true, // printable, whatever the product has chosen
		" ~ ~ ~ ~":               true,
		"1234567\x1f":            false,
		"1234567\x7f":            false,
		"1234567\n":              false,
		"12345678é":              false,
		"1234567\xff":            false,
	} {
		if got := device.IsFingerprint(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// TestID holds the ids to the definition, byte by byte, as a product computes them, and to one of them that was made
// by sha256sum and base64.
func TestID(t *testing.T) {
	const licenseID, fingerprint = "d5b35ffa-af15-44b7-9de0-5b1b6dc4daec", "board 4711/0815"
	hash := sha256.New()
	hash.Write([]byte(licenseID))
	hash.Write([]byte{0})
	hash.Write([]byte(fingerprint))
	first, err := hex.DecodeString(hex.EncodeToString(hash.Sum(nil))[:32])
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(
		base64.StdEncoding.EncodeToString(first)), "=")
	got := device.ID(licenseID, fingerprint)
	if got != want || got != "b1mr7TTpCT6xn_tXBaE9oQ" || !device.IsID(got) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got == device.ID("another", fingerprint) || got == device.ID(licenseID, "another one") {
		t.Error("another license's device, or another device, has the same id")
	}
}

func TestIsID(t *testing.T) {
	id := device.ID("license", "fingerprint")
	for text, want := range map[string]bool{
		id:              true,
		"":              false,
		id[:21]:         false,
		id[:20]:         false, // whole bytes
		id + "A":        false,
		id + "AA":       false,
		id + "=":        false,
		id + "\n":       false, // which base64 skips
		id[:21] + "_":   false, // unused bits that are set
		"+" + id[1:]:    false,
		" " + id[1:]:    false,
		"\xff" + id[1:]: false,
	} {
		if got := device.IsID(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzIsID(f *testing.F) {
	f.Add(device.ID("license", "fingerprint"))
	f.Add("AAAAAAAAAAAAAAAAAAAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := base64.RawURLEncoding.DecodeString(text)
		want := err == nil && len(id) == 16 && base64.RawURLEncoding.EncodeToString(id) == text
		if got := device.IsID(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	})
}

func TestCleanName(t *testing.T) {
	for name, want := range map[string]string{
		"":                           "",
		"Front desk":                 "Front desk",
		"  Front desk\t":             "Front desk",
		"Front\ndesk\x00\x7f":        "Frontdesk",
		"Front\u2028\u2029desk":      "Frontdesk",
		"desk \u202egpj.exe\u202c":   "desk gpj.exe",
		"\u2066a\u2069":              "a",
		"محطة \u200fالعمل":           "محطة \u200fالعمل", // a mark that such names need
		"\u200d👩\u200d💻":             "\u200d👩\u200d💻",
		"\xffdesk\xc3":               "desk",
		"\u202e \n":                  "",
		"\n Front desk \u202e\u2028": "Front desk",
	} {
		if got := device.CleanName(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("Front desk")
	f.Add("\n \u202e \xff 作業用")
	f.Fuzz(func(t *testing.T, name string) {
		got := device.CleanName(name)
		if !utf8.ValidString(got) || len(got) > len(name) || device.CleanName(got) != got ||
			strings.ContainsAny(got, "\x00\n\r\t\x7f\u2028\u202e\u2066") {
			t.Errorf("%q: %q", name, got)
		}
	})
}

// TestDevices: those that hold a seat in this moment, oldest first.
func TestDevices(t *testing.T) {
	s := devicetest.SeatsOf(4)
	s.Held[devicetest.ID(0)] = device.Seat{Until: now.Add(-time.Second), Since: now}
	s.Held[devicetest.ID(1)] = device.Seat{Until: now, Since: now} // no token is valid from then on
	s.Held[devicetest.ID(3)] = device.Seat{Until: now.Add(time.Second), Since: now.Add(-time.Hour)}
	want := []device.Device{
		{ID: devicetest.ID(3), Seat: s.Held[devicetest.ID(3)]}, {ID: devicetest.ID(2), Seat: devicetest.SeatOf(2)},
	}
	for range 20 { // a map has no order
		if diff := cmp.Diff(want, s.Devices(1, now)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	if got := s.Devices(2, now); got != nil {
		t.Errorf("of another epoch: %v", got)
	}
	if got := (*device.Seats)(nil).Devices(1, now); got != nil {
		t.Errorf("of none: %v", got)
	}
}
