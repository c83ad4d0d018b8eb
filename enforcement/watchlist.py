"""Which sessions live, on what each one rests, and which of them may have died.

A fact that is applied costs one look-up: it is noted by the name that it shakes, and
who rests on that name is found out when somebody looks. So a thousand facts on a name
that ten thousand sessions share cost as little as one.

Pure; the numbers of nodes are those of one table at a time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from attrs import define

from agents_registry.lineage import UNKNOWN_TIME
from agents_registry.verdict_dependencies import VerdictDependencies, shaken

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.presentation import Presented
    from agents_registry.registry import Registry
    from enforcement.verdict import Mode, Verdict

NOBODY_ELSE: Final = nullcontext()
NOTHING: Final = VerdictDependencies(frozenset(), UNKNOWN_TIME)


@define(slots=True, eq=False)
class LiveSession:
    """One registration with `AnyGuard.on_deny`.

    Attributes:
        presented: what it lives on; None when that could not be read.
        scope: what it was allowed to do.
        mode: of its route.
        callback: called once with the verdict that ends it.
        dependencies: what its verdict rests on.
        active: it is watched: neither ended nor cancelled.
        lock: held while it is cancelled, where that is done in another thread.
    """

    presented: Presented | None
    scope: str | None
    mode: Mode
    callback: Callable[[Verdict], object]
    _watchlist: Watchlist
    dependencies: VerdictDependencies = NOTHING
    active: bool = True
    lock: AbstractContextManager[object] = NOBODY_ELSE

    def cancel(self) -> None:
        """Watch it no longer; the callback will not be called. Repeating is fine."""
        with self.lock:
            if self.active:
                self._watchlist.strike(self)


class Watchlist:
    """The sessions of one guard.

    Attributes:
        sessions: all of them, in the order in which they came.
        suspects: those to be judged anew.
    """

    def __init__(self) -> None:
        self.sessions: dict[LiveSession, None] = {}
        self.suspects: dict[LiveSession, None] = {}
        self._resting: dict[int | Identifier, dict[LiveSession, None]] = {}
        self._shaken: set[int | Identifier] = set()
        self._all_shaken = False
        self._expires = UNKNOWN_TIME

    def add(
        self,
        presented: Presented | None,
        callback: Callable[[Verdict], object],
        *,
        scope: str | None,
        mode: Mode,
    ) -> LiveSession:
        """Put a session on the list; it is a suspect until it was judged."""
        session = LiveSession(presented, scope, mode, callback, self)
        self.sessions[session] = None
        self.suspects[session] = None
        return session

    def strike(self, session: LiveSession) -> None:
        """Take a session off the list."""
        session.active = False
        del self.sessions[session]
        self.suspects.pop(session, None)
        self.rest(session, NOTHING)

    def rest(self, session: LiveSession, on: VerdictDependencies) -> None:
        """Note what the verdict on a session rests on."""
        for name in session.dependencies.names - on.names:
            resting = self._resting.get(name, {})
            resting.pop(session, None)
            if not resting:
                self._resting.pop(name, None)
        for name in on.names:
            self._resting.setdefault(name, {})[session] = None
        session.dependencies = on
        self._expires = min(self._expires, on.expires)

    def renumber(self) -> None:
        """Suspect everyone: another table is in force, with other numbers."""
        self._resting.clear()
        self._shaken.clear()
        self._all_shaken = False
        self._expires = UNKNOWN_TIME
        self.suspects = dict(self.sessions)

    def applied(self, fact: Fact, registry: Registry) -> bool:
        """Note what a fact may end; tell whether that is anything.

        Args:
            fact: merged into the table just now.
            registry: the table in force.
        """
        names = shaken(fact)
        if names is None:
            self._all_shaken = True
            return True
        find, resting = registry.lineage.find, self._resting
        keys = [key for n in names for key in (n, find(n)) if key in resting]
        self._shaken.update(keys)
        return bool(keys)

    def suspect(self, now: int) -> None:
        """Suspect whoever rests on what was shaken, or has come to an expiry.

        Args:
            now: the wall clock (ns).
        """
        if self._all_shaken:
            self.suspects = dict(self.sessions)
        for name in self._shaken:
            self.suspects |= self._resting.get(name, {})
        self._shaken.clear()
        self._all_shaken = False
        if now >= self._expires:
            self._expires = UNKNOWN_TIME
            for session in self.sessions:
                if session.dependencies.expires <= now:
                    self.suspects[session] = None
                else:
                    self._expires = min(self._expires, session.dependencies.expires)

    def take(self) -> list[LiveSession]:
        """Suspected sessions; the list of suspects is empty afterwards."""
        taken, self.suspects = list(self.suspects), {}
        return taken
