"""What an act would reach, asked of a table here, or of the worker that has it."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from aiohttp import web
from attrs import define

from agents_registry.facts import Cause, from_plain, to_plain
from enforcement.turns import in_turns, undisturbed
from streams.http.answers import json_answer
from streams.http.bodies import body_of
from streams.http.peer_routes import REACH, REGISTRY, PeerRoute
from streams.http.plans import MOST_FIRST, NO_TABLE, TABLE, ReachQuestion
from streams.http.problems import not_implemented, unavailable, unreadable
from streams.process.aside import Aside, here
from streams.stages.plans.changes import Changes, comparing, read_members
from streams.stages.plans.fates import judging_act
from streams.stages.plans.reach import ActReach, reaching, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.http.auth import Tokens
    from streams.http.fleet_answers import FleetAnswers
    from streams.ports.table_reader import TableReader
    from streams.stages.access.columns import Numbers

ANSWER_SECONDS: Final = 60.0
CATCH_UP_SECONDS: Final = 2.0
PAUSE: Final = 0.01
BEHIND: Final = "the table does not hold yet all that was accepted"


class LastUses(Protocol):
    """Finds when identifiers of a realm were used last."""

    async def __call__(
        self, request: web.Request, prints: Numbers
    ) -> tuple[Numbers, str]:
        """Last use (ns) of each print, sorted, each once; and what is not known.

        Args:
            request: whose caller asks, and about which realm.
            prints: of identifiers.
        """


@define(eq=False)
class TableReach:
    """Finds it in the table of this process, in turns of the loop that it belongs to.

    Attributes:
        tables: give the table of a realm.
        uses: finds last uses.
        clock: gives the time (ns).
        aside: gets to the event loop that the tables belong to.
    """

    _tables: TableReader
    _uses: LastUses
    _clock: Callable[[], int]
    _aside: Aside = here

    async def __call__(
        self, request: web.Request, question: ReachQuestion
    ) -> dict[str, Any]:
        """Find what an act would reach; see `ReachSource`."""
        realm = request.query.get("realm")
        self._tables.table(realm)  # where there is none, nobody has to be asked

        async def found() -> dict[str, Any]:
            return await self._found(request, question, realm)

        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._aside(found)
        except TimeoutError as error:
            detail = "the analysis is busy; try again, or order the act without a plan"
            raise unavailable("busy", detail) from error

    async def _found(
        self, request: web.Request, question: ReachQuestion, realm: str | None
    ) -> dict[str, Any]:
        incomplete = []
        if not await self._caught_up(realm, question.at_least):
            incomplete.append({"of": TABLE, "detail": BEHIND})
        registry, as_of = self._tables.table(realm)
        now = self._clock()
        reach, changes = await undisturbed(
            registry, lambda: seeing(registry, question, now)
        )
        members = reach.members
        last, missing = await self._uses(request, members)
        if missing:
            incomplete.append({"of": "uses", "detail": missing})
        return {
            "reach": await in_turns(told(registry, reach, last, question.first)),
            "members": base64.b64encode(members.tobytes()).decode(),
            "changes": None if changes is None else changes.plain(),
            "as_of": as_of,
            "incomplete": incomplete,
        }

    async def _caught_up(self, realm: str | None, at_least: str) -> bool:
        """Wait for a token, but not for long."""
        loop = asyncio.get_running_loop()
        end, wanted = loop.time() + CATCH_UP_SECONDS, _offset(at_least)
        while _offset(self._tables.table(realm).as_of) < wanted:
            if loop.time() >= end:
                return False
            await asyncio.sleep(PAUSE)
        return True


def _offset(token: str) -> int:
    return int(token.rpartition(":")[2])


def seeing(
    registry: Registry, question: ReachQuestion, now: int
) -> Steps[tuple[ActReach, Changes | None]]:
    """Find what an act would reach, and how that differs from what a plan saw.

    Args:
        registry: the table, which must not change meanwhile.
        question: about which act.
        now: ns.
    """
    fates = yield from judging_act(registry, question.causes, now)
    reach = yield from reaching(registry, fates, now)
    if question.seen is None:
        return reach, None
    seen = read_members(question.seen)
    return reach, (yield from comparing(registry, reach, seen))


@define(eq=False)
class ReachPage:
    """The route by which other processes ask the table of this one.

    Attributes:
        tokens: who may ask.
        reach: finds it.
    """

    _tokens: Tokens
    _reach: TableReach

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_post(REACH, self.post)

    async def post(self, request: web.Request) -> web.Response:
        """Answer what an act would reach."""
        holder = self._tokens.holder(request, "revoker", "restorer", any_realm=True)
        question = await in_turns(read_question(await body_of(request, holder)))
        return json_answer(await self._reach(request, question))


@define(eq=False)
class FleetReach:
    """Asks the worker that has the table of the realm, as the caller.

    Attributes:
        answers: of the other processes.
    """

    _answers: FleetAnswers

    async def __call__(
        self, request: web.Request, question: ReachQuestion
    ) -> dict[str, Any]:
        """Find what an act would reach; see `ReachSource`."""
        if not self._answers.peers.urls["workers"]:
            raise not_implemented("no table", NO_TABLE)
        route = PeerRoute("POST", REACH, "workers", REGISTRY)
        body = orjson.dumps(await in_turns(plain_question(question)))
        answer: dict[str, Any] = await self._answers.document(request, route, body)
        return answer


def plain_question(question: ReachQuestion) -> Steps[dict[str, Any]]:
    """Question as JSON-ready values."""
    seen, causes = question.seen, []
    for cause in question.causes:
        yield
        causes.append(to_plain(cause))
    return {
        "causes": causes,
        "first": question.first,
        "at_least": question.at_least,
        "seen": None if seen is None else base64.b64encode(seen).decode(),
    }


def read_question(body: bytes) -> Steps[ReachQuestion]:
    """Read what `plain_question` gave; a process of ours sends it, or anybody.

    Raises:
        ProblemError: 422, it cannot be read.
    """
    try:
        asked = orjson.loads(body)
        causes = []
        for each in asked["causes"]:
            yield
            fact = from_plain(each)
            if not isinstance(fact, Cause):
                raise TypeError("this is no cause")
            causes.append(fact)
        seen, at_least = asked["seen"], str(asked["at_least"])
        known = None if seen is None else base64.b64decode(seen, validate=True)
        _offset(at_least)
        if known is not None:
            read_members(known)
        first = min(max(0, int(asked["first"])), MOST_FIRST)
        return ReachQuestion(causes, first, at_least, known)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unreadable("this is no question about the reach of an act") from error
