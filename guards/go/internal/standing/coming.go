package standing

import (
	"fmt"
	"slices"

	"rescind.dev/guard/internal/table"
)

const mostBytes = 1 << 34 // of a table

// comingTable is a table on its way, in place of a snapshot.
type comingTable struct {
	genesis    string
	partition  int64
	offset     int64
	vocabulary table.Vocabulary
	sections   []table.Section
	parts      [][]byte
	missing    int64
}

func readComing(m message) (*comingTable, error) {
	version, genesis := m.natural("version"), m.text("genesis")
	offset, sections := m.natural("offset"), m.list("sections")
	vocabulary, partition, err := m.log()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(table.Versions, version) {
		return nil, fmt.Errorf("%w: a table of version %d", ErrMalformed, version)
	}
	coming := &comingTable{
		genesis: genesis, partition: partition, offset: offset, vocabulary: vocabulary,
	}
	for _, plain := range sections {
		one, ok := plain.([]any)
		if !ok || len(one) != 3 {
			return nil, fmt.Errorf("%w: not a section", ErrMalformed)
		}
		name, named := one[0].(string)
		form, typed := one[1].(string)
		size, sized := table.Integer(one[2])
		if !named || !typed || !sized || size < 0 || size > mostBytes {
			return nil, fmt.Errorf("%w: not a section", ErrMalformed)
		}
		coming.sections = append(coming.sections, table.Section{Name: name, Type: form, Size: size})
		if coming.missing += size; coming.missing > mostBytes {
			return nil, fmt.Errorf("%w: a table of more than %d bytes", ErrMalformed, mostBytes)
		}
	}
	return coming, nil
}

func (c *comingTable) take(part []byte) error {
	c.parts = append(c.parts, part)
	if c.missing -= int64(len(part)); c.missing < 0 {
		return fmt.Errorf("%w: more bytes than the table has", ErrMalformed)
	}
	return nil
}

func (c *comingTable) table() (*table.Table, error) {
	return table.Load(c.sections, c.parts, c.vocabulary)
}
