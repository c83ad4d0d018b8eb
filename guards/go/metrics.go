package guard

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// WriteMetrics writes what the guard did, and whether it can vouch for what it answers,
// in the text format of Prometheus. The names are those of the guard in Python.
func (g *Guard) WriteMetrics(to io.Writer) error {
	var text strings.Builder
	family := func(name, kind, help string) {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
	}
	byReason := func(name, labels string, counts map[Reason]int64) {
		for _, reason := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&text, "%s{%sreason=%q} %d\n", name, labels, reason, counts[reason])
		}
	}
	lease := 0
	if g.standing.Holds() {
		lease = 1
	}
	family("rescind_guard_lease", "gauge",
		"Whether the guard holds a lease; 0: it denies where it fails closed.")
	fmt.Fprintf(&text, "rescind_guard_lease %d\n", lease)
	family("rescind_guard_checks_total", "counter",
		"Checks by answer (`allowed`, `denied`, `observed`) and reason.")
	counters := g.Counters()
	fmt.Fprintf(&text, "rescind_guard_checks_total{answer=\"allowed\",reason=\"\"} %d\n", counters.Allowed())
	byReason("rescind_guard_checks_total", `answer="denied",`, counters.Denied())
	byReason("rescind_guard_checks_total", `answer="observed",`, counters.Observed())
	family("rescind_guard_stale_checks_total", "counter", "Checks that were answered without a lease.")
	fmt.Fprintf(&text, "rescind_guard_stale_checks_total %d\n", counters.Stale())
	family("rescind_guard_sessions", "gauge", "Open sessions.")
	fmt.Fprintf(&text, "rescind_guard_sessions %d\n", g.sessions.count.Load())
	family("rescind_guard_ended_sessions_total", "counter", "Sessions that the guard ended, by reason.")
	byReason("rescind_guard_ended_sessions_total", "", g.sessions.ended.read())
	_, err := io.WriteString(to, text.String())
	return err
}

// MetricsHandler serves WriteMetrics.
func (g *Guard) MetricsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if err := g.WriteMetrics(w); err != nil {
			g.log.Debug("metrics were not read to their end", "error", err)
		}
	})
}
