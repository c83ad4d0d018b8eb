package guard

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"rescind.dev/guard/internal/standing"
)

const namedRoutes = 100 // for people; a hello has to stay short

// receipts are what a guard reports, from its start to its end.
type receipts struct {
	guard, instance string
	terms           map[string]any
	key             ed25519.PrivateKey
	mu              sync.Mutex
	sequence        int64
}

func newReceipts(config *Config, modes map[string]Mode) *receipts {
	var instance [8]byte
	rand.Read(instance[:]) // it never fails
	named := slices.DeleteFunc(slices.Sorted(maps.Keys(modes)), func(route string) bool { return route == "" })
	return &receipts{
		guard: config.Name, instance: hex.EncodeToString(instance[:]), key: config.SigningKey,
		terms: map[string]any{
			"status":        "registered",
			"lease_ms":      (config.Lease + time.Millisecond - 1).Milliseconds(),
			"mode":          weakest(modes),
			"routes":        named[:min(len(named), namedRoutes)],
			"live_sessions": config.LiveSessions,
		},
	}
}

// weakest is the mode that promises least, for a guard of which nothing is heard. What
// only observes enforces nothing, so other routes speak for the guard.
func weakest(modes map[string]Mode) Mode {
	found := slices.Collect(maps.Values(modes))
	for _, mode := range []Mode{FailOpen, FailClosed} {
		if slices.Contains(found, mode) {
			return mode
		}
	}
	return Observe
}

// registered says under which terms the guard serves.
func (r *receipts) registered() any { return r.receipt(r.terms) }

// applied says that everything below a place is applied.
func (r *receipts) applied(place standing.Token) any {
	return r.receipt(map[string]any{
		"status": "applied", "genesis": place.Genesis, "applied": place.Offset,
		"sent_at": time.Now().UnixNano(),
	})
}

// goodbye says that the guard allows nothing any more.
func (r *receipts) goodbye() any { return r.receipt(map[string]any{"status": "goodbye"}) }

// receipt is an object, or with a key a compact JWS (RFC 7515, RFC 8037).
func (r *receipts) receipt(said map[string]any) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sequence++
	plain := maps.Clone(said)
	plain["guard"], plain["instance"], plain["sequence"] = r.guard, r.instance, r.sequence
	if r.key == nil {
		return plain
	}
	payload, err := json.Marshal(plain)
	if err != nil {
		panic(err) // texts and numbers always have a JSON form
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"EdDSA"}`)) + "." + encode(payload)
	return signed + "." + encode(ed25519.Sign(r.key, []byte(signed)))
}
