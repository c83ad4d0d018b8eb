package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"rescind.dev/guard/internal/standing"
)

const (
	silence       = 5 * time.Second        // a connection without a frame for so long is dead
	goodbye       = 500 * time.Millisecond // that a goodbye may take
	perLease      = 10                     // receipts of one lease at most
	rebuildSpread = 10 * time.Second       // all guards meet a correction at the same moment
	looks         = 2                      // in the time between two pings
	missed        = 2                      // pings in a row that bring nothing
)

var errSilent = errors.New("silent, and another connection is answered")

// feed keeps a table equal to the server's log over WebSockets. Whatever goes wrong ends
// a connection, and another one begins. Nothing here decides what is allowed: without
// pongs the lease runs out by itself.
type feed struct {
	links     *standing.Links
	first     *standing.Link
	dialer    dialer
	name      string
	receipts  *receipts
	allows    func(string) bool
	interval  time.Duration // between two pings
	lease     time.Duration
	running   sync.WaitGroup
	mu        sync.Mutex
	cancels   map[*standing.Link]context.CancelFunc
	lastError error
}

func (f *feed) why() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastError
}

func (f *feed) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastError = err
}

// run feeds the standing until the context is over, and then takes its leave once what
// is watched has ended: a goodbye says that this guard serves nothing more.
func (f *feed) run(ctx context.Context, watched <-chan struct{}) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	f.begin(own, f.first, 0)
	<-ctx.Done()
	f.links.End()
	<-watched
	cancel()
	f.running.Wait()
}

func (f *feed) begin(ctx context.Context, link *standing.Link, after time.Duration) {
	of, cancel := context.WithCancel(ctx)
	f.mu.Lock()
	f.cancels[link] = cancel
	f.mu.Unlock()
	f.running.Go(func() {
		defer cancel()
		f.keep(ctx, of, link, after)
	})
}

// keep holds connections of a link until it is superseded or the guard ends.
func (f *feed) keep(whole, ctx context.Context, link *standing.Link, after time.Duration) {
	var attempts reconnect
	pause(ctx, after)
	var found *websocket.Conn
	for ctx.Err() == nil {
		conn := found
		if conn == nil {
			var err error
			if conn, err = f.dialer.reach(ctx); err != nil {
				f.note(err)
				pause(ctx, attempts.pause())
				continue
			}
		}
		talk := conversation{feed: f, link: link, conn: conn, attempts: &attempts}
		err := talk.hold(whole, ctx)
		found = talk.found
		if ctx.Err() != nil {
			break
		}
		f.note(err)
		attempts.ended(websocket.CloseStatus(err))
		if found == nil {
			pause(ctx, attempts.pause())
		}
	}
	if found != nil {
		found.CloseNow()
	}
}

func pause(ctx context.Context, length time.Duration) {
	if length <= 0 {
		return
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// conversation is one connection.
type conversation struct {
	*feed
	link     *standing.Link
	conn     *websocket.Conn
	attempts *reconnect
	waits    atomic.Bool  // a frame is waited for; nothing else holds the reader
	spoke    atomic.Bool  // a frame came
	looks    atomic.Int32 // since the last frame
	found    *websocket.Conn
}

// hold speaks until the connection ends, and gives the reason. whole is over when the
// guard ends, ctx also when the link is superseded.
func (c *conversation) hold(whole, ctx context.Context) error {
	hello := c.links.Hello(c.link)
	// The receipt is taken before anything else, so before the first pong.
	hello["guard"], hello["receipt"] = c.name, c.receipts.registered()
	if err := c.send(hello); err != nil {
		c.conn.CloseNow()
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var speaking sync.WaitGroup
	for _, speak := range []func(context.Context) error{c.ping, c.watch, c.report} {
		speaking.Go(func() {
			if err := speak(ctx); err != nil {
				cancel(err)
			}
		})
	}
	parted := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(parted)
		c.part(whole)
	})
	err := c.listen(whole)
	cancel(err)
	speaking.Wait()
	<-parted
	return context.Cause(ctx)
}

// part ends the connection; a guard that ends says that it allows nothing more.
func (c *conversation) part(whole context.Context) {
	if whole.Err() == nil || !c.links.Stands(c.link) {
		c.conn.CloseNow()
		return
	}
	c.links.End()
	if c.send(map[string]any{"type": "goodbye", "receipt": c.receipts.goodbye()}) == nil {
		late := time.AfterFunc(goodbye, func() { c.conn.CloseNow() })
		defer late.Stop()
		c.conn.Close(websocket.StatusNormalClosure, "")
	}
	c.conn.CloseNow()
}

func (c *conversation) send(message map[string]any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	length := silence
	if message["type"] == "goodbye" {
		length = goodbye
	}
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	return c.conn.Write(ctx, websocket.MessageText, text)
}

// listen takes frames until the connection ends.
func (c *conversation) listen(ctx context.Context) error {
	for {
		c.waits.Store(true)
		kind, frame, err := c.read()
		if err != nil {
			return err
		}
		c.waits.Store(false)
		c.spoke.Store(true)
		c.looks.Store(0)
		if kind == websocket.MessageBinary {
			err = c.links.ReceiveBytes(c.link, frame)
		} else {
			err = c.take(frame)
		}
		if err != nil {
			return err
		}
		c.settle(ctx)
	}
}

func (c *conversation) read() (websocket.MessageType, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), silence)
	defer cancel()
	kind, frame, err := c.conn.Read(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("nothing heard for %s: %w", silence, err)
	}
	return kind, frame, err
}

