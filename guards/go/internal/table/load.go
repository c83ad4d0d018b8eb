package table

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Versions are those of the table format that Load reads. Version 2 has labels, and causes
// that are limited.
var Versions = []int64{1, 2}

// Section is a part of a table, as the server announces it.
type Section struct {
	Name string
	Type string
	Size int64
}

// What version 1 of the format has.
var (
	columns = map[string]string{
		"lineage.names": "names", "lineage.flags": "u8", "lineage.relation": "u8",
		"lineage.ring": "i32", "lineage.parent": "i32", "lineage.issued": "i64",
		"lineage.expires": "i64", "lineage.first_child": "i32", "lineage.next_child": "i32",
		"expiry.authority": "u16", "expiry.version": "i64",
	}
	rowSections = []string{
		"lineage.kinds", "lineage.more_parents", "lineage.reissued", "lineage.created",
		"lineage.creators", "lineage.more_children", "expiry.authorities", "expiry.shared",
		"causes", "lifts", "owners", "scopes", "owned", "emptied", "holders", "attributes",
		"devices", "tenants", "withdrawn", "distrusts", "horizon", "copies", "claims",
	}
	// Only where there are some.
	labelSection = "labels"
	widths       = map[string]int{"u8": 1, "u16": 2, "i32": 4, "i64": 8}
)

// Load makes a table of its sections, whose bytes are in parts, one after the other.
// Nothing of it is used where a section is missing or unknown or a number is no place.
func Load(sections []Section, parts [][]byte, vocabulary Vocabulary) (*Table, error) {
	l := loader{table: New(vocabulary), columns: map[string][]byte{}, rows: map[string]any{}}
	if err := l.sort(sections, &pieces{parts: parts}); err != nil {
		return nil, err
	}
	for _, step := range []func() error{l.lineage, l.expiry, l.statements, l.ends, l.flags} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return l.table, nil
}

// pieces gives the bytes of the sections. Parts that were given are let go.
type pieces struct{ parts [][]byte }

func (p *pieces) next(size int64) []byte {
	to := make([]byte, 0, size)
	for missing := int(size); missing > 0 && len(p.parts) > 0; missing = int(size) - len(to) {
		taken := min(missing, len(p.parts[0]))
		to = append(to, p.parts[0][:taken]...)
		p.parts[0] = p.parts[0][taken:]
		if len(p.parts[0]) == 0 {
			p.parts[0] = nil
			p.parts = p.parts[1:]
		}
	}
	return to
}

type loader struct {
	table   *Table
	columns map[string][]byte
	rows    map[string]any
	count   int
}

func (l *loader) sort(sections []Section, from *pieces) error {
	for _, section := range sections {
		form, column := columns[section.Name]
		if !column {
			form = "rows"
		}
		if _, twice := l.columns[section.Name]; section.Type != form || twice {
			return fmt.Errorf("section %s of %s", section.Name, section.Type)
		}
		piece := from.next(section.Size)
		if int64(len(piece)) != section.Size {
			return fmt.Errorf("section %s is cut short", section.Name)
		}
		if column {
			l.columns[section.Name] = piece
			continue
		}
		value, err := ReadJSON(piece)
		if err != nil {
			return fmt.Errorf("section %s: %w", section.Name, err)
		}
		if before, more := l.rows[section.Name]; more {
			first, ok := before.([]any)
			rest, also := value.([]any)
			if !ok || !also {
				return fmt.Errorf("section %s is no list", section.Name)
			}
			value = append(first, rest...)
		}
		l.rows[section.Name] = value
	}
	return l.whole()
}

// whole says whether every section is there, and no other.
func (l *loader) whole() error {
	for name := range columns {
		if _, there := l.columns[name]; !there {
			return fmt.Errorf("no section %s", name)
		}
	}
	for _, name := range rowSections {
		if _, there := l.rows[name]; !there {
			return fmt.Errorf("no section %s", name)
		}
	}
	known := len(rowSections)
	if _, there := l.rows[labelSection]; there {
		known++
	}
	if len(l.rows) != known {
		return errors.New("an unknown section")
	}
	return nil
}

