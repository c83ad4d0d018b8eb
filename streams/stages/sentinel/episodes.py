"""Episodes: many sightings of one thing become one finding that is kept up to date.

An episode is one kind of finding about one identifier at one point. It opens with
the first sighting, counts the further ones, and is closed after silence; the next
sighting opens a new one with a new id, that of the saved count of reopenings.

A closed one is forgotten after a while, and with it the count, which then begins at 0
again. So that no id comes twice, the id holds the day of the opening too.

The id holds the identifier as it was presented. When it turns out to be another name of
a credential that has an episode already, each names the other as related, and neither
changes its id.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import attrs

from agents_registry.facts import HOUR
from agents_registry.identifiers import Identifier
from streams.model.findings import (
    SEVERITY,
    Finding,
    FindingKind,
    Observation,
    episode_id,
)
from streams.model.times import DAY
from streams.stages.sentinel.episode import (
    Doubt,
    Episode,
    EpisodeKey,
    Sighting,
    values_of,
)
from streams.stages.sentinel.evidence import DOUBTED, SOURCE
from streams.stages.sentinel.finding_lifetime import longest_silence
from streams.stages.sentinel.messages import message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.steps import Steps
    from streams.stages.sentinel.prior_findings import PriorFindings

MAX_EVENT_IDS: Final = 100
MAX_RELATED: Final = 20
MAX_COMPARED: Final = 100  # whoever presents something chooses at how many points
MAX_DOUBTS: Final = 100
# Longer than any use is remembered, than the log has its line, and than a day, after
# which an id cannot come again.
KEPT: Final = 30 * DAY
STEP: Final = 127  # a mask: episodes looked at between two yields
_OF_USES: Final = frozenset({FindingKind.ENFORCEMENT_FAILURE, *DOUBTED})


# Written out, since `attrs.asdict` looks into each value: this is done for every use.
_SEEN: Final = tuple(field.name for field in attrs.fields(Observation))


class Episodes:
    """The last episode of every key, and which ones were before, for a while.

    Attributes:
        told: what earlier findings tell of, while uses are judged again.
    """

    def __init__(self, realm: str, silence: int, kept: int | None = None) -> None:
        """Start empty.

        Args:
            realm: whose they are.
            silence: ns that close an episode.
            kept: ns for which closed ones are remembered, a day at least. None: for
                good, and then ids hang on no clock.
        """
        self.told: PriorFindings | None = None
        self._realm = realm
        self._silence = silence
        self._kept = kept
        self._last: dict[EpisodeKey, Episode] = {}
        self._open: dict[EpisodeKey, Episode] = {}
        self._closed: dict[str, Episode] = {}  # not only the last of their keys
        self._about: dict[Identifier, dict[EpisodeKey, None]] = {}  # open ones
        self._doubted: dict[str, dict[EpisodeKey, None]] = {}
        self._forget_at = 0

    def restore(self, episode: Episode) -> None:
        """Take back what was saved; of one key the latest episode counts."""
        last = self._last.get(episode.key)
        if last is None or last.age <= episode.age:
            self._keep(episode)
        else:
            self._closed[episode.finding.id] = episode

    def see(self, sighting: Sighting, now: int) -> Episode:
        """Merge a sighting; give the episode as it is now.

        One that was silent for too long must be closed before, by `end_silent`.
        """
        key = sighting.key
        last = self._last.get(key)
        if last is not None and last.open:
            last.finding = _merged(last.finding, sighting)
            last.touched = now
            last.revision += 1
            return last
        reopened = 0 if last is None else last.reopened + 1
        day = None if self._kept is None else now // DAY
        finding = _opened(self._realm, sighting, reopened, day)
        self._keep(episode := Episode(finding, reopened, now))
        return episode

    def known(self, sighting: Sighting) -> Episode | None:
        """Episode that reports already a use that is judged again."""
        if self.told is None:
            return None
        kind = self.told.kind_of(sighting)
        return (
            None if kind is None else self._last.get(sighting.key._replace(kind=kind))
        )

    def doubt(self, episode: Episode, doubt: Doubt) -> None:
        """Remember a use that may have been a failure; of many the last ones."""
        episode.doubts.append(doubt)
        del episode.doubts[:-MAX_DOUBTS]
        self._doubted.setdefault(episode.finding.point, {})[episode.key] = None

    def doubted(self, point: str) -> list[Episode]:
        """Open episodes of a point some of whose uses are in doubt."""
        found = map(self._open.get, self._doubted.pop(point, ()))
        doubted = [each for each in found if each is not None and each.doubts]
        if doubted:
            self._doubted[point] = dict.fromkeys(each.key for each in doubted)
        return doubted

    @property
    def doubtful_points(self) -> list[str]:
        """Points where uses may be in doubt."""
        return list(self._doubted)

    def about(self, name: Identifier) -> bool:
        """Whether an episode about an identifier is open."""
        return name in self._about

    def relate(self, names: Iterable[Identifier]) -> list[Episode]:
        """Have open episodes about one credential name each other.

        Those of other names of it, and those of one name at one point that are about
        accepted uses: the lag that turned out a failure. Of very many the newest.

        Args:
            names: of one credential.

        Returns:
            The episodes that changed.
        """
        keys = (k for name in names for k in reversed(self._about.get(name, {})))
        found = [self._open[key] for key in itertools.islice(keys, MAX_COMPARED)]
        changed = []
        for one in found:
            ids = (other.finding.id for other in found if _related(one.key, other.key))
            related = tuple(dict.fromkeys((*one.finding.related, *ids)))[:MAX_RELATED]
            if related != one.finding.related:
                one.finding = attrs.evolve(one.finding, related=related)
                one.revision += 1
                changed.append(one)
        return changed

    def _keep(self, episode: Episode) -> None:
        key = episode.key
        self._last[key] = episode
        if not episode.open:
            self._closed[episode.finding.id] = episode
            return
        self._open[key] = episode
        self._about.setdefault(key.presented, {})[key] = None  # the newest stand last
        if episode.doubts:
            self._doubted.setdefault(key.point, {})[key] = None

    def _close(self, episode: Episode, now: int) -> Episode:
        key = episode.key
        del self._open[key]
        _discard(self._about, key.presented, key)
        _discard(self._doubted, key.point, key)
        self._closed[episode.finding.id] = episode
        episode.open = False
        episode.touched = now
        episode.revision += 1
        return episode

    def is_open(self, key: EpisodeKey) -> bool:
        """Whether an episode of a key is open."""
        return key in self._open

    def open_of_key(self, key: EpisodeKey) -> Episode | None:
        """Open episode of a key."""
        return self._open.get(key)

    def open_with(self, kind: FindingKind) -> Iterator[Episode]:
        """Yield the open episodes of a kind."""
        return (each for key, each in self._open.items() if key.kind is kind)

    def open_of(self, kind: FindingKind) -> Steps[list[EpisodeKey]]:
        """Keys of the open episodes of a kind."""
        found = []
        for count, key in enumerate(self._open):
            if not count & STEP:
                yield
            if key.kind is kind:
                found.append(key)
        return found

    def end(self, key: EpisodeKey, now: int, at: int | None = None) -> Episode | None:
        """Close and give the open episode of a key; what it told of is over.

        An end that is judged again did so when it was judged first.

        Args:
            key: of the episode.
            now: ns.
            at: when it was over (ns); None: now.
        """
        episode, at = self._open.get(key), now if at is None else at
        if episode is None or (self.told and self.told.outlived(episode.finding, at)):
            return None
        return self._close(episode, now)

    def end_silent(self, key: EpisodeKey, now: int) -> Episode | None:
        """Close and give the open episode of a key if it had no news for too long."""
        episode = self._open.get(key)
        if episode is None or not self._silent(episode, now):
            return None
        return self._close(episode, now)

    def close_silent(self, now: int) -> Steps[list[Episode]]:
        """Close and give the episodes without news for too long."""
        closed = []
        for count, episode in enumerate(list(self._open.values())):
            if not count & STEP:
                yield
            if self._silent(episode, now):
                closed.append(self._close(episode, now))
        return closed

    def forget(self, now: int) -> Steps[list[str]]:
        """Forget what was closed long ago, looked at hourly; give the findings' ids."""
        if self._kept is None or now < self._forget_at:
            return []
        self._forget_at = now + HOUR
        before = now - self._kept
        forgotten = []
        for count, episode in enumerate(list(self._closed.values())):
            if not count & STEP:
                yield
            if episode.touched < before:
                forgotten.append(episode.finding.id)
                del self._closed[episode.finding.id]
                if self._last.get(episode.key) is episode:
                    del self._last[episode.key]
        return forgotten

    def open_ones(self) -> list[tuple[Identifier, FindingKind]]:
        """Return the identifier and kind of each open episode."""
        return [
            (episode.finding.presented, episode.finding.kind)
            for episode in self._open.values()
        ]

    def _silent(self, episode: Episode, now: int) -> bool:
        longest = longest_silence(episode.finding.kind, self._silence)
        return longest is not None and now - episode.touched > longest


