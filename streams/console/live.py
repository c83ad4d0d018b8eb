"""News for open pages: server-sent events that say that something changed, not what.

One poller a realm looks for all consoles; a page that hears of a change fetches its
content with its own person's credential. So nobody is shown what another one may see.

- Nothing is sent while nothing changes, and nothing is asked while nobody looks.
- Streams are bounded, together and of each session. One that does not read is dropped.
- A stream ends with its session, and with the last role of its person in the realm,
  within `TICK_SECONDS` and an answer of the API, also while there is no news.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog
from aiohttp import web
from attrs import define, field

from streams.console.headers import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from streams.console.api import Api, ApiAnswer
    from streams.console.sessions import ConsoleSession
    from streams.process.aside import Aside

    ApiOf = Callable[[ConsoleSession, str], Api]

LOOK_SECONDS: Final = 1.0
TICK_SECONDS: Final = 5.0  # between two looks whether a reader still may hear
ASKED_AT_ONCE: Final = 50  # sessions whose roles are asked for together
WRITE_SECONDS: Final = 10.0  # that a reader may take
MOST: Final = 500
OF_SESSION: Final = 8
OF_PERSON: Final = 50  # in all sessions and realms
RETRY: Final = b"retry: 3000\n\n"
OVER: Final = b"event: over\ndata: \n\n"
# What is looked at, every how many looks, and what of it counts.
_LOOKS: Final[tuple[tuple[str, int, dict[str, Any], str, tuple[str, ...]], ...]] = (
    ("revocations", 1, {"limit": 20}, "revocations",
     ("id", "state", "applied", "fenced", "laggards", "left")),
    ("guards", 2, {}, "guards", ("guard", "standing", "mode")),
    ("findings", 2, {"order": "newest", "limit": 20}, "findings",
     ("id", "changed", "open")),
    ("sources", 10, {}, "sources", ("name", "state")),
)  # fmt: skip

log = structlog.get_logger()


@define(eq=False)
class LiveReader:
    """One open page.

    Attributes:
        request: that it is served by.
        session: whose it is.
        realm: that it shows.
        news: set where something changed that it was not told.
        what: that changed.
    """

    request: web.Request
    session: ConsoleSession
    realm: str
    news: asyncio.Event = field(factory=asyncio.Event)
    what: set[str] = field(factory=set)

    @property
    def is_gone(self) -> bool:
        """Whether its page was left; its stream ends with the next look at it."""
        transport = self.request.transport
        return transport is None or transport.is_closing()


@define(eq=False)
class RealmWatch:
    """The poller of one realm, and the pages that it works for."""

    readers: set[LiveReader] = field(factory=set)
    tasks: list[asyncio.Task[None]] = field(factory=list)
    looks: int = 0
    seen: dict[str, bytes] = field(factory=dict)


@define(eq=False)
class LiveHub:
    """All streams of a console, and the pollers behind them.

    Attributes:
        api_of: makes the client of a session, in a realm.
        aside: where the API is asked.
        alive: whether a session is not over.
        look: has the roles of a session be those of the last seconds.
        ask: has them be those of now.
    """

    _api_of: ApiOf
    _aside: Aside
    _alive: Callable[[ConsoleSession], bool]
    _look: Callable[[ConsoleSession], Coroutine[Any, Any, None]]
    _ask: Callable[[ConsoleSession], Coroutine[Any, Any, None]]
    _every: float = LOOK_SECONDS
    realms: dict[str, RealmWatch] = field(factory=dict, init=False)

    @property
    def streams(self) -> int:
        """Count the open ones."""
        return len(self._open())

    def _open(self) -> list[LiveReader]:
        """Readers of pages that were not left: whoever goes through many is quick."""
        readers = (each for of in self.realms.values() for each in of.readers)
        return [each for each in readers if not each.is_gone]

    async def serve(
        self, request: web.Request, session: ConsoleSession, realm: str
    ) -> web.StreamResponse:
        """Stream news to one page until it goes, is too slow, or its session ends."""
        watch = self.realms.setdefault(realm, RealmWatch())
        readers = self._open()
        mine = sum(one.session is session and one.realm == realm for one in readers)
        person = session.holder.person
        theirs = sum(each.session.holder.person == person for each in readers)
        if len(readers) >= MOST or mine >= OF_SESSION or theirs >= OF_PERSON:
            headers = {**PRIVATE, "Retry-After": "60"}
            return web.Response(status=503, headers=headers)
        reader = LiveReader(request, session, realm)
        watch.readers.add(reader)
        if not watch.tasks:
            loop = asyncio.get_running_loop()
            both = self._look_on(realm, watch), self._part_on(realm, watch)
            watch.tasks = [loop.create_task(each) for each in both]
        try:
            return await self._stream(request, reader)
        finally:
            watch.readers.discard(reader)
            if not watch.readers:
                self._stop(realm, watch)

    def _stop(self, realm: str, watch: RealmWatch) -> None:
        for task in watch.tasks:
            task.cancel()
        if self.realms.get(realm) is watch:
            del self.realms[realm]

    async def _stream(
        self, request: web.Request, reader: LiveReader
    ) -> web.StreamResponse:
        headers = {
            **PRIVATE,
            "Content-Type": "text/event-stream",
            "X-Accel-Buffering": "no",
        }
        response = web.StreamResponse(headers=headers)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await response.prepare(request)
                await response.write(RETRY)
            while await self._is_wanted(reader):
                if reader.news.is_set():
                    reader.news.clear()
                    what, reader.what = " ".join(sorted(reader.what)), set()
                    async with asyncio.timeout(WRITE_SECONDS):
                        await response.write(
                            f"event: changed\ndata: {what}\n\n".encode()
                        )
            async with asyncio.timeout(WRITE_SECONDS):
                await response.write(OVER)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _is_wanted(self, reader: LiveReader) -> bool:
        """Wait for news; tell whether the stream goes on."""
        while not reader.news.is_set():
            if reader.is_gone:
                raise ConnectionResetError
            if not self._may_hear(reader):
                return False
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await reader.news.wait()
            except TimeoutError:
                continue
        # Whoever is told nothing costs no look; whoever is, may not be any more.
        await self._aside(functools.partial(self._look, reader.session))
        return self._may_hear(reader)

    def _may_hear(self, reader: LiveReader) -> bool:
        """Whether a reader's session is open, and has a role in its realm still."""
        session = reader.session
        return self._alive(session) and _has_role(session, reader.realm)

    async def _look_on(self, realm: str, watch: RealmWatch) -> None:
        """Look for changes until nobody wants to know."""
        while True:
            session = _asking(watch, realm)
            if session is not None:
                look = functools.partial(self._looked, session, realm, watch.looks)
                try:
                    found = await self._aside(look)
                except Exception:  # boundary: the next look may go well
                    log.exception("console_look_failed", realm=realm)
                else:
                    self._tell(watch, found)
                watch.looks += 1
            await asyncio.sleep(self._every)

    async def _part_on(self, realm: str, watch: RealmWatch) -> None:
        """Part with readers that may hear no more, though there is no news."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            sessions = iter({each.session for each in watch.readers})
            while some := list(islice(sessions, ASKED_AT_ONCE)):
                try:
                    await self._aside(functools.partial(self._asked, some))
                except Exception:  # boundary: the next one may be answered
                    log.exception("console_roles_not_asked", realm=realm)
            for count, reader in enumerate(list(watch.readers)):
                if not count % ASKED_AT_ONCE:
                    await asyncio.sleep(0)
                if not self._may_hear(reader):
                    reader.news.set()

    async def _asked(self, sessions: list[ConsoleSession]) -> None:
        await asyncio.gather(*map(self._ask, sessions))

    async def _looked(
        self, session: ConsoleSession, realm: str, looks: int
    ) -> dict[str, bytes]:
        """Ask the API; what counts of each answer, as a hash."""
        api = self._api_of(session, realm)
        found = {}
        for path, every, query, key, names in _LOOKS:
            if looks % every == 0:
                answer = await api.get(path, **query)
                found[path] = _digest(answer, key, names)
        return found

    def _tell(self, watch: RealmWatch, found: Mapping[str, bytes]) -> None:
        changed = {
            name
            for name, digest in found.items()
            if watch.seen.get(name, digest) != digest
        }
        watch.seen |= found
        if changed:
            for reader in watch.readers:
                reader.what |= changed
                reader.news.set()


def _asking(watch: RealmWatch, realm: str) -> ConsoleSession | None:
    """Session whose credential is asked with: of those that may look, any."""
    open_ = (each.session for each in watch.readers if not each.session.over)
    alive = [each for each in open_ if _has_role(each, realm)]
    may = (each for each in alive if {"viewer", "admin"} & each.holder.roles_in(realm))
    return next(may, None) or next(iter(alive), None)


def _has_role(session: ConsoleSession, realm: str) -> bool:
    holder = session.holder
    return holder.shows(realm) and bool(holder.roles_in(realm))


def _digest(answer: ApiAnswer, key: str, names: tuple[str, ...]) -> bytes:
    rows = answer.body.get(key, []) if answer.problem is None else [answer.status]
    plain = [
        [each.get(name) for name in names] if isinstance(each, dict) else each
        for each in rows
    ]
    return hashlib.blake2b(orjson.dumps(plain), digest_size=16).digest()
