"""The log of facts in the one SQLite file: a batch is a transaction.

A bulk import is several: not more facts in one than a slow guard may be behind.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import orjson

from agents_registry.facts import Cause, Node, fact_key
from streams.engines.embedded.packed_copies import (
    NOTHING,
    CopiesAsideError,
    look_aside,
)
from streams.observability.failpoints import failpoint
from streams.ports.fact_log import Appended, NotWrittenError, token_of
from streams.services.intake import MANY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from streams.engines.embedded.packed_copies import KnownCopies
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.ports.fact_log import Encoded, LogBatch
    from streams.stages.access.uses import AccessEvent

    Write = Callable[..., Awaitable[Any]]
BLOCK: Final = 100  # access lines in one block
SLICE: Final = 250  # facts in one commit: not more than a slow guard may be behind


class StoredFactLog:
    """The log of a store."""

    key = staticmethod(fact_key)

    def __init__(
        self,
        store: Store,
        room: Callable[[int], AbstractAsyncContextManager[None]],
    ) -> None:
        """Write to a store.

        Args:
            store: holds the log.
            room: waits while guards are too far behind for so many more facts, which
                are written within it.
        """
        self._store = store
        self._room = room

    def written(self, realm: str) -> str:
        """Token of the end of the log."""
        del realm  # the file holds one alone
        return token_of(self._store.genesis, self._store.end)

    async def append(self, batch: LogBatch, *, patient: bool = False) -> Appended:
        """Write a batch, all that is not facts with the last of them."""
        if len(batch.facts) + len(batch.accesses) >= MANY:
            blocks, (*first, rest) = await asyncio.to_thread(_cut, batch)
        else:
            blocks, (*first, rest) = _cut(batch)
        failpoint("ingress.admitted")
        write = self._store.write_in_time if patient else self._store.write
        try:
            new = 0
            for each in first:
                job = functools.partial(_facts, each)
                async with self._room_for(each):
                    new += await self._write(write, job)
            end_job = functools.partial(_rest, batch, rest, blocks)
            async with self._room_for(rest):
                last, end = await self._write(write, end_job)
        except sqlite3.Error as error:
            raise NotWrittenError(str(error)) from error
        return Appended(new + last, token_of(self._store.genesis, end))

    async def _write(self, write: Write, job: Callable[..., Any]) -> Any:
        """Run a job; where its facts are copies of many blocks, look for them first."""
        try:
            return await write(job, urgent=True)
        except CopiesAsideError as error:
            known = await look_aside(self._store, error.keys)
        return await write(functools.partial(job, known=known), urgent=True)

    def _room_for(self, facts: Sequence[Encoded]) -> AbstractAsyncContextManager[None]:
        """Wait for guards that are behind; what ends something never waits."""
        if not facts or any(isinstance(each.fact, Cause) for each in facts):
            return nullcontext()
        return self._room(len(facts))


def _facts(
    facts: Sequence[Encoded], tx: Transaction, *, known: KnownCopies = NOTHING
) -> int:
    return tx.log.add_facts(facts, known)


def _rest(
    batch: LogBatch,
    facts: Sequence[Encoded],
    blocks: list[bytes],
    tx: Transaction,
    *,
    known: KnownCopies = NOTHING,
) -> tuple[int, int]:
    """Write the last facts and all else; give how many were new, and the end."""
    origin, new = batch.origin, tx.log.add_facts(facts, known)
    for block in blocks:
        tx.log.add_access(block, origin.received_at)
    letters, at = batch.dead_letters, origin.received_at
    tx.add_dead_letters(letters, authority=origin.authority, at=at)
    tx.log.add_signals(batch.signals)
    for act in batch.acts:
        tx.audit.add_act(
            at=act.at, actor=act.actor, action=act.action, detail=act.facts
        )
    tx.keep(batch.also)
    return new, tx.log.end


def _cut(batch: LogBatch) -> tuple[list[bytes], list[Sequence[Encoded]]]:
    """Blocks of accesses, and the facts of each commit."""
    return list(_blocks(batch.accesses)), slices(batch.facts)


def slices(encoded: Sequence[Encoded]) -> list[Sequence[Encoded]]:
    """Cut many facts into commits that guards take in without losing their lease.

    What ends something comes first, and what makes a name known comes last: no guard
    ever sees a credential without what limits it.
    """
    if len(encoded) <= SLICE:
        return [encoded]
    ordered = sorted(encoded, key=_grants)
    return [ordered[at : at + SLICE] for at in range(0, len(ordered), SLICE)]


def _grants(each: Encoded) -> int:
    return -isinstance(each.fact, Cause) or int(isinstance(each.fact, Node))


def _blocks(accesses: Sequence[AccessEvent]) -> Iterator[bytes]:
    for start in range(0, len(accesses), BLOCK):
        block = accesses[start : start + BLOCK]
        yield orjson.dumps([use.to_plain() for use in block])