def _discard(
    groups: dict[Any, dict[EpisodeKey, None]], name: object, key: EpisodeKey
) -> None:
    """Take a key out of the group of a name, and an empty group with it."""
    if (group := groups.get(name)) is not None:
        group.pop(key, None)
        if not group:
            del groups[name]


def _related(one: EpisodeKey, other: EpisodeKey) -> bool:
    if one.presented != other.presented:
        return True
    both_of_uses = {one.kind, other.kind} <= _OF_USES
    return one.kind is not other.kind and one.point == other.point and both_of_uses


def _opened(realm: str, seen: Sighting, reopened: int, day: int | None) -> Finding:
    values = {name: getattr(seen, name) for name in _SEEN}
    identity = episode_id(realm, *seen.key, reopened=reopened, day=day)
    return Finding(
        **values,
        id=identity,
        realm=realm,
        severity=SEVERITY[seen.kind],
        message=message(seen),
    )


def _merged(finding: Finding, seen: Sighting) -> Finding:
    known = finding.event_ids
    new = tuple(i for i in dict.fromkeys(seen.event_ids) if i not in known)
    values = values_of(finding)
    values["count"] += seen.count
    values["first_seen"] = min(finding.first_seen, seen.first_seen)
    values["last_seen"] = max(finding.last_seen, seen.last_seen)
    values["event_ids"] = (known + new)[:MAX_EVENT_IDS]
    if seen.late_by != SOURCE:  # one use that came later is told of, not the others
        values["late_by"] = seen.late_by
    if seen.last_seen >= finding.last_seen and (seen.address or seen.user_agent):
        values["address"], values["user_agent"] = seen.address, seen.user_agent
    values["agent"] = finding.agent or seen.agent
    return Finding(**values)
