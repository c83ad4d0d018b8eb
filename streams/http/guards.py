"""Who enforces, under which terms, and how far each one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web
from attrs import define, frozen

from streams.http.answers import json_answer
from streams.http.problems import not_found

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from streams.http.auth import Tokens
    from streams.stages.closure.closure import RegisteredGuard
    from streams.stages.closure.denials import DenialCounts
    from streams.stages.closure.results import Result

MILLISECOND = 1_000_000


class LatestRevocations(Protocol):
    """Lists revocations of a realm, the newest first."""

    async def __call__(
        self, before: int | None, limit: int, *, is_open: bool
    ) -> Sequence[Result]:
        """List them.

        Args:
            before: offset that all of them lie below; None: any.
            limit: most revocations.
            is_open: only what is not closed yet.

        Raises:
            ProblemError: 503, what was accepted last is not read yet.
        """


@frozen(kw_only=True)
class Enforcement:
    """The guards of one realm, and what is known of its revocations.

    Attributes:
        guards: that are registered, by name.
        missed: that left in silence lately, by name.
        end: of the facts.
        deadline: seconds after which a revocation that is not closed is a finding.
        credential: names the credential that a guard's name is bound to.
        result: gives a revocation by its id, with its current state.
        latest: lists revocations before an offset, the newest first.
        arrivals: when guards showed that they had applied the one of an offset.
        whole: whether every revocation of the log is listed, and not only those that
            are open or were settled since this process followed the realm.
        denials: counts how long it took until every guard denied.
        remove: lets a guard go for good and frees its name, on the word of somebody;
            tells whether there was one.
        connected: names of guards that are connected; None where none ever are.
        subscribers: names of those that are fed and send no receipts.
    """

    guards: Mapping[str, RegisteredGuard]
    missed: Mapping[str, RegisteredGuard]
    end: int
    deadline: float
    credential: Callable[[str], str | None]
    result: Callable[[str], Awaitable[Result | None]]
    latest: LatestRevocations
    arrivals: Callable[[int], Mapping[str, int]]
    whole: bool
    denials: DenialCounts
    remove: Callable[[str, str], Awaitable[bool]]
    connected: Collection[str] | None = None
    subscribers: Sequence[str] = ()


@define(eq=False)
class Guards:
    """Handlers of ``/v1/guards``.

    Attributes:
        tokens: let callers in.
        enforcement: of a realm, the settings' own by default. Raises a
            `ProblemError` where that is not known here; 503 where it is elsewhere.
        boottime: closure's clock.
    """

    _tokens: Tokens
    _enforcement: Callable[[str | None], Enforcement]
    _boottime: Callable[[], int]

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/guards", self.guards)
        app.router.add_delete("/v1/guards/{name}", self.remove)

    async def guards(self, request: web.Request) -> web.Response:
        """List the guards; those that send no receipts have no mode here."""
        self._tokens.holder(request, "viewer", "revoker", any_realm=True)
        of = self._of(request)
        now = self._boottime()
        rows = [_row(name, of, now) for name in sorted({**of.missed, **of.guards})]
        rows += [
            {"guard": name, "standing": "unknown", "connected": True}
            for name in of.subscribers
        ]
        return json_answer({"guards": rows, "end": of.end})

    async def remove(self, request: web.Request) -> web.Response:
        """Let a guard go that will not come back; revocations wait for it no more."""
        token = self._tokens.holder(request, "restorer", any_realm=True)
        name = request.match_info["name"]
        if not await self._of(request).remove(name, token.name):
            detail = "no guard has this name: list them with `rescind guards`"
            raise not_found("no such guard", detail)
        return json_answer({"removed": name})

    def _of(self, request: web.Request) -> Enforcement:
        return self._enforcement(request.query.get("realm"))


def _row(name: str, of: Enforcement, now: int) -> dict[str, Any]:
    known, connected = of.guards.get(name), of.connected
    member = known or of.missed[name]
    terms, heard = member.terms, member.is_heard(now)
    return {
        "guard": name,
        "credential": of.credential(name),
        "mode": terms.mode.value,
        "lease_ms": terms.lease // MILLISECOND,
        "live_sessions": terms.live_sessions,
        "routes": list(terms.routes),
        "applied": member.applied,
        "behind": max(0, of.end - member.applied),
        "heard_ms_ago": (now - member.heard) // MILLISECOND,
        "standing": "gone" if known is None else "heard" if heard else "silent",
        "connected": heard if connected is None else name in connected,
    }
