package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// aFeed is a log in memory, served by the feed protocol.
type aFeed struct {
	server *httptest.Server
	mu     sync.Mutex
	log    []string // facts in JSON
	conns  map[*websocket.Conn]int
	mute   bool // answers no ping
}

func newFeed(t *testing.T, facts ...string) *aFeed {
	f := &aFeed{log: facts, conns: map[*websocket.Conn]int{}}
	f.server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() {
		f.mu.Lock()
		for conn := range f.conns {
			conn.CloseNow()
		}
		f.mu.Unlock()
		f.server.Close()
	})
	return f
}

func (f *aFeed) serve(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx := r.Context()
	if _, _, err := conn.Read(ctx); err != nil {
		return
	}
	f.mu.Lock()
	f.conns[conn] = len(f.log)
	f.write(conn, `{"type":"snapshot","genesis":"g","realm":"r","offset":%d,"more":false,
		"vocabulary":{"jwt.jti":"credential","agent.id":"principal"},"facts":[%s]}`,
		len(f.log), strings.Join(f.log, ","))
	f.mu.Unlock()
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			break
		}
		var ping struct {
			Type string
			Seq  int64
		}
		_ = json.Unmarshal(text, &ping)
		f.mu.Lock()
		if ping.Type == "ping" && !f.mute {
			f.write(conn, `{"type":"pong","seq":%d,"genesis":"g","end":%d,"remaining_ms":60000}`, ping.Seq, len(f.log))
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	delete(f.conns, conn)
	f.mu.Unlock()
}

func (f *aFeed) write(conn *websocket.Conn, format string, values ...any) {
	_ = conn.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, format, values...))
}

func (f *aFeed) append(facts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := len(f.log)
	f.log = append(f.log, facts...)
	for conn := range f.conns {
		f.write(conn, `{"type":"delta","from":%d,"to":%d,"facts":[%s]}`, from, len(f.log), strings.Join(facts, ","))
	}
}

func (f *aFeed) silence() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute = true
}

const said = `"authority":"a","event_id":null,"version":1,"stamped":false,"received_at":1,"ingress_key":"k","settings":0`

func aNode(name string) string {
	return fmt.Sprintf(`{"fact":"node",%s,"node":%q,"issued_at":null,"derived":false,"root":false,
		"device":null,"tenant":null}`, said, name)
}

func anEdge(child, parent string) string {
	return fmt.Sprintf(`{"fact":"edge",%s,"child":%q,"parent":%q,"relation":"requires","derived":false}`, said, child, parent)
}

func aRevocation(name string) string {
	return fmt.Sprintf(`{"fact":"cause",%s,"target":%q,"effect":"revoke","reach":"subtree","at":1,
		"not_before":null,"aspect":"","scopes":[],"device":null,"tenant":null}`, said, name)
}

// fed is a guard that runs, and holds a lease.
func fed(t *testing.T, f *aFeed, change func(*Config)) *Guard {
	t.Helper()
	config := Config{
		URL: f.server.URL, Credential: "secret", Name: "orders", LiveSessions: true,
		Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&config)
	}
	g, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	within, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	if err := g.Ready(within); err != nil {
		t.Fatal(err)
	}
	return g
}

func until(t *testing.T, is func() bool) {
	t.Helper()
	for over := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(over) {
			t.Fatal("it never was")
		}
	}
}

func TestManyAskWhileFactsCome(t *testing.T) {
	f := newFeed(t, aNode("jwt.jti:c"), aNode("agent.id:a"), anEdge("jwt.jti:c", "agent.id:a"))
	g := fed(t, f, nil)
	var asking sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				g.Check(Present("jwt.jti:c"), Options{Scope: "r|x"})
				stop, err := g.OnDeny(Present("jwt.jti:c"), Options{}, func(Verdict) {})
				if err != nil {
					t.Error(err)
					return
				}
				stop()
				_ = g.MetricsHandler()
				g.Applied()
			}
		})
	}
	for i := range 200 {
		name := fmt.Sprintf("jwt.jti:%d", i)
		f.append(aNode(name), anEdge(name, "agent.id:a"))
	}
	f.append(aRevocation("agent.id:a"))
	until(t, func() bool { return g.Check(Present("jwt.jti:199"), Options{}).Reason == Revoked })
	close(over)
	asking.Wait()
	verdict := g.Check(Present("jwt.jti:c"), Options{})
	if verdict.Allowed || verdict.Cause.Target != "agent.id:a" || fmt.Sprint(verdict.Path) != "[jwt.jti:c agent.id:a]" {
		t.Fatalf("%+v", verdict)
	}
}

func TestAGuardThatIsToldNothingDeniesAndSaysWhy(t *testing.T) {
	f := newFeed(t, aNode("jwt.jti:c"))
	g := fed(t, f, func(c *Config) { c.Lease = 200 * time.Millisecond })
	if !g.Check(Present("jwt.jti:c"), Options{}).Allowed {
		t.Fatal("it has a lease")
	}
	f.silence()
	until(t, func() bool { return g.Check(Present("jwt.jti:c"), Options{}).Reason == NoLease })
	if g.Counters().Denied()[NoLease] == 0 || g.Counters().Stale() == 0 {
		t.Fatal("it is not counted")
	}
	var text strings.Builder
	if err := g.WriteMetrics(&text); err != nil || !strings.Contains(text.String(), `reason="no_lease"} 1`) {
		t.Fatal(text.String(), err)
	}
}

func TestAGuardThatHasEndedDeniesInEveryModeThatEnforces(t *testing.T) {
	f := newFeed(t, aNode("jwt.jti:c"))
	g, err := New(Config{
		URL: f.server.URL, Credential: "secret", Name: "orders", Mode: FailOpen,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	until(t, func() bool { return g.Check(Present("jwt.jti:c"), Options{}).Allowed })
	cancel()
	<-done
	if g.Check(Present("jwt.jti:c"), Options{}).Allowed {
		t.Fatal("it said goodbye")
	}
	if g.Run(context.Background()) == nil {
		t.Fatal("a guard runs once")
	}
}

func TestASettingThatCannotBeIsRefused(t *testing.T) {
	good := Config{URL: "https://x", Credential: "c", Name: "n"}
	for name, change := range map[string]func(*Config){
		"no address":       func(c *Config) { c.URL = "x" },
		"no credential":    func(c *Config) { c.Credential = "" },
		"an unknown mode":  func(c *Config) { c.Routes = map[string]Mode{"r": "open"} },
		"a negative lease": func(c *Config) { c.Lease = -1 },
		"an unknown policy": func(c *Config) {
			c.Unknown = map[string]UnknownPolicy{"jwt.jti": "allow"}
		},
	} {
		config := good
		change(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
