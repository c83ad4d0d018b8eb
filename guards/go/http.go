package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Presents reads what a request presents, after it verified the signature. nil: there is
// no credential, and the answer is 401.
type Presents func(*http.Request) *Presented

// HTTPOptions of a middleware.
type HTTPOptions struct {
	// Options gives those of the check of a request; nil: none.
	Options func(*http.Request) Options
	// CheckOnly lets responses that take longer than a lease go on after a revocation.
	CheckOnly bool
}

// Middleware checks each request, and cuts a response that still runs when its credential
// dies: the context of the request is cancelled, with a *DeniedError as its cause, writing
// fails, and the client sees the connection break and not an end. It panics where
// responses would have to be watched and the guard was made without LiveSessions.
func (g *Guard) Middleware(presents Presents, options HTTPOptions) func(http.Handler) http.Handler {
	if !options.CheckOnly && !g.config.LiveSessions {
		panic(ErrNotLive.Error() + ", or set CheckOnly")
	}
	if options.Options == nil {
		options.Options = func(*http.Request) Options { return Options{} }
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			presented := presents(r)
			if presented == nil {
				refuse(w, nil)
				return
			}
			asks := options.Options(r)
			if verdict := g.Check(*presented, asks); !verdict.Allowed {
				refuse(w, &verdict)
				return
			}
			if options.CheckOnly {
				next.ServeHTTP(w, r)
				return
			}
			g.serve(next, w, r, *presented, asks)
		})
	}
}

// serve lets a handler run while its credential lives.
func (g *Guard) serve(next http.Handler, w http.ResponseWriter, r *http.Request, presented Presented, asks Options) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	watched := &watchedWriter{ResponseWriter: w}
	over, err := g.OnDeny(presented, asks, func(verdict Verdict) {
		cancel(&DeniedError{verdict})
		watched.cut()
	})
	if err != nil { // not with LiveSessions
		refuse(w, &Verdict{Reason: NoLease})
		return
	}
	watched.over = over
	defer watched.finish() // also where the handler panics
	asked := r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		asked.Body = watchedBody{r.Body, watched}
	}
	next.ServeHTTP(watched, asked)
	if watched.finish() {
		panic(http.ErrAbortHandler) // the client must not take a part for all of it
	}
}

// refuse answers a request that is not served: with a problem document (RFC 9457) that
// has the reason and no more. Path and cause are for the operator.
func refuse(w http.ResponseWriter, verdict *Verdict) {
	status, reason := http.StatusUnauthorized, Reason("no_credential")
	if verdict != nil {
		reason = verdict.Reason
		status = Status(reason)
	}
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	if status == http.StatusUnauthorized {
		challenge := "Bearer"
		if verdict != nil {
			challenge += ` error="invalid_token"`
		}
		header.Set("WWW-Authenticate", challenge)
	}
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "reason": reason,
	})
	w.Write(body)
}

// Status of a refused request: 403 where the credential is good but does not reach far
// enough, or the guard cannot prove anything now, and 401 otherwise, so that its holder
// fetches another.
func Status(reason Reason) int {
	switch reason {
	case Narrowed, OutOfScope, NoLease, NotCaughtUp:
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

var errCut = errors.New("the credential of this request was revoked")

const mostWritten = 1 << 16 // bytes between two looks at whether it is cut

// watchedWriter writes until it is cut. What is written after that would reach a client
// that is entitled to nothing more.
type watchedWriter struct {
	http.ResponseWriter
	mu       sync.Mutex
	isCut    bool
	isOver   bool
	hijacked net.Conn
	over     func() // ends the watch
}

func (w *watchedWriter) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isOver {
		return // the writer is the server's again
	}
	w.isCut = true
	if w.hijacked != nil {
		w.hijacked.Close()
		return
	}
	// A handler that is waiting for the network would not see its context.
	control := http.NewResponseController(w.ResponseWriter)
	_ = control.SetWriteDeadline(time.Unix(1, 0)) // a writer that has none cannot hang in one
	_ = control.SetReadDeadline(time.Unix(1, 0))
}

// finish says that the handler is through, and whether its response has to break off. A
// hijacked connection outlives its handler, and is watched until it is closed.
func (w *watchedWriter) finish() bool {
	w.mu.Lock()
	hijacked, isCut := w.hijacked != nil, w.isCut
	w.isOver = !hijacked
	w.mu.Unlock()
	if hijacked {
		return false
	}
	w.over()
	return isCut
}

func (w *watchedWriter) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.isCut
}

func (w *watchedWriter) Write(part []byte) (int, error) {
	written := 0
	for {
		if w.ended() {
			return written, errCut
		}
		next := part[:min(len(part), mostWritten)]
		n, err := w.ResponseWriter.Write(next)
		written += n
		if part = part[len(next):]; err != nil || len(part) == 0 {
			return written, err
		}
	}
}

func (w *watchedWriter) WriteHeader(status int) {
	if !w.ended() {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Flush and Hijack are asked for by type.
func (w *watchedWriter) Flush() { _ = w.FlushError() }

func (w *watchedWriter) FlushError() error {
	if w.ended() {
		return errCut
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *watchedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, both, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return conn, both, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isCut {
		conn.Close()
		return nil, nil, errCut
	}
	w.hijacked = conn
	return watchedConn{conn, w.over}, both, nil
}

// SetReadDeadline and SetWriteDeadline are asked for by type. A handler that moves a
// deadline must not take back the one that the cut has set.
func (w *watchedWriter) SetReadDeadline(deadline time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isCut {
		return errCut
	}
	return http.NewResponseController(w.ResponseWriter).SetReadDeadline(deadline)
}

func (w *watchedWriter) SetWriteDeadline(deadline time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isCut {
		return errCut
	}
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(deadline)
}

// watchedBody brings nothing after the cut.
type watchedBody struct {
	io.ReadCloser
	by *watchedWriter
}

func (b watchedBody) Read(part []byte) (int, error) {
	if b.by.ended() {
		return 0, errCut
	}
	return b.ReadCloser.Read(part)
}

// watchedConn is a hijacked connection. It is watched until somebody closes it.
type watchedConn struct {
	net.Conn
	over func()
}

func (c watchedConn) Close() error {
	c.over()
	return c.Conn.Close()
}

// Unwrap is for http.ResponseController: deadlines of the connection.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
