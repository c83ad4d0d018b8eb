"""A guard that answers from the table of the host's agent, which it only reads.

The lease stands beside the table. It is read before the table, and compared with the
clock afterwards: what the table says then is at least as new as what the lease proves,
however long the process was stopped in between.

Nothing here waits, locks or talks. A check is right in any thread, and in any child
of a fork.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agents_registry.clearance import CURRENT, FINE, MARKED, NAMED
from agents_registry.presentation import Presented
from agents_registry.verdict import DEFAULT_POLICY, LIVES, Judgement, Policy
from enforcement.clocks import boottime
from enforcement.conclusion import UNEXPIRED, Conclusion
from enforcement.names import Names, read_presented
from enforcement.shared import host
from enforcement.shared.host import NO_BOOT
from enforcement.shared.judging import judged_by
from enforcement.shared.layout import (
    APPLIED,
    CAUGHT_UP,
    CLOCK,
    DEADLINE,
    GENERATION,
    KEPT,
    SERVED,
    SINCE,
    SOUND,
    STATE,
    NotATableError,
)
from enforcement.shared.viewing import MappedTable
from enforcement.token import Token
from enforcement.verdict import Mode, NotReadyError, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


PAUSE_SECONDS: Final = 0.005  # between two looks of those who wait
_CLEAR: Final = CURRENT | MARKED


@frozen
class _Seen:
    """What the table said of itself before it was asked.

    Attributes:
        deadline: of the lease (ns of CLOCK_BOOTTIME).
        log: genesis and partition.
        applied: everything below is in the table.
    """

    deadline: int = 0
    caught_up: bool = False
    served: bool = False
    log: tuple[str, int] = ("", -1)
    applied: int = -1

    def covers(self, token: Token) -> bool:
        """Whether everything below a token's offset is applied."""
        return (
            token.genesis,
            token.partition,
        ) == self.log and token.offset <= self.applied


_NOTHING: Final = _Seen()


