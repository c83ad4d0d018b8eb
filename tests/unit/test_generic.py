"""A JSON log read by a mapping file, and clear words about wrong mappings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml

from agents_registry.facts import LabelSet
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import rfc3339
from streams.services.secret_names import SecretNames
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import MappingError, load_mapping
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

BASE = """
name: shop
kinds: {shop.key: credential, shop.bot: principal}
event: {id: id, type: what, time: when}
rules:
  - name: issued
    record: lifecycle
    when: {type: Key Issued}
    success: {path: ok, in: [true]}
    effect: issue
    identifiers: [{kind: shop.key, path: "keys[0].id"}]
    parents: [{kind: shop.bot, path: bot, relation: created_by}]
    owner: owner.mail
    owners: [{kind: shop.bot, path: bot}]
    scope: {path: scopes, namespace: shop}
    expires_at: until
  - name: gone
    record: lifecycle
    when: {type: [key gone], where: [{path: why, in: [theft, loss]}]}
    effect: revoke
    identifiers: [{kind: shop.key, path: key}]
    reason: why
  - name: back
    record: lifecycle
    when: {type: key back}
    effect: restore
    identifiers: [{kind: shop.key, path: key}]
  - name: call
    record: access
    when: {type: [call, key gone]}
    identifiers: [{kind: shop.key, path: [by, the.key], prefix: k-}]
    outcome: {path: status, allowed: [200, 204]}
    point: door
"""
NOW = {"id": 7, "when": "2026-03-02T09:00:00Z"}


def read(event: dict[str, Any], text: str = BASE) -> list[Record]:
    """Read one event."""
    source = Generic(load_mapping(text, "shop.yaml"))
    return list(source.records(orjson.dumps(NOW | event)))


def test_an_issue_is_read_with_all_its_values() -> None:
    """Paths, indexes, numbers as ids, scopes as words."""
    (issue,) = read(
        {
            "what": "key issued", "ok": True, "keys": [{"id": 12}], "bot": "b1",
            "owner": {"mail": "dana"}, "scopes": "read write", "until": 1772445600,
        }
    )  # fmt: skip
    assert isinstance(issue, Lifecycle)
    assert ("7", "issue", "dana") == (issue.event_id, issue.effect, issue.owner)
    assert (("shop.key", "12"),) == issue.identifiers
    assert (("shop.bot", "b1"),) == issue.owners
    assert "created_by" == issue.parents[0].relation.value
    assert ("shop|read", "shop|write") == issue.scope
    assert "2026-03-02T10:00:00Z" == rfc3339(issue.expires_at)


@pytest.mark.parametrize("ok", [False, "no", None])
def test_a_failed_event_changes_nothing(ok: object) -> None:
    """Success is the mapping's to name, and absent is not success."""
    assert [] == read({"what": "key issued", "ok": ok, "keys": [{"id": 1}]})


def test_labels_are_read_where_the_mapping_says_so() -> None:
    """One that has none of them says nothing of labels; a secret is none."""
    text = BASE.replace(
        "    expires_at: until\n",
        "    expires_at: until\n    labels: {team: tags.team, env: tags.env}\n",
    )
    event = {"what": "key issued", "ok": True, "keys": [{"id": 12}], "bot": "b1"}
    tags = {"team": ["payments", "search"], "env": 7, "more": "x"}
    (issue,) = read(event | {"tags": tags}, text)
    assert isinstance(issue, Lifecycle)
    assert issue.labels == (
        ("label.team", "payments"), ("label.team", "search"), ("label.env", "7"),
    )  # fmt: skip
    origin = Origin("shop", "r", 5)
    (labels,) = [one for one in facts_of(issue, origin) if isinstance(one, LabelSet)]
    assert (labels.node, labels.labels) == (("shop.key", "12"), issue.labels)
    secret = tags | {"team": "ghp_" + "a1B2" * 9}
    (issue,) = read(event | {"tags": secret}, text)
    concealed = SecretNames().conceal(issue)
    assert isinstance(concealed, Lifecycle)
    assert concealed.labels == (("label.env", "7"),)
    for rules in (text, BASE):
        (issue,) = read(event, rules)
        assert isinstance(issue, Lifecycle)
        assert issue.labels is None
        assert not any(isinstance(one, LabelSet) for one in facts_of(issue, origin))
    wrong = BASE.replace("    reason: why\n", "    labels: {team: why}\n")
    with pytest.raises(MappingError, match="labels are of a lifecycle rule"):
        load_mapping(wrong, "shop.yaml")


