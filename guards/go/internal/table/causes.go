package table

import (
	"cmp"
	"encoding/hex"
	"slices"
)

// What a cause does to its target.
const (
	Revoke    = "revoke"
	Suspend   = "suspend"
	Narrow    = "narrow"
	NotBefore = "not_before"
)

// Cause is a cause in the table, merged over its copies. Its times are not later than
// their receipt.
type Cause struct {
	ID        FactID
	Authority string
	Effect    string
	Self      bool
	At        int64
	Mark      int64 // T of a not_before, otherwise 0

	version, uncertainty int64
	aspect               string
	scopes               []string
	device, tenant       *string
	until                *int64
	kinds                []string // sorted
	where                []Identifier
	ofOwner              bool // the target is one of where, and need not be required
}

// FactID in hex.
func (c *Cause) FactID() string { return hex.EncodeToString(c.ID[:]) }

type stamp struct{ version, uncertainty, claimed int64 }

type liftKey struct {
	authority string
	node      int32
	aspect    string
}

// causes are all causes and lifts, by target.
type causes struct {
	on     map[int32][]*Cause
	lifts  map[liftKey]map[FactID]stamp
	lifted map[int32][]liftKey
	latest map[liftKey]map[int64]int64 // by uncertainty: the latest version of a lift
}

func newCauses() causes {
	return causes{
		map[int32][]*Cause{}, map[liftKey]map[FactID]stamp{}, map[int32][]liftKey{},
		map[liftKey]map[int64]int64{},
	}
}

func readCause(f *Fact) *Cause {
	mark := int64(0)
	if f.Effect == NotBefore {
		mark = f.At
		if f.Time != nil {
			mark = *f.Time
		}
	}
	return &Cause{
		ID: f.ID(), Authority: f.Authority, Effect: f.Effect, Self: f.Self,
		At: min(f.At, f.ReceivedAt), Mark: min(mark, f.ReceivedAt),
		version: f.effectiveVersion(), uncertainty: f.uncertainty(),
		aspect: f.Aspect, scopes: f.Scopes, device: f.Device, tenant: f.Tenant,
		until: f.Until, kinds: slices.Compact(slices.Sorted(slices.Values(f.Kinds))),
		where: conditions(f.Where), ofOwner: slices.Contains(f.Where, f.Node),
	}
}

// conditions are a sorted set.
func conditions(of []Identifier) []Identifier {
	return slices.Compact(slices.SortedFunc(slices.Values(of), func(a, b Identifier) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value))
	}))
}

// add merges one cause or one more copy of it.
func (c *causes) add(node int32, cause *Cause) {
	for i, known := range c.on[node] {
		if known.ID == cause.ID {
			merged := *known // the old one may be part of a verdict
			merged.At, merged.Mark = min(merged.At, cause.At), min(merged.Mark, cause.Mark)
			least := smaller(
				stamp{known.version, known.uncertainty, 0}, stamp{cause.version, cause.uncertainty, 0},
			)
			merged.version, merged.uncertainty = least.version, least.uncertainty
			c.on[node][i] = &merged
			return
		}
	}
	c.on[node] = append(c.on[node], cause)
}

// smaller of two versions; of equal ones that with the larger uncertainty.
func smaller(a, b stamp) stamp {
	if b.version < a.version || (b.version == a.version && b.uncertainty > a.uncertainty) {
		return b
	}
	return a
}

// lift merges one lift; one that claims a time far ahead is refused.
func (c *causes) lift(node int32, f *Fact) {
	if f.Version > f.ReceivedAt+futureTolerance {
		return
	}
	said := stamp{f.effectiveVersion(), f.uncertainty(), f.Version}
	c.putLift(liftKey{f.Authority, node, f.Aspect}, f.ID(), said)
}

func (c *causes) putLift(key liftKey, id FactID, said stamp) {
	if c.lifts[key] == nil {
		c.lifts[key] = map[FactID]stamp{}
		c.lifted[key.node] = append(c.lifted[key.node], key)
	}
	known, there := c.lifts[key][id]
	if there {
		said = smaller(known, said)
	}
	c.lifts[key][id] = said
	if there && known != said {
		c.gather(key)
	} else {
		c.raise(key, said)
	}
}

func (c *causes) raise(key liftKey, said stamp) {
	if c.latest[key] == nil {
		c.latest[key] = map[int64]int64{}
	}
	if version, there := c.latest[key][said.uncertainty]; !there || said.version > version {
		c.latest[key][said.uncertainty] = said.version
	}
}

func (c *causes) gather(key liftKey) {
	delete(c.latest, key)
	for _, said := range c.lifts[key] {
		c.raise(key, said)
	}
}

// remove takes a cause or a lift back.
func (c *causes) remove(node int32, id FactID) {
	for i, cause := range c.on[node] {
		if cause.ID == id {
			rest := append([]*Cause{}, c.on[node][:i]...)
			c.on[node] = append(rest, c.on[node][i+1:]...)
			return
		}
	}
	for _, key := range c.lifted[node] {
		if _, there := c.lifts[key][id]; there {
			delete(c.lifts[key], id)
			c.gather(key)
		}
	}
}

// inForce says whether no lift ends the cause, nor its own end.
func (c *causes) inForce(node int32, cause *Cause, now int64) bool {
	if cause.until != nil && now-untilTolerance >= *cause.until {
		return false
	}
	if cause.Effect != Suspend && cause.Effect != Narrow {
		return true
	}
	for uncertainty, version := range c.latest[liftKey{cause.Authority, node, cause.aspect}] {
		if version > cause.version+max(cause.uncertainty, uncertainty) {
			return false
		}
	}
	return true
}
