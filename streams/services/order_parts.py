"""The names of a long order, kept beside it: no body of a store is a large one.

They are durable before the order is, and go after it. What a crash leaves of an order
that nobody knows is dropped once it is old.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from agents_registry.identifiers import Identifier
from streams.model.times import SECOND
from streams.ports.keyed_store import ORDER_PART, PENDING, SCHEDULE, Put
from streams.stages.ingest.order_names import digesting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.steps import Steps
    from streams.ports.keyed_store import KeyedStore
    from streams.stages.ingest.approvals import Pending

PART: Final = 1000  # names
LEFT_SECONDS: Final = 3600.0  # after which nobody is about to keep their order


class IncompleteError(Exception):
    """The names of an order are not what was ordered; nothing of it may be written."""


async def keep_parts(
    kept: KeyedStore, order: Pending, names: Sequence[Identifier]
) -> None:
    """Keep the names of an order that is kept next.

    Raises:
        NotWrittenError: not all of them are.
    """
    for number, start in enumerate(range(0, len(names), PART)):
        told = [str(each) for each in names[start : start + PART]]
        body = orjson.dumps({"at": order.proposed_at, "names": told})
        await kept.put(ORDER_PART, f"{order.id}/{number}", body)


def names_of(kept: KeyedStore, order: Pending) -> Steps[list[Identifier]]:
    """Find the names of an order that was kept, in their order.

    Raises:
        IncompleteError: some are missing or others.
    """
    texts: list[str] = []
    for number in range(_parts(order)):
        yield
        body = kept.get(ORDER_PART, f"{order.id}/{number}")
        texts += [] if body is None else orjson.loads(body)["names"]
    whole = len(texts) == order.names
    if order.names and not (whole and (yield from digesting(texts)) == order.digest):
        told = f"{len(texts)} of its {order.names} names are here as they were ordered"
        raise IncompleteError(f"{told}: reject it, and give the order again")
    names = []
    for each in texts:
        yield
        names.append(Identifier.parse(each))
    return names


def without(order: Pending) -> list[Put]:
    """Bodies to forget with an order."""
    return [
        Put(ORDER_PART, f"{order.id}/{number}", None) for number in range(_parts(order))
    ]


async def sweep_parts(kept: KeyedStore, now: int) -> None:
    """Drop what crashes left of orders that were never kept.

    Raises:
        NotWrittenError: not all of it could be.
    """
    known = {*kept.items(PENDING), *kept.items(SCHEDULE)}
    for name, body in kept.items(ORDER_PART).items():
        if name.partition("/")[0] in known:
            continue
        if orjson.loads(body)["at"] + int(LEFT_SECONDS * SECOND) < now:
            await kept.forget(ORDER_PART, name)


def _parts(order: Pending) -> int:
    return -(-order.names // PART)
