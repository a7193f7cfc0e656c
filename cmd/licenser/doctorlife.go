package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"openlicenser/shared/audit"
	"openlicenser/shared/license"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// unsignedRequest asks for what nobody but the vendor may see, as anybody.
func (d *doctor) unsignedRequest(ctx context.Context) {
	f := d.on("unsigned request")
	_, err := d.unsigned.LicensePage(ctx, vendorapi.ListQuery{Limit: 1})
	var problem *vendorapi.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusForbidden:
		f.ok("%s is refused with 403 %s", problem.Request(), problem.Code)
	case err == nil:
		var stop []string
		if name := d.stack.named("IssueFunction"); name != "" {
			stop = append(stop, "aws lambda put-function-concurrency --reserved-concurrent-executions 0 "+
				"--function-name "+quoteForShell(name))
		}
		f.toDo("VENDOR_API_OPEN", "GET /licenses is served to anybody, without credentials",
			"Stop the issue function at once, and find out why its routes are not behind IAM.", stop...)
	default:
		f.untried(err)
	}
}

// signedRequest asks for the same as the caller.
func (d *doctor) signedRequest(ctx context.Context) {
	_, err := d.signed.LicensePage(ctx, vendorapi.ListQuery{Limit: 1})
	if err != nil {
		d.refused(d.on("signed request"), "SIGNED_REQUEST_FAILS", "Issue", err)
		return
	}
	d.on("signed request").ok("GET /licenses is served")
}

// refused adds that a request of a check was not served, by the function of which the log says more.
func (d *doctor) refused(f finder, code, function string, err error) {
	if isAnswered(err) {
		f.toDo(code, err.Error(), "See the log of the function.", d.stack.logs(function)...)
		return
	}
	f.untried(err)
}

// What a license of licenser doctor says of itself, wherever it is seen.
const (
	trialCustomer  = "licenser doctor"
	trialReference = "licenser-doctor-" // with a UUID
	trialReason    = "made by licenser doctor to try the service"
	trialDays      = 1 // until its end
)

// trial is a license of the doctor's own.
type trial struct {
	*doctor
	draft vendorapi.LicenseDraft
	key   string            // the Idempotency-Key of the request that issues it
	made  vendorapi.License // zero while it is not known

	isRevoked bool // the revocation was acknowledged
}

// life issues a license, verifies, revokes and deletes it, and looks for all that in the audit trail.
func (d *doctor) life(ctx context.Context) {
	id, notes := uuid.NewString(), trialReason
	t := &trial{doctor: d, key: id, draft: vendorapi.LicenseDraft{
		CustomerName: trialCustomer, Reference: trialReference + id, Notes: &notes,
		ExpirationDate: license.FormatDate(d.now().AddDate(0, 0, trialDays)),
	}}
	d.say("Issuing a license for %s, to be verified, revoked and deleted.", trialCustomer)
	var err error
	if t.made, err = d.signed.Issue(ctx, t.draft, vendorapi.Options{IdempotencyKey: t.key}); err != nil {
		d.refused(d.on("issue"), "ISSUE_FAILS", "Issue", err)
		t.removeUnknown(ctx, err)
		return
	}
	d.on("issue").ok("the license %s", t.made.LicenseID)
	first := t.firstEntry(ctx, func() { t.verify(ctx) })
	t.revoke(ctx)
	if removed := t.remove(ctx); removed && ctx.Err() == nil {
		t.trail(ctx, first)
	}
}

// verify asks for a token, as a product does, and checks it with the keys that are served.
func (t *trial) verify(ctx context.Context) {
	f, asked := t.on("verify"), time.Now()
	text, err := t.unsigned.Verify(ctx, vendorapi.Verification{LicenseKey: t.made.LicenseKey})
	took := time.Since(asked)
	if err != nil {
		t.refused(f, "VERIFY_FAILS", "Verify", err)
		return
	}
	set, err := t.unsigned.TokenKeys(ctx)
	if err != nil {
		t.refused(f, "VERIFY_FAILS", "Verify", err)
		return
	}
	if kid, err := checkToken(text, set, t.made.LicenseID); err != nil {
		f.toDo("TOKEN_WRONG", "products refuse the token: "+err.Error(), "See the log of the verify function.",
			t.stack.logs("Verify")...)
	} else {
		f.ok("a token of the key %s, after %v", kid, took.Round(time.Millisecond))
	}
}

