package table

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Times and lengths of time are nanoseconds.
const (
	Second           int64 = 1_000_000_000
	futureTolerance        = 300 * Second
	stampUncertainty       = 5 * Second
	mostConditions         = 16
	authorityOf            = "authority.of"
	attributes             = "attribute."
	untilTolerance         = 2 * Second // a clock may be ahead, and what has ended allows
)

// FactID is the hash of what a fact says.
type FactID [sha256.Size]byte

// Fact is one statement of the log. Which of the fields count follows from Kind.
type Fact struct {
	Kind       string
	Authority  string
	Version    int64
	Stamped    bool
	ReceivedAt int64
	IngressKey string

	// Node is the node, child, target or first name that the fact speaks of.
	Node Identifier
	// Other is the parent, the second name, or the attribute.
	Other     Identifier
	Owners    []Identifier
	Labels    []Identifier
	Scopes    []string
	Time      *int64 // issued_at, expires_at, or not_before
	At        int64
	Until     *int64   // of a cause that has an end
	Kinds     []string // of a cause that acts on these alone
	Where     []Identifier
	From, To  int64 // of a distrust
	Relation  string
	Effect    string
	Self      bool // reach
	Derived   bool
	Root      bool
	Device    *string
	Tenant    *string
	Aspect    string
	Withdrawn string // hex id, of a withdraw
	OfKind    string // of a withdraw: the kind of that fact
	Suspect   string
	Key       string // of a distrust

	plain map[string]any
	id    *FactID
}

// Corrects says whether the fact takes others back.
func (f *Fact) Corrects() bool { return f.Kind == "withdraw" || f.Kind == "distrust" }

func (f *Fact) tolerated() int64 {
	if f.Kind == "cause" || f.Kind == "horizon" {
		return futureTolerance
	}
	return 0
}

func (f *Fact) ahead() bool { return f.Version > f.ReceivedAt+f.tolerated() }

func (f *Fact) varies() bool { return f.Stamped || f.ahead() }

func (f *Fact) effectiveVersion() int64 {
	if f.ahead() {
		return f.ReceivedAt
	}
	return f.Version
}

func (f *Fact) uncertainty() int64 {
	if f.varies() {
		return stampUncertainty
	}
	return 0
}

func (f *Fact) covers(other *Fact) bool {
	return other.Authority == f.Suspect && other.IngressKey == f.Key &&
		f.From <= other.ReceivedAt && other.ReceivedAt <= f.To && !other.Corrects()
}

// ID is the SHA-256 of the fact's canonical JSON.
func (f *Fact) ID() FactID {
	if f.id == nil {
		id := FactID(sha256.Sum256(f.canonical()))
		f.id = &id
	}
	return *f.id
}

// field is a field of a fact on the wire.
type field struct {
	name     string
	form     form
	nullable bool
	copies   bool // describes the copy, not the fact
}

type form uint8

const (
	text form = iota
	integer
	boolean
	identifier
	identifiers
	texts
)

var common = []field{
	{"fact", text, false, false}, {"authority", text, false, false},
	{"event_id", text, true, false}, {"version", integer, false, false},
	{"stamped", boolean, false, false}, {"received_at", integer, false, true},
	{"ingress_key", text, false, true}, {"settings", integer, false, true},
}

var kinds = map[string][]field{
	"node": {
		{"node", identifier, false, false}, {"issued_at", integer, true, false},
		{"derived", boolean, false, false}, {"root", boolean, false, false},
		{"device", text, true, false}, {"tenant", text, true, false},
	},
	"edge": {
		{"child", identifier, false, false}, {"parent", identifier, false, false},
		{"relation", text, false, false}, {"derived", boolean, false, false},
	},
	"alias": {{"first", identifier, false, false}, {"second", identifier, false, false}},
	"owner_set": {
		{"node", identifier, false, false}, {"owners", identifiers, false, false},
	},
	"renewal":   {{"node", identifier, false, false}, {"expires_at", integer, true, false}},
	"scope_set": {{"node", identifier, false, false}, {"scopes", texts, false, false}},
	"label_set": {{"node", identifier, false, false}, {"labels", identifiers, false, false}},
	"holds":     {{"node", identifier, false, false}, {"attribute", identifier, false, false}},
	"cause": {
		{"target", identifier, false, false}, {"effect", text, false, false},
		{"reach", text, false, false}, {"at", integer, false, false},
		{"not_before", integer, true, false}, {"aspect", text, false, false},
		{"scopes", texts, false, false}, {"device", text, true, false},
		{"tenant", text, true, false},
	},
	"lift": {{"target", identifier, false, false}, {"aspect", text, false, false}},
	"withdraw": {
		{"fact_id", text, false, false}, {"kind", text, false, false},
		{"target", identifier, false, false},
	},
	"distrust": {
		{"suspect", text, false, false}, {"suspect_key", text, false, false},
		{"received_from", integer, false, false}, {"received_to", integer, false, false},
	},
	"horizon": {},
}

// seldom are fields that a fact has where they say something.
var seldom = map[string][]field{
	"cause": {{"until", integer, true, false}, {"kinds", texts, false, false}, {"where", identifiers, false, false}},
}

// Relations by their number in a table, and what a cause may say.
var (
	relations = []string{"requires", "ends_with_parent", "ends_with_parent_always"}
	effects   = []string{Revoke, Suspend, Narrow, NotBefore}
	reaches   = []string{"subtree", "self"}
)

// CreatedBy is no lineage.
const createdBy = "created_by"

