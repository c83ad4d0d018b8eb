"""Ask the other processes of a fleet: who serves what, and a caller's question.

Which processes there are stands in the settings alone, so that a caller's credential
goes to no address that a topic or an answer named. Neither proxies nor redirects are
followed, and nothing of a request is logged.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
from attrs import frozen
from multidict import CIMultiDict
from yarl import URL

from streams.outbound.client import plain_session

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping, Sequence

HOPS: Final = "Rescind-Hops"  # of a request that was passed on: it is not once more
SERVES: Final = "/peers"
CONNECT_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 2.0  # until a process counts as silent
HASTY_SECONDS: Final = 0.5  # the same, where it was silent before: others wait for it
FRESH_SECONDS: Final = 1.0  # for which an answer on who serves what is believed
ANSWER_SECONDS: Final = 65.0  # a process itself gives a question up after 60 s
MOST_SILENT: Final = 3  # looks in a row without an answer, then a question is given up
SMALL: Final = 1 << 20  # bytes
# A name server that hangs holds threads beyond every timeout: these, and none that the
# rest of the process works with.
_RESOLVING: Final = ThreadPoolExecutor(4, thread_name_prefix="resolve-peers")


class UnreachedError(Exception):
    """A process gave no whole answer.

    Attributes:
        sent: the request may have arrived, and may have been carried out.
    """

    def __init__(self, text: str, *, sent: bool = False) -> None:
        """Keep the text, which names no secret."""
        super().__init__(text)
        self.sent = sent


@frozen
class PeerAddress:
    """One address of a URL of the settings.

    Attributes:
        url: scheme, address and port.
        host: of the settings, which the certificate has to be for.
    """

    url: str
    host: str


@frozen
class PeerStatus:
    """What a process said of itself.

    Attributes:
        name: its own.
        serves: stage to the partitions that it answers for now.
    """

    address: PeerAddress
    name: str
    serves: Mapping[str, frozenset[int]]


@frozen
class Fleet:
    """Processes of one role, as far as they answered.

    Attributes:
        silent: URLs of those that did not.
        at: when that was (s of the event loop).
    """

    found: tuple[PeerStatus, ...]
    silent: tuple[str, ...]
    at: float


class Peers:
    """The processes of the settings, by role."""

    def __init__(
        self, urls: Mapping[str, Sequence[str]], tls: ssl.SSLContext | None
    ) -> None:
        """Set up; `running` opens connections.

        Args:
            urls: role to the URLs of its processes.
            tls: checks their certificates; None: no URL is https.
        """
        self.urls = urls
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._seen: dict[str, Fleet] = {}
        self._looking: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold connections for the length of a block."""
        connector = aiohttp.TCPConnector(limit=0, use_dns_cache=False)
        self._session = plain_session(connector, unpack=False)
        try:
            yield
        finally:
            await self._session.close()

    async def look(self, role: str, *, fresh: bool = False) -> Fleet:
        """Return processes of a role as they are, at most `FRESH_SECONDS` ago."""
        asked_at = asyncio.get_running_loop().time()
        async with self._looking.setdefault(role, asyncio.Lock()):
            seen = self._seen.get(role)
            since = asked_at if fresh else asked_at - FRESH_SECONDS
            if seen is None or seen.at < since:
                seen = self._seen[role] = await self._looked(role)
            return seen

    async def _looked(self, role: str) -> Fleet:
        at = asyncio.get_running_loop().time()
        urls = self.urls[role]
        resolved = await asyncio.gather(*map(_addresses, urls))
        places = [each for found in resolved for each in found]
        seen = self._seen.get(role)
        before = () if seen is None else seen.silent
        told = await asyncio.gather(*(
            self._status(each, HASTY_SECONDS if each.url in before else LOOK_SECONDS)
            for each in places
        ))  # fmt: skip
        silent = [url for url, found in zip(urls, resolved, strict=True) if not found]
        silent += [
            place.url
            for place, status in zip(places, told, strict=True)
            if status is None
        ]
        # Two names of one process are one.
        known = {status.name: status for status in told if status is not None}
        return Fleet(tuple(known.values()), tuple(silent), at)

    async def _status(self, address: PeerAddress, seconds: float) -> PeerStatus | None:
        """Return what a process says of itself; None: nothing in time."""
        try:
            async with (
                asyncio.timeout(seconds),
                await self._request("GET", address, SERVES, {HOPS: "1"}, None) as got,
            ):
                document = orjson.loads(await small_body(got))
            serves = {
                stage: frozenset(map(int, numbers))
                for stage, numbers in document["serves"].items()
            }
            return PeerStatus(address, str(document["name"]), serves)
        except (aiohttp.ClientError, TimeoutError, OSError, UnreachedError):
            return None
        except (ValueError, TypeError, LookupError, AttributeError):
            return None  # something else listens there

    async def ask(
        self,
        address: PeerAddress,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> aiohttp.ClientResponse:
        """Answer of a process, once its head came; to be released.

        A process that hangs is given up while it waits.

        Args:
            address: of the process.
            method: of HTTP.
            target: path and query, as they go over the line.
            headers: of the caller.
            body: as it came, packed or not.

        Raises:
            UnreachedError: there is none.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watched(address))
                try:
                    marked = CIMultiDict(headers)  # a name may stand there twice
                    marked[HOPS] = "1"
                    return await self._request(method, address, target, marked, body)
                except aiohttp.ClientConnectorError as error:
                    raise UnreachedError(f"{address.url}: no connection") from error
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    text = f"{address.url}: {type(error).__name__}"
                    raise UnreachedError(text, sent=True) from error
                finally:
                    watching.cancel()
        except ExceptionGroup as group:
            raise _first(group) from None

    async def _watched(self, address: PeerAddress) -> None:
        """Raise once a process does not even say what it serves."""
        missed = 0
        while missed < MOST_SILENT:
            await asyncio.sleep(LOOK_SECONDS)
            told = await self._status(address, LOOK_SECONDS)
            missed = 0 if told is not None else missed + 1
        raise UnreachedError(f"{address.url}: it hangs", sent=True)

    async def _request(
        self,
        method: str,
        address: PeerAddress,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise UnreachedError("not running yet")
        more: dict[str, Any] = {}
        if address.url.startswith("https:"):
            more = {"ssl": self._tls, "server_hostname": address.host}
        return await self._session.request(
            method,
            URL(address.url + target, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
            timeout=aiohttp.ClientTimeout(
                total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS
            ),
            **more,
        )


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def small_body(answer: aiohttp.ClientResponse, most: int = SMALL) -> bytes:
    """Whole body.

    Raises:
        UnreachedError: it is larger.
    """
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most:
            text = f"an answer of more than {most} bytes"
            raise UnreachedError(text, sent=True)
    return bytes(body)


async def _addresses(url: str) -> list[PeerAddress]:
    """All addresses of a URL's host; none where it has no name now."""
    parts = URL(url)
    host, port = str(parts.host), parts.port
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            found = await loop.run_in_executor(_RESOLVING, _resolve, host, port)
    except (OSError, TimeoutError):
        return []
    told = dict.fromkeys(str(each[4][0]) for each in found)
    return [
        PeerAddress(f"{parts.scheme}://{_bracketed(each)}:{port}", host)
        for each in told
    ]


def _resolve(host: str, port: int | None) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
