"""The causes of one partition of ``facts``, and how far guards enforce them.

Facts and receipts of the same partition number go in, each by its offsets; what comes
out are findings of deadlines that passed. Nothing here speaks to Kafka.

Nothing is kept on disk. What is open, and what was settled in the last minutes, is
read again by the next owner, who waits for it anew: see `ClosurePartition.floor`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from agents_registry.facts import Cause, Fact
from agents_registry.steps import finish
from schemas.errors import SchemaError
from streams.engines.kafka.closure.guard_registry import (
    CEILING,
    MOST_GUARDS,
    KafkaGuardRegistry,
)
from streams.engines.kafka.records.codec import heartbeat_start, read_entry, realm_of
from streams.engines.kafka.records.poison import poison_of
from streams.engines.kafka.records.receipts import read_receipt
from streams.model.findings import FindingKind
from streams.model.times import SECOND
from streams.pipeline.closure import RealmCauses
from streams.stages.closure import results
from streams.stages.sentinel.episode import Sighting, read_signal
from streams.stages.sentinel.episodes import Episodes
from streams.stages.sentinel.points import placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from enforcement.kafka.replica import Raw
    from streams.engines.kafka.records.poison import Poison
    from streams.engines.kafka.records.receipts import Keys
    from streams.pipeline.closure import ClosureTally
    from streams.stages.closure.closure import Closure
    from streams.stages.closure.results import Result
    from streams.stages.sentinel.episode import Episode

REMEMBERED: Final = 10_000  # settled causes of a partition
READ_AGAIN: Final = 600 * SECOND  # what was settled within this
CAUSE: Final = f"/{Cause.NAME}/".encode()
HEARTBEAT: Final = b"heartbeat/"


def is_cause(record: Raw) -> bool:
    """Whether a record is a cause, by its key; of others no more is read."""
    return CAUSE in (record.key or b"")


@frozen
class Rules:
    """How causes are followed.

    Attributes:
        deadline: seconds after which a cause that is not closed is a finding.
        silence: ns that close an episode of findings.
        keys: of the guards that sign.
        boottime: gives ns of a clock that nobody sets.
        ceiling: of leases (ns).
        most: guards of one key, or without any.
        points: enforcement point to the names of the guards there.
    """

    deadline: float
    silence: int
    keys: Keys
    boottime: Callable[[], int]
    ceiling: int = CEILING
    most: int = MOST_GUARDS
    points: Mapping[str, Sequence[str]] = field(factory=dict)


@define(eq=False)
class FollowedRealm:
    """Guards, causes and findings of one realm."""

    roll: KafkaGuardRegistry
    causes: RealmCauses
    episodes: Episodes


class ClosurePartition:
    """One partition.

    Attributes:
        number: of the partition.
        genesis: of the log of facts.
        realms: by their names.
        position: every fact below it was looked at.
        target: where the facts ended when it was taken up.
        heard: every receipt below it is applied.
        awaited: where the receipts ended then.
        poison: receipts that could not be read, until their letters are handed over.
        strange: a heartbeat spoke of another genesis.
    """

    def __init__(
        self,
        number: int,
        genesis: str,
        rules: Rules,
        tally: ClosureTally,
        digest_key: bytes | None = None,
    ) -> None:
        """Start with nothing.

        Args:
            number: of the partition.
            genesis: of the log of facts.
            rules: how causes are followed.
            tally: where it is counted.
            digest_key: for the hashes of what cannot be read.
        """
        self.number = number
        self.genesis = genesis
        self.realms: dict[str, FollowedRealm] = {}
        self.position = 0
        self.target = 0
        self.heard = 0
        self.awaited = 0
        self.poison: list[Poison] = []
        self.genesis_mismatch = False
        self._rules = rules
        self._tally = tally
        self._digest_key = digest_key
        self._beat = heartbeat_start(genesis)
        self._settled: deque[tuple[RealmCauses, Result]] = deque()

    @property
    def waiting(self) -> int:
        """Count the causes that are not closed."""
        return sum(each.waiting for each in self.closures)

    @property
    def ready(self) -> bool:
        """Whether all is applied that was there when it was taken up."""
        return self.position >= self.target and self.heard >= self.awaited

    @property
    def closures(self) -> list[Closure]:
        """Stages of the realms."""
        return [each.roll.closure for each in self.realms.values()]

    def realm(self, name: str) -> FollowedRealm:
        """State of a realm."""
        found = self.realms.get(name)
        if found is None:
            rules = self._rules
            deadline = round(rules.deadline * SECOND)
            roll = KafkaGuardRegistry(
                self.genesis, deadline, self._tally.refused, rules.ceiling, rules.most
            )
            roll.closure.receipts = self.heard
            causes = RealmCauses(
                roll.closure,
                rules.deadline,
                lambda guard: placed(guard, rules.points),
                self._tally,
            )
            found = FollowedRealm(roll, causes, Episodes(name, rules.silence))
            self.realms[name] = found
        return found

    def restore(self, told: Iterable[Episode]) -> None:
        """Go on from the findings that earlier owners told of."""
        for episode in told:
            realm = self.realm(episode.finding.realm)
            realm.episodes.restore(episode)
            if episode.open and episode.finding.kind is FindingKind.CLOSURE_PARTIAL:
                realm.causes.targets.late(str(episode.finding.presented))

    def read(self, records: Iterable[Raw]) -> bool:
        """Read facts in their order; tell whether `ask` must follow, for a cause."""
        found, now = False, self._rules.boottime()
        for record in records:
            self.position = record.offset + 1
            key, value = record.key or b"", record.value
            if key.startswith(HEARTBEAT):
                self.genesis_mismatch |= value is not None and not value.startswith(
                    self._beat
                )
            elif value is not None and is_cause(record):
                found |= self._read(record.offset, key, value, now)
        return found

    def ask(self, end: int) -> None:
        """Take the end of the receipts, asked for after the last `read`."""
        for each in self.closures:
            each.ask(end)

    def hear(self, records: Iterable[Raw], position: int) -> None:
        """Apply receipts in their order; ``position`` is the offset behind them."""
        now = self._rules.boottime()
        for record in records:
            try:
                self._hear(record, now)
            except SchemaError as error:
                self._tally.refused["unreadable"] += 1
                self.poison.append(poison_of(record, str(error), self._digest_key))
        self.heard = position
        for each in self.closures:
            each.receipts = position

    def step(self, wall: int) -> Iterator[Episode]:
        """See what became of the causes; give the findings of those that are late.

        Args:
            wall: the time (ns).
        """
        now = self._rules.boottime()
        for realm in self.realms.values():
            realm.roll.expire(now)
            yield from finish(realm.episodes.close_silent(wall))
            signals = list(realm.roll.refusals.take(wall))
            for result, signal in realm.causes.step(now, wall, self.target):
                self._settled.append((realm.causes, result))
                signals += [] if signal is None else [signal]
            if self.ready:
                orphaned = realm.causes.targets.orphaned()
                signals += (results.over(target, wall) for target in orphaned)
            for signal in signals:
                yield from self._became(realm, signal, wall)
        while len(self._settled) > REMEMBERED:
            causes, old = self._settled.popleft()
            causes.forget(old)

    def result(self, realm: str, identity: str, wall: int) -> Result | None:
        """Say what is known of a cause; None where it is not known here any more."""
        of = self.realms.get(realm)
        now = self._rules.boottime()
        return None if of is None else of.causes.result(identity, now, wall)

    def floor(self, wall: int) -> int:
        """Offset from which the next owner must read.

        That is the first open cause, or the first that was settled a short while ago:
        who asks for that goes on to get an answer.
        """
        floor = self.position
        for each in self.realms.values():
            floor = min(floor, next(iter(each.causes.open), floor))
        for _, result in reversed(self._settled):
            if result.settled_at < wall - READ_AGAIN:
                break
            floor = min(floor, result.cause.offset)
        return floor

    def _read(self, offset: int, key: bytes, value: bytes, now: int) -> bool:
        try:
            name, entry = realm_of(key), read_entry(key, value)
        except SchemaError:
            return False  # the registry puts it into the dead letters
        if not isinstance(entry, Fact):
            return False
        causes = list(results.revocations([(offset, entry)]))
        self.realm(name).causes.follow(causes, now)
        return bool(causes)

    def _hear(self, record: Raw, now: int) -> None:
        key = record.key or b""
        if record.value is None:  # an operator removed it
            realm, _, guard = key.decode("utf-8", "replace").partition("/")
            if realm in self.realms:
                self.realms[realm].roll.leave(guard)
            return
        receipt = read_receipt(key, record.value, self._rules.keys)
        self.realm(receipt.realm).roll.take(record.offset, receipt, now)

    def _became(
        self, realm: FollowedRealm, signal: dict[str, Any], wall: int
    ) -> Iterator[Episode]:
        """Open, continue or end the finding that a signal tells of."""
        seen = read_signal(signal)
        if isinstance(seen, Sighting):
            episode = realm.episodes.see(seen, wall)
            self._tally.findings[seen.kind] += episode.revision == 1
            yield episode
        elif (ended := realm.episodes.end(seen, wall)) is not None:
            yield ended
