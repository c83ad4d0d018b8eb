package guard

import (
	"sync"
	"sync/atomic"
)

// Counters is what a guard did since its start.
type Counters struct {
	allowed, stale   atomic.Int64
	denied, observed byReason
}

// byReason counts by reason. Reasons are few, and nearly every one is there already.
type byReason struct{ counts sync.Map }

func (b *byReason) add(reason Reason) {
	count, there := b.counts.Load(reason)
	if !there {
		count, _ = b.counts.LoadOrStore(reason, new(atomic.Int64))
	}
	count.(*atomic.Int64).Add(1)
}

func (b *byReason) read() map[Reason]int64 {
	read := map[Reason]int64{}
	b.counts.Range(func(reason, count any) bool {
		read[reason.(Reason)] = count.(*atomic.Int64).Load()
		return true
	})
	return read
}

func (c *Counters) count(verdict *Verdict) {
	if verdict.Stale {
		c.stale.Add(1)
	}
	switch {
	case verdict.Observed:
		c.observed.add(verdict.Reason)
	case verdict.Allowed:
		c.allowed.Add(1)
	default:
		c.denied.add(verdict.Reason)
	}
}

// Allowed counts checks that allowed, observed ones apart.
func (c *Counters) Allowed() int64 { return c.allowed.Load() }

// Denied counts checks that denied, by reason.
func (c *Counters) Denied() map[Reason]int64 { return c.denied.read() }

// Observed counts checks of observing routes that would have denied, by reason.
func (c *Counters) Observed() map[Reason]int64 { return c.observed.read() }

// Stale counts checks answered without a lease, whatever the answer.
func (c *Counters) Stale() int64 { return c.stale.Load() }