def test_conditions_choose_the_rule() -> None:
    """A value outside of the list is another event."""
    found = read({"what": "key gone", "why": "Theft", "key": "x"})
    assert [Lifecycle, DeadLetter] == [type(record) for record in found]
    assert [DeadLetter] == [type(r) for r in read({"what": "key gone", "why": "sale"})]


def test_one_event_may_fit_several_rules() -> None:
    """Lifecycle stands before access when the mapping says so."""
    by = {"the.key": "9"}
    found = read(
        {"what": "key gone", "why": "loss", "key": "x", "by": by, "status": 204}
    )
    assert [Lifecycle, Access] == [type(record) for record in found]
    assert isinstance(found[1], Access)
    assert (("shop.key", "k-9"),) == found[1].identifiers


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "allowed"), ("204", "allowed"), (403, "denied")]
)
def test_outcomes_follow_the_list(status: object, outcome: str) -> None:
    """Numbers and texts compare alike; what is not listed is the other."""
    (found,) = read({"what": "call", "by": {"the.key": "9"}, "status": status})
    assert isinstance(found, Access)
    assert outcome == found.outcome
    assert "shop" == found.point


@pytest.mark.parametrize(
    "name", ["key issued", " Key Issued. ", "KEY ISSUED", "key issued."]
)
def test_exporters_junk_on_types_is_ignored(name: str) -> None:
    """Case, blanks and a final dot."""
    assert read({"what": name, "ok": True, "keys": [{"id": 1}]})


def test_dashes_compare_alike() -> None:
    """Entra writes an en dash where its documents have a hyphen."""
    text = BASE.replace("type: Key Issued", "type: key - issued")
    found = read({"what": "key \u2013 issued ", "ok": True, "keys": [{"id": 1}]}, text)
    assert [Lifecycle] == [type(record) for record in found]


def test_unknown_types_are_counted() -> None:
    """They give no record."""
    source = Generic(load_mapping(BASE, "shop.yaml"))
    assert [] == list(source.records(b'{"what":"party"}\n{"what":"party"}'))
    assert {"party": 2} == source.unknown


def test_a_revocation_whose_target_is_missing_is_not_lost() -> None:
    """The record without identifiers goes on, beside its dead letter."""
    change, letter = read({"what": "key gone", "why": "theft", "by": None})[:2]
    assert isinstance(change, Lifecycle)
    assert ("revoke", ()) == (change.effect, change.identifiers)
    assert isinstance(letter, DeadLetter)
    assert letter.reason.startswith("no_target: the identifiers of rule gone")
    assert (change.actor, "theft") == (letter.actor, letter.stated)


