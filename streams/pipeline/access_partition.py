"""What the sentinel holds of one partition of accesses: a sentinel for each realm.

State and outputs of a step are collected here until the engine has made them durable.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import orjson
import structlog
from attrs import define, field

from streams.model.findings import FindingKind
from streams.pipeline.access_records import Accesses, AccessRecord, ScopeUse, Signal
from streams.pipeline.realm_postures import RealmPostures
from streams.pipeline.unsaved import AccessTally, UnsavedOutputs
from streams.stages.access.columns import gathered
from streams.stages.posture.posture import SLICE
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.acted import AgentUse
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from agents_registry.facts import Fact
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.pipeline.realm import Realm
    from streams.stages.access.segment import Segment
    from streams.stages.sentinel.points import EnforcementPoints
    from streams.stages.sentinel.step import Outputs
    from streams.stages.sentinel.unknown_agents import Shown

F = TypeVar("F", bound="AccessFile")

AT_ONCE: Final = 8192  # lines judged in one step

log = structlog.get_logger()


class AccessFile(Protocol):
    """What an engine has saved of a partition."""

    def episodes(self) -> Iterable[tuple[str, bytes]]:
        """Realm and body of every episode."""

    def uses(self) -> Mapping[str, list[tuple[str, bytes]]]:
        """Name and body of all remembered uses, by their realms."""

    def used_scopes(self, realm: str) -> Iterable[tuple[str, bytes]]:
        """Name and body of the recorded use of scopes in a realm."""


@define(eq=False, slots=False)
class AccessPartition(Generic[F]):
    """One partition of accesses.

    An engine saves `unsaved` and `postures.used` with the position of what was judged,
    and calls `saved` then.

    Attributes:
        file: what was saved; see `take_up`.
        realm_of: gives the table of a realm as it is now.
        points_of: gives what the guards of a realm report.
        tally: where it is counted once it is saved.
        unsaved: what steps found, until it is saved.
        postures: how credentials stand.
    """

    file: F
    tolerances: Tolerances
    realm_of: Callable[[str], Realm]
    points_of: Callable[[str], EnforcementPoints] | None = field(
        default=None, kw_only=True
    )
    tally: AccessTally = field(factory=AccessTally, kw_only=True)
    unsaved: UnsavedOutputs = field(init=False)
    postures: RealmPostures = field(init=False)
    _sentinels: dict[str, Sentinel] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Start empty."""
        self.unsaved = UnsavedOutputs(self.tally)
        self.postures = RealmPostures(
            self.file, self.tolerances.posture, self.realm_of, self.sentinel
        )

    @property
    def changed(self) -> bool:
        """Whether there is something to tell, and to save."""
        return bool(self.unsaved or self.postures.used)

    def sentinel(self, realm: str) -> Sentinel:
        """Sentinel of a realm, on its table of now."""
        sentinel = self._sentinels.get(realm)
        if sentinel is None:
            sentinel = self._sentinels[realm] = Sentinel(realm, self.tolerances)
        state = self.realm_of(realm)
        sentinel.accepted, sentinel.bits = state.accepted, state.dead_bits()
        sentinel.known = state.known
        if self.points_of is not None:
            sentinel.points = self.points_of(realm)
        return sentinel

    def take_up(self) -> Steps[None]:
        """Take up what is kept.

        Raises:
            ValueError: some of it cannot be read.
        """
        for realm, body in self.file.episodes():
            yield
            episode = saved_episodes.load(orjson.loads(body))
            self.sentinel(realm).episodes.restore(episode)
        for realm, rows in self.file.uses().items():
            self.sentinel(realm).restore(rows)

    def judge_all(self, now: int) -> Steps[None]:
        """Judge all that is remembered by the tables of now.

        Facts that came while nobody watched are made up for by that.
        """
        for realm in self._sentinels:
            sentinel, registry = self._of(realm)
            yield from self._add(realm, sentinel.reconsider_all(registry, now))
            # Receipts were read before, and are news to nobody.
            yield from self._add(realm, sentinel.recheck(None, now))

    def judge(self, records: Iterable[AccessRecord], now: int) -> Steps[None]:
        """Take records in; blocks of one realm that follow each other as one."""
        for (realm, kind), group in groupby(
            records, lambda each: (each.realm, type(each))
        ):
            if kind is ScopeUse:
                self.postures.take_used(
                    realm, (e for e in group if isinstance(e, ScopeUse))
                )
                continue
            if kind is Signal:
                signals = [each.values for each in group if isinstance(each, Signal)]
                yield from self._take_signals(realm, signals, now)
                continue
            sentinel, registry = self._of(realm)
            blocks = [each.lines for each in group if isinstance(each, Accesses)]
            for lines in gathered(blocks, AT_ONCE):
                yield from self._add(realm, sentinel.observe(lines, registry, now))

    def _take_signals(
        self, realm: str, signals: Iterable[Mapping[str, Any]], now: int
    ) -> Steps[None]:
        """Take in what ingress saw by itself, and what points tell of agents."""
        sentinel, registry = self._of(realm)
        for of_agents, group in groupby(signals, _is_of_an_agent):
            if of_agents:
                seen = [use for each in group if (use := _agent_use(each)) is not None]
                steps = sentinel.see_agents(seen, registry, now)
            else:
                steps = sentinel.report(group, registry, now)
            yield from self._add(realm, steps)

    def see_acted(self, now: int) -> Steps[None]:
        """Take in the uses by agents that steps found; they are saved next.

        For an engine that has all findings of a realm in one partition.
        """
        for realm, group in groupby(list(self.unsaved.acted()), itemgetter(0)):
            sentinel, registry = self._of(realm)
            acted = [use for _, use in group]
            yield from self._add(realm, sentinel.see_agents(acted, registry, now))

    def reconsider(
        self, realm: str, names: Collection[Identifier], now: int
    ) -> Steps[None]:
        """Judge remembered uses again, of identifiers that a fact condemned."""
        if realm in self._sentinels:
            sentinel, registry = self._of(realm)
            yield from self._add(realm, sentinel.reconsider(names, registry, now))

    def inspect(self, realm: str, now: int, most: int = SLICE) -> Steps[int]:
        """Look at the next nodes of a realm that may stand otherwise than before.

        Its findings are those of one partition, wherever the realm is used. Give how
        much is still to be looked at.
        """
        posture = self.postures.of(realm)
        if posture.waiting(now):
            signals = yield from posture.step(now, most)
            self.postures.untold.add(realm)
            sentinel, registry = self._of(realm)
            yield from self._add(realm, sentinel.report(signals, registry, now))
            self.postures.untold.discard(realm)
            self.postures.take_news(realm)
        return posture.waiting(now)

    def follow(self, now: int) -> Steps[None]:
        """Judge all uses again of the realms whose tables were built anew."""
        for realm in self._sentinels:
            sentinel, registry = self._of(realm)
            yield from self._add(realm, sentinel.follow(registry, now))

    def recheck(
        self, realm: str, points: Iterable[str] | None, now: int
    ) -> Steps[None]:
        """See whether receipts that came in turn lags into failures.

        Args:
            realm: of the guards.
            points: where guards have news; None: all, e.g. after a start.
            now: ns.
        """
        if realm in self._sentinels:
            yield from self._add(realm, self.sentinel(realm).recheck(points, now))

    def note_late(self, realm: str, facts: Collection[Fact]) -> None:
        """Have uses judged again that facts speak of which came after them."""
        if realm in self._sentinels:
            self._sentinels[realm].note_late(facts)

    def settle(self, now: int) -> Steps[None]:
        """Ask about the next uses again whose time has come."""
        for realm in self._sentinels:
            sentinel, registry = self._of(realm)
            if sentinel.unsettled(now):
                yield from self._add(realm, sentinel.settle(registry, now))

    def unsettled(self, now: int) -> int:
        """Count the realms in which there are such uses."""
        return sum(each.unsettled(now) for each in self._sentinels.values())

    def tidy(self, now: int) -> Steps[None]:
        """Forget old uses, and close what is silent or over."""
        for realm in self._sentinels:
            sentinel, registry = self._of(realm)
            yield from self._add(realm, sentinel.expire(now))
            yield from self._add(realm, sentinel.end_denied(registry, now))
            yield from self._add(realm, sentinel.end_declared(registry, now))
        self.postures.forget(now)

    def undeclared(self, realm: str) -> Iterable[Shown]:
        """Undeclared agents and credentials of a realm, as far as seen here."""
        known = self._sentinels.get(realm)
        return () if known is None else known.undeclared()

    def uses(self, realm: str) -> Iterable[Segment]:
        """Remembered uses of a realm, as far as seen here."""
        known = self._sentinels.get(realm)
        return () if known is None else known.uses

    def saved(self) -> None:
        """Take note that all is saved."""
        self.unsaved.saved()
        self.postures.used = {}

    def _of(self, realm: str) -> tuple[Sentinel, Registry]:
        """Sentinel and table of a realm."""
        return self.sentinel(realm), self.realm_of(realm).cascade.registry

    def _add(self, realm: str, steps: Steps[Outputs]) -> Steps[None]:
        """Do a step, and keep what it changed."""
        self.unsaved.add(realm, (yield from steps))


def _is_of_an_agent(signal: Mapping[str, Any]) -> bool:
    return bool(signal["kind"] == FindingKind.UNKNOWN_AGENT.value)


def _agent_use(signal: Mapping[str, Any]) -> AgentUse | None:
    try:
        return AgentUse.read(signal)
    except ValueError:
        log.warning("agent_use_not_readable", presented=signal["presented"])
        return None
