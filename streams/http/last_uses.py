"""When identifiers were used last, asked of the sentinels of a fleet, or of one."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import define

from enforcement.turns import in_turns
from streams.http.answers import json_answer
from streams.http.bodies import body_of
from streams.http.peer_routes import SENTINEL, USES, PeerRoute, Share
from streams.http.problems import ProblemError, unreadable
from streams.stages.access.columns import I64
from streams.stages.plans.changes import read_members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web

    from streams.http.auth import Tokens
    from streams.http.fleet_answers import FleetAnswers
    from streams.stages.access.columns import Numbers
    from streams.stages.plans.last_uses import KnownUses

    RealmUses = Callable[[str | None], KnownUses]


@define(eq=False)
class OwnUses:
    """Finds last uses among those that this process knows.

    Attributes:
        uses: gives those of a realm.
    """

    _uses: RealmUses

    async def __call__(
        self, request: web.Request, prints: Numbers
    ) -> tuple[Numbers, str]:
        """Find the last use of each print; see `LastUses`."""
        known = self._uses(request.query.get("realm"))
        return await in_turns(known.find(prints)), known.missing


@define(eq=False)
class FleetUses:
    """Finds last uses among those that all workers know together.

    Attributes:
        own: those that this process knows, where it knows all or nobody else answers.
        uses: gives those of a realm.
        answers: of the other processes.
    """

    _own: OwnUses
    _uses: RealmUses
    _answers: FleetAnswers

    async def __call__(
        self, request: web.Request, prints: Numbers
    ) -> tuple[Numbers, str]:
        """Find the last use of each print; see `LastUses`."""
        peers = self._answers.peers.urls["workers"]
        if not peers or not self._uses(request.query.get("realm")).missing:
            return await self._own(request, prints)

        def latest(parts: Sequence[Any]) -> Numbers:
            found = np.zeros(len(prints), I64)
            for part in parts:
                last = np.frombuffer(base64.b64decode(part["last"]), I64)
                np.maximum(found, last, out=found)
            return found

        route = PeerRoute("POST", USES, "workers", share=Share(SENTINEL, latest, USES))
        try:
            body = prints.tobytes()
            last: Numbers = await self._answers.document(request, route, body)
        except (ProblemError, ValueError):
            return await self._own(request, prints)
        return last, ""


@define(eq=False)
class UsesPage:
    """The route by which other processes ask for the uses that this one knows.

    Attributes:
        tokens: who may ask.
        own: finds them.
    """

    _tokens: Tokens
    _own: OwnUses

    def add_to(self, app: web.Application) -> None:
        """Add the route."""
        app.router.add_post(USES, self.post)

    async def post(self, request: web.Request) -> web.Response:
        """Answer the last use of each print of the body."""
        holder = self._tokens.holder(
            request, "viewer", "revoker", "restorer", any_realm=True
        )
        try:
            prints = read_members(await body_of(request, holder))
        except ValueError as error:
            raise unreadable("these are no prints of identifiers") from error
        last, _ = await self._own(request, prints)
        return json_answer({"last": base64.b64encode(last.tobytes()).decode()})
