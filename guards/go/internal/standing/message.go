package standing

import (
	"fmt"

	"rescind.dev/guard/internal/table"
)

// message is a JSON object of the feed. The first field that is missing or has another
// type is kept in bad.
type message struct {
	fields map[string]any
	bad    error
}

func readMessage(frame []byte) (message, error) {
	value, err := table.ReadJSON(frame)
	if err != nil {
		return message{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return message{}, fmt.Errorf("%w: not an object", ErrMalformed)
	}
	return message{fields: fields}, nil
}

func (m *message) fail(name string) {
	if m.bad == nil {
		m.bad = fmt.Errorf("%w: %s is missing or has another type", ErrMalformed, name)
	}
}

func (m *message) text(name string) string {
	read, _ := m.fields[name].(string)
	if read == "" {
		m.fail(name)
	}
	return read
}

func (m *message) natural(name string) int64 {
	read, ok := table.Integer(m.fields[name])
	if !ok || read < 0 {
		m.fail(name)
	}
	return read
}

func (m *message) list(name string) []any {
	read, ok := m.fields[name].([]any)
	if !ok {
		m.fail(name)
	}
	return read
}

func (m *message) flag(name string) bool {
	read, ok := m.fields[name].(bool)
	if !ok {
		m.fail(name)
	}
	return read
}

// log reads the vocabulary, and the partition that tokens name.
func (m *message) log() (table.Vocabulary, int64, error) {
	partition := int64(0)
	if _, told := m.fields["partition"]; told {
		partition = m.natural("partition")
	}
	if m.bad != nil {
		return nil, 0, m.bad
	}
	vocabulary, err := table.ReadVocabulary(m.fields["vocabulary"])
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return vocabulary, partition, nil
}
