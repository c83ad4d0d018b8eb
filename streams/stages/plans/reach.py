"""What an act would reach, in numbers and first names: used last first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from attrs import frozen

from agents_registry.inventory import agents_using, speakers
from streams.model.times import DAY, SECOND, rfc3339
from streams.stages.access.agent_kinds import is_account
from streams.stages.access.columns import I64, U64, prints_of
from streams.stages.plans.last_uses import UNUSED
from streams.stages.plans.lines import Lines, tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.access.columns import Numbers
    from streams.stages.plans.fates import Fates

STEP: Final = 127  # a mask: nodes between two yields
AT_ONCE: Final = 10_000  # numbers that are looked up without a yield
SHOWN: Final = 20  # owners, accounts, agents
ACTS_NOW: Final = 300 * SECOND  # an agent that was seen since acts now
SPANS: Final = {"hour": 3600 * SECOND, "day": DAY, "week": 7 * DAY}
EARLIER: Final = "earlier"
NEVER: Final = "never"


@frozen(eq=False)
class ActReach:
    """What an act would reach.

    Attributes:
        fates: who would be denied.
        prints: of what would be denied, in the order of `Fates.ends`.
        lines: whose it is, and who acts with it.
        shared: accounts among it that several agents use, with these agents.
        now: when that was (ns).
    """

    fates: Fates
    prints: Numbers
    lines: Lines
    shared: list[tuple[int, list[int]]]
    now: int

    @property
    def members(self) -> Numbers:
        """Prints of what would be denied, sorted, each once."""
        found = np.sort(self.prints)  # `numpy.unique` takes thirty times as long
        first = np.ones(len(found), bool)
        first[1:] = found[1:] != found[:-1]
        return found[first]


def reaching(registry: Registry, fates: Fates, now: int) -> Steps[ActReach]:
    """Look up whose it is that an act would end.

    Args:
        registry: the table, which must not change meanwhile.
        fates: what would end.
        now: ns.
    """
    prints = yield from prints_by_node(registry, fates.ends)
    lines = yield from tracing(registry, fates)
    shared: list[tuple[int, list[int]]] = []
    for count, node in enumerate(fates.ends):
        if not count & STEP:
            yield
        if is_account(registry.lineage.kind(node)):
            found = set[int]()
            for agent in agents_using(registry, node, is_account):
                yield
                found.update(() if agent is None else (agent,))
            if len(found) > 1:
                shared.append((node, sorted(found)))
    return ActReach(fates, prints, lines, shared, now)


def prints_by_node(registry: Registry, nodes: Sequence[int]) -> Steps[Numbers]:
    """Print of each node's identifier."""
    prints = np.zeros(len(nodes), U64)
    for count, node in enumerate(nodes):
        if not count & STEP:
            yield
        prints[count], _ = prints_of(registry.lineage.identifier(node))
    return prints


def told(
    registry: Registry, reach: ActReach, uses: Numbers, first: int
) -> Steps[dict[str, Any]]:
    """Reach as JSON-ready values.

    Args:
        registry: the table; facts may have been merged since.
        reach: what was found in it.
        uses: the last one (ns) of each of its `members`.
        first: how many names are listed, those used last first.
    """
    last = yield from _by_end(reach, uses)
    fates, name = reach.fates, registry.lineage.identifier
    owners: Counter[str] = Counter()
    authorities: Counter[str | None] = Counter()
    for count, node in enumerate(fates.ends):
        if not count & STEP:
            yield
        owners.update(reach.lines.owners[node])
        authorities.update(speakers(registry, node) or (None,))
    ranked = np.argsort(-last, kind="stable")[:first].tolist()
    yield
    listed = []
    for place in ranked:
        yield
        node, at = fates.ends[place], int(last[place])
        listed.append(
            {
                "identifier": str(name(node)),
                "owners": list(reach.lines.owners[node]),
                "last_use": _when(at),
            }
        )
    ends = (yield from counted(registry, fates.ends)) | {
        "by_owner": _most(owners, "owner"),
        "by_authority": _most(authorities, "authority"),
        "by_last_use": _spans(last, reach.now),
    }
    return {
        "ends": ends,
        **_selector(fates),
        "denied_already": (yield from counted(registry, fates.denied)),
        "live_on": len(fates.lives),
        "shared_accounts": [
            {
                "account": str(name(account)),
                "agents": [str(name(agent)) for agent in agents[:SHOWN]],
                "agents_total": len(agents),
            }
            for account, agents in reach.shared[:SHOWN]
        ],
        "shared_accounts_total": len(reach.shared),
        "unknown": {
            "total": len(fates.unknown),
            "first": [str(name) for name in fates.unknown[:SHOWN]],
        },
        "lose_last_owner": names_of(registry, fates.unowned, SHOWN),
        "acting_now": (yield from _acting(registry, reach, last)),
        "first": listed,
    }


