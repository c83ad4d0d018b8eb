"""What the feed needs of an engine: a log to hand on, its guards, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.registry import Registry
    from streams.services.feed_frames import DeltaFrame, SnapshotPiece
    from streams.stages.closure.closure import Registration
    from streams.stages.closure.guard_names import Bearer, GuardNames


class LogFollower(Protocol):
    """Hands a log on, in the event loop of the process."""

    @property
    def watched(self) -> bool:
        """Whether a guard is connected: then deltas are worth making."""

    def wake(self) -> None:
        """Look for more: facts were added."""

    def restart(self) -> None:
        """End every connection: what was sent is no part of the log any more."""


class FedLog(Protocol):
    """The facts of one realm, as far as they may be handed on."""

    @property
    def realm(self) -> str:
        """Whose facts they are."""

    @property
    def genesis(self) -> str:
        """Id of the log."""

    @property
    def partition(self) -> int:
        """Number of the log, as consistency tokens name it."""

    @property
    def end(self) -> int:
        """Offset below which every fact can be had."""

    def end_from(self, position: int) -> int:
        """Offset from which on nothing is missing that lies below `end`.

        Args:
            position: everything below it was sent; itself, where no fact follows.
        """

    def follow(self, follower: LogFollower) -> None:
        """Have a follower told from now on, before everybody else."""

    async def reaches(self, position: int) -> bool:
        """Whether every fact below a position of this log can be had, now or soon.

        Raises:
            ConnectionError: the log is not read so far yet.
        """

    def remaining(self, since: int | None, lease: int) -> int:
        """How long `end` may be relied upon from now on (ms); 0: not at all.

        Args:
            since: of the guard that is answered, as `GuardRoll.since` has it. The
                end must have been asked for later.
            lease: that it registered (ns), from when the end was asked for; 0: none.
        """

    def frame(self, position: int) -> DeltaFrame | None:
        """Delta that begins at an offset, where it is at hand."""

    async def piece(self, position: int, end: int) -> SnapshotPiece:
        """Next facts from an offset on, of those below another one.

        Made aside, and bounded in facts and bytes.

        Raises:
            ConnectionError: the log cannot be read now.
        """

    async def taken_back(self) -> SnapshotPiece:
        """Facts that take facts back.

        Raises:
            ConnectionError: the log cannot be read now.
        """


class ReceiptSender(Protocol):
    """A guard's process, and how far its receipts were read."""

    @property
    def guard(self) -> str:
        """Name of the guard."""

    @property
    def instance(self) -> str:
        """What tells the process from others of that name."""

    @property
    def sequence(self) -> int:
        """Number of its last receipt."""


class GuardRoll(Protocol):
    """Where guards are members whose revocations wait for them.

    Attributes:
        departed: told the name of each guard that is no member any more.
    """

    departed: list[Callable[[str], None]]

    @property
    def names(self) -> GuardNames:
        """Which credential has which name."""

    def lease(self, guard: str) -> int:
        """Lease that a guard registered (ns); 0 where it is no member."""

    def since(self, guard: str) -> int | None:
        """Time (ns, CLOCK_BOOTTIME) since which a guard is a member without a break.

        None: it may be none now.
        """

    async def register(
        self, terms: Registration, bearer: Bearer, sender: ReceiptSender
    ) -> None:
        """Make a guard a member; on return that is durable.

        Raises:
            NameRefusedError: the name is another credential's.
            NotWrittenError: it could not be written.
            LookupError: it left meanwhile.
        """

    def heard(self, guard: str) -> None:
        """Note that a guard gave a sign of life."""

    def applied(
        self, sender: ReceiptSender, genesis: str, offset: int, sent_at: int | None
    ) -> None:
        """Take what a guard applied, and when it said so by its clock (ns)."""

    def parted(self, guard: str) -> None:
        """Note that a guard is connected no more; it stays a member."""

    def leave(self, sender: ReceiptSender) -> None:
        """Let a guard go that allows nothing any more."""


class Flag(Protocol):
    """Something that is so from some time on."""

    def is_set(self) -> bool:
        """Whether it is so."""


class TableSource(Protocol):
    """A table of a realm that is kept up with the log."""

    @property
    def loaded(self) -> Flag:
        """Whether the table is complete."""

    @property
    def registry(self) -> Registry:
        """Table as it is now."""

    @property
    def applied(self) -> int:
        """Offset below which every fact is in it."""

    async def wait_applied(self, offset: int) -> None:
        """Wait until every fact below an offset is in it."""
