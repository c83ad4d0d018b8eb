package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rescind.dev/guard/internal/feedtest"
)

// bearer takes the token for the value of a jwt.jti; a real one verifies it first.
func bearer(r *http.Request) *Presented {
	value, there := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !there {
		return nil
	}
	presented := Present("jwt.jti:" + value)
	return &presented
}

func get(t *testing.T, url, token string) *http.Response {
	t.Helper()
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestRequestsAreServedOrRefused(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:good"), feedtest.Node("jwt.jti:dead"), feedtest.Revocation("jwt.jti:dead"))
	g := fed(t, f, nil)
	handler := g.Middleware(bearer, HTTPOptions{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "orders")
	}))
	server := httptest.NewServer(handler)
	defer server.Close()
	for token, want := range map[string]struct {
		status int
		reason string
	}{
		"good": {200, ""}, "dead": {401, "revoked"}, "": {401, "no_credential"},
		"unheard": {401, "unknown_credential"},
	} {
		response := get(t, server.URL, token)
		body, _ := io.ReadAll(response.Body)
		var problem struct{ Reason string }
		_ = json.Unmarshal(body, &problem)
		if response.StatusCode != want.status || problem.Reason != want.reason {
			t.Errorf("%q: %d %s", token, response.StatusCode, body)
		}
	}
}

func TestAResponseThatRunsIsCut(t *testing.T) {
	for name, handle := range map[string]func(http.ResponseWriter, *http.Request){
		"a handler that minds its context": func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			var denied *DeniedError
			if !errors.As(context.Cause(r.Context()), &denied) || denied.Verdict.Reason != Revoked {
				t.Error(context.Cause(r.Context()))
			}
		},
		"one that only writes": func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := fmt.Fprintln(w, "tick"); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		},
		"one that took the connection": func(w http.ResponseWriter, r *http.Request) {
			conn, both, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			_, _ = both.ReadByte()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
			g := fed(t, f, nil)
			server := httptest.NewServer(g.Middleware(bearer, HTTPOptions{})(http.HandlerFunc(handle)))
			defer server.Close()
			response := get(t, server.URL, "c")
			f.Append(feedtest.Revocation("jwt.jti:c"))
			if _, err := io.Copy(io.Discard, response.Body); err == nil {
				t.Fatal("the client took a part for the whole")
			}
			until(t, func() bool { return g.sessions.count.Load() == 0 })
		})
	}
}

func TestAStreamEndsOneLeaseAfterTheLease(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	g := fed(t, f, func(c *Config) {
		c.Lease, c.Routes = 400*time.Millisecond, map[string]Mode{"open": FailOpen, "watched": Observe}
	})
	type end struct {
		Verdict
		at int64
	}
	closed := make(chan end, 1)
	note := func(v Verdict) { closed <- end{v, boottime()} }
	if _, err := g.OnDeny(Present("jwt.jti:c"), Options{}, note); err != nil {
		t.Fatal(err)
	}
	for _, route := range []string{"open", "watched"} {
		_, err := g.OnDeny(Present("jwt.jti:c"), Options{Route: route}, func(Verdict) { t.Errorf("%s ended", route) })
		if err != nil {
			t.Fatal(err)
		}
	}
	f.Silence()
	ended := <-closed
	g.sessions.mu.Lock()
	after := ended.at - g.sessions.deadline
	g.sessions.mu.Unlock()
	if ended.Reason != NoLease || after < int64(g.config.Lease) {
		t.Fatal(ended.Reason, after)
	}
	if g.sessions.count.Load() != 2 {
		t.Fatal("the others are watched on")
	}
	// The end of the guard would end those that fail open: that is not this test's.
	g.sessions.mu.Lock()
	clear(g.sessions.all)
	g.sessions.mu.Unlock()
}

