"""Callers in columns: the same ones come back, and nothing else does."""

from __future__ import annotations

import attrs
import numpy as np
import orjson
import pytest

from agents_registry.facts import Cause, Effect, from_plain
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact, encode_fact
from streams.model.records import Access
from streams.services.feed_frames import deltas, facts_json
from streams.stages.access.caller import Caller, caller
from streams.stages.access.callers import Callers, joined
from streams.stages.access.columns import AccessColumns
from streams.stages.access.columns import joined as joined_lines
from streams.stages.access.uses import AccessEvent, seen

pytestmark = pytest.mark.unit

ANN = Caller("192.0.2.1", "curl", "agent.id:a")
BOB = Caller("192.0.2.2", None, None)
TOLD = [None, ANN, BOB, ANN]


def every(callers: Callers, rows: int) -> list[Caller | None]:
    """Give the caller of each row."""
    return [callers.at(row) for row in range(rows)]


def use(by: Caller | None) -> AccessEvent:
    """Give a use of somebody."""
    return AccessEvent(
        (Identifier("jwt.jti", "t"),), "door", "allowed", 5, None, caller=by
    )


def test_come_back_as_they_were() -> None:
    """Written and read, some chosen, some blocks joined with one that tells of none."""
    callers = Callers.of(TOLD)

    assert every(Callers.read(callers.written(), 4), 4) == TOLD
    assert every(callers.chosen(np.array([3, 0])), 2) == [ANN, None]
    both = joined([(Callers(), 2), (callers, 4), (Callers.of([BOB]), 1)])
    assert every(both, 7) == [None, None, *TOLD, BOB]
    assert {ANN, BOB} == set(both.known)
    assert not joined([(Callers(), 3)]).known


def test_nobody_costs_nothing() -> None:
    """A block whose lines tell of no caller has no column."""
    assert Callers.of([None, None]).written() is None
    assert "callers" not in AccessColumns.of([use(None)]).columns()
    assert Callers.read(None, 9).at(8) is None
    assert Callers().chosen(np.array([1])).at(0) is None


@pytest.mark.parametrize(
    "wrong",
    [b"[]\n\x01\x00", b"[[]]\n", b"[1]\n\x01\x00", b"{\n", b'[["a"]]\n\x02\x00'],
)
def test_columns_of_something_else_are_refused(wrong: bytes) -> None:
    """Too few rows, a number of nobody, no callers at all."""
    with pytest.raises(ValueError, match=r"."):
        Callers.read(wrong, 1)


def test_are_part_of_a_block() -> None:
    """Through columns, choice and join, as the log and the remembered uses have it."""
    lines = AccessColumns.of(map(use, TOLD))
    again = AccessColumns.read(lines.points, lines.columns())
    both = joined_lines([again, again.chosen([2])])

    assert [*TOLD, BOB] == [both.use(row).caller for row in range(5)]
    assert AccessEvent.from_plain(use(ANN).to_plain()) == use(ANN)
    assert AccessEvent.from_plain(use(None).to_plain()) == use(None)
    assert len(use(None).to_plain()) == 8


def test_a_caller_is_short_and_tells_no_secret() -> None:
    """A user agent may be any text; the agent is the first actor that is one."""
    assert caller(None, "", None) is None
    told = caller("192.0.2.1", "x" * 1000, None)
    assert told is not None
    assert told.user_agent == "x" * 256
    token = "ghp_" + "a" * 36
    access = Access(
        "s", None, "call", 1, (Identifier("jwt.jti", "t"),), 0, "allowed",
        actor=(Identifier("person.id", "p"), Identifier("gateway.agent", "a")),
        user_agent=f"bot {token}",
    )  # fmt: skip
    by = seen(access, point="door", received_at=2).caller
    assert by == Caller(None, "bot [secret]", "gateway.agent:a")


@pytest.mark.parametrize("actor", [None, "dana"])
def test_no_guard_is_told_who_ended_something_and_why(actor: str | None) -> None:
    """The log keeps it for people; the frame that a guard gets is the same."""
    cause = Cause(
        authority="operators", version=1, received_at=2, at=1, effect=Effect.REVOKE,
        target=Identifier("jwt.jti", "t"), actor=actor, reason=actor and "INC-77",
    )  # fmt: skip
    value = encode_fact(cause)
    assert decode_fact(value) == cause

    (frame,) = deltas(0, [cause], {})
    (told,) = orjson.loads(frame.text)["facts"]
    assert [told] == orjson.loads(facts_json([decode_fact(value)]))

    assert {"actor", "reason"}.isdisjoint(told)
    assert from_plain(told) == attrs.evolve(cause, actor=None, reason=None)
