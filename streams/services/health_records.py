"""The health records of sources, one of each process, kept over restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from streams.ports.fact_log import NotWrittenError
from streams.ports.keyed_store import ASKED, HEALTH, part

if TYPE_CHECKING:
    from streams.ports.keyed_store import KeyedStore

SAVE_SECONDS: Final = 10.0
HEARSAY_SECONDS: Final = 2 * SAVE_SECONDS  # after which all know what one heard
STATES: Final = 8  # of verifications of a stream that may still come
ALONE: Final = "server"  # the only process of its store

log = structlog.get_logger()


class HealthRecords:
    """The records that one process has of its sources, and those of its peers."""

    def __init__(self, kept: KeyedStore, process: str = ALONE) -> None:
        """Keep them under the stable name of a process.

        Args:
            kept: of the realm.
            process: ``ALONE`` writes each record at once and has no peers; others
                write now and then, see `run`.
        """
        self._kept = kept
        self._alone = process == ALONE
        self._process = part(process)
        self._waiting: dict[str, bytes] = {}

    async def load(self, name: str) -> bytes | None:
        """Record that this process kept in an earlier life; None: there is none."""
        return self._kept.get(HEALTH, self._name(name))

    async def save(self, name: str, body: bytes) -> None:
        """Have a record written: at once and patiently by the only process."""
        if self._alone:
            await self._kept.put(HEALTH, self._name(name), body, patient=True)
        else:
            self._waiting[self._name(name)] = body

    async def asked(self, name: str, state: str) -> None:
        """Keep the states that verifications of a stream were asked with lately.

        Raises:
            NotWrittenError: it is not durable.
        """
        if self._alone:
            return
        key = self._name(name)
        before = orjson.loads(self._kept.get(ASKED, key) or b"[]")
        states = [*before, state][-STATES:]
        await self._kept.put(ASKED, key, orjson.dumps(states))

    async def asked_elsewhere(self, name: str, state: str) -> bool:
        """Whether another process asked for a verification with this state.

        Raises:
            NotWrittenError: what others wrote cannot be told now.
        """
        await self._kept.catch_up()
        return any(state in orjson.loads(each) for each in self.of_others(name, ASKED))

    def of_others(self, name: str, kind: str = HEALTH) -> list[bytes]:
        """List what the other processes of the realm kept under a name."""
        return [
            body
            for full, body in self._kept.items(kind).items()
            if full.partition("/")[2] == name and full != self._name(name)
        ]

    async def run(self) -> None:
        """Write what waits now and then, until cancelled."""
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self.flush()
            except NotWrittenError as error:
                log.warning("not_written", error=str(error))

    async def flush(self) -> None:
        """Write what waits.

        Raises:
            NotWrittenError: not all is durable; it waits on.
        """
        for name, body in list(self._waiting.items()):
            await self._kept.put(HEALTH, name, body)
            if self._waiting.get(name) == body:
                del self._waiting[name]

    def _name(self, name: str) -> str:
        return f"{self._process}/{name}"
