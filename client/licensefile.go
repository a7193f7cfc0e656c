package licensing

import (
	"context"
	"fmt"
	"io"
	"os"
)

// maxLicenseFile is more than the longest token has.
const maxLicenseFile = 256 << 10

// ImportFile reads a license file: the token of a computer without a network, in one line. One that is not good for
// this license, this device and this moment is an error, and changes nothing. So is one that was signed before the
// service said a definite no.
func (c *Client) ImportFile(path string) (State, error) {
	text, err := readLicenseFile(path)
	if err != nil {
		return c.State(), err
	}
	if err := c.take(context.Background()); err != nil {
		return c.State(), err
	}
	defer c.give()
	if err := c.importToken(text); err != nil {
		return c.State(), fmt.Errorf("%s: %w", path, err)
	}
	c.save(c.currentRules())
	c.publish()
	return c.State(), nil
}

func (c *Client) importToken(text string) error {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	known, err := c.rules.imported(c.rules.seen(c.known, now), text, now, c.random())
	if err == nil {
		c.known = known
	}
	return err
}

func readLicenseFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxLicenseFile+1))
	if err == nil && len(text) > maxLicenseFile {
		err = fmt.Errorf("%s is no license file: it has more than %d bytes", path, maxLicenseFile)
	}
	return string(text), err
}
