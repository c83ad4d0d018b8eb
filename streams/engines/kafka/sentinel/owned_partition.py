"""A partition of ``access`` as its owner has it: a file, and what earlier owners told.

Nothing here speaks to Kafka.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain, groupby
from typing import TYPE_CHECKING, Protocol

import orjson
import structlog
from attrs import define, field

from schemas.errors import SchemaError
from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.records.accesses import read_access
from streams.engines.kafka.records.poison import Poison, poison_of
from streams.pipeline.access_partition import AccessPartition
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.prior_findings import PriorFindings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agents_registry.steps import Steps
    from streams.engines.kafka.finding_records import Held
    from streams.model.findings import Finding
    from streams.pipeline.access_records import AccessRecord
    from streams.stages.sentinel.episode import Episode

log = structlog.get_logger()


class Block(Protocol):
    """A record as the client gives it."""

    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@define(eq=False, slots=False)
class OwnedPartition(AccessPartition[UsesFile]):
    """One partition of ``access``.

    Attributes:
        number: of the partition.
        file: its local checkpoint.
        position: every block below it was judged.
        judged: every block below it was judged by an earlier owner, who told of it.
        target: where the log ended when it was loaded.
        poison: records below `position` that could not be read, until that is saved.
    """

    number: int = 0
    digest_key: bytes | None = None  # for the hashes of what cannot be read
    position: int = field(default=0, init=False)
    judged: int = field(default=0, init=False)
    target: int = field(default=0, init=False)
    poison: list[Poison] = field(factory=list, init=False)
    _told: dict[str, PriorFindings] = field(factory=dict, init=False)
    _limits: list[int] = field(factory=list, init=False)  # below which some was judged
    _taken: list[Episode] = field(factory=list, init=False)  # told, and not in the file

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    @property
    def ready(self) -> bool:
        """Whether all is judged that was there when it was loaded."""
        return self.position >= self.target

    @property
    def settled(self) -> int:
        """Offset below which every block is judged, and what came of it saved.

        It lags behind `position` until the acks are there, also where we are cancelled.
        """
        return max(self.file.position or 0, self.judged)

    @property
    def changed(self) -> bool:
        """Whether there is something to tell, and to save."""
        return super().changed or bool(self.poison)

    def restore(self, now: int) -> Steps[bool]:
        """Take up what the file holds, and judge all of it.

        Tell whether it could be read; it is thrown away where not, since topics have
        all of it.
        """
        try:
            yield from self.take_up()
            yield from self.judge_all(now)
        except (DamagedError, ValueError) as error:
            log.warning("uses_damaged", partition=self.number, error=str(error))
            self._sentinels = {}
            self.unsaved.clear()
            self.file.reset()
            return False
        return True

    def take(self, held: Iterable[Held]) -> None:
        """Go on from what was told, without a file; see `judged`.

        Some of it may know of lines above the commit: a crash came between.
        """
        limits = set()
        for episode, judged in held:
            realm = episode.finding.realm
            # What tells of more than there is told of another log.
            below = max(self.judged, min(judged, self.target))
            self.sentinel(realm).episodes.restore(episode)
            self._told.setdefault(realm, PriorFindings()).add(episode.finding, below)
            self._taken.append(episode)
            limits.add(below)
        self._limits = sorted(limits)

    def read(self, record: Block) -> AccessRecord | Poison:
        """Read a record; nothing of it is held before `advance`.

        It waits its turn between the two, and a `save` that comes meanwhile would take
        its dead letter for one that is acked.
        """
        try:
            return read_access(record.value, record.headers)
        except SchemaError as error:
            return poison_of(record, str(error), self.digest_key)

    def advance(
        self, records: Sequence[tuple[int, AccessRecord | Poison]], now: int
    ) -> Steps[None]:
        """Take records in, by their offsets.

        What an earlier owner judged is remembered, and told as far as it was not.
        """
        read: list[tuple[int, AccessRecord]] = []
        for offset, each in records:
            if isinstance(each, Poison):
                self.poison.append(each)
            else:
                read.append((offset, each))
        for _, some in groupby(read, lambda pair: bisect_right(self._limits, pair[0])):
            alike = list(some)
            self._recall(alike[0][0])
            yield from self.judge((each for _, each in alike), now)
        self._recall(None)
        self.position = records[-1][0] + 1
        if self._caught_up:
            self._told, self._limits = {}, []

    @property
    def _caught_up(self) -> bool:
        """Whether nothing that comes can be told already."""
        return not self._limits or self.position >= self._limits[-1]

    def _recall(self, at: int | None) -> None:
        """Have what is told held against what is judged next, as far as it knew it."""
        for realm, told in self._told.items():
            told.at = at or 0
            self.sentinel(realm).episodes.told = None if at is None else told

    def judged_of(self, finding: Finding) -> int:
        """Below which offset every block was judged that a finding tells of.

        Who told of it before may have come further than we are.
        """
        told = self._told.get(finding.realm)
        return max(self.position, 0 if told is None else told.below(finding))

    def _episodes(self) -> Iterator[tuple[str, str, bytes | None]]:
        """Return the changed episodes, in rows."""
        # With what is in doubt of them, which is known once uses are judged again.
        taken = self._taken if self._caught_up else []
        for episode in chain(taken, self.unsaved.findings()):
            finding = episode.finding
            yield finding.realm, finding.id, orjson.dumps(saved_episodes.save(episode))
        yield from ((*dropped, None) for dropped in self.unsaved.dropped())

    def save(self) -> None:
        """Write what changed to the file; call it after the acks.

        Where there is no room it is kept for the next time, and told again then.
        """
        self.poison.clear()
        if self.file.save(
            self.unsaved.uses(),
            self._episodes(),
            # Before it has what was told, nobody may go on from it.
            self.position if self._caught_up else None,
            ((*key, body) for key, body in self.postures.used.items()),
        ):
            self.saved()
            if self._caught_up:
                self._taken = []
