"""Ways in: a token of the API, and a link that a server prints once at its start."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.console.api import NOT_OURS, ApiProblem
from streams.console.sessions import Holder
from streams.model.times import SECOND

if TYPE_CHECKING:
    from streams.console.api import Api

LINK_SECONDS: Final = 900.0


@define(eq=False)
class OneTimeLink:
    """A key that opens one session, within some minutes of its making.

    Attributes:
        key: 256 random bits; forgotten but for their hash once the link is made.
        ends: ns.
        turn: of whoever tries it; the others wait, so that it opens one session.
    """

    _credential: str = field(repr=False)
    _digest: bytes = field(repr=False)
    ends: int
    turn: asyncio.Lock = field(factory=asyncio.Lock, init=False, repr=False)
    _used: bool = field(default=False, init=False)

    def opens(self, key: str, now: int) -> str | None:
        """Credential of the session that a key opens; None: wrong, used or too old."""
        same = hmac.compare_digest(_hash(key), self._digest)
        if not same or self._used or now >= self.ends:
            return None
        return self._credential

    def use_up(self) -> None:
        """Note that the session is open: the key opens no other one."""
        self._used, self._credential = True, ""


def one_time_link(
    credential: str, now: int, seconds: float = LINK_SECONDS
) -> tuple[OneTimeLink, str]:
    """Make a link for a credential; return it, and its key."""
    key = secrets.token_urlsafe(32)
    return OneTimeLink(credential, _hash(key), now + round(seconds * SECOND)), key


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()


async def holder_of_token(api: Api) -> Holder | ApiProblem:
    """Ask the API who holds the credential that it is asked with."""
    answer = await api.get("caller")
    if answer.problem is not None:
        return answer.problem
    body = answer.body
    try:
        roles = {realm: frozenset(each) for realm, each in body["roles"].items()}
        # A server of an earlier version does not say it.
        kinds = frozenset(body.get("hashed_kinds", ()))
        return Holder(body["name"], body["person"], roles, body["realm"], kinds)
    except (KeyError, TypeError, AttributeError):
        return NOT_OURS
