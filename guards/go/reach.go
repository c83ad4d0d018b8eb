package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	maxFrame     = 16 << 20               // bytes
	firstAttempt = 500 * time.Millisecond // then another one each second, beside
	nextAttempts = time.Second
	patient      = 10 * time.Second // one that may take longer: TLS with a busy server
)

// dialer makes connections to a server's feed.
type dialer struct {
	url    string
	header http.Header
	client *http.Client
}

func (d *dialer) dial(ctx context.Context) (*websocket.Conn, error) {
	conn, response, err := websocket.Dial(ctx, d.url, &websocket.DialOptions{
		HTTPClient: d.client, HTTPHeader: d.header,
	})
	if err != nil {
		if response != nil && response.StatusCode >= http.StatusBadRequest {
			return nil, fmt.Errorf("the server answers %s", response.Status)
		}
		return nil, err
	}
	conn.SetReadLimit(maxFrame)
	return conn, nil
}

// reach gives the connection of the first attempt that is answered. An attempt at an
// address whose host is gone is never answered, and the next one may reach the new host.
func (d *dialer) reach(ctx context.Context) (*websocket.Conn, error) {
	first, cancel := context.WithTimeout(ctx, firstAttempt)
	conn, err := d.dial(first)
	cancel()
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return conn, err
	}
	ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	type end struct {
		conn *websocket.Conn
		err  error
		last bool
	}
	ends := make(chan end)
	var attempts sync.WaitGroup
	attempt := func(length time.Duration, last bool) {
		attempts.Go(func() {
			within, cancel := context.WithTimeout(ctx, length)
			defer cancel()
			conn, err := d.dial(within)
			select {
			case ends <- end{conn, err, last}:
			case <-ctx.Done():
				if err == nil {
					conn.CloseNow()
				}
			}
		})
	}
	attempt(patient, true)
	attempt(nextAttempts, false)
	for {
		var one end
		select {
		case one = <-ends:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !one.last && errors.Is(one.err, context.DeadlineExceeded) {
			attempt(nextAttempts, false)
			continue
		}
		return one.conn, one.err
	}
}
