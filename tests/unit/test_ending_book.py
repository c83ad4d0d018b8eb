"""What is known of ends at issuers says when nobody looked yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest

from agents_registry.identifiers import Identifier
from streams.ports.keyed_store import ENDING, ENDING_CAUSE
from streams.services.ending_book import EndingBook
from streams.stages.ending.items import EndingItem, EndingState

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

CAUSE = "c" * 64


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
