"""Roles of open sessions, asked for again: they are given and taken meanwhile.

The API decides what somebody may, at each request. What a page offers is what the
person may as far as the console knows, and that grows old with the session.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field

from streams.console.api import ApiProblem
from streams.console.login import holder_of_token
from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.console.api import Api
    from streams.console.sessions import ConsoleSession

FRESH: Final = 10 * SECOND  # for which a page that only shows something believes them
LOOK_SECONDS: Final = 0.04  # that such a page waits for them; the next one has them
ACT_SECONDS: Final = 1.0  # that an act does


@define(eq=False)
class RoleCheck:
    """Asks whose a session's credential is, and what it may.

    Attributes:
        api_of: makes the client of a session, in a realm.
        clock: ns.
    """

    _api_of: Callable[[ConsoleSession, str], Api]
    _clock: Callable[[], int]
    _asking: dict[ConsoleSession, asyncio.Task[None]] = field(factory=dict, init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)
    _asked_for: int = field(default=0, init=False)

    async def look(self, session: ConsoleSession) -> None:
        """Have the roles of a session be those of the last seconds."""
        if self._clock() - session.roles_at >= FRESH:
            task = self._asking.get(session) or self._begun(session)
            await asyncio.wait({task}, timeout=LOOK_SECONDS)

    async def act(self, session: ConsoleSession) -> None:
        """Have the roles of a session be those of now: no earlier answer will do."""
        await asyncio.wait({self._begun(session)}, timeout=ACT_SECONDS)

    def _begun(self, session: ConsoleSession) -> asyncio.Task[None]:
        session.roles_at = self._clock()
        self._asked_for += 1
        asking = self._ask(session, self._asked_for)
        task = asyncio.get_running_loop().create_task(asking)
        self._asking[session] = task
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._done, session))
        return task

    def _done(self, session: ConsoleSession, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._asking.get(session) is task:
            del self._asking[session]

    async def _ask(self, session: ConsoleSession, number: int) -> None:
        known = session.holder
        found = await holder_of_token(self._api_of(session, known.home))
        # Without an answer the API refuses what it has to, as ever.
        if isinstance(found, ApiProblem) or found.name != known.name:
            return
        if number > session.roles_of:  # an answer that was overtaken is of earlier
            session.roles_of = number
            kinds = found.hashed_kinds
            session.holder = evolve(known, roles=found.roles, hashed_kinds=kinds)
