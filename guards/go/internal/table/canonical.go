package table

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// canonical is what the id is made of: the meaning, with sorted keys. The times of a
// stamped fact are our clock's and differ on a redelivery, so they are left out.
func (f *Fact) canonical() []byte {
	plain := make(map[string]any, len(f.plain))
	for name, value := range f.plain {
		if f.Stamped && (name == "version" || name == "at") {
			continue
		}
		if list, ok := value.([]string); ok {
			sorted := slices.Sorted(slices.Values(list))
			value = slices.Compact(sorted)
		}
		plain[name] = value
	}
	if f.Kind == "alias" && plain["first"].(string) > plain["second"].(string) {
		plain["first"], plain["second"] = plain["second"], plain["first"]
	}
	keys := make([]string, 0, len(plain))
	for name := range plain {
		keys = append(keys, name)
	}
	slices.Sort(keys)
	to := []byte{'{'}
	for i, name := range keys {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendText(to, name), ':')
		to = appendPlain(to, plain[name])
	}
	return append(to, '}')
}

func appendPlain(to []byte, value any) []byte {
	switch value := value.(type) {
	case nil:
		return append(to, "null"...)
	case bool:
		return strconv.AppendBool(to, value)
	case int64:
		return strconv.AppendInt(to, value, 10)
	case string:
		return appendText(to, value)
	case []string:
		to = append(to, '[')
		for i, one := range value {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendText(to, one)
		}
		return append(to, ']')
	}
	panic("a fact holds nothing else")
}

// appendText writes JSON in ASCII.
func appendText(to []byte, value string) []byte {
	to = append(to, '"')
	for _, r := range value {
		if at := strings.IndexRune("\"\\\n\r\t\f\b", r); at >= 0 {
			to = append(to, '\\', `"\nrtfb`[at])
			continue
		}
		switch {
		case r >= ' ' && r <= '~':
			to = append(to, byte(r))
		case r > 0xFFFF:
			first, second := utf16.EncodeRune(r)
			to = fmt.Appendf(to, `\u%04x\u%04x`, first, second)
		default:
			to = fmt.Appendf(to, `\u%04x`, r)
		}
	}
	return append(to, '"')
}
