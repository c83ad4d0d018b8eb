"""Sessions: who is logged in. They and their credentials are in memory, and only there.

A cookie holds a random value of 256 bits; the server knows its SHA-256. A session ends
when it was idle or open for too long, with its credential, and when its person has too
many of them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from streams.console.page import Person
from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ANY_REALM: Final = "*"
_REALM: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
MOST_FLASHES: Final = 8


@frozen
class SessionLimits:
    """Limits of sessions; times in seconds.

    Attributes:
        idle: without a request of the person.
        absolute: since the login.
        of_person: of the same person; the idlest one ends for another.
        all: together; then the idlest of all ends.
    """

    idle: float = 1800.0
    absolute: float = 8 * 3600.0
    of_person: int = 10
    all: int = 1000


@frozen
class Holder:
    """Who holds a credential, as ``GET /v1/caller`` says.

    Attributes:
        roles: by realm; ``*`` is everywhere.
        home: the realm of the server.
        hashed_kinds: whose values are keyed hashes of secrets there.
    """

    name: str
    person: str
    roles: Mapping[str, frozenset[str]]
    home: str
    hashed_kinds: frozenset[str] = frozenset()

    @property
    def first(self) -> str:
        """Realm of an address that names none."""
        return next(iter(self.realms), self.home)

    @property
    def realms(self) -> tuple[str, ...]:
        """Realms that can be shown, the server's own first."""
        named = sorted(set(self.roles) - {ANY_REALM, self.home})
        own = {self.home, ANY_REALM} & set(self.roles)
        return (*([self.home] if own else []), *named)

    def shows(self, realm: str) -> bool:
        """Whether a realm can be shown; with roles everywhere each can be named."""
        return realm in self.realms or (
            ANY_REALM in self.roles and _REALM.fullmatch(realm) is not None
        )

    def roles_in(self, realm: str) -> frozenset[str]:
        """Roles that are held in a realm."""
        here, all_over = self.roles.get(realm), self.roles.get(ANY_REALM)
        return (here or frozenset()) | (all_over or frozenset())


@define(eq=False)
class ConsoleSession:
    """One login, whose pages may show several realms at once.

    Attributes:
        credential: bearer token of the person.
        secret: of the tokens of its forms.
        began: ns.
        seen: its last request (ns).
        expires: when the credential ends (ns); None: it does not say.
        roles_at: when its roles were asked for (ns).
        roles_of: number of the request that they are the answer of.
        over: the server does not take the credential any more.
    """

    holder: Holder
    credential: str = field(repr=False)
    secret: bytes = field(repr=False)
    began: int
    seen: int
    expires: int | None = None
    roles_at: int = field(init=False)
    roles_of: int = field(default=0, init=False)
    over: bool = False
    _told: dict[str, str] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.roles_at = self.began

    def person_in(self, realm: str) -> Person:
        """Who is logged in, on a page of a realm."""
        holder = self.holder
        return Person(
            holder.name,
            holder.person,
            holder.roles_in(realm),
            realm,
            tuple(dict.fromkeys((*holder.realms, realm))),
            self.csrf_in(realm),
            realm != holder.first,
            holder.hashed_kinds,
        )

    def csrf_in(self, realm: str) -> str:
        """Token that forms of a realm's pages send back: they act in that one alone.

        The realm stands in it, so that each form says which one it is of.
        """
        text = realm.encode(errors="surrogatepass")
        mark = hmac.new(self.secret, text, "sha256").hexdigest()
        return f"{mark}.{realm}"

    def tell(self, text: str) -> str:
        """Keep a sentence for the next page; return its key."""
        while len(self._told) >= MOST_FLASHES:
            del self._told[next(iter(self._told))]
        key = secrets.token_urlsafe(6)
        self._told[key] = text
        return key

    def told(self, key: str) -> str:
        """Sentence of a key, once; "" where there is none."""
        return self._told.pop(key, "")

    def end(self) -> None:
        """Note that the credential is refused."""
        self.over = True


@define(eq=False)
class ConsoleSessions:
    """All sessions of this process.

    Attributes:
        kinds: whose values are keyed hashes at the server, as far as anybody heard;
            None: nobody was told yet.
    """

    limits: SessionLimits
    clock: Callable[[], int]
    kinds: frozenset[str] | None = None
    _open: dict[str, ConsoleSession] = field(factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, holder: Holder, credential: str, expires: int | None = None) -> str:
        """Open a session; return the value of its cookie."""
        self.kinds = (self.kinds or frozenset()) | holder.hashed_kinds
        now = self.clock()
        self._make_room(holder.person, now)
        cookie = secrets.token_urlsafe(32)
        self._open[_digest(cookie)] = ConsoleSession(
            holder,
            credential,
            secrets.token_bytes(32),
            began=now,
            seen=now,
            expires=expires,
        )
        return cookie

    def find(self, cookie: str, *, idle: bool = False) -> ConsoleSession | None:
        """Session of a cookie; None: it never was, or it ended.

        Args:
            cookie: its value.
            idle: this is a request of the page itself and shows no person's presence.
        """
        digest, now = _digest(cookie), self.clock()
        found = self._open.get(digest)
        if found is None:
            return None
        if self._is_over(found, now):
            self._open.pop(digest, None)  # another thread may look at the same time
            return None
        if not idle:
            found.seen = now
        return found

    def is_alive(self, session: ConsoleSession) -> bool:
        """Whether a session is open and not over."""
        return session in self._open.values() and not self._is_over(
            session, self.clock()
        )

    def end(self, cookie: str) -> ConsoleSession | None:
        """End a session, and return it."""
        return self._open.pop(_digest(cookie), None)

    def _is_over(self, session: ConsoleSession, now: int) -> bool:
        limits, expires = self.limits, session.expires
        return (
            session.over
            or now - session.seen >= limits.idle * SECOND
            or now - session.began >= limits.absolute * SECOND
            or (expires is not None and now >= expires)
        )

    def _make_room(self, person: str, now: int) -> None:
        for digest, each in [*self._open.items()]:
            if self._is_over(each, now):
                self._open.pop(digest, None)
        same = [d for d, each in self._open.items() if each.holder.person == person]
        if len(same) >= self.limits.of_person:
            self._end_idlest(same)
        if len(self._open) >= self.limits.all:
            self._end_idlest([*self._open])

    def _end_idlest(self, digests: list[str]) -> None:
        seen = {digest: self._open[digest].seen for digest in digests}
        self._open.pop(min(seen, key=seen.__getitem__), None)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode(errors="surrogateescape")).hexdigest()
