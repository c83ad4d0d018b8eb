package standing

import (
	"fmt"
	"testing"

	"rescind.dev/guard/internal/table"
)

// fed is a standing with a lease at a clock that stands.
func fed(t *testing.T) (*Links, *Link) {
	t.Helper()
	now := func() int64 { return 100 * second }
	links, link := NewLinks(New(second, now, now))
	feed(t, links, link)
	if !links.Holds() {
		t.Fatal("it has a lease")
	}
	return links, link
}

func feed(t *testing.T, links *Links, link *Link) {
	t.Helper()
	links.Hello(link)
	for _, frame := range []string{
		`{"type":"snapshot","genesis":"g","vocabulary":{},"offset":0,"facts":[],"more":false}`,
		fmt.Sprintf(`{"type":"pong","seq":%d,"genesis":"g","end":0,"remaining_ms":60000}`, links.Ping()),
	} {
		if _, err := links.Receive(link, []byte(frame)); err != nil {
			t.Fatal(err)
		}
		links.Settle(link)
	}
}

func TestWhatHasEndedHoldsNoLeaseAgain(t *testing.T) {
	links, link := fed(t)
	links.End()
	feed(t, links, link) // a connection that was not closed yet
	if answer := links.Judge(&table.Question{}); links.Holds() || answer.CaughtUp || answer.Deadline != 0 {
		t.Fatal("it said goodbye")
	}
	if _, there := links.Applied(); there {
		t.Fatal("it said goodbye")
	}
}

func TestATokenIsReadOrRefused(t *testing.T) {
	if token, err := ParseToken("a:0:9:0:1"); err != nil || token != (Token{"a:0:9", 0, 1}) {
		t.Fatal(token, err)
	}
	for _, text := range []string{"", "1", "g:1", "g:0:", ":0:1", "g:0:-1", "g:0:+1", "g:0: 1", "g:0:99999999999999999999"} {
		if _, err := ParseToken(text); err == nil {
			t.Errorf("%q is no token", text)
		}
	}
}
