"""Episodes: many sightings of one thing become one finding that is kept up to date.

An episode is one kind of finding about one identifier at one point. It opens with
the first sighting, counts the further ones, and is closed after silence; the next
sighting opens a new one with a new id.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import attrs
from attrs import define, frozen

from agents_registry.identifiers import Identifier
from streams.findings import (
    POSTURE,
    SEVERITY,
    STILL_HONOURED,
    Finding,
    FindingKind,
    Severity,
    episode_id,
    source_still_honours,
)
from streams.times import rfc3339

MAX_EVENT_IDS: Final = 100


@frozen(kw_only=True)
class Sighting:
    """Something seen that belongs into a finding; times in ns."""

    kind: FindingKind
    presented: Identifier
    first_seen: int
    last_seen: int
    point: str = ""
    outcome: str | None = None
    via: str | None = None
    path: tuple[Identifier, ...] = ()
    cause: str | None = None
    cause_at: int | None = None
    cause_effect: str | None = None
    owner: str | None = None
    count: int = 1
    event_ids: tuple[str, ...] = ()
    detail: str = ""


class Key(NamedTuple):
    """What makes sightings belong together."""

    presented: Identifier
    kind: FindingKind
    point: str


@define
class Episode:
    """A finding and what is needed to continue or reopen it.

    Attributes:
        reopened: how many episodes there were before, part of the finding's id.
        touched: when the last sighting came in (ns, our clock).
        revision: number of the update; 1 is the first alert.
    """

    finding: Finding
    reopened: int
    touched: int
    revision: int = 1
    open: bool = True

    @property
    def key(self) -> Key:
        """Give what makes sightings belong to this episode."""
        return Key(self.finding.presented, self.finding.kind, self.finding.point)


class Episodes:
    """The last episode of every key."""

    def __init__(self, realm: str, silence: int) -> None:
        """Start empty; ``silence`` in ns closes an episode."""
        self._realm = realm
        self._silence = silence
        self._last: dict[Key, Episode] = {}

    def restore(self, episode: Episode) -> None:
        """Take back what was saved; of one key the latest episode counts."""
        last = self._last.get(episode.key)
        if last is None or last.reopened <= episode.reopened:
            self._last[episode.key] = episode

    def see(self, sighting: Sighting, now: int) -> Episode:
        """Merge a sighting; give the episode as it is now."""
        key = Key(sighting.presented, sighting.kind, sighting.point)
        last = self._last.get(key)
        if last is not None and last.open and not self._silent(last, now):
            last.finding = _merged(last.finding, sighting)
            last.touched = now
            last.revision += 1
            return last
        reopened = 0 if last is None else last.reopened + 1
        finding = _opened(self._realm, sighting, reopened)
        self._last[key] = episode = Episode(finding, reopened, now)
        return episode

    def end(self, key: Key) -> Episode | None:
        """Close and give the open episode of a key; what it told of is over."""
        episode = self._last.get(key)
        if episode is None or not episode.open:
            return None
        episode.open = False
        episode.revision += 1
        return episode

    def close_silent(self, now: int) -> list[Episode]:
        """Close and give the episodes without news for too long."""
        closed = []
        for episode in self._last.values():
            if episode.open and self._silent(episode, now):
                episode.open = False
                episode.revision += 1
                closed.append(episode)
        return closed

    def open_ones(self) -> list[tuple[Identifier, FindingKind]]:
        """Give of what the open episodes are, and of which kind."""
        return [
            (episode.finding.presented, episode.finding.kind)
            for episode in self._last.values()
            if episode.open
        ]

    def _silent(self, episode: Episode, now: int) -> bool:
        if episode.finding.kind in POSTURE:
            return False
        return now - episode.touched > self._silence


def _opened(realm: str, seen: Sighting, reopened: int) -> Finding:
    values = attrs.asdict(seen, recurse=False)
    values.pop("detail")
    identity = episode_id(realm, seen.presented, seen.kind, seen.point, reopened)
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
    return attrs.evolve(
        finding,
        count=finding.count + seen.count,
        first_seen=min(finding.first_seen, seen.first_seen),
        last_seen=max(finding.last_seen, seen.last_seen),
        event_ids=(known + new)[:MAX_EVENT_IDS],
    )


_SENTENCES: Final = {
    FindingKind.USE_AFTER_REVOCATION: "{it} was accepted{at} after its authority ended",
    FindingKind.BLOCKED_ATTEMPT: "{it} was presented{at} and refused: it is dead",
    FindingKind.SOURCE_DELAY: "{it} was accepted{at} before its end was reported",
    FindingKind.IN_FLIGHT: "{it} was in flight{at} when its authority ended",
    FindingKind.UNKNOWN_CREDENTIAL: "{it} was accepted{at}; nobody declared it",
    FindingKind.UNAUTHORISED: "a source without authority spoke of {it}",
    FindingKind.REVOCATION_NOT_APPLIED: "a revocation from {it} was not applied",
    FindingKind.LEAK: "{it} was reported as leaked",
    FindingKind.SOURCE_SILENT: "{it} is silent",
    FindingKind.SOURCE_STOPPED: "{it} stands still",
    FindingKind.SOURCE_GAP: "events of {it} may be missing",
    FindingKind.UNMAPPED_SUBJECT: "{it} told of somebody whom nobody can name",
    FindingKind.ID_COLLISION: "two events of {it} share one id and differ",
    FindingKind.CLOSURE_PARTIAL: "the end of {it} is not enforced everywhere in time",
    FindingKind.ENFORCEMENT_FAILURE: "{it} is allowed{at}, which had applied its end",
    FindingKind.LIFT_AMBIGUOUS: "{it} stays suspended",
    FindingKind.SCOPE_ESCALATION: "{it} declares more than it can have",
    FindingKind.SCOPE_VIOLATION: "{it} was accepted{at} for what it may not do",
    FindingKind.EXCESS_SCOPE: "{it} declares more than it uses",
    FindingKind.OWNERLESS: "{it} has no owner",
    FindingKind.SHARED_SERVICE_ACCOUNT: "{it} is shared",
    FindingKind.UNMAPPED: "{it} is a name and nothing more",
}


def message(seen: Sighting) -> str:
    """Say in one sentence what was seen."""
    at = f" at {seen.point}" if seen.point else ""
    sentence = _SENTENCES.get(seen.kind, seen.kind.value + ": {it}")
    text = sentence.format(it=seen.presented, at=at)
    if seen.cause_at is not None and seen.path:
        ended = seen.path[-1]
        text += f"; {ended} ended at {rfc3339(seen.cause_at)}"
        if source_still_honours(seen.kind, seen.cause_effect, ended):
            text += f" ({STILL_HONOURED})"
    return f"{text}: {seen.detail}" if seen.detail else f"{text}."


def to_plain(finding: Finding) -> dict[str, Any]:
    """Give a finding as JSON-ready values; times stay integer ns."""
    plain = attrs.asdict(finding, recurse=False)
    return plain | {
        "kind": finding.kind.value,
        "severity": int(finding.severity),
        "presented": str(finding.presented),
        "path": [str(identifier) for identifier in finding.path],
        "event_ids": list(finding.event_ids),
    }


def from_plain(plain: dict[str, Any]) -> Finding:
    """Read what `to_plain` gave."""
    values = plain | {
        "kind": FindingKind(plain["kind"]),
        "severity": Severity(plain["severity"]),
        "presented": Identifier.parse(plain["presented"]),
        "path": tuple(Identifier.parse(text) for text in plain["path"]),
        "event_ids": tuple(plain["event_ids"]),
    }
    return Finding(**values)


def save(episode: Episode) -> dict[str, Any]:
    """Give an episode as JSON-ready values."""
    return {
        "finding": to_plain(episode.finding),
        "reopened": episode.reopened,
        "touched": episode.touched,
        "revision": episode.revision,
        "open": episode.open,
    }


def load(plain: dict[str, Any]) -> Episode:
    """Read what `save` gave."""
    return Episode(**plain | {"finding": from_plain(plain["finding"])})
