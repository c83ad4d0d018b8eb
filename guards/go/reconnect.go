package guard

import (
	"math/rand/v2"
	"time"

	"github.com/coder/websocket"
)

const (
	firstPause    = 50 * time.Millisecond // doubles up to the longest
	longestPause  = 1400 * time.Millisecond
	restartPause  = 500 * time.Millisecond // instead, where the server is back soon
	restartPauses = 40                     // about ten seconds of them
)

// reconnect is what a link knows of its attempts. Pauses are random and their limit
// doubles, so that a thousand guards do not come back at the same moment.
type reconnect struct {
	failures   int  // attempts and connections since the last that proved something
	restarting int  // pauses left that are short
	sound      bool // the connection that stands proved something
}

// ended notes that a connection ended: with a close code, or -1 without.
func (r *reconnect) ended(code websocket.StatusCode) {
	if code == websocket.StatusGoingAway || r.sound && code == -1 {
		r.restarting = restartPauses
	}
	r.sound = false
}

func (r *reconnect) proved() { *r = reconnect{sound: true} }

// pause before the next attempt, which is counted.
func (r *reconnect) pause() time.Duration {
	longest := longestPause
	if r.restarting > 0 {
		longest = restartPause
		r.restarting--
	}
	limit := min(longest, firstPause<<r.failures)
	r.failures = min(r.failures+1, 16)
	return jitter(limit)
}

// jitter is a random part of a length of time.
func jitter(of time.Duration) time.Duration {
	return time.Duration(rand.Float64() * float64(of))
}
