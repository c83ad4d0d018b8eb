"""How a source is: one small record, kept over restarts, changed by pure steps.

A source is a way in that the settings name: a hook, a poll, a watched file, a topic.
What came over it is counted where it is written to the log, so a new kind of receiver
has its record without doing anything for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import attrs
from attrs import frozen

from streams.model.findings import FindingKind
from streams.model.records import DeadLetter
from streams.model.times import rfc3339
from streams.stages.ingest.source_notices import MOST_TEXT, SourceNotice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.model.records import Record

COUNTS: Final = (
    "accepted", "dead_letters", "unmapped", "collisions", "refused", "failed",
)  # fmt: skip
LATE: Final = "no event came since {}"
UNANSWERED: Final = "no request of Rescind was answered since {} ({})"


class Batch(NamedTuple):
    """What came at once.

    Attributes:
        accepted: records taken in; dead_letters: pieces that could not be.
        unmapped: of these, changes whose subject nobody can name.
        collisions: events that came before under the same id with other content.
        repeated: events, or records without an id, that came before.
        newest: the latest time of an event (ns), None without one.
        reason: code of the last dead letter.
        gap: from when to when (ns) the events before these are lost.
    """

    accepted: int = 0
    dead_letters: int = 0
    unmapped: int = 0
    collisions: int = 0
    repeated: int = 0
    newest: int | None = None
    reason: str = ""
    gap: tuple[int, int] | None = None


@frozen
class Expected:
    """For how long a source may be silent (ns); 0: for ever.

    Attributes:
        event: without any event.
        answer: without any answer, where it is we who ask.
    """

    event: int = 0
    answer: int = 0


@frozen
class HealthRecord:
    """What is known of a source; all times in ns since 1970, None: never.

    Attributes:
        authority: on whose behalf it spoke last.
        started_at: when we began to listen; silence counts from here at first.
        heard_at: when the last event was taken in.
        answered_at: when a request of ours was last answered, or one was taken.
        lag: from the time of the newest event of the last batch to its acceptance.
        accepted, dead_letters, unmapped, collisions: as `Batch` has them, in all.
        reason: code of the last dead letter.
        refused: requests that were not authentic.
        failed: requests of ours without a usable answer.
        trouble: why the last one failed, "" once one is answered.
        gap: the last time that events may be missing from, begin and end.
        silent: nothing came for too long, and nothing did since.
        told: the finding on that is open.
    """

    authority: str = ""
    started_at: int | None = None
    heard_at: int | None = None
    answered_at: int | None = None
    lag: int | None = None
    accepted: int = 0
    dead_letters: int = 0
    unmapped: int = 0
    collisions: int = 0
    reason: str = ""
    refused: int = 0
    failed: int = 0
    trouble: str = ""
    gap: tuple[int, int] | None = None
    silent: bool = False
    told: bool = False

    @property
    def good(self) -> bool:
        """Whether nothing is known against the source now."""
        return not (self.silent or self.trouble)


Step: TypeAlias = tuple[HealthRecord, tuple[SourceNotice, ...]]


def took(health: HealthRecord, batch: Batch, authority: str, now: int) -> HealthRecord:
    """Note what was taken in.

    What nobody can read is no event: a source whose format changed falls silent.
    """
    after = attrs.evolve(
        health,
        authority=authority,
        accepted=health.accepted + batch.accepted,
        dead_letters=health.dead_letters + batch.dead_letters,
        unmapped=health.unmapped + batch.unmapped,
        collisions=health.collisions + batch.collisions,
        reason=batch.reason or health.reason,
        gap=batch.gap or health.gap,
    )
    if not batch.accepted:
        return after
    lag = health.lag if batch.newest is None else max(0, now - batch.newest)
    gap = (_last_event(health), now) if health.silent else after.gap
    return attrs.evolve(after, heard_at=now, lag=lag, silent=False, gap=gap)


def answered(health: HealthRecord, now: int) -> HealthRecord:
    """Note that a request of ours was answered, or one of theirs was taken."""
    return attrs.evolve(health, answered_at=now, trouble="")


def refused(health: HealthRecord) -> HealthRecord:
    """Note a request that was not authentic."""
    return attrs.evolve(health, refused=health.refused + 1)


def failed(health: HealthRecord, why: str) -> HealthRecord:
    """Note that a request of ours got no usable answer."""
    return attrs.evolve(health, failed=health.failed + 1, trouble=why[:MOST_TEXT])


def waited(health: HealthRecord, expected: Expected, now: int) -> Step:
    """Look whether a source has been silent for too long, or is so no more."""
    if health.started_at is None:
        return attrs.evolve(health, started_at=now), ()
    detail = _silence(health, expected, now)
    silent = detail is not None
    after = attrs.evolve(health, silent=silent, told=silent)
    if silent == health.told:
        return after, ()
    notice = SourceNotice(FindingKind.SOURCE_SILENT, now, detail or "", over=not silent)
    return after, (notice,)


def _silence(health: HealthRecord, expected: Expected, now: int) -> str | None:
    # What was silent before a start of ours is so until something comes.
    started = 0 if health.silent else health.started_at or 0
    if expected.event and now - max(started, health.heard_at or 0) > expected.event:
        return LATE.format(rfc3339(_last_event(health)))
    answer = max(started, health.answered_at or 0)
    if expected.answer and now - answer > expected.answer:
        return UNANSWERED.format(rfc3339(answer), health.trouble or "none came")
    return None


def _last_event(health: HealthRecord) -> int:
    return max(health.started_at or 0, health.heard_at or 0)


def alongside(health: HealthRecord, other: HealthRecord) -> HealthRecord:
    """Record merged with another process's news of the same source."""
    return attrs.evolve(
        health,
        heard_at=_later(health.heard_at, other.heard_at),
        answered_at=_later(health.answered_at, other.answered_at),
    )


def together(health: HealthRecord, other: HealthRecord) -> HealthRecord:
    """Record of a source from two processes, each of which counted its share."""
    newer, older = (
        (other, health)
        if (other.heard_at or 0) > (health.heard_at or 0)
        else (health, other)
    )
    return attrs.evolve(
        alongside(health, other),
        authority=newer.authority or older.authority,
        lag=older.lag if newer.lag is None else newer.lag,
        reason=newer.reason or older.reason,
        gap=max(filter(None, (health.gap, other.gap)), key=_end, default=None),
        **{name: getattr(health, name) + getattr(other, name) for name in COUNTS},
    )


def _later(one: int | None, other: int | None) -> int | None:
    return max(one or 0, other or 0) or None


def _end(gap: tuple[int, int]) -> int:
    return gap[1]


def newest_of(records: Iterable[Record]) -> int | None:
    """Latest time of the events of a batch."""
    times = (
        record.occurred_at
        for record in records
        if not isinstance(record, DeadLetter) and record.occurred_at is not None
    )
    return max(times, default=None)


def to_plain(health: HealthRecord) -> dict[str, Any]:
    """Record as JSON-ready values; times stay integer ns."""
    return attrs.asdict(health)


def from_plain(plain: dict[str, Any]) -> HealthRecord:
    """Read what `to_plain` gave; members of other versions are left out."""
    known = {one.name for one in attrs.fields(HealthRecord)}
    values = {name: value for name, value in plain.items() if name in known}
    values["gap"] = tuple(values["gap"]) if values.get("gap") else None
    return HealthRecord(**values)
