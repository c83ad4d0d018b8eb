package standing

import (
	"fmt"
	"slices"

	"rescind.dev/guard/internal/table"
)

// Link is one connection over all its reconnects, and the replica that it feeds. One
// goroutine at a time uses it.
type Link struct {
	succeeds bool // it is to replace the replica in force, not to continue it
	replica  *replica
	coming   *comingTable
	plain    bool // it refused a table, and the same one would come again
}

// Links are the connections of a guard: one, and at times a second one that feeds a
// successor of the table in force.
type Links struct {
	*Standing
	links []*Link
}

// NewLinks starts with one link.
func NewLinks(of *Standing) (*Links, *Link) {
	first := &Link{replica: newReplica()}
	return &Links{Standing: of, links: []*Link{first}}, first
}

// Hello begins a connection: the fields of the first message that say where to start.
func (l *Links) Hello(link *Link) map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	link.coming, link.replica = nil, l.begin(link.succeeds)
	hello := map[string]any{"type": "hello", "genesis": nil, "position": nil}
	if link.replica.complete() && (link.replica != l.replica || l.sound) {
		hello["genesis"], hello["position"] = link.replica.genesis, link.replica.position
	}
	if !link.plain {
		hello["tables"] = table.Versions
	}
	return hello
}

// Ping returns the number of a ping that is sent now.
func (l *Links) Ping() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease.ping(l.clock())
}

// Position of the table that a link feeds; not any where it is not complete.
func (l *Links) Position(link *Link) (int64, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return link.replica.position, link.replica.complete()
}

// Message is what a frame holds for the guard itself.
type Message struct {
	Type   string
	Fields map[string]any
}

// Receive takes a text frame. After an error the connection has to end.
func (l *Links) Receive(link *Link, frame []byte) (Message, error) {
	m, err := readMessage(frame)
	if err == nil {
		err = l.take(link, m)
	}
	if err != nil {
		l.fail(link.replica, err)
		return Message{}, err
	}
	kind, _ := m.fields["type"].(string)
	return Message{kind, m.fields}, nil
}

func (l *Links) take(link *Link, m message) error {
	switch m.fields["type"] {
	case "pong":
		return l.pong(link.replica, m)
	case "delta":
		return link.replica.delta(m, &l.mu)
	case "snapshot":
		if err := l.renew(link, &m); err != nil {
			return err
		}
		return link.replica.snapshot(m, &l.mu)
	case "table":
		err := l.renew(link, &m)
		if err == nil {
			link.coming, err = readComing(m)
		}
		if err == nil && link.coming.missing == 0 {
			err = l.adopt(link)
		}
		link.plain = link.plain || err != nil
		return err
	}
	return nil // for guards newer than this one
}

// renew begins a new replica where the server sends one instead of deltas.
func (l *Links) renew(link *Link, m *message) error {
	genesis := m.text("genesis")
	if m.bad != nil {
		return m.bad
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.meet(genesis)
	if link.replica.complete() && link.replica == l.replica {
		l.condemn(false) // the server cannot continue from here
		link.replica = link.replica.successor()
	}
	return nil
}

// ReceiveBytes takes a binary frame, a part of a table. After an error the connection
// has to end.
func (l *Links) ReceiveBytes(link *Link, part []byte) error {
	err := fmt.Errorf("%w: bytes, and no table is on its way", ErrMalformed)
	if link.coming != nil {
		err = link.coming.take(part)
		if err == nil && link.coming.missing == 0 {
			err = l.adopt(link)
		}
	}
	if err != nil {
		link.plain = true
		l.fail(link.replica, err)
	}
	return err
}

func (l *Links) adopt(link *Link) error {
	coming := link.coming
	link.coming = nil
	of, err := coming.table()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return link.replica.adopt(coming.genesis, coming.partition, coming.offset, of, &l.mu)
}

// Settle puts in force what was applied. It gives the links that are superseded and must
// end, and one that must begin since the table has to be built anew; urgent, where
// nothing more is proven before that.
func (l *Links) Settle(link *Link) (superseded []*Link, begins *Link, urgent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.links, link) {
		return nil, nil, false // superseded: it handles the last frame that it had read
	}
	if l.offer(link.replica) {
		for _, other := range l.links {
			if other != link {
				superseded = append(superseded, other)
			}
		}
		l.links = []*Link{link}
		link.succeeds, link.plain = false, false
	} else {
		l.refresh()
	}
	if link.replica == l.replica && l.replica.table.NeedsRebuild() && len(l.links) == 1 {
		begins = &Link{succeeds: true, replica: newReplica()}
		l.links = append(l.links, begins)
	}
	return superseded, begins, l.replica.corrected >= 0
}

// Stands says whether a link was not superseded.
func (l *Links) Stands(link *Link) bool { return slices.Contains(l.All(), link) }

// All are the links that stand, the oldest first.
func (l *Links) All() []*Link {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.links)
}
