package standing

import "sync"

const clocksDiffer = 2 * second // by more than that, one of them is wrong

// SteadyClock is the time by which expiry is judged (nanoseconds since 1970). It does
// not go back when somebody sets the wall clock.
//
// Three times are weighed: the wall clock; the carried time, which is the wall clock at
// the start and the running time since then; and the witness, which is what the server
// told last, carried on likewise. Where the witness agrees with one of the others, these
// two count. Otherwise the latest counts.
type SteadyClock struct {
	wall, running func() int64
	mu            sync.Mutex
	began         int64 // the carried time when running was 0
	told          *int64
	latest        int64
}

// NewSteadyClock begins with the wall clock as it is.
func NewSteadyClock(wall, running func() int64) *SteadyClock {
	now := wall()
	return &SteadyClock{wall: wall, running: running, began: now - running(), latest: now}
}

func near(a, b int64) bool { return max(a-b, b-a) <= clocksDiffer }

// Witness takes in what a server tells now.
func (s *SteadyClock) Witness(time int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wall, running := s.wall(), s.running()
	told := time - running
	s.told = &told
	if near(wall, time) && !near(wall, s.began+running) {
		s.began = wall - running // two of three say so
	}
}

// Now is the time that counts.
func (s *SteadyClock) Now() int64 {
	wall, running := s.wall(), s.running()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.weigh(wall, running)
	if s.latest-clocksDiffer <= now && now < s.latest {
		now = s.latest // small corrections do not turn it back
	}
	s.latest = now
	return now
}

func (s *SteadyClock) weigh(wall, running int64) int64 {
	carried := s.began + running
	if s.told == nil {
		return max(wall, carried)
	}
	told := *s.told + running
	switch {
	case near(carried, told) && near(wall, told):
		return max(wall, carried)
	case near(carried, told):
		return carried
	case near(wall, told):
		return wall
	}
	return max(wall, carried, told)
}
