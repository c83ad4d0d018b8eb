package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// ReadJSON reads one JSON value. Numbers stay as they are written (json.Number), since
// times lie beyond 2^53, and texts that are no Unicode are refused: encoding/json would
// put a replacement character in their place, and two names would be one.
func ReadJSON(data []byte) (any, error) {
	if !utf8.Valid(data) || hasLoneSurrogate(data) {
		return nil, errors.New("not Unicode")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

// Integer reads a whole number of 64 bits.
func Integer(value any) (int64, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return 0, false
	}
	read, err := strconv.ParseInt(string(number), 10, 64)
	return read, err == nil
}

func hasLoneSurrogate(data []byte) bool {
	for at := 0; ; {
		next := bytes.IndexByte(data[at:], '\\')
		if next < 0 {
			return false
		}
		at += next
		first := escaped(data[at:])
		switch {
		case first < 0:
			at += 2
		case first>>10 == 0xDC00>>10:
			return true
		case first>>10 == 0xD800>>10:
			if escaped(data[min(at+6, len(data)):])>>10 != 0xDC00>>10 {
				return true
			}
			at += 12
		default:
			at += 6
		}
		if at >= len(data) {
			return false
		}
	}
}

// escaped reads \uXXXX at the beginning, -1 where it is something else.
func escaped(data []byte) int64 {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	code, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int64(code)
}
