"""The causes of one partition of ``facts``, and how far guards enforce them.

Facts and receipts of the same partition number go in, each by its offsets; what comes
out are findings of deadlines that passed. Nothing here speaks to Kafka.

Nothing is kept on disk. What is open, and what was settled in the last minutes, is
read again by the next owner, who waits for it anew: see `ClosurePartition.floor`.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from agents_registry.facts import Cause, Fact
from agents_registry.identifiers import Identifier
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
from streams.observability import tracing
from streams.observability.metrics import PROPAGATION
from streams.services.traced_stages import trace_closure
from streams.stages.closure import results
from streams.stages.closure.closure import ProofState
from streams.stages.sentinel.episode import EpisodeKey, Sighting
from streams.stages.sentinel.episodes import Episodes
from streams.stages.sentinel.points import placed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client import Histogram

    from enforcement.kafka.replica import Raw
    from streams.engines.kafka.records.poison import Poison
    from streams.engines.kafka.records.receipts import Keys
    from streams.stages.closure.closure import CauseOutcome
    from streams.stages.closure.results import Result, Revocation
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
class ClosureTally:
    """What is counted over all partitions of a worker.

    Attributes:
        states: how many causes reached a state, of those that came in meanwhile.
        refused: receipts that were not counted, by reason.
        propagation: seconds from acceptance until every guard had applied it, or could
            allow nothing without it.
        findings: how many were opened, by kind.
    """

    states: Counter[ProofState] = field(factory=Counter)
    refused: Counter[str] = field(factory=Counter)
    propagation: Histogram = field(factory=PROPAGATION.histogram)
    findings: Counter[FindingKind] = field(factory=Counter)


@define(eq=False)
class RealmCauses:
    """Guards and open causes of one realm.

    Attributes:
        open: by their offsets, in their order.
        offsets: id of an open cause to the offset of its first copy.
    """

    roll: KafkaGuardRegistry
    episodes: Episodes
    open: dict[int, Revocation] = field(factory=dict)
    offsets: dict[str, int] = field(factory=dict)
    targets: results.Open = field(factory=results.Open)


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
        poison: receipts that could not be read, until their letters are acked.
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
        self.realms: dict[str, RealmCauses] = {}
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
        self._settled: deque[tuple[str, Result]] = deque()
        self._by_id: dict[tuple[str, str], Result] = {}

    @property
    def waiting(self) -> int:
        """Count the causes that are not closed."""
        return sum(each.roll.closure.waiting for each in self.realms.values())

    @property
    def ready(self) -> bool:
        """Whether all is applied that was there when it was taken up."""
        return self.position >= self.target and self.heard >= self.awaited

    @property
    def guards(self) -> int:
        """Count those that are registered."""
        return sum(len(e.roll.closure.guards) for e in self.realms.values())

    def realm(self, name: str) -> RealmCauses:
        """State of a realm."""
        found = self.realms.get(name)
        if found is None:
            rules = self._rules
            deadline = round(rules.deadline * SECOND)
            roll = KafkaGuardRegistry(
                self.genesis, deadline, self._tally.refused, rules.ceiling, rules.most
            )
            roll.closure.receipts = self.heard
            found = RealmCauses(roll, Episodes(name, self._rules.silence))
            self.realms[name] = found
        return found

    def restore(self, told: Iterable[Episode]) -> None:
        """Go on from the findings that earlier owners told of."""
        for episode in told:
            realm = self.realm(episode.finding.realm)
            realm.episodes.restore(episode)
            if episode.open and episode.finding.kind is FindingKind.CLOSURE_PARTIAL:
                realm.targets.late(str(episode.finding.presented))

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
        for each in self.realms.values():
            each.roll.closure.ask(end)

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
        for each in self.realms.values():
            each.roll.closure.receipts = position

    def step(self, wall: int) -> Iterator[Episode]:
        """See what became of the causes; give the findings of those that are late.

        Args:
            wall: the time (ns).
        """
        now = self._rules.boottime()
        for name, realm in self.realms.items():
            realm.roll.expire(now)
            yield from finish(realm.episodes.close_silent(wall))
            while realm.roll.refusals:
                guard, why = realm.roll.refusals.popleft()
                signal = results.refusal(guard, "a writer of receipts", why, wall)
                yield self._see(realm, _signalled(signal), wall)
            for outcome in realm.roll.closure.step(now):
                yield from self._became(name, realm, outcome, wall)
            if self.ready:
                for target in realm.targets.orphaned():
                    yield from _over(realm, target, wall)

    def result(self, realm: str, identity: str, wall: int) -> Result | None:
        """Say what is known of a cause; None where it is not known here any more."""
        of = self.realms.get(realm)
        offset = None if of is None else of.offsets.get(identity)
        if of is not None and offset is not None:
            outcome = of.roll.closure.look(offset, self._rules.boottime())
            if outcome is not None:
                return results.Result(of.open[offset], outcome, wall)
        return self._by_id.get((realm, identity))

    def floor(self, wall: int) -> int:
        """Offset from which the next owner must read.

        That is the first open cause, or the first that was settled a short while ago:
        who asks for that goes on to get an answer.
        """
        floor = self.position
        for each in self.realms.values():
            floor = min(floor, next(iter(each.open), floor))
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
        realm = self.realm(name)
        for each in causes:
            realm.open[offset] = each
            realm.targets.add(each.target)
            realm.offsets.setdefault(each.id, offset)
            realm.roll.closure.read([offset], now)
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
        self, name: str, realm: RealmCauses, outcome: CauseOutcome, wall: int
    ) -> Iterator[Episode]:
        cause = realm.open[outcome.offset]
        result = results.Result(cause, outcome, wall)
        new = cause.offset >= self.target
        self._tally.states[outcome.state] += new
        if outcome.state is ProofState.PARTIAL:
            realm.targets.late(cause.target)
            signal = results.signal(
                result,
                self._rules.deadline,
                lambda guard: placed(guard, self._rules.points),
            )
            yield self._see(realm, _signalled(signal), wall)
            return
        del realm.open[outcome.offset]
        if realm.targets.settle(cause.target):
            yield from _over(realm, cause.target, wall)
        if realm.offsets.get(cause.id) == outcome.offset:
            del realm.offsets[cause.id]
            self._remember(name, result)
        closed = outcome.state is ProofState.CLOSED
        if new:
            trace_closure(result)
        if new and closed and (outcome.applied or outcome.fenced):
            seconds = results.seconds_between(cause.accepted_at, wall)
            exemplar = tracing.exemplar_of(cause.id)
            self._tally.propagation.observe(seconds, exemplar)

    def _see(self, realm: RealmCauses, sighting: Sighting, wall: int) -> Episode:
        episode = realm.episodes.see(sighting, wall)
        self._tally.findings[sighting.kind] += episode.revision == 1
        return episode

    def _remember(self, name: str, result: Result) -> None:
        self._settled.append((name, result))
        self._by_id[name, result.cause.id] = result
        if len(self._settled) > REMEMBERED:
            realm, old = self._settled.popleft()
            if self._by_id.get((realm, old.cause.id)) is old:
                del self._by_id[realm, old.cause.id]


def _over(realm: RealmCauses, target: str, wall: int) -> Iterator[Episode]:
    """End the finding on a target whose causes are all settled."""
    name = Identifier.parse(target)
    episode = realm.episodes.end(
        EpisodeKey(name, FindingKind.CLOSURE_PARTIAL, ""), wall
    )
    if episode is not None:
        yield episode


def _signalled(signal: dict[str, Any]) -> Sighting:
    """Fields of a finding from a signal, as `Sentinel.report` makes them."""
    values = dict(signal)
    at = values.pop("at")
    return Sighting(
        kind=FindingKind(values.pop("kind")),
        presented=Identifier(*values.pop("presented")),
        first_seen=at,
        last_seen=at,
        **values,
    )
