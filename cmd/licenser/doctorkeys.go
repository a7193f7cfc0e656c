package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"openlicenser/shared/awskeys"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// publicKeys asks for the token keys in both forms, as products do. Their function asks KMS for two aliases that are
// not there at first, and has to take KMS's refusal for that.
func (d *doctor) publicKeys(ctx context.Context) {
	f := d.on("public keys")
	var text string
	set, err := d.unsigned.TokenKeys(ctx)
	if err == nil {
		text, err = d.unsigned.PublicKeyPEM(ctx)
	}
	switch {
	case isAnswered(err):
		f.toDo("KEYS_NOT_SERVED", err.Error(), "See the log of the verify function. If KMS denies access to an alias "+
			"that is not there, with -next or -previous: empty the function's variables KMS_NEXT_KEY_ID and "+
			"KMS_PREVIOUS_KEY_ID, and report it.",
			d.stack.logs("Verify")...)
		return
	case err != nil:
		f.untried(err)
		return
	}
	kid, err := keyIDOfPEM(text)
	if err != nil || len(set.Keys) == 0 || set.Keys[0].KeyID != kid {
		f.toDo("KEYS_NOT_SERVED", fmt.Sprintf("the JWK set has %d keys, and its first one is not that of "+
			"/public-key.pem", len(set.Keys)), "See the log of the verify function.", d.stack.logs("Verify")...)
		return
	}
	d.served = mapped(set.Keys, func(k token.JSONWebKey) string { return k.KeyID })
	f.ok("%d served, as JWK set and PEM", len(set.Keys))
}

// isAnswered reports whether an error is the service's own response, and not that of credentials that may not ask.
func isAnswered(err error) bool {
	var problem *vendorapi.Problem
	return errors.As(err, &problem) && problem.Status != http.StatusForbidden
}

func keyIDOfPEM(text string) (string, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return "", errors.New("not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "", err
	}
	public, isRSA := parsed.(*rsa.PublicKey)
	if !isRSA {
		return "", errors.New("not an RSA key")
	}
	return token.KeyID(public), nil
}

// tokenKeys compares the keys in KMS with those that are served.
func (d *doctor) tokenKeys(ctx context.Context) {
	f := d.on("token keys")
	client, alias := kms.NewFromConfig(d.cfg), d.stack.outputs["TokenKeyAlias"]
	check, err := awskeys.CheckKey(ctx, client, cmp.Or(alias, d.stack.outputs["TokenKeyArn"]))
	if err != nil {
		f.untried(err)
		return
	}
	for _, problem := range check.Problems {
		f.toDo("TOKEN_KEY_UNUSABLE", problem, "Make the key usable again: products trust no other one.",
			"aws kms describe-key --key-id "+quoteForShell(check.ARN))
	}
	if len(check.Problems) > 0 {
		return
	}
	kids, state := []string{check.KeyID}, "it stands alone, as ExistingKey"
	if alias != "" {
		if kids, state, err = storedTokenKeys(ctx, client, alias); err != nil {
			f.untried(err)
			return
		}
	}
	if d.served != nil && (kids[0] != d.served[0] || !sameTexts(kids, d.served)) {
		f.toDo("KEYS_DIFFER", "the keys that are served are not those in KMS: "+state, "Wait for five minutes, "+
			"within which the functions notice a change of keys, and run the command again.")
		return
	}
	f.ok("%s", state)
}

// storedTokenKeys returns the kids of the token keys in KMS, that of the one that signs first, and what they do.
func storedTokenKeys(ctx context.Context, client *kms.Client, alias string) (kids []string, state string, err error) {
	store, err := awskeys.NewKeyStore(client, alias)
	if err != nil {
		return nil, "", err
	}
	keys, err := store.Keys(ctx)
	if err != nil {
		return nil, "", err
	}
	var states []string
	for _, key := range shownTokenKeys(keys) {
		kids = append(kids, key.KeyID)
		states = append(states, fmt.Sprintf("%s since %s", key.State, key.Since.UTC().Format(time.DateOnly)))
	}
	return kids, strings.Join(states, ", "), nil
}

// sameTexts reports whether two lists hold the same, in whatever order and however often.
func sameTexts(a, b []string) bool {
	isNotIn := func(list []string) func(string) bool {
		return func(text string) bool { return !slices.Contains(list, text) }
	}
	return !slices.ContainsFunc(a, isNotIn(b)) && !slices.ContainsFunc(b, isNotIn(a))
}

