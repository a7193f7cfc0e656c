package main

import (
	"context"
	"encoding/json"
	"iter"

	"openlicenser/cmd/licenser/terminal"
	"openlicenser/shared/vendorapi"
)

type exportCommand struct {
	filters
	vendorAPI
}

func (exportCommand) Help() string {
	return "Without --output json it is CSV: lists are JSON in one cell, a license without an end ends never, and a " +
		"cell that a spreadsheet would take for a formula begins with an apostrophe. With it each line is a JSON " +
		"object. License keys are not in it.\n\n" +
		examples(`licenser export >licenses.csv`, `licenser export --status active --output json >licenses.jsonl`)
}

// Run goes through all pages. What it has written when it fails is not whole.
func (c exportCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	api, err := c.client(ctx)
	if err != nil {
		return err
	}
	licenses := c.licenses(ctx, api)
	if !t.ForPeople {
		licenses = counted(licenses, newProgress(t.Err, "licenses", 0))
	}
	if t.Format == terminal.JSON {
		err = exportLines(t, licenses)
	} else {
		csv := *t
		csv.Format = terminal.CSV
		err = terminal.List(&csv, licenseColumns(t.Now()), licenses)
	}
	if err != nil {
		return advised{err, "What was written is not all."}
	}
	return nil
}

// counted shows how many there are so far.
func counted[T any](things iter.Seq2[T, error], p *progress) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		defer p.end()
		n := 0
		for thing, err := range things {
			n++
			p.show(n)
			if !yield(thing, err) {
				return
			}
		}
	}
}

// exportedLicense says the end of a license as licenser import reads it.
type exportedLicense struct {
	vendorapi.License
	ExpirationDate string `json:"expirationdate,omitempty"`
}

func exportLines(t *terminal.Terminal, licenses iter.Seq2[vendorapi.License, error]) error {
	encoder := json.NewEncoder(t.Out)
	encoder.SetEscapeHTML(false)
	for l, err := range licenses {
		if err != nil {
			return err
		}
		if err := encoder.Encode(exportedLicense{l, endText(l)}); err != nil {
			return err
		}
	}
	return nil
}
