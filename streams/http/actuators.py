"""What ends at issuers: its state, its approvals, and what is tried again."""

from __future__ import annotations

import asyncio
import http
import re
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from attrs import define

from agents_registry.identifiers import Identifier
from schemas.entries import Act
from streams.actuators.catalogue import actuators
from streams.http.answers import json_answer
from streams.http.bodies import json_object
from streams.http.decisions import take, waits
from streams.http.problems import not_found, unreadable
from streams.http.reached_ends import ReachedEnds, item_row
from streams.model.times import rfc3339
from streams.ports.keyed_store import ENDING_ORDER, Put, part
from streams.services.ending_book import SHOWN
from streams.stages.ending.items import EndingItem, EndingState
from streams.stages.ingest.acts import (
    MAX_REASON,
    ActError,
    KeptDecision,
    OperatorAct,
    reason_of,
)
from streams.stages.ingest.approvals import Pending
from streams.stages.ingest.entitlement import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.actuators.settings import ActuatorSettings
    from streams.http.auth import CredentialHolder, Tokens
    from streams.http.events import Speakers
    from streams.services.approval_queue import ApprovalQueue
    from streams.services.ending_book import EndingBook
    from streams.services.ingest import Intake

MOST: Final = 1000  # items of one answer
MOST_CAUSES: Final = 20_000  # asked about at once: more than one order gives
TURN: Final = 127  # a mask: causes looked at between two turns of others
UNCONFIRMED: Final = (
    "only what was given up because no probe could tell (failed), or has no way there, "
    "can be confirmed; what a probe finds alive can be tried again: `rescind actuators`"
)
_FACT_ID: Final = re.compile("[0-9a-f]{64}")  # anything else may be a secret, told back