// checkToken checks an authorization token with the published keys, and returns the id of its key.
func checkToken(text string, set token.KeySet, licenseID string) (kid string, err error) {
	claims := jwt.MapClaims{}
	_, err = jwt.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		kid = fmt.Sprint(t.Header["kid"])
		for _, key := range set.Keys {
			if key.KeyID == kid {
				return publicKey(key)
			}
		}
		return nil, fmt.Errorf("its key %s is not served", kid)
	}, jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}))
	if err == nil && claims["licenseid"] != licenseID {
		err = errors.New("it is of another license")
	}
	return kid, err
}

func publicKey(key token.JSONWebKey) (*rsa.PublicKey, error) {
	modulus, errModulus := base64.RawURLEncoding.DecodeString(key.Modulus)
	exponent, errExponent := base64.RawURLEncoding.DecodeString(key.Exponent)
	public := &rsa.PublicKey{
		N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64()),
	}
	return public, errors.Join(errModulus, errExponent)
}

// revoke revokes the license, and wants the very next verification to be refused.
func (t *trial) revoke(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	_, err := t.signed.Revoke(ctx, t.made.LicenseID, trialReason, vendorapi.Options{})
	if err != nil {
		t.refused(t.on("revoke"), "REVOKE_FAILS", "Issue", err)
		return
	}
	t.isRevoked = true
	t.on("revoke").ok("acknowledged")
	f := t.on("verify when revoked")
	_, err = t.unsigned.Verify(ctx, vendorapi.Verification{LicenseKey: t.made.LicenseKey})
	switch {
	case isCode(err, "LICENSE_REVOKED"):
		f.ok("refused")
	case err == nil:
		f.toDo("REVOCATION_NOT_SEEN", "a token, although the revocation was acknowledged",
			"Find out what gives old responses: a cache before the API, or another table of the verify function.")
	default:
		t.refused(f, "VERIFY_FAILS", "Verify", err)
	}
}

// The patience for taking back what was made, when the command itself may be over.
const (
	removeTimeout = time.Minute
	removeTries   = 3
)

