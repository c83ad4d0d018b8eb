package guard

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"rescind.dev/guard/internal/table"
)

const (
	turns = 16 // looks in a lease at most
	batch = 64 // sessions that are judged before the lease is looked at again
)

// ErrNotLive says that a guard was made without LiveSessions: closure would count on a
// promptness that streams do not have.
var ErrNotLive = errors.New("make the guard with LiveSessions: streams are watched")

// DeniedError is the cause of a context that a guard has cancelled.
type DeniedError struct{ Verdict Verdict }

func (e *DeniedError) Error() string { return "denied: " + string(e.Verdict.Reason) }

// session is one that is watched.
type session struct {
	question table.Question
	readable bool
	mode     Mode
	end      func(Verdict)
	depends  table.Dependencies
	suspect  bool
}

// sessions tell the application when a credential that it still serves dies. A fact costs
// one look-up; sessions that depend on its names are judged anew, 16 times in a lease at
// most.
type sessions struct {
	guard    *Guard
	length   int64
	wake     chan struct{}
	count    atomic.Int64
	ended    byReason
	observed byReason

	mu       sync.Mutex
	all      map[*session]struct{}
	byNode   map[int32]map[*session]struct{}
	byName   map[table.Identifier]map[*session]struct{}
	runs     bool
	deadline int64 // the latest lease that held
}

func newSessions(guard *Guard) *sessions {
	return &sessions{
		guard: guard, length: int64(guard.config.Lease), wake: make(chan struct{}, 1),
		all:    map[*session]struct{}{},
		byNode: map[int32]map[*session]struct{}{}, byName: map[table.Identifier]map[*session]struct{}{},
	}
}

// OnDeny has a running session ended when its credential dies: end is called once, at
// the latest one lease after the time from which Check would deny, also where it denies
// already. Without a lease that is one lease after the last one ended, and only where the
// route fails closed. It is never called for routes that observe. It must not wait.
//
// Call it after the Check that allowed the session, with the same arguments. The
// function that is returned must be called when the session is over.
func (g *Guard) OnDeny(presented Presented, options Options, end func(Verdict)) (func(), error) {
	mode, declared := g.judge.modes[options.Route]
	if !declared {
		mode = FailClosed
	}
	if mode == FailClosed && !g.config.LiveSessions {
		return nil, ErrNotLive
	}
	of := &session{mode: mode, end: end, suspect: true}
	of.question.Policy = g.judge.policy
	if options.Scope != "" {
		of.question.Scope = &options.Scope
	}
	of.readable = read(&presented, &of.question) == nil
	g.sessions.watch(of)
	return func() { g.sessions.strike(of) }, nil
}

// Watch derives a context that is cancelled when the credential dies, with a
// *DeniedError as its cause; see OnDeny. The function that is returned must be called.
func (g *Guard) Watch(
	ctx context.Context, presented Presented, options Options,
) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	over, err := g.OnDeny(presented, options, func(verdict Verdict) { cancel(&DeniedError{verdict}) })
	if err != nil {
		cancel(err)
		return nil, nil, err
	}
	return ctx, func() { over(); cancel(nil) }, nil
}

func (s *sessions) watch(of *session) {
	s.mindTheLease() // the new session has its lease, not that of the others
	s.mu.Lock()
	runs := s.runs
	if runs {
		s.all[of] = struct{}{}
		s.count.Store(int64(len(s.all)))
	}
	s.mu.Unlock()
	if !runs {
		s.finish(of, Verdict{Reason: NoLease, Mode: of.mode, Stale: true})
		return
	}
	s.poke()
}

func (s *sessions) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// strike forgets a session, and says whether it was there.
func (s *sessions) strike(of *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.all[of]
	s.forget(of)
	delete(s.all, of)
	s.count.Store(int64(len(s.all)))
	return there
}

func (s *sessions) forget(of *session) {
	for _, node := range of.depends.Nodes {
		if delete(s.byNode[node], of); len(s.byNode[node]) == 0 {
			delete(s.byNode, node)
		}
	}
	for _, name := range of.depends.Strangers {
		if delete(s.byName[name], of); len(s.byName[name]) == 0 {
			delete(s.byName, name)
		}
	}
	of.depends = table.Dependencies{Until: math.MaxInt64}
}

