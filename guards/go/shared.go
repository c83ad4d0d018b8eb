package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"rescind.dev/guard/internal/shared"
	"rescind.dev/guard/internal/standing"
	"rescind.dev/guard/internal/table"
)

const sharedLook = 5 * time.Millisecond // between two looks of those who wait

// SharedConfig of a guard that reads the table of its host's agent.
type SharedConfig struct {
	// Path is where `rescind-guard agent` puts the table.
	Path string
	// Mode is FailClosed unless it is set. FailOpen needs an agent that says so, since a
	// closure counts by it.
	Mode Mode
	// Routes are those with a mode of their own, by name.
	Routes map[string]Mode
	// Unknown says by kind what to do with credentials that no fact makes known; see Config.
	Unknown map[string]UnknownPolicy
}

// SharedGuard answers from the table that an agent keeps for all processes of a host. It
// has no connection, no copy of the table and nothing to run.
type SharedGuard struct {
	judge *judge
	path  string
	opens bool // some route fails open
	table atomic.Pointer[shared.Table]

	mu      sync.Mutex // of those who look for another file
	trouble error
}

// NewShared looks for the table; one that is not there yet is looked for again.
func NewShared(config SharedConfig) (*SharedGuard, error) {
	if config.Path == "" {
		return nil, errors.New("a shared guard needs the path of its table")
	}
	return newShared(config, boottime)
}

func newShared(config SharedConfig, clock func() int64) (*SharedGuard, error) {
	modes, err := modesOf(config.Mode, config.Routes)
	if err != nil {
		return nil, err
	}
	judge, err := newJudge(nil, clock, modes, unknownOf(config.Unknown))
	if err != nil {
		return nil, err
	}
	g := &SharedGuard{judge: judge, path: config.Path}
	for _, mode := range modes {
		g.opens = g.opens || mode == FailOpen
	}
	g.open()
	return g, nil
}

// Check judges a credential now; see Guard.Check.
func (g *SharedGuard) Check(presented Presented, options Options) Verdict {
	mode := g.judge.mode(options.Route)
	question, names := table.Question{Policy: g.judge.policy}, [4]table.Identifier{}
	question.Presented.Identifiers = names[:0]
	if options.Scope != "" {
		question.Scope = &options.Scope
	}
	t, seen := g.seen() // the lease before the table
	defer runtime.KeepAlive(t)
	answer := standing.Answer{Deadline: seen.Deadline, CaughtUp: seen.CaughtUp, Served: seen.Served}
	if read(&presented, &question) != nil {
		return g.judge.answer(mode, &answer, false, Unreadable)
	}
	answer.Judgement = table.Judgement{Allowed: true, Reason: table.Lives}
	if t != nil {
		question.Now = g.judge.clock() + t.Clock()
		if !t.Clear(&question) {
			judged, had := t.Judge(&question)
			if !had {
				answer = standing.Answer{Judgement: answer.Judgement, Served: seen.Served}
			} else {
				answer.Judgement = judged
			}
		}
	}
	covered := options.AtLeast == "" || covers(t, &seen, options.AtLeast)
	return g.judge.conclude(mode, &answer, covered)
}

func covers(t *shared.Table, seen *shared.Seen, token string) bool {
	wanted, err := standing.ParseToken(token)
	return err == nil && t != nil && wanted.Genesis == t.Genesis && wanted.Partition == t.Partition &&
		wanted.Offset <= seen.Applied
}

// Ready waits until the table has a lease. The error says why it has none.
func (g *SharedGuard) Ready(ctx context.Context) error {
	err := g.wait(ctx, func(_ *shared.Table, seen *shared.Seen) bool {
		return g.judge.clock() < seen.Deadline
	})
	if err == nil {
		return nil
	}
	if why := g.Trouble(); why != nil {
		return fmt.Errorf("the guard has no lease: %w", why)
	}
	return fmt.Errorf("the guard has no lease: the agent proves nothing: %w", err)
}

// WaitFor waits until what a consistency token names is applied.
func (g *SharedGuard) WaitFor(ctx context.Context, token string) error {
	if _, err := standing.ParseToken(token); err != nil {
		return err
	}
	return g.wait(ctx, func(t *shared.Table, seen *shared.Seen) bool { return covers(t, seen, token) })
}

func (g *SharedGuard) wait(ctx context.Context, met func(*shared.Table, *shared.Seen) bool) error {
	for {
		if t, seen := g.seen(); met(t, &seen) {
			return nil
		}
		select {
		case <-time.After(sharedLook):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Trouble is why there is no table, nil where there is one.
func (g *SharedGuard) Trouble() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trouble
}

// Counters of the checks so far, of this process.
func (g *SharedGuard) Counters() *Counters { return &g.judge.counters }

// seen gives the table, and what it said of itself before it is asked.
func (g *SharedGuard) seen() (*shared.Table, shared.Seen) {
	t := g.table.Load()
	if t == nil || g.judge.clock() >= t.Deadline() {
		g.open()
		t = g.table.Load()
	}
	if t == nil {
		return nil, shared.Seen{Applied: -1}
	}
	seen := t.See()
	if seen.Deadline > g.judge.clock()+t.Lease {
		seen.Deadline = 0 // of another clock
	}
	return t, seen
}

// open maps the file that stands there now, if it is another one.
func (g *SharedGuard) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trouble = g.take()
}

func (g *SharedGuard) take() error {
	at, err := shared.At(g.path)
	if err != nil {
		return err
	}
	if t := g.table.Load(); t != nil && t.Inode == at {
		return nil
	}
	t, err := shared.Open(g.path)
	if err != nil {
		return err
	}
	if err := t.RequireHost(); err != nil {
		return err
	}
	if g.opens && t.Mode == string(FailClosed) {
		return errors.New("the agent of this table says that all readers fail closed")
	}
	g.table.Store(t)
	return nil
}
