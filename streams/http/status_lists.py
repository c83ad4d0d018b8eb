"""Token Status Lists over HTTP: an index for issuers, signed lists for readers.

Lists are public and name nobody. A reader of a list is a guard that is late: what it
may still allow ends with ``exp``. So a list is made of all that was accepted up to a
quarter of a lease before the request, or is not given at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import http
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import ETag, hdrs, web
from attrs import define, field

from agents_registry.identifiers import NodeClass
from agents_registry.presentation import MOST_ACTORS, MOST_IDENTIFIERS
from streams.http.auth import authority_of
from streams.http.bodies import json_object
from streams.http.problems import (
    ProblemError,
    bad_request,
    behind,
    forbidden,
    not_found,
    not_implemented,
    unreadable,
)
from streams.model.times import SECOND, typed_time
from streams.ports.findings_log import BehindError
from streams.services.typed_names import identifier_of_kind
from streams.stages.status.status_list import StatusEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier, Vocabulary
    from streams.http.auth import Tokens
    from streams.http.events import Speakers
    from streams.http.publication import Publication
    from streams.services.secret_names import SecretNames
    from streams.services.status_entries import Known, StatusEntries
    from streams.stages.ingest.admission import Entitlements
    from streams.stages.status.status_list import StatusList

MEDIA_TYPE: Final = "application/statuslist+jwt"
KEPT: Final = 64  # signed lists
MOST_DIGITS: Final = 11  # of a time in seconds
_FIELDS: Final = frozenset({"identifiers", "chain", "issued_at"})
_RANGES: Final = ("*/*", "application/*", MEDIA_TYPE)  # the most specific one last
_ANYBODY: Final = {hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*"}
LATE: Final = "not all that was accepted is applied; try again"
AS_OF: Final = "Rescind-As-Of"


class _Asked(NamedTuple):
    """What signed token is wanted: a list, at a past time or within a turn."""

    list: str
    at: int | None
    turn: int


class _Signed(NamedTuple):
    """A signed list, and the consistency token that its table stood at."""

    token: str
    as_of: str


@define(eq=False, repr=False)
class StatusLists:
    """The handlers of the lists of a realm.

    Attributes:
        secrets: tell what is none of a name.
    """

    _tokens: Tokens
    _speakers: Speakers
    _vocabulary: Vocabulary
    _entries: StatusEntries
    _published: Publication
    _secrets: SecretNames
    _kept: OrderedDict[_Asked, _Signed] = field(factory=OrderedDict, init=False)
    # Judging a list costs a walk an entry, and everybody may ask.
    _one_at_a_time: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_post("/v1/status-entries", self.give)
        app.router.add_get("/statuslists/aggregation", self.aggregation)
        app.router.add_get("/statuslists/jwks", self.jwks)
        app.router.add_get("/statuslists/{list:[0-9a-f]{32}}", self.get)

    async def give(self, request: web.Request) -> web.Response:
        """Credential that is about to be issued its index.

        The answer is the claim ``status`` (section 6.1), to be put into it. Each
        call gives another index; a repeated call wastes one.
        """
        token = self._tokens.holder(request, "ingest")
        rights = self._speakers.rights(authority_of(token))
        entry = self._entry(await json_object(request, token), rights)
        published = self._published
        place = await self._entries.give(entry, published.bits, published.size)
        reference = {"idx": place.idx, "uri": published.uri(place.list)}
        answer = {"status": {"status_list": reference}}
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def get(self, request: web.Request) -> web.Response:
        """Signed list, as it is or as it was at ``?time=`` (section 8)."""
        if not accepts(request.headers.getall(hdrs.ACCEPT, [])):
            status = http.HTTPStatus.NOT_ACCEPTABLE
            raise ProblemError(status, "not acceptable", f"this is {MEDIA_TYPE}")
        now = self._speakers.clock()
        known = await self._found(request.match_info["list"])
        at = self._time(request, known, now)
        token, as_of = await self._signed(known, at, now)
        response = web.Response(text=token, headers=_ANYBODY)
        response.content_type = MEDIA_TYPE
        response.charset = None
        fresh = f"public, max-age={self._published.ttl}"
        response.headers[hdrs.CACHE_CONTROL] = "no-cache" if at is not None else fresh
        response.headers[hdrs.VARY] = f"{hdrs.ACCEPT}, {hdrs.ACCEPT_ENCODING}"
        if hdrs.AUTHORIZATION in request.headers:
            # How many facts there are is nobody's business among the public.
            self._tokens.holder(request, "viewer")
            response.headers[AS_OF] = as_of
            response.headers[hdrs.CACHE_CONTROL] = "private, no-cache"
        etag = ETag(hashlib.sha256(token.encode()).hexdigest()[:32], is_weak=True)
        response.etag = etag
        if any(one.value == etag.value for one in request.if_none_match or ()):
            response.set_status(http.HTTPStatus.NOT_MODIFIED)
            response.body = None
        else:
            response.enable_compression()
        return response

    async def aggregation(self, _: web.Request) -> web.Response:
        """Name every list (section 9.3)."""
        try:
            lists = await self._entries.lists()
        except BehindError as error:
            raise behind(LATE) from error
        uris = [self._published.uri(known.name) for known in lists]
        return web.json_response({"status_lists": uris}, headers=_ANYBODY)

    async def jwks(self, _: web.Request) -> web.Response:
        """Key that the lists are verified with (RFC 7517)."""
        keys = {"keys": [self._published.key.public]}
        return web.json_response(keys, headers=_ANYBODY)

    async def _found(self, name: str) -> Known:
        """List of a name.

        Raises:
            ProblemError: 404, there is none; 503, one may have been begun elsewhere.
        """
        try:
            known = await self._entries.find(name)
        except BehindError as error:
            raise behind(LATE) from error
        if known is None:
            raise not_found("unknown list")
        return known

    async def _signed(self, known: Known, at: int | None, now: int) -> _Signed:
        """Signed list of this turn, made once for all who ask within it.

        Raises:
            ProblemError: 503, the table is behind by more than a lease.
        """
        lease = self._published.lease
        turn = 0 if at is not None else now // max(lease // 4, 1)
        asked = _Asked(known.name, at, turn)
        if asked not in self._kept:
            try:
                async with asyncio.timeout(lease / SECOND):
                    as_of = await self._entries.catch_up()
            except (TimeoutError, BehindError) as error:
                raise behind(LATE) from error
            async with self._one_at_a_time:
                if asked not in self._kept:
                    statuses = await self._entries.statuses(known, at)
                    since = (now if at is None else at) // SECOND
                    # It is packed first, which takes long where it is large.
                    token = await asyncio.to_thread(self._sign, known, statuses, since)
                    self._keep(asked, _Signed(token, as_of))
        self._kept.move_to_end(asked)
        return self._kept[asked]

    def _sign(self, known: Known, statuses: StatusList, since: int) -> str:
        published = self._published
        return published.key.sign(
            statuses,
            uri=published.uri(known.name),
            aggregation=published.aggregation,
            iat=since,
            ttl=published.ttl,
        )

    def _keep(self, asked: _Asked, signed: _Signed) -> None:
        self._kept[asked] = signed
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _time(self, request: web.Request, known: Known, now: int) -> int | None:
        """Read ``?time=`` (section 8.4).

        Raises:
            ProblemError: 501 where history is off, 404 where it does not reach so
                far, 400 where it is no time.
        """
        text = request.query.get("time")
        if text is None:
            return None
        if not self._published.history:
            raise not_implemented("no history", "ask without time")
        if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
            detail = "time is a number of seconds since 1970"
            raise bad_request("unreadable time", detail)
        first = max(known.created_at, now - self._published.history)
        if not first // SECOND <= int(text) <= now // SECOND:
            raise not_found("time out of reach")
        return int(text) * SECOND

    def _entry(self, body: dict[str, Any], rights: Entitlements) -> StatusEntry:
        """Read what a credential is, which the speaker must be entitled to issue.

        Raises:
            ProblemError: 422, it cannot be read; 403, it is another authority's.
        """
        unknown = set(body) - _FIELDS
        if unknown:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        names = self._identifiers(body, "identifiers", MOST_IDENTIFIERS)
        credentials = [name for name in names if self._is_credential(name)]
        if not credentials:
            raise unreadable("identifiers name a credential, and may name more")
        for name in credentials:
            if not any(grant.covers(name) for grant in rights.grants):
                detail = f"this authority may not speak of {name.kind}"
                raise forbidden("not entitled", detail)
        issued_at = _issued_at(body.get("issued_at"), self._speakers.clock())
        chain = self._identifiers(body, "chain", MOST_ACTORS)
        return StatusEntry(names, issued_at, chain)

    def _identifiers(
        self, body: dict[str, Any], field: str, most: int
    ) -> tuple[Identifier, ...]:
        texts = body.get(field, [])
        if not isinstance(texts, list) or len(texts) > most:
            raise unreadable(f"{field} is a list of at most {most} identifiers")
        try:
            return tuple(
                identifier_of_kind(text, self._vocabulary, self._secrets)
                for text in texts
            )
        except ValueError as error:
            raise unreadable(f"{field}: {error}") from error

    def _is_credential(self, name: Identifier) -> bool:
        return self._vocabulary[name.kind] is NodeClass.CREDENTIAL


def accepts(headers: Iterable[str]) -> bool:
    """Whether a reader takes a JWT (RFC 9110 section 12.5.1).

    Args:
        headers: every Accept header; without one everything is taken.
    """
    ranges = [each for header in headers for each in header.split(",") if each.strip()]
    best = (-1, 1.0 if not ranges else 0.0)
    for each in ranges:
        name, *parameters = (part.strip().lower() for part in each.split(";"))
        if name in _RANGES:
            best = max(best, (_RANGES.index(name), _quality(parameters)))
    return best[1] > 0


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def _issued_at(value: Any, now: int) -> int:
    """Read a time of issue; without one it is now.

    A token that holds its index cannot be older than the index, and none is from the
    future: a later time would let it outlive a ``not_before``.
    """
    if value is None:
        return now
    try:
        return min(typed_time(None if isinstance(value, bool) else value), now)
    except ValueError as error:
        raise unreadable(f"issued_at {error}, or in seconds") from error
