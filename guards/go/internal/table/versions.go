package table

// registerName names a register: an empty owner set has one of its own.
type registerName struct {
	kind      string
	node      Identifier // none for a horizon
	authority string
}

// claim is a statement dated ahead of its receipt.
type claim struct{ claimed, smallest int64 }

// versions keeps the smallest version over the copies of a statement, where copies may
// differ: a later copy must not outbid what was said between the two.
//
// Of stamped statements all are kept, since any later copy brings a later stamp. One
// from ahead can win only while nothing newer than its claim stands, and is forgotten
// then.
type versions struct {
	stamped map[FactID]int64
	claims  map[registerName]map[FactID]claim
}

func newVersions() versions {
	return versions{map[FactID]int64{}, map[registerName]map[FactID]claim{}}
}

func (v *versions) any() bool { return len(v.stamped)+len(v.claims) > 0 }

func nameOf(f *Fact) registerName {
	kind := f.Kind
	if kind == "owner_set" && len(f.Owners) == 0 {
		kind = "emptied"
	}
	return registerName{kind, f.Node, f.Authority}
}

// note takes in a copy before any is merged.
func (v *versions) note(f *Fact) {
	switch f.Kind {
	case "owner_set", "renewal", "scope_set", "label_set", "horizon":
		if f.varies() {
			v.take(f, 0, false)
		}
	}
}

// take takes in a copy, and gives the smallest version over the copies and whether the
// register may hold the statement under a greater one. merged is the version that
// stands in the register, if there is one.
func (v *versions) take(f *Fact, merged int64, stands bool) (int64, bool) {
	effective := f.effectiveVersion()
	if f.Stamped {
		known, seen := v.stamped[f.ID()]
		if !seen || effective < known {
			v.stamped[f.ID()] = effective
		}
		return v.stamped[f.ID()], seen && effective < known && stands && merged == known
	}
	name := nameOf(f)
	claims := v.claims[name]
	standing, seen := claims[f.ID()]
	if !f.ahead() && !seen {
		return effective, false
	}
	known := f.Version // without a claim an older copy may be merged that was no clamped one
	if seen {
		known = standing.smallest
	}
	least := min(known, effective)
	if claims == nil {
		claims = map[FactID]claim{}
		v.claims[name] = claims
	}
	claims[f.ID()] = claim{f.Version, least}
	return least, effective < known && stands && merged == known
}

// forget drops what can no longer win a register in which a version stands.
func (v *versions) forget(f *Fact, stands int64) {
	name := nameOf(f)
	claims := v.claims[name]
	for id, one := range claims {
		if one.claimed < stands {
			delete(claims, id)
		}
	}
	if len(claims) == 0 {
		delete(v.claims, name)
	}
}
