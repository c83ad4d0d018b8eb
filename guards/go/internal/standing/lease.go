package standing

// lease is the pings under way and the proofs that came back.
//
// A pong says how much of the log existed when the server answered. The answer was given
// after the ping was sent, so the time of sending is the only moment on this guard's
// clock of which it proves anything. Times are nanoseconds of that clock.
type lease struct {
	length int64
	seq    int64
	pings  map[int64]int64 // by number: when it was sent
	proofs map[int64]int64 // by end of the log: until when
	log    string          // of the proofs
}

func newLease(length int64) lease {
	return lease{length: length, pings: map[int64]int64{}, proofs: map[int64]int64{}}
}

// ping returns the number of a ping that is sent now.
func (l *lease) ping(now int64) int64 {
	l.seq++
	for seq, at := range l.pings {
		if at <= now-l.length { // it can prove nothing any more
			delete(l.pings, seq)
		}
	}
	for end, until := range l.proofs {
		if until <= now {
			delete(l.proofs, end)
		}
	}
	l.pings[l.seq] = now
	return l.seq
}

// pong takes the answer to a ping, and says whether it proves anything.
func (l *lease) pong(seq, end, remaining int64) bool {
	at, known := l.pings[seq]
	delete(l.pings, seq)
	if !known || remaining <= 0 {
		return false
	}
	l.proofs[end] = max(l.proofs[end], at+min(l.length, remaining))
	return true
}

// deadline is the end of the lease, 0 without a proof, where everything below a
// position is applied.
func (l *lease) deadline(position int64) int64 {
	latest := int64(0)
	for end, until := range l.proofs {
		if end <= position {
			latest = max(latest, until)
		}
	}
	return latest
}

// of forgets the proofs of any other log: offsets of two have nothing in common.
func (l *lease) of(log string) {
	if log != l.log {
		clear(l.proofs)
		l.log = log
	}
}

func (l *lease) drop() {
	clear(l.pings)
	clear(l.proofs)
}
