"""Take events in: read, admit, write as one transaction, and only then say yes."""

from __future__ import annotations

import asyncio
import functools
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypeVar

import orjson

from agents_registry.facts import Cause, Node, fact_id
from streams.observability import tracing
from streams.observability.failpoints import failpoint
from streams.services.blast_limit import sifted
from streams.services.intake import (
    MANY,
    Acceptance,
    Complete,
    Deduplicator,
    Encoded,
    IntakeBatch,
    Noted,
    PreparedBatch,
    as_it_is,
    encode,
    many,
    token_of,
)
from streams.services.quotas import OverQuotaError
from streams.stages.ingest.admission import Admission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from agents_registry.facts import Fact
    from schemas.entries import Act
    from streams.engines.embedded.store import Store
    from streams.engines.embedded.transaction import Transaction
    from streams.services.blast_limit import BlastLimit
    from streams.services.quotas import Quotas
    from streams.stages.ingest.ingress import Origin

P = ParamSpec("P")
T = TypeVar("T")

BLOCK: Final = 100  # access lines in one block
SLICE: Final = 250  # facts in one commit: not more than a slow guard may be behind


class Write(Protocol):
    """How a job gets into the store."""

    async def __call__(self, job: Callable[[Transaction], T], *, urgent: bool) -> T:
        """Run it in a transaction."""
        ...


class Ingest:
    """The way into the log for sources, operators and watched files.

    Attributes:
        limit: holds back what reaches too much, once there is a table to count in.
        quotas: of the authorities, for what is pushed.
        stated: what was said already, and what names secrets.
    """

    def __init__(
        self,
        store: Store,
        fresh_id: Callable[[], str],
        room: Callable[[int], AbstractAsyncContextManager[None]],
        noted: Noted | None = None,
        complete: Complete = as_it_is,
    ) -> None:
        """Write to a store.

        Args:
            store: holds the log.
            fresh_id: gives unique ids.
            room: waits while guards are too far behind for so many more facts, which
                are written within it.
            noted: is told of each batch that is on disk.
            complete: adds what the source can only be asked for.
        """
        self._store = store
        self._room = room
        self._fresh_id = fresh_id
        self._complete = complete
        self.stated = Deduplicator()
        self._noted = noted
        self.limit: BlastLimit | None = None
        self.quotas: Quotas | None = None

    @tracing.spanned(tracing.ACCEPT)
    async def records(
        self,
        delivery: IntakeBatch,
        also: Callable[[Transaction], None] | None = None,
        *,
        patient: bool = False,
    ) -> Acceptance:
        """Admit records and write what gets in.

        Args:
            delivery: the batch.
            also: writes more in the same transaction (a file's position, an audit
                line).
            patient: wait for room on a full disk instead of raising; it was fetched,
                so no quota is meant.

        Raises:
            StoreBusyError: too much waits to be written.
            OverQuotaError: the authority says too much; its causes are written.
            sqlite3.Error: the file could not be written.
        """
        delivery = await self._complete(delivery)
        prepare, fresh = self.stated.prepare, self._fresh_id()
        aside = asyncio.to_thread if many(delivery.records) else _at_once
        prepared = await aside(prepare, delivery, fresh)
        tracing.note_written(prepared.encoded)
        later = 0.0
        if self.quotas is not None and not patient:
            prepared, later = self.quotas.hold(prepared, delivery.origin.authority)
        prepared = await sifted(self.limit, prepared, delivery.origin)
        blocks, (*first, rest) = await aside(_cut, prepared)
        failpoint("ingress.admitted")
        write = self._store.write_in_time if patient else self._store.write
        written = await self._ahead(first, write)

        def job(tx: Transaction) -> Acceptance:
            facts = written + self._add(tx, rest, prepared, blocks, delivery.origin)
            if also is not None and not later:
                also(tx)
            return self._receipt(tx, prepared, facts)

        async with self._room_for(rest):
            receipt = await write(job, urgent=True)
        if later:
            raise OverQuotaError(delivery.origin.authority, later, ended=True)
        self.stated.remember(prepared)
        if self._noted is not None:
            self._noted(delivery, prepared)
        return receipt

    @tracing.spanned(tracing.ACCEPT)
    async def facts(
        self, facts: Sequence[Fact], origin: Origin, *, actor: str, action: str
    ) -> Acceptance:
        """Write an operator's facts and the audit line on them.

        Nothing is written where one of them does not fit the schema: the receipt
        counts those as dead letters. Many facts are several commits, and only the
        last one holds the audit line.
        """
        admission = Admission()

        def prepare() -> tuple[list[Encoded], list[Sequence[Encoded]], list[str]]:
            encoded = encode(facts, origin, admission)
            detail = [fact_id(each.fact).hex() for each in encoded]
            return encoded, slices(encoded), detail

        aside = asyncio.to_thread if len(facts) > MANY else _at_once
        encoded, (*first, rest), detail = await aside(prepare)
        if admission.dead_letters:
            token = token_of(self._store.genesis, self._store.end)
            return Acceptance(0, len(admission.dead_letters), 0, token)

        tracing.note_written(encoded)
        written = await self._ahead(first, self._store.write)

        def job(tx: Transaction) -> Acceptance:
            new = written + tx.add_facts(rest)
            tx.add_audit(
                at=origin.received_at, actor=actor, action=action, detail=detail
            )
            token = token_of(self._store.genesis, tx.end)
            return Acceptance(len(encoded), 0, new, token)

        async with self._room_for(rest):
            return await self._store.write(job, urgent=True)

    async def record_act(self, act: Act) -> None:
        """Put what an operator did, without facts, into the audit chain.

        Raises:
            StoreBusyError: too much waits to be written.
            sqlite3.Error: the file could not be written.
        """
        await self._store.write(functools.partial(_add_act, act), urgent=True)

    async def _ahead(self, first: list[Sequence[Encoded]], write: Write) -> int:
        """Write all slices but the last; give how many facts were new."""
        new = 0
        for each in first:
            async with self._room_for(each):
                new += await write(functools.partial(_add_facts, each), urgent=True)
        return new

    def _room_for(self, facts: Sequence[Encoded]) -> AbstractAsyncContextManager[None]:
        """Wait for guards that are behind; what ends something never waits."""
        if not facts or any(isinstance(each.fact, Cause) for each in facts):
            return nullcontext()
        return self._room(len(facts))

    def _add(
        self,
        tx: Transaction,
        rest: Sequence[Encoded],
        prepared: PreparedBatch,
        blocks: list[bytes],
        origin: Origin,
    ) -> int:
        facts = tx.add_facts(rest)
        for block in blocks:
            tx.add_access(block, origin.received_at)
        tx.add_dead_letters(
            prepared.admission.dead_letters,
            authority=origin.authority,
            at=origin.received_at,
        )
        tx.add_signals(prepared.admission.signals)
        return facts

    def _receipt(
        self, tx: Transaction, prepared: PreparedBatch, facts: int
    ) -> Acceptance:
        token = token_of(self._store.genesis, tx.end)
        return prepared.receipt(facts, token)


