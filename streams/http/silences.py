"""Silences of findings: ordered with a reason and an end, and taken back."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
from aiohttp import web
from attrs import define, field

from agents_registry.secret_shapes import HASHED_KINDS
from schemas.entries import Act
from streams.http.answers import json_answer
from streams.http.auth import ANY_REALM
from streams.http.bodies import json_object
from streams.http.peer_routes import SHOWN
from streams.http.problems import forbidden, not_found, unavailable, unreadable
from streams.process.aside import Aside, here
from streams.services.intake import NotWrittenError
from streams.stages.notify.silences import MOST, Silence, ordered, silenced

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.http.auth import CredentialHolder, Tokens
    from streams.model.findings import Finding
    from streams.services.silences import KeptSilences
    from streams.settings.access import Role
    from streams.stages.notify.state import DeliveryState

READERS: Final[tuple[Role, ...]] = ("viewer", "revoker", "restorer")


class HasState(Protocol):
    """What delivers, and knows what it holds back."""

    state: DeliveryState


@define(eq=False)
class SilencePages:
    """Handlers of ``/v1/alerts/silences``.

    Attributes:
        tokens: who may give orders.
        silences: where they are kept.
        desk: what delivers.
        clock: gives the time (ns).
        realm: that is meant by who may order in this one alone.
        fresh_id: gives unique ids.
        record_act: keeps who ordered what.
        aside: gets to what delivers.
        hashed_kinds: whose values are hashes of secrets.
    """

    _tokens: Tokens
    _silences: KeptSilences
    _desk: HasState
    _clock: Callable[[], int]
    _realm: str = field(kw_only=True)
    _fresh_id: Callable[[], str] = field(kw_only=True)
    _record_act: Callable[[str, str], Awaitable[None]] = field(kw_only=True)
    _aside: Aside = field(default=here, kw_only=True)
    _hashed_kinds: frozenset[str] = field(default=HASHED_KINDS, kw_only=True)

    def add_to(self, app: web.Application) -> None:
        """Put the handlers behind their routes."""
        app.router.add_get("/v1/alerts/silences", self.list)
        app.router.add_post("/v1/alerts/silences", self.silence)
        app.router.add_delete("/v1/alerts/silences/{id}", self.unsilence)

    async def list(self, request: web.Request) -> web.Response:
        """List the silences in force, each with the findings that it holds back."""
        holder = self._tokens.holder(request, *READERS)

        async def told() -> web.Response:
            return self._list(holder)

        return await self._aside(told)

    def _list(self, holder: CredentialHolder) -> web.Response:
        silences = self._of(holder, READERS)
        held: dict[str, list[Finding]] = {each.id: [] for each in silences}
        for known in self._desk.state.announced.values():
            seen = known.waiting
            if not known.messages and seen and holder.may(seen.realm, *READERS):
                silence = silenced(seen, silences)
                if silence is not None:
                    held[silence.id].append(seen)
        return json_answer({
            "silences": [
                each.shown()
                | {
                    "count": len(held[each.id]),
                    "findings": [*map(_told, held[each.id][:SHOWN])],
                }
                for each in sorted(silences, key=lambda each: (each.until, each.id))
            ]
        })  # fmt: skip

    async def silence(self, request: web.Request) -> web.Response:
        """Be silent of some findings until a time."""
        token = self._tokens.holder(request, "restorer")
        body = await json_object(request, token)
        try:
            silence = ordered(
                body,
                fresh=self._fresh_id(),
                by=token.name,
                now=self._clock(),
                hashed_kinds=self._hashed_kinds,
            )
        except ValueError as error:
            raise unreadable(str(error)) from error
        if silence.critical:
            self._tokens.holder(request, "admin")
        role: Role = "admin" if silence.critical else "restorer"
        if not (silence.realm or token.may(ANY_REALM, role)):
            silence = attrs.evolve(silence, realm=self._realm)
        if silence.realm and not token.may(silence.realm, role):
            detail = f"this credential may not silence the realm {silence.realm}"
            raise forbidden("another realm", detail)
        in_force = {each.id: each for each in self._silences.all()}
        if silence.id in in_force:
            return json_answer(in_force[silence.id].shown())
        if len(in_force) >= MOST:
            raise unreadable(f"{MOST} silences are in force: take some back first")
        await self._record_act(token.name, f"silence {_words(silence)}")
        await _written(self._silences.put(silence))
        return web.json_response(silence.shown(), status=http.HTTPStatus.CREATED)

    async def unsilence(self, request: web.Request) -> web.Response:
        """Take a silence back; what is open is told."""
        token = self._tokens.holder(request, "restorer")
        name = request.match_info["id"]
        known = {each.id: each for each in self._of(token, ("restorer",))}
        if name not in known:
            detail = "see what is in force with `rescind alerts silences`"
            raise not_found("no such silence", detail)
        await self._record_act(token.name, f"unsilence {_words(known[name])}")
        await _written(self._silences.drop(name))
        return json_answer(known[name].shown())

    def _of(
        self, holder: CredentialHolder, roles: tuple[Role, ...]
    ) -> tuple[Silence, ...]:
        """Silences of the realms in which a credential has one of some roles."""
        return tuple(
            each
            for each in self._silences.all()
            if not each.realm or holder.may(each.realm, *roles)
        )


def act_of(
    realm: str, clock: Callable[[], int], record: Callable[[Act], Awaitable[None]]
) -> Callable[[str, str], Awaitable[None]]:
    """Return a function that keeps an operator's order as an act of a realm."""

    async def keep(actor: str, action: str) -> None:
        await record(Act(realm=realm, at=clock(), actor=actor, action=action))

    return keep


async def _written(write: Awaitable[None]) -> None:
    try:
        await write
    except NotWrittenError as error:
        raise unavailable("not written", "try again") from error


def _words(silence: Silence) -> str:
    kinds = ", ".join(sorted(kind.value for kind in silence.kinds)) or "all kinds"
    critical = " and critical ones" if silence.critical and not silence.kinds else ""
    of = f" of realm {silence.realm}" if silence.realm else ""
    until = silence.shown()["until"]
    return (
        f"{silence.id}: {kinds}{critical} about {silence.identifier}{of} "
        f"until {until}: {silence.reason}"
    )


def _told(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "kind": finding.kind.value,
        "severity": int(finding.severity),
        "realm": finding.realm,
        "identifier": str(finding.presented),
    }
