"""What rules of containment decide on findings, and what is written of it."""

from __future__ import annotations

import attrs
import pytest

from agents_registry.facts import Cause, Effect, LabelSet
from agents_registry.identifiers import Identifier, extend
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import FindingKind, Severity
from streams.model.times import DAY
from streams.stages.containment.containment import Containment
from streams.stages.containment.decision import ContainmentDecision, ContainmentResult
from streams.stages.containment.rules import ContainedName, ContainmentMode
from streams.stages.containment.subjects import labelled, subject_of
from streams.stages.ingest.entitlement import CONTAINMENT
from streams.stages.ingest.ingress import Origin
from tests.unit.containing import (
    AGENT,
    HOUR,
    NOW,
    SAID,
    TOKEN,
    a_finding,
    a_rule,
    alias,
    edge,
    known,
    lifted,
    settle,
    table_of,
)

pytestmark = pytest.mark.unit

ORIGIN = Origin("rescind", "r", NOW + HOUR, "rescind")
USER = Identifier("okta.user", "dana")
CHILDREN = [Identifier("jwt.jti", f"c{n}") for n in range(6)]


def only(decided: list[ContainmentDecision]) -> ContainmentDecision:
    """Give the one decision."""
    (found,) = decided
    return found


def test_a_finding_is_contained_for_the_time_of_its_rule() -> None:
    """The fact names what the finding names, ends by itself, and is lifted by rule."""
    stage, table = Containment((a_rule(),)), table_of(edge(CHILDREN[0], TOKEN))

    decision = only(settle(stage, a_finding(), table))
    cause = decision.cause(ORIGIN)

    assert ContainmentResult.CONTAINED is decision.result
    assert 1 == decision.reach
    assert isinstance(cause, Cause)
    assert (TOKEN, Effect.SUSPEND, NOW, NOW + 2 * HOUR) == (
        cause.target, cause.effect, cause.at, cause.until,
    )  # fmt: skip
    assert (CONTAINMENT, "leaked", NOW) == (
        cause.authority, cause.aspect, cause.received_at,
    )  # fmt: skip
    assert "leaked" in decision.action()
    assert "f-t1" in decision.action()


def test_the_same_decision_makes_the_same_fact_whenever_it_is_made() -> None:
    """So what a crash repeats is one fact in the log."""
    decision = only(settle(Containment((a_rule(),)), a_finding(), table_of()))
    again = ContainmentDecision.load(decision.dump())
    later = attrs.evolve(ORIGIN, received_at=NOW + 9 * HOUR, ingress_key="other")

    assert decision == again
    assert decision.cause(ORIGIN) == again.cause(
        attrs.evolve(later, ingress_key="rescind")
    )


@pytest.mark.parametrize("body", [b"{}", b"[]", b'"x"', b"no", b'{"target": 1}'])
def test_a_body_that_is_no_decision_is_refused(body: bytes) -> None:
    """It is one of another version."""
    with pytest.raises(ValueError, match=r"decision|JSON|expected|unexpected"):
        ContainmentDecision.load(body)


@pytest.mark.parametrize("mode", [ContainmentMode.SHADOW, ContainmentMode.WARN])
def test_shadow_and_warn_write_no_fact(mode: ContainmentMode) -> None:
    """Warn makes a finding, shadow an audit entry alone."""
    rule = a_rule(mode=mode)
    decision = only(settle(Containment((rule,)), a_finding(), table_of()))

    assert decision.contains
    assert decision.cause(ORIGIN) is None
    signal = decision.signal()
    assert (signal is not None) is (mode is ContainmentMode.WARN)
    assert "would be suspended until" in decision.action()


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"kinds": frozenset({FindingKind.UNKNOWN_AGENT})}, False),
        ({"authorities": frozenset({"github"})}, True),
        ({"authorities": frozenset({"okta"})}, False),
        ({"identifiers": ("jwt.*",)}, True),
        ({"identifiers": ("github.*", "aws.*")}, False),
        ({"points": ("payments-*",)}, True),
        ({"points": ("mail",)}, False),
        ({"minimum_severity": Severity.CRITICAL}, False),
        ({"minimum_severity": Severity.HIGH}, True),
    ],
)
def test_a_rule_wants_what_passes_all_its_filters(more: dict, wanted: bool) -> None:  # type: ignore[type-arg]
    """Filters that are not set let everything through."""
    finding = a_finding(authority="github", point="payments-eu")

    assert a_rule(**more).wants(finding) is wanted


def test_what_follows_from_containment_is_wanted_by_rules_that_name_it() -> None:
    """Else a suspend at a point without a guard would lead to the next one."""
    finding = a_finding(authority=CONTAINMENT)

    assert not a_rule().wants(finding)
    assert a_rule(authorities=frozenset({CONTAINMENT})).wants(finding)


def test_only_what_has_a_label_is_contained() -> None:
    """A label is a container that its members hang on, directly or further up."""
    label = Identifier("label.team", "payments")
    rule = a_rule(labels=(label,))
    stage = Containment((rule,))

    assert [] == settle(stage, a_finding(), table_of(edge(TOKEN, AGENT)))
    given = LabelSet(**SAID, node=AGENT, labels=(label,))
    inside = table_of(edge(TOKEN, AGENT), given)
    assert only(settle(stage, a_finding(), inside)).contains
    assert finish(labelled(TOKEN, (), inside))


