package functions_test

import (
	"container/heap"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"openlicenser/functions/index/indexing"
	"openlicenser/functions/issue/issuance"
	"openlicenser/functions/rotate/rotation"
	"openlicenser/functions/verify/verification"
	"openlicenser/shared/api"
	"openlicenser/shared/attribute"
	"openlicenser/shared/awskeys"
	"openlicenser/shared/embedded"
	"openlicenser/shared/license"
	"openlicenser/shared/stream"
	"openlicenser/shared/testing/apitest"
	"openlicenser/shared/testing/kmstest"
	"openlicenser/shared/token"
)

// The simulation lets three years pass, in which both kinds of key are replaced again and again, while instances of the
// functions come and go with what they keep in memory, customers keep their license keys, and products keep the
// published keys or embed one. Another tool puts all licenses now and then, and knows nothing of their keys. The
// simulation drives the real handlers over the real adapters; KMS and Secrets Manager are in memory, and the clock is
// virtual.
//
// SIMULATION_SEED repeats a run, SIMULATION_RUNS asks for more of them.

const (
	day           = 24 * time.Hour
	simulatedTime = 3 * 365 * day
	simLifetime   = 30 * day // of a token: shorter than the default, so that there are more rotations
	simLead       = token.DefaultLead
	simAlias      = "alias/token"
	simSecret     = "secret"
	// productKeeps is how long a product keeps the published keys at most. It leaves room for what a function keeps.
	productKeeps = simLead - 10*time.Minute
)

// sabotage is a step that is skipped.
type sabotage struct {
	noLead          bool // the successor signs as soon as it is published
	nextUnpublished bool // the functions do not know the successor
	previousRemoved bool // the predecessor is removed as soon as it is replaced
	retiredPinned   bool // it is removed while licenses are pinned to it
	pinIgnored      bool
	secretReplaced  bool // in place of a rotation
	notPutBack      bool // what another tool's synchronization has left out stays away
	signsAtOnce     bool // a new secret signs license keys before every instance knows it, and none asks for it anew
}

func TestSimulation(t *testing.T) {
	runs := 1
	if text := os.Getenv("SIMULATION_RUNS"); text != "" {
		var err error
		if runs, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for range runs {
		seed := simulationSeed(t)
		s, err := simulate(t, seed, sabotage{})
		if err != nil {
			t.Fatalf("SIMULATION_SEED=%d: %v", seed, err)
		}
		t.Logf("SIMULATION_SEED=%d: %+v", seed, s.done)
		// What did not happen was not tested.
		if d := s.done; d.verifications < 1000 || d.promotions < 4 || d.retirements < 3 || d.secretRotations < 8 ||
			d.pins < 8 ||
			d.cuts < 5 ||
			d.synchronizations < 10 ||
			d.refusals < 20 {
			t.Errorf("SIMULATION_SEED=%d: only %+v", seed, d)
		}
	}
}

// TestSimulationCatches: where a step is skipped, the simulation sees a customer who is refused or a token that fails.
func TestSimulationCatches(t *testing.T) {
	for name, skipped := range map[string]sabotage{
		"no lead":                  {noLead: true},
		"successor not published":  {nextUnpublished: true},
		"predecessor removed":      {previousRemoved: true},
		"retired while pinned":     {retiredPinned: true},
		"pin ignored":              {pinIgnored: true},
		"pin not put back":         {notPutBack: true},
		"secret replaced":          {secretReplaced: true},
		"secret known to one only": {signsAtOnce: true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 { // chance may spare everybody for three years, but not for nine
				seed := simulationSeed(t)
				s, err := simulate(t, seed, skipped)
				t.Logf("SIMULATION_SEED=%d: %+v: %v", seed, s.done, err)
				var seen *violation
				switch {
				case errors.As(err, &seen):
					return
				case err != nil:
					t.Fatal("it ended for another reason")
				}
			}
			t.Error("nothing was seen")
		})
	}
}

func simulationSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("SIMULATION_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// violation is what must not happen.
type violation struct{ text string }

func (v *violation) Error() string { return v.text }

// simulation is the world.
type simulation struct {
	t       *testing.T
	random  *rand.Rand
	skipped sabotage

	now   time.Time
	end   time.Time
	queue schedule

	kms     *kmstest.KMS
	secrets *secretsManager
	folder  *embedded.Folder

	keptSignatures map[string]token.Signature
	changes        int // of other tools

	verifiers, issuers []api.Router
	products           []*product
	succession         token.Succession

	done counts
}

type counts struct {
	verifications, promotions, retirements, secretRotations, pins, cuts, refusals, synchronizations int
}

// schedule is what will happen, the earliest first.
type schedule []happening

type happening struct {
	at time.Time
	do func() error
}

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)        { *s = append(*s, x.(happening)) }
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

func (s *simulation) after(wait time.Duration, do func() error) {
	heap.Push(&s.queue, happening{s.now.Add(wait), do})
}

// between answers a random duration.
func (s *simulation) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.random.Int64N(int64(most-least)+1))
}

func simulate(t *testing.T, seed uint64, skipped sabotage) (*simulation, error) {
	t.Helper()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &simulation{
		t:              t,
		random:         rand.New(rand.NewPCG(seed, 0)),
		skipped:        skipped,
		now:            begin,
		end:            begin.Add(simulatedTime),
		keptSignatures: map[string]token.Signature{},
	}
	s.kms = kmstest.New(s.clock)
	if _, err := s.kms.AddRSA(simAlias); err != nil {
		t.Fatal(err)
	}
	s.secrets = newSecretsManager(token.Ring{Current: token.NewSecret(), Created: begin.Add(-day)})
	keys, err := awskeys.NewKeyStore(s.kms, simAlias)
	if err != nil {
		t.Fatal(err)
	}
	s.succession = token.Succession{Store: keys.WithClock(s.clock), Now: s.clock}
	if s.folder, err = embedded.Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	defer s.folder.Close()
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.DiscardHandler))

	s.verifiers, s.issuers = make([]api.Router, 3), make([]api.Router, 2)
	for i := range s.verifiers {
		s.after(0, func() error { return s.restartVerifier(i) })
	}
	for i := range s.issuers {
		s.after(0, func() error { return s.restartIssuer(i) })
	}
	for i := range 16 {
		s.after(time.Second+s.between(0, simulatedTime/3), func() error { return s.sell(i%4 == 0) })
	}
	s.after(s.between(day, 10*day), s.prepare)
	s.after(s.between(day, 10*day), s.rotateSecret)
	s.after(s.between(day, 10*day), s.synchronize)

	for len(s.queue) > 0 && s.queue[0].at.Before(s.end) {
		next := heap.Pop(&s.queue).(happening)
		s.now = next.at
		if err := next.do(); err != nil {
			return s, fmt.Errorf("%s: %w", s.now.Format(time.DateTime), err)
		}
	}
	return s, nil
}

func (s *simulation) clock() time.Time { return s.now }

// restartVerifier puts an instance in the place of another, again and again. The new one has nothing in memory.
func (s *simulation) restartVerifier(i int) error {
	names := awskeys.KeyNames{Current: simAlias, Next: simAlias + "-next", Previous: simAlias + "-previous"}
	if s.skipped.nextUnpublished {
		names.Next = ""
	}
	reader := license.Reader(s.folder.Licenses)
	if s.skipped.pinIgnored {
		reader = withoutPins{reader}
	}
	s.verifiers[i] = verification.Verifier{
		Licenses: reader,
		Secrets:  s.secretsOf(awskeys.NewSecrets(s.secrets, simSecret, awskeys.WithClock(s.clock))),
		Authorizer: token.Authorizer{
			Key:      awskeys.NewSigningKey(s.kms, names, awskeys.WithClock(s.clock)),
			Issuer:   "simulation",
			Lifetime: simLifetime,
		},
		Reuse: verification.NewReuse(simLifetime/10, s.signatures(reader)),
		Now:   s.clock,
		Log:   slog.New(slog.DiscardHandler),
	}.Router()
	s.after(s.between(time.Minute, 20*day), func() error { return s.restartVerifier(i) })
	return nil
}

type withoutPins struct{ license.Reader }