def _selector(fates: Fates) -> dict[str, Any]:
    """How many of what would end a selector means itself; nothing without one."""
    if fates.matching is None:
        return {}
    matching = sum(node in fates.matching for node in fates.ends)
    below = len(fates.ends) - matching
    return {"selector": {"matching": matching, "below": below}}


def counted(registry: Registry, nodes: Sequence[int]) -> Steps[dict[str, Any]]:
    """Count nodes, in all and of each kind."""
    kinds: Counter[str] = Counter()
    for count, node in enumerate(nodes):
        if not count & STEP:
            yield
        kinds[registry.lineage.kind(node)] += 1
    return {"total": len(nodes), "by_kind": dict(kinds.most_common())}


def names_of(registry: Registry, nodes: Sequence[int], most: int) -> dict[str, Any]:
    """Count nodes, and give the first names."""
    name = registry.lineage.identifier
    return {"total": len(nodes), "first": [str(name(node)) for node in nodes[:most]]}


def _by_end(reach: ActReach, uses: Numbers) -> Steps[Numbers]:
    """Put the last uses into the order of what would end."""
    members, last = reach.members, np.zeros(len(reach.prints), I64)
    for start in range(0, len(last), AT_ONCE):
        yield
        piece = reach.prints[start : start + AT_ONCE]
        last[start : start + AT_ONCE] = uses[members.searchsorted(piece)]
    return last


def _acting(
    registry: Registry, reach: ActReach, last: Numbers
) -> Steps[dict[str, Any]]:
    """Agents that were seen in the last minutes with something that would end."""
    seen: dict[int, int] = {}
    for place in np.flatnonzero(last >= reach.now - ACTS_NOW).tolist():
        yield
        agent = reach.lines.agents.get(reach.fates.ends[place])
        if agent is not None:
            at = int(last[place])
            seen[agent] = max(at, seen.get(agent, at))
    ending = set(reach.fates.ends)
    ranked = sorted(seen, key=lambda agent: (-seen[agent], agent))
    return {
        "total": len(ranked),
        "first": [
            {
                "agent": str(registry.lineage.identifier(agent)),
                "last_use": _when(seen[agent]),
                "ends": agent in ending,
            }
            for agent in ranked[:SHOWN]
        ],
    }


def _spans(last: Numbers, now: int) -> dict[str, int]:
    """Count names by the span in which they were used last."""
    ages, left = now - last, last != UNUSED
    found = {NEVER: int(len(left) - left.sum())}
    for name, span in SPANS.items():
        within = left & (ages <= span)
        found[name] = int(within.sum())
        left &= ~within
    return {**{name: found[name] for name in SPANS}, EARLIER: int(left.sum()),
            NEVER: found[NEVER]}  # fmt: skip


def _most(counts: Counter[Any], what: str) -> list[dict[str, Any]]:
    return [{what: name, "count": n} for name, n in counts.most_common(SHOWN)]


def _when(at: int) -> str | None:
    return None if at == UNUSED else rfc3339(at)
