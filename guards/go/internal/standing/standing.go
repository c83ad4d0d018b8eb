// Package standing keeps what a guard may rely on now: the table in force, its lease,
// and the table that is to replace it.
//
// Nothing here does input or output: frames come in, and clocks are functions. A table
// answers until a better one of the same log is complete. When the log turns out to be
// another one, or to have a hole, the table in force is condemned: it keeps its denials,
// holds no lease, and any complete one replaces it.
package standing

import (
	"errors"
	"fmt"
	"sync"

	"rescind.dev/guard/internal/table"
)

const (
	second      int64 = 1_000_000_000
	millisecond       = second / 1000
)

// Standing is the replica in force and how long it may be used.
type Standing struct {
	mu       sync.RWMutex
	clock    func() int64
	Time     *SteadyClock
	lease    lease
	replica  *replica
	deadline int64
	sound    bool // the replica may be continued and may hold a lease
	caughtUp bool // this log was once applied up to its end
	served   bool // some log was
	gone     bool // the log of the replica is no more
	ended    bool // the guard took its leave
	kept     []*table.Table
	observe  func(*table.Fact, []int32)
	progress chan struct{} // closed when something was applied or proven
}

// New starts with an empty table and no lease.
func New(length int64, clock, wall func() int64) *Standing {
	return &Standing{
		clock: clock, Time: NewSteadyClock(wall, clock), lease: newLease(length), replica: newReplica(),
		sound: true, progress: make(chan struct{}),
	}
}

// Length of the lease in nanoseconds.
func (s *Standing) Length() int64 { return s.lease.length }

// begin is the replica that a connection without one is to feed.
func (s *Standing) begin(succeeds bool) *replica {
	if !succeeds && s.replica.complete() && s.sound {
		return s.replica
	}
	return s.replica.successor()
}

// meet condemns the replica in force when the server serves another log, also one that
// was condemned for a hole before: its log is gone now.
func (s *Standing) meet(genesis string) {
	if s.replica.complete() && !s.gone && genesis != s.replica.genesis {
		s.condemn(true)
	}
}

// condemn holds no lease until a new snapshot is complete. forget: what was caught up
// with is no longer the log.
func (s *Standing) condemn(forget bool) {
	s.sound = false
	s.gone = s.gone || (forget && s.replica.complete())
	s.lease.drop()
	s.caughtUp = s.caughtUp && !forget
	s.refresh()
}

// End allows nothing more: the guard takes its leave.
func (s *Standing) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.condemn(true)
}

// offer puts a replica in force if it is complete and not behind.
func (s *Standing) offer(r *replica) bool {
	if r == s.replica || !r.complete() {
		return false
	}
	behind := s.replica.complete() && r.position < s.replica.position
	if behind && s.sound {
		return false
	}
	if s.gone || behind {
		s.kept = append(s.kept[:len(s.kept):len(s.kept)], s.replica.table)
	}
	s.replica.observe = nil
	s.replica, s.sound, s.gone = r, true, false
	r.observe = s.observe
	if s.observe != nil {
		s.observe(nil, nil)
	}
	s.refresh()
	return true
}

// refresh folds what was applied and proven into the deadline.
func (s *Standing) refresh() {
	s.deadline = 0
	if s.sound && s.replica.genesis != "" {
		s.lease.of(s.replica.genesis)
	}
	if s.sound && s.replica.complete() && !s.ended {
		s.deadline = s.lease.deadline(s.replica.proven())
	}
	if s.clock() < s.deadline {
		s.caughtUp, s.served = true, true
	}
	close(s.progress)
	s.progress = make(chan struct{})
}

func (s *Standing) pong(r *replica, m message) error {
	genesis := m.text("genesis")
	seq, end, remaining := m.natural("seq"), m.natural("end"), m.natural("remaining_ms")
	told := int64(-1)
	if _, tells := m.fields["time_ms"]; tells {
		told = m.natural("time_ms")
	}
	if m.bad != nil {
		return m.bad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meet(genesis)
	switch {
	case r.genesis == "":
		return nil // the log behind this connection is not known yet
	case genesis != r.genesis:
		return fmt.Errorf("%w: %s became %s", ErrGenesis, r.genesis, genesis)
	case r.complete() && end < r.position:
		if r == s.replica {
			s.condemn(true)
		}
		return fmt.Errorf("%w: it ends at %d", ErrPastEnd, end)
	}
	if s.counts(r, end) {
		s.lease.of(genesis)
	} else {
		remaining = 0 // it is answered, and proves nothing
	}
	remaining = min(remaining, s.lease.length/millisecond+1) // no product of it overflows
	if s.lease.pong(seq, end, remaining*millisecond) && told >= 0 && told < 1<<43 {
		s.Time.Witness(told * millisecond)
	}
	s.refresh()
	return nil
}

// counts says whether a pong may prove something of the replica in force, or of one that
// is to be. Beside a sound replica a successor is fed from the same log. A pong of it that
// lies below is late, or the log lost its tail: only the replica's own connection can tell.
func (s *Standing) counts(r *replica, end int64) bool {
	if r == s.replica {
		return s.sound
	}
	return !s.sound || end >= s.replica.position
}

// fail draws the conclusion from a broken feed.
func (s *Standing) fail(r *replica, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r == s.replica && errors.Is(err, ErrGap) {
		s.condemn(false)
	}
}

// Applied is the place up to which the table in force says all that the log says.
func (s *Standing) Applied() (Token, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.sound || s.ended || s.replica.genesis == "" || s.replica.proven() < 0 {
		return Token{}, false
	}
	return Token{s.replica.genesis, s.replica.partition, s.replica.proven()}, true
}

// Covers says whether everything below a token's offset is applied.
func (s *Standing) Covers(token Token) bool {
	applied, there := s.Applied()
	return there && applied.Genesis == token.Genesis && applied.Partition == token.Partition &&
		token.Offset <= applied.Offset
}

// Holds says whether the lease runs.
func (s *Standing) Holds() bool { return s.clock() < s.Deadline() }

// Deadline is the end of the lease on the guard's clock, 0 without one.
func (s *Standing) Deadline() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.deadline
}

// Served says whether some log was once applied up to its end.
func (s *Standing) Served() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.served
}

// Progress is closed when something is applied or proven.
func (s *Standing) Progress() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.progress
}

// Observe has each fact told once it is merged into the table in force, with the nodes
// that it names, and nil when another table takes its place. The function must not wait,
// nor ask the standing.
func (s *Standing) Observe(told func(*table.Fact, []int32)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observe, s.replica.observe = told, told
}

// Answer is what the tables say, and how far that may be relied upon.
type Answer struct {
	table.Judgement
	Deadline int64
	CaughtUp bool
	Served   bool
}

// Judge asks the table in force, and where it allows those of logs that are gone: what
// one of them denies for a cause stays denied.
func (s *Standing) Judge(q *table.Question) Answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.judge(q)
}

// Examine judges, and tells what the verdict depends on before another fact is merged.
func (s *Standing) Examine(q *table.Question, depends func(table.Dependencies)) Answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	depends(s.replica.table.Watch(q))
	return s.judge(q)
}

func (s *Standing) judge(q *table.Question) Answer {
	judged := s.replica.table.Judge(q)
	earliest := *q
	earliest.Now = 0 // before anything expired: that has no cause, and may hide one that has
	for _, old := range s.kept {
		if judged.Caused {
			break
		}
		if earlier := old.Judge(&earliest); earlier.Caused {
			judged = earlier
		}
	}
	return Answer{judged, s.deadline, s.caughtUp, s.served}
}
