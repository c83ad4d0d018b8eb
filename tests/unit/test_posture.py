"""Posture: when findings begin and end, in virtual time; scopes used and not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    Lift,
    Node,
    OwnerSet,
    Renewal,
    ScopeSet,
)
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import POSTURE, FindingKind
from streams.model.times import DAY, SECOND
from streams.settings.posture import PostureSettings
from streams.stages.access.uses import AccessEvent
from streams.stages.posture import used_scopes
from streams.stages.posture.posture import LOOK_AGAIN, Limits, Posture
from streams.stages.posture.used_scopes import UsedScopes
from streams.stages.sentinel.scope_use import exceeded, scoped, violation
from tests.counted import operations

pytestmark = pytest.mark.unit

NOW = 20_000 * DAY
BOT, SUB, OTHER = (Identifier("agent.id", name) for name in ("bot", "sub", "other"))
ANN = Identifier("person.id", "ann")
TOKEN, CHILD = Identifier("jwt.jti", "t"), Identifier("jwt.jti", "c")
WIDE = Identifier("jwt.jti", "w")
ACCOUNT = Identifier("k8s.service_account", "ns/ci")


def fact(kind: type[Fact], on: int = 1, **fields: Any) -> Fact:
    """Make a fact said and received at a second."""
    when = on * SECOND
    return kind(authority="a", version=when, received_at=when, **fields)


class Desk:
    """A table, its posture, and a clock."""

    def __init__(
        self, *, settle: int = 0, kinds: frozenset[FindingKind] = POSTURE
    ) -> None:
        self.limits = Limits(settle, 3 * DAY, kinds)
        self.registry = Registry()
        self.stage = Posture(self.limits)
        self.stage.follow(self.registry)
        self.now = NOW

    def put(self, *facts: Fact) -> list[str]:
        """Apply facts; give what began, and after a minus what is over."""
        for each in facts:
            self.registry.apply(each)
            self.stage.note(each)
        return self.look()

    def look(self) -> list[str]:
        """Look at all that waits."""
        self.signals: list[dict[str, Any]] = []
        while self.stage.waiting(self.now):
            self.signals += finish(self.stage.step(self.now))
        return sorted(
            f"{'-' if s.get('over') else ''}{s['kind']} {s['presented'][1]}"
            for s in self.signals
        )


def test_an_agent_may_be_without_owner_for_a_while() -> None:
    """The owner may come from another source; only then it is a finding."""
    desk = Desk(settle=900 * SECOND)

    assert not desk.put(fact(Node, node=BOT))
    desk.now += 899 * SECOND
    assert not desk.look()
    desk.now += SECOND
    assert desk.look() == ["ownerless bot"]
    assert desk.signals[0]["detail"] == "nobody is named as its owner"
    assert desk.put(fact(OwnerSet, node=BOT, owners=(ANN,))) == ["-ownerless bot"]


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (1, "jwt.jti:0 descends"),
        (4, "jwt.jti:0, jwt.jti:1, jwt.jti:2, jwt.jti:3 descend"),
        (5, "and others descend"),
    ],
)
def test_who_hangs_on_what_nobody_declared_is_named(below: int, said: str) -> None:
    """Some of many; whose that is shows whom to ask."""
    desk = Desk(kinds=frozenset({FindingKind.UNMAPPED}))
    names = [Identifier("jwt.jti", str(number)) for number in range(below)]

    desk.put(
        *(fact(Edge, child=child, parent=TOKEN) for child in names),
        fact(OwnerSet, node=names[-1], owners=(ANN,)),
    )

    (told,) = [each for each in desk.signals if each["presented"] == [*TOKEN]]
    assert f"{said} from it, and no source declared it" in told["detail"]
    assert f"Owner of {names[-1]}: person.id:ann" in told["detail"]
    unknown = "Owner of jwt.jti:1: unknown (no source names one)"
    assert (unknown in told["detail"]) is (below > 1)


def test_an_owner_that_came_in_time_makes_no_finding_later() -> None:
    """What was put right is forgotten, also the wait."""
    desk = Desk(settle=900 * SECOND)
    desk.put(fact(Node, node=BOT))
    desk.put(fact(OwnerSet, node=BOT, owners=(ANN,)))
    desk.now += DAY

    assert not desk.look()


def test_an_agent_has_the_owner_of_what_it_hangs_on() -> None:
    """A sub-agent is its parent's; both have no owner once that one is gone."""
    desk = Desk()
    owned = fact(OwnerSet, node=BOT, owners=(ANN,))
    assert not desk.put(
        owned,
        fact(Node, node=BOT),
        fact(Node, node=SUB),
        fact(Edge, child=SUB, parent=BOT),
    )

    gone = fact(Cause, 5, target=ANN, effect=Effect.SUSPEND, at=5 * SECOND)
    assert desk.put(gone) == ["ownerless bot"]
    assert desk.signals[0]["detail"] == "none of its owners is there any more"
    assert desk.signals[0]["owner"] == "person.id:ann"
    assert desk.put(fact(Lift, 9, target=ANN)) == ["-ownerless bot"]
    assert desk.put(fact(OwnerSet, 12, node=BOT, owners=())) == ["ownerless bot"]


