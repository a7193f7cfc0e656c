package licensing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Client has one license key, and keeps its state up to date until it is closed. Its methods may be called at once by
// several goroutines.
type Client struct {
	service    service
	store      Store
	log        *slog.Logger
	deviceName string
	now        func() time.Time
	random     func() float64 // from 0 to 1

	turn chan struct{} // held by whoever asks the service or writes to the store
	wake chan struct{} // tells run that the next attempt is at another time

	mu      sync.Mutex
	rules   rules
	known   knowledge
	stored  time.Time // the mark as it was last saved
	shown   State     // the last one that changes got
	closed  bool
	ended   bool // changes is closed
	changes chan State

	background context.Context // ends with Close
	stop       context.CancelFunc
	done       chan struct{} // closed when run has ended
}

// environment is what tests put another one in place of.
type environment struct {
	now    func() time.Time
	random func() float64
}

// Open returns a client with the state that the store holds. It fails for the configuration only, never for the
// network. Where the store holds no token that can be used, the service is asked first, for as long as ctx lasts. The
// client goes on when ctx has ended.
func Open(ctx context.Context, c Config) (*Client, error) {
	return open(ctx, c, environment{time.Now, rand.Float64})
}

func open(ctx context.Context, c Config, e environment) (*Client, error) {
	r, base, err := c.rules()
	if err != nil {
		return nil, fmt.Errorf("licensing: %w", err)
	}
	client := &Client{
		service: newService(base, c.HTTP), store: c.Store, log: c.Log, deviceName: c.DeviceName,
		// Without the monotonic clock, which stands still while the computer sleeps.
		now: func() time.Time { return e.now().UTC().Round(0) }, random: e.random,
		turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), changes: make(chan State, 1),
		rules: r, done: make(chan struct{}),
	}
	if client.log == nil {
		client.log = slog.New(slog.DiscardHandler)
	}
	client.background, client.stop = context.WithCancel(context.Background())
	client.start()
	if s := client.State(); !s.Status.Usable() && !s.RetryAt.IsZero() {
		client.Refresh(ctx)
	}
	go client.run()
	return client, nil
}

// start knows what the store holds.
func (c *Client) start() {
	mark, err := c.store.Load(clockDocument)
	if err != nil {
		c.log.Warn("the stored clock mark cannot be read", "error", err)
	}
	stored := c.load()
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored = readMark(mark)
	c.known = c.rules.started(stored, c.stored, now, c.random())
	c.shown = c.rules.state(c.known, now)
}

// load returns the stored record, and an empty one where there is none that can be read.
func (c *Client) load() record {
	document, err := c.store.Load(licenseDocument)
	if err != nil || document == nil {
		if err != nil {
			c.log.Warn("the stored license cannot be read", "error", err)
		}
		return record{}
	}
	stored, err := readStored(document)
	if err != nil {
		c.log.Warn("the service is asked anew", "error", err)
	}
	return stored
}

// State returns what is known now. It neither reads nor writes anything.
func (c *Client) State() State {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = c.rules.seen(c.known, now)
	return c.rules.state(c.known, now)
}

// Check returns nil while the product may run. Otherwise the error is a *Refusal, or one that wraps ErrUnlicensed,
// ErrOffline or ErrClock. Like State it neither reads nor writes anything.
func (c *Client) Check() error { return check(c.State()) }

// Changes returns the channel of new states, which Close closes. It holds the latest one only: whoever reads slowly
// misses what is past, and holds up nobody. All callers get the same channel.
func (c *Client) Changes() <-chan State { return c.changes }

// Refresh asks the service now, whatever pause is running, and returns the state after that.
func (c *Client) Refresh(ctx context.Context) State {
	if c.take(ctx) == nil {
		c.ask(ctx)
		c.give()
	}
	return c.State()
}

// SetKey goes by another license key from now on, asks for it, and returns the state after that. An empty key asks
// nobody. What is stored stays until there is an answer. With the key that it has, SetKey is Refresh.
func (c *Client) SetKey(ctx context.Context, key string) State {
	if isSame := cleanKey(key) == c.currentRules().key; isSame {
		return c.Refresh(ctx)
	}
	stored := c.load()
	now := c.now()
	c.mu.Lock()
	before := c.known
	c.rules = c.rules.withKey(key)
	c.known = c.rules.started(stored, before.mark, now, c.random())
	if c.known.Keys == nil {
		c.known.Keys = before.Keys // they are the service's, not the license's
	}
	asks := c.rules.key != ""
	c.mu.Unlock()
	c.publish()
	if !asks {
		return c.State()
	}
	return c.Refresh(ctx)
}

// Close ends the client and all of its goroutines. The state can be asked for after that, and the service cannot.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		<-c.done
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	c.stop()
	<-c.done
	c.turn <- struct{}{} // waits for whoever asks, and is never given back
	err := c.saveMark(0)
	c.mu.Lock()
	close(c.changes)
	c.ended = true
	c.mu.Unlock()
	c.service.close()
	return err
}

var errClosed = errors.New("the client is closed")

// take waits for the turn. Whoever has it must give it back.
func (c *Client) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return errClosed
	}
	if c.background.Err() != nil {
		<-c.turn
		return errClosed
	}
	return nil
}