class SharedGuard(Conclusion):
    """A guard without a replica and a connection of its own.

    Attributes:
        counters: what this process did.
        trouble: why there is no table, for people.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        mode: Mode = Mode.FAIL_CLOSED,
        routes: Mapping[str, Mode] | None = None,
        policy: Policy = DEFAULT_POLICY,
        clock: Callable[[], int] = boottime,
    ) -> None:
        """Look for the table; one that is not there yet is looked for again.

        Args:
            path: where the agent puts the table.
            mode: what to do with what cannot be proven; ``fail_open`` needs an agent
                that says so, since a closure counts by it.
            routes: routes with a mode of their own, by name.
            policy: what to do with credentials that no fact makes known.
            clock: nanoseconds of CLOCK_BOOTTIME.
        """
        super().__init__(mode, routes, clock)
        self.trouble: str | None = None
        self._path = Path(path)
        self._policy = policy
        modes = [mode, *(routes or {}).values()]
        self._opens = Mode.FAIL_OPEN in modes
        self._table: MappedTable | None = None
        self._alone: MappedTable | None = None  # the same, where it is the only one
        self._granted = self._routes[None][1]
        self._open()

    def check(
        self,
        presented: Presented | Names,
        *,
        scope: str | None = None,
        at_least: Token | str | None = None,
        route: str | None = None,
    ) -> Verdict:
        """Judge a credential now; see `Guard.check`.

        Raises:
            KeyError: no route of this name was declared.
            ValueError: ``at_least`` is not a token.
        """
        table = self._alone
        if table is not None and at_least is None:
            words = table.words
            deadline = words[DEADLINE]  # before anything else is read
            if type(presented) is str and scope is None:
                node = table.known.get(presented)
                value = table.find(presented) if node is None else table.values[node]
                now = self._clock()
                wall = now + words[CLOCK]
                # The generation last: what it begins with undoes `SINCE` after it.
                if (
                    value > wall | FINE
                    and wall >= words[SINCE]
                    and value & _CLEAR == words[GENERATION] | NAMED
                    and now < deadline <= now + table.lease
                ):
                    granted = self._granted if route is None else self._routes[route][1]
                    self.counters.allowed += 1
                    return granted
            elif (
                type(presented) is Presented
                and presented.is_bounded()
                and table.is_clear(presented, self._clock() + words[CLOCK], scope)
                and (now := self._clock()) < deadline <= now + table.lease
            ):
                granted = self._routes[route][1]
                self.counters.allowed += 1
                return granted
        mode, granted = self._routes[route]
        return self._looked_up(presented, scope, at_least, mode, granted)

    def judge(self, presented: Presented, scope: str | None = None) -> Judgement | None:
        """Judge by what the file says, whatever its lease is; count nothing.

        Returns:
            None where there is no table, or no verdict could be had of it.
        """
        table = self._table
        return None if table is None else self._judged(table, presented, scope)

    def ready(self, timeout: float, *, required: bool = True) -> bool:
        """Wait until the table has a lease; tell whether it has.

        Args:
            timeout: seconds.
            required: raise where it has none.

        Raises:
            NotReadyError: it has none, and is required to.
        """
        if self._waited(timeout, lambda seen: self._clock() < seen.deadline):
            return True
        if required:
            why = self.trouble or "the agent proves nothing"
            raise NotReadyError(f"no lease in {timeout} s: {why}")
        return False

    def wait_for(self, token: Token | str, timeout: float) -> bool:
        """Wait until the facts of a token are applied; tell whether they are.

        Args:
            token: what the server answered to the revocation.
            timeout: seconds.

        Raises:
            ValueError: it is not a token.
        """
        wanted = Token.of(token)
        return self._waited(timeout, lambda seen: seen.covers(wanted))

    def _waited(self, timeout: float, met: Callable[[_Seen], bool]) -> bool:
        until = time.monotonic() + timeout
        while not met(self._seen()[1]):
            if time.monotonic() >= until:
                return False
            time.sleep(PAUSE_SECONDS)
        return True

    def _looked_up(
        self,
        presented: Presented | Names,
        scope: str | None,
        at_least: Token | str | None,
        mode: Mode,
        granted: Verdict,
    ) -> Verdict:
        table, seen = self._seen()
        read = read_presented(presented)
        if read is None or table is None:
            judged = None if read is None else LIVES
            return self._concluded(seen, judged, mode, granted, at_least)
        found = self._judged(table, read, scope)
        if found is None:
            torn = _Seen(served=seen.served)
            return self._concluded(torn, LIVES, mode, granted, at_least)
        return self._concluded(seen, found, mode, granted, at_least)

    def _judged(
        self, table: MappedTable, presented: Presented, scope: str | None
    ) -> Judgement | None:
        """Judge by the tables; None where no verdict could be had.

        Of those whose log is gone only a cause counts; see `TableJudge`.
        """
        now = self._clock() + table.words[CLOCK]
        judged = judged_by(table, presented, now, scope, self._policy)
        for old in table.kept:
            if judged is None or (not judged.allowed and judged.cause is not None):
                break
            earlier = judged_by(old, presented, UNEXPIRED, scope, self._policy)
            if earlier is None or (not earlier.allowed and earlier.cause is not None):
                return earlier
        return judged

    def _seen(self) -> tuple[MappedTable | None, _Seen]:
        """Table, and what it said of itself before it is asked."""
        table = self._table
        if table is None or self._clock() >= table.words[DEADLINE]:
            self._open()
            table = self._table
        if table is None:
            return None, _NOTHING
        words = table.words
        deadline, state, applied = words[DEADLINE], words[STATE], words[APPLIED]
        if deadline > self._clock() + table.lease:
            deadline = 0  # of another clock
        return table, _Seen(
            deadline=deadline,
            caught_up=bool(state & CAUGHT_UP),
            served=bool(state & SERVED),
            log=table.log,
            applied=applied if state & SOUND else -1,
        )

    def _open(self) -> None:
        """Map the file that stands there now, if it is another one."""
        try:
            stat = self._path.stat()
            if self._table and self._table.inode == (stat.st_dev, stat.st_ino):
                return
            table = MappedTable(self._path)
            if not _HOST["boot_id"]:
                raise NotATableError(NO_BOOT)
            wanted = {name: table.file.description[name] for name in _HOST}
            if wanted != _HOST:
                raise NotATableError("another boot or another clock made this table")
            if self._opens and Mode(table.file.description["mode"]) is Mode.FAIL_CLOSED:
                raise NotATableError("its agent says that all readers fail closed")
            kept = table.words[KEPT]
            names = table.row_at(kept) if kept else ()
            table.kept = tuple(MappedTable(self._path.with_name(n)) for n in names)
        except (NotATableError, OSError, LookupError, ValueError) as error:
            self.trouble = f"{type(error).__name__}: {error}"
            return
        self._table, self.trouble = table, None
        self._alone = None if table.kept else table


_HOST: Final = host.described()