func (r withoutPins) Get(ctx context.Context, id string) (license.License, error) {
	l, err := r.Reader.Get(ctx, id)
	l.TokenKeyID = ""
	return l, err
}

// secretsOf is where the function that issues or verifies finds the ring.
func (s *simulation) secretsOf(secrets token.Secrets) token.Secrets {
	if s.skipped.signsAtOnce {
		return hasty{secrets}
	}
	return secrets
}

// hasty lets a secret sign that was made just now, and never asks for a ring anew.
type hasty struct{ token.Secrets }

func (h hasty) Ring(ctx context.Context) (token.Ring, error) {
	ring, err := h.Secrets.Ring(ctx)
	ring.Created = time.Time{}
	return ring, err
}

func (h hasty) Refresh(ctx context.Context) (token.Ring, error) { return h.Ring(ctx) }

func (s *simulation) restartIssuer(i int) error {
	secrets := s.secretsOf(awskeys.NewSecrets(s.secrets, simSecret, awskeys.WithClock(s.clock)))
	keys := issuance.Keys{Licenses: s.folder.Licenses, Secrets: secrets, Issuer: "simulation", Now: s.clock}
	var err error
	s.issuers[i], err = issuance.NewRouter(slog.New(slog.DiscardHandler), keys, issuance.Licenses{
		Store: s.folder.Licenses, Idempotency: s.folder.Idempotency, Keys: keys, Secrets: secrets,
		Trail: s.folder.AuditTrail, Devices: s.folder.Devices, Plans: s.folder.Plans, Now: s.clock,
		TokenLifetime: 90 * day,
	})
	if err != nil {
		return err
	}
	s.after(s.between(time.Minute, 20*day), func() error { return s.restartIssuer(i) })
	return nil
}

// call asks one of the instances.
func (s *simulation) call(instances []api.Router, event events.APIGatewayProxyRequest) events.APIGatewayProxyResponse {
	response, err := instances[s.random.IntN(len(instances))].Invoke(context.Background(), apitest.Event(event))
	if err != nil {
		s.t.Fatal(err)
	}
	return response
}

func (s *simulation) vendor(method, resource, id, body string) ([]byte, error) {
	response := s.call(s.issuers, events.APIGatewayProxyRequest{
		HTTPMethod: method, Resource: resource, PathParameters: map[string]string{"licenseid": id}, Body: body,
		Headers: map[string]string{"If-Match": "*"},
	})
	if response.StatusCode >= 300 {
		return nil, &violation{
			fmt.Sprintf("%s %s is answered with %d %s", method, resource, response.StatusCode, response.Body),
		}
	}
	return []byte(response.Body), nil
}

// synchronize has another tool put all licenses as it knows them. The index function gets each change, some twice.
func (s *simulation) synchronize() error {
	s.after(s.between(20*day, 90*day), s.synchronize)
	s.done.synchronizations++
	for _, p := range s.products {
		if err := s.putForeign(p.id); err != nil {
			return err
		}
	}
	return nil
}

func (s *simulation) putForeign(id string) error {
	ctx := context.Background()
	old, err := s.folder.Licenses.Record(ctx, id)
	if err != nil {
		return err
	}
	known := attribute.Map{license.AttrID: id}
	for _, name := range foreign {
		known[name] = old[name]
	}
	if err := s.folder.Licenses.PutRecord(ctx, known); err != nil || s.skipped.notPutBack {
		return err
	}
	s.changes++
	record := events.DynamoDBEventRecord{EventName: string(events.DynamoDBOperationTypeModify)}
	record.Change.SequenceNumber = strconv.Itoa(s.changes)
	record.Change.ApproximateCreationDateTime.Time = s.now
	record.Change.Keys = stream.Image{license.AttrID: events.NewStringAttribute(id)}
	oldImage, errOld := stream.ImageOf(old)
	newImage, errNew := stream.ImageOf(known)
	record.Change.OldImage, record.Change.NewImage = oldImage, newImage
	if err := errors.Join(errOld, errNew); err != nil {
		return err
	}
	indexer := indexing.Indexer{Records: s.folder.Licenses, Log: slog.New(slog.DiscardHandler)}
	for range 1 + s.random.IntN(2) {
		response, err := indexer.Handle(ctx, events.DynamoDBEvent{Records: []events.DynamoDBEventRecord{record}})
		if err != nil || len(response.BatchItemFailures) > 0 {
			return fmt.Errorf("the index function failed: %v, %w", response, err)
		}
	}
	return nil
}

