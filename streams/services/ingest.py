"""The one way into the log: admit, hold to limits, append, and only then say yes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import structlog
from attrs import define, field

from agents_registry.facts import fact_id
from schemas.entries import Act
from streams.observability import tracing
from streams.ports.fact_log import LogBatch, NotWrittenError
from streams.services.blast_limit import sifted
from streams.services.intake import (
    MANY,
    Acceptance,
    Deduplicator,
    as_it_is,
    encode,
    many,
)
from streams.services.quotas import OverQuotaError
from streams.stages.ingest.admission import Admission
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agents_registry.facts import Fact
    from streams.ports.fact_log import Encoded, FactLog
    from streams.ports.keyed_store import Put
    from streams.services.blast_limit import BlastLimit
    from streams.services.intake import Complete, IntakeBatch, Noted, PreparedBatch
    from streams.services.quotas import Quotas

P = ParamSpec("P")
T = TypeVar("T")

AGAIN_SECONDS: Final = 1.0

log = structlog.get_logger()


@define(eq=False)
class Intake:
    """The way into the log for sources and operators, whatever the engine.

    Attributes:
        log: of facts, of the engine.
        fresh_id: gives unique ids.
        noted: is told of each batch that is durable.
        complete: adds what the source can only be asked for.
        limit: holds back what reaches too much, once there is a table to count in.
        quotas: of the authorities, for what is pushed.
        stated: what was said already, and what names secrets.
    """

    _log: FactLog
    _fresh_id: Callable[[], str]
    _noted: Noted | None = None
    _complete: Complete = as_it_is
    limit: BlastLimit | None = field(default=None, init=False)
    quotas: Quotas | None = field(default=None, init=False)
    stated: Deduplicator = field(init=False)

    @stated.default
    def _nothing_stated(self) -> Deduplicator:
        return Deduplicator(self._log.key)

    @tracing.spanned(tracing.ACCEPT)
    async def records(
        self,
        delivery: IntakeBatch,
        also: Sequence[Put] = (),
        *,
        place: object = None,
        patient: bool = False,
    ) -> Acceptance:
        """Admit records and write what gets in; it is durable when this returns.

        Args:
            delivery: the batch.
            also: stands once all of the batch does: a cursor after it, a resource.
            place: of the record in a log of the engine that it stood in; what is
                written is named by it, and is the same when it is taken in again.
            patient: wait while nothing can be written instead of raising; it was
                fetched, so no quota is meant. Of a place none is meant either.

        Raises:
            NotWrittenError: it could not be written; nothing is promised.
            OverQuotaError: the authority says too much; its causes are written.
        """
        delivery = await self._complete(delivery)
        fresh = self._fresh_id() if place is None else str(place)
        aside = asyncio.to_thread if many(delivery.records) else _at_once
        again, authority = place is not None, delivery.origin.authority
        prepared = await aside(self.stated.prepare, delivery, fresh, again=again)
        tracing.note_written(prepared.encoded)
        later, quotas = 0.0, None if patient or again else self.quotas
        if quotas is not None:
            prepared, later = quotas.hold(prepared, authority)
        counted = prepared
        try:
            prepared = await self._sifted(prepared, delivery, patient=patient)
            batch = _batch(fresh, delivery, prepared, () if later else also, place)
            written = await self._log.append(batch, patient=patient)
        except NotWrittenError:
            if quotas is not None:
                quotas.give_back(counted, authority)
            raise
        if later:
            raise OverQuotaError(authority, later, ended=True)
        self.stated.remember(prepared)
        if self._noted is not None:
            self._noted(delivery, prepared)
        return prepared.receipt(*written)

    @tracing.spanned(tracing.ACCEPT)
    async def facts(
        self,
        facts: Sequence[Fact],
        origin: Origin,
        *,
        actor: str,
        action: str,
        also: Sequence[Put] = (),
    ) -> Acceptance:
        """Write an operator's facts, and behind them who did it.

        Args:
            facts: that are stated.
            origin: of the request.
            actor: name of the operator's credential.
            action: what is done and why, in one line.
            also: stands once the facts do.

        Nothing is written where one of them does not fit the schema: the receipt
        counts those as dead letters.

        Raises:
            NotWrittenError: it could not be written; nothing is promised.
        """
        admission = Admission()

        def prepare() -> tuple[list[Encoded], list[str]]:
            encoded = encode(facts, origin, admission, self._log.key)
            return encoded, [fact_id(each.fact).hex() for each in encoded]

        aside = asyncio.to_thread if len(facts) > MANY else _at_once
        encoded, ids = await aside(prepare)
        if admission.dead_letters:
            token = self._log.written(origin.realm)
            return Acceptance(0, len(admission.dead_letters), 0, token)
        tracing.note_written(encoded)
        at, realm = origin.received_at, origin.realm
        act = Act(realm=realm, at=at, actor=actor, action=action, facts=ids)
        name = self._fresh_id()
        batch = LogBatch(name=name, origin=origin, facts=encoded, acts=[act], also=also)
        return Acceptance(len(encoded), 0, *await self._log.append(batch))

    def written(self, realm: str) -> str:
        """Token of the last fact that this process wrote for a realm."""
        return self._log.written(realm)

    async def record_act(self, act: Act, also: Sequence[Put] = ()) -> None:
        """Put what was done, without facts, into the audit chain.

        Args:
            act: of an operator, or of an actuator.
            also: stands once that does.

        Raises:
            NotWrittenError: it could not be written; do not do it then.
        """
        origin = Origin(act.actor, act.realm, act.at)
        batch = LogBatch(name=self._fresh_id(), origin=origin, acts=[act], also=also)
        await self._log.append(batch)

    async def _sifted(
        self, prepared: PreparedBatch, delivery: IntakeBatch, *, patient: bool
    ) -> PreparedBatch:
        async def attempt() -> PreparedBatch:
            return await sifted(self.limit, prepared, delivery.origin)

        return await (until_written(attempt) if patient else attempt())


def _batch(
    name: str,
    delivery: IntakeBatch,
    prepared: PreparedBatch,
    also: Sequence[Put],
    place: object,
) -> LogBatch:
    admission = prepared.admission
    return LogBatch(
        name=name,
        origin=delivery.origin,
        facts=prepared.encoded,
        accesses=admission.accesses,
        signals=admission.signals,
        dead_letters=admission.dead_letters,
        also=also,
        place=place,
    )


async def until_written(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again and again until it is written."""
    while True:
        try:
            return await attempt()
        except NotWrittenError as error:
            log.warning("not_written", error=str(error))
            await asyncio.sleep(AGAIN_SECONDS)


async def _at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what takes less time than to hand it to a thread."""
    return function(*args, **kwargs)