def test_absurd_clocks_cost_the_access_and_the_restore_only() -> None:
    """Anything uncertain may revoke, nothing uncertain may allow."""
    late = {"when": "2451-01-01T00:00:00Z"}
    revoked = read({"what": "key gone", "why": "theft", "key": "x"} | late)
    assert [Lifecycle, DeadLetter] == [type(record) for record in revoked]
    for event in (
        {"what": "key back", "key": "x"},
        {"what": "call", "by": {"the.key": "9"}},
    ):
        (letter,) = read(event | late)
        assert isinstance(letter, DeadLetter)
        assert letter.reason.startswith("clock_absurd")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("effect: issue", "effect: explode"), "rules.0.effect"),
        (("effect: issue", "efect: issue"), "rules.0.efect"),
        (("    effect: issue\n", ""), "a lifecycle rule needs an effect"),
        (("kinds: {shop.key: credential, ", "kinds: {"), "'shop.key' is not declared"),
        (("shop.key: credential", "shop.key: token"), "kinds.shop.key"),
        (("shop.bot: principal", "aws.user: credential"), "aws.user is a principal"),
        (("type: what", "kind: what"), "event.type"),
        (("allowed: [200, 204]", "x: 1"), "rules.3.outcome"),
        (("path: bot, relation", "path: 'b..t', relation"), "is no path"),
        (("name: shop", "name: ["), "not YAML"),
        (("allowed: [200, 204]", "allowed: [1], denied: [2]"), "give one list"),
        (("    point: door", "    effect: revoke"), "an access rule has no effect"),
        (("success: {", "outcome: {allowed: [1], "), "rules.0.outcome"),
        (
            ("success: {path: ok, in: [true]}", "outcome: {path: ok, denied: [x]}"),
            "a lifecycle rule has success",
        ),
    ],
    ids=lambda value: value[-1][:24] if isinstance(value, tuple) else value[:24],
)
def test_a_wrong_mapping_names_file_and_key(
    change: tuple[str, str], words: str
) -> None:
    """The person who wrote it finds the place at once."""
    with pytest.raises(MappingError) as caught:
        load_mapping(BASE.replace(*change), "shop.yaml")
    assert re.match(r"shop\.yaml(, line \d+)?: ", str(caught.value))
    assert words in str(caught.value)


def test_an_empty_mapping_is_refused() -> None:
    """Not with a traceback."""
    with pytest.raises(MappingError, match=r"shop\.yaml: the whole file"):
        load_mapping("", "shop.yaml")


def test_the_worked_example_tells_its_story(repository: Path) -> None:
    """Failed revocations change nothing, a pause is lifted, a revoke is final."""
    folder = repository / "examples/mappings"
    text = (folder / "agent-gateway.yaml").read_text(encoding="utf-8")
    source = Generic(load_mapping(text, "agent-gateway.yaml"))
    records = list(source.records((folder / "agent-gateway.ndjson").read_bytes()))

    assert [
        ("ev-01", "issue"), ("ev-02", "issue"), ("ev-03", "use"),
        ("ev-05", "suspend"), ("ev-06", "deny"), ("ev-07", "restore"),
        ("ev-08", "revoke"), ("ev-09", "use"),
    ] == [
        (r.event_id, r.effect) for r in records if not isinstance(r, DeadLetter)
    ]  # fmt: skip
    # A view, and a revocation that failed
    assert {"dashboard.viewed": 1, "token.revoked": 1} == source.unknown
    assert "agent-gateway" == yaml.safe_load(text)["name"]


def test_denied_may_be_listed_instead() -> None:
    """Then every other value is allowed."""
    text = BASE.replace("allowed: [200, 204]", "denied: [403]")
    for status, outcome in ((403, "denied"), (500, "allowed"), (None, "allowed")):
        (found,) = read({"what": "call", "by": {"the.key": 1}, "status": status}, text)
        assert isinstance(found, Access)
        assert outcome == found.outcome


def test_values_of_wrong_types_and_lengths_are_left_out() -> None:
    """A list gives several parents; objects, nothing and giants give none."""
    (issue,) = read(
        {
            "what": "key issued", "ok": True, "keys": [{"id": 1}],
            "bot": ["b1", {}, None, "", "x" * 257, "b2"],
            "until": "2451-01-01 00:00:00",
        }
    )  # fmt: skip
    assert isinstance(issue, Lifecycle)
    assert ["b1", "b2"] == [parent.value for parent in issue.parents]
    assert (None, None) == (issue.expires_at, issue.scope)


def test_bad_lines_are_dead_letters_under_the_mappings_name() -> None:
    """The name of the mapping is the name of the source."""
    (letter,) = Generic(load_mapping(BASE, "shop.yaml")).records(b'{"cut')
    assert isinstance(letter, DeadLetter)
    assert ("shop", 0, 5) == (letter.source, letter.offset, letter.length)