func (l *loader) sparse() error {
	t := l.table
	further := l.read("lineage.more_parents")
	for _, one := range further.items() {
		child := one.at(0).node()
		for _, up := range one.at(1).items() {
			parent, strength := up.at(0).node(), up.at(1).integer()
			if strength < 0 || strength > int64(always) {
				return errors.New("lineage.more_parents: an unknown relation")
			}
			t.moreParents[child] = append(t.moreParents[child], edge{parent: parent, strength: uint8(strength)})
		}
	}
	again := l.read("lineage.reissued")
	for _, one := range again.items() {
		t.reissued[one.at(0).node()] = one.at(1).integer()
	}
	return errors.Join(further.err(), again.err())
}

func (l *loader) expiry() error {
	e := &l.table.expiry
	authorities, several := l.read("expiry.authorities"), l.read("expiry.shared")
	for _, one := range authorities.items() {
		e.authorities = append(e.authorities, one.text())
		e.number[one.text()] = uint16(len(e.authorities))
	}
	if len(e.authorities) >= shared {
		return errors.New("expiry.authorities: too many")
	}
	column := l.columns["expiry.authority"]
	e.authority, e.versions = make([]uint16, len(column)/2), l.numbers64("expiry.version")
	if len(e.authority) > l.count {
		return errors.New("expiry.authority: expiries of no name")
	}
	for i := range e.authority {
		e.authority[i] = binary.LittleEndian.Uint16(column[2*i:])
		if holder := e.authority[i]; holder != shared && int(holder) > len(e.authorities) {
			return errors.New("expiry.authority: no place")
		}
	}
	for _, one := range several.items() {
		said := statement[int64]{version: one.at(2).integer()}
		for _, time := range one.at(3).items() {
			said.tied = append(said.tied, time.integer())
		}
		if len(said.tied) == 0 {
			return errors.New("expiry.shared: a statement without a time")
		}
		e.several.set(one.at(0).node(), one.at(1).text(), said)
	}
	return errors.Join(authorities.err(), several.err())
}

func (l *loader) statements() error {
	t := l.table
	owners, scopes := l.read("owners"), l.read("scopes")
	for _, one := range owners.items() {
		said := statement[[]int32]{version: one.at(2).integer()}
		for _, set := range one.at(3).items() {
			said.tied = append(said.tied, set.nodes())
		}
		t.owners.set(one.at(0).node(), one.at(1).text(), said)
	}
	for _, one := range scopes.items() {
		said := statement[[]string]{version: one.at(2).integer()}
		for _, set := range one.at(3).items() {
			said.tied = append(said.tied, set.texts())
		}
		t.scopes.set(one.at(0).node(), one.at(1).text(), said)
	}
	if _, there := l.rows[labelSection]; there {
		labels := l.read(labelSection)
		for _, one := range labels.items() {
			said := statement[[]int32]{version: one.at(2).integer()}
			for _, set := range one.at(3).items() {
				said.tied = append(said.tied, set.nodes())
			}
			t.labels.set(one.at(0).node(), one.at(1).text(), said)
		}
		if labels.failed() {
			return labels.err()
		}
	}
	emptied, attributes := l.read("emptied"), l.read("attributes")
	for _, one := range emptied.items() {
		versions := map[string]int64{}
		for _, said := range one.at(1).items() {
			versions[said.at(0).text()] = said.at(1).integer()
		}
		t.emptied[one.at(0).node()] = versions
	}
	for _, one := range attributes.items() {
		held := map[int32]int64{}
		for _, said := range one.at(1).items() {
			held[said.at(0).node()] = said.at(1).integer()
		}
		t.attributes[one.at(0).node()] = held
	}
	devices, tenants := l.read("devices"), l.read("tenants")
	for _, one := range devices.items() {
		t.devices[one.at(0).node()] = one.at(1).texts()
	}
	for _, one := range tenants.items() {
		t.tenants[one.at(0).node()] = one.at(1).texts()
	}
	return errors.Join(owners.err(), scopes.err(), emptied.err(), attributes.err(), devices.err(), tenants.err())
}

