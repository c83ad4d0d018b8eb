// Package feedtest is a server for tests of guards: it speaks the feed protocol.
package feedtest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// Feed is a log in memory, served by the feed protocol.
type Feed struct {
	server *httptest.Server
	mu     sync.Mutex
	log    []string // facts in JSON
	conns  map[*websocket.Conn]int
	mute   bool // answers no ping
	said   map[string]bool
}

// New serves a log that begins with some facts, until the test ends.
func New(t *testing.T, facts ...string) *Feed {
	f := &Feed{log: facts, conns: map[*websocket.Conn]int{}, said: map[string]bool{}}
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

func (f *Feed) serve(w http.ResponseWriter, r *http.Request) {
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
		f.said[ping.Type] = true
		if ping.Type == "ping" && !f.mute {
			f.write(conn, `{"type":"pong","seq":%d,"genesis":"g","end":%d,"remaining_ms":60000}`, ping.Seq, len(f.log))
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	delete(f.conns, conn)
	f.mu.Unlock()
}

func (f *Feed) write(conn *websocket.Conn, format string, values ...any) {
	_ = conn.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, format, values...))
}

// URL of the server.
func (f *Feed) URL() string { return f.server.URL }

// Append accepts facts and pushes them.
func (f *Feed) Append(facts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := len(f.log)
	f.log = append(f.log, facts...)
	for conn := range f.conns {
		f.write(conn, `{"type":"delta","from":%d,"to":%d,"facts":[%s]}`, from, len(f.log), strings.Join(facts, ","))
	}
}

// Said tells whether a guard sent a message of a type.
func (f *Feed) Said(kind string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said[kind]
}

// Silence answers no ping any more.
func (f *Feed) Silence() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute = true
}

const said = `"authority":"a","event_id":null,"version":1,"stamped":false,"received_at":1,"ingress_key":"k","settings":0`

// Node is the fact that something exists.
func Node(name string) string {
	return fmt.Sprintf(`{"fact":"node",%s,"node":%q,"issued_at":null,"derived":false,"root":false,
		"device":null,"tenant":null}`, said, name)
}

// Edge is the fact that a child requires a parent.
func Edge(child, parent string) string {
	return fmt.Sprintf(`{"fact":"edge",%s,"child":%q,"parent":%q,"relation":"requires","derived":false}`, said, child, parent)
}

// Revocation is the fact that ends something.
func Revocation(name string) string {
	return fmt.Sprintf(`{"fact":"cause",%s,"target":%q,"effect":"revoke","reach":"subtree","at":1,
		"not_before":null,"aspect":"","scopes":[],"device":null,"tenant":null}`, said, name)
}
