package standing

import (
	"errors"
	"strconv"
	"strings"
)

// ErrToken says that a text is no consistency token.
var ErrToken = errors.New("not a token: genesis:partition:offset")

// Token is a place in a log. Everything below Offset is applied by who has at least this
// position.
type Token struct {
	Genesis   string
	Partition int64
	Offset    int64
}

// ParseToken reads genesis:partition:offset. A genesis may hold colons.
func ParseToken(text string) (Token, error) {
	rest, offset, found := cutLast(text)
	genesis, partition, more := cutLast(rest)
	p, err := natural(partition)
	o, other := natural(offset)
	if !found || !more || genesis == "" || err != nil || other != nil {
		return Token{}, ErrToken
	}
	return Token{genesis, p, o}, nil
}

func cutLast(text string) (string, string, bool) {
	at := strings.LastIndexByte(text, ':')
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+1:], true
}

func natural(text string) (int64, error) {
	if strings.Trim(text, "0123456789") != "" {
		return 0, ErrToken
	}
	return strconv.ParseInt(text, 10, 64)
}

func (t Token) String() string {
	return t.Genesis + ":" + strconv.FormatInt(t.Partition, 10) + ":" + strconv.FormatInt(t.Offset, 10)
}