// product is a copy of the software with a license. It holds a token until that expires.
type product struct {
	id   string
	keys []string // the license keys that its customer was given, and any of which may be used

	embeds  bool                 // it embeds keys, and knows no others
	keeps   time.Duration        // how long it keeps the published keys otherwise
	known   map[string]any       // public keys by kid
	fetched time.Time            // when they were asked for
	pinned  string               // the kid that its license is pinned to
	freedAt map[string]time.Time // when it was freed of a kid

	token   string
	expires time.Time
}

// sell issues a license to a customer.
func (s *simulation) sell(embeds bool) error {
	text, err := s.vendor("POST", "/licenses", "", `{"customername":"A customer","expirationdate":"2032-01-01"}`)
	if err != nil {
		return err
	}
	var issued struct{ LicenseID, LicenseKey string }
	if err := json.Unmarshal(text, &issued); err != nil {
		return err
	}
	p := &product{
		id:      issued.LicenseID,
		keys:    []string{issued.LicenseKey},
		embeds:  embeds,
		keeps:   s.between(time.Minute, productKeeps),
		known:   map[string]any{},
		freedAt: map[string]time.Time{},
	}
	s.products = append(s.products, p)
	if embeds {
		if err := s.embed(p); err != nil {
			return err
		}
		if err := s.pin(p, s.currentKid()); err != nil {
			return err
		}
	}
	s.after(s.between(0, time.Hour), func() error { return s.use(p) })
	s.after(s.between(day, 300*day), func() error { return s.lose(p) })
	return nil
}

// lose: a customer has lost the license key, and gets it again. The older one is found later.
func (s *simulation) lose(p *product) error {
	s.after(s.between(day, 300*day), func() error { return s.lose(p) })
	return s.giveAgain(p)
}

// giveAgain gives the customer the license key again, who uses it at once.
func (s *simulation) giveAgain(p *product) error {
	text, err := s.vendor("GET", "/licenses/{licenseid}/key", p.id, "")
	if err != nil {
		return err
	}
	var key struct{ LicenseKey string }
	if err := json.Unmarshal(text, &key); err != nil {
		return err
	}
	p.keys = append(p.keys, key.LicenseKey)
	return s.verify(p, key.LicenseKey)
}

// use: the product is started. It checks the token that it has, and asks for another one now and then.
func (s *simulation) use(p *product) error {
	s.after(s.between(time.Minute, 20*day), func() error { return s.use(p) })
	if err := s.check(p); err != nil {
		return err
	}
	if p.token != "" && s.now.Before(p.expires) && s.random.IntN(3) == 0 {
		return nil // it has no connection
	}
	return s.verify(p, p.keys[s.random.IntN(len(p.keys))])
}

// verify trades a license key for a token, which the product must be able to check.
func (s *simulation) verify(p *product, key string) error {
	s.done.verifications++
	response := s.call(s.verifiers, events.APIGatewayProxyRequest{
		HTTPMethod: "POST", Resource: "/verify-license", Body: fmt.Sprintf(`{"licensekey":%q}`, key),
	})
	if response.StatusCode != 200 {
		return &violation{fmt.Sprintf("a valid license is answered with %d %s", response.StatusCode, response.Body)}
	}
	var body struct{ Message string }
	if err := json.Unmarshal([]byte(response.Body), &body); err != nil {
		return err
	}
	p.token, p.expires = body.Message, s.now.Add(simLifetime)
	// The last moment of a token that is not replaced.
	s.after(simLifetime-time.Second, func() error { return s.check(p) })
	return s.check(p)
}

