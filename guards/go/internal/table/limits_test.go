package table

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// built is a table of facts in JSON; each is given without its common fields.
func built(t testing.TB, facts ...string) *Table {
	t.Helper()
	of := New(Vocabulary{"agent.id": Principal})
	for _, text := range facts {
		fact, err := ReadFact(mustReadJSON(t, strings.Replace(text, "{", `{"authority":"a","event_id":null,"version":1,
			"stamped":false,"received_at":9,"ingress_key":"k","settings":0,`, 1)))
		if err != nil {
			t.Fatal(err, text)
		}
		of.Apply(fact)
	}
	return of
}

func mustReadJSON(t testing.TB, text string) any {
	t.Helper()
	value, err := ReadJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func aNode(name string) string {
	return fmt.Sprintf(`{"fact":"node","node":%q,"issued_at":2,"derived":false,"root":false,"device":null,"tenant":null}`, name)
}

func anEdge(child, parent, relation string) string {
	return fmt.Sprintf(`{"fact":"edge","child":%q,"parent":%q,"relation":%q,"derived":false}`, child, parent, relation)
}

func owners(node string, of ...string) string {
	return fmt.Sprintf(`{"fact":"owner_set","node":%q,"owners":["%s"]}`, node, strings.Join(of, `","`))
}

func aCauseOn(target, effect, reach string, at int) string {
	return fmt.Sprintf(`{"fact":"cause","target":%q,"effect":%q,"reach":%q,"at":%d,"not_before":null,"aspect":"",
		"scopes":[],"device":null,"tenant":null}`, target, effect, reach, at)
}

func alias(first, second string) string {
	return fmt.Sprintf(`{"fact":"alias","first":%q,"second":%q}`, first, second)
}

// The largest lineages that are judged, in the shapes that cost most.
func TestTheLargestLineagesAreJudgedSoon(t *testing.T) {
	name := func(i int) string { return fmt.Sprintf("jwt.jti:%d", i) }
	shapes := map[string]func() []string{
		"owners in a chain": func() (facts []string) {
			for i := range 4000 {
				facts = append(facts, aNode(name(i)), owners(name(i), name(i+1)))
			}
			return append(facts, aNode(name(4000)))
		},
		"many watermarks": func() (facts []string) {
			for i := range 4000 {
				facts = append(facts, aNode(name(i)), anEdge(name(i), name(i+1), "requires"))
			}
			for i := range 4000 {
				facts = append(facts, aCauseOn(name(4000), NotBefore, "subtree", 1000+i))
			}
			return facts
		},
		"causes of one node, by many names": func() (facts []string) {
			for i := range 3000 {
				facts = append(facts, aNode(name(i)), alias(name(0), name(i)), aCauseOn(name(i), Suspend, "self", i+1))
			}
			return facts
		},
	}
	shapes["watermarks above a node with many names"] = func() (facts []string) {
		for i := range 3000 {
			facts = append(facts, aNode(name(i)), alias(name(0), name(i)), aCauseOn(name(i), NotBefore, "subtree", 1))
		}
		return facts
	}
	for shape, facts := range shapes {
		of := built(t, facts()...)
		first, _ := ParseIdentifier(name(0))
		question := Question{Presented: Presented{Identifiers: []Identifier{first}, IssuedAt: UnknownTime}}
		start := time.Now()
		judged := of.Judge(&question)
		// Each takes some 20 ms; before causes were looked at together, seconds.
		if took := time.Since(start); took > time.Second || judged.Reason == LineageTooLarge {
			t.Errorf("%s: %s after %s", shape, judged.Reason, took)
		}
	}
}
