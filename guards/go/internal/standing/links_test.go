package standing

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rescind.dev/guard/internal/table"
)

// desk is a guard of one credential, jwt.jti:x, at a clock that the test sets.
type desk struct {
	*Links
	t   *testing.T
	now int64
}

func newDesk(t *testing.T) (*desk, *Link) {
	d := &desk{t: t, now: 100 * second}
	clock := func() int64 { return d.now }
	links, link := NewLinks(New(second, clock, clock))
	d.Links = links
	d.Hello(link)
	return d, link
}

// takes a frame that the guard can read.
func (d *desk) takes(link *Link, frame string) (superseded []*Link, begins *Link) {
	d.t.Helper()
	if _, err := d.Receive(link, []byte(frame)); err != nil {
		d.t.Fatal(err)
	}
	superseded, begins, _ = d.Settle(link)
	return superseded, begins
}

// fails at a frame, and begins a new connection.
func (d *desk) fails(link *Link, frame string) {
	d.t.Helper()
	if _, err := d.Receive(link, []byte(frame)); err == nil {
		d.t.Fatal("it was taken")
	}
	d.Hello(link)
}

func (d *desk) pong(link *Link, genesis string, end int) {
	d.t.Helper()
	d.takes(link, fmt.Sprintf(`{"type":"pong","seq":%d,"genesis":%q,"end":%d,"remaining_ms":60000}`, d.Ping(), genesis, end))
}

func (d *desk) asks() Answer {
	x := table.Identifier{Kind: "jwt.jti", Value: "x"}
	return d.Judge(&table.Question{Now: d.now, Presented: table.Presented{
		Identifiers: []table.Identifier{x}, IssuedAt: table.UnknownTime,
	}})
}

func chunk(genesis string, offset int, more bool, facts ...string) string {
	return fmt.Sprintf(`{"type":"snapshot","genesis":%q,"vocabulary":{},"offset":%d,"facts":[%s],"more":%t}`,
		genesis, offset, strings.Join(facts, ","), more)
}

func whole(genesis string, offset int, facts ...string) string {
	return chunk(genesis, offset, false, facts...)
}

func delta(from, to int, facts ...string) string {
	return fmt.Sprintf(`{"type":"delta","from":%d,"to":%d,"facts":[%s]}`, from, to, strings.Join(facts, ","))
}

func by(key string, version int64, stamped bool) string {
	return fmt.Sprintf(`"authority":"a","event_id":null,"version":%d,"stamped":%t,"received_at":%d,"ingress_key":%q,"settings":0}`,
		version, stamped, version, key)
}

func renewal(expires string, common string) string {
	return fmt.Sprintf(`{"fact":"renewal","node":"jwt.jti:x","expires_at":%s,`, expires) + common
}

func cause(effect, scopes string) string {
	return fmt.Sprintf(`{"fact":"cause","target":"jwt.jti:x","effect":%q,"reach":"subtree","at":2,"not_before":null,
		"aspect":"","scopes":[%s],"device":null,"tenant":null,`, effect, scopes) + by("k", 2, false)
}

var (
	node = `{"fact":"node","node":"jwt.jti:x","issued_at":1,"derived":false,"root":false,"device":null,"tenant":null,` +
		by("k", 1, false)
	distrust = `{"fact":"distrust","suspect":"a","suspect_key":"bad","received_from":0,"received_to":8000,` +
		by("op", 9000, false)
)

func TestASupersededLinkPutsNothingInForce(t *testing.T) {
	d, a := newDesk(t)
	d.takes(a, whole("g", 10, node))
	_, b := d.takes(a, delta(10, 11, distrust))
	d.Hello(b)
	if superseded, _ := d.takes(b, whole("g", 11, node, distrust)); !slices.Equal(superseded, []*Link{a}) {
		t.Fatal(superseded)
	}
	late := fmt.Sprintf(`{"type":"pong","seq":%d,"genesis":"g","end":11,"remaining_ms":1000}`, d.Ping())
	if superseded, begins := d.takes(a, late); superseded != nil || begins != nil || !d.Stands(b) {
		t.Fatal(superseded, begins)
	}
}