// check wants the token that the product holds to be valid for the keys that the product knows, and for one that starts
// with no key in memory.
func (s *simulation) check(p *product) error {
	if p.token == "" || !s.now.Before(p.expires) {
		return nil
	}
	if p.embeds {
		return verifyWith(p.token, p.known, "the embedded keys")
	}
	if s.now.Sub(p.fetched) >= p.keeps || len(p.known) == 0 {
		var err error
		if p.known, err = s.published(); err != nil {
			return err
		}
		p.fetched = s.now
	}
	if err := verifyWith(p.token, p.known, fmt.Sprintf("the keys of %v ago", s.now.Sub(p.fetched))); err != nil {
		return err
	}
	fresh, err := s.published()
	if err != nil {
		return err
	}
	return verifyWith(p.token, fresh, "the published keys")
}

// published asks an instance for the keys, by kid.
func (s *simulation) published() (map[string]any, error) {
	response := s.call(
		s.verifiers,
		events.APIGatewayProxyRequest{HTTPMethod: "GET", Resource: "/.well-known/jwks.json"},
	)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(response.Body), &set); err != nil || response.StatusCode != 200 {
		return nil, &violation{fmt.Sprintf("the key set is answered with %d %s", response.StatusCode, response.Body)}
	}
	keys := map[string]any{}
	for _, key := range set.Keys {
		keys[key.KeyID] = key.Key
	}
	return keys, nil
}

func verifyWith(text string, keys map[string]any, which string) error {
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return err
	}
	key, known := keys[parsed.Headers[0].KeyID]
	if !known {
		return &violation{"a token's kid is not among " + which}
	}
	var claims map[string]any
	if err := parsed.Claims(key, &claims); err != nil {
		return &violation{"a token's signature does not hold for " + which}
	}
	return nil
}

