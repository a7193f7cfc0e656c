package dynamo_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"openlicenser/shared/dynamo"
	"openlicenser/shared/license"
	"openlicenser/shared/testing/licensetest"
	"openlicenser/shared/token"
)

var issued = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// signatures has the real client speak to a wire; batch is the body of a response to BatchGetItem.
func signatures(t *testing.T, answers ...answer) (*wire, *dynamo.Signatures) {
	w, client := serve(t, answers...)
	return w, dynamo.NewSignatures(client, "signatures", dynamo.NewLicenses(client, "licenses", "r"), nil)
}

func batch(licenses, signatures, unprocessed string) answer {
	return ok(
		fmt.Sprintf(
			`{"Responses":{"licenses":[%s],"signatures":[%s]},"UnprocessedKeys":{%s}}`, licenses, signatures,
			unprocessed,
		),
	)
}

// kept is the signature's item of a license.
func kept(id string) string {
	return fmt.Sprintf(
		`{"licenseid":{"S":%q},"signed":{"N":"1795168800"},"signature":{"B":"c2lnbmVk"},"expires":{"N":"1795946400"}}`,
		id,
	)
}

func wantSignature(t *testing.T, got token.Signature, want string) {
	t.Helper()
	if string(got.Bytes) != want || want != "" && !got.SignedAt.Equal(issued) {
		t.Errorf("signature %q of %v, want %q", got.Bytes, got.SignedAt, want)
	}
}

func TestSignaturesGet(t *testing.T) {
	l := licensetest.Issue(t)
	stored, keptSignature := dynamoJSON(t, l.Record()), kept(l.ID)
	for name, test := range map[string]struct {
		answers []answer
		calls   []string
		want    string
	}{
		"both":      {[]answer{batch(stored, keptSignature, "")}, []string{"BatchGetItem"}, "signed"},
		"none kept": {[]answer{batch(stored, "", "")}, []string{"BatchGetItem"}, ""},
		"signature left out": {
			[]answer{batch(stored, "", `"signatures":{"Keys":[]}`)}, []string{"BatchGetItem"}, "",
		},
		"license left out": {
			[]answer{batch("", keptSignature, `"licenses":{"Keys":[]}`), ok(`{"Item":` + stored + `}`)},
			[]string{"BatchGetItem", "GetItem"}, "signed",
		},
		"signature without time": {
			[]answer{batch(stored, strings.Replace(keptSignature, `"signed":{`, `"other":{`, 1), "")},
			[]string{"BatchGetItem"}, "",
		},
		"iat no whole number": {
			[]answer{batch(stored, strings.Replace(keptSignature, `"1795168800"`, `"1.5"`, 1), "")},
			[]string{"BatchGetItem"}, "",
		},
		"signature as text": {
			[]answer{batch(stored, strings.Replace(keptSignature, `"B"`, `"S"`, 1), "")}, []string{"BatchGetItem"}, "",
		},
		"another license's": {[]answer{batch(stored, kept("x"), "")}, []string{"BatchGetItem"}, ""},
		"no table": {
			[]answer{fault(400, "ResourceNotFoundException", ""), ok(`{"Item":` + stored + `}`)},
			[]string{"BatchGetItem", "GetItem"}, "",
		},
		"fails": {
			[]answer{
				fault(500, "InternalServerError", ""), fault(500, "InternalServerError", ""),
				ok(`{"Item":` + stored + `}`),
			},
			[]string{"BatchGetItem", "BatchGetItem", "GetItem"}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, s := signatures(t, test.answers...)
			got, signature, err := get(t.Context(), s, l.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := licensetest.Diff(l, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			wantSignature(t, signature, test.want)
			for i, operation := range test.calls {
				if w.calls[i].operation != operation {
					t.Errorf("call %d is %s, want %s", i, w.calls[i].operation, operation)
				}
			}
			w.wantRequest(t, 0, "BatchGetItem", fmt.Sprintf(`{"RequestItems":{
				"licenses":{"Keys":[{"licenseid":{"S":%[1]q}}],"ConsistentRead":true},
				"signatures":{"Keys":[{"licenseid":{"S":%[1]q}}]}}}`, l.ID))
		})
	}
}

// TestSignaturesGetErrors: a signature alone is no license.
func TestSignaturesGetErrors(t *testing.T) {
	t.Run("ErrNotFound", func(t *testing.T) {
		_, s := signatures(t, batch("", kept("x"), ""))
		_, _, err := get(t.Context(), s, "x")
		wantErr(t, err, license.ErrNotFound)
	})
	t.Run("ErrNotFound/NoKeyOfDynamoDB", func(t *testing.T) {
		_, s := signatures(t) // no call
		for _, id := range []string{"", strings.Repeat("x", 2049)} {
			_, _, err := get(t.Context(), s, id)
			wantErr(t, err, license.ErrNotFound)
		}
	})
	t.Run("Unreadable", func(t *testing.T) {
		_, s := signatures(t, batch(`{"licenseid":{"S":"x"},"isrevoked":{"S":"true"}}`, kept("x"), ""))
		if l, _, err := get(t.Context(), s, "x"); err != nil || l.Status(licensetest.Now) != license.Unreadable {
			t.Errorf("got %+v, %v", l, err)
		}
	})
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, s := signatures(t, append(append([]answer{}, answers...), answers...)...)
			if l, signature, err := get(t.Context(), s, "x"); err == nil {
				t.Errorf("got %v, %v", l, signature)
			}
		})
	}
}

func TestSignaturesKeep(t *testing.T) {
	w, s := signatures(t, ok(`{}`), fault(400, "AccessDeniedException", ""))
	keep := func() error {
		return s.Keep(
			t.Context(), "x", "", token.Signature{SignedAt: issued, Bytes: []byte("signed")}, issued.AddDate(0, 0, 9),
		)
	}
	if err := keep(); err != nil {
		t.Error(err)
	}
	w.wantRequest(t, 0, "PutItem", `{"TableName":"signatures","Item":`+kept("x")+`}`)
	if err := keep(); err == nil {
		t.Error("no error")
	}
}

// get reads without a device.
func get(ctx context.Context, s *dynamo.Signatures, id string) (license.License, token.Signature, error) {
	kept, err := s.Get(ctx, id, "")
	return kept.License, kept.Signature, err
}

func TestSignaturesForget(t *testing.T) {
	w, s := signatures(t, ok(`{}`), ok(`{}`), ok(`{}`))
	if err := s.Forget(t.Context(), "some-id", []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"some-id", "some-id/a", "some-id/b"} {
		w.wantRequest(t, i, "DeleteItem", `{"TableName":"signatures","Key":{"licenseid":{"S":"`+key+`"}}}`)
	}
	for name, answers := range faults {
		t.Run(name, func(t *testing.T) {
			_, s := signatures(t, answers...)
			wantFault(t, s.Forget(t.Context(), "some-id", []string{"a"}), "forget signature", "signed")
		})
	}
}
