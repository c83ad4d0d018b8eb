package table

import (
	"math"
	"strings"
)

// Reasons of a judgement.
const (
	Lives             = "lives"
	LineageTooLarge   = "lineage_too_large"
	Revoked           = "revoked"
	Suspended         = "suspended"
	TooOld            = "not_before"
	NoLivingOwner     = "no_living_owner"
	BeyondHorizon     = "beyond_horizon"
	Expired           = "expired"
	UnknownCredential = "unknown_credential"
	Narrowed          = "narrowed"
	OutOfScope        = "scope"
)

// Unknown says what to do with a credential that no fact makes known.
type Unknown uint8

// The policies, the strictest first.
const (
	Deny Unknown = iota
	AllowIfPrincipalKnown
	AllowAndReport
)

const (
	// MostIdentifiers and MostActors bound what may be presented together.
	MostIdentifiers = 64
	MostActors      = 32
	closureLimit    = 4096
)

// Presented is what a caller presents together, after its signature was verified.
type Presented struct {
	Identifiers []Identifier
	IssuedAt    int64 // the verified time, or UnknownTime
	Chain       []Identifier
}

// UnknownTime stands for a time of issue that nobody knows.
const UnknownTime int64 = unknownTime

// Question is what a verdict depends on, besides facts.
type Question struct {
	Presented Presented
	Now       int64   // the time for expiry
	Scope     *string // nil where none is asked for
	Policy    map[string]Unknown
}

// Judgement is an answer of the table.
type Judgement struct {
	Allowed bool
	Reason  string
	// Caused says that a cause is behind the denial, and not a doubt.
	Caused bool
	// Cause is the cause behind it, where it is a single one, and Target names it.
	Cause  *Cause
	Target Identifier
	// Path leads from what was presented to where the reason stands.
	Path []Identifier
	// Report names kinds of unknown credentials that the policy lets through.
	Report []string
}

// Judge answers a question. Several may judge at the same time.
func (t *Table) Judge(q *Question) Judgement {
	var room [8]int32
	nodes := room[:0]
	for _, one := range q.Presented.Identifiers {
		nodes = append(nodes, t.names.find(one))
	}
	for _, one := range q.Presented.Chain {
		nodes = append(nodes, t.names.find(one))
	}
	if !t.nothingEnds(q, nodes) {
		if judged := newClosure(t, q, nodes).judge(); !judged.Allowed {
			return judged
		}
	}
	return t.recognised(q, nodes)
}

// nothingEnds is a quick look: false means that a closer one is due, never dead.
func (t *Table) nothingEnds(q *Question, nodes []int32) bool {
	if t.horizon != nil {
		return false
	}
	loud := caused | owned
	if q.Scope != nil {
		loud |= scoped
	}
	var seen visited
	var room [16]int32
	todo := room[:0]
	for _, node := range nodes {
		if node != none && seen.add(node) {
			todo = append(todo, node)
		}
	}
	// What no fact names is counted as well, as often as it is presented.
	for at := 0; at < len(todo); at++ {
		node := todo[at]
		if len(todo)+len(nodes) > closureLimit || t.flags[node]&loud != 0 || t.expiry.earliest[node] <= q.Now {
			return false
		}
		if other := t.ring[node]; other != node && seen.add(other) {
			todo = append(todo, other)
		}
		if other := t.parent[node]; other != none && seen.add(other) {
			todo = append(todo, other)
		}
		if t.flags[node]&(manyParents|labelled) != 0 {
			for _, further := range t.parents(node) {
				if seen.add(further.parent) {
					todo = append(todo, further.parent)
				}
			}
		}
	}
	return true
}

// visited is a set of nodes that takes no memory while it is small.
type visited struct {
	few  [16]int32
	len  int
	many map[int32]struct{}
}

func (v *visited) add(node int32) bool {
	if v.many == nil {
		for _, one := range v.few[:v.len] {
			if one == node {
				return false
			}
		}
		if v.len < len(v.few) {
			v.few[v.len] = node
			v.len++
			return true
		}
		v.many = make(map[int32]struct{}, 4*len(v.few))
		for _, one := range v.few {
			v.many[one] = struct{}{}
		}
	}
	if _, there := v.many[node]; there {
		return false
	}
	v.many[node] = struct{}{}
	return true
}

// recognised judges what no reason ends by whether facts make it known.
func (t *Table) recognised(q *Question, nodes []int32) Judgement {
	judged := Judgement{Allowed: true, Reason: Lives}
	found := false
	for i, one := range q.Presented.Identifiers {
		node := nodes[i]
		// A label is nobody's name.
		if node != none && t.flags[node]&known != 0 && !strings.HasPrefix(one.Kind, labels) {
			found = true
			continue
		}
		if t.vocabulary.class(one.Kind) != Credential {
			continue
		}
		switch policy := q.Policy[one.Kind]; {
		case policy == AllowAndReport:
			judged.Report = append(judged.Report, "unknown "+one.Kind)
		case policy == AllowIfPrincipalKnown && t.principalKnown(q, nodes):
		default:
			return Judgement{Reason: UnknownCredential, Path: []Identifier{one}}
		}
		found = true
	}
	if !found {
		return Judgement{Reason: UnknownCredential}
	}
	return judged
}

func (t *Table) principalKnown(q *Question, nodes []int32) bool {
	split := len(q.Presented.Identifiers)
	for i, node := range nodes {
		kind := ""
		if i < split {
			kind = q.Presented.Identifiers[i].Kind
		} else {
			kind = q.Presented.Chain[i-split].Kind
		}
		if node != none && t.flags[node]&known != 0 && t.vocabulary.class(kind) == Principal {
			return true
		}
	}
	return false
}

// covers says whether a declared set of scopes allows a request. A set limits only the
// namespaces that it names, and an empty one allows nothing.
func covers(declared []string, request string) bool {
	namespace, _, _ := strings.Cut(request, "|")
	limited := false
	for _, scope := range declared {
		if of, _, _ := strings.Cut(scope, "|"); of != namespace {
			continue
		}
		limited = true
		if scope == request ||
			strings.HasSuffix(scope, ":*") && strings.HasPrefix(request, scope[:len(scope)-1]) {
			return true
		}
	}
	return len(declared) > 0 && !limited
}

// flaw is a reason to deny.
type flaw struct {
	reason string
	node   int // where it stands, a place in the closure
	cause  *Cause
	target int32
	caused bool
	passes bool // to what requires the node
}

var precedence = map[string]int{
	LineageTooLarge: 0, Revoked: 1, Suspended: 2, TooOld: 3, NoLivingOwner: 4, BeyondHorizon: 5,
	Expired: 6,
}

func (f flaw) before(other flaw) bool {
	if a, b := precedence[f.reason], precedence[other.reason]; a != b {
		return a < b
	}
	if f.caused != other.caused {
		return !f.caused // an owner set that nobody met before leaves no cause to name
	}
	return older(f.cause, other.cause)
}

// older orders causes by the time when they happened; ids break ties.
func older(a, b *Cause) bool {
	age := func(c *Cause) int64 {
		if c == nil {
			return math.MinInt64
		}
		return c.At
	}
	if age(a) != age(b) || a == nil || b == nil {
		return age(a) < age(b)
	}
	return string(a.ID[:]) < string(b.ID[:])
}