// checkpoint checks the latest checkpoint with the key in KMS. What the service says of its own key proves nothing.
func (d *doctor) checkpoint(ctx context.Context) {
	f, s := d.on("checkpoint"), d.stack
	if s.parameters["CheckpointConcurrency"] == "0" {
		f.leaveOut("CheckpointConcurrency=0 has stopped the checkpoint function")
		return
	}
	key := awskeys.NewCheckpointKey(kms.NewFromConfig(d.cfg), s.outputs["CheckpointKeyArn"])
	vkey, err := checkpoint.VerifierKey(ctx, key, s.outputs["CheckpointOrigin"])
	switch {
	case isOfKey(err):
		f.toDo("CHECKPOINT_KEY_UNUSABLE", err.Error(), "Make the key usable again: another one cannot go on from it.",
			"aws kms describe-key --key-id "+quoteForShell(s.outputs["CheckpointKeyArn"]))
		return
	case err != nil:
		f.untried(err)
		return
	}
	var signed string
	shown, err := d.unsigned.CheckpointKey(ctx)
	if err == nil {
		signed, err = d.unsigned.Checkpoint(ctx)
	}
	logs := s.logs("Checkpoint")
	switch {
	case isAnswered(err):
		f.toDo("CHECKPOINT_NOT_SERVED", err.Error(), "See the log of the checkpoint function.", logs...)
		return
	case err != nil:
		f.untried(err)
		return
	case shown != vkey:
		f.toDo("CHECKPOINT_KEY_DIFFERS", "/audit/checkpoint-key shows another key than the one in KMS",
			"Trust neither, and find out which key the issue function is configured with.")
		return
	}
	latest, err := checkpoint.Open(vkey, []byte(signed))
	if err != nil {
		f.toDo("CHECKPOINT_NOT_SIGNED", err.Error(), "See docs/audit-trail.md: the key of the stack has not signed it.")
		return
	}
	if err := tooOld(latest, d.checkpointOverdue()); err != nil {
		f.toDo("CHECKPOINT_OVERDUE", err.Error(), "See the log of the checkpoint function.", logs...)
		return
	}
	f.ok("number %d of %s is signed by the key in KMS", latest.Number, latest.Time.Format(time.RFC3339))
}

// isOfKey reports whether an error is about the state or the kind of a key, and not about a call of KMS.
func isOfKey(err error) bool {
	var called *smithy.OperationError
	isOfState := errors.As(err, new(*types.DisabledException)) || errors.As(err, new(*types.KMSInvalidStateException))
	return err != nil && (isOfState || !errors.As(err, &called))
}

// checkpointOverdue is how old the latest checkpoint may be.
func (d *doctor) checkpointOverdue() time.Duration {
	return time.Duration(d.stack.number("CheckpointOverdueHours", 3)) * time.Hour
}

// secret looks at the license-key secret and its rotation. It does not read it.
func (d *doctor) secret(ctx context.Context) {
	f, arn := d.on("license-key secret"), d.stack.outputs["LicenseKeySecretArn"]
	out, err := secretsmanager.NewFromConfig(d.cfg).DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{
		SecretId: &arn,
	})
	if err != nil {
		f.untried(err)
		return
	}
	before := len(d.rows)
	d.rotation(f, out)
	switch last := aws.ToTime(out.LastRotatedDate); {
	case len(d.rows) > before:
	case !aws.ToBool(out.RotationEnabled):
		f.ok("it is rotated by hand only, because SecretRotationDays is empty")
	case last.IsZero():
		f.ok("it rotates by itself, and has not yet")
	default:
		f.ok("it rotates by itself, and did last on %s", last.UTC().Format(time.DateOnly))
	}
}

// rotationLate is how long after its date a rotation may come: Secrets Manager takes any hour of that day.
const rotationLate = 48 * time.Hour

// rotation adds what is wrong with the secret and its rotation.
func (d *doctor) rotation(f finder, out *secretsmanager.DescribeSecretOutput) {
	isOn, isWanted := aws.ToBool(out.RotationEnabled), d.stack.parameters["SecretRotationDays"] != ""
	id, own := quoteForShell(aws.ToString(out.ARN)), d.stack.outputs["RotateFunctionArn"]
	appoint := "licenser keys rotate --secret " + id + " --function " + quoteForShell(own)
	if out.DeletedDate != nil {
		f.toDo("SECRET_TO_BE_DELETED", "it is about to be deleted, and no license key is good without it",
			"Take that back.", "aws secretsmanager restore-secret --secret-id "+id)
	}
	if isWanted && !isOn {
		f.toDo("ROTATION_OFF", "SecretRotationDays is set, and nothing rotates the secret",
			"Appoint the rotate function.", appoint)
	}
	if by := aws.ToString(out.RotationLambdaARN); isOn && by != own {
		f.toDo("ROTATION_BY_OTHER", by+" rotates it, and may drop the secrets that earlier license keys need",
			"Appoint the rotate function of the stack.", appoint)
	}
	if isStuck(out.VersionIdsToStages) {
		f.toDo("ROTATION_NOT_DONE", "a rotation has begun and is not done",
			"Unless it has begun just now, see the log of the rotate function.", d.stack.logs("Rotate")...)
	}
	if next := aws.ToTime(out.NextRotationDate); isOn && !next.IsZero() && d.now().Sub(next) > rotationLate {
		f.toDo("ROTATION_OVERDUE", "it was to be rotated by "+next.UTC().Format(time.DateOnly),
			"See the log of the rotate function.", d.stack.logs("Rotate")...)
	}
}

// isStuck reports whether a version of a secret waits to become the current one.
func isStuck(stages map[string][]string) bool {
	for _, of := range stages {
		if slices.Contains(of, "AWSPENDING") && !slices.Contains(of, "AWSCURRENT") {
			return true
		}
	}
	return false
}
