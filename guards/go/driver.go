package guard

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"rescind.dev/guard/internal/standing"
	"rescind.dev/guard/internal/table"
)

type request struct {
	Do         string
	Clock      int64
	Wall       int64
	Connection int
	Frame      string
	Bytes      *string
	Scope      *string
	AtLeast    *string `json:"at_least"`
	Settings   struct {
		LeaseMS int64 `json:"lease_ms"`
		Mode    Mode
		Unknown map[string]UnknownPolicy
	}
	Presented struct {
		Identifiers []any
		IssuedAt    *int64 `json:"issued_at"`
		Chain       []any
	}
}

// driven is a guard whose connections the kit makes.
type driven struct {
	clock, wall int64
	standing    *standing.Standing
	links       *standing.Links
	open        map[int]*standing.Link
	judge       *judge
}

// Drive answers the requests of the conformance kit until the input ends. The kit brings
// clocks and connections; everything else is what applications run.
func Drive(from io.Reader, to io.Writer) error {
	input, output := bufio.NewReader(from), json.NewEncoder(to)
	d := &driven{}
	for {
		line, err := input.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		reply, err := d.answer(line)
		if err != nil {
			reply = map[string]any{"error": err.Error()}
		}
		if err := output.Encode(reply); err != nil {
			return err
		}
	}
}

func (d *driven) answer(line []byte) (map[string]any, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, err
	}
	d.clock, d.wall = r.Clock, r.Wall
	switch r.Do {
	case "reset":
		return d.reset(r)
	case "connect":
		return map[string]any{"hello": d.connect(r.Connection)}, nil
	case "ping":
		return map[string]any{"ping": map[string]any{"type": "ping", "seq": d.links.Ping()}}, nil
	case "receive":
		return map[string]any{"closed": d.receive(r)}, nil
	case "disconnect":
		delete(d.open, r.Connection)
		return map[string]any{}, nil
	case "check":
		return d.check(r, line), nil
	}
	return nil, fmt.Errorf("unknown request %q", r.Do)
}

func (d *driven) reset(r request) (map[string]any, error) {
	clock, wall := func() int64 { return d.clock }, func() int64 { return d.wall }
	d.standing = standing.New(r.Settings.LeaseMS*1_000_000, clock, wall)
	d.links, _ = standing.NewLinks(d.standing)
	d.open = map[int]*standing.Link{}
	modes := map[string]Mode{"": r.Settings.Mode}
	judge, err := newJudge(d.standing, clock, modes, r.Settings.Unknown)
	if err != nil {
		return nil, err
	}
	d.judge = judge
	return map[string]any{"guard": "rescind.dev/guard (Go)"}, nil
}

func (d *driven) connect(number int) any {
	for _, link := range d.links.All() {
		if !slices.Contains(slices.Collect(maps.Values(d.open)), link) {
			d.open[number] = link
			return d.links.Hello(link)
		}
	}
	return nil // no further connection is wanted
}

func (d *driven) receive(r request) bool {
	link, stands := d.open[r.Connection]
	if !stands {
		return true
	}
	var err error
	if r.Bytes != nil {
		part, _ := base64.StdEncoding.DecodeString(*r.Bytes)
		err = d.links.ReceiveBytes(link, part)
	} else {
		_, err = d.links.Receive(link, []byte(r.Frame))
	}
	if err != nil {
		delete(d.open, r.Connection)
		return true
	}
	d.links.Settle(link)
	for number, other := range d.open {
		if !d.links.Stands(other) {
			delete(d.open, number)
		}
	}
	_, stands = d.open[r.Connection]
	return !stands
}

func (d *driven) check(r request, line []byte) map[string]any {
	presented := Presented{}
	_, unreadable := table.ReadJSON(line)
	for _, of := range []struct {
		from []any
		to   *[]string
	}{{r.Presented.Identifiers, &presented.Identifiers}, {r.Presented.Chain, &presented.Chain}} {
		for _, one := range of.from {
			name, ok := one.(string)
			if !ok || unreadable != nil {
				name = "" // no identifier either
			}
			*of.to = append(*of.to, name)
		}
	}
	if r.Presented.IssuedAt != nil {
		presented.IssuedAt = time.Unix(0, *r.Presented.IssuedAt)
	}
	options := Options{}
	if r.Scope != nil {
		options.Scope = *r.Scope
	}
	if r.AtLeast != nil {
		options.AtLeast = cmp.Or(*r.AtLeast, ":") // an empty one is none
	}
	verdict := d.judge.check(presented, options)
	return map[string]any{
		"allowed": verdict.Allowed, "reason": verdict.Reason, "observed": verdict.Observed,
	}
}