def test_an_owner_that_expires_leaves_its_agent_alone() -> None:
    """No fact tells of it, only the clock."""
    desk = Desk()
    desk.put(
        fact(Node, node=BOT),
        fact(Renewal, node=ANN, expires_at=NOW + SECOND),
        fact(OwnerSet, node=BOT, owners=(ANN,)),
    )
    desk.now += SECOND

    assert desk.look() == ["ownerless bot"]


def test_what_expired_or_was_revoked_is_no_finding() -> None:
    """A finding ends with the credential, by a fact or by the clock."""
    desk = Desk()
    wide = fact(ScopeSet, node=CHILD, scopes=("api|pay",))
    base = [
        fact(Node, node=TOKEN),
        fact(Node, node=CHILD),
        fact(ScopeSet, node=TOKEN, scopes=("api|mail:*",)),
        fact(Edge, child=CHILD, parent=TOKEN),
    ]
    assert desk.put(*base, wide) == ["scope_escalation c"]
    assert desk.signals[0]["detail"] == "it declares api|pay, more than jwt.jti:t"

    desk.put(fact(Renewal, node=CHILD, expires_at=NOW + SECOND))
    desk.now += LOOK_AGAIN
    assert desk.look() == ["-scope_escalation c"]
    assert desk.put(fact(Renewal, 2, node=CHILD, expires_at=None)) == [
        "scope_escalation c"
    ]
    ended = fact(Cause, 3, target=TOKEN, effect=Effect.REVOKE, at=3 * SECOND)
    assert desk.put(ended) == ["-scope_escalation c"]


def test_a_late_alias_moves_a_finding_to_the_first_name() -> None:
    """One node has one finding, under the first of its names."""
    desk = Desk()
    desk.put(fact(Node, node=BOT), fact(Node, node=OTHER))
    assert desk.put(fact(Alias, first=BOT, second=OTHER)) == ["-ownerless other"]


def test_agents_that_share_an_account_are_counted_once_each() -> None:
    """A sub-agent is no second one, nor is a dead one."""
    desk = Desk(kinds=frozenset({FindingKind.SHARED_SERVICE_ACCOUNT}))
    on_account = [fact(Edge, child=each, parent=ACCOUNT) for each in (BOT, SUB)]
    assert not desk.put(*on_account, fact(Edge, child=SUB, parent=BOT))
    assert desk.put(fact(Edge, child=OTHER, parent=ACCOUNT)) == [
        "shared_service_account ns/ci"
    ]
    assert desk.signals[0]["detail"] == "2 agents use it: agent.id:bot, agent.id:other"
    ended = fact(Cause, 2, target=OTHER, effect=Effect.REVOKE, at=2 * SECOND)
    assert desk.put(ended) == ["-shared_service_account ns/ci"]


