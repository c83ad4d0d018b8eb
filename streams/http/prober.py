"""The prober: ask guards now and then whether they allow what is revoked.

A receipt is what a guard says of itself; this looks. A guard that allows what it says
to have applied is broken, and that is a finding. One that has not applied it yet is
stale, and how long is a metric.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import orjson
from attrs import define, field

from agents_registry.death import Fate
from agents_registry.identifiers import Identifier
from enforcement.turns import undisturbed
from streams.model.findings import FindingKind
from streams.ports.fact_log import LogBatch
from streams.process.aside import Aside, here
from streams.stages.closure.results import seconds_between
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from streams.http.feed import FeedServer
    from streams.http.guard_connection import Connection
    from streams.ports.fact_log import FactLog
    from streams.services.feed_ports import TableSource
    from streams.stages.closure.results import Revocation

SAMPLE: Final = 20  # identifiers of one probe
PROBER: Final = "prober"
PATIENCE: Final = 1.0  # seconds for a guard's socket to take a probe


class Revoked(Protocol):
    """Knows what was revoked lately."""

    @property
    def recent(self) -> Collection[Revocation]: ...  # noqa: D102 - an attribute


class _Allowed(NamedTuple):
    """What a guard said to allow, of what it was asked."""

    guard: str
    applied: int
    found: list[Revocation]


@define(eq=False)
class Prober:
    """Asks the guards that are connected and registered.

    Attributes:
        closures: what is revoked; stages: what is dead; log: takes findings.
        pick: gives some of the revocations, at most so many, at random.
        seconds: between two probes.
        results: identifiers by what the guards said: ``denied``, ``stale``, ``failed``.
        aside: gets to the table.
        staleness: seconds since the acceptance of the oldest revocation that a guard
            had not applied, in the last probe.
    """

    feed: FeedServer
    closures: Revoked
    stages: TableSource
    log: FactLog
    realm: str
    genesis: str
    clock: Callable[[], int]
    pick: Callable[[Sequence[Revocation], int], list[Revocation]]
    seconds: float
    aside: Aside = here
    results: Counter[str] = field(factory=Counter)
    staleness: float = 0.0
    _number: int = 0
    _asked: dict[str, Revocation] = field(factory=dict)
    _waiting: set[Connection] = field(factory=set)
    _allowed: asyncio.Queue[_Allowed] = field(factory=asyncio.Queue)
    _failed: asyncio.Queue[dict[str, Any]] = field(factory=asyncio.Queue)

    async def run(self) -> None:
        """Probe until cancelled."""
        if not self.seconds:
            return
        self.feed.probed = self._answered
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report())
            tasks.create_task(self._look_again())
            while True:
                await asyncio.sleep(self.seconds)
                if self.stages.loaded.is_set():
                    await self.probe()

    async def probe(self) -> None:
        """Ask every registered guard once."""
        self._number += 1
        recent = list(self.closures.recent)
        picked = self.pick(recent, min(SAMPLE, len(recent)))
        dead = await self._dead(picked)
        self._asked = {each.target: each for each in dead}
        self.staleness = 0.0
        self._waiting = {c for c in self.feed.connections if c.session is not None}
        if not self._asked:
            return
        message = {
            "type": "probe",
            "probe": self._number,
            "identifiers": list(self._asked),
        }
        text = orjson.dumps(message).decode()
        async with asyncio.TaskGroup() as tasks:
            for connection in tuple(self._waiting):
                tasks.create_task(_send(connection, text))

    async def _dead(self, picked: Sequence[Revocation]) -> list[Revocation]:
        """Return the identifiers that the server's own table denies."""

        async def look() -> list[Revocation]:
            return [each for each in picked if await self._is_dead(each)]

        return await self.aside(look)

    async def _is_dead(self, revocation: Revocation) -> bool:
        """Whether the server's own table denies it: it may have been withdrawn."""
        registry, name = self.stages.registry, Identifier.parse(revocation.target)
        now = self.clock()
        why = await undisturbed(registry, lambda: Fate(registry, name, now).dying())
        return why is not None and why.cause.fact_id == revocation.id

    def _answered(self, connection: Connection, message: dict[str, Any]) -> None:
        """Take an answer to the last probe, one from each connection."""
        allowed, applied = message.get("allowed"), message.get("applied")
        if (
            message.get("probe") != self._number
            or message.get("genesis") != self.genesis
            or connection not in self._waiting
            or not isinstance(allowed, list)
            or not isinstance(applied, int)
            or applied > self.stages.applied  # the guard may know of a withdrawal
        ):
            return
        self._waiting.discard(connection)
        found = [self._asked[n] for n in self._asked if n in allowed]
        self.results["denied"] += len(self._asked) - len(found)
        if found:
            self._allowed.put_nowait(_Allowed(connection.guard, applied, found))

    async def _look_again(self) -> None:
        """See of what guards allow whether it is still dead."""
        while True:
            guard, applied, found = await self._allowed.get()
            dead = await self._dead(found)
            self.results["denied"] += len(found) - len(dead)
            now = self.clock()
            for each in dead:
                if each.offset < applied:
                    self.results["failed"] += 1
                    self._failed.put_nowait(_signal(each, guard, now))
                else:
                    self.results["stale"] += 1
                    since = seconds_between(each.accepted_at, now)
                    self.staleness = max(self.staleness, since)

    async def _report(self) -> None:
        """Make findings of what should be impossible."""
        while True:
            signal = await self._failed.get()
            origin = Origin(PROBER, self.realm, signal["at"])
            batch = LogBatch(name=PROBER, origin=origin, signals=[signal])
            await self.log.append(batch, patient=True)


async def _send(connection: Connection, text: str) -> None:
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(PATIENCE):
            await connection.socket.send_str(text)


def _signal(revocation: Revocation, guard: str, now: int) -> dict[str, Any]:
    return {
        "kind": FindingKind.ENFORCEMENT_FAILURE.value,
        "presented": list(Identifier.parse(revocation.target)),
        "point": guard,
        "outcome": "allowed",
        "at": now,
        "cause": revocation.id,
        "cause_at": revocation.at,
        "cause_effect": revocation.effect,
        "detail": "a probe of the server found it",
    }
