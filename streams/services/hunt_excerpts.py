"""What a hunt keeps of the records of a log: columns of uses, and lineage.

Several processes may read logs, each with an `ExcerptWriter`. Hashes of contents are
compared between them, so they depend on the seed of the process's strings alone.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.model.records import Outcome

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from streams.model.records import Access, Lifecycle

LIFECYCLE: Final = -1  # in the place of what is presented
TIMELESS: Final = -2  # an access without a time
OUTCOMES: Final[tuple[Outcome | None, ...]] = (None, "allowed", "denied")
DENIED: Final = OUTCOMES.index("denied")
MOST_RECORDS: Final = 1 << 12  # of an excerpt
INNER, OPENS, ALONE = range(3)  # a record's place in its event


class Excerpt(NamedTuple):
    """What a run of records says.

    Attributes:
        contents: hash of each record but the dead letters, without its offset.
        opens: ALONE where the record is all of its event, OPENS where it is the first
            of it, else INNER.
        who: what each record presents: the place in all that its writer gave in
            ``presented``, LIFECYCLE or TIMELESS.
        times: of each use (ns), else 0.
        outcomes: of each access, a place in OUTCOMES.
        event_ids: of each record, as `marshal` writes a list.
        keys: hash of the event's identity of each record that is alone; of one without
            an id its content; of the others 0.
        marks: of the other events that have an id: hash of the identity, then of the
            content.
        presented: names and time of issue of what was not presented in the excerpts
            before; plain tuples, which are sent in half the time.
        said: records that state something about authority, without expiry: that is no
            cause of a finding.
        dead_letters: number of them.
    """

    contents: array[int]
    opens: bytes
    who: array[int]
    times: array[int]
    outcomes: bytes
    event_ids: bytes
    keys: array[int]
    marks: array[int]
    presented: list[tuple[tuple[Identifier, ...], int | None]]
    said: list[Lifecycle | Access]
    dead_letters: int


def places() -> array[int]:
    """Empty list of places of presentations."""
    return array("i")