def slices(encoded: Sequence[Encoded]) -> list[Sequence[Encoded]]:
    """Cut many facts into commits that guards take in without losing their lease.

    What ends something comes first, and what makes a name known comes last: no guard
    ever sees a credential without what limits it.
    """
    if len(encoded) <= SLICE:
        return [encoded]
    ordered = sorted(encoded, key=_grants)
    return [ordered[at : at + SLICE] for at in range(0, len(ordered), SLICE)]


async def _at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what takes less time than to hand it to a thread."""
    return function(*args, **kwargs)


def _cut(prepared: PreparedBatch) -> tuple[list[bytes], list[Sequence[Encoded]]]:
    """Blocks of accesses, and the facts of each commit."""
    return list(_blocks(prepared.admission)), slices(prepared.encoded)


def _grants(each: Encoded) -> int:
    return -isinstance(each.fact, Cause) or int(isinstance(each.fact, Node))


def _add_act(act: Act, tx: Transaction) -> None:
    tx.add_audit(at=act.at, actor=act.actor, action=act.action, detail=list(act.facts))


def _add_facts(facts: Sequence[Encoded], tx: Transaction) -> int:
    return tx.add_facts(facts)


def _blocks(admission: Admission) -> Iterator[bytes]:
    accesses = admission.accesses
    for start in range(0, len(accesses), BLOCK):
        block = accesses[start : start + BLOCK]
        yield orjson.dumps([use.to_plain() for use in block])
