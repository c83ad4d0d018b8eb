"""Ways in: a token of the API, and a link that a server prints once at its start."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.console.sessions import Holder
from streams.model.times import SECOND

if TYPE_CHECKING:
    from streams.console.api import Api, ApiProblem

LINK_SECONDS: Final = 900.0
NEXT: Final = "/console"


@define(eq=False)
class OneTimeLink:
    """A key that opens one session, within some minutes of its making.

    Attributes:
        key: 256 random bits; forgotten but for their hash once the link is made.
        ends: ns.
    """

    _credential: str = field(repr=False)
    _digest: bytes = field(repr=False)
    ends: int
    _used: bool = False

    def take(self, key: str, now: int) -> str | None:
        """Credential of the session; None: wrong, used or too old."""
        same = hmac.compare_digest(_hash(key), self._digest)
        if not same or self._used or now >= self.ends:
            return None
        self._used = True
        credential, self._credential = self._credential, ""
        return credential


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
    roles = {realm: frozenset(each) for realm, each in body["roles"].items()}
    # A server of an earlier version does not say it.
    kinds = frozenset(body.get("hashed_kinds", ()))
    return Holder(body["name"], body["person"], roles, body["realm"], kinds)


def local(target: str) -> str:
    """Page to show after a login; of any other address the first page."""
    is_ours = target == NEXT or target.startswith((f"{NEXT}/", f"{NEXT}?"))
    return target if is_ours and "\\" not in target and target.isprintable() else NEXT
