"""Cursors, health records and SCIM resources on Kafka, as their owners want them."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
import structlog

from streams.engines.kafka.ingress.compacted_store import part
from streams.services.intake import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.engines.kafka.ingress.compacted_store import CompactedStore
    from streams.engines.kafka.ingress.ingress import KafkaLog
    from streams.services.intake import IntakeBatch

T = TypeVar("T")

AGAIN_SECONDS: Final = 1.0
SAVE_SECONDS: Final = 10.0
HEARSAY_SECONDS: Final = 2 * SAVE_SECONDS  # after which all know what one heard
CURSOR: Final = "cursor"
HEALTH: Final = "health"
ASKED: Final = "asked"
STATES: Final = 8  # of verifications of a stream that may still come
SCIM: Final = "scim"

log = structlog.get_logger()


class KafkaCursors:
    """The places in vendors' logs: each is kept after its page is acked."""

    def __init__(self, kept: CompactedStore, writer: KafkaLog) -> None:
        """Keep them in the topic, behind what ``writer`` wrote."""
        self._kept = kept
        self._writer = writer

    async def load(self, name: str) -> bytes | None:
        """Cursor of a feed as its last reader left it; None: there is none."""
        await _until_done(self._kept.catch_up)
        return self._kept.entries.get((CURSOR, name))

    async def save(self, name: str, body: bytes) -> None:
        """Keep a first cursor; waits until it is acked."""
        await _until_done(lambda: self._kept.put(CURSOR, name, body))

    async def write(self, delivery: IntakeBatch, name: str, body: bytes) -> None:
        """Write what was read, then the cursor after it; waits until both are acked."""
        await _until_done(lambda: self._writer.records(delivery, patient=True))
        await self.save(name, body)


async def _until_done(attempt: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await attempt()
        except NotWrittenError as error:
            log.warning("not_written", error=str(error))
            await asyncio.sleep(AGAIN_SECONDS)


class KafkaKeeper:
    """The health records that one process has of its sources, written now and then."""

    def __init__(self, kept: CompactedStore, writer: str) -> None:
        """Keep them under the name of a process, which is stable."""
        self._kept = kept
        self._writer = part(writer)
        self._waiting: dict[str, bytes] = {}

    async def load(self, name: str) -> bytes | None:
        """State that this process kept in an earlier life."""
        return self._kept.entries.get((HEALTH, self._name(name)))

    def of_others(self, name: str) -> list[bytes]:
        """State that the other processes of the realm kept under a name."""
        return [
            body
            for (kind, full), body in self._kept.entries.items()
            if kind == HEALTH and full.endswith(f"/{name}") and full != self._name(name)
        ]

    async def save(self, name: str, body: bytes) -> None:
        """Have a record written with the next ones."""
        self._waiting[self._name(name)] = body

    async def asked(self, name: str, state: str) -> None:
        """Keep the states that verifications of a stream were asked with lately.

        Raises:
            NotWrittenError: it is not acked.
        """
        key = self._name(name)
        before = orjson.loads(self._kept.entries.get((ASKED, key), b"[]"))
        states = [*before, state][-STATES:]
        await self._kept.put(ASKED, key, orjson.dumps(states))

    async def asked_elsewhere(self, name: str, state: str) -> bool:
        """Whether another process asked for a verification with this state.

        Raises:
            NotWrittenError: the broker does not tell.
        """
        await self._kept.catch_up()
        return any(state in orjson.loads(body) for body in self._others(ASKED, name))

    def _others(self, wanted: str, name: str) -> list[bytes]:
        return [
            body
            for (kind, full), body in self._kept.entries.items()
            if kind == wanted and full.partition("/")[2] == name
            if full != self._name(name)
        ]

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self.flush()
            except NotWrittenError as error:
                log.warning("not_written", error=str(error))

    async def flush(self) -> None:
        """Write what waits.

        Raises:
            NotWrittenError: not all was acked; it waits on.
        """
        for name, body in list(self._waiting.items()):
            await self._kept.put(HEALTH, name, body)
            if self._waiting.get(name) == body:
                del self._waiting[name]

    def _name(self, name: str) -> str:
        return f"{self._writer}/{name}"


class KafkaResources:
    """SCIM resources: followed in memory, read once all is applied that is acked."""

    def __init__(self, kept: CompactedStore, writer: KafkaLog) -> None:
        """Follow the topic from what is there."""
        self._kept = kept
        self._writer = writer
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.executescript(SCHEMA)
        for (kind, name), body in kept.entries.items():
            self._apply(kind, name, body)
        kept.listeners.append(self._apply)

    async def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask what any process wrote so far.

        Raises:
            NotWrittenError: the broker does not tell how far that is.
        """
        await self._kept.catch_up()
        return self._db.execute(query, values).fetchall()

    async def write(
        self, delivery: IntakeBatch, row: tuple[Any, ...], *, gone: bool
    ) -> None:
        """Write the facts of a request, then the resource that it changed.

        Raises:
            NotWrittenError: not all of it was acked; the directory repeats.
        """
        await self._writer.records(delivery)
        name = "/".join(map(part, row[:3]))
        if gone:
            await self._kept.forget(SCIM, name)
        else:
            await self._kept.put(SCIM, name, orjson.dumps(row))

    def _apply(self, kind: str, name: str, body: bytes | None) -> None:
        if kind != SCIM:
            return
        self._db.execute("DELETE FROM scim WHERE key = ?", (name,))
        if body is None:
            return
        query = "INSERT INTO scim VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        try:
            self._db.execute(query, (name, *orjson.loads(body)))
        except (ValueError, TypeError, sqlite3.Error) as error:
            # One bad record must not keep every ingress from starting.
            log.warning("resource_not_read", error=type(error).__name__)


SCHEMA: Final = """
CREATE TABLE scim (
  key TEXT PRIMARY KEY, authority TEXT, kind TEXT, id TEXT, name TEXT,
  external_id TEXT, active INTEGER, created INTEGER, modified INTEGER) WITHOUT ROWID;
CREATE INDEX scim_ids ON scim (authority, kind, id);
CREATE INDEX scim_names ON scim (authority, kind, name COLLATE NOCASE);
CREATE INDEX scim_external_ids ON scim (authority, kind, external_id);
"""
