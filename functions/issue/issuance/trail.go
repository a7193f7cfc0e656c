package issuance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"openlicenser/shared/api"
	"openlicenser/shared/attribute"
	"openlicenser/shared/audit"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/license"
	"openlicenser/shared/telemetry"
	"openlicenser/shared/token"
	"openlicenser/shared/vendorapi"
)

// Trail shows the audit trail and its signed checkpoints.
type Trail struct {
	Store         audit.Store
	Licenses      license.Store // says what references stand for, and nothing else
	Records       checkpoint.Records
	Checkpoints   checkpoint.Reader
	CheckpointKey checkpoint.Key
	Origin        string        // of the checkpoints
	Secrets       token.Secrets // sign the cursors
	Now           func() time.Time
}

var _ Part = Trail{}

func (t Trail) routes() api.Routes {
	return api.Routes{
		"GET /licenses/{licenseid}/audit":       t.chain,
		"GET /licenses/{licenseid}/audit/proof": t.proof,
		"GET /audit/checkpoint":                 t.checkpoint,
		"GET /audit/checkpoints/{number}":       t.numbered,
		"GET /audit/roots/{root}":               t.roots,
		"GET /audit/pages/{root}":               t.page,
		"GET /audit/checkpoint-key":             t.checkpointKey,
	}
}

// publicRoutes are for everybody: they would prove nothing in private.
var publicRoutes = []string{"GET /audit/checkpoint", "GET /audit/checkpoint-key"}

func (t Trail) lacking() []string {
	return lacking("Trail", ports{
		"Store": t.Store != nil, "Licenses": t.Licenses != nil, "Records": t.Records != nil,
		"Checkpoints": t.Checkpoints != nil, "CheckpointKey": t.CheckpointKey != nil, "Origin": t.Origin != "",
		"Secrets": t.Secrets != nil, "Now": t.Now != nil,
	})
}

// chain shows a page of a license's chain, also of a license that is gone. Where there is no chain the page is empty.
func (t Trail) chain(ctx context.Context, r api.Request) (api.Response, error) {
	id, err := licenseID(ctx, t.Licenses, r)
	if err != nil {
		return api.Response{}, err
	}
	telemetry.Note(ctx, slog.String("licenseid", id))
	query, cursors, err := t.readQuery(ctx, r, id)
	if err != nil {
		return api.Response{}, err
	}
	id, state, err := t.state(ctx, id)
	if err != nil {
		return api.Response{}, fmt.Errorf("audit trail: %w", err)
	}
	entries, err := audit.DisclosedEntries(ctx, t.Store, id, query.after, query.limit+1)
	if err != nil {
		return api.Response{}, fmt.Errorf("audit trail: %w", err)
	}
	page := vendorapi.AuditPage{Entries: append([]audit.Entry{}, entries...)}
	fit, err := fitting(page.Entries[:min(len(entries), query.limit)], audit.Entry.MarshalJSON)
	if err != nil {
		return api.Response{}, err
	}
	if fit < len(entries) {
		page.Entries = page.Entries[:fit]
		page.Cursor = cursors.encode(fmt.Sprint(entries[fit-1].Sequence))
		return noStore(api.JSON(http.StatusOK, page))
	}
	page.Head = &vendorapi.ChainHead{Sequence: state.Sequence, Hash: state.Hash}
	if err := t.compare(ctx, &page, id, state); err != nil {
		return api.Response{}, fmt.Errorf("record: %w", err)
	}
	return noStore(api.JSON(http.StatusOK, page))
}

// compare says on the last page what the license's record is, and which entry has left it so where that is not the
// last.
func (t Trail) compare(ctx context.Context, page *vendorapi.AuditPage, id string, state audit.State) error {
	record, err := t.record(ctx, id, state)
	if err != nil {
		return err
	}
	page.Foreign = record != nil && license.RecordVersion(record) < 1
	page.RecordHash, err = audit.HashRecord(record, state.Nonces)
	if err != nil || page.RecordHash == state.RecordHash || state.Sequence > maxCompared {
		return err
	}
	var chain []audit.Entry
	for after := int64(0); after < state.Sequence; after = chain[len(chain)-1].Sequence {
		entries, err := audit.DisclosedEntries(ctx, t.Store, id, after, chainPage)
		if err != nil || len(entries) == 0 {
			return err
		}
		chain = append(chain, entries...)
	}
	page.LeftBy, err = audit.LeftBy(chain, record)
	return err
}

const (
	chainPage   = 100   // entries that are read at a time
	maxCompared = 5_000 // entries of a chain that is compared with its record; a longer one takes too long
)

// maxPage bounds a page in bytes of JSON. A Lambda function's response holds 6 MB, an entry some 350 KB at most, and a
// plan some 150 KB.
const maxPage = 4 << 20

// fitting returns how many of the elements fit on a page.
func fitting[T any](elements []T, marshal func(T) ([]byte, error)) (int, error) {
	size := 0
	for n, e := range elements {
		text, err := marshal(e)
		if err != nil {
			return 0, err
		}
		if size += len(text) + 1; size > maxPage {
			return n, nil
		}
	}
	return len(elements), nil
}