// ReadFact reads a fact of the feed, all of it or nothing.
func ReadFact(value any) (*Fact, error) {
	told, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("a fact is an object")
	}
	kind, _ := told["fact"].(string)
	special, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("unknown kind of fact: %q", kind)
	}
	for _, one := range seldom[kind] {
		if _, there := told[one.name]; there {
			special = append(special[:len(special):len(special)], one)
		}
	}
	if len(told) != len(common)+len(special) {
		return nil, fmt.Errorf("a %s fact with missing or unknown fields", kind)
	}
	plain := make(map[string]any, len(told))
	for _, fields := range [][]field{common, special} {
		for _, one := range fields {
			value, there := told[one.name]
			if !there {
				return nil, fmt.Errorf("a %s fact without %s", kind, one.name)
			}
			read, err := one.read(value)
			if err != nil {
				return nil, fmt.Errorf("a %s fact: %w", kind, err)
			}
			if !one.copies {
				plain[one.name] = read
			}
			told[one.name] = read
		}
	}
	return newFact(kind, told, plain)
}

func (f field) read(value any) (any, error) {
	if value == nil && f.nullable {
		return nil, nil
	}
	switch f.form {
	case text:
		if read, ok := value.(string); ok {
			return read, nil
		}
	case boolean:
		if read, ok := value.(bool); ok {
			return read, nil
		}
	case integer:
		if read, ok := Integer(value); ok {
			return read, nil
		}
	case identifier:
		if read, ok := value.(string); ok {
			_, err := ParseIdentifier(read)
			return read, err
		}
	case identifiers, texts:
		if list, ok := value.([]any); ok {
			return f.readList(list)
		}
	}
	return nil, fmt.Errorf("%s has another type", f.name)
}

func (f field) readList(list []any) (any, error) {
	read := make([]string, len(list))
	for i, value := range list {
		one, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("%s has another type", f.name)
		}
		if f.form == identifiers {
			if _, err := ParseIdentifier(one); err != nil {
				return nil, err
			}
		}
		read[i] = one
	}
	return read, nil
}

// newFact makes a fact of values that were read.
func newFact(kind string, told, plain map[string]any) (*Fact, error) {
	f := &Fact{Kind: kind, plain: plain}
	as := values(told)
	f.Authority, f.Version, f.Stamped = as.text("authority"), as.integer("version"), as.flag("stamped")
	f.ReceivedAt, f.IngressKey = as.integer("received_at"), as.text("ingress_key")
	f.Node = as.identifier("node", "child", "target", "first")
	f.Other = as.identifier("parent", "second", "attribute")
	f.Time = as.time("issued_at", "expires_at", "not_before")
	f.At, f.Aspect = as.integer("at"), as.text("aspect")
	f.Derived, f.Root = as.flag("derived"), as.flag("root")
	f.Device, f.Tenant = as.optional("device"), as.optional("tenant")
	f.Relation, f.Effect = as.text("relation"), as.text("effect")
	f.Self = as.text("reach") == "self"
	f.Withdrawn, f.OfKind = as.text("fact_id"), as.text("kind")
	f.Suspect, f.Key = as.text("suspect"), as.text("suspect_key")
	f.From, f.To = as.integer("received_from"), as.integer("received_to")
	f.Scopes, _ = told["scopes"].([]string)
	f.Until = as.time("until")
	f.Kinds, _ = told["kinds"].([]string)
	f.Where = as.identifiers("where")
	if f.Node.Kind == ownerOf && kind == "cause" {
		// A reader that does not know of owners must see that there is a condition.
		told, _ := plain["where"].([]string)
		plain["where"] = append(slices.Clone(told), f.Node.String())
		f.Where = append(f.Where, f.Node)
	}
	for _, one := range seldom[kind] {
		if list, ok := plain[one.name].([]string); plain[one.name] == nil || ok && len(list) == 0 {
			delete(plain, one.name) // what does not say it has the id that it always had
		}
	}
	f.Owners, f.Labels = as.identifiers("owners"), as.identifiers("labels")
	switch {
	case kind == "edge" && f.Relation != createdBy && !slices.Contains(relations, f.Relation):
		return nil, fmt.Errorf("unknown relation %q", f.Relation)
	case kind == "cause" && !slices.Contains(effects, f.Effect):
		return nil, fmt.Errorf("unknown effect %q", f.Effect)
	case kind == "cause" && !slices.Contains(reaches, as.text("reach")):
		return nil, fmt.Errorf("unknown reach %q", as.text("reach"))
	}
	for _, label := range f.Labels {
		if !strings.HasPrefix(label.Kind, labels) || label.Kind == labels {
			return nil, fmt.Errorf("%s is no label", label)
		}
	}
	return f, f.limits()
}

// values are fields that were read; those of other kinds are absent.
type values map[string]any

func (v values) text(name string) string { read, _ := v[name].(string); return read }

func (v values) integer(name string) int64 { read, _ := v[name].(int64); return read }

func (v values) flag(name string) bool { read, _ := v[name].(bool); return read }

func (v values) optional(name string) *string {
	if read, ok := v[name].(string); ok {
		return &read
	}
	return nil
}

func (v values) time(names ...string) *int64 {
	for _, name := range names {
		if read, ok := v[name].(int64); ok {
			return &read
		}
	}
	return nil
}

func (v values) identifiers(name string) []Identifier {
	list, _ := v[name].([]string)
	read := make([]Identifier, 0, len(list))
	for _, one := range list {
		of, _ := ParseIdentifier(one) // it was read before
		read = append(read, of)
	}
	return read
}

func (v values) identifier(names ...string) Identifier {
	for _, name := range names {
		if read, ok := v[name].(string); ok {
			of, _ := ParseIdentifier(read) // it was read before
			return of
		}
	}
	return Identifier{}
}
