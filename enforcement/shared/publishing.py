"""Puts the replica in force, and its lease, where other processes read them.

A replica is put in force once all of it is in a file. So a lease, and a receipt, of the
agent says the same of every process that reads the file: facts are written as they are
merged, and only then does the position move that a lease or a receipt is of.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from enforcement.replica import Replica
from enforcement.shared import host
from enforcement.shared.layout import (
    APPLIED,
    CAUGHT_UP,
    CLOCK,
    DEADLINE,
    KEPT,
    SERVED,
    SOUND,
    STATE,
    beside,
    end_predecessor,
    has_lease,
    put,
    remove_leftovers,
)
from enforcement.shared.writing import TableWriter
from enforcement.standing import Freshness
from enforcement.turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agents_registry.facts import Fact
    from enforcement.verdict import Mode

RETRY: Final = 1_000_000_000  # ns after an attempt that found no room
LOOK: Final = 50_000_000  # ns between two looks at the file where readers look
LITTLE_ROOM: Final = 0.2  # of a file; below it the next one is begun
_log = logging.getLogger("rescind_guard")  # noqa: TID251 - as `readiness` does


class SharedReplica(Replica):
    """A replica that has its facts written to files.

    Attributes:
        writers: one, and a second one while it is to be replaced.
    """

    def __init__(self, *of: Any) -> None:
        """Start empty, without a file; see `Replica`."""
        super().__init__(*of)
        self.writers: tuple[TableWriter, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the file in force lacks something that the table says."""
        return any(writer.failed for writer in self.writers[:1])

    def _apply(self, fact: Fact, at: int) -> None:
        super()._apply(fact, at)
        for writer in self.writers:
            if writer.registry is self.registry and not writer.failed:
                try:
                    writer.applied(fact)
                except Exception as error:  # noqa: BLE001
                    # Whatever it was, the file lacks a fact from now on.
                    _fail(writer, error)


def _fail(writer: TableWriter, error: Exception) -> None:
    writer.fail()
    _log.error("the table cannot be shared: %s: %s", type(error).__name__, error)


async def _fill(writer: TableWriter) -> None:
    try:
        await in_turns(writer.building())
    except Exception as error:  # noqa: BLE001 - as above
        _fail(writer, error)


@define(eq=False)
class _Build:
    """A file that is being filled."""

    replica: SharedReplica
    writer: TableWriter
    task: asyncio.Task[None]


