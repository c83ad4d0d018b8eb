"""Make the requests of a walk: bounded in number, time and size, patient where asked.

The credential goes to the system that was named and to nobody else: no redirect is
followed, no proxy is asked, a link that leads elsewhere is refused by the walk, and
without TLS it goes to this machine only. It is held in memory and never logged.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import orjson
from attrs import field, frozen

from streams.clients.rescind import REFUSED, UNREACHABLE, ClientError
from streams.outbound.answers import HttpAnswer, RequestError, UnreadableAnswerError
from streams.outbound.client import HttpClient
from streams.outbound.client_credentials import NoTokenError
from streams.outbound.waits import waiting
from streams.sources.adopting.listing import ListingError
from streams.sources.adopting.walk import OK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from streams.outbound.client import AuthorizationHeader
    from streams.sources.adopting.listing import Listing
    from streams.sources.adopting.walk import ListRequest, Walk

AT_ONCE: Final = 8
TRIES: Final = 6
FIRST_WAIT: Final = 1.0  # seconds, doubled each time, where the system asks for none
LONGEST_WAIT: Final = 120.0
AGAIN: Final = frozenset({429, 500, 502, 503, 504})
UNTRUSTED: Final = "its certificate is not trusted; name who signs it with --ca"
_HALF: Final = " (after {} answers; nothing is declared)"
LIMITED: Final = 403  # with nothing remaining, some say 403 for 429


@frozen
class System:
    """Where a list is, and what opens it.

    Attributes:
        base: URL that every target is below.
        headers: with the credential.
        ca: file of the certificates to trust; None: those of this machine.
        tokens: gives access tokens, where the credential is not in the headers.
        sign: gives the headers that sign a form posted to a URL.
    """

    base: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    ca: Path | None = None
    tokens: AuthorizationHeader | None = None
    sign: Callable[[str, bytes], Mapping[str, str]] | None = None


def checked_base(url: str) -> str:
    """URL of a system without a slash at its end.

    Raises:
        ListingError: it is none, or would carry the credential in the clear.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    odd = parts.username or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not host or odd:
        # It is not repeated: a password may stand in it.
        raise ListingError("--from is no URL of a system: write https://HOST[:PORT]")
    if parts.scheme == "http" and not _here(host):
        raise ListingError(f"{host}: without TLS only this machine is asked")
    return url.rstrip("/")


async def run(
    walk: Walk,
    system: System,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Listing:
    """Walk to the end; give what the system lists.

    Raises:
        ClientError: a request failed for good; nothing of the walk may be used.
        ListingError: an answer is not what it should be; the same holds.
        OSError: the file of certificates cannot be read.
    """
    tls = ssl.create_default_context(cafile=system.ca)
    async with HttpClient(
        authorization=system.tokens, tls=tls, at_once=AT_ONCE
    ) as client:
        caller = _Caller(client, system, pause)
        made = 0
        try:
            requests = next(walk)
            while True:
                replies = await _all(caller, requests)
                made += len(replies)
                requests = walk.send(replies)
        except StopIteration as end:
            listing: Listing = end.value
            return listing
        except UnreadableAnswerError as error:
            raise ListingError(f"{error}{_HALF.format(made)}") from error
        except ClientError as error:
            raise ClientError(f"{error}{_HALF.format(made)}", error.code) from error


async def _all(caller: _Caller, requests: list[ListRequest]) -> list[HttpAnswer]:
    """Make the requests at once; the first that fails ends the others."""
    try:
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(caller.reply(each)) for each in requests]
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    return [each.result() for each in made]


@frozen
class _Failure:
    """Why a request has no answer, and whether to try again, after how many seconds."""

    why: str
    code: int = UNREACHABLE
    wait: float | None = None
    final: bool = False


@frozen
class _Caller:
    client: HttpClient
    system: System
    pause: Callable[[float], Awaitable[None]]
    slots: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def reply(self, request: ListRequest) -> HttpAnswer:
        """Make a request until it has an answer, or none can be hoped for.

        Raises:
            ClientError: then.
        """
        await self._rest(request.wait)
        wait, tries = FIRST_WAIT, 1
        while isinstance(found := await self._attempt(request), _Failure):
            asked = wait if found.wait is None else found.wait
            if found.final or tries == TRIES or asked > LONGEST_WAIT:
                break
            await self._rest(asked)
            wait, tries = wait * 2, tries + 1
        else:
            return found
        where = request.target.partition("?")[0] or self.system.base
        raise ClientError(f"{where}: {found.why}", found.code)

    async def _rest(self, seconds: float) -> None:
        if seconds:
            await self.pause(seconds)

    async def _attempt(self, request: ListRequest) -> HttpAnswer | _Failure:
        try:
            async with self.slots:
                reply = await self._once(request)
        except NoTokenError as error:
            code = UNREACHABLE if error.status is None else REFUSED
            return _Failure(f"no access token: {error.detail}", code, final=True)
        except RequestError as error:
            if error.reason == "untrusted":
                return _Failure(UNTRUSTED, REFUSED, final=True)
            if error.reason == "too_large":
                raise ListingError(f"an answer is {error.detail}") from error
            return _Failure(f"no answer ({error.detail or error.reason})")
        if reply.status == OK or reply.status in request.may_fail:
            return reply
        wait, why = _wait(reply), f"status {reply.status}"
        if wait is not None and wait > LONGEST_WAIT:
            why += f", and asks to wait {wait:.0f} s: run it again then"
        elif wait is None and reply.status in _HELP:
            return _Failure(f"{why}: {_HELP[reply.status]}", REFUSED, final=True)
        return _Failure(
            why, wait=wait, final=wait is None and reply.status not in AGAIN
        )

    async def _once(self, request: ListRequest) -> HttpAnswer:
        target = request.target
        url = target if target.startswith(("http://", "https://")) else (
            f"{self.system.base}/{target.lstrip('/')}"
        )  # fmt: skip
        headers = {"Accept": request.accept, **self.system.headers}
        data = None
        if request.body is not None:
            headers["Content-Type"] = "application/json"
            data = orjson.dumps(dict(request.body))
        elif request.form is not None:
            data = request.form.encode()
            if self.system.sign is not None:
                headers |= self.system.sign(url, data)
        method = "GET" if data is None else "POST"
        return await self.client.request(method, url, headers=headers, data=data)


_HELP: Final = {
    401: "the credential is not taken",
    403: "the credential may not read this",
    404: "is the URL right, and may the credential see it?",
}


def _wait(reply: HttpAnswer) -> float | None:
    """Seconds that the system asks to wait."""
    if reply.status not in AGAIN and reply.status != LIMITED:
        return None
    now = time.time_ns()  # noqa: TID251 - only where the answer has no Date
    return waiting(reply.headers, now)


def _here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
