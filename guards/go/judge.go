package guard

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"rescind.dev/guard/internal/standing"
	"rescind.dev/guard/internal/table"
)

// judge puts together what the table says and how far the guard can vouch for it.
type judge struct {
	standing *standing.Standing
	clock    func() int64
	modes    map[string]Mode // by route; "" is every other one
	policy   map[string]table.Unknown
	counters Counters
}

// modesOf gives the modes by route; "" is every other one.
func modesOf(mode Mode, routes map[string]Mode) (map[string]Mode, error) {
	modes := map[string]Mode{"": cmp.Or(mode, FailClosed)}
	for route, of := range routes {
		if route == "" {
			return nil, errors.New("a route has a name")
		}
		modes[route] = of
	}
	return modes, nil
}

// unknownOf is what is done with the unknown where nothing else is said.
func unknownOf(given map[string]UnknownPolicy) map[string]UnknownPolicy {
	if given == nil {
		return map[string]UnknownPolicy{"jwt.jti": AllowIfPrincipalKnown}
	}
	return given
}

func newJudge(
	of *standing.Standing, clock func() int64, modes map[string]Mode, unknown map[string]UnknownPolicy,
) (*judge, error) {
	j := &judge{standing: of, clock: clock, modes: modes, policy: map[string]table.Unknown{}}
	for _, mode := range modes {
		if mode != FailClosed && mode != FailOpen && mode != Observe {
			return nil, fmt.Errorf("unknown mode %q", mode)
		}
	}
	for kind, policy := range unknown {
		switch policy {
		case Deny:
		case AllowIfPrincipalKnown:
			j.policy[kind] = table.AllowIfPrincipalKnown
		case AllowAndReport:
			j.policy[kind] = table.AllowAndReport
		default:
			return nil, fmt.Errorf("unknown policy %q", policy)
		}
	}
	return j, nil
}

var errUnreadable = errors.New("too many identifiers or actors, or one that is none")

// read reads what is presented. Callers choose its length, and names cost time.
func read(presented *Presented, question *table.Question) error {
	if len(presented.Identifiers) > table.MostIdentifiers || len(presented.Chain) > table.MostActors {
		return errUnreadable
	}
	to := &question.Presented
	for _, name := range presented.Identifiers {
		one, err := table.ParseIdentifier(name)
		if err != nil {
			return errUnreadable
		}
		to.Identifiers = append(to.Identifiers, one)
	}
	for _, name := range presented.Chain {
		one, err := table.ParseIdentifier(name)
		if err != nil {
			return errUnreadable
		}
		to.Chain = append(to.Chain, one)
	}
	to.IssuedAt = nanoseconds(presented.IssuedAt)
	return nil
}

var lastTime = time.Unix(0, math.MaxInt64-1)

// nanoseconds since 1970; a time that they cannot hold is as good as none.
func nanoseconds(of time.Time) int64 {
	if of.IsZero() || of.After(lastTime) || of.Before(time.Unix(0, math.MinInt64)) {
		return table.UnknownTime
	}
	return of.UnixNano()
}

// check judges a presentation now. It never waits.
func (j *judge) check(presented Presented, options Options) Verdict {
	mode := j.mode(options.Route)
	var names [4]table.Identifier
	question := table.Question{Policy: j.policy}
	question.Presented.Identifiers = names[:0]
	if options.Scope != "" {
		question.Scope = &options.Scope
	}
	if err := read(&presented, &question); err != nil {
		return j.answer(mode, &standing.Answer{Served: j.standing.Served()}, false, Unreadable)
	}
	question.Now = j.standing.Time.Now()
	answer := j.standing.Judge(&question)
	covered := options.AtLeast == "" || j.covers(options.AtLeast)
	return j.conclude(mode, &answer, covered)
}

func (j *judge) mode(route string) Mode {
	mode, declared := j.modes[route]
	if !declared {
		return FailClosed // of a route that nobody declared nothing weaker is known
	}
	return mode
}

// conclude reads the clock last: the process may have been stopped since the lease was read.
func (j *judge) conclude(mode Mode, answer *standing.Answer, covered bool) Verdict {
	stale := j.clock() >= answer.Deadline
	lapse := Reason("")
	switch {
	case !answer.CaughtUp:
		lapse = NotCaughtUp
	case !covered:
		lapse = NotYetApplied
	case stale && mode != FailOpen:
		lapse = NoLease
	}
	return j.answer(mode, answer, stale, lapse)
}

func (j *judge) covers(token string) bool {
	wanted, err := standing.ParseToken(token)
	return err == nil && j.standing.Covers(wanted)
}

// answer puts rule and lapse together. A known cause says more than a lapse, and a lapse
// more than a doubt: a credential may be unknown only because the table is behind.
func (j *judge) answer(mode Mode, answer *standing.Answer, stale bool, lapse Reason) Verdict {
	refused := lapse != "" || !answer.Allowed
	verdict := Verdict{
		Reason: Reason(answer.Reason), Mode: mode, Stale: stale,
		Observed: refused && mode == Observe && answer.Served,
	}
	verdict.Allowed = !refused || verdict.Observed
	if lapse != "" && !answer.Caused {
		verdict.Reason = lapse
	}
	if refused {
		verdict.Path, verdict.Cause = plainPath(&answer.Judgement), plainCause(&answer.Judgement)
	}
	verdict.Report = answer.Report
	j.counters.count(&verdict)
	return verdict
}
