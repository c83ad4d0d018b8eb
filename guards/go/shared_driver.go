package guard

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"
)

// sharedRequest is a question to a guard that reads a shared table.
type sharedRequest struct {
	Do      string // open, check or measure
	Lenient bool   // which of two guards
	Clock   int64  // CLOCK_BOOTTIME, ns
	Path    string
	Mode    Mode
	Unknown map[string]UnknownPolicy
	Names   []string
	Chain   []string
	Issued  *int64
	Scope   string
	AtLeast string `json:"at_least"`
	Count   int
}

// DriveShared lets a test ask a guard that reads shared tables: a request a line in, a
// verdict a line out. The test brings the clock.
func DriveShared(from io.Reader, to io.Writer) error {
	input, output := bufio.NewReader(from), json.NewEncoder(to)
	clock := int64(0)
	guards := map[bool]*SharedGuard{}
	for {
		line, err := input.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var r sharedRequest
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		clock = r.Clock
		reply := map[string]any{}
		if r.Do == "open" {
			config := SharedConfig{Path: r.Path, Mode: r.Mode, Unknown: r.Unknown}
			g, err := newShared(config, func() int64 { return clock })
			if err != nil {
				return err
			}
			guards[r.Lenient] = g
			if why := g.Trouble(); why != nil {
				reply["trouble"] = why.Error()
			}
		} else if r.Do == "measure" {
			if reply, err = measured(r); err != nil {
				return err
			}
		} else {
			reply = shown(guards[r.Lenient], r)
		}
		if err := output.Encode(reply); err != nil {
			return err
		}
	}
}

func shown(g *SharedGuard, r sharedRequest) map[string]any {
	presented := Presented{Identifiers: r.Names, Chain: r.Chain}
	if r.Issued != nil {
		presented.IssuedAt = time.Unix(0, *r.Issued)
	}
	verdict := g.Check(presented, Options{Scope: r.Scope, AtLeast: r.AtLeast})
	reply := map[string]any{"allowed": verdict.Allowed, "reason": verdict.Reason, "cause": nil}
	if verdict.Cause != nil {
		reply["cause"] = verdict.Cause.FactID
	}
	return reply
}

// measured times checks of the names in turn, by the clock of the machine.
func measured(r sharedRequest) (map[string]any, error) {
	g, err := NewShared(SharedConfig{Path: r.Path})
	if err != nil {
		return nil, err
	}
	times, allowed := make([]time.Duration, 0, r.Count), 0
	for i := range r.Count {
		presented := Present(r.Names[i%len(r.Names)])
		start := time.Now()
		verdict := g.Check(presented, Options{Scope: r.Scope})
		times = append(times, time.Since(start))
		if verdict.Allowed {
			allowed++
		}
	}
	slices.Sort(times)
	at := func(part int) int64 { return times[len(times)*part/100].Nanoseconds() }
	return map[string]any{"p50_ns": at(50), "p99_ns": at(99), "allowed": allowed}, nil
}
