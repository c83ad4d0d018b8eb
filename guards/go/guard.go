package guard

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"rescind.dev/guard/internal/standing"
	"rescind.dev/guard/internal/table"
)

// Config of a guard. URL, Credential and Name are required.
type Config struct {
	// URL of the Rescind server or relay, https://host:port.
	URL string
	// Credential is the guard's bearer token; it decides the realm, and is never logged.
	Credential string
	// Name of this guard, unique in its realm.
	Name string
	// Mode says what to do with what cannot be proven; FailClosed where it is empty.
	Mode Mode
	// Routes with a mode of their own, by name.
	Routes map[string]Mode
	// Unknown says, by kind, what to do with credentials that no fact makes known: Deny
	// for all others. Where it is nil, jwt.jti has AllowIfPrincipalKnown.
	Unknown map[string]UnknownPolicy
	// Lease is how long one proof may be used; 1 s where it is zero.
	Lease time.Duration
	// LiveSessions says that the service has streams that end up to one lease after Check
	// denies. Closure then counts a revocation as enforced that much later.
	LiveSessions bool
	// SigningKey signs the receipts; they go out unsigned where it is nil.
	SigningKey ed25519.PrivateKey
	// HTTPClient makes the connections; it may bring TLS settings or a proxy.
	HTTPClient *http.Client
	// Logger takes gains and losses of the lease; slog's default where it is nil.
	Logger *slog.Logger
}

const (
	defaultLease = time.Second
	longestLease = 24 * time.Hour
)

// Guard judges presented credentials by a table that a server keeps current. Check may be
// called from any goroutine.
type Guard struct {
	config   Config
	judge    *judge
	standing *standing.Standing
	feed     *feed
	sessions *sessions
	running  atomic.Bool
	log      *slog.Logger
}

// New makes a guard, which denies everything until Run has fed it.
func New(config Config) (*Guard, error) {
	if config.URL == "" || config.Credential == "" || config.Name == "" {
		return nil, errors.New("a guard needs URL, Credential and Name")
	}
	if !strings.HasPrefix(config.URL, "http://") && !strings.HasPrefix(config.URL, "https://") {
		return nil, fmt.Errorf("%q is no address of HTTP", config.URL)
	}
	if config.Lease == 0 {
		config.Lease = defaultLease
	}
	if config.Lease < 0 || config.Lease > longestLease {
		return nil, fmt.Errorf("a lease of %s: it is above 0 and at most %s", config.Lease, longestLease)
	}
	if config.HTTPClient == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.DisableKeepAlives = true // the address is looked up for each attempt
		config.HTTPClient = &http.Client{Transport: transport}
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return assemble(config)
}

func assemble(config Config) (*Guard, error) {
	modes, err := modesOf(config.Mode, config.Routes)
	if err != nil {
		return nil, err
	}
	wall := func() int64 { return time.Now().UnixNano() }
	of := standing.New(int64(config.Lease), boottime, wall)
	judge, err := newJudge(of, boottime, modes, unknownOf(config.Unknown))
	if err != nil {
		return nil, err
	}
	links, first := standing.NewLinks(of)
	g := &Guard{config: config, judge: judge, standing: of, log: config.Logger.With("guard", config.Name)}
	g.sessions = newSessions(g)
	g.feed = &feed{
		links: links, first: first, name: config.Name, receipts: newReceipts(&config, modes),
		dialer: dialer{
			url:    strings.TrimRight(config.URL, "/") + "/v1/feed",
			header: http.Header{"Authorization": {"Bearer " + config.Credential}},
			client: config.HTTPClient,
		},
		allows: g.allows, lease: config.Lease, interval: min(config.Lease, silence) / 4,
		cancels: map[*standing.Link]context.CancelFunc{},
	}
	return g, nil
}

// Run feeds the guard until the context is over. It then signs off: the guard denies from
// then on wherever it enforces, and ends what it can no longer watch. A guard runs once.
func (g *Guard) Run(ctx context.Context) error {
	if g.running.Swap(true) {
		return errors.New("this guard runs, or has run")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.sessions.run(ctx)
	}()
	said := make(chan struct{})
	go func() {
		defer close(said)
		g.report(ctx)
	}()
	g.feed.run(ctx, done)
	<-said
	return ctx.Err()
}

// report logs each change of the lease, and why the guard is not fed. Nobody finds that
// in a verdict.
func (g *Guard) report(ctx context.Context) {
	held, told := false, ""
	for ctx.Err() == nil {
		holds, why := g.standing.Holds(), g.feed.why()
		if holds != held {
			if holds {
				g.log.Info("the guard holds a lease")
				told = ""
			} else {
				g.log.Warn("the guard has no lease: it denies where it fails closed")
			}
		}
		if !holds && why != nil && why.Error() != told {
			told = why.Error()
			g.log.Warn("the guard is not fed", "error", told)
		}
		held = holds
		pause(ctx, g.config.Lease/2)
	}
}

// Check judges a credential now; it never waits. Call it after the signature of the
// credential was verified: a guard knows what is revoked, not what is forged.
func (g *Guard) Check(presented Presented, options Options) Verdict {
	return g.judge.check(presented, options)
}

// Lease is how long one proof may be used.
func (g *Guard) Lease() time.Duration { return g.config.Lease }

// allows answers a probe of the server, which is no use and so is not counted.
func (g *Guard) allows(name string) bool {
	question := table.Question{Policy: g.judge.policy, Now: g.standing.Time.Now()}
	presented := Present(name)
	return read(&presented, &question) == nil && g.standing.Judge(&question).Allowed
}

// Ready waits until the guard holds a lease. The error says why it gets none.
func (g *Guard) Ready(ctx context.Context) error {
	for {
		progress := g.standing.Progress()
		if g.standing.Holds() {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			if why := g.feed.why(); why != nil {
				return fmt.Errorf("the guard has no lease: %w", why)
			}
			return fmt.Errorf("the guard has no lease: the server proves nothing: %w", ctx.Err())
		}
	}
}

// WaitFor waits until what a consistency token names is applied.
func (g *Guard) WaitFor(ctx context.Context, token string) error {
	wanted, err := standing.ParseToken(token)
	if err != nil {
		return err
	}
	for {
		progress := g.standing.Progress()
		if g.standing.Covers(wanted) {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Applied is the token of the last applied offset, empty where there is none. Ask before
// Check, for an access log.
func (g *Guard) Applied() string {
	applied, there := g.standing.Applied()
	if !there {
		return ""
	}
	return applied.String()
}

// Counters of the checks so far.
func (g *Guard) Counters() *Counters { return &g.judge.counters }