func (c *Client) give() {
	<-c.turn
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// lookAround is how often the store is read for what other processes were told, and the clock is looked at. Timers
// stand still while a computer sleeps, so no wait is longer.
const lookAround = 15 * time.Minute

// run asks when it is time to, and tells of states that change by time alone.
func (c *Client) run() {
	defer close(c.done)
	for {
		timer := time.NewTimer(c.pause())
		select {
		case <-c.background.Done():
			timer.Stop()
			return
		case <-c.wake:
			timer.Stop()
		case <-timer.C:
			c.tick(c.background)
		}
	}
}

// pause returns how long nothing changes by itself.
func (c *Client) pause() time.Duration {
	s, now := c.State(), c.now()
	pause := lookAround
	for _, at := range []time.Time{s.RetryAt, s.UsableUntil, s.License.Expires} {
		if at.After(now) {
			pause = min(pause, at.Sub(now))
		}
	}
	if !s.RetryAt.IsZero() && !s.RetryAt.After(now) {
		pause = 0
	}
	return pause
}

// tick asks when it is time to, unless another process of the product has.
func (c *Client) tick(ctx context.Context) {
	if c.take(ctx) != nil {
		return
	}
	defer c.give()
	stored := c.load()
	if isNewer := c.adopt(stored); !isNewer && c.isMissingFrom(stored) {
		c.save(c.currentRules())
	}
	if due := c.State().RetryAt; !due.IsZero() && !due.After(c.now()) {
		c.ask(ctx)
	}
	c.publish()
	if err := c.saveMark(time.Hour); err != nil {
		c.log.Warn("the clock mark cannot be saved", "error", err)
	}
}

// adopt takes over what another process was told, if that is newer and of use, and reports whether it was newer: then
// it stays stored.
func (c *Client) adopt(stored record) bool {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !stored.isNewer(c.known.record, now) {
		return false
	}
	c.known = c.rules.adopted(c.known, stored, now, c.random())
	return true
}

// isMissingFrom reports whether the store lacks what is known: a save has failed, or an older answer of another process
// came after it.
func (c *Client) isMissingFrom(stored record) bool {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if stored.Key == "" { // there is nothing
		stored.Key = c.known.Key
	}
	return c.known.record.isNewer(stored, now)
}

// ask asks the service and saves what it says. The caller has the turn.
func (c *Client) ask(ctx context.Context) {
	defer c.publish()
	c.mu.Lock()
	r := c.rules
	c.mu.Unlock()
	if r.key == "" {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.background, cancel)()
	asked := c.now()
	got, err := c.service.post(ctx, "/verify-license", question{
		LicenseKey: r.key, Fingerprint: r.fingerprint, DeviceName: c.deviceName,
	})
	a := answer{err: err}
	if err == nil {
		a = readAnswer(got.status, got.header, got.body, c.now())
	}
	err = c.settle(r, a, asked)
	if errors.Is(err, errNeedsKeys) {
		if err = c.fetchKeys(ctx, r); err != nil {
			a = answer{err: fmt.Errorf("the public keys: %w", err), retryAfter: a.retryAfter}
		}
		err = c.settle(r, a, asked)
	}
	if err != nil {
		c.log.Warn("the license service gave no answer", "error", err)
		return
	}
	c.save(r)
}

// settle knows an answer, unless there is another license key meanwhile. It returns why the answer is none.
func (c *Client) settle(asker rules, a answer, asked time.Time) error {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.background.Err() != nil {
		return errClosed
	}
	if asker.key != c.rules.key {
		return errOtherKey
	}
	known, err := c.rules.answered(c.known, a, asked, now, c.random())
	if err != nil {
		return err
	}
	c.known = known
	return known.err
}

var errOtherKey = errors.New("there is another license key meanwhile")

func (c *Client) fetchKeys(ctx context.Context, asker rules) error {
	set, errFetch := c.service.keySet(ctx)
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if asker.key != c.rules.key {
		return errOtherKey
	}
	known, err := c.rules.keysFetched(c.known, set, now)
	c.known = known
	if errFetch != nil {
		return errFetch
	}
	return err
}

// save stores what is known, unless another process has stored what is newer: that is known then, if it is of use. A
// crash before the rename leaves the older state, with which the service is asked again. What cannot be stored is tried
// again at the next tick. Until then a definite no holds for this process only.
func (c *Client) save(asker rules) {
	if c.adopt(c.load()) {
		return
	}
	c.mu.Lock()
	document, isOther := c.known.record.write(), asker.key != c.rules.key
	c.mu.Unlock()
	if isOther {
		return
	}
	if err := errors.Join(c.store.Save(licenseDocument, document), c.saveMark(0)); err != nil {
		c.log.Error("the license cannot be stored: a restart without network will not know of it", "error", err)
	}
}

// saveMark stores the latest time that was seen, if it has moved by so much, or was set back.
func (c *Client) saveMark(by time.Duration) error {
	c.mu.Lock()
	mark, moved := c.known.mark, c.known.mark.Sub(c.stored)
	c.mu.Unlock()
	if moved == 0 || moved > 0 && moved < by {
		return nil
	}
	err := c.store.Save(clockDocument, writeSummed(clockMark{mark}))
	if err == nil {
		c.mu.Lock()
		c.stored = mark
		c.mu.Unlock()
	}
	return err
}

// publish tells of a state that is another one than the last.
func (c *Client) publish() {
	s := c.State()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !differs(s, c.shown) {
		return
	}
	c.shown = s
	select {
	case <-c.changes: // nobody has read the last one
	default:
	}
	c.changes <- s // only publish sends, and has made room
}

func differs(a, b State) bool {
	return a.Status != b.Status || a.Reason != b.Reason || !a.CheckedAt.Equal(b.CheckedAt) ||
		!a.UsableUntil.Equal(b.UsableUntil) || (a.Err == nil) != (b.Err == nil)
}