// embed: a release of the product embeds the key that signs now, beside those of earlier releases.
func (s *simulation) embed(p *product) error {
	kid := s.currentKid()
	response := s.call(s.verifiers, events.APIGatewayProxyRequest{
		HTTPMethod: "GET", Resource: "/public-key.pem", QueryStringParameters: map[string]string{"kid": kid},
	})
	block, _ := pem.Decode([]byte(response.Body))
	if response.StatusCode != 200 || block == nil {
		return &violation{fmt.Sprintf("the key %s is answered with %d %s", kid, response.StatusCode, response.Body)}
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || token.KeyID(key.(*rsa.PublicKey)) != kid {
		return &violation{"another key than the one that was asked for"}
	}
	p.known[kid] = key
	return nil
}

// pin pins the license, or frees it for an empty kid.
func (s *simulation) pin(p *product, kid string) error {
	s.done.pins++
	if p.pinned != "" {
		p.freedAt[p.pinned] = s.now
	}
	p.pinned = kid
	value, err := json.Marshal(kid)
	if err != nil {
		return err
	}
	_, err = s.vendor(
		"PATCH",
		"/licenses/{licenseid}",
		p.id,
		strings.Replace(fmt.Sprintf(`{"tokenkeyid":%s}`, value), `""`, "null", 1),
	)
	return err
}

func (s *simulation) currentKid() string {
	keys, err := s.succession.Store.Keys(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return keys[token.Current].KeyID
}

// The vendor replaces the token key, too eagerly: each step is tried again until it is not refused, and may be cut off.

func (s *simulation) prepare() error {
	return s.step(s.succession.Prepare, s.promote)
}

func (s *simulation) promote() error {
	if s.skipped.noLead {
		if err := s.promoteAtOnce(context.Background()); err != nil {
			return err
		}
		return s.promoted()
	}
	return s.step(func(ctx context.Context) error { return s.succession.Promote(ctx, simLead) }, s.promoted)
}

func (s *simulation) promoteAtOnce(ctx context.Context) error {
	store := s.succession.Store
	keys, err := store.Keys(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		store.Put(ctx, token.Previous, keys[token.Current]),
		store.Put(ctx, token.Current, keys[token.Next]),
		store.Clear(ctx, token.Next),
	)
}

// promoted: whoever embeds a key is updated in the next months.
func (s *simulation) promoted() error {
	s.done.promotions++
	for _, p := range s.products {
		if p.embeds && p.pinned != "" {
			s.after(s.between(time.Hour, 2*simLifetime), func() error { return s.update(p) })
		}
		if s.random.IntN(2) == 0 {
			continue // it goes on with the token that it has
		}
		for _, wait := range []time.Duration{0, time.Minute, 4 * time.Minute, 6 * time.Minute, time.Hour} {
			s.after(wait, func() error { return s.verify(p, p.keys[0]) })
		}
	}
	if s.skipped.previousRemoved {
		s.after(s.between(0, 30*day), s.prepare)
		return s.succession.Store.Clear(context.Background(), token.Previous)
	}
	return s.retire()
}

// update: the product is released anew, and its license is pinned to the key that it embeds now. Some are
// free for a moment in between.
func (s *simulation) update(p *product) error {
	if err := s.embed(p); err != nil {
		return err
	}
	if s.random.IntN(2) == 0 {
		return s.pin(p, s.currentKid())
	}
	if err := s.pin(p, ""); err != nil {
		return err
	}
	return s.pin(p, s.currentKid())
}

func (s *simulation) retire() error {
	return s.step(func(ctx context.Context) error {
		_, err := s.succession.Retire(ctx, simLifetime, s.pins)
		return err
	}, func() error {
		s.done.retirements++
		s.after(s.between(0, 30*day), s.prepare)
		return nil
	})
}

func (s *simulation) pins(_ context.Context, kid string, since time.Time) (ids []string, err error) {
	for _, p := range s.products {
		if (p.pinned == kid || p.freedAt[kid].After(since)) && !s.skipped.retiredPinned {
			ids = append(ids, p.id)
		}
	}
	return ids, nil
}

// step takes a step until it is done, and then goes on.
func (s *simulation) step(take func(context.Context) error, then func() error) error {
	var try func() error
	tried := false // cut off after it took effect, a step has nothing to do when it is taken again
	try = func() error {
		s.kms.CutAt = 0
		if s.random.IntN(3) == 0 {
			s.kms.CutAt, s.kms.Persists = s.kms.Calls+1+s.random.IntN(16), s.random.IntN(2) == 0
		}
		err := take(context.Background())
		s.kms.CutAt = 0
		var refused *token.RefusedError
		switch {
		case errors.Is(err, kmstest.ErrCut):
			s.done.cuts++
			tried = true
			s.after(s.between(time.Second, 2*time.Hour), try)
			return nil
		case errors.As(err, &refused) && tried && strings.HasPrefix(refused.Message, "there is no"):
		case errors.As(err, &refused):
			s.done.refusals++
			s.after(s.between(time.Hour, 2*day), try)
			return nil
		case err != nil:
			return err
		}
		return then()
	}
	return try()
}

// rotateSecret has Secrets Manager take the four steps, some of them twice. A rotation that is held up for too long
// changes nothing, and makes room for the next one.
func (s *simulation) rotateSecret() error {
	s.after(s.between(day, 120*day), s.rotateSecret)
	s.done.secretRotations++
	if s.skipped.secretReplaced {
		s.secrets.replace(token.Ring{Current: token.NewSecret(), Created: s.now})
		return nil
	}
	version := s.secrets.begin()
	rotator := rotation.Rotator{
		Versions: awskeys.NewRingVersions(s.secrets),
		Now:      s.clock,
		Log:      slog.New(slog.DiscardHandler),
	}
	step := func(name string) error {
		_, err := rotator.Handle(
			context.Background(),
			rotation.Event{Step: name, SecretID: simSecret, Version: version},
		)
		return err
	}
	isHeldUp := s.random.IntN(4) == 0
	wait := 12 * time.Minute // in which instances come to know the old secret at different times
	for _, name := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		for range 1 + s.random.IntN(2) {
			wait += s.between(time.Second, 15*time.Second)
			if isHeldUp {
				wait += s.between(time.Minute, 10*time.Minute)
			}
			s.after(wait, func() error {
				err := step(name)
				if err != nil && isHeldUp {
					_ = step("createSecret") // the next try
					return nil
				}
				return err
			})
		}
	}
	// A new key of a customer may be signed by either secret, and be used at once with an instance that knows one only.
	for after := -12 * time.Minute; after <= 16*time.Minute; after += time.Minute {
		s.after(wait+after+s.between(0, time.Minute), s.giveAgainToSome)
	}
	return nil
}

// giveAgainToSome: some customers get their license keys again, and use them at once.
func (s *simulation) giveAgainToSome() error {
	for range min(4, len(s.products)) {
		if err := s.giveAgain(s.products[s.random.IntN(len(s.products))]); err != nil {
			return err
		}
	}
	return nil
}

// secretsManager is a secret in Secrets Manager, as far as the adapters use it.
type secretsManager struct {
	values map[string]string   // by version
	stages map[string][]string // by version
}

func newSecretsManager(ring token.Ring) *secretsManager {
	m := &secretsManager{}
	m.replace(ring)
	return m
}

func (m *secretsManager) replace(ring token.Ring) {
	text, err := ring.Marshal()
	if err != nil {
		panic(err) // a ring always marshals
	}
	m.values, m.stages = map[string]string{"version-0": string(text)}, map[string][]string{"version-0": {"AWSCURRENT"}}
}

// begin makes the pending version without a value, as Secrets Manager does.
func (m *secretsManager) begin() (version string) {
	version = fmt.Sprintf("version-%d", len(m.stages))
	m.stages[version] = []string{"AWSPENDING"}
	return version
}

func (m *secretsManager) current() string {
	for version, stages := range m.stages {
		if slices.Contains(stages, "AWSCURRENT") {
			return version
		}
	}
	panic("no version is current")
}

func (m *secretsManager) GetSecretValue(
	_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options),
) (*secretsmanager.GetSecretValueOutput, error) {
	version := aws.ToString(in.VersionId)
	if version == "" {
		version = m.current()
	}
	value, present := m.values[version]
	if !present {
		return nil, &types.ResourceNotFoundException{}
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: &value}, nil
}

