"""The first page: revocations as they spread, and everything that needs somebody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.console.guard_standing import NO_LEASE, standing_of
from streams.console.page import PageKind, Rendered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.console.api import ApiAnswer
    from streams.console.page import PageRequest

LATEST: Final = 10  # revocations and findings that are shown
MOST_OPEN: Final = 50
ASKED: Final = 5  # revocations whose issuers are asked for
SEVERITIES: Final = ("", "informational", "low", "medium", "high", "critical")


@frozen
class SpreadRow:
    """A revocation as far as it has spread.

    Attributes:
        row: as the API lists it.
        denied: guards that enforce it, or can allow nothing without it.
        guards: that count for it.
        issuers: how far its ends at issuers are; None: it is not known.
        unread: they could not be asked for.
        left: they were not asked for, as it is not among the first ones.
    """

    row: Mapping[str, Any]
    denied: int
    guards: int
    issuers: Mapping[str, Any] | None
    unread: bool
    left: bool


async def render(page: PageRequest) -> Rendered:
    """Ask for what is open and what is new, all at once."""
    api = page.api
    opened, latest, findings, guards, sources, actuators = await asyncio.gather(
        api.get("revocations", state="open", limit=MOST_OPEN),
        api.get("revocations", limit=LATEST),
        api.get("findings", state="open", order="newest", limit=MOST_OPEN),
        api.get("guards"),
        api.get("sources"),
        api.get("actuators"),
    )
    rows = _once([*_rows(opened, "revocations"), *_rows(latest, "revocations")])
    issuers: dict[str, Mapping[str, Any]] = {}
    unread = {each["id"] for each in rows} if actuators.problem else set()
    left: set[str] = set()
    if _rows(actuators, "actuators"):
        issuers = await _issuers(page, rows[:ASKED])
        unread = {each["id"] for each in rows[:ASKED]} - issuers.keys()
        left = {each["id"] for each in rows[ASKED:]}
    known = [one | {"shown": standing_of(one)} for one in _rows(guards, "guards")]
    told = _rows(findings, "findings")
    values = {
        "spread": [
            _spread(
                each,
                issuers.get(each["id"]),
                unread=each["id"] in unread,
                left=each["id"] in left,
            )
            for each in rows
        ],
        "revocations": latest,
        "opened": opened,
        "open_count": _count(_rows(opened, "revocations"), MOST_OPEN),
        "findings": findings,
        "found": told[:LATEST],
        "found_count": _counted(findings, told),
        # The search looked for a moment, or the list is full: there may be more.
        "found_more": findings.body.get("before") is not None,
        "looked": findings.body.get("looked", 0),
        "worst": max((each["severity"] for each in told), default=0),
        "severities": SEVERITIES,
        "guards": guards,
        "guard_count": len(known),
        "without_lease": [one for one in known if one["shown"] in NO_LEASE],
        "unknown": sum(one["shown"] == "unknown" for one in known),
        "sources": sources,
        "source_count": len(_rows(sources, "sources")),
        "silent": [one for one in _rows(sources, "sources") if not one["good"]],
    }
    return Rendered("now.html", values)


async def _issuers(
    page: PageRequest, rows: Iterable[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """How far the ends at issuers are, of some revocations."""
    ids = [each["id"] for each in rows]
    answers = await asyncio.gather(
        *(page.api.get("revocations", each, "issuers") for each in ids)
    )
    return {
        identity: each.body
        for identity, each in zip(ids, answers, strict=True)
        if each.problem is None
    }


def _spread(
    row: Mapping[str, Any],
    issuers: Mapping[str, Any] | None,
    *,
    unread: bool,
    left: bool,
) -> SpreadRow:
    denied = row["applied"] + row["fenced"]
    return SpreadRow(row, denied, denied + row["laggards"], issuers, unread, left)


def _rows(answer: ApiAnswer, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        answer.body.get(name, []) if answer.problem is None else []
    )
    return found


def _once(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by their time of acceptance, newest first, each once; those open first."""
    found = {each["id"]: each for each in rows}
    newest = sorted(found.values(), key=lambda each: each["accepted_at"], reverse=True)
    return sorted(newest, key=lambda each: each["state"] not in ("pending", "partial"))


def _counted(findings: ApiAnswer, told: list[dict[str, Any]]) -> str:
    """How many findings are open; a search that stopped early found some of them."""
    return f"{len(told)} or more" if findings.body.get("before") else str(len(told))


def _count(rows: list[dict[str, Any]], most: int) -> str:
    """How many there are, as far as the list tells."""
    return f"{len(rows)} or more" if len(rows) == most else str(len(rows))


KIND: Final = PageKind(path="/", title="Now", nav=1, render=render, watches=True)