func (l *loader) ends() error {
	t := l.table
	var owned []int32
	causes, lifts := l.read("causes"), l.read("lifts")
	for _, one := range causes.items() {
		cause, node := one.cause()
		t.causes.on[node] = append(t.causes.on[node], cause)
		if cause.ofOwner {
			owned = append(owned, node)
		}
	}
	for _, one := range lifts.items() {
		key := liftKey{one.at(0).text(), one.at(1).node(), one.at(2).text()}
		for _, lift := range one.at(3).items() {
			t.causes.putLift(key, lift.at(0).id(), lift.at(1).stamp())
		}
	}
	for _, node := range owned {
		t.selects(node, t.names.identifier(node))
	}
	withdrawn, distrusts := l.read("withdrawn"), l.read("distrusts")
	for _, one := range withdrawn.items() {
		gone := withdrawal{one.at(0).text(), one.at(1).text(), Identifier{one.at(2).text(), one.at(3).text()}}
		t.withdrawn[gone] = struct{}{}
	}
	for _, one := range distrusts.items() {
		fact, err := ReadFact(one.value)
		if err != nil || fact.Kind != "distrust" {
			return errors.New("distrusts: not a distrust")
		}
		t.distrusts = append(t.distrusts, fact)
	}
	horizon := l.read("horizon")
	if horizon.value != nil {
		time := horizon.integer()
		t.horizon = &time
	}
	return errors.Join(causes.err(), lifts.err(), withdrawn.err(), distrusts.err(), horizon.err(), l.times())
}

func (l *loader) times() error {
	t := l.table
	copies, claims := l.read("copies"), l.read("claims")
	for _, one := range copies.items() {
		t.versions.stamped[one.at(0).id()] = one.at(1).integer()
	}
	for _, one := range claims.items() {
		name := registerName{kind: one.at(0).text(), authority: one.at(2).text()}
		if of := one.at(1); of.value != nil {
			name.node = Identifier{of.at(0).text(), of.at(1).text()}
		}
		said := map[FactID]claim{}
		for _, each := range one.at(3).items() {
			said[each.at(0).id()] = claim{each.at(1).at(0).integer(), each.at(1).at(1).integer()}
		}
		t.versions.claims[name] = said
	}
	return errors.Join(copies.err(), claims.err())
}

// flags sees to it that the flags tell of every row, since they are what a check looks
// at: what is passed over may be a denial.
func (l *loader) flags() error {
	t := l.table
	for _, of := range []struct {
		flag uint8
		rows func(func(int32) bool)
	}{
		{manyParents, keys(t.moreParents)}, {caused, keys(t.causes.on)}, {caused, keys(t.attributes)},
		{owned, keys(t.owners.entries)}, {scoped, keys(t.scopes.entries)},
	} {
		for node := range of.rows {
			if t.flags[node]&of.flag == 0 {
				return errors.New("lineage.flags: a row without its flag")
			}
		}
	}
	further, tagged := 0, 0
	for _, flags := range t.flags {
		if flags&manyParents != 0 {
			further++
		}
		if flags&labelled != 0 {
			tagged++
		}
	}
	for node := range t.labels.entries {
		if of := t.labelsOf(node); len(of) > 0 {
			tagged--
			if t.flags[node]&labelled == 0 {
				return errors.New("lineage.flags: a row without its flag")
			}
		}
	}
	if further != len(t.moreParents) || tagged != 0 {
		return errors.New("lineage.more_parents: parents are missing")
	}
	return nil
}

func keys[Value any](of map[int32]Value) func(func(int32) bool) {
	return func(yield func(int32) bool) {
		for node := range of {
			if !yield(node) {
				return
			}
		}
	}
}
