"""What ends at issuers: its state, its approvals, and what is tried again."""

from __future__ import annotations

import asyncio
import http
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from attrs import define

from schemas.entries import Act
from streams.actuators.catalogue import actuators
from streams.http.answers import json_answer
from streams.http.bodies import json_object
from streams.http.problems import not_found, unreadable
from streams.model.times import rfc3339
from streams.ports.keyed_store import ENDING_ORDER, Put, part
from streams.services.ending_book import SHOWN
from streams.stages.ending.items import EndingState
from streams.stages.ingest.acts import MAX_REASON

if TYPE_CHECKING:
    from streams.actuators.settings import ActuatorSettings
    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.events import Speakers
    from streams.services.ending_book import EndingBook
    from streams.services.ingest import Intake
    from streams.stages.ending.items import EndingItem

MOST: Final = 1000  # items of one answer
OPEN_SHOWN: Final = ("pending", "unreachable")
STEP: Final = 1023  # a mask: items counted between two turns of others
NOT_ENDED: Final = 100  # identifiers that closure names


@define(eq=False)
class ActuatorPages:
    """Handlers of ``/v1/actuators``, and of the issuers of a revocation.

    Attributes:
        tokens: who may ask, and who may approve.
        speakers: have the settings, and the clock.
        book: what is known of each end.
        log: gets orders, with a line of the audit chain.
    """

    _tokens: Tokens
    _speakers: Speakers
    _book: EndingBook
    _log: Intake

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        router, name = app.router, "/v1/actuators/{name}"
        router.add_get("/v1/actuators", self.actuators, allow_head=False)
        router.add_get(name, self.items, allow_head=False)
        router.add_post(f"{name}/approvals", self.approve)
        router.add_post(f"{name}/retries", self.retry)
        path = "/v1/revocations/{id}/issuers"
        router.add_get(path, self.issuers, allow_head=False)

    async def actuators(self, request: web.Request) -> web.Response:
        """List the actuators: their mode, how they are, and how much waits."""
        self._tokens.holder(request, "viewer", "revoker", any_realm=True)
        settings = self._speakers.settings.actuators
        return json_answer(
            {"actuators": [self._actuator(*each) for each in settings.items()]}
        )

    async def items(self, request: web.Request) -> web.Response:
        """List what an actuator ends, the last changes first."""
        self._tokens.holder(request, "viewer", "revoker", any_realm=True)
        name, _ = self._named(request)
        limit = _limit(request.query.get("limit"))
        state = request.query.get("state")
        if state is not None and state not in SHOWN:
            raise unreadable(f"state is one of {', '.join(SHOWN)}")
        cause = request.query.get("cause")
        found = [
            each
            for each in self._book.items(name)
            if (state is None or each.shown == state)
            and (cause is None or cause in each.causes)
        ]
        found.sort(key=lambda each: (-each.changed, str(each.identifier)))
        answer = {"items": list(map(_item, found[:limit])), "total": len(found)}
        return json_answer(answer)

    async def issuers(self, request: web.Request) -> web.Response:
        """Say how far the ends at issuers are of what a revocation reaches."""
        self._tokens.holder(request, "viewer", "revoker", any_realm=True)
        cause = request.match_info["id"]
        given = self._speakers.settings.actuators
        active = {name for name, each in given.items() if each.mode != "off"}
        counts: Counter[tuple[str, str]] = Counter()
        named: list[EndingItem] = []
        for count, each in enumerate(self._book.of_cause(cause)):
            if not count & STEP:
                await asyncio.sleep(0)  # there may be very many
            if each.actuator not in active:
                continue  # switched off since, or no more in the settings
            counts[each.actuator, each.shown] += 1
            if each.shown != "ended" and len(named) < NOT_ENDED:
                named.append(each)
        rows: list[dict[str, Any]] = [
            {"actuator": name} | {shown: counts[name, shown] for shown in SHOWN}
            for name in given
        ]
        total = {shown: sum(row[shown] for row in rows) for shown in SHOWN}
        named.sort(key=lambda each: (each.shown, str(each.identifier)))
        answer = {
            "id": cause,
            "state": self._state(cause, {shown for _, shown in counts}),
            **total,
            "actuators": rows,
            "not_ended": list(map(_item, named)),
        }
        return json_answer(answer)

    async def approve(self, request: web.Request) -> web.Response:
        """Let an actuator end all that a cause reaches there."""
        holder = self._tokens.holder(request, "restorer")
        name, settings = self._named(request)
        body = await json_object(request, holder)
        if settings.mode in ("off", "plan"):
            mode = settings.mode
            raise unreadable(f"its mode is {mode}: set approve or automatic first")
        if unknown := set(body) - {"cause", "reason"}:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        cause, reason = body.get("cause"), _reason(body)
        if not isinstance(cause, str):
            raise unreadable("cause is the id of a revocation, as its answer gave it")
        waiting = [
            each
            for each in self._book.of_cause(cause)
            if each.actuator == name and each.state is EndingState.WAITING
        ]
        if not waiting:
            detail = (
                "nothing waits there by this cause: list it with `rescind actuators`"
            )
            raise not_found("nothing waits", detail)
        order = {"cause": cause, "actuator": name}
        action = f"approved {len(waiting)} ends at {name}"
        await self._order(
            holder, f"{part(name)}/approved/{cause}", order, action, reason
        )
        answer = {"actuator": name, "cause": cause, "approved": len(waiting)}
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def retry(self, request: web.Request) -> web.Response:
        """Have an actuator try again what was given up."""
        holder = self._tokens.holder(request, "restorer")
        name, _ = self._named(request)
        body = await json_object(request, holder)
        if unknown := set(body) - {"reason"}:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        failed = [each for each in self._book.items(name) if each.shown == "failed"]
        action = f"tried {len(failed)} ends again at {name}"
        order = {"actuator": name}
        reason = _reason(body)
        await self._order(holder, f"{part(name)}/retried", order, action, reason)
        answer = {"actuator": name, "retried": len(failed)}
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def _order(
        self,
        holder: CredentialHolder,
        name: str,
        order: dict[str, Any],
        action: str,
        reason: str,
    ) -> None:
        now, realm = self._speakers.clock(), self._speakers.settings.realm
        said = f"{action}: {reason}" if reason else action
        causes = (order["cause"],) if "cause" in order else ()
        act = Act(realm=realm, at=now, actor=holder.name, action=said, facts=causes)
        body = orjson.dumps(order | {"at": now, "by": holder.person})
        await self._log.record_act(act, [Put(ENDING_ORDER, name, body)])

    def _named(self, request: web.Request) -> tuple[str, ActuatorSettings]:
        known, name = self._speakers.settings.actuators, request.match_info["name"]
        if name not in known:
            names = ", ".join(known) or "none"
            detail = f"no actuator has this name: there are {names}"
            raise not_found("unknown actuator", detail)
        return name, known[name]

    def _actuator(self, name: str, settings: ActuatorSettings) -> dict[str, Any]:
        vendor = getattr(settings, "vendor", "")
        counts, trouble = self._book.counts(), self._book.trouble(name)
        found = {shown: counts.get((name, shown), 0) for shown in SHOWN}
        health = "off" if settings.mode == "off" else "well"
        if found["unreachable"]:
            health = "unreachable"
        elif found["failed"]:
            health = "failing"
        return {
            "name": name,
            "vendor": vendor,
            "authority": settings.authority,
            "mode": settings.mode,
            "limit": settings.limit,
            "proven": actuators()[vendor].proven if vendor in actuators() else "",
            "health": health,
            **found,
            "last_error": None if trouble is None else trouble.reason,
            "last_error_at": None if trouble is None else rfc3339(trouble.changed),
        }

    def _state(self, cause: str, found: set[str]) -> str:
        settings = self._speakers.settings.actuators
        active = {name for name, each in settings.items() if each.mode != "off"}
        if not active:
            return "off"
        if not self._book.is_planned(cause, active) or found.intersection(OPEN_SHOWN):
            return "pending"
        return "ended" if found <= {"ended"} else "partial"


def _item(item: EndingItem) -> dict[str, Any]:
    return {
        "identifier": str(item.identifier),
        "actuator": item.actuator,
        "state": item.shown,
        "wanted": item.wanted.value,
        "act": item.how,
        "acts": item.acts,
        "reason": item.reason,
        "changed": rfc3339(item.changed),
        "causes": list(item.causes),
    }


def _reason(body: dict[str, Any]) -> str:
    reason = body.get("reason") or ""
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise unreadable(f"reason is a text of at most {MAX_REASON} characters")
    return reason


def _limit(text: str | None) -> int:
    if text is None:
        return MOST
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= MOST:
        raise unreadable(f"limit is a number from 1 to {MOST}")
    return int(text)