def test_agents_share_an_account_by_credentials_that_hang_on_both() -> None:
    """Each token hangs on its agent and on the account, declared or as it is used."""
    desk = Desk(kinds=frozenset({FindingKind.SHARED_SERVICE_ACCOUNT}))
    assert not desk.put(
        fact(Edge, child=TOKEN, parent=BOT),
        fact(Edge, child=TOKEN, parent=ACCOUNT, derived=True),
        fact(Edge, child=Identifier("jwt.jti", "t2"), parent=BOT),
        fact(Edge, child=Identifier("jwt.jti", "t2"), parent=ACCOUNT),
        fact(Edge, child=CHILD, parent=ACCOUNT),
    )
    assert desk.put(fact(Edge, child=CHILD, parent=OTHER)) == [
        "shared_service_account ns/ci"
    ]
    (signal,) = desk.signals
    assert signal["detail"] == "2 agents use it: agent.id:bot, agent.id:other"

    ended = fact(Cause, 9, target=CHILD, effect=Effect.REVOKE, at=9 * SECOND)
    assert desk.put(ended) == ["-shared_service_account ns/ci"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_credential_that_expires_shares_no_account_any_more(order: int) -> None:
    """A renewed one does again; so it is for who hangs on another of them never."""
    desk = Desk(kinds=frozenset({FindingKind.SHARED_SERVICE_ACCOUNT}))
    edges = [
        fact(Edge, child=child, parent=parent)
        for child, agent in ((TOKEN, BOT), (CHILD, OTHER))
        for parent in (ACCOUNT, agent)
    ]
    expiring = fact(Renewal, node=CHILD, expires_at=NOW + SECOND)
    assert desk.put(expiring, *edges[::order]) == ["shared_service_account ns/ci"]
    desk.now += LOOK_AGAIN
    assert desk.look() == ["-shared_service_account ns/ci"]
    renewed = fact(Renewal, 2, node=CHILD, expires_at=NOW + DAY)
    assert desk.put(renewed) == ["shared_service_account ns/ci"]
    under = fact(Edge, child=OTHER, parent=BOT)
    assert desk.put(under) == ["-shared_service_account ns/ci"]


def test_a_step_under_way_is_waited_for() -> None:
    """Until its signals are there, what was taken from the agenda is not over."""
    desk = Desk()
    for each in (fact(Node, node=BOT), fact(Node, node=OTHER)):
        desk.registry.apply(each)
        desk.stage.note(each)
    under_way = desk.stage.step(desk.now)
    next(under_way)

    waits = [desk.stage.waiting(desk.now) for _ in under_way]

    assert waits
    assert all(waits)
    assert not desk.look()


def test_a_start_goes_on_from_what_is_open() -> None:
    """What was put right meanwhile is over; what is open is not told again."""
    desk = Desk()
    desk.put(fact(Node, node=BOT), fact(Node, node=OTHER))
    desk.registry.apply(fact(OwnerSet, node=BOT, owners=(ANN,)))
    desk.stage = Posture(desk.limits)
    gone = Identifier("agent.id", "gone")
    kinds = (FindingKind.OWNERLESS, FindingKind.BLOCKED_ATTEMPT)
    desk.stage.restore((name, kind) for name in (BOT, OTHER, gone) for kind in kinds)
    desk.stage.follow(desk.registry)

    assert desk.look() == ["-ownerless bot", "-ownerless gone"]
    assert not Posture(desk.limits).waiting(NOW)
    assert not finish(Posture(desk.limits).step(NOW))


def test_facts_of_a_table_not_followed_are_not_marked() -> None:
    """Before there is a table there is nothing to look at."""
    stage = Posture(Limits())
    stage.note(fact(Node, node=BOT))

    assert not stage.waiting(NOW)
    assert stage.used(TOKEN, ["api|x"], NOW) is None


def test_kinds_that_are_not_wanted_are_not_told() -> None:
    """And a kind that posture does not tell is refused in the settings."""
    assert not Desk(kinds=frozenset()).put(fact(Node, node=BOT))
    with pytest.raises(ValueError, match="leak: the kinds of posture are"):
        PostureSettings(kinds=frozenset({FindingKind.LEAK}))
    assert PostureSettings(excess_days=3).limits.excess == 3 * DAY


def test_a_scope_that_is_not_used_for_days_is_excess_until_it_is() -> None:
    """Nothing is said of what no log tells, nor of what is not used any more."""
    desk = Desk(kinds=frozenset({FindingKind.EXCESS_SCOPE}))
    scopes = ("api|mail:send", "api|pay", "db|read")
    desk.put(fact(Node, node=TOKEN), fact(ScopeSet, node=TOKEN, scopes=scopes))
    found: list[str] = []
    for _ in range(4):
        desk.stage.used(TOKEN, ["api|mail:send"], desk.now)
        found = desk.look()
        desk.now += DAY
    assert found == ["excess_scope t"]
    told = "in 3 days it did not use api|pay; in use: api|mail:send"
    assert told == desk.signals[0]["detail"]

    assert desk.stage.used(TOKEN, ["api|pay"], desk.now) is not None
    assert desk.stage.used(TOKEN, ["api|pay"], desk.now) is None
    assert desk.look() == ["-excess_scope t"]
    desk.now += 3 * DAY
    assert desk.look() == ["excess_scope t"]
    desk.now += DAY  # it is not used at all any more: that is another story
    assert desk.look() == ["-excess_scope t"]
    assert desk.stage.forget(desk.now) == []
    assert desk.stage.forget(desk.now + 9 * DAY) == [TOKEN]


def test_a_wildcard_of_which_little_is_used_is_excess() -> None:
    """With what it used of it; one that is used itself, or widely, is none."""
    desk = Desk(kinds=frozenset({FindingKind.EXCESS_SCOPE}))
    for name in (TOKEN, CHILD, WIDE):
        desk.put(
            fact(Node, node=name), fact(ScopeSet, node=name, scopes=("api|crm:*",))
        )
    found: list[str] = []
    for day in range(4):
        desk.stage.used(TOKEN, ["api|crm:read"], desk.now)
        desk.stage.used(WIDE, ["api|crm:*"], desk.now)
        some = [f"api|crm:{n}" for n in range(4 if day < 2 else 1)]
        desk.stage.used(CHILD, some, desk.now)
        found += desk.look()
        desk.now += DAY
    assert found == ["excess_scope t"]
    said = {s["presented"][1]: s["detail"] for s in desk.signals}
    assert said == {"t": "in 3 days it used of api|crm:* only api|crm:read"}

    desk.stage.used(TOKEN, [f"api|crm:{n}" for n in range(4)], desk.now)
    desk.stage.used(CHILD, ["api|crm:0"], desk.now)
    assert desk.look() == ["-excess_scope t"]
    desk.now += DAY
    desk.stage.used(CHILD, ["api|crm:0"], desk.now)
    assert desk.look() == ["excess_scope c"]
    assert desk.signals[0]["detail"] == "in 3 days it used of api|crm:* only api|crm:0"


def test_a_credential_that_is_never_used_is_excess() -> None:
    """Once logs tell of its scopes: days are counted from then on, over restarts."""
    desk = Desk(kinds=frozenset({FindingKind.EXCESS_SCOPE}))
    scopes = ("api|crm:*", "db|read")
    kept: dict[Identifier, bytes] = {}
    for name in (TOKEN, CHILD, BOT):
        desk.put(fact(Node, node=name), fact(ScopeSet, node=name, scopes=scopes))
    desk.put(
        fact(ScopeSet, node=WIDE, scopes=scopes), fact(Edge, child=CHILD, parent=WIDE)
    )
    desk.now += 10 * DAY
    assert not desk.look()
    for _ in range(3):
        body = desk.stage.used(CHILD, [f"api|crm:{n}" for n in range(4)], desk.now)
        assert body is not None
        assert not desk.look()
        kept |= {**dict(desk.stage.take_news()), CHILD: body}
        desk.now += DAY
    assert sorted(kept) == [CHILD, TOKEN]

    again = Desk(kinds=desk.limits.kinds)
    for name, body in kept.items():
        again.stage.book.restore(name, body)
    again.registry, again.now = desk.registry, desk.now
    again.stage.follow(again.registry)
    for each in (desk, again):
        each.stage.used(CHILD, [f"api|crm:{n}" for n in range(4)], desk.now)
        assert each.look() == ["excess_scope t"]
        (signal,) = each.signals
        assert signal["detail"] == (
            "in 3 days it was not used at all, and declares api|crm:*"
        )
        widely = [f"api|crm:{n}" for n in range(4)]
        assert each.stage.used(TOKEN, widely, each.now) is not None
        assert each.look() == ["-excess_scope t"]
        assert sorted(each.stage.forget(each.now + 9 * DAY)) == [CHILD, TOKEN]


def test_usage_is_kept_as_bytes_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept brings the same back; beyond the bound nothing is kept."""
    monkeypatch.setattr(used_scopes, "MOST", 1)
    book, again = UsedScopes(), UsedScopes()
    body = book.take(TOKEN, ["api|*"], ["api|x", "db|x"], NOW)
    assert body is not None
    again.restore(TOKEN, body)

    assert book.take(CHILD, ["api|*"], ["api|x"], NOW) is None
    for each in (book, again):
        assert list(each.idle([TOKEN], ["api|*"], NOW, DAY)) == [("api|*", NOW + DAY)]
        assert not list(each.idle([CHILD], ["api|*"], NOW, DAY))
    desk = Desk()
    desk.put(fact(Node, node=CHILD))
    assert desk.stage.used(CHILD, ["api|x"], NOW) is None
    assert desk.stage.used(TOKEN, ["api|x"], NOW) is None


def use(*scopes: str, at: int = 10, outcome: str | None = "allowed") -> AccessEvent:
    """Give a use of the child."""
    return AccessEvent(
        (CHILD,), "door", outcome, at * SECOND, "e", scopes=scopes or None
    )


def test_a_use_beyond_the_scopes_above_is_a_violation() -> None:
    """What was said after the use, and what a lift ended, says nothing of it."""
    registry = Registry.build([
        fact(Node, node=TOKEN),
        fact(Node, node=CHILD),
        fact(Edge, child=CHILD, parent=TOKEN),
        fact(ScopeSet, 5, node=TOKEN, scopes=("api|mail:*",)),
        fact(Cause, 8, target=CHILD, effect=Effect.NARROW, at=8 * SECOND,
             scopes=("api|mail:read",)),
        fact(Lift, 20, target=CHILD),
    ])  # fmt: skip

    found = finish(violation(use("api|pay"), registry))
    assert found == "api|pay was used, which jwt.jti:c does not have"
    assert finish(exceeded(registry, CHILD, "api|pay", at=30 * SECOND)) == TOKEN
    assert finish(violation(use("api|mail:read"), registry)) is None
    assert finish(violation(use("db|x"), registry)) is None
    assert finish(exceeded(registry, CHILD, "api|mail:send", at=10 * SECOND)) == CHILD
    assert finish(exceeded(registry, CHILD, "api|mail:send", at=30 * SECOND)) is None
    assert finish(exceeded(registry, CHILD, "api|pay", at=4 * SECOND)) is None
    assert finish(exceeded(registry, BOT, "api|pay", at=NOW)) is None
    quiet = Registry.build([fact(Node, node=CHILD)])
    assert finish(exceeded(quiet, CHILD, "api|pay", at=NOW)) is None


@pytest.mark.parametrize(
    ("at", "found"), [(20, 0), (23, 0), (24, 1), (37, 1), (38, 0), (41, 0)]
)
def test_a_use_around_a_narrowing_is_no_violation(at: int, found: int) -> None:
    """By clocks that differ, and by requests that were under way."""
    registry = Registry.build([
        fact(Node, node=CHILD),
        fact(Cause, 20, target=CHILD, effect=Effect.NARROW, at=20 * SECOND,
             scopes=("api|read",)),
        fact(Lift, 40, target=CHILD),
    ])  # fmt: skip
    late = violation(use("api|pay", at=at), registry, skew=2 * SECOND, grace=SECOND)
    told = finish(late)

    assert found == (told is not None)


def test_only_uses_that_were_let_in_with_scopes_count() -> None:
    """A refused use is what should be."""
    uses = [
        use("api|x"),
        use(),
        use("api|x", outcome="denied"),
        use("a|b", outcome=None),
    ]

    assert scoped(uses) == [uses[0], uses[3]]


MAIL, OTHER_HASH = (Identifier("attribute.email", name) for name in ("aa", "bb"))


def test_a_cause_on_an_attribute_that_nothing_holds_is_told() -> None:
    """Until something comes to hold it that held it before, over a start."""
    cause = fact(
        Cause, 10, target=MAIL, effect=Effect.NOT_BEFORE, at=10 * SECOND,
        not_before=10 * SECOND,
    )  # fmt: skip
    lost = "revocation_not_applied aa"
    desk = Desk()
    assert [lost] == desk.put(cause)
    assert [] == desk.put(fact(Holds, 11, node=ANN, attribute=MAIL))
    after = Posture(desk.limits)
    after.restore([(MAIL, FindingKind.REVOCATION_NOT_APPLIED)])
    after.follow(desk.registry)
    desk.stage = after
    assert [] == desk.look()
    assert [f"-{lost}"] == desk.put(fact(Holds, 9, node=BOT, attribute=MAIL))


def test_a_cause_under_two_peppers_is_applied_where_one_of_its_hashes_is_held() -> None:
    """Who was told of under one pepper alone is meant by both."""
    put = [fact(Holds, 9, node=ANN, attribute=OTHER_HASH)]
    put.append(fact(Alias, 10, first=MAIL, second=OTHER_HASH))
    put += [
        fact(Cause, 10, target=each, effect=Effect.SUSPEND, at=10 * SECOND)
        for each in (MAIL, OTHER_HASH)
    ]
    assert [] == [s for s in Desk().put(*put) if "not_applied" in s]


def test_a_suspension_of_nobody_is_over_once_it_is_lifted() -> None:
    """Nothing is left that was not applied."""
    desk = Desk()
    suspend = fact(Cause, 10, target=MAIL, effect=Effect.SUSPEND, at=10 * SECOND)
    assert ["revocation_not_applied aa"] == desk.put(suspend)
    lifted = desk.put(fact(Lift, 20, target=MAIL))
    assert ["-revocation_not_applied aa"] == lifted


def test_a_line_of_agents_without_an_account_is_looked_at_once() -> None:
    """What is above each of them is not: twice as many cost twice as much."""
    costs = []
    for count in (100, 200):
        line = [Identifier("agent.id", f"{number}") for number in range(count)]
        desk = Desk()
        for each in line:
            desk.registry.apply(fact(Node, node=each))
        for parent, child in pairwise(line):
            desk.registry.apply(fact(Edge, child=child, parent=parent))
        desk.stage.note(fact(Node, node=line[0]))
        costs.append(operations(desk.look))

    assert costs[1] < 2.6 * costs[0]
