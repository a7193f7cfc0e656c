package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"
)

// Acknowledgement says that someone has looked into a finding and settled it. The finding stays, and is counted no
// longer. It is kept as JSON.
type Acknowledgement struct {
	LicenseID string    `json:"licenseid"`
	Sequence  int64     `json:"sequence"` // of the finding: that which was signed last, or of the chain's last entry
	Reason    string    `json:"reason"`
	Actor     string    `json:"actor"`
	Time      time.Time `json:"time"`
}

func acknowledgementName(licenseID string, sequence int64) string {
	return fmt.Sprintf("acknowledged/%s/%d", url.PathEscape(licenseID), sequence)
}

// Acknowledge keeps an acknowledgement. It returns ErrExists where the finding is acknowledged already, and ErrNone
// where the archive has no checkpoints.
func Acknowledge(ctx context.Context, archive Archive, a Acknowledgement) error {
	name := acknowledgementName(a.LicenseID, a.Sequence)
	if !fs.ValidPath(name) {
		return fmt.Errorf("%q is no license id", a.LicenseID)
	}
	if _, err := archive.Get(ctx, latestName); err != nil {
		return err
	}
	content, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return archive.Create(ctx, name, append(content, '\n'))
}

// Acknowledged returns the acknowledgement of a finding, or ErrNone.
func Acknowledged(ctx context.Context, archive Reader, licenseID string, sequence int64) (Acknowledgement, error) {
	name := acknowledgementName(licenseID, sequence)
	content, err := archive.Get(ctx, name)
	if err != nil {
		return Acknowledgement{}, err
	}
	var a Acknowledgement
	err = json.Unmarshal(content, &a)
	if err == nil && (a.LicenseID != licenseID || a.Sequence != sequence) {
		err = errors.New("it is of another finding")
	}
	if err != nil {
		return Acknowledgement{}, &ArchiveError{name, err}
	}
	return a, nil
}