@pytest.mark.parametrize(
    ("contain", "presented", "agent", "wanted"),
    [
        (ContainedName.CREDENTIAL, TOKEN, None, TOKEN),
        (ContainedName.CREDENTIAL, AGENT, None, None),
        (ContainedName.AGENT, TOKEN, None, AGENT),
        (ContainedName.AGENT, TOKEN, "agent.id:mailer", AGENT),
        (ContainedName.AGENT, TOKEN, "okta.user:dana", AGENT),
        (ContainedName.AGENT, AGENT, None, AGENT),
        (ContainedName.AGENT, USER, None, None),
        (ContainedName.AGENT, Identifier("source", "okta"), "agent.id:x", None),
        (ContainedName.AGENT, Identifier("realm", "r"), None, None),
        (ContainedName.PRINCIPAL, TOKEN, None, AGENT),
        (ContainedName.PRINCIPAL, USER, None, USER),
        (ContainedName.PRINCIPAL, Identifier("jwt.jti", "alone"), None, None),
    ],
)
def test_a_rule_says_which_name_of_a_finding_it_contains(
    contain: ContainedName, presented: Identifier, agent: str | None, wanted: object
) -> None:
    """A source, a guard or a realm is none of them."""
    table = table_of(edge(TOKEN, AGENT), edge(AGENT, USER))

    finding, rule = a_finding(presented, agent=agent), a_rule(contain=contain)

    assert wanted == subject_of(finding, rule, table)


def test_of_several_principals_none_is_contained() -> None:
    """Nobody knows which one is meant; the decision says so."""
    table = table_of(edge(TOKEN, AGENT), edge(TOKEN, USER))
    rule = a_rule(contain=ContainedName.PRINCIPAL)
    decision = only(settle(Containment((rule,)), a_finding(), table))

    assert (None, ContainmentResult.UNNAMED) == (decision.target, decision.result)
    assert (None, None) == (decision.cause(ORIGIN), decision.signal())
    assert "names nothing" in decision.action()


def test_what_reaches_too_much_is_not_contained_and_is_told() -> None:
    """At the limit it is."""
    facts = [edge(child, TOKEN) for child in CHILDREN]
    stage = Containment((a_rule(blast_limit=5),))
    at_limit = only(settle(stage, a_finding(), table_of(*facts[:5])))
    over = only(settle(Containment(stage.rules), a_finding(), table_of(*facts)))

    assert (True, 5) == (at_limit.contains, at_limit.reach)
    assert ContainmentResult.OVER_BLAST_LIMIT is over.result
    assert over.cause(ORIGIN) is None
    signal = over.signal()
    assert signal is not None
    assert "more than 5 others" in signal["detail"]


def test_a_rule_acts_so_often_in_an_hour_and_then_only_warns() -> None:
    """An hour after the first it may act again."""
    stage, table = Containment((a_rule(per_hour=2),)), table_of()
    names = [Identifier("jwt.jti", f"n{n}") for n in range(4)]
    first = [only(settle(stage, a_finding(name), table)) for name in names[:3]]
    later = only(settle(stage, a_finding(names[3]), table, NOW + HOUR))

    assert [True, True, False] == [each.contains for each in first]
    assert ContainmentResult.OVER_RATE is first[2].result
    signal = first[2].signal()
    assert signal is not None
    assert "2 times in an hour" in signal["detail"]
    assert later.contains


def test_no_finding_is_decided_twice_and_no_name_contained_twice() -> None:
    """Another finding on the same name finds it contained; after the time it is not."""
    stage, table = Containment((a_rule(),)), table_of()
    assert only(settle(stage, a_finding(), table)).contains
    assert [] == settle(stage, a_finding(), table)
    other = only(settle(stage, a_finding(id="g"), table))
    assert ContainmentResult.ALREADY is other.result
    assert "already" in other.action()
    assert only(settle(stage, a_finding(id="h"), table, NOW + 2 * HOUR)).contains


def test_what_a_rule_did_in_shadow_keeps_it_from_nothing() -> None:
    """Once it enforces, the next finding on the same name counts."""
    shadow = Containment((a_rule(mode=ContainmentMode.SHADOW, lasts=None),))
    seen = only(settle(shadow, a_finding(), table_of()))
    stage = Containment((a_rule(),))
    stage.take(seen)

    assert [] == settle(stage, a_finding(), table_of())
    assert only(settle(stage, a_finding(id="g"), table_of())).contains


def test_what_an_operator_lifted_is_not_contained_again() -> None:
    """Not by a later finding either, unless the rule says so."""
    for again in (False, True):
        rule = a_rule(after_lift=again)
        stage = Containment((rule,))
        cause = only(settle(stage, a_finding(), table_of())).cause(ORIGIN)
        assert cause is not None
        table = table_of(cause, lifted(TOKEN, rule.name, NOW + HOUR))

        assert [] == settle(stage, a_finding(), table)
        other = only(settle(stage, a_finding(id="g"), table, NOW + HOUR))
        assert other.contains is again
        if not again:
            assert "lifted" in other.action()