// remove deletes the license, also where the command was ended, and reports whether it is gone.
func (t *trial) remove(ctx context.Context) (removed bool) {
	if ctx.Err() != nil {
		t.say("Deleting the license %s before the end.", t.made.LicenseID)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	err := t.deleted(ctx)
	for deadline, tries := time.Now().Add(removeTimeout), 1; err != nil && tries < removeTries; tries++ {
		if !sleep(ctx, t.pause, deadline) {
			break
		}
		err = t.deleted(ctx)
	}
	if err == nil {
		t.on("delete").ok("the license is gone")
		return true
	}
	t.on("delete").toDo("LICENSE_LEFT", fmt.Sprintf("the license %s could not be deleted: %v", t.made.LicenseID, err),
		"Delete it; it ends within a day.", t.deleteCommand(t.made.LicenseID))
	return false
}

func (t *trial) deleteCommand(licenseID string) string {
	return fmt.Sprintf("licenser license delete %s --api %s --reason %s --yes", licenseID,
		quoteForShell(t.stack.outputs["ApiUrl"]), quoteForShell(trialReason))
}

// deleted deletes the license, of which an earlier try may have done that.
func (t *trial) deleted(ctx context.Context) error {
	err := t.signed.Delete(ctx, t.made.LicenseID, trialReason, vendorapi.Options{IfMatch: "*"})
	var problem *vendorapi.Problem
	if errors.As(err, &problem) && (problem.Status == http.StatusNotFound || problem.Status == http.StatusGone) {
		return nil
	}
	return err
}

// inFlight is the code of a request whose earlier attempt may still take effect.
const inFlight = "IDEMPOTENCY_IN_FLIGHT"

// removeUnknown deletes what a request to issue may have made although it failed. The same request takes effect once:
// its response is what it has made, now or before.
func (t *trial) removeUnknown(ctx context.Context, failed error) {
	var problem *vendorapi.Problem
	isRefused := errors.As(failed, &problem) && problem.Status < http.StatusInternalServerError &&
		problem.Code != inFlight
	if isRefused || errors.As(failed, new(*vendorapi.CredentialsError)) {
		return
	}
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	until, err := time.Now().Add(removeTimeout), failed
	for err != nil {
		t.made, err = t.signed.Issue(again, t.draft, vendorapi.Options{IdempotencyKey: t.key})
		if err != nil && (!isCode(err, inFlight) || !sleep(again, t.pause, until)) {
			break
		}
	}
	if err != nil {
		var errFind error
		t.made, errFind = t.signed.License(again, vendorapi.ByReference(t.draft.Reference))
		switch {
		case isNotFound(errFind):
			return
		case errFind != nil:
			t.on("delete").toDo("LICENSE_LEFT", "whether a license was issued is not known: "+err.Error(),
				"Look for it, and delete it; it ends within a day.", t.deleteCommand(t.draft.Reference))
			return
		}
	}
	t.remove(ctx)
}

// firstEntry does something while the first entry is on its way, and returns within how long that was there; 0 where it
// was not in time.
func (t *trial) firstEntry(ctx context.Context, meanwhile func()) time.Duration {
	issued := time.Now()
	meanwhile()
	t.say("Waiting for its first entry in the audit trail, for up to %v.", t.wait)
	if _, err := t.waitFor(ctx, audit.Issued, issued.Add(t.wait)); err != nil {
		return 0
	}
	return time.Since(issued)
}

// errLate reports that an entry was not there in time.
var errLate = errors.New("not there in time")

// waitFor waits until the chain has an entry of the action, and returns the actions of all. What keeps it from asking
// does not go by itself.
func (t *trial) waitFor(ctx context.Context, action audit.Action, until time.Time) (actions []audit.Action, err error) {
	for {
		if actions, err = t.actions(ctx); err == nil && slices.Contains(actions, action) {
			return actions, nil
		}
		if err != nil && !isAnswered(err) || !sleep(ctx, t.pause, until) {
			return actions, cmp.Or(err, errLate)
		}
	}
}

func (t *trial) actions(ctx context.Context) (actions []audit.Action, err error) {
	for e, err := range t.signed.AuditEntries(ctx, t.made.LicenseID) {
		if err != nil {
			return nil, err
		}
		actions = append(actions, e.Action)
	}
	return actions, nil
}

// trail wants the whole life in the audit trail, in order, in an unbroken chain.
func (t *trial) trail(ctx context.Context, first time.Duration) {
	f, changed := t.on("audit trail"), time.Now()
	until := changed
	if first > 0 { // else it was waited for already
		until = changed.Add(t.wait)
	}
	actions, err := t.waitFor(ctx, audit.Deleted, until)
	last := time.Since(changed)
	switch {
	case errors.Is(err, errLate):
		f.toDo("TRAIL_LATE", fmt.Sprintf("after %v there is no %s in it, but %v", t.wait, audit.Deleted, actions),
			"See the log of the audit function, and its stream reader below.", t.stack.logs("Audit")...)
		return
	case err != nil:
		t.refused(f, "TRAIL_NOT_SERVED", "Issue", err)
		return
	}
	outcome, err := chainVerifier{api: t.signed, delay: t.pause}.verify(ctx, chainTask{licenseID: t.made.LicenseID})
	if err != nil {
		t.refused(f, "TRAIL_NOT_SERVED", "Issue", err)
		return
	}
	findings, wanted := outcome.Findings, []audit.Action{audit.Issued, audit.Revoked, audit.Deleted}
	if !t.isRevoked {
		wanted = slices.Delete(wanted, 1, 2)
	}
	if !inThisOrder(actions, wanted...) {
		findings = append(findings, fmt.Sprintf("it tells of %v", actions))
	}
	if len(findings) > 0 {
		f.toDo("TRAIL_WRONG", strings.Join(findings, "; "),
			"See the log of the audit function, and docs/audit-trail.md.", t.stack.logs("Audit")...)
		return
	}
	f.ok("%d entries; the first was there within %v, the last within %v", len(actions),
		first.Round(time.Millisecond), last.Round(time.Millisecond))
}

// inThisOrder reports whether a list has the wanted ones in their order.
func inThisOrder(list []audit.Action, wanted ...audit.Action) bool {
	for _, action := range list {
		if len(wanted) > 0 && action == wanted[0] {
			wanted = wanted[1:]
		}
	}
	return len(wanted) == 0
}
