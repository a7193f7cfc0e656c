package licensing

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// FingerprintOf returns a text that tells this computer from others, for Config.Fingerprint. It is a hash of the
// operating system's machine id and of the product's name, so that products cannot compare theirs. Where the system has
// no such id, as in many containers, a random one is kept in the user's configuration folder. Where that cannot be kept
// either, the fingerprint is empty, and licenses with devices are refused.
//
// Copies of a virtual machine have the same machine id, and so the same fingerprint.
func FingerprintOf(appID string) string {
	id := machineID()
	if id == "" {
		id = installationID(appID)
	}
	return fingerprintFrom(id, appID)
}

func fingerprintFrom(machineID, appID string) string {
	if machineID == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(machineID))
	mac.Write([]byte("Open Licenser fingerprint " + appID))
	return hex.EncodeToString(mac.Sum(nil))
}

// machineID returns the id that the operating system keeps from its installation on, or nothing.
func machineID() string {
	switch runtime.GOOS {
	case "darwin":
		return outputField(regexp.MustCompile(`"IOPlatformUUID" = "([^"]+)"`),
			"/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice")
	case "windows":
		return outputField(regexp.MustCompile(`MachineGuid\s+REG_SZ\s+(\S+)`),
			filepath.Join(os.Getenv("SystemRoot"), "System32", "reg.exe"),
			"query", `HKLM\SOFTWARE\Microsoft\Cryptography`, "/v", "MachineGuid", "/reg:64")
	}
	return firstID(os.DirFS("/"), "etc/machine-id", "var/lib/dbus/machine-id", "etc/hostid") // machine-id(5), hostid(5)
}

func outputField(field *regexp.Regexp, program string, arguments ...string) string {
	output, _ := exec.Command(program, arguments...).Output()
	if found := field.FindSubmatch(output); found != nil {
		return string(found[1])
	}
	return ""
}

// firstID returns the first file that holds an id. An image that is not installed yet says "uninitialized".
func firstID(system fs.FS, names ...string) string {
	for _, name := range names {
		text, err := fs.ReadFile(system, name)
		if id := strings.TrimSpace(string(text)); err == nil && len(id) >= 16 {
			return id
		}
	}
	return ""
}

// installationID returns the random id of this user's installation, which it makes if there is none.
func installationID(appID string) string {
	folder, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return installationIDIn(filepath.Join(folder, "open-licenser"), appID)
}

// installationIDIn links the file into place, so that of two processes that make it at once both read the same one.
func installationIDIn(folder, appID string) string {
	sum := sha256.Sum256([]byte(appID))
	name := hex.EncodeToString(sum[:16]) + ".id"
	if id := firstID(os.DirFS(folder), name); id != "" {
		return id
	}
	made := filepath.Join(folder, name+"."+rand.Text())
	if os.MkdirAll(folder, 0o700) != nil || os.WriteFile(made, []byte(rand.Text()+"\n"), 0o600) != nil {
		return ""
	}
	defer os.Remove(made)
	if os.Link(made, filepath.Join(folder, name)) != nil && firstID(os.DirFS(folder), name) == "" {
		os.Rename(made, filepath.Join(folder, name)) // a file system without links
	}
	return firstID(os.DirFS(folder), name)
}