func (c *conversation) take(frame []byte) error {
	message, err := c.links.Receive(c.link, frame)
	if err == nil && message.Type == "probe" {
		return c.probed(message.Fields)
	}
	return err
}

// probed says which of some revoked identifiers the guard allows, as of a position.
func (c *conversation) probed(probe map[string]any) error {
	names, ok := probe["identifiers"].([]any)
	applied, there := c.links.Applied()
	if !ok || !there {
		return nil
	}
	allowed := []string{}
	for _, one := range names {
		if name, ok := one.(string); ok && c.allows(name) {
			allowed = append(allowed, name)
		}
	}
	return c.send(map[string]any{
		"type": "probed", "probe": probe["probe"], "genesis": applied.Genesis,
		"applied": applied.Offset, "allowed": allowed,
	})
}

// settle puts what was applied in force, and sees to a successor where one is due.
func (c *conversation) settle(ctx context.Context) {
	superseded, begins, urgent := c.links.Settle(c.link)
	c.feed.mu.Lock()
	for _, link := range superseded {
		c.cancels[link]()
		delete(c.cancels, link)
	}
	c.feed.mu.Unlock()
	if c.links.Holds() {
		c.attempts.proved()
		c.note(nil) // an error of before explains nothing any more
	}
	if begins != nil {
		spread := rebuildSpread
		if urgent {
			spread = 0
		}
		c.begin(ctx, begins, jitter(spread))
	}
}

func (c *conversation) ping(ctx context.Context) error {
	for ctx.Err() == nil {
		message := map[string]any{
			"type": "ping", "seq": c.links.Ping(), "time_ms": time.Now().UnixMilli(), "position": nil,
		}
		if position, complete := c.links.Position(c.link); complete {
			message["position"] = position
		}
		if err := c.send(message); err != nil {
			return err
		}
		pause(ctx, c.interval)
	}
	return nil
}

// watch looks whether the connection fell silent, and makes another beside it. Looks are
// counted in place of time: a process that was stopped has frames that it did not read.
// None counts before the first frame, since a server may take a while to make a table.
func (c *conversation) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		pause(ctx, c.interval/looks)
		if !c.waits.Load() || !c.spoke.Load() {
			c.looks.Store(0)
			continue
		}
		if c.looks.Add(1) <= looks*missed {
			continue
		}
		pause(ctx, jitter(c.interval)) // where a server hangs, all its guards find it silent at once
		conn, err := c.dialer.reach(ctx)
		if err != nil {
			c.looks.Store(0) // as many again before the next attempt
			continue
		}
		if c.looks.Load() > 0 {
			c.found = conn
			return errSilent
		}
		conn.CloseNow()
	}
	return nil
}

// report says what is applied when that moved, and at least once in a lease.
func (c *conversation) report(ctx context.Context) error {
	for ctx.Err() == nil {
		progress := c.links.Progress()
		applied, there := c.links.Applied()
		if there {
			receipt := map[string]any{"type": "receipt", "receipt": c.receipts.applied(applied)}
			if err := c.send(receipt); err != nil {
				return err
			}
			pause(ctx, c.lease/perLease)
		}
		c.await(ctx, progress, applied)
	}
	return nil
}

// await waits for half a lease at most until something else is applied.
func (c *conversation) await(ctx context.Context, progress <-chan struct{}, before standing.Token) {
	timer := time.NewTimer(c.lease / 2)
	defer timer.Stop()
	for {
		if applied, _ := c.links.Applied(); applied != before {
			return
		}
		select {
		case <-progress:
			progress = c.links.Progress()
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
