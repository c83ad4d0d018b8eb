package table

import (
	"encoding/hex"
	"testing"
)

func mustRead(t *testing.T, text string) any {
	t.Helper()
	value, err := ReadJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

const aCause = `{"fact": "cause", "authority": "vault", "event_id": null, "version": 9007199254740993,
 "stamped": false, "received_at": 1, "ingress_key": "k", "settings": 0,
 "target": "vault.accessor:é\u007f\ud83d\udd11", "effect": "revoke", "reach": "subtree", "at": 5,
 "not_before": null, "aspect": "", "scopes": ["b|2", "a|1", "b|2"], "device": null, "tenant": null}`

func TestTheIDIsThatOfTheServer(t *testing.T) {
	fact, err := ReadFact(mustRead(t, aCause))
	if err != nil {
		t.Fatal(err)
	}
	id := fact.ID()
	// Made by agents_registry.facts.fact_id.
	if want, got := "ba99507c52f19321c8514f7f50515ac4d173590df1b7ce2ee8538217e8e8b0a3", hex.EncodeToString(id[:]); want != got {
		t.Fatalf("%s is not %s: %s", got, want, fact.canonical())
	}
}

func TestWhatIsNoFactIsRefused(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"a field too many":       func(f map[string]any) { f["unless"] = "raining" },
		"another field":          func(f map[string]any) { delete(f, "at"); f["unless"] = "raining" },
		"a field of other case":  func(f map[string]any) { f["At"] = f["at"]; delete(f, "at") },
		"a number that is none":  func(f map[string]any) { f["at"] = "5" },
		"a list of other things": func(f map[string]any) { f["scopes"] = []any{nil} },
		"an unknown effect":      func(f map[string]any) { f["effect"] = "shred" },
		"null where none may be": func(f map[string]any) { f["aspect"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			plain := mustRead(t, aCause).(map[string]any)
			change(plain)
			if _, err := ReadFact(plain); err == nil {
				t.Fatal("it was read")
			}
		})
	}
}

func TestTextsThatAreNoUnicodeAreRefused(t *testing.T) {
	for _, text := range []string{`"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, "\"\xff\"", `"a" "b"`} {
		if value, err := ReadJSON([]byte(text)); err == nil {
			t.Errorf("%s was read as %q", text, value)
		}
	}
	for _, text := range []string{`"\ud83d\udd11"`, `"\\ud800"`, `"\\\\ud800 \n"`} {
		if _, err := ReadJSON([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
