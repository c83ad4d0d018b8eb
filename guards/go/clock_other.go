//go:build !linux

package guard

import (
	"sync"
	"time"
)

// Go's monotonic clock may stand while the machine sleeps, and the wall clock may be
// set. Of the two the one that went further counts, between each reading and the next.
var running = struct {
	sync.Mutex
	last  time.Time
	total time.Duration
}{last: time.Now()}

// boottime is a clock that nobody turns back and that runs while the machine sleeps (ns).
func boottime() int64 {
	running.Lock()
	defer running.Unlock()
	now := time.Now()
	running.total += max(now.Sub(running.last), now.Round(0).Sub(running.last.Round(0)), 0)
	running.last = now
	return int64(running.total) + 1
}