// applied notes what a fact may end; nil: another table is in force, with other numbers.
func (s *sessions) applied(fact *table.Fact, nodes []int32) {
	if s.count.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := false
	suspect := func(some map[*session]struct{}) {
		for of := range some {
			of.suspect, found = true, true
		}
	}
	if fact == nil || fact.ConcernsAll() {
		suspect(s.all)
	} else {
		for _, node := range nodes {
			suspect(s.byNode[node])
		}
		for _, name := range fact.Names() {
			suspect(s.byName[name])
		}
	}
	if found {
		s.poke()
	}
}

// run watches until the context is over, and ends what can be watched no more.
func (s *sessions) run(ctx context.Context) {
	s.guard.standing.Observe(s.applied)
	s.mu.Lock()
	s.runs = true
	s.mu.Unlock()
	for ctx.Err() == nil {
		s.sleep(ctx)
		s.mindTheLease()
		s.look()
		if s.count.Load() > 0 {
			pause(ctx, s.turn()) // what comes is one look
		}
	}
	s.guard.standing.Observe(nil)
	s.mu.Lock()
	s.runs = false
	s.mu.Unlock()
	s.endThose(FailClosed, FailOpen)
}

// sleep waits for something to look at, for ever while there is no session.
func (s *sessions) sleep(ctx context.Context) {
	if s.count.Load() == 0 {
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
		return
	}
	timer := time.NewTimer(s.turn())
	defer timer.Stop()
	select {
	case <-s.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// turn is the time to the next look: it is not later than what ends without a lease.
func (s *sessions) turn() time.Duration {
	s.mu.Lock()
	left := s.deadline + s.length - s.guard.judge.clock()
	s.mu.Unlock()
	if left <= 0 { // it has ended already
		left = s.length
	}
	return time.Duration(min(s.length/turns, left))
}

// mindTheLease judges by what held before: a process that was stopped for longer may
// hold a lease again, and has served without one.
func (s *sessions) mindTheLease() {
	now, deadline := s.guard.judge.clock(), s.guard.standing.Deadline()
	s.mu.Lock()
	lapsed := now >= s.deadline+s.length
	s.deadline = max(s.deadline, deadline)
	s.mu.Unlock()
	if lapsed {
		s.endThose(FailClosed)
	}
}

func (s *sessions) look() {
	now := s.guard.standing.Time.Now()
	var suspects []*session
	s.mu.Lock()
	for of := range s.all {
		if of.suspect || of.depends.Until <= now {
			of.suspect = false
			suspects = append(suspects, of)
		}
	}
	s.mu.Unlock()
	for i, of := range suspects {
		if i%batch == batch-1 {
			s.mindTheLease() // many take a while
		}
		s.examine(of, now)
	}
}

func (s *sessions) examine(of *session, now int64) {
	if !of.readable {
		s.over(of, Verdict{Reason: Unreadable, Mode: of.mode})
		return
	}
	of.question.Now = now
	answer := s.guard.standing.Examine(&of.question, func(on table.Dependencies) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, there := s.all[of]; there {
			s.forget(of)
			s.depend(of, on)
		}
	})
	if !answer.Allowed {
		s.over(of, Verdict{
			Reason: Reason(answer.Reason), Mode: of.mode,
			Path: plainPath(&answer.Judgement), Cause: plainCause(&answer.Judgement),
		})
	}
}

func (s *sessions) depend(of *session, on table.Dependencies) {
	of.depends = on
	for _, node := range on.Nodes {
		if s.byNode[node] == nil {
			s.byNode[node] = map[*session]struct{}{}
		}
		s.byNode[node][of] = struct{}{}
	}
	for _, name := range on.Strangers {
		if s.byName[name] == nil {
			s.byName[name] = map[*session]struct{}{}
		}
		s.byName[name][of] = struct{}{}
	}
}

func (s *sessions) endThose(modes ...Mode) {
	s.mu.Lock()
	var found []*session
	for of := range s.all {
		for _, mode := range modes {
			if of.mode == mode {
				found = append(found, of)
			}
		}
	}
	s.mu.Unlock()
	for _, of := range found {
		s.over(of, Verdict{Reason: NoLease, Mode: of.mode, Stale: true})
	}
}

// over ends a session once.
func (s *sessions) over(of *session, verdict Verdict) {
	if s.strike(of) {
		s.finish(of, verdict)
	}
}

// finish tells the application. One faulty function must not keep other sessions alive.
func (s *sessions) finish(of *session, verdict Verdict) {
	if of.mode == Observe {
		s.observed.add(verdict.Reason)
		return
	}
	s.ended.add(verdict.Reason)
	defer func() {
		if failure := recover(); failure != nil {
			s.guard.log.Error("a function of OnDeny failed", slog.Any("panic", failure))
		}
	}()
	of.end(verdict)
}
