"""What is known of ends at issuers says when nobody looked yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest

from agents_registry.identifiers import Identifier
from streams.model.endings import Alive, Probed
from streams.model.times import SECOND
from streams.ports.keyed_store import ENDING, ENDING_CAUSE
from streams.services.ending_book import EndingBook
from streams.stages.ending.groups import GroupRole, MoreCauses
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ending.progress import Patience, unknown

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

CAUSE = "c" * 64
CAUSES = (CAUSE, "d" * 64, "e" * 64)


class Heard:
    """Bodies, as whoever follows them hears of each."""

    def __init__(self) -> None:
        self.followers: dict[str, Callable[[str, bytes | None], None]] = {}

    def follow(self, kind: str, heard: Callable[[str, bytes | None], None]) -> None:
        """Hear all bodies of a kind."""
        self.followers[kind] = heard

    def put(self, kind: str, name: str, body: bytes) -> None:
        """Keep a body."""
        self.followers[kind](name, body)


def book() -> tuple[Heard, EndingBook]:
    """Make a book and what it hears."""
    heard, found = Heard(), EndingBook()
    found.listen(cast("Any", heard))
    return heard, found


def test_what_is_half_planned_is_not_planned() -> None:
    """The first items of a cause say nothing of the others."""
    heard, found = book()
    heard.put(ENDING_CAUSE, "looked", orjson.dumps({"by": ["vault"]}))
    item = EndingItem(
        actuator="vault",
        identifier=Identifier("vault.lease", "l"),
        causes=(CAUSE,),
        state=EndingState.ENDED,
    )
    heard.put(ENDING, item.name, item.dump())

    assert not found.is_planned(CAUSE, {"vault"})
    heard.put(ENDING_CAUSE, CAUSE, b"{}")
    assert found.is_planned(CAUSE, {"vault"})


def test_an_actuator_that_was_just_switched_on_was_not_looked_for() -> None:
    """What another one ended says nothing of it."""
    heard, found = book()
    heard.put(ENDING_CAUSE, CAUSE, b"{}")
    heard.put(ENDING_CAUSE, "looked", orjson.dumps({"by": ["vault"]}))

    assert not found.is_planned(CAUSE, {"vault", "aws"})
    heard.put(ENDING_CAUSE, "looked", orjson.dumps({"by": ["aws", "vault"]}))
    assert found.is_planned(CAUSE, {"vault", "aws"})


async def test_many_items_hold_no_loop() -> None:
    """Others have their turns while items are looked through."""
    heard, found = book()
    for number in range(2_000):
        item = EndingItem(
            actuator="vault",
            identifier=Identifier("vault.lease", str(number)),
            causes=(CAUSE,),
            state=EndingState.FAILED,
            changed=number,
        )
        heard.put(ENDING, item.name, item.dump())
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    for look in (found.items("vault"), found.of_cause(CAUSE)):
        before = turns
        assert len([each async for each in look]) == 2_000
        assert turns - before >= 7
    before = turns
    assert (await found.trouble())["vault"].changed == 1_999
    assert turns - before >= 7
    beside.cancel()


@pytest.mark.parametrize("answered", [True, False])
def test_no_issuer_may_ask_to_be_left_alone_for_years(answered: bool) -> None:
    """A vendor's code may hand on what the issuer asks for as it came."""
    item = EndingItem(actuator="vault", identifier=Identifier("vault.lease", "l"))
    probed = Probed(Alive.UNKNOWN, retry_after=1e9, answered=answered)

    assert unknown(item, probed, Patience(), 0).due == 3600 * SECOND


async def test_causes_of_a_group_are_found_with_what_has_the_group() -> None:
    """They are shown as if the item named them."""
    heard, found = book()
    item = EndingItem(
        actuator="vault",
        identifier=Identifier("vault.lease", "l"),
        causes=(CAUSE,),
        more=(MoreCauses("g" * 32, GroupRole.CARRIED, 0),),
        state=EndingState.ENDED,
    )
    heard.put(ENDING, item.name, item.dump())
    heard.put(ENDING_CAUSE, "grouped:" + "d" * 64, orjson.dumps(["g" * 32, 0]))

    of = {cause: [each async for each in found.of_cause(cause)] for cause in CAUSES}

    assert [item] == of[CAUSES[0]]
    assert [(*item.causes, CAUSES[1])] == [each.causes for each in of[CAUSES[1]]]
    assert [] == of[CAUSES[2]]
    assert [True, True, False] == [found.concerns(item, cause) for cause in CAUSES]
    assert not found.is_planned("d" * 64, set())
