"""What is found in a batch of a source, and how it is told.

Event ids and types are told, names whose secrets are concealed, and codes of ours. Of a
subject that has no name nothing is told: that may be an address or a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.model.findings import FindingKind
from streams.model.records import DeadLetter
from streams.model.times import rfc3339
from streams.stages.ingest.ingress import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.model.records import Access, Lifecycle

EXAMPLES: Final = 5  # ids of events that stand in a finding
MOST_TEXT: Final = 200
# What a mapper says of a change whose subject it cannot name, in words.
_NAMELESS: Final = {
    "no_target": "is about nobody whom Rescind knows, so nothing was denied",
    "subject_by_attribute": (
        "names its subject by an e-mail address, a phone number or an account alone, "
        "which no known name has"
    ),
    "needs_pepper": (
        "names its subject by a value that is looked up with a pepper, and none is set"
    ),
}
UNMAPPED: Final = frozenset(_NAMELESS)
_ORDERED: Final = frozenset({FindingKind.UNMAPPED_SUBJECT})

GAP: Final = (
    "events from {} to {} are not kept any more at the source, and were never read: "
    "revocations of that time may be among them"
)
NAMELESS: Final = "a change of {}{} {} ({})"
COLLIDED: Final = (
    "{}: an event about {} came again under the same id with other content; both are "
    "treated as true"
)


@frozen
class SourceNotice:
    """Something about a source that people should know.

    Attributes:
        ended_by: whoever ordered the change, as its event names them.
        reason: why, as its event says.
        over: what was told of this kind is so no more.
    """

    kind: FindingKind
    at: int
    detail: str = ""
    event_ids: tuple[str, ...] = ()
    ended_by: str | None = None
    reason: str | None = None
    over: bool = False

    def signal(self, name: str) -> dict[str, Any]:
        """Signal for the sentinel's finding, JSON-ready."""
        return {
            "kind": self.kind.value,
            "presented": ["source", name[:MOST_TEXT]],
            "at": self.at,
            "event_ids": list(self.event_ids),
            "detail": self.detail,
            "ended_by": self.ended_by,
            "authority": name if self.kind in _ORDERED else None,
            "reason": self.reason,
            "over": self.over,
        }


def lost(begin: int, end: int, now: int, loss: str = "") -> SourceNotice:
    """Say that events of a time are lost, and how where that is known."""
    detail = loss or GAP.format(rfc3339(begin), rfc3339(end))
    return SourceNotice(FindingKind.SOURCE_GAP, now, detail)


def unmapped(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Dead letters of changes whose subject has no identifier."""
    return [letter for letter in letters if code_of(letter) in UNMAPPED]


def code_of(letter: DeadLetter) -> str:
    """Constant code of a dead letter's reason."""
    return letter.reason.partition(":")[0][:MOST_TEXT]


def nameless(
    letters: Iterable[DeadLetter], known: frozenset[str], now: int
) -> list[SourceNotice]:
    """Say what could not be named: by what, and which events; never whom.

    Args:
        letters: as `unmapped` gives them.
        known: ids of events that are findings already.
        now: ns.
    """
    groups: dict[tuple[str, str], list[DeadLetter]] = {}
    for one in letters:
        if one.event_id in known:
            continue
        key = code_of(one), (one.event_type or one.source)[:MOST_TEXT]
        groups.setdefault(key, []).append(one)
    return [_nameless(*key, some, now) for key, some in groups.items()]


def _nameless(
    code: str, event_type: str, letters: Sequence[DeadLetter], now: int
) -> SourceNotice:
    times = sorted({one.occurred_at for one in letters if one.occurred_at is not None})
    ends = dict.fromkeys(str(rfc3339(one)) for one in (*times[:1], *times[-1:]))
    at = f" at {' to '.join(ends)}" if ends else ""
    ids = dict.fromkeys(one.event_id for one in letters if one.event_id)
    by = {told(str(one.actor[0])) if one.actor else None for one in letters}
    why = {told(one.stated) for one in letters}
    return SourceNotice(
        FindingKind.UNMAPPED_SUBJECT,
        now,
        NAMELESS.format(event_type, at, _NAMELESS[code], code),
        tuple(ids)[:EXAMPLES],
        ended_by=by.pop() if len(by) == 1 else None,
        reason=why.pop() if len(why) == 1 else None,
    )


def collided(events: Iterable[Lifecycle | Access], now: int) -> list[SourceNotice]:
    """Say which events came again under the same id with other content."""
    groups: dict[str, list[Lifecycle | Access]] = {}
    for one in events:
        groups.setdefault(one.event_type[:MOST_TEXT], []).append(one)
    return [_collided(kind, some, now) for kind, some in groups.items()]


def _collided(
    kind: str, events: Sequence[Lifecycle | Access], now: int
) -> SourceNotice:
    ids = dict.fromkeys(one.event_id for one in events if one.event_id)
    about = dict.fromkeys(
        str(one.identifiers[0])[:MOST_TEXT] for one in events if one.identifiers
    )
    named = ", ".join([*about][:EXAMPLES]) or "nothing that can be named"
    detail = COLLIDED.format(kind, named)
    return SourceNotice(FindingKind.ID_COLLISION, now, detail, tuple(ids)[:EXAMPLES])


def last_code(letters: Sequence[DeadLetter]) -> str:
    """Code of the last dead letter, "" without one."""
    return code_of(letters[-1]) if letters else ""
