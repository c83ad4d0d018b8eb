"""Ways in: a token of the API, and a link that a server prints once at its start."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections import deque
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.console.sessions import Holder
from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.console.api import Api, ApiProblem

LINK_SECONDS: Final = 900.0
WINDOW: Final = 60 * SECOND  # in which failures are counted
OF_ADDRESS: Final = 10
OF_ALL: Final = 200
NEXT: Final = "/console"
_PREFIX_V6: Final = 64


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


@define(eq=False)
class LoginAttempts:
    """Failed logins of the last minute, by address and together."""

    _clock: Callable[[], int]
    _failed: deque[tuple[int, str]] = field(factory=deque, init=False)

    def wait(self, address: str) -> int:
        """Seconds for which an address has to wait; 0: it may try."""
        now, here = self._clock(), _counted(address)
        while self._failed and now - self._failed[0][0] >= WINDOW:
            self._failed.popleft()
        times = [at for at, each in self._failed if each == here]
        over = len(times) >= OF_ADDRESS or len(self._failed) >= OF_ALL
        if not over:
            return 0
        first = times[0] if len(times) >= OF_ADDRESS else self._failed[0][0]
        return max(1, -(-(first + WINDOW - now) // SECOND))

    def failed(self, address: str) -> tuple[int, str]:
        """Count a failure; return what `forget` takes."""
        counted = self._clock(), _counted(address)
        self._failed.append(counted)
        return counted

    def forget(self, counted: tuple[int, str]) -> None:
        """Count one no longer: it was none."""
        with contextlib.suppress(ValueError):  # it is older than the window by now
            self._failed.remove(counted)


def _counted(address: str) -> str:
    """Address that failures count for; of IPv6 its /64."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004 - of the Internet Protocol
        return address
    return str(ip_network(f"{found}/{_PREFIX_V6}", strict=False))


async def holder_of_token(api: Api) -> Holder | ApiProblem:
    """Ask the API who holds the credential that it is asked with."""
    answer = await api.get("caller")
    if answer.problem is not None:
        return answer.problem
    body = answer.body
    roles = {realm: frozenset(each) for realm, each in body["roles"].items()}
    return Holder(body["name"], body["person"], roles, body["realm"])


def local(target: str) -> str:
    """Page to show after a login; of any other address the first page."""
    is_ours = target == NEXT or target.startswith((f"{NEXT}/", f"{NEXT}?"))
    return target if is_ours and "\\" not in target and target.isprintable() else NEXT
