"""Findings that people look for: the newest change first, by what they are.

A rare thing among many is looked for in turns: an answer says how far it looked, and
the next question goes on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from attrs import frozen

from streams.model.findings import FindingKind, Severity
from streams.model.times import typed_time
from streams.process.aside import SLICE_SECONDS
from streams.stages.notify.silences import silenced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.model.findings import Finding
    from streams.ports.findings_log import ListedFinding, SearchedFindings
    from streams.stages.notify.silences import Silence

SECONDS: Final = 0.3  # for which one answer looks
FIRST_PIECE: Final = 200  # findings
PIECE: Final = 1000
MOST_TEXT: Final = 500
OPEN, CLOSED, NEW = "open", "closed", "new"
SILENCED, ACKNOWLEDGED = "silenced", "acknowledged"
STATES: Final = (OPEN, CLOSED, NEW, SILENCED, ACKNOWLEDGED)
WORDS: Final = frozenset({
    "kind", "severity", "authority", "state", "identifier", "since", "until",
})  # fmt: skip


@frozen(kw_only=True)
class FindingFilter:
    """Which findings are looked for; what is not said is not asked.

    Attributes:
        kinds: one of which it is; empty: any.
        severity: the least.
        authority: whose word the end is.
        state: of `STATES`; ``new`` is open, told and not acknowledged.
        identifier: a pattern of what it is about, of what was ended, or of who acted.
        since: when it was seen last, at the earliest (ns).
        until: and at the latest.
    """

    kinds: frozenset[FindingKind] = frozenset()
    severity: int = 0
    authority: str = ""
    state: str = ""
    identifier: str = ""
    since: int | None = None
    until: int | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> FindingFilter:
        """Read a filter from texts by their names.

        Raises:
            ValueError: one cannot be read; the text says what to write.
        """
        state = query.get("state", "")
        if state and state not in STATES:
            raise ValueError(f"state is one of {', '.join(STATES)}")
        return cls(
            kinds=_kinds(query.get("kind", "")),
            severity=_severity(query.get("severity", "")),
            authority=_text(query, "authority"),
            state=state,
            identifier=_text(query, "identifier"),
            since=_time(query, "since"),
            until=_time(query, "until"),
        )

    def matches(self, finding: Finding, states: frozenset[str]) -> bool:
        """Whether a finding is looked for.

        Args:
            finding: as it was told last.
            states: that it is in.
        """
        seen = finding.last_seen
        return (
            (not self.kinds or finding.kind in self.kinds)
            and finding.severity >= self.severity
            and (not self.authority or finding.authority == self.authority)
            and (self.since is None or seen >= self.since)
            and (self.until is None or seen <= self.until)
            and (not self.state or self.state in states)
            and (not self.identifier or self._names(finding))
        )

    def _names(self, finding: Finding) -> bool:
        named = [str(finding.presented), finding.agent or ""]
        named += [str(finding.path[-1])] if finding.path else []
        return any(fnmatchcase(each, self.identifier) for each in named)


class FoundFindings(NamedTuple):
    """What was found by one look.

    Attributes:
        rows: the newest change first.
        before: place where the next look goes on; None: there is nothing behind it.
        looked: at how many findings.
    """

    rows: Sequence[ListedFinding]
    before: int | None
    looked: int


@frozen
class FindingSearch:
    """Looks for findings.

    Attributes:
        log: of the realm.
        silences: gives those in force.
        acknowledged: tells whether somebody looks into the finding of an id.
        seconds: for which one look lasts.
    """

    log: SearchedFindings
    silences: Callable[[], tuple[Silence, ...]]
    acknowledged: Callable[[str], bool]
    seconds: float = SECONDS

    async def look(
        self, wanted: FindingFilter, before: int | None, limit: int
    ) -> FoundFindings:
        """Look for findings from a place back.

        Args:
            wanted: which.
            before: place of a change; None: look from the last change on.
            limit: most findings.

        Raises:
            BehindError: not all is read that was told by now.
        """
        loop = asyncio.get_running_loop()
        end, turn = loop.time() + self.seconds, loop.time() + SLICE_SECONDS
        silences, looked, piece = self.silences(), 0, FIRST_PIECE
        found: list[ListedFinding] = []
        while rows := await self.log.before(before, piece):
            for row in rows:
                looked, before = looked + 1, row.changed
                if wanted.matches(row.finding, self._states(row, silences)):
                    found.append(row)
                    if len(found) == limit:
                        return FoundFindings(found, before, looked)
                if loop.time() > turn:
                    await asyncio.sleep(0)
                    turn = loop.time() + SLICE_SECONDS
            if loop.time() > end:
                return FoundFindings(found, before, looked)
            piece = PIECE
        return FoundFindings(found, None, looked)

    def _states(
        self, row: ListedFinding, silences: Sequence[Silence]
    ) -> frozenset[str]:
        acknowledged = self.acknowledged(row.finding.id)
        states = {ACKNOWLEDGED} if acknowledged else set()
        if not row.open:
            return frozenset({CLOSED, *states})
        quiet = silenced(row.finding, silences) is not None
        states |= {OPEN} | ({SILENCED} if quiet else set())
        return frozenset(states if quiet or acknowledged else {NEW, *states})


def _kinds(text: str) -> frozenset[FindingKind]:
    given = {each.strip() for each in text.split(",") if each.strip()}
    known = {kind.value: kind for kind in FindingKind}
    if unknown := sorted(given - known.keys()):
        raise ValueError(
            f"kind: no kinds of findings: {', '.join(unknown)}; "
            f"the kinds are {', '.join(sorted(known))}"
        )
    return frozenset(known[each] for each in given)


def _severity(text: str) -> int:
    names = {each.name.lower(): int(each) for each in Severity}
    numbers = {str(number): number for number in names.values()}
    if text and text not in names | numbers:
        raise ValueError(f"severity is the least one: {', '.join(names)}")
    return (names | numbers | {"": 0})[text]


def _text(query: Mapping[str, str], name: str) -> str:
    text = query.get(name, "")
    if len(text) > MOST_TEXT:
        raise ValueError(f"{name} is a text of at most {MOST_TEXT} characters")
    return text


def _time(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    try:
        return typed_time(text) if text else None
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error