// state returns the end of a license's chain, and the license id in the chain's own spelling. Where there is no chain,
// that is the id as it was asked for.
func (t Trail) state(ctx context.Context, asked string) (id string, state audit.State, err error) {
	for _, id := range spellings(asked) {
		state, err := t.Store.State(ctx, id)
		if err != nil || state.Head != (audit.Head{}) {
			return id, state, err
		}
	}
	return asked, audit.State{}, nil
}

// record returns the record whose chain has the state, nil where there is none. Before the chain's first entry, the
// record may have the id in any spelling.
func (t Trail) record(ctx context.Context, id string, state audit.State) (record attribute.Map, err error) {
	ids := []string{id}
	if state.Head == (audit.Head{}) {
		ids = spellings(id)
	}
	for _, id := range ids {
		record, err = t.Records.Record(ctx, id)
		if err != nil || record != nil {
			break
		}
	}
	return record, err
}

// proof shows that the latest checkpoint holds the license's chain, also of a license that is gone.
func (t Trail) proof(ctx context.Context, r api.Request) (api.Response, error) {
	id, err := licenseID(ctx, t.Licenses, r)
	if err != nil {
		return api.Response{}, err
	}
	telemetry.Note(ctx, slog.String("licenseid", id))
	proof, err := t.prove(ctx, id)
	if err != nil {
		return api.Response{}, fmt.Errorf("proof: %w", err)
	}
	return noStore(api.JSON(http.StatusOK, proof))
}

// prove returns the proof, or checkpoint.ErrNoLeaf where the checkpoint has no leaf of the license.
func (t Trail) prove(ctx context.Context, asked string) (proof checkpoint.Proof, err error) {
	vkey, err := t.verifierKey(ctx)
	if err != nil {
		return proof, err
	}
	for _, id := range spellings(asked) {
		proof, err = checkpoint.Prove(ctx, t.Checkpoints, vkey, id)
		if !errors.Is(err, checkpoint.ErrNoLeaf) {
			break
		}
	}
	return proof, err
}

func (t Trail) verifierKey(ctx context.Context) (string, error) {
	return checkpoint.VerifierKey(ctx, t.CheckpointKey, t.Origin)
}

// How long checkpoints, their trees and their key may stay in caches. The key is for good, and a tree is named by its
// content. It tells license ids, so no shared cache may have it.
const (
	treeCaching          = "private, max-age=86400, immutable"
	checkpointCaching    = "public, max-age=60"
	checkpointKeyCaching = "public, max-age=3600"
)

// checkpoint shows the latest checkpoint. Whoever keeps copies can tell when one is taken back.
func (t Trail) checkpoint(ctx context.Context, _ api.Request) (api.Response, error) {
	vkey, err := t.verifierKey(ctx)
	if err != nil {
		return api.Response{}, err
	}
	signed, _, err := checkpoint.Latest(ctx, t.Checkpoints, vkey)
	if err != nil {
		return api.Response{}, fmt.Errorf("checkpoint: %w", err)
	}
	return plainText(string(signed), checkpointCaching), nil
}

// numbered shows an earlier checkpoint, or the latest, by its number.
func (t Trail) numbered(ctx context.Context, r api.Request) (api.Response, error) {
	number, err := strconv.ParseInt(r.PathParameter("number"), 10, 64)
	if err != nil || number < 1 {
		return api.Response{}, errNoNumber
	}
	vkey, err := t.verifierKey(ctx)
	if err != nil {
		return api.Response{}, err
	}
	signed, err := checkpoint.Numbered(ctx, t.Checkpoints, vkey, number)
	switch {
	case errors.Is(err, checkpoint.ErrNone):
		return api.Response{}, errNoNumber
	case err != nil:
		return api.Response{}, fmt.Errorf("checkpoint: %w", err)
	}
	return plainText(string(signed), treeCaching), nil
}

// roots shows the roots of all buckets of a checkpoint.
func (t Trail) roots(ctx context.Context, r api.Request) (api.Response, error) {
	return t.treeObject(ctx, r, checkpoint.Roots)
}

// page shows the leaves of a bucket of a checkpoint.
func (t Trail) page(ctx context.Context, r api.Request) (api.Response, error) {
	return t.treeObject(ctx, r, checkpoint.Page)
}

func (t Trail) treeObject(
	ctx context.Context, r api.Request,
	read func(context.Context, checkpoint.Reader, tlog.Hash) ([]byte, error),
) (api.Response, error) {
	root, err := hex.DecodeString(r.PathParameter("root"))
	if err != nil || len(root) != tlog.HashSize {
		return api.Response{}, errNoTree
	}
	text, err := read(ctx, t.Checkpoints, tlog.Hash(root))
	switch {
	case errors.Is(err, checkpoint.ErrNone):
		return api.Response{}, errNoTree
	case err != nil:
		return api.Response{}, fmt.Errorf("tree: %w", err)
	}
	return plainText(string(text), treeCaching), nil
}

// checkpointKey shows the key that checkpoints are verified with.
func (t Trail) checkpointKey(ctx context.Context, _ api.Request) (api.Response, error) {
	vkey, err := t.verifierKey(ctx)
	if err != nil {
		return api.Response{}, err
	}
	return plainText(vkey+"\n", checkpointKeyCaching), nil
}

func plainText(text, caching string) api.Response {
	return api.Response{Status: http.StatusOK, Body: []byte(text), Header: map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "Cache-Control": caching,
	}}
}
