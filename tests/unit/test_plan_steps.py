"""No step of a plan takes long, however what it reaches is shaped."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
import orjson
import pytest

from agents_registry.facts import (
    Alias,
    Cause,
    Edge,
    Effect,
    Fact,
    Holds,
    Node,
    OwnerSet,
)
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.http.plans import ReachQuestion
from streams.http.reach import plain_question, read_question, seeing
from streams.stages.access.columns import AccessColumns
from streams.stages.access.index import AccessIndex
from streams.stages.access.uses import AccessEvent
from streams.stages.plans.last_uses import KnownUses
from streams.stages.plans.reach import told
from tests.held_loop import most_calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.steps import Steps

pytestmark = pytest.mark.unit

MANY: Final = 3000
MOST: Final = 20_000  # calls in a step, as of other works that are cut
S: Final = 10**9
SAID: Final[dict[str, Any]] = {"authority": "a", "received_at": S, "version": S}
TOP: Final = Identifier("aws.user", "top")
ANN: Final = Identifier("person.id", "ann")
MAIL: Final = Identifier("attribute.mail", "00ff")


def names(kind: str) -> list[Identifier]:
    """Give many identifiers."""
    return [Identifier(kind, f"n{number}") for number in range(MANY)]


def fan() -> list[Fact]:
    """Give an account with many credentials, which many agents use."""
    facts: list[Fact] = []
    for key, agent in zip(names("aws.access_key"), names("agent.id"), strict=True):
        facts += (Edge(child=key, parent=each, **SAID) for each in (TOP, agent))
    return facts


def chain() -> list[Fact]:
    """Give agents each below another one."""
    line = [TOP, *names("agent.instance")]
    return [Edge(child=child, parent=up, **SAID) for up, child in pairwise(line)]


def ring() -> list[Fact]:
    """Give a node with many names."""
    return [Alias(first=TOP, second=each, **SAID) for each in names("aws.user")]


def owned() -> list[Fact]:
    """Give many agents that one person owns alone."""
    sets = [OwnerSet(node=each, owners=(TOP,), **SAID) for each in names("agent.id")]
    return [OwnerSet(node=TOP, owners=(ANN,), **SAID), *sets]


def held() -> list[Fact]:
    """Give many that hold one attribute, each with causes of its own."""
    facts: list[Fact] = []
    for each in names("okta.user"):
        facts.append(Holds(node=each, attribute=MAIL, **SAID))
        facts.append(Cause(target=each, effect=Effect.SUSPEND, at=S, **SAID))
    return facts


SHAPES: Final[dict[str, Callable[[], list[Fact]]]] = {
    "fan": fan, "chain": chain, "ring": ring, "owned": owned, "held": held,
}  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "effect"),
    [
        *((shape, Effect.REVOKE) for shape in SHAPES),
        ("fan", Effect.NOT_BEFORE),
        ("chain", Effect.NARROW),
    ],
)
def test_no_step_is_long(shape: str, effect: Effect) -> None:
    """In calls, which are the same on every machine; with what changed since."""
    registry = Registry()
    for fact in (Node(node=TOP, **SAID), *SHAPES[shape]()):
        registry.apply(fact)
    target = MAIL if shape == "held" else TOP
    mark = 2 * S if effect is Effect.NOT_BEFORE else None
    cause = Cause(
        target=target, effect=effect, at=2 * S, not_before=mark, **SAID | {"version": 2}
    )
    seen = np.arange(MANY, dtype=np.uint64).tobytes()
    question = ReachQuestion((cause,), 50, "g:0:0", seen)
    uses = KnownUses.of(())

    def work() -> Steps[dict[str, Any]]:
        reach, changes = yield from seeing(registry, question, 3 * S)
        assert changes is not None
        last = yield from uses.find(reach.members)
        return (yield from told(registry, reach, last, 50))

    assert most_calls(work()) < MOST


def test_an_order_on_very_many_names_takes_no_long_step() -> None:
    """Known ones and unknown ones; as ingress sends it, and as a worker reads it."""
    registry = Registry()
    for fact in fan():
        registry.apply(fact)
    targets = [*names("aws.access_key"), *names("jwt.jti")]
    causes = tuple(
        Cause(target=each, effect=Effect.REVOKE, at=2 * S, event_id=str(number), **SAID)
        for number, each in enumerate(targets)
    )
    sent = ReachQuestion(causes, 50, "g:0:0", b"")
    assert most_calls(plain_question(sent)) < MOST
    body = orjson.dumps(finish(plain_question(sent)))
    assert most_calls(read_question(body)) < MOST
    question = finish(read_question(body))
    assert question == attrs.evolve(sent, causes=[*causes])
    assert most_calls(seeing(registry, question, 3 * S)) < MOST

    reach, changes = finish(seeing(registry, question, 3 * S))

    assert (len(reach.fates.ends), len(reach.fates.unknown)) == (MANY, MANY)
    assert changes is not None
    assert changes.added["total"] == MANY


def test_the_last_use_is_found_that_was_not_refused() -> None:
    """Of each identifier, over all pieces; joined uses count by their last one."""
    one, other, unused = (Identifier("aws.access_key", name) for name in "abc")
    index = AccessIndex(remember=S)
    blocks = (
        [AccessEvent((one,), "door", "allowed", 5, "e1")],
        [
            AccessEvent((other, one), "door", "unknown", 7, "e2"),
            AccessEvent((other,), "door", "denied", 9, "e3"),
        ],
    )
    for uses in blocks:
        index.add(AccessColumns.of(uses), S)
    registry = Registry()
    for name in (one, other, unused):
        registry.apply(Edge(child=name, parent=TOP, **SAID))
    cause = Cause(target=TOP, effect=Effect.REVOKE, at=S, **SAID)
    question = ReachQuestion((cause,), 4, "g:0:0")

    reach, _ = finish(seeing(registry, question, 60 * S))
    last = finish(KnownUses.of(index).find(reach.members))
    answer = finish(told(registry, reach, last, 4))

    first = answer["first"]
    at = "1970-01-01T00:00:00.000000007Z"
    assert {each["identifier"]: each["last_use"] for each in first} == {
        str(one): at, str(other): at, str(unused): None, str(TOP): None,
    }  # fmt: skip
    assert first[2]["last_use"] is None
    assert answer["ends"]["by_last_use"]["hour"] == 2
    (acting,) = answer["acting_now"]["first"]
    assert acting == {"agent": str(TOP), "last_use": at, "ends": True}