@define(eq=False)
class ActuatorPages:
    """Handlers of ``/v1/actuators``, and of the issuers of a revocation.

    Attributes:
        tokens: who may ask, and who may approve.
        speakers: have the settings, and the clock.
        book: what is known of each end.
        log: gets orders, with a line of the audit chain.
        desk: takes what may need a second person.
    """

    _tokens: Tokens
    _speakers: Speakers
    _book: EndingBook
    _log: Intake
    _desk: ApprovalQueue

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        router, name = app.router, "/v1/actuators/{name}"
        router.add_get("/v1/actuators", self.actuators, allow_head=False)
        router.add_get(name, self.items, allow_head=False)
        router.add_post(f"{name}/approvals", self.approve)
        router.add_post(f"{name}/retries", self.retry)
        router.add_post(f"{name}/confirmations", self.confirm)
        path = "/v1/revocations/{id}/issuers"
        router.add_get(path, self.issuers, allow_head=False)
        router.add_post("/v1/revocations/issuers", self.issuers_of_many)

    async def actuators(self, request: web.Request) -> web.Response:
        """List the actuators: their mode, how they are, and how much waits."""
        self._tokens.holder(request, "viewer", "revoker")
        settings = self._speakers.settings.actuators
        trouble = await self._book.trouble()
        rows = [self._actuator(*each, trouble) for each in settings.items()]
        return json_answer({"actuators": rows})

    async def items(self, request: web.Request) -> web.Response:
        """List what an actuator ends, the last changes first."""
        self._tokens.holder(request, "viewer", "revoker")
        name, _ = self._named(request)
        limit = _limit(request.query.get("limit"))
        state = request.query.get("state")
        if state is not None and state not in SHOWN:
            raise unreadable(f"state is one of {', '.join(SHOWN)}")
        cause = request.query.get("cause")
        total, last = 0, list[EndingItem]()
        async for each in self._book.items(name):
            if state is not None and each.shown != state:
                continue
            if cause is not None and not self._book.concerns(each, cause):
                continue
            total += 1
            last.append(each)
            if len(last) >= 2 * limit:  # cut at times: there may be very many
                last = nsmallest(limit, last, key=_newest)
        found = nsmallest(limit, last, key=_newest)
        return json_answer({"items": list(map(item_row, found)), "total": total})

    async def issuers(self, request: web.Request) -> web.Response:
        """Say how far the ends at issuers are of what a revocation reaches."""
        self._tokens.holder(request, "viewer", "revoker")
        cause = request.match_info["id"]
        if not _FACT_ID.fullmatch(cause):
            detail = "no revocation has this id: it is `id` in the answer to one"
            raise not_found("no such revocation", detail)
        return json_answer({"id": cause} | await self._reached([cause]))

    async def issuers_of_many(self, request: web.Request) -> web.Response:
        """Say how far they are of all that the revocations of one order reach."""
        holder = self._tokens.holder(request, "viewer", "revoker")
        body = await json_object(request, holder)
        causes = body.get("ids")
        if set(body) - {"ids"} or not isinstance(causes, list):
            raise unreadable("give ids, as the answer to an order lists them")
        if not 0 < len(causes) <= MOST_CAUSES:
            raise unreadable(f"ids are at most {MOST_CAUSES}, and one at least")
        if not all(isinstance(one, str) and _FACT_ID.fullmatch(one) for one in causes):
            raise unreadable("an id is that of a revocation, as its answer gave it")
        return json_answer(await self._reached(list(dict.fromkeys(causes))))

    async def _reached(self, causes: list[str]) -> dict[str, Any]:
        given = self._speakers.settings.actuators
        active = {name for name, each in given.items() if each.mode != "off"}
        # Before what they end is read.
        planned = all(self._book.is_planned(cause, active) for cause in causes)
        reached = ReachedEnds(self._book, active)
        for count, cause in enumerate(causes, 1):
            if not count & TURN:
                await asyncio.sleep(0)
            await reached.take(cause)
        return reached.answer(list(given), planned=planned)

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
        waiting = 0
        async for each in self._book.of_cause(cause):
            waits = each.state is EndingState.WAITING or each.waits_for(cause)
            if each.actuator == name and waits:
                waiting += 1
        if not waiting:
            detail = (
                "nothing waits there by this cause: list it with `rescind actuators`"
            )
            raise not_found("nothing waits", detail)
        order = {"cause": cause, "actuator": name}
        action = f"approved {waiting} ends at {name}"
        await self._order(
            holder, f"{part(name)}/approved/{cause}", order, action, reason
        )
        answer = {"actuator": name, "cause": cause, "approved": waiting}
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def retry(self, request: web.Request) -> web.Response:
        """Have an actuator try again what was given up."""
        holder = self._tokens.holder(request, "restorer")
        name, _ = self._named(request)
        body = await json_object(request, holder)
        if unknown := set(body) - {"reason"}:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        failed = self._book.counts().get((name, "failed"), 0)
        action = f"tried {failed} ends again at {name}"
        order = {"actuator": name}
        reason = _reason(body)
        await self._order(holder, f"{part(name)}/retried", order, action, reason)
        answer = {"actuator": name, "retried": failed}
        return web.json_response(answer, status=http.HTTPStatus.CREATED)

    async def confirm(self, request: web.Request) -> web.Response:
        """Take an operator's word that something is ended, where no probe can tell."""
        holder = self._tokens.holder(request, "restorer")
        name, _ = self._named(request)
        body = await json_object(request, holder)
        if unknown := set(body) - {"identifier", "reason"}:
            raise unreadable(f"unknown fields: {', '.join(sorted(unknown))}")
        try:
            identifier, reason = Identifier.parse(body["identifier"]), reason_of(body)
        except ActError as error:
            raise unreadable(str(error)) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise unreadable("identifier is a text such as `kind:value`") from error
        item = self._book.get(name, identifier)
        if item is None or not item.may_be_confirmed:
            raise not_found("nothing to confirm", UNCONFIRMED)
        # The word is about this failure, also where the second person comes later.
        order = {
            "actuator": name, "identifier": str(identifier), "reason": reason,
            "changed": item.changed, "causes": list(item.causes),
        }  # fmt: skip
        kept = KeptDecision(
            ENDING_ORDER, f"{part(name)}/confirmed/{part(str(identifier))}",
            orjson.dumps(order).decode(),
        )  # fmt: skip
        summary = f"confirmed that {identifier} is ended at {name}"
        act = OperatorAct("confirm", summary, reason, (), kept=kept)
        origin = self._speakers.origin(OPERATORS, holder.name)
        taken = await take(self._desk, act, origin, holder)
        if isinstance(taken, Pending):
            return waits(taken)
        answer = {"actuator": name, "identifier": str(identifier), "confirmed": True}
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

    def _actuator(
        self,
        name: str,
        settings: ActuatorSettings,
        troubles: Mapping[str, EndingItem],
    ) -> dict[str, Any]:
        vendor = getattr(settings, "vendor", "")
        counts, trouble = self._book.counts(), troubles.get(name)
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


def _newest(item: EndingItem) -> tuple[int, str]:
    return -item.changed, str(item.identifier)


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
