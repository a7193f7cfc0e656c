package audit

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestDifferences(t *testing.T) {
	change := func(old, new string) FieldChange {
		return FieldChange{Old: json.RawMessage(old), New: json.RawMessage(new)}
	}
	e := Entry{Action: Changed, Changes: map[string]FieldChange{
		"email": change("", `{"S":"a@example.com"}`), "maxdevices": change(`{"N":"3"}`, ""),
		"isrevoked": change(`{"BOOL":false}`, `{"BOOL":true}`), "version": change(`{"N":"1"}`, `{"N":"2"}`),
		"appurls": change(`{"L":[{"S":"x"}]}`, `{"bytes":70000,"sha256":"00"}`),
		"notes":   change(`{"NULL":true}`, `{"S":""}`),
	}}
	want := []Difference{
		{"appurls", `{"L":[{"S":"x"}]}`, `{"bytes":70000,"sha256":"00"}`}, {"email", "", "a@example.com"},
		{"isrevoked", "false", "true"}, {"maxdevices", "3", ""}, {"notes", "true", ""},
	}
	if got := e.Differences(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, action := range []Action{Issued, Deleted} {
		e.Action = action
		if got := e.Differences(); got != nil {
			t.Errorf("%s: got %q", action, got)
		}
	}
}
