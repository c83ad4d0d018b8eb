"""Uses of one node: by point and outcome, with callers and scopes, of several parts."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.identifiers import Identifier
from agents_registry.steps import finish
from streams.model.times import rfc3339
from streams.stages.access.caller import Caller
from streams.stages.access.columns import AccessColumns
from streams.stages.access.index import AccessIndex
from streams.stages.access.uses import AccessEvent
from streams.stages.lineage import uses
from streams.stages.lineage.joined_uses import SHOWN, joined
from streams.stages.lineage.uses import using
from tests.held_loop import most_calls

pytestmark = pytest.mark.unit

S = 10**9
ONE, OTHER = Identifier("jwt.jti", "one"), Identifier("jwt.jti", "other")


def used(at: float, name: Identifier = ONE, **more: Any) -> AccessEvent:
    """Give one use."""
    told = {"point": "api", "outcome": "allowed", "event_id": None, **more}
    return AccessEvent(identifiers=(name,), at=int(at * S), **told)


def remembered(*events: AccessEvent) -> AccessIndex:
    """Remember uses."""
    index = AccessIndex(86_400 * S)
    index.add(AccessColumns.of(events), 100 * S)
    return index


def test_uses_are_counted_by_point_and_outcome() -> None:
    """Of this node alone; who called last, and what it needed, each once."""
    index = remembered(
        used(10, caller=Caller("192.0.2.1", "curl", None), scopes=("api|read",)),
        used(12, caller=Caller("192.0.2.1", "curl", None)),
        used(11, outcome="denied", scopes=("api|write",)),
        used(13, OTHER),
        used(9, point="web", outcome=None),
    )

    told = finish(using(index, [ONE]))

    assert told["total"] == 4
    assert told["points"] == [
        {
            "point": point, "outcome": outcome, "count": count,
            "first": rfc3339(first * S), "last": rfc3339(last * S),
        }
        for point, outcome, count, first, last in (
            ("api", "allowed", 2, 10, 12),
            ("api", "denied", 1, 11, 11),
            ("web", "unknown", 1, 9, 9),
        )
    ]  # fmt: skip
    assert [each["last"] for each in told["callers"]] == [rfc3339(12 * S)]
    assert [each["scope"] for each in told["scopes"]] == ["api|write", "api|read"]
    assert finish(using(index, [OTHER]))["total"] == 1
    assert finish(using(index, [Identifier("jwt.jti", "none")]))["points"] == []


def test_parts_are_one_answer() -> None:
    """The first and the last of all count, also within a second."""
    here = finish(using(remembered(used(10), used(11.5)), [ONE]))
    there = finish(using(remembered(used(11), used(11.25, point="web")), [ONE]))

    both = joined([here, there])

    assert both["total"] == 4
    api, web = both["points"]
    assert (api["count"], api["first"], api["last"]) == (
        3, rfc3339(10 * S), rfc3339(int(11.5 * S)),
    )  # fmt: skip
    assert web["point"] == "web"
    whole = remembered(used(10), used(11.5), used(11), used(11.25, point="web"))
    assert both == finish(using(whole, [ONE]))


def test_many_uses_are_counted_in_short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """All are counted; callers are those of the last ones."""
    monkeypatch.setattr(uses, "READ", 10)
    index = AccessIndex(86_400 * S)
    for piece in range(4):
        events = [
            used(piece * 500 + n, caller=Caller(f"192.0.2.{piece}", f"a{n}", None))
            for n in range(500)
        ]
        index.add(AccessColumns.of(events), 100 * S)

    told = finish(using(index, [ONE]))

    assert told["total"] == 2000
    assert [each["user_agent"] for each in told["callers"]][:2] == ["a499", "a498"]
    assert len(told["callers"]) == 10 < SHOWN
    assert most_calls(using(index, [ONE])) < 20_000