func TestAWithdrawalOfWhatIsNoIDHasNoEffect(t *testing.T) {
	for _, id := range []string{strings.Repeat("0", 66), strings.Repeat("0", 62), strings.Repeat("x", 64), ""} {
		d, a := newDesk(t)
		d.takes(a, whole("g", 10, node, cause("revoke", ""),
			fmt.Sprintf(`{"fact":"withdraw","fact_id":%q,"kind":"cause","target":"jwt.jti:x",`, id)+by("k", 3, false)))
		if answer := d.asks(); answer.Reason != table.Revoked {
			t.Fatal(id, answer)
		}
	}
}

func TestWhatADistrustCoversIsNotMergedBeforeIt(t *testing.T) {
	for range 32 { // the facts that come first lie in a map
		d, a := newDesk(t)
		own := renewal("500", by("k", 10, false))
		higher, lower := renewal("null", by("bad", 50, true)), renewal("null", by("bad", 40, true))
		d.takes(a, whole("g", 10, node, own, higher))
		_, b := d.takes(a, delta(10, 11, lower)) // the version fell: the table is in doubt
		d.takes(a, delta(11, 12, distrust))
		d.Hello(b)
		d.takes(b, whole("g", 12, distrust, node, own, higher, lower))
		if d.All()[0] != b || d.asks().Reason != table.Expired {
			t.Fatal(d.asks())
		}
	}
}

func TestADeniedCredentialOfALogWithAHoleStaysDeniedInTheNext(t *testing.T) {
	d, a := newDesk(t)
	d.takes(a, whole("g", 10, node, cause("revoke", "")))
	d.pong(a, "g", 10)
	d.fails(a, delta(12, 13))
	d.takes(a, whole("backup", 10, node))
	if d.asks().CaughtUp {
		t.Fatal("nothing is proven of this log")
	}
	d.pong(a, "backup", 10)
	if answer := d.asks(); answer.Reason != table.Revoked || !d.Holds() {
		t.Fatal(answer)
	}
}

func TestANarrowOfALogThatIsGoneOutlivesItsExpiry(t *testing.T) {
	d, a := newDesk(t)
	expires := func(at int64) string { return renewal(fmt.Sprint(at*second), by("k", 10, false)) }
	d.takes(a, whole("g", 10, node, cause("narrow", `"s|a"`), expires(200)))
	d.Hello(a)
	d.takes(a, whole("backup", 10, node, expires(900)))
	for _, d.now = range []int64{100 * second, 300 * second} {
		if answer := d.asks(); answer.Reason != table.Narrowed {
			t.Fatal(d.now, answer)
		}
	}
}

func TestPongsOfAnotherLogProveNothing(t *testing.T) {
	d, a := newDesk(t)
	d.takes(a, whole("g", 10, node))
	d.pong(a, "g", 10)
	_, b := d.takes(a, delta(10, 11, distrust))
	d.Hello(b)
	d.takes(b, chunk("backup", 20, true, node)) // another server has another log
	d.now += 5 * second
	d.pong(a, "g", 11)
	d.takes(b, chunk("backup", 20, false))
	if d.Holds() || d.asks().CaughtUp {
		t.Fatal("nothing is proven of the log in force")
	}
	d.pong(b, "backup", 20)
	if !d.Holds() {
		t.Fatal("it is proven")
	}
}

func TestPongsOfASuccessorDoNotHideALostTail(t *testing.T) {
	d, a := newDesk(t)
	higher, lower := renewal("null", by("k", 50, true)), renewal("null", by("k", 40, true))
	d.takes(a, whole("g", 10, node, higher))
	d.pong(a, "g", 10)
	_, b := d.takes(a, delta(10, 20, lower))
	d.Hello(b)
	d.takes(b, chunk("g", 12, true, node))
	d.now += 5 * second
	d.pong(b, "g", 12) // late, or the log has lost what lay above
	if d.Holds() {
		t.Fatal("20 is applied")
	}
	d.pong(a, "g", 20)
	if !d.Holds() {
		t.Fatal("its own connection proves it")
	}
}
