"""Keep signed heads outside: what is kept there nobody here can take back.

A sink that fails gets the last head of each realm once it is back; that one holds all
before it.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
import structlog
from attrs import Factory, define
from yarl import URL

from streams.outbound.answers import RequestError
from streams.outbound.client import HttpClient, RequestLimits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.settings.audit import AuditSink

RETRY_SECONDS: Final = 10.0
BOUNDS: Final = RequestLimits(seconds=10.0, largest=1 << 16, cut=True)
MOST_STATUS: Final = 300

log = structlog.get_logger()


class HeadNotice(NamedTuple):
    """A signed head; ``sequence`` is that of the entry that it names."""

    realm: str
    sequence: int
    head: str


@define(eq=False)
class _Queue:
    sink: AuditSink
    waiting: dict[str, HeadNotice] = Factory(dict)
    news: asyncio.Event = Factory(asyncio.Event)


class Sinks:
    """Gives heads to all sinks; one that hangs delays no other."""

    def __init__(self, sinks: Iterable[AuditSink] = ()) -> None:
        self._queues = [_Queue(each) for each in sinks]

    def take(self, realm: str, sequence: int, head: str) -> None:
        """Have a head kept, and say it in the log of this process, a sink too."""
        log.info("audit_head", realm=realm, sequence=sequence, head=head)
        for queue in self._queues:
            queue.waiting[realm] = HeadNotice(realm, sequence, head)
            queue.news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        if self._queues:
            await asyncio.gather(*map(_serve, self._queues))


async def _serve(queue: _Queue) -> None:
    while True:
        await queue.news.wait()
        queue.news.clear()
        try:
            for realm, notice in list(queue.waiting.items()):
                await _keep(queue.sink, notice)
                if queue.waiting[realm] == notice:
                    del queue.waiting[realm]
        except (RequestError, OSError) as error:
            why = (
                str(error) if isinstance(error, RequestError) else type(error).__name__
            )
            log.warning("audit_head_not_kept", error=why)
            await asyncio.sleep(RETRY_SECONDS)
            queue.news.set()


async def _keep(sink: AuditSink, notice: HeadNotice) -> None:
    body = orjson.dumps(notice._asdict())
    if sink.file is not None:
        await asyncio.to_thread(_append, sink, body + b"\n")
        return
    headers = {"Content-Type": "application/json"}
    if sink.token_file is not None:
        token = await asyncio.to_thread(sink.token_file.read_text, "utf-8")
        headers["Authorization"] = f"Bearer {token.strip()}"
    async with HttpClient() as client:
        url = URL(str(sink.url))
        answer = await client.request(
            "POST", url, headers=headers, data=body, bounds=BOUNDS
        )
    if answer.status >= MOST_STATUS:
        raise RequestError(f"status {answer.status}", answer=answer)


def _append(sink: AuditSink, line: bytes) -> None:
    assert sink.file is not None  # noqa: S101 - for mypy
    with sink.file.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
