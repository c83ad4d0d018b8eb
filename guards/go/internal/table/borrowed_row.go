package table

import (
	"maps"
	"math"
	"slices"
)

// Row is what few nodes have besides columns. It does not change once it is read.
type Row struct {
	parents    []edge
	reissued   *int64
	causes     map[FactID]*Cause
	targets    map[FactID]int32             // of the causes
	lifts      map[liftKey]map[FactID]stamp // of node 0
	latest     map[liftKey]map[int64]int64  // see causes.latest
	attributes []holding
	owners     [][]int32
	scopes     [][]string
	devices    []string
	tenants    []string
}

type holding struct {
	attribute int32
	version   int64
}

var rowFields = []string{
	"before", "more_parents", "reissued", "causes", "lifts", "gone", "attributes", "owners",
	"scopes", "devices", "tenants",
}

// Before is the place of the row that a row goes on from, 0 for none.
func Before(plain any) int64 {
	fields, _ := plain.(map[string]any)
	if fields["before"] == nil {
		return 0
	}
	place, is := Integer(fields["before"])
	if !is {
		return -1
	}
	return place
}

// ReadRow reads a row, and those that it goes on from, the newest first. The last one goes
// on from a row that was read before, where there is one.
func ReadRow(rows []any, before *Row) (*Row, error) {
	wrong := false
	read := &Row{causes: map[FactID]*Cause{}, targets: map[FactID]int32{}, lifts: map[liftKey]map[FactID]stamp{}}
	if before != nil {
		read.causes, read.targets = maps.Clone(before.causes), maps.Clone(before.targets)
		for key, lifts := range before.lifts {
			read.lifts[key] = maps.Clone(lifts)
		}
	}
	for _, plain := range slices.Backward(rows) {
		fields, err := readFields(plain, &wrong)
		if err != nil {
			return nil, err
		}
		read.end(fields)
	}
	of := causes{lifts: read.lifts, latest: map[liftKey]map[int64]int64{}}
	for key := range read.lifts {
		of.gather(key)
	}
	read.latest = of.latest
	fields, err := readFields(rows[0], &wrong)
	if err != nil {
		return nil, err
	}
	read.state(fields)
	if wrong {
		return nil, ErrTorn
	}
	return read, nil
}

// fields of a row. Those that are missing are empty lists.
type fields struct {
	plain map[string]any
	wrong *bool
}

func readFields(plain any, wrong *bool) (fields, error) {
	named, ok := plain.(map[string]any)
	if !ok {
		return fields{}, ErrTorn
	}
	for name := range named {
		if !slices.Contains(rowFields, name) {
			return fields{}, ErrTorn // what is new may mean anything
		}
	}
	return fields{named, wrong}, nil
}

func (f fields) at(name string) row {
	value, there := f.plain[name]
	if !there {
		value = []any{}
	}
	return row{value, name, math.MaxInt32, f.wrong}
}

// state takes up what counts from the newest row alone.
func (r *Row) state(f fields) {
	for _, up := range f.at("more_parents").items() {
		parent, strength := up.at(0).node(), up.at(1).integer()
		if strength < 0 || strength > int64(always) {
			*f.wrong = true
		}
		r.parents = append(r.parents, edge{parent: parent, strength: uint8(strength)})
	}
	if f.plain["reissued"] != nil {
		time := f.at("reissued").integer()
		r.reissued = &time
	}
	for _, one := range f.at("attributes").items() {
		r.attributes = append(r.attributes, holding{one.at(0).node(), one.at(1).integer()})
	}
	for _, set := range f.at("owners").items() {
		r.owners = append(r.owners, set.nodes())
	}
	for _, set := range f.at("scopes").items() {
		r.scopes = append(r.scopes, set.texts())
	}
	r.devices, r.tenants = f.at("devices").texts(), f.at("tenants").texts()
}

// end takes up causes and lifts. One of an id that is there takes its place.
func (r *Row) end(f fields) {
	for _, one := range f.at("causes").items() {
		cause, target := one.cause()
		r.causes[cause.ID], r.targets[cause.ID] = cause, target
	}
	for _, one := range f.at("lifts").items() {
		key := liftKey{authority: one.at(0).text(), aspect: one.at(2).text()}
		if r.lifts[key] == nil {
			r.lifts[key] = map[FactID]stamp{}
		}
		for _, lift := range one.at(3).items() {
			r.lifts[key][lift.at(0).id()] = lift.at(1).stamp()
		}
	}
	for _, one := range f.at("gone").items() {
		delete(r.causes, one.id())
		for _, lifts := range r.lifts {
			delete(lifts, one.id())
		}
	}
}
