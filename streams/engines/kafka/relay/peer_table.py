"""The table of another relay, for a relay that starts with nothing.

It is asked for as a guard asks, and believed as a guard believes a relay: who may feed
guards may feed a relay. What is checked beside is that it is of this very log. Without
one, every fact is read from the log.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
import structlog
from attrs import frozen

from agents_registry.table_form import SPOKEN
from enforcement.replica import FeedBrokenError, MalformedError
from enforcement.table import Breaths, ComingTable
from streams.outbound.client import plain_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.identifiers import Vocabulary
    from agents_registry.registry import Registry

CONNECT_SECONDS: Final = 2.0
TABLE_SECONDS: Final = 60.0  # to the last byte; longer would be slower than the log
SILENT_SECONDS: Final = 5.0

log = structlog.get_logger()


@frozen
class PeerTable:
    """A table that a peer offers; every fact below ``offset`` is in it."""

    genesis: str
    offset: int
    registry: Registry


@frozen
class RelayPeers:
    """Other relays, the first that answers is taken.

    Attributes:
        urls: ``http(s)://HOST:PORT`` of each.
        token: of a guard of the realms.
        tls: checks their certificates.
    """

    urls: Sequence[str]
    token: str
    tls: ssl.SSLContext

    async def table(
        self, realm: str, partition: int, vocabulary: Vocabulary
    ) -> PeerTable | None:
        """Table of a realm, None where no peer has one."""
        wanted = {
            "realm": realm,
            "partition": partition,
            "vocabulary": {kind: of.value for kind, of in vocabulary.items()},
        }
        connector = aiohttp.TCPConnector(ssl=self.tls, use_dns_cache=False)
        async with plain_session(
            connector, {"Authorization": f"Bearer {self.token}"}
        ) as session:
            for url in self.urls:
                try:
                    async with asyncio.timeout(TABLE_SECONDS):
                        found = await _asked(session, f"{url}/v1/feed", wanted)
                except (
                    aiohttp.ClientError, FeedBrokenError, OSError, ValueError
                ) as error:  # fmt: skip
                    log.info("peer_without_table", url=url, why=repr(error))
                    continue
                log.info("table_of_peer", url=url, realm=realm, offset=found.offset)
                return found
        return None


async def _asked(
    session: aiohttp.ClientSession, url: str, wanted: dict[str, Any]
) -> PeerTable:
    """Ask one relay.

    Raises:
        aiohttp.ClientError, OSError: it cannot be reached, or does not let us in.
        FeedBrokenError: it sends no table, or one that is not ours.
    """
    hello = {"type": "hello", "genesis": None, "position": None, "tables": SPOKEN}
    connecting = session.ws_connect(
        url, params={"realm": wanted["realm"]}, max_msg_size=0
    )
    async with asyncio.timeout(CONNECT_SECONDS):
        socket = await connecting
    try:
        await socket.send_json(hello)
        coming: ComingTable | None = None
        while coming is None or not coming.complete:
            frame = await socket.receive(SILENT_SECONDS)
            if frame.type is aiohttp.WSMsgType.BINARY and coming is not None:
                coming.take(frame.data)
            elif frame.type is not aiohttp.WSMsgType.TEXT:
                raise FeedBrokenError(f"{frame.type.name} {frame.extra or ''}")
            elif coming is None:
                coming = _announced(orjson.loads(frame.data), wanted)
    finally:
        await socket.close()
    registry = await asyncio.to_thread(coming.registry, Breaths())
    return PeerTable(coming.genesis, coming.offset, registry)


def _announced(message: dict[str, Any], wanted: dict[str, Any]) -> ComingTable:
    """Read what a table is of.

    Raises:
        FeedBrokenError: of another realm, partition or vocabulary, or it is no table.
    """
    if message.get("type") != "table":
        raise MalformedError(f"{message.get('type')} instead of a table")
    for name, ours in wanted.items():
        if message.get(name) != ours:
            raise FeedBrokenError(f"a table of another {name}")
    return ComingTable(message)
