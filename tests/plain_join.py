"""The join of accesses with facts as one would write it first: every use, every walk.

The oracle of the fast one. It keeps each use as it came and walks for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import define, field

from agents_registry.death import Fate, death
from agents_registry.lineage import KNOWN, NONE
from agents_registry.presentation import Presented, is_credential

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.death import Death
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from streams.stages.access.uses import AccessEvent

MINUTE = 60 * 10**9


class Told(NamedTuple):
    """What is reported of one use; ``cause`` is None where nobody declared it."""

    presented: Identifier
    point: str
    outcome: str | None
    at: int
    event_id: str | None
    owner: str | None
    cause: str | None
    via: str | None
    path: tuple[Identifier, ...]


@define
class PlainJoin:
    """Remember every use, and judge it whenever something may have changed.

    Attributes:
        skew: a use counts where it was dead so long before and so long after (ns).
        told: what was reported, in any order.
    """

    skew: int = 0
    told: list[Told] = field(factory=list)
    _uses: dict[Any, AccessEvent] = field(factory=dict)
    _reported: set[Any] = field(factory=set)

    def observe(self, uses: Iterable[AccessEvent], registry: Registry) -> None:
        """Take uses in."""
        for use in uses:
            minute = use.at // MINUTE
            # Without an event's id no two are the same.
            event: str | int | None = use.event_id
            event = len(self._uses) if event is None else event
            key = (use.identifiers, use.point, use.outcome, minute, event)
            new = key not in self._uses
            self._uses.setdefault(key, use)
            self._judge(key, registry)
            if new and use.outcome != "denied" and unknown(use, registry):
                self.told.append(told(use, None))

    def reconsider(self, names: Iterable[Identifier], registry: Registry) -> None:
        """Judge again what presented one of some identifiers."""
        wanted = set(names)
        for key, use in self._uses.items():
            if wanted & set(use.identifiers):
                self._judge(key, registry)

    def reconsider_all(self, registry: Registry) -> None:
        """Judge everything again."""
        for key in self._uses:
            self._judge(key, registry)

    def _judge(self, key: Any, registry: Registry) -> None:
        if key in self._reported:
            return
        use = self._uses[key]
        for shown in presentations(use, registry):
            why = death(registry, shown, at=use.at - self.skew)
            later = death(registry, shown, at=use.at + self.skew)
            if why is not None and later is not None:
                self._reported.add(key)
                self.told.append(told(use, why))
                return


def presentations(use: AccessEvent, registry: Registry) -> list[Identifier | Presented]:
    """Give what is judged: each name, or all together under a ``not_before``."""
    fates = [Fate(registry, name) for name in use.identifiers]
    if any(fate.watermark() is not None for fate in fates):
        return [Presented(use.identifiers, use.issued_at)]
    return [*use.identifiers]


def told(use: AccessEvent, why: Death | None) -> Told:
    """Give what is reported of a use."""
    death = (None, None, ()) if why is None else (why.cause.fact_id, why.via, why.path)
    return Told(
        use.identifiers[0], use.point, use.outcome, use.at, use.event_id, use.owner,
        *death,
    )  # fmt: skip


def unknown(use: AccessEvent, registry: Registry) -> bool:
    """Tell whether no credential among what was presented was declared."""
    lineage = registry.lineage
    credentials = [name for name in use.identifiers if is_credential(registry, name)]
    nodes = [lineage.find(name) for name in credentials]
    declared = any(
        lineage.flags[other] & KNOWN
        for node in nodes
        if node != NONE
        for other in lineage.others(node)
    )
    return bool(credentials) and not declared
