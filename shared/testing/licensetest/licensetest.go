// Package licensetest holds what tests of licenses share: sample licenses, and tests of the contract of license.Store.
package licensetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"openlicenser/shared/attribute"
	"openlicenser/shared/license"
)

// Now is the instant at which the samples are issued.
var Now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// Issue returns a license that is valid for a year from Now.
func Issue(t testing.TB) license.License {
	t.Helper()
	id, err := license.NewID()
	if err != nil {
		t.Fatal(err)
	}
	l, err := license.Draft{
		CustomerName:   "Test Customer",
		ExpirationDate: Now.AddDate(1, 0, 0).Format(time.RFC3339),
		Services:       []license.Service{{Name: "TEST", Value: "EmbeddedPowerBI"}},
		AppURLs:        []license.AppURL{{URL: "https://app.example.com/?a=1&b=<2>"}},
		Notes:          "a note, ¿qué? 日本語 🎉",
	}.Issue(id, Change("first issue"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Change returns a change at Now.
func Change(reason string) license.Change {
	return license.Change{
		At:        Now,
		By:        "arn:aws:iam::123456789012:user/vendor",
		Reason:    reason,
		RequestID: uuid.NewString(),
	}
}

// Revoke returns the license as revoked at Now.
func Revoke(t testing.TB, l license.License, reason string) license.License {
	t.Helper()
	revoked, err := l.Revoke(Change(reason))
	if err != nil {
		t.Fatal(err)
	}
	return revoked
}

// Diff returns how licenses differ in what they say, wherever they come from.
func Diff(want, got any) string {
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(license.License{}), cmpopts.EquateEmpty())
}

// Harness is a new and empty store, with access to its records as other tools have it.
type Harness struct {
	Store     license.Store
	PutRecord func(ctx context.Context, record attribute.Map) error
	Record    func(ctx context.Context, id string) (attribute.Map, error)
}

// TestStore tests that a store keeps the contract of license.Store. Each call of open returns a new and empty store.
func TestStore(t *testing.T, open func(t *testing.T) Harness) {
	tests := map[string]func(*testing.T, Harness){
		"Create/ThenGet":                   createThenGet,
		"Create/ErrExists":                 createTwice,
		"Create/Reference":                 createReference,
		"Create/Neither":                   createNeither,
		"Get/ErrNotFound":                  getNothing,
		"Get/Problems":                     getProblems,
		"Update/Problems":                  updateProblems,
		"Update/ThenGet":                   updateThenGet,
		"Update/ErrConflict/Stale":         updateStale,
		"Update/ErrConflict/Gone":          updateGone,
		"Update/ErrConflict/ForeignChange": updateAfterForeignChange,
		"Update/ForeignRecord":             updateForeign,
		"Update/Concurrent":                updateConcurrently,
		"Update/Reference":                 updateReference,
		"Update/DroppedReference":          updateDroppedReference,
		"Reference/Concurrent":             referenceConcurrently,
		"Erase/ThenGet":                    eraseThenGet,
		"Erase/ErrConflict":                eraseConflict,
		"Erase/Removed":                    eraseRemoved,
		"Erase/Concurrent":                 eraseConcurrently,
		"Remove/ThenGet":                   removeThenGet,
		"Remove/ErrConflict":               removeStale,
		"List/Newest":                      listNewest,
		"List/Customer":                    listCustomer,
		"List/Status":                      listStatus,
		"List/ExpiringBefore":              listExpiringBefore,
		"List/FirstAndLast":                listFirstAndLast,
		"List/Names":                       listNames,
		"List/Combinations":                listCombinations,
		"List/Bounded":                     listBounded,
		"List/Empty":                       listEmpty,
		"ContextEnded":                     contextEnded,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func mustCreate(t *testing.T, h Harness, l license.License) {
	t.Helper()
	if err := h.Store.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}

func mustGet(t *testing.T, h Harness, id string) license.License {
	t.Helper()
	l, err := h.Store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}
