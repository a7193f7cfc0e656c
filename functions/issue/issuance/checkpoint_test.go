package issuance_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/testing/audittest"
	"openlicenser/shared/testing/licensetest"
)

// TestCheckpoint: what the API serves is enough to check a chain, and none of it has to be believed.
func TestCheckpoint(t *testing.T) {
	v := newVendor(t)
	history := audittest.History(t, 3)
	id := history[0].LicenseID
	for _, event := range history {
		if err := (audit.Recorder{Store: v.folder.AuditTrail}).Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	proofOf := func(id string) answer { return v.call("GET", "/licenses/{licenseid}/audit/proof", id, "", nil) }
	if a := proofOf(id); a.status != http.StatusNotFound || a.Code != "NO_CHECKPOINT" {
		t.Errorf("before the first checkpoint: %d %s", a.status, a.text)
	}
	maker := checkpoint.Maker{
		Trail: v.folder.AuditTrail, Archive: v.ports.Checkpoints.(checkpoint.Archive),
		Signer: v.ports.CheckpointKey.(checkpoint.Signer), Origin: origin,
	}
	made, err := maker.Make(t.Context(), licensetest.Now)
	if err != nil {
		t.Fatal(err)
	}

	latest := v.call("GET", "/audit/checkpoint", "", "", nil)
	if latest.status != http.StatusOK || latest.text != string(made.Signed) ||
		latest.header["Content-Type"] != "text/plain; charset=utf-8" ||
		latest.header["Cache-Control"] != "public, max-age=60" {
		t.Errorf("got %d %v %s", latest.status, latest.header, latest.text)
	}
	key := v.call("GET", "/audit/checkpoint-key", "", "", nil)
	vkey, isLine := strings.CutSuffix(key.text, "\n")
	if _, err := checkpoint.Open(vkey, []byte(latest.text)); err != nil || !isLine {
		t.Errorf("the key %q does not open the checkpoint: %v", key.text, err)
	}
	a := proofOf(id)
	var proof checkpoint.Proof
	if err := json.Unmarshal([]byte(a.text), &proof); err != nil {
		t.Fatal(err)
	}
	_, leaf, err := proof.Verify(vkey, id)
	if err != nil || leaf.Sequence != 3 || a.header["Cache-Control"] != "no-store" {
		t.Errorf("got %+v, %v, %v", leaf, err, a.header)
	}
	trail := v.call("GET", "/licenses/{licenseid}/audit", id, "", nil)
	if err := leaf.Check(trail.Entries); err != nil {
		t.Error(err)
	}
	if err := leaf.Check(trail.Entries[:2]); !errors.Is(err, checkpoint.ErrTailCut) {
		t.Errorf("a chain whose tail was cut: %v", err)
	}

	v.wantTree(t, made.Checkpoint.Root, id)
	if a := proofOf(licensetest.Issue(t).ID); a.status != http.StatusNotFound || a.Code != "NOT_IN_CHECKPOINT" {
		t.Errorf("a license that was never signed: %d %s", a.status, a.text)
	}
	if a := proofOf("no-uuid"); a.status != http.StatusNotFound || a.Code != "LICENSE_NOT_FOUND" {
		t.Errorf("no license id: %d %s", a.status, a.text)
	}
}

// wantTree wants the roots of the tree and the page of the license, and nothing under names that are others.
func (v vendor) wantTree(t *testing.T, root tlog.Hash, id string) {
	t.Helper()
	part := func(kind, root string) answer {
		event := events.APIGatewayProxyRequest{
			HTTPMethod: "GET", Resource: "/audit/" + kind + "/{root}", PathParameters: map[string]string{"root": root},
		}
		event.RequestContext.Identity.UserArn = principal
		return v.handle(event)
	}
	text := part("roots", hex.EncodeToString(root[:]))
	roots, err := checkpoint.OpenRoots([]byte(text.text), root)
	if err != nil || text.status != http.StatusOK || !strings.HasPrefix(text.header["Cache-Control"], "private, ") {
		t.Fatalf("the roots: %d, %v, %v", text.status, text.header, err)
	}
	bucket := audit.BucketOf(id)
	page := part("pages", hex.EncodeToString(roots[bucket][:]))
	leaves, err := checkpoint.OpenPage([]byte(page.text), bucket, roots[bucket])
	if _, has := leaves.Find(id); err != nil || page.status != http.StatusOK || !has {
		t.Errorf("the page: %d %s, %v", page.status, page.text, err)
	}
	for _, other := range []string{
		"", "x", strings.Repeat("0", 64), strings.Repeat("0", 63), "..", strings.Repeat("zz", 32),
	} {
		for _, kind := range []string{"roots", "pages"} {
			if a := part(kind, other); a.status != http.StatusNotFound || a.Code != "TREE_NOT_FOUND" {
				t.Errorf("%s of %q: %d %s", kind, other, a.status, a.text)
			}
		}
	}
}

var errArchive = errors.New("internals of the archive")

// brokenArchive cannot be read.
type brokenArchive struct{ checkpoint.Reader }

func (brokenArchive) Latest(context.Context) ([]byte, error) { return nil, errArchive }

func TestCheckpointFault(t *testing.T) {
	v := newVendor(t)
	v.ports.Checkpoints = brokenArchive{}
	for _, a := range []answer{
		v.call("GET", "/audit/checkpoint", "", "", nil),
		v.call("GET", "/licenses/{licenseid}/audit/proof", licensetest.Issue(t).ID, "", nil),
	} {
		if a.status != http.StatusInternalServerError || a.Code != "INTERNAL_ERROR" ||
			strings.Contains(a.text, "internals") {
			t.Errorf("got %d %s", a.status, a.text)
		}
	}
}
