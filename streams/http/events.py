"""Ingress over HTTP: a source's raw bytes in, 202 once they are on disk."""

from __future__ import annotations

import http
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from aiohttp import web
from attrs import define, frozen

from streams.http.auth import authority_of
from streams.http.bodies import body_of
from streams.http.decisions import NOT_ACCEPTED
from streams.http.problems import not_found
from streams.observability.failpoints import failpoint
from streams.services.ingest import Intake
from streams.services.intake import Acceptance, IntakeBatch, Speaker
from streams.services.reading import RecordReader, read
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents_registry.identifiers import Identifier
    from streams.http.auth import Tokens
    from streams.model.records import Record
    from streams.settings.server import Authority, Settings


class Read(Protocol):
    """Makes records of the bytes of a source."""

    async def __call__(
        self, reader: RecordReader, data: bytes, source: str
    ) -> Sequence[Record]:
        """Return the records; a reader that breaks gives a dead letter."""


@frozen
class ConfiguredSource:
    """A configured source: its name, its readers' maker, and its default point."""

    name: str
    make: Callable[[], RecordReader]
    point: str = ""


@frozen
class Speakers:
    """Gives origin and rights of what an authority says."""

    settings: Settings
    clock: Callable[[], int]

    def origin(self, authority: str, ingress_key: str) -> Origin:
        """Origin of an input that arrives now."""
        known = self.settings.authorities.get(authority)
        return Origin(
            authority=authority,
            realm=self.settings.realm,
            received_at=self.clock(),
            ingress_key=ingress_key,
            settings=self.settings.version,
            issuer_log=known is not None and known.issuer_log,
        )

    def own(self) -> Origin:
        """Origin of this process's own statements about its sources."""
        return self.origin("rescind", "rescind")

    def rights(self, authority: str) -> Entitlements:
        """Entitlements of an authority; none where it is not configured."""
        known = self.settings.authorities.get(authority)
        return Entitlements(() if known is None else _grants(known))

    def entitled(self, authority: str, name: Identifier) -> bool:
        """Whether an authority may speak of a name."""
        return any(grant.covers(name) for grant in self.rights(authority).grants)

    def speaker(self, authority: str, ingress_key: str) -> Speaker:
        """Origin and entitlements."""
        return Speaker(self.origin(authority, ingress_key), self.rights(authority))


def _grants(authority: Authority) -> tuple[Grant, ...]:
    return tuple(Grant(grant.kind, grant.qualifier) for grant in authority.grants)


@define(eq=False)
class Events:
    """The handler of ``POST /v1/events/{source}``.

    Attributes:
        sources: those that are configured.
        read: makes records of bytes.
    """

    _tokens: Tokens
    _sources: Mapping[str, ConfiguredSource]
    _speakers: Speakers
    _ingest: Intake
    _read: Read = read

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_post("/v1/events/{source}", self.post)

    async def post(self, request: web.Request) -> web.Response:
        """Take in the raw bytes of a source."""
        token = self._tokens.holder(request, "ingest")
        source = self._sources.get(request.match_info["source"])
        if source is None:
            named, known = request.match_info["source"], ", ".join(self._sources)
            detail = f"no source is called {named!r:.80}: there are {known or 'none'}"
            raise not_found("unknown source", detail)
        authority = authority_of(token)
        body = await body_of(request, token)
        failpoint("ingress.received")
        records = await self._read(source.make(), body, source.name)
        delivery = IntakeBatch(
            records,
            self._speakers.origin(authority, token.name),
            self._speakers.rights(authority),
            source.point,
            via=f"events:{source.name}",
        )
        receipt = await self._ingest.records(delivery)
        failpoint("ingress.before_reply")
        return web.json_response(_answer(receipt), status=http.HTTPStatus.ACCEPTED)


def _answer(receipt: Acceptance) -> dict[str, object]:
    held = {"held": receipt.held, "detail": NOT_ACCEPTED} if receipt.held else {}
    refused = [each._asdict() for each in receipt.refused]
    return {
        "accepted": receipt.accepted,
        "facts": receipt.facts,
        "dead_letters": receipt.dead_letters,
        **({"refused": refused} if refused else {}),
        "token": receipt.token,
        **held,
    }