class SharedStanding(Freshness):
    """The standing of an agent: what it says of itself stands in the file.

    Attributes:
        time: by which expiry is judged (ns since 1970).
    """

    def __init__(
        self,
        path: Path,
        name: str,
        mode: Mode,
        length: int,
        clock: Callable[[], int],
    ) -> None:
        """Start without a file.

        Args:
            path: where the table is put; its folder is there.
            name: of the agent.
            mode: which closure takes the readers to have.
            length: of the lease, in nanoseconds.
            clock: gives nanoseconds of CLOCK_BOOTTIME.

        Raises:
            ValueError: an agent of this name runs, and closure counts one alone; or
                the system does not say which boot it is.
        """
        if not host.described()["boot_id"]:
            raise ValueError(host.NO_BOOT)
        if end_predecessor(path).get("agent") == name:
            raise ValueError(f"another agent called {name} keeps {path}: end it first")
        super().__init__(length, clock)
        self.replica: SharedReplica = SharedReplica()
        self.time: Callable[[], int] = clock
        self._path = path
        self._said = {"agent": name, "mode": mode.value}
        self._build: _Build | None = None
        self._gone_writers: tuple[TableWriter, ...] = ()
        self._not_before = self._look_at = clock()
        remove_leftovers(path)

    def offer(self, replica: Replica) -> bool:
        """Put a replica in force once it is complete and in a file."""
        assert isinstance(replica, SharedReplica)  # noqa: S101 - all are made here
        if replica is self.replica:
            self._see_to_room()
            self._see_to_place()
            return False
        if replica.position is None or not self._is_written(replica):
            return False
        before, keeps = self.replica, self.would_keep(replica)
        gone = self._gone_writers + (before.writers if keeps else ())
        if not self.wants(replica) or not self._is_put(replica.writers[0], gone):
            return False
        # Nothing of this can fail: what readers see now is what is in force.
        self._build, self._gone_writers = None, gone
        super().offer(replica)
        replica.writers[0].enforce()
        for writer in before.writers:
            writer.retire(is_kept=keeps)
        return True

    @property
    def file(self) -> Path | None:
        """Name of the file in force."""
        return next((writer.path for writer in self.replica.writers), None)

    def applied(self) -> tuple[str, int] | None:
        """Log, and the position up to which the file has it."""
        return None if self.replica.failed else super().applied()

    def refresh(self) -> None:
        """Fold what was applied and proven into the deadline, and write it down."""
        super().refresh()
        for writer in self.replica.writers:
            self._write(writer)

    def close(self) -> None:
        """End the files; they stay, without a lease."""
        self._drop_build()
        for writer in self.replica.writers:
            writer.retire()
        self.replica.writers = ()
        for writer in self._gone_writers:
            writer.file.end()

    def _write(self, writer: TableWriter) -> None:
        applied, words = super().applied(), writer.file.words
        if writer.failed:
            applied = None
        words[APPLIED] = -1 if applied is None else applied[1]
        words[CLOCK] = self.time() - self._clock()
        words[STATE] = (
            CAUGHT_UP * self.caught_up
            + SERVED * self.served
            + SOUND * (applied is not None)
        )
        # The last: what it proves is there before it.
        words[DEADLINE] = 0 if writer.failed else self.deadline

    def _is_written(self, replica: SharedReplica) -> bool:
        """Whether all of a replica is in a file; begins to write it."""
        build = self._build
        if build is None or build.replica is not replica:
            self._drop_build()
            self._begin(replica)
            return False
        return self._is_built(build)

    def _is_built(self, build: _Build) -> bool:
        """Whether a file is filled; one that failed is dropped."""
        if build.writer.failed:
            self._drop_build()
            self._not_before = self._clock() + RETRY
            return False
        return build.task.done()

    def _see_to_room(self) -> None:
        """Write the replica in force to a larger file where one is nearly full."""
        replica, build = self.replica, self._build
        if build is None:
            if replica.writers and (
                replica.failed or replica.writers[0].room < LITTLE_ROOM
            ):
                self._begin(replica)
        elif build.replica is replica and self._is_built(build):
            old, new = replica.writers
            self._write(new)
            if self._is_put(new, self._gone_writers):
                self._build, replica.writers = None, (new,)
                new.enforce()
                old.retire()

    def _see_to_place(self) -> None:
        """Put the file in force where readers look, if another one has no lease.

        An agent that ends may have put its file there last.
        """
        now, replica = self._clock(), self.replica
        if now < self._look_at or now >= self.deadline or replica.failed:
            return
        self._look_at = now + LOOK
        if not has_lease(self._path, now):
            self._is_put(replica.writers[0], self._gone_writers)

    def _begin(self, replica: SharedReplica) -> None:
        if self._clock() < self._not_before:
            return
        said = {
            **host.described(),
            "genesis": replica.genesis,
            "partition": replica.partition,
            "lease": self.lease.length,
            **self._said,
        }
        try:
            writer = TableWriter(replica.registry, beside(self._path), said)
        except OSError as error:
            self._not_before = self._clock() + RETRY
            _log.error("the table cannot be shared: %s", error)
            return
        replica.writers += (writer,)
        task = asyncio.get_running_loop().create_task(_fill(writer))
        self._build = _Build(replica, writer, task)

    def _drop_build(self) -> None:
        build, self._build = self._build, None
        if build is not None:
            build.task.cancel()
            build.replica.writers = tuple(
                each for each in build.replica.writers if each is not build.writer
            )
            build.writer.retire()

    def _is_put(self, writer: TableWriter, gone: Sequence[TableWriter]) -> bool:
        """Put a file where readers look; tell whether that could be done.

        Args:
            writer: of the file.
            gone: of files that are kept for their denials: their logs are gone.
        """
        if self._clock() < self._not_before:
            return False
        try:
            names = [each.path.name for each in gone]
            writer.file.words[KEPT] = writer.put_row(names) if names else 0
            put(writer.path, self._path)
        except OSError as error:
            self._not_before = self._clock() + RETRY
            _log.error("the table cannot be shared: %s", error)
            return False
        return True
