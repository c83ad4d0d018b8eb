"""Outputs of steps of the sentinel, until they are saved."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog
from attrs import define, field

from streams.model.findings import FindingKind
from streams.stages.sentinel.acted import AgentUse
from streams.stages.sentinel.step import Outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.stages.sentinel.episode import Episode

log = structlog.get_logger()


@define
class AccessTally:
    """What is counted over all partitions of a worker, also those that went.

    Attributes:
        in_flight: uses within the grace.
        undated: uses of principals alone, after a ``not_before`` on them.
        opened: findings that began, by kind.
    """

    in_flight: int = 0
    undated: int = 0
    opened: Counter[FindingKind] = field(factory=Counter)

    def add(self, other: AccessTally | Outputs) -> None:
        """Count what others counted, too."""
        self.in_flight += other.in_flight
        self.undated += other.undated
        self.opened += other.opened


@define
class UnsavedOutputs:
    """The outputs of one partition, by realm."""

    _tally: AccessTally
    _of: dict[str, Outputs] = field(factory=dict)
    _counted: AccessTally = field(factory=AccessTally)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._of)

    def add(self, realm: str, new: Outputs) -> None:
        """Add those of one step."""
        self._counted.add(new)
        if new.unreadable:
            log.warning("uses_not_readable", realm=realm, count=new.unreadable)
        if new.forgotten:
            log.warning("uses_forgotten_early", realm=realm, count=new.forgotten)
        if new.uses or new.episodes or new.dropped or new.acted:
            outputs = self._of.setdefault(realm, Outputs())
            outputs.uses.update(new.uses)
            outputs.episodes.update(new.episodes)
            outputs.dropped += new.dropped
            outputs.acted += new.acted

    def clear(self) -> None:
        """Forget them: they are not true any more, and count nowhere."""
        self._of = {}
        self._counted = AccessTally()

    def saved(self) -> None:
        """Count them, and forget them: nothing has them judged again."""
        self._tally.add(self._counted)
        self.clear()

    def findings(self) -> list[Episode]:
        """Those that changed and are not told."""
        return [e for each in self._of.values() for e in each.episodes.values()]

    def acted(self) -> Iterator[tuple[str, AgentUse]]:
        """Yield uses by agents at our points that nobody was told of yet, by realm."""
        for realm, each in self._of.items():
            yield from ((realm, use) for use in each.acted)

    def uses(self) -> Iterator[tuple[str, str, bytes | None]]:
        """Remembered uses in rows of realm, key and body; None drops one."""
        for realm, each in self._of.items():
            yield from ((realm, key, body) for key, body in each.uses.items())

    @property
    def size(self) -> int:
        """Bytes of remembered uses."""
        return sum(len(body) for _, _, body in self.uses() if body is not None)

    def dropped(self) -> Iterator[tuple[str, str]]:
        """Realms and ids of findings that are forgotten."""
        for realm, each in self._of.items():
            yield from ((realm, identity) for identity in each.dropped)
