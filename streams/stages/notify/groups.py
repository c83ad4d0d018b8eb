"""Posture findings that begin together: one message instead of one each.

A first import shows thousands of states at once. Findings of one kind are held for a
moment; where more than `FEW` begin within a minute they become one summary, which is
told like a finding: it grows by an update, and ends with the last of its members. The
members are not told one by one any more, nor is their end.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Final

import attrs

from agents_registry.identifiers import Identifier
from streams.model.findings import SUMMARY, Finding, FindingKind
from streams.model.times import SECOND
from streams.stages.notify.deliveries import Group
from streams.stages.sentinel.messages import detail

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agents_registry.steps import Steps
    from streams.stages.notify.deliveries import ReceiverRoute

FEW: Final = 20
MINUTE: Final = 60 * SECOND
QUIET: Final = 2 * SECOND  # without a further one, after which they are told
NAMES: Final = 20
_NAME: Final = 80
# What is said of these is one of a few constant texts.
COUNTED: Final = frozenset({FindingKind.OWNERLESS})
MOST_REASONS: Final = 3
STEP: Final = 63  # a mask: findings between two yields


class Groups:
    """The groups of a step in the making."""

    def __init__(
        self, known: Mapping[str, Group], now: int, routes: Sequence[ReceiverRoute]
    ) -> None:
        self.changed: dict[str, Group] = dict(known)
        self._now = now
        self._owners = frozenset().union(*(route.owners for route in routes))

    def join(self, finding: Finding) -> Group:
        """Let a finding that begins wait in the group of its kind; give the group."""
        # Who is told of some owners alone gets a summary of these.
        owner = finding.owner if finding.owner in self._owners else None
        place = (finding.realm, finding.kind, owner)
        found = (g for g in self.changed.values() if g.place == place and self._on(g))
        group = next(found, None) or _begun(*place, self._now)
        self.changed[group.id] = group = attrs.evolve(
            group, last_at=self._now, begun=group.begun + 1, held=group.held + 1
        )
        return group

    def _on(self, group: Group) -> bool:
        """Whether what begins now belongs to a group."""
        since = group.last_at if group.summary is not None else group.first_at
        return group.held > 0 or since <= self._now <= since + MINUTE

    def due(self) -> list[Group]:
        """Return the groups that are to be told now; forget those that are over."""
        for group in list(self.changed.values()):
            if not (group.held or group.members or self._on(group)):
                del self.changed[group.id]
        return [
            group
            for group in self.changed.values()
            if group.held and not self._now < due_at(group) <= self._now + MINUTE
        ]

    def told(self, group: Group) -> None:
        """Take note that what was held was told, one by one."""
        self.changed[group.id] = attrs.evolve(group, held=0)

    def summarised(self, group: Group, members: Iterable[Finding]) -> Steps[Finding]:
        """Put what was held into the summary; give it as it is now."""
        held = list(members)
        said: Counter[str] = Counter()
        for count, each in enumerate(held if group.kind in COUNTED else ()):
            if not count & STEP:
                yield
            # A name may have a colon in it; what is said of it stands behind the last.
            said[detail(each).rstrip(".").rpartition(": ")[2]] += 1
        summary = _summary(group, held, said)
        self.changed[group.id] = attrs.evolve(
            group, held=0, members=group.members + len(held), summary=summary
        )
        return summary

    def leave(self, identity: str, *, held: bool) -> Finding | None:
        """Let a member go that ended; give the summary if it was the last."""
        group = self.changed.get(identity)
        if group is None:
            return None
        if held:
            group = attrs.evolve(group, held=group.held - 1)
        else:
            group = attrs.evolve(group, members=group.members - 1)
        self.changed[identity] = group
        if group.held or group.members or group.summary is None:
            return None
        return self.changed.pop(identity).summary


def due_at(group: Group) -> int:
    """Time at which a group's messages are sent (ns)."""
    return min(group.last_at + QUIET, group.first_at + MINUTE)


def _begun(realm: str, kind: FindingKind, owner: str | None, now: int) -> Group:
    text = "\0".join((SUMMARY, realm, kind.value, owner or "", str(now)))
    identity = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Group(
        id=identity, realm=realm, kind=kind, owner=owner, first_at=now, last_at=now
    )


def _reasons(before: Finding | None, said: Counter[str]) -> str | None:
    """Count what is said of each, where that is one of a few things; None elsewhere.

    Names that differ in what is said of them are told by the findings alone.
    """
    counts: Counter[str] = Counter()
    if before is not None:
        if before.reason is None:
            return None
        for each in before.reason.split("; "):
            number, _, text = each.partition(": ")
            if not number.isdecimal():
                return None
            counts[text] = int(number)
    counts.update(said)
    if len(counts) > MOST_REASONS:
        return None
    return "; ".join(f"{number}: {text}" for text, number in counts.most_common())


def _summary(group: Group, held: Sequence[Finding], said: Counter[str]) -> Finding:
    """Write the finding that stands for all of a group."""
    before = group.summary
    first_seen = min(f.first_seen for f in held)
    severity = max(f.severity for f in held)
    names = [str(f.presented)[:_NAME] for f in held[:NAMES]]
    text = f"the first {len(names)} of them: {', '.join(names)}"
    count = len(held)
    if before is not None:
        first_seen = min(first_seen, before.first_seen)
        severity = max(severity, before.severity)
        count = before.count + len(held)
        text = before.message
    return Finding(
        id=group.id,
        kind=group.kind,
        severity=severity,
        realm=group.realm,
        presented=Identifier(SUMMARY, group.realm),
        owner=group.owner,
        count=count,
        first_seen=first_seen,
        last_seen=max(f.last_seen for f in held),
        reason=_reasons(before, said) if group.kind in COUNTED else None,
        message=text,
    )
