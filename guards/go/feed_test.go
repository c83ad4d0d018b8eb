package guard

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"rescind.dev/guard/internal/feedtest"
)

// fed is a guard that runs, and holds a lease.
func fed(t *testing.T, f *feedtest.Feed, change func(*Config)) *Guard {
	t.Helper()
	config := Config{
		URL: f.URL(), Credential: "secret", Name: "orders", LiveSessions: true,
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
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"), feedtest.Node("agent.id:a"), feedtest.Edge("jwt.jti:c", "agent.id:a"))
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
		f.Append(feedtest.Node(name), feedtest.Edge(name, "agent.id:a"))
	}
	f.Append(feedtest.Revocation("agent.id:a"))
	until(t, func() bool { return g.Check(Present("jwt.jti:199"), Options{}).Reason == Revoked })
	close(over)
	asking.Wait()
	verdict := g.Check(Present("jwt.jti:c"), Options{})
	if verdict.Allowed || verdict.Cause.Target != "agent.id:a" || fmt.Sprint(verdict.Path) != "[jwt.jti:c agent.id:a]" {
		t.Fatalf("%+v", verdict)
	}
}

func TestAGuardThatIsToldNothingDeniesAndSaysWhy(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	g := fed(t, f, func(c *Config) { c.Lease = 200 * time.Millisecond })
	if !g.Check(Present("jwt.jti:c"), Options{}).Allowed {
		t.Fatal("it has a lease")
	}
	f.Silence()
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
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	g, err := New(Config{
		URL: f.URL(), Credential: "secret", Name: "orders", Mode: FailOpen,
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

func TestTheGoodbyeComesAfterTheLastStream(t *testing.T) {
	f := feedtest.New(t, feedtest.Node("jwt.jti:c"))
	g, err := New(Config{
		URL: f.URL(), Credential: "secret", Name: "orders", LiveSessions: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Run(ctx) }()
	within, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	if err := g.Ready(within); err != nil {
		t.Fatal(err)
	}
	ending, may := make(chan struct{}), make(chan struct{})
	if _, err := g.OnDeny(Present("jwt.jti:c"), Options{}, func(Verdict) { close(ending); <-may }); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ending
	for range 50 { // a goodbye would be on its way
		if time.Sleep(time.Millisecond); f.Said("goodbye") {
			t.Fatal("a stream still runs")
		}
	}
	close(may)
	<-done
	until(t, func() bool { return f.Said("goodbye") })
}
