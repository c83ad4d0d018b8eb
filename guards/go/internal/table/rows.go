package table

import (
	"encoding/hex"
	"fmt"
)

const causeFields = 13

// row is a value of a section of rows. The first value of another form than the section
// has is noted in wrong.
type row struct {
	value any
	name  string
	count int
	wrong *bool
}

func (l *loader) read(name string) row {
	return row{l.rows[name], name, l.count, new(bool)}
}

func (r row) failed() bool { return *r.wrong }

func (r row) err() error {
	if *r.wrong {
		return fmt.Errorf("section %s: a value of another form", r.name)
	}
	return nil
}

func (r row) as(value any) row { return row{value, r.name, r.count, r.wrong} }

func (r row) items() []row {
	list, ok := r.value.([]any)
	if !ok {
		*r.wrong = true
	}
	items := make([]row, len(list))
	for i, one := range list {
		items[i] = r.as(one)
	}
	return items
}

func (r row) at(place int) row {
	list, _ := r.value.([]any)
	if place >= len(list) {
		*r.wrong = true
		return r.as(nil)
	}
	return r.as(list[place])
}

func (r row) text() string {
	read, ok := r.value.(string)
	if !ok {
		*r.wrong = true
	}
	return read
}

func (r row) oneOf(known []string) string {
	read := r.text()
	for _, one := range known {
		if one == read {
			return read
		}
	}
	*r.wrong = true
	return read
}

func (r row) optional() *string {
	if r.value == nil {
		return nil
	}
	read := r.text()
	return &read
}

func (r row) texts() []string {
	items := r.items()
	read := make([]string, 0, len(items))
	for _, one := range items {
		read = append(read, one.text())
	}
	return read
}

func (r row) integer() int64 {
	read, ok := Integer(r.value)
	if !ok {
		*r.wrong = true
	}
	return read
}

func (r row) node() int32 {
	read := r.integer()
	if read < 0 || read >= int64(r.count) {
		*r.wrong = true
		return 0
	}
	return int32(read)
}

func (r row) nodes() []int32 {
	items := r.items()
	read := make([]int32, 0, len(items))
	for _, one := range items {
		read = append(read, one.node())
	}
	return read
}

func (r row) id() FactID {
	var id FactID
	text := r.text()
	if n, err := hex.Decode(id[:], []byte(text[:min(len(text), 2*len(id))])); err != nil || n != len(id) || len(text) != 2*len(id) {
		*r.wrong = true
	}
	return id
}

// cause reads a row of causes, and its target.
func (r row) cause() (*Cause, int32) {
	limits := Cause{}
	switch len(r.items()) {
	case causeFields:
	case causeFields + 1:
		limits = r.at(causeFields).limits()
	default:
		*r.wrong = true // what is new may mean anything
	}
	effect, reach := r.at(11).oneOf(effects), r.at(12).oneOf(reaches)
	return &Cause{
		ID: r.at(0).id(), Authority: r.at(2).text(), Effect: effect, Self: reach == "self",
		At: r.at(3).integer(), Mark: r.at(4).integer(),
		version: r.at(5).integer(), uncertainty: r.at(6).integer(),
		aspect: r.at(7).text(), scopes: r.at(8).texts(),
		device: r.at(9).optional(), tenant: r.at(10).optional(), until: limits.until, kinds: limits.kinds,
		where: limits.where, ofOwner: limits.ofOwner,
	}, r.at(1).node()
}

// limits are the end, the kinds and the conditions of a cause that has some.
func (r row) limits() (found Cause) {
	plain, is := r.value.(map[string]any)
	*r.wrong = *r.wrong || !is || len(plain) == 0
	for name, value := range plain {
		switch name {
		case "until":
			time := r.as(value).integer()
			found.until = &time
		case "kinds":
			found.kinds = r.as(value).texts()
			*r.wrong = *r.wrong || len(found.kinds) == 0
		case "where":
			for _, one := range r.as(value).texts() {
				condition, err := ParseIdentifier(one)
				*r.wrong = *r.wrong || err != nil
				found.where = append(found.where, condition)
			}
			*r.wrong = *r.wrong || len(found.where) == 0
		case "of_owner":
			*r.wrong = *r.wrong || value != true
			found.ofOwner = true
		default:
			*r.wrong = true
		}
	}
	return found
}

func (r row) stamp() stamp {
	return stamp{r.at(0).integer(), r.at(1).integer(), r.at(2).integer()}
}