def test_what_an_operator_withdrew_is_not_contained_again() -> None:
    """As what was lifted; until it is written, it counts as contained."""
    for again in (False, True):
        rule = a_rule(after_lift=again)
        stage = Containment((rule,))
        decision = only(settle(stage, a_finding(), table_of()))
        early = only(settle(stage, a_finding(id="g"), table_of()))
        assert ContainmentResult.ALREADY is early.result
        stage.take(attrs.evolve(decision, done=True))

        other = only(settle(stage, a_finding(id="h"), table_of(), NOW + 1))
        over = only(settle(stage, a_finding(id="i"), table_of(), NOW + 3 * HOUR))

        assert other.contains is again
        assert again or ContainmentResult.LIFTED is other.result
        assert over.contains


def test_what_has_ended_for_good_is_not_contained() -> None:
    """A suspend would add nothing, and its end would look like a pardon."""
    ended = Cause(**SAID, target=TOKEN, effect=Effect.REVOKE, at=1)
    decision = only(settle(Containment((a_rule(),)), a_finding(), table_of(ended)))

    assert ContainmentResult.ENDED is decision.result
    assert "ended for good" in decision.action()


def test_a_narrow_leaves_its_scopes_and_may_stay_until_it_is_lifted() -> None:
    """The words say both."""
    rule = a_rule(effect=Effect.NARROW, scopes=("mail|read",), lasts=None)
    decision = only(settle(Containment((rule,)), a_finding(), table_of()))
    cause = decision.cause(ORIGIN)

    assert cause is not None
    assert (Effect.NARROW, ("mail|read",), None) == (
        cause.effect, cause.scopes, cause.until,
    )  # fmt: skip
    assert "narrowed until it is lifted" in decision.action()


def test_old_decisions_go_but_those_that_stand_until_they_are_lifted() -> None:
    """One that is not done is kept, too; one that did nothing goes after a week."""
    for_ever, wide = a_rule("for-ever", lasts=None), a_rule("wide", blast_limit=0)
    stage = Containment((a_rule(), for_ever, wide))
    decided = settle(stage, a_finding(), table_of(edge(CHILDREN[0], TOKEN)))

    def old(days: int) -> list[str]:
        found = [name for name in stage.old(NOW + days * DAY) if name]
        stage.forget(found, NOW + days * DAY)
        return found

    assert [] == old(91)
    for each in decided:
        stage.take(attrs.evolve(each, done=True))
    assert [] == old(7)
    assert ["wide/f-t1"] == old(8)
    assert [] == old(90)
    assert ["leaked/f-t1"] == old(91)
    assert stage.wanted(a_finding())
    assert not Containment(()).wanted(a_finding())


def test_an_alias_or_a_kind_of_a_mapping_is_named_too() -> None:
    """Other names of the credential lie at its own distance."""
    other = Identifier("vault.accessor", "a1")
    table = table_of(alias(TOKEN, other), edge(other, AGENT), known(AGENT))
    rule = a_rule(contain=ContainedName.AGENT)
    assert AGENT == subject_of(a_finding(), rule, table)
    mapped = Registry(extend({"gateway.agent": "principal"}))
    agent = Identifier("gateway.agent", "x")
    mapped.apply(edge(TOKEN, agent))
    assert agent == subject_of(a_finding(), rule, mapped)


def test_a_log_is_believed_on_who_acted_where_a_rule_names_its_point() -> None:
    """Else anybody who may send a log could have any agent suspended."""
    mailer = Identifier("agent.id", "mailer")
    finding = a_finding(agent=str(mailer), point="payments-eu")
    table = table_of(edge(TOKEN, AGENT))
    for points, wanted in (((), AGENT), (("payments-*",), mailer)):
        rule = a_rule(contain=ContainedName.AGENT, points=points)
        assert wanted == only(settle(Containment((rule,)), finding, table)).target


def test_a_source_is_believed_on_what_it_may_speak_of() -> None:
    """Or where a rule names it; a finding that no source tells of needs none."""
    for authority, named, contained in (
        ("github", (), True), ("stranger", (), False), (None, (), False),
        ("stranger", ("stranger",), True),
    ):  # fmt: skip
        rule = a_rule(authorities=frozenset(named))
        stage = Containment((rule,), speaks=lambda who, _: who == "github")
        (decision,) = settle(stage, a_finding(authority=authority), table_of())
        assert decision.contains is contained
        if not contained:
            assert ContainmentResult.UNTRUSTED is decision.result
            assert decision.signal() is None
            assert "may not speak of it" in decision.action()
    rule = a_rule(kinds=frozenset({FindingKind.UNKNOWN_CREDENTIAL}))
    stage = Containment((rule,), speaks=lambda *_: False)
    used = a_finding(kind=FindingKind.UNKNOWN_CREDENTIAL)
    assert only(settle(stage, used, table_of())).contains
