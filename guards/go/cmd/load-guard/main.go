// The program load-guard is a guard of the benchmark load (bench/load_guard.py says what
// it is asked and what it answers).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rescind.dev/guard"
)

const (
	deadline = 300 * time.Second
	slice    = 16 // families between two looks at the clock
	look     = 50 * time.Millisecond
	load     = 5 // checks of what lives in a row, then a pause
	pause    = 10 * time.Millisecond
)

type order struct {
	URL, Credential, Name string
	Lives                 int
}

type question struct {
	Number     int
	Range      [2]int
	Due, Until float64
	Settled    bool
}

// monotonic is the clock that the processes of a host share (s).
func monotonic() float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return float64(now.Nano()) / 1e9
}

func pauseUntil(at float64) {
	time.Sleep(time.Duration((at - monotonic()) * 1e9))
}

// speaker writes lines, one at a time.
type speaker struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (s *speaker) tell(said map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Encode(said); err != nil {
		os.Exit(0) // nobody listens any more
	}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	if !lines.Scan() {
		log.Fatal("no order came")
	}
	var given order
	if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
		log.Fatal(err)
	}
	g, err := guard.New(guard.Config{URL: given.URL, Credential: given.Credential, Name: given.Name})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { _ = g.Run(ctx) }) // it ends with the context alone
	told := &speaker{out: json.NewEncoder(os.Stdout)}
	ready(ctx, g)
	told.tell(map[string]any{"ready": true})
	go work(g, told, given.Lives)
	go read(ctx, g, told, lines)
	<-ctx.Done()
	running.Wait()
}

func ready(ctx context.Context, g *guard.Guard) {
	within, done := context.WithTimeout(ctx, deadline)
	defer done()
	if err := g.Ready(within); err != nil {
		log.Fatal(err)
	}
}

// read answers each question when it is due.
func read(ctx context.Context, g *guard.Guard, told *speaker, lines *bufio.Scanner) {
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		go func() {
			pauseUntil(asked.Due)
			answer(ctx, g, told, asked)
		}()
	}
}

// answer checks families again and again, and tells each time what is allowed.
func answer(ctx context.Context, g *guard.Guard, told *speaker, asked question) {
	if asked.Settled {
		ready(ctx, g)
	}
	for {
		revoked, lapsed := sweep(g, told, asked)
		if monotonic() >= asked.Until {
			told.tell(map[string]any{
				"number": asked.Number, "over": true, "revoked": revoked, "lapsed": lapsed,
			})
			return
		}
		time.Sleep(look)
	}
}

func sweep(g *guard.Guard, told *speaker, asked question) (revoked, lapsed int) {
	for first := asked.Range[0]; first < asked.Range[1]; first += slice {
		at, allowed := monotonic(), []string{}
		for number := first; number < min(first+slice, asked.Range[1]); number++ {
			for _, of := range "pc" {
				name := fmt.Sprintf("bench.key:%c%d", of, number)
				verdict := g.Check(guard.Present(name), guard.Options{})
				switch {
				case verdict.Allowed:
					allowed = append(allowed, name)
				case verdict.Reason == guard.Revoked:
					revoked++
				case verdict.Reason == guard.NoLease || verdict.Reason == guard.NotCaughtUp:
					lapsed++
				}
			}
		}
		if len(allowed) > 0 {
			told.tell(map[string]any{"number": asked.Number, "at": at, "allowed": allowed})
		}
	}
	return revoked, lapsed
}

// work checks what lives, and counts where there was no lease.
func work(g *guard.Guard, told *speaker, lives int) {
	checks, lapsed, last := 0, 0, time.Now()
	for {
		for range load {
			checks++
			name := fmt.Sprintf("bench.key:l%d", checks%lives)
			if !g.Check(guard.Present(name), guard.Options{}).Allowed {
				lapsed++
			}
		}
		if time.Since(last) > time.Second {
			last = time.Now()
			told.tell(map[string]any{"living": checks, "lapsed": lapsed})
		}
		time.Sleep(pause)
	}
}
