"""Findings that people look for: each word of a filter, and looks that end in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agents_registry.identifiers import Identifier
from streams.model.findings import Finding, FindingKind, Severity
from streams.ports.findings_log import ListedFinding
from streams.services.finding_search import FindingFilter, FindingSearch
from streams.stages.notify.silences import Silence

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.unit

NOW = 1_800_000_000 * 10**9
FINDING = Finding(
    id="f",
    realm="r",
    kind=FindingKind.USE_AFTER_REVOCATION,
    severity=Severity.HIGH,
    presented=Identifier("vault.accessor", "a1"),
    path=(Identifier("vault.accessor", "a1"), Identifier("agent.id", "planner")),
    agent="agent.id:writer",
    authority="okta",
    point="p",
    first_seen=NOW,
    last_seen=NOW,
    count=1,
    message="m",
)
SILENCE = Silence(
    id="s", kinds=frozenset({FindingKind.LEAK}), critical=True, reason="x", by="y",
    since=0, until=NOW,
)  # fmt: skip


class Log:
    """Findings in memory, changed at 1, 2, 3 and so on."""

    def __init__(self, rows: Sequence[ListedFinding], slow: float = 0.0) -> None:
        self.rows = rows
        self.slow = slow

    async def page(self, after: int, limit: int) -> tuple[Sequence[ListedFinding], int]:
        """List the oldest first."""
        return [each for each in self.rows if each.changed > after][:limit], 0

    async def before(self, place: int | None, limit: int) -> Sequence[ListedFinding]:
        """List the newest first."""
        await asyncio.sleep(self.slow)
        found = [each for each in self.rows if place is None or each.changed < place]
        return found[::-1][:limit]

    async def find(self, identity: str) -> ListedFinding | None:
        """Find one."""
        return next((e for e in self.rows if e.finding.id == identity), None)


def row(number: int, *, is_open: bool = True, **more: Any) -> ListedFinding:
    """Give a finding that changed at a place."""
    finding = attrs.evolve(FINDING, **{"id": f"f{number}", **more})
    return ListedFinding(number, is_open, finding)


def search(rows: Sequence[ListedFinding], seconds: float = 9.0) -> FindingSearch:
    """Look in rows; somebody looks into f1."""
    silences = lambda: (SILENCE,)  # noqa: E731 - as the service takes it
    return FindingSearch(Log(rows), silences, "f1".__eq__, seconds)


async def found(rows: Sequence[ListedFinding], **query: str) -> list[int]:
    """Give the places of what a filter finds."""
    told = await search(rows).look(FindingFilter.read(query), None, 99)
    assert told.before is None
    return [each.changed for each in told.rows]


async def test_each_word_asks_for_one_thing() -> None:
    """All of them must hold; what is not said is not asked."""
    rows = [
        row(1),
        row(2, kind=FindingKind.LEAK, severity=Severity.LOW),
        row(3, is_open=False, authority=None, path=(), agent=None),
        row(4, last_seen=NOW + 10**9, presented=Identifier("jwt.jti", "x")),
    ]
    assert [4, 3, 2, 1] == await found(rows)
    assert [2] == await found(rows, kind="leak")
    assert [4, 3, 2, 1] == await found(rows, kind="leak,use_after_revocation")
    assert [4, 3, 1] == await found(rows, severity="high")
    assert [4, 3, 1] == await found(rows, severity="4")
    assert [4, 2, 1] == await found(rows, authority="okta")
    assert [4] == await found(rows, since="2027-01-15T08:00:01Z")
    assert [3, 2, 1] == await found(rows, until="2027-01-15T08:00:00Z")
    assert [3, 2, 1] == await found(rows, identifier="vault.accessor:a1")
    assert [4, 2, 1] == await found(rows, identifier="agent.id:planner")
    assert [4, 2, 1] == await found(rows, identifier="agent.id:wri*")
    assert [] == await found(rows, identifier="agent.id:nobody")
    assert [4] == await found(rows, severity="high", identifier="jwt.*")


async def test_a_finding_is_in_states() -> None:
    """New is what is open, is told, and nobody looks into."""
    rows = [row(1), row(2, kind=FindingKind.LEAK), row(3, is_open=False), row(4)]

    assert [4, 2, 1] == await found(rows, state="open")
    assert [3] == await found(rows, state="closed")
    assert [2] == await found(rows, state="silenced")
    assert [1] == await found(rows, state="acknowledged")
    assert [4] == await found(rows, state="new")


async def test_a_look_goes_on_where_it_ended() -> None:
    """Page by page, without a gap and without a repeat."""
    rows = [row(number) for number in range(1, 8)]
    places: list[int] = []
    before = None
    while True:
        told = await search(rows).look(FindingFilter(), before, 2)
        places += [each.changed for each in told.rows]
        before = told.before
        if before is None:
            break
    assert places == [7, 6, 5, 4, 3, 2, 1]


async def test_a_look_for_something_rare_ends_in_time() -> None:
    """It says where the next one goes on, and how many it looked at."""
    rows = [row(number) for number in range(1, 3000)]
    rare = FindingFilter.read({"kind": "leak"})

    told = await search(rows, seconds=-1.0).look(rare, None, 9)

    assert (told.rows, told.before, told.looked) == ([], 2800, 200)
    told = await search(rows).look(rare, told.before, 9)
    assert (told.rows, told.before, told.looked) == ([], None, 2799)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"kind": "odd"}, "no kinds of findings: odd"),
        ({"severity": "loud"}, "severity is the least one: informational, low"),
        ({"state": "odd"}, "state is one of open, closed, new"),
        ({"since": "yesterday"}, "since "),
        ({"authority": "x" * 501}, "authority is a text of at most 500"),
    ],
)
def test_what_cannot_be_read_is_said(query: dict[str, str], said: str) -> None:
    """With what to write instead."""
    with pytest.raises(ValueError, match=said):
        FindingFilter.read(query)
