"""What the sentinel holds of one partition of ``access``: a sentinel for each realm.

State and outputs of a step are collected here until they are acked and saved.
Nothing here speaks to Kafka.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
import structlog

from agents_registry.identifiers import Identifier
from schemas.errors import SchemaError
from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.engines.kafka.records.accesses import Accesses, Signal, read_access
from streams.engines.kafka.records.poison import poison_of
from streams.engines.kafka.records.scope_uses import ScopeUse
from streams.engines.kafka.sentinel.realm_postures import RealmPostures
from streams.engines.kafka.sentinel.unsaved import AccessTally, UnsavedOutputs
from streams.model.findings import FindingKind
from streams.stages.access.columns import gathered
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.acted import AgentUse
from streams.stages.sentinel.prior_findings import PriorFindings
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from agents_registry.steps import Steps
    from streams.engines.kafka.checkpoints.checkpoint import UsesFile
    from streams.engines.kafka.facts.realm import Realm
    from streams.engines.kafka.finding_records import Held
    from streams.engines.kafka.records.poison import Poison
    from streams.model.findings import Finding
    from streams.stages.sentinel.episode import Episode
    from streams.stages.sentinel.points import EnforcementPoints
    from streams.stages.sentinel.unknown_agents import Shown

    RealmOf = Callable[[str], Realm]
    Record = Accesses | Signal | ScopeUse

AT_ONCE: Final = 8192  # lines judged in one step

log = structlog.get_logger()


class Block(Protocol):
    """A record as the client gives it."""

    offset: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class AccessPartition:
    """One partition of ``access``.

    Attributes:
        number: of the partition.
        file: its local checkpoint.
        position: every block below it was judged.
        judged: every block below it was judged by an earlier owner, who told of it.
        target: where the log ended when it was loaded.
        poison: records that could not be read, until they are saved as handled.
        unsaved: what steps found, until it is acked and saved.
        postures: how credentials stand.
    """

    def __init__(  # noqa: PLR0913 - the last ones by name
        self,
        number: int,
        file: UsesFile,
        tolerances: Tolerances,
        realm_of: RealmOf,
        digest_key: bytes | None = None,
        *,
        tally: AccessTally | None = None,
        points_of: Callable[[str], EnforcementPoints] | None = None,
    ) -> None:
        """Start empty.

        Args:
            number: of the partition.
            file: its local checkpoint.
            tolerances: of the sentinels.
            realm_of: gives the table of a realm as it is now.
            digest_key: for the hashes of what cannot be read.
            tally: where it is counted.
            points_of: gives what the guards of a realm report.
        """
        self.number = number
        self.file = file
        self.position = 0
        self.judged = 0
        self.target = 0
        self.poison: list[Poison] = []
        self._tolerances = tolerances
        self._realm_of = realm_of
        self._digest_key = digest_key
        self.unsaved = UnsavedOutputs(tally or AccessTally())
        self.postures = RealmPostures(
            file, tolerances.posture, realm_of, self._sentinel
        )
        self._points_of = points_of
        self._sentinels: dict[str, Sentinel] = {}
        self._told: dict[str, PriorFindings] = {}
        self._limits: list[int] = []  # below which some of that was judged
        self._taken: list[Episode] = []  # that are told, and not in the file

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    @property
    def ready(self) -> bool:
        """Whether all is judged that was there when it was loaded."""
        return self.position >= self.target

    @property
    def changed(self) -> bool:
        """Whether there is something to tell, and to save."""
        return bool(self.unsaved or self.postures.used or self.poison)

    def restore(self, now: int) -> Steps[bool]:
        """Take up what the file holds, and judge all of it by the tables of now.

        Facts that came while nobody watched are made up for by that. Tell whether it
        could be read; it is thrown away where not, since topics have all of it.
        """
        try:
            yield from self._restore(now)
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
            self._sentinel(realm).episodes.restore(episode)
            self._told.setdefault(realm, PriorFindings()).add(episode.finding, below)
            self._taken.append(episode)
            limits.add(below)
        self._limits = sorted(limits)

    def _restore(self, now: int) -> Steps[None]:
        for realm, body in self.file.episodes():
            self._sentinel(realm).episodes.restore(
                saved_episodes.load(orjson.loads(body))
            )
        for realm, rows in self.file.uses().items():
            sentinel = self._sentinel(realm)
            sentinel.restore(rows)
            registry = self._realm_of(realm).cascade.registry
            self.unsaved.add(realm, (yield from sentinel.reconsider_all(registry, now)))
        for realm in self._sentinels:
            # Receipts were read before, and are news to nobody.
            outputs = yield from self._sentinel(realm).recheck(None, now)
            self.unsaved.add(realm, outputs)

    def read(self, record: Block) -> Record | None:
        """Read a record; None where it is poison."""
        try:
            return read_access(record.value, record.headers)
        except SchemaError as error:
            self.poison.append(poison_of(record, str(error), self._digest_key))
            return None

    def advance(
        self, records: Sequence[tuple[int, Record | None]], now: int
    ) -> Steps[None]:
        """Take records in, by their offsets; None where one is poison.

        What an earlier owner judged is remembered, and told as far as it was not.
        """
        read = ((offset, each) for offset, each in records if each is not None)
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
            self._sentinel(realm).episodes.told = None if at is None else told

    def judge(self, records: Iterable[Record], now: int) -> Steps[None]:
        """Take records in; blocks of one realm that follow each other as one."""
        for (realm, kind), group in groupby(
            records, lambda each: (each.realm, type(each))
        ):
            if kind is ScopeUse:
                self.postures.take_used(
                    realm, (e for e in group if isinstance(e, ScopeUse))
                )
                continue
            sentinel = self._sentinel(realm)
            if kind is Signal:
                signals = [each.values for each in group if isinstance(each, Signal)]
                yield from self._take_signals(realm, signals, now)
                continue
            registry = self._realm_of(realm).cascade.registry
            blocks = [each.lines for each in group if isinstance(each, Accesses)]
            for lines in gathered(blocks, AT_ONCE):
                outputs = yield from sentinel.observe(lines, registry, now)
                self.unsaved.add(realm, outputs)

    def _take_signals(
        self, realm: str, signals: Iterable[Mapping[str, Any]], now: int
    ) -> Steps[None]:
        """Take in what ingress saw by itself, and what points tell of agents."""
        sentinel = self._sentinel(realm)
        registry = self._realm_of(realm).cascade.registry
        for of_agents, group in groupby(signals, _is_of_an_agent):
            if not of_agents:
                self.unsaved.add(
                    realm, (yield from sentinel.report(group, registry, now))
                )
                continue
            seen = [use for each in group if (use := _agent_use(each)) is not None]
            outputs = yield from sentinel.see_agents(seen, registry, now)
            self.unsaved.add(realm, outputs)

    def reconsider(
        self, realm: str, names: Collection[Identifier], now: int
    ) -> Steps[None]:
        """Judge remembered uses again, of identifiers that a fact condemned."""
        if realm in self._sentinels:
            sentinel = self._sentinel(realm)
            registry = self._realm_of(realm).cascade.registry
            outputs = yield from sentinel.reconsider(names, registry, now)
            self.unsaved.add(realm, outputs)

    def inspect(self, realm: str, now: int) -> Steps[int]:
        """Look at the next nodes of a realm that may stand otherwise than before.

        Its findings are those of one partition, wherever the realm is used. Give how
        much is still to be looked at.
        """
        posture = self.postures.of(realm)
        if posture.waiting(now):
            signals = yield from posture.step(now)
            self.postures.untold.add(realm)
            registry = self._realm_of(realm).cascade.registry
            outputs = yield from self._sentinel(realm).report(signals, registry, now)
            self.unsaved.add(realm, outputs)
            self.postures.untold.discard(realm)
            self.postures.take_news(realm)
        return posture.waiting(now)

    def follow(self, now: int) -> Steps[None]:
        """Judge all uses again of the realms whose tables were built anew."""
        for realm in self._sentinels:
            registry = self._realm_of(realm).cascade.registry
            outputs = yield from self._sentinel(realm).follow(registry, now)
            self.unsaved.add(realm, outputs)

    def recheck(self, realm: str, points: Iterable[str], now: int) -> Steps[None]:
        """See whether receipts that came in turn lags into failures."""
        if realm in self._sentinels:
            outputs = yield from self._sentinel(realm).recheck(points, now)
            self.unsaved.add(realm, outputs)

    def limit(self, realm: str, names: Collection[Identifier]) -> None:
        """Have uses held against their scopes again, of what hangs on some names."""
        if realm in self._sentinels:
            self._sentinels[realm].limit(names)

    def settle(self, now: int) -> Steps[None]:
        """Ask about the next uses again whose time has come."""
        for realm, sentinel in self._sentinels.items():
            if sentinel.unsettled(now):
                registry = self._realm_of(realm).cascade.registry
                outputs = yield from self._sentinel(realm).settle(registry, now)
                self.unsaved.add(realm, outputs)

    def unsettled(self, now: int) -> int:
        """Count the realms in which there are such uses."""
        return sum(each.unsettled(now) for each in self._sentinels.values())

    def tidy(self, now: int) -> Steps[None]:
        """Forget old uses, and close what is silent or over."""
        for realm, sentinel in self._sentinels.items():
            self.unsaved.add(realm, (yield from sentinel.expire(now)))
            registry = self._realm_of(realm).cascade.registry
            self.unsaved.add(realm, (yield from sentinel.end_denied(registry, now)))
            self.unsaved.add(realm, (yield from sentinel.end_declared(registry, now)))
        self.postures.forget(now)

    def undeclared(self, realm: str) -> Iterable[Shown]:
        """Undeclared agents and credentials of a realm, as far as seen here."""
        known = self._sentinels.get(realm)
        return () if known is None else known.undeclared()

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
        saved = self.file.save(
            self.unsaved.uses(),
            self._episodes(),
            # Before it has what was told, nobody may go on from it.
            self.position if self._caught_up else None,
            ((*key, body) for key, body in self.postures.used.items()),
        )
        if not saved:
            return
        self.unsaved.clear()
        if self._caught_up:
            self._taken = []
        self.postures.used = {}

    def _sentinel(self, realm: str) -> Sentinel:
        sentinel = self._sentinels.get(realm)
        if sentinel is None:
            sentinel = self._sentinels[realm] = Sentinel(realm, self._tolerances)
        state = self._realm_of(realm)
        sentinel.accepted, sentinel.bits = state.accepted, state.dead_bits()
        sentinel.known = state.known
        if self._points_of is not None:
            sentinel.points = self._points_of(realm)
        return sentinel


def _is_of_an_agent(signal: Mapping[str, Any]) -> bool:
    return bool(signal["kind"] == FindingKind.UNKNOWN_AGENT.value)


def _agent_use(signal: Mapping[str, Any]) -> AgentUse | None:
    try:
        return AgentUse.read(signal)
    except ValueError:
        log.warning("agent_use_not_readable", presented=signal["presented"])
        return None
