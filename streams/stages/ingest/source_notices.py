"""What is found in a batch of a source, and how it is told.

Event ids and types are told, codes of ours too, and nothing of whom an event is about:
that may be an address or a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from streams.model.findings import FindingKind
from streams.model.records import DeadLetter
from streams.model.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.model.records import Access, Lifecycle

EXAMPLES: Final = 5  # ids of events that stand in a finding
MOST_TEXT: Final = 200
# What a mapper says of a change whose subject it cannot name, in words.
_NAMELESS: Final = {
    "no_target": "names nobody that can be denied",
    "subject_by_attribute": (
        "names its subject by an e-mail address, a phone number or an account alone, "
        "which no known name has"
    ),
    "needs_pepper": (
        "names its subject by a value that is looked up with a pepper, and none is set"
    ),
}
UNMAPPED: Final = frozenset(_NAMELESS)

GAP: Final = (
    "events from {} to {} are not kept any more at the source, and were never read: "
    "revocations of that time may be among them"
)
NAMELESS: Final = "a change of {} {} ({})"
COLLIDED: Final = (
    "{}: an event came again under the same id with other content; both are treated "
    "as true"
)


@frozen
class SourceNotice:
    """Something about a source that people should know.

    Attributes:
        over: what was told of this kind is so no more.
    """

    kind: FindingKind
    at: int
    detail: str = ""
    event_ids: tuple[str, ...] = ()
    over: bool = False

    def signal(self, name: str) -> dict[str, Any]:
        """Signal for the sentinel's finding, JSON-ready."""
        return {
            "kind": self.kind.value,
            "presented": ["source", name[:MOST_TEXT]],
            "at": self.at,
            "event_ids": list(self.event_ids),
            "detail": self.detail,
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
    groups: dict[tuple[str, str], dict[str, None]] = {}
    for one in letters:
        if one.event_id in known:
            continue
        key = code_of(one), (one.event_type or one.source)[:MOST_TEXT]
        ids = groups.setdefault(key, {})
        if one.event_id and len(ids) < EXAMPLES:
            ids[one.event_id] = None
    return [
        SourceNotice(FindingKind.UNMAPPED_SUBJECT, now, _nameless(*key), tuple(ids))
        for key, ids in groups.items()
    ]


def _nameless(code: str, event_type: str) -> str:
    return NAMELESS.format(event_type, _NAMELESS[code], code)


def collided(events: Iterable[Lifecycle | Access], now: int) -> list[SourceNotice]:
    """Say which events came again under the same id with other content."""
    groups: dict[str, dict[str, None]] = {}
    for one in events:
        ids = groups.setdefault(one.event_type[:MOST_TEXT], {})
        if one.event_id and len(ids) < EXAMPLES:
            ids[one.event_id] = None
    return [
        SourceNotice(FindingKind.ID_COLLISION, now, COLLIDED.format(kind), tuple(ids))
        for kind, ids in groups.items()
    ]


def last_code(letters: Sequence[DeadLetter]) -> str:
    """Code of the last dead letter, "" without one."""
    return code_of(letters[-1]) if letters else ""
