"""Global token revocation: an identity provider asks to log a user out everywhere.

The caller signs a JWT of its own with its issuer's key. What it asks for is a
not_before on the user, now: everything issued until then is dead, access tokens too.
204 comes once that is on disk. Without an id and a time of its own a request is never
taken for a repeat of an earlier one.

Source: draft-parecki-oauth-global-token-revocation.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from attrs import define, frozen

from streams.http.bodies import body_of
from streams.http.decisions import held
from streams.http.problems import (
    ProblemError,
    bad_request,
    forbidden,
    not_found,
    unauthorized,
)
from streams.model.records import DeadLetter, Lifecycle
from streams.model.times import SECOND
from streams.services.intake import IntakeBatch
from streams.sources.ssf.subjects import subject_of
from streams.sources.ssf.verifier import (
    SKEW,
    SetRefusedError,
    UnknownKeyError,
    is_for,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streams.clients.jwks_cache import JwksCache
    from streams.http.events import Speakers
    from streams.model.records import Record
    from streams.services.ingest import Intake
    from streams.settings.vendors import GlobalRevocation
    from streams.sources.ssf.subjects import Subject

SOURCE: Final = "global_revocation"
EVENT: Final = "global-token-revocation"
TYPES: Final = ("global-token-revocation+jwt",)
MOST_BYTES: Final = 64 << 10
BY_ATTRIBUTE: Final = (
    "subject_by_attribute: nobody can be named by this subject; have the caller send "
    "iss_sub or opaque subjects, and revoke this one by hand"
)
_SCHEME: Final = "Bearer "


@frozen
class RevocationCaller:
    """A configured caller with its keys."""

    settings: GlobalRevocation
    keys: JwksCache

    async def verify(self, token: bytes, now: int) -> dict[str, Any]:
        """Claims of the caller's JWT.

        Raises:
            SetRefusedError: it is not signed by the issuer, not for us, or not current.
        """
        try:
            return self._claims(token, now)
        except UnknownKeyError:
            await self.keys.refresh()
        return self._claims(token, now)

    def _claims(self, token: bytes, now: int) -> dict[str, Any]:
        claims = signed(token, self.keys.keys, TYPES)
        if claims.get("iss") != self.settings.issuer:
            raise SetRefusedError("invalid_issuer", "iss is not that of the settings")
        if not is_for(claims, self.settings.audience):
            raise SetRefusedError("invalid_audience", "aud is not that of the settings")
        if not now - SKEW < _moment(claims, "exp"):
            raise SetRefusedError("invalid_request", "the token has expired")
        for name in ("nbf", "iat"):
            if name in claims and _moment(claims, name) > now + SKEW:
                raise SetRefusedError("invalid_request", f"{name} lies in the future")
        return claims


def _moment(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SetRefusedError("invalid_request", f"{name} is missing")
    return value * SECOND


@define(eq=False)
class GlobalRevocations:
    """The handler of ``POST /v1/global-token-revocation/{caller}``.

    Attributes:
        callers: by name.
    """

    callers: Mapping[str, RevocationCaller]
    _speakers: Speakers
    _ingest: Intake
    _clock: Callable[[], int]
    _count: Callable[[str, str], None]

    async def post(self, request: web.Request) -> web.Response:
        """End what a user was given so far."""
        name = request.match_info["caller"]
        caller = self.callers.get(name)
        if caller is None:
            raise not_found("unknown caller", "name a caller of the settings")
        try:
            await self._admit(caller, request)
        except ProblemError:
            self._count(name, "refused")
            raise
        authority = caller.settings.authority
        found = subject_of(await _subject(request), caller.settings.issuer)
        records = list(_records(found))
        named = bool(found.principals or found.credentials) or bool(
            found.attributes and self._speakers.settings.peppers
        )
        delivery = IntakeBatch(
            records,
            self._speakers.origin(authority, f"global_revocation:{name}"),
            self._speakers.rights(authority),
        )
        receipt = await self._ingest.records(delivery)
        self._count(name, "taken")
        if not named:
            status = http.HTTPStatus.UNPROCESSABLE_ENTITY
            raise ProblemError(status, "subject not understood", BY_ATTRIBUTE)
        if receipt.dead_letters:
            detail = "the settings do not let this caller speak of such subjects"
            raise forbidden("not entitled", detail)
        if receipt.held:
            return held(receipt.held)
        return web.Response(status=http.HTTPStatus.NO_CONTENT)

    async def _admit(self, caller: RevocationCaller, request: web.Request) -> None:
        header = request.headers.get("Authorization", "")
        if not header.startswith(_SCHEME):
            detail = f"send Authorization: Bearer and a JWT of typ {TYPES[0]}"
            raise unauthorized("no token", detail)
        token = header[len(_SCHEME) :].encode(errors="replace")
        try:
            await caller.verify(token, self._clock())
        except SetRefusedError as refused:
            raise unauthorized("invalid token", refused.description) from refused


async def _subject(request: web.Request) -> dict[str, Any]:
    """Read the subject; older drafts call it ``subject``.

    Raises:
        ProblemError: 400, there is none.
    """
    problem = bad_request("no subject", 'send JSON: {"sub_id": {...}}')
    body = await body_of(request, None)
    try:
        decoded = orjson.loads(body) if len(body) <= MOST_BYTES else None
    except orjson.JSONDecodeError as error:
        raise problem from error
    found = None
    if isinstance(decoded, dict):
        found = decoded.get("sub_id", decoded.get("subject"))
    if not isinstance(found, dict) or not found:
        raise problem
    return found


def _records(subject: Subject) -> Iterator[Record]:
    """Return the records that the request stands for."""
    for each in subject.each():
        names = each.principals or each.credentials or each.attributes
        ends = "revoke" if names == each.credentials else "not_before"
        yield Lifecycle(
            SOURCE, None, EVENT, ends, occurred_at=None, identifiers=names, offset=0,
            outcome="allowed", device=each.device, tenant=each.tenant,
        )  # fmt: skip
        if not names:
            yield DeadLetter(SOURCE, 0, 0, BY_ATTRIBUTE, None, EVENT)
