package issuance

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"openlicenser/shared/api"
	"openlicenser/shared/checkpoint"
	"openlicenser/shared/telemetry"
)

// How long checkpoints and their key may stay in caches. The key is for good.
const (
	checkpointCaching    = "public, max-age=60"
	checkpointKeyCaching = "public, max-age=3600"
)

// checkpoint shows the latest checkpoint, to everybody: whoever keeps copies can tell when one is taken back.
func (i Issuer) checkpoint(ctx context.Context, _ api.Request) (api.Response, error) {
	signed, err := i.Checkpoints.Latest(ctx)
	if err != nil {
		return api.Response{}, fmt.Errorf("checkpoint: %w", err)
	}
	return plainText(string(signed), checkpointCaching), nil
}

func (i Issuer) checkpointKey(ctx context.Context, _ api.Request) (api.Response, error) {
	vkey, err := checkpoint.VerifierKey(ctx, i.CheckpointKey, i.Origin)
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

// proof shows that the latest checkpoint holds the license's chain, also of a license that is gone.
func (i Issuer) proof(ctx context.Context, r api.Request) (api.Response, error) {
	id, err := licenseID(r)
	if err != nil {
		return api.Response{}, err
	}
	telemetry.Note(ctx, slog.String("licenseid", id))
	proof, err := i.prove(ctx, id)
	if err != nil {
		return api.Response{}, fmt.Errorf("proof: %w", err)
	}
	return noStore(api.JSON(http.StatusOK, proof))
}
