"""What a refused request is answered, and what a running one is told; for middleware.

A credential that is no good is 401, so that its holder fetches another; a good one
that does not reach far enough, and a guard that cannot prove anything now, are 403
(RFC 9110 section 15.5, RFC 6750 section 3.1). The body is a problem document
(RFC 9457) that names the reason and no more: path and cause are for the operator.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from attrs import frozen

from agents_registry.life import Reason
from agents_registry.presentation import Presented
from enforcement.names import Names
from enforcement.verdict import Lapse

if TYPE_CHECKING:
    from enforcement.loops import AskedInLoop
    from enforcement.verdict import Verdict

OfRequest = TypeVar("OfRequest")
Shown: TypeAlias = Presented | Names | None
Presents: TypeAlias = Callable[[OfRequest], Shown | Awaitable[Shown]]
Asks: TypeAlias = Callable[[OfRequest], str | None]

POLICY_VIOLATION: Final = 1008  # RFC 6455 section 7.4.1
_FORBIDDEN: Final = frozenset(
    {Reason.NARROWED, Reason.SCOPE, Lapse.NO_LEASE, Lapse.NOT_CAUGHT_UP}
)
_ENDINGS: Final = (asyncio.CancelledError, ConnectionError)


@frozen
class Refusal:
    """An HTTP answer.

    Attributes:
        status: 401 or 403.
        headers: its names in lower case.
        body: a problem document.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def refusal(verdict: Verdict | None) -> Refusal:
    """Answer to a request that is not served.

    Args:
        verdict: the denial; None where no credential was presented.
    """
    forbidden = verdict is not None and verdict.reason in _FORBIDDEN
    status = HTTPStatus.FORBIDDEN if forbidden else HTTPStatus.UNAUTHORIZED
    headers = {"content-type": "application/problem+json", "cache-control": "no-store"}
    if not forbidden:
        invalid = "" if verdict is None else ' error="invalid_token"'
        headers["www-authenticate"] = f"Bearer{invalid}"
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "reason": reason_of(verdict),
    }
    return Refusal(status, headers, json.dumps(problem).encode())


def reason_of(verdict: Verdict | None) -> str:
    """Reason for the caller; None: no credential was presented."""
    return "no_credential" if verdict is None else verdict.reason.value


def must_watch(guard: AskedInLoop) -> None:
    """See to it that a guard may watch what a middleware will hand to it.

    Raises:
        ValueError: it was made without ``live_sessions``.
    """
    if not guard.live_sessions:
        raise ValueError("make the guard with live_sessions=True: streams are watched")


async def shown(presents: Presents[OfRequest], request: OfRequest) -> Shown:
    """Ask the application what a request presents."""
    found = presents(request)
    return await found if inspect.isawaitable(found) else found


def is_ending(error: BaseException) -> bool:
    """Whether an error is nothing but the ordered end of a session."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(_ENDINGS)[1] is None
    return isinstance(error, _ENDINGS)