func TestAStreamEndsForWhatItsLineageGotLater(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	g := fed(t, f, nil)
	ctx, stop, err := g.Watch(t.Context(), Present("jwt.jti:c"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	until(t, func() bool { g.sessions.mu.Lock(); defer g.sessions.mu.Unlock(); return len(g.sessions.byNode) > 0 })
	f.Append(feedtest.Edge("jwt.jti:c", "agent.id:late"))
	until(t, func() bool { g.sessions.mu.Lock(); defer g.sessions.mu.Unlock(); return len(g.sessions.byNode) > 1 })
	f.Append(feedtest.Revocation("agent.id:late"))
	<-ctx.Done()
	if g.sessions.ended.read()[Revoked] != 1 {
		t.Fatal("it is not counted")
	}
}

func TestStreamsNeedAGuardForLiveSessions(t *testing.T) {
	g, err := New(Config{URL: "https://x", Credential: "c", Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.OnDeny(Present("jwt.jti:c"), Options{}, nil); !errors.Is(err, ErrNotLive) {
		t.Fatal(err)
	}
	g.Middleware(bearer, HTTPOptions{CheckOnly: true})
	defer func() {
		if recover() == nil {
			t.Fatal("responses would not be watched as closure is told")
		}
	}()
	g.Middleware(bearer, HTTPOptions{})
}

func TestAHandlerThatWaitsForASlowClientIsFreed(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	g := fed(t, f, nil)
	freed := make(chan struct{})
	var written atomic.Int64
	part := make([]byte, 1<<20)
	server := httptest.NewServer(g.Middleware(bearer, HTTPOptions{})(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			defer close(freed)
			for {
				if _, err := w.Write(part); err != nil {
					return
				}
				written.Add(1)
			}
		})))
	defer server.Close()
	get(t, server.URL, "c") // its body is never read
	before, stalled := int64(-1), 0
	until(t, func() bool {
		if now := written.Load(); now != before {
			before, stalled = now, 0
		}
		stalled++
		return stalled > 200
	})
	f.Append(feedtest.Revocation("jwt.jti:c"))
	select {
	case <-freed:
	case <-time.After(20 * time.Second):
		server.CloseClientConnections()
		t.Fatal("it waits")
	}
}

func TestAConnectionThatOutlivesItsHandlerIsCut(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	g := fed(t, f, nil)
	served := make(chan net.Conn, 2)
	server := httptest.NewServer(g.Middleware(bearer, HTTPOptions{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
		served <- conn
	})))
	defer server.Close()
	get(t, server.URL, "c")
	(<-served).Close()
	until(t, func() bool { return g.sessions.count.Load() == 0 })
	response := get(t, server.URL, "c")
	left := <-served
	defer left.Close()
	f.Append(feedtest.Revocation("jwt.jti:c"))
	over := make(chan struct{})
	go func() { defer close(over); _, _ = io.Copy(io.Discard, response.Body) }()
	select {
	case <-over:
	case <-time.After(20 * time.Second):
		t.Fatal("it is served")
	}
}

func TestAHandlerThatMovesItsDeadlineIsCut(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	g := fed(t, f, nil)
	server := httptest.NewServer(g.Middleware(bearer, HTTPOptions{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1))
		f.Append(feedtest.Revocation("jwt.jti:c"))
		<-r.Context().Done()
		control := http.NewResponseController(w)
		until(t, func() bool { return errors.Is(control.SetReadDeadline(time.Now().Add(time.Minute)), errCut) })
		if err := control.SetWriteDeadline(time.Now().Add(time.Minute)); !errors.Is(err, errCut) {
			t.Error(err)
		}
		if _, err := r.Body.Read(make([]byte, 1)); !errors.Is(err, errCut) {
			t.Error(err)
		}
	})))
	defer server.Close()
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(strings.Repeat("x", 1000)))
	request.Header.Set("Authorization", "Bearer c")
	if response, err := http.DefaultClient.Do(request); err == nil {
		response.Body.Close()
	}
}

// foreign is a writer of another middleware, without deadlines.
type foreign struct {
	http.ResponseWriter
	after func()
	took  int
}

func (f *foreign) Write(part []byte) (int, error) {
	f.took += len(part)
	f.after()
	return len(part), nil
}

func TestALongWriteIsCutOnItsWay(t *testing.T) {
	inner := &foreign{ResponseWriter: httptest.NewRecorder()}
	w := &watchedWriter{ResponseWriter: inner}
	inner.after = w.cut
	if n, err := w.Write(make([]byte, 1<<20)); !errors.Is(err, errCut) || n != inner.took || n >= 1<<20 {
		t.Fatal(n, err)
	}
}

func TestTheNextLookIsNotLaterThanTheEndOfStreamsWithoutALease(t *testing.T) {
	g, err := New(Config{URL: "https://x", Credential: "c", Name: "n"})
	if err != nil {
		t.Fatal(err)
	}
	now := int64(0)
	g.judge.clock = func() int64 { return now }
	g.sessions.deadline = int64(time.Minute)
	end := time.Minute + g.Lease()
	for at, want := range map[time.Duration]time.Duration{
		0: g.Lease() / turns, end - time.Millisecond: time.Millisecond, end: g.Lease() / turns,
	} {
		if now = int64(at); g.sessions.turn() != want {
			t.Error(at, g.sessions.turn())
		}
	}
}
