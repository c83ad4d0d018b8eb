"""What credentials declare against what they use, row by row."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agents_registry.lineage import NONE
from streams.model.times import DAY, rfc3339
from streams.stages.posture import rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps
    from streams.stages.posture.used_scopes import Usage

STEP: Final = 63  # a mask: credentials that are looked at between two steps


class ScopeFilter(NamedTuple):
    """Which credentials are listed.

    Attributes:
        text: that a name has to hold, whatever the case.
        unused: only those with a scope that was not used.
        after: name that all of them come behind.
        limit: most rows.
    """

    text: str = ""
    unused: bool = False
    after: str = ""
    limit: int = 50


def scope_rows(
    usages: Iterable[tuple[Identifier, Usage]], registry: Registry, wanted: ScopeFilter
) -> Steps[list[dict[str, Any]]]:
    """Return the rows of credentials whose uses tell their scopes, by name.

    Args:
        usages: what is known of each.
        registry: tells what is declared now.
        wanted: which of them.
    """
    text = wanted.text.casefold()
    found: list[tuple[str, list[str], int]] = []
    kept = [*usages]
    for count, (name, usage) in enumerate(kept):
        if not count & STEP:
            yield
        key = str(name)
        if key <= wanted.after or text not in key.casefold():
            continue
        declared = [one for one in _declared(registry, name) if one in usage.known]
        if not declared or (wanted.unused and usage.used.keys() >= {*declared}):
            continue
        found.append((key, declared, count))
        if len(found) >= 2 * wanted.limit + STEP:
            found = nsmallest(wanted.limit, found)
    rows = []
    for key, declared, count in nsmallest(wanted.limit, found):
        yield
        rows.append(_row(key, declared, kept[count][1]))
    return rows


def _row(key: str, declared: list[str], usage: Usage) -> dict[str, Any]:
    return {
        "identifier": key,
        "last_use": _date(max(usage.last.values(), default=None)),
        "scopes": [
            {
                "scope": one,
                "watched_since": _date(usage.known[one]),
                "last_used": _date(usage.used.get(one)),
                "parts": sorted(usage.parts.get(one, ())),
            }
            for one in declared
        ],
    }


def _declared(registry: Registry, name: Identifier) -> list[str]:
    node = registry.lineage.find(name)
    return (
        [] if node == NONE else rules.declared(registry, registry.lineage.others(node))
    )


def _date(day: int | None) -> str | None:
    return None if day is None else str(rfc3339(day * DAY))[:10]
