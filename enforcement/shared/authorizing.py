"""Envoy's ext_authz in HTTP mode, for a gateway that has verified the token itself.

``/v1/authorize`` and all below it, with any method: 200 lets the request pass, 403 does
not. What is presented stands in headers that the gateway sets to verified claims, and
that no client can set: which ones is said when the agent is started.

Source: Envoy, ``envoy.extensions.filters.http.ext_authz.v3.HttpService``, and
``claim_to_headers`` of its filter ``jwt_authn``, which replaces what a client sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web
from attrs import frozen

from agents_registry.facts import SECOND
from agents_registry.presentation import Presented
from enforcement.names import read_presented

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multidict import CIMultiDictProxy

    from enforcement.guard import Guard
    from enforcement.names import Names

PATH: Final = "/v1/authorize"
REASON: Final = "X-Rescind-Reason"
UNREADABLE: Final = ""  # no identifier
MOST_DIGITS: Final = 12  # of seconds since 1970


@frozen
class ClaimHeaders:
    """Headers that carry verified claims.

    Attributes:
        kinds: of the identifier in each, by the name of the header.
        issued_at: header with the time of issue (seconds since 1970).
    """

    kinds: Mapping[str, str]
    issued_at: str | None = None

    @classmethod
    def read(cls, claims: Sequence[str], issued_at: str | None) -> ClaimHeaders:
        """Read ``header=kind``, as the command line has it.

        Raises:
            ValueError: one of them is something else, or names a header again.
        """
        kinds: dict[str, str] = {}
        for claim in claims:
            header, _, kind = claim.partition("=")
            if not header or not kind or ":" in kind or header.lower() in kinds:
                raise ValueError(
                    f"{claim!r}: write HEADER=KIND, as in x-jwt-jti=jwt.jti, once"
                )
            kinds[header.lower()] = kind
        return cls(kinds, issued_at)

    def presented(self, headers: CIMultiDictProxy[str]) -> Presented | Names:
        """Presentation of a request; a header that is there twice makes none."""
        found = {name: headers.getall(name, []) for name in self.kinds}
        names = [
            f"{self.kinds[n]}:{text}" for n, some in found.items() for text in some
        ]
        told = read_presented(names) if names else None
        issued = [] if self.issued_at is None else headers.getall(self.issued_at, [])
        if told is None or any(len(some) > 1 for some in (issued, *found.values())):
            return UNREADABLE
        if not issued:
            return told
        (text,) = issued
        if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
            return UNREADABLE
        return Presented(told.identifiers, int(text) * SECOND)


@frozen
class Authorizations:
    """Handlers for gateways that ask with the client's own method and path."""

    _guard: Guard
    _claims: ClaimHeaders

    def add_to(self, app: web.Application) -> None:
        """Put the handler behind its routes."""
        app.router.add_route("*", PATH, self.answer)
        # Newlines too, which a dot would leave out.
        app.router.add_route("*", PATH + r"/{below:[\s\S]*}", self.answer)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer for the claims in the headers; nothing else of the request is read."""
        presented = self._claims.presented(request.headers)
        verdict = await self._guard.check_in_turns(presented)
        headers = {REASON: verdict.reason.value, "Cache-Control": "no-store"}
        return web.Response(status=200 if verdict.allowed else 403, headers=headers)