func (m *secretsManager) DescribeSecret(
	context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options),
) (*secretsmanager.DescribeSecretOutput, error) {
	return &secretsmanager.DescribeSecretOutput{VersionIdsToStages: m.stages}, nil
}

func (m *secretsManager) PutSecretValue(
	_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options),
) (*secretsmanager.PutSecretValueOutput, error) {
	m.values[*in.ClientRequestToken], m.stages[*in.ClientRequestToken] = *in.SecretString, in.VersionStages
	return &secretsmanager.PutSecretValueOutput{}, nil
}

func (m *secretsManager) UpdateSecretVersionStage(
	_ context.Context, in *secretsmanager.UpdateSecretVersionStageInput, _ ...func(*secretsmanager.Options),
) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	if *in.VersionStage == "AWSPENDING" && in.MoveToVersionId == nil {
		m.stages[*in.RemoveFromVersionId] = slices.DeleteFunc(
			m.stages[*in.RemoveFromVersionId],
			func(stage string) bool { return stage == "AWSPENDING" },
		)
		return &secretsmanager.UpdateSecretVersionStageOutput{}, nil
	}
	if *in.VersionStage != "AWSCURRENT" || m.current() != *in.RemoveFromVersionId {
		return nil, &types.InvalidParameterException{}
	}
	m.stages[*in.RemoveFromVersionId] = []string{"AWSPREVIOUS"}
	m.stages[*in.MoveToVersionId] = []string{"AWSCURRENT", "AWSPENDING"}
	return &secretsmanager.UpdateSecretVersionStageOutput{}, nil
}

// sharedSignatures is the table that all instances of the verify function share.
type sharedSignatures struct {
	license.Reader
	kept map[string]token.Signature
}

func (s *simulation) signatures(reader license.Reader) token.Signatures {
	return sharedSignatures{reader, s.keptSignatures}
}

func (s sharedSignatures) Get(ctx context.Context, id, _ string) (token.Kept, error) {
	l, err := s.Reader.Get(ctx, id)
	return token.Kept{License: l, Signature: s.kept[id]}, err
}

func (s sharedSignatures) Keep(_ context.Context, id, _ string, signature token.Signature, _ time.Time) error {
	s.kept[id] = token.Signature{SignedAt: signature.SignedAt, Bytes: signature.Bytes}
	return nil
}
