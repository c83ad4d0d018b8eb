package guard

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"rescind.dev/guard/internal/standing"
)

// credentials of two names each, six steps below a root, as in `python -m bench check`.
const credentials = 250_000

func stocked(b *testing.B) (*judge, uint64) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	clock := func() int64 { return time.Now().UnixNano() }
	of := standing.New(int64(time.Hour), clock, clock)
	links, link := standing.NewLinks(of)
	links.Hello(link)
	send := func(text string) {
		if _, err := links.Receive(link, []byte(text)); err != nil {
			b.Fatal(err)
		}
	}
	chunk := []byte{}
	say := func(format string, values ...any) {
		if len(chunk) > 0 {
			chunk = append(chunk, ',')
		}
		chunk = fmt.Appendf(chunk, format, values...)
	}
	flush := func(more bool) {
		send(fmt.Sprintf(`{"type":"snapshot","genesis":"g","realm":"r","offset":1,"more":%t,
			"vocabulary":{"vault.accessor":"credential","vault.token_hmac":"credential"},"facts":[%s]}`, more, chunk))
		chunk = chunk[:0]
	}
	const said = `"authority":"vault","event_id":null,"version":1,"stamped":false,"received_at":1,"ingress_key":"k","settings":0`
	for i := range credentials {
		name := fmt.Sprintf("vault.accessor:%032x", i)
		other := fmt.Sprintf("vault.token_hmac:%032x", i)
		say(`{"fact":"node",%s,"node":%q,"issued_at":1,"derived":false,"root":false,"device":null,"tenant":null}`, said, name)
		say(`{"fact":"alias",%s,"first":%q,"second":%q}`, said, name, other)
		say(`{"fact":"renewal",%s,"node":%q,"expires_at":9000000000000000000}`, said, name)
		if i%7 > 0 {
			say(`{"fact":"edge",%s,"child":%q,"parent":"vault.accessor:%032x","relation":"requires","derived":false}`, said, name, i-1)
		}
		if i%1000 == 999 {
			flush(true)
		}
	}
	flush(false)
	links.Settle(link)
	send(fmt.Sprintf(`{"type":"pong","seq":%d,"genesis":"g","end":1,"remaining_ms":86400000}`, links.Ping()))
	j, err := newJudge(of, boottime, map[string]Mode{"": FailOpen}, nil)
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return j, after.HeapAlloc - before.HeapAlloc
}

func BenchmarkCheck(b *testing.B) {
	j, size := stocked(b)
	presented := Present(fmt.Sprintf("vault.accessor:%032x", 7*1000+6))
	if verdict := j.check(presented, Options{}); !verdict.Allowed {
		b.Fatal(verdict)
	}
	times := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		start := time.Now()
		j.check(Present(fmt.Sprintf("vault.accessor:%032x", 7*(i%30_000)+6)), Options{})
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(float64(size)/credentials, "B/credential")
}

func BenchmarkCheckOfOne(b *testing.B) {
	j, _ := stocked(b)
	presented := Present(fmt.Sprintf("vault.accessor:%032x", 7*1000+6))
	b.ReportAllocs()
	for b.Loop() {
		j.check(presented, Options{})
	}
}
