"""Know the uses of CloudTrail's lines without decoding them.

A line is cut where all lines of CloudTrail have the same keys: before its time stands
who calls, behind it what was called from where, then what was asked for and answered,
its ids, and in which account. What these pieces say is remembered (`Fragments`). Lines
that cannot be cut so, or whose pieces are not plain, are left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, field

from streams.model.times import SECOND, sound_time
from streams.sources.aws.use_batches import CHANGES
from streams.sources.aws.vendor import DIGEST
from streams.sources.reading.fragments import AFTER_TEXT, BEFORE_KEY, Fragments
from streams.sources.reading.wrapping import WRAPPING

if TYPE_CHECKING:
    from streams.model.use_batch import BatchCaller
    from streams.sources.aws.use_batches import AwsColumns, CountedUse, PlainUses

_TIME: Final = b',"eventTime":"'
_ASKED: Final = b',"requestParameters":'
_REQUEST: Final = b',"requestID":"'
_ID: Final = b'","eventID":"'
_END: Final = b'"'
_TIME_LENGTH: Final = len("2026-01-01T00:00:00Z")
_MINUTE: Final = len("2026-01-01T00:00:")
_ID_LENGTH: Final = 36
_SECONDS: Final = {b"%02dZ" % second: second * SECOND for second in range(60)}
_HEX: Final = b"0123456789ABCDEFabcdef-"
_PLAIN: Final = b"%bGHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz+/=_.:" % _HEX
_WHO: Final = "userIdentity"
_WHO_ALONE: Final = {_WHO}
_CALL: Final = frozenset({
    "eventSource", "eventName", "recipientAccountId", "sourceIPAddress", "userAgent",
    "errorCode", "errorMessage",
})  # fmt: skip
_NAMES: Final = WRAPPING.union(_CALL, (_WHO, "eventTime", "eventID", DIGEST))
_MOST: Final = 8192  # pieces of each kind: mostly below 1 KiB each
_SHORT: Final = 512  # bytes of a request that is remembered

# Of a call by a key, and by a session: they differ in what a failure means.
_Uses = tuple["CountedUse", "CountedUse"]
_What = tuple[bytes, bytes]  # what stands behind the time, and behind the id
_Row = tuple["BatchCaller", "CountedUse", bytes, int, bytes, int]
_Cut = tuple[bytes, _What, bytes, bytes, int, bytes, int]


@define(eq=False)
class PlainLines:
    """Uses of lines that need not be decoded, and the places of the others.

    Attributes:
        columns: callers, uses, event ids, times and places of the uses.
        left: places of all other lines.
        changing: those of them that may change something.
    """

    columns: AwsColumns | None = None
    left: list[int] = field(factory=list)
    changing: set[int] = field(factory=set)


class LineUses:
    """Pieces of lines that came before."""

    def __init__(self, plain: PlainUses) -> None:
        """Start with none; callers and calls are those of ``plain``."""
        self._plain = plain
        self._pieces = Fragments(_NAMES)
        self._callers: dict[bytes, BatchCaller] = {}
        self._uses: dict[_What, _Uses | tuple[()]] = {}
        self._asked: set[bytes] = set()  # requests without anything that matters
        self._minutes: dict[bytes, int] = {}

    def look(self, lines: list[bytes]) -> PlainLines:
        """Return the uses of lines; the others are left."""
        for table in (self._callers, self._uses, self._asked, self._minutes):
            if len(table) >= _MOST:
                table.clear()
        callers, known, asked = self._callers.get, self._uses.get, self._asked
        minutes, seconds = self._minutes.get, _SECONDS.get
        found, rows, others = PlainLines(), list[_Row](), list[_Cut]()
        for place, line in enumerate(lines):
            head, _, rest = line.partition(_TIME)
            call, _, rest = rest.partition(_ASKED)
            request, _, rest = rest.partition(_REQUEST)
            number, _, rest = rest.partition(_ID)
            what = call[_TIME_LENGTH:], rest[_ID_LENGTH:]
            uses, minute = known(what), call[:_MINUTE]
            if uses is CHANGES:
                found.changing.add(place)
                found.left.append(place)
                continue
            begun = minutes(minute) or self._minute(minute)
            second = seconds(call[_MINUTE:_TIME_LENGTH])
            if begun is None or second is None:
                found.left.append(place)
                continue
            caller, event_id, at = callers(head), rest[:_ID_LENGTH], begun + second
            if uses and caller and request in asked:
                use = uses[caller.issued_at is not None]
                rows.append((caller, use, event_id, at, number, place))
            else:
                others.append((head, what, request, event_id, at, number, place))
        for cut in others:  # apart: the loop above stays in the caches
            self._learn(cut, rows, found)
        _take_sound(rows, found)
        return found

    def _learn(self, cut: _Cut, rows: list[_Row], found: PlainLines) -> None:
        """Read the pieces of a line that are new; where it is not plain it is left."""
        head, what, request, event_id, at, number, place = cut
        uses = self._uses.get(what)
        if uses is None:
            uses = self._called(what)
        caller = (self._callers.get(head) or self._caller(head)) if uses else None
        if uses and caller and self._says_nothing(request):
            use = uses[caller.issued_at is not None]
            rows.append((caller, use, event_id, at, number, place))
            return
        found.left.append(place)
        if uses is CHANGES:
            found.changing.add(place)

    def _called(self, what: _What) -> _Uses | tuple[()] | None:
        """Read what was called, from where, and in which account."""
        call, account = what
        if not (call.startswith(_END) and account.startswith(_END)):
            return None  # the time or the id goes on
        before = self._pieces.members(AFTER_TEXT + call + BEFORE_KEY)
        behind = self._pieces.members(AFTER_TEXT + account)
        if before is None or behind is None:
            return None
        said = before | behind
        if not _CALL.issuperset(said):
            return None
        uses = self._plain.uses(said)
        if uses is not None:
            self._uses[what] = uses
        return uses

    def _caller(self, head: bytes) -> BatchCaller | None:
        said = self._pieces.decoded(head + BEFORE_KEY)
        if said is None or said.keys() != _WHO_ALONE:
            return None
        identity = said[_WHO]
        caller = self._plain.caller(identity) if type(identity) is dict else None
        if caller is not None:
            self._callers[head] = caller
        return caller

    def _minute(self, text: bytes) -> int | None:
        if text in self._minutes or not text.isascii():
            return self._minutes.get(text)
        begun = sound_time(f"{text.decode()}00Z")
        if begun is not None:
            self._minutes[text] = begun
        return begun

    def _says_nothing(self, request: bytes) -> bool:
        """Whether a request and its answer are JSON, and nothing of them matters."""
        if request in self._asked:
            return True
        nothing = self._pieces.members(b"{" + _ASKED[1:] + request + BEFORE_KEY) == {}
        if nothing and len(request) <= _SHORT:
            self._asked.add(request)
        return nothing


def _take_sound(rows: list[_Row], found: PlainLines) -> None:
    """Take the rows whose ids are such that their lines can be read in no other way."""
    if not rows:
        return
    callers, uses, ids, times, numbers, places = zip(*rows, strict=True)
    # Each id has its length: behind it stands the end of a text.
    if b"".join(ids).translate(None, _HEX) or b"".join(numbers).translate(None, _PLAIN):
        found.left += [row[-1] for row in rows if not _is_sound(row)]
        _take_sound([row for row in rows if _is_sound(row)], found)
        return
    found.columns = callers, uses, list(map(bytes.decode, ids)), times, places


def _is_sound(row: _Row) -> bool:
    _, _, event_id, _, number, _ = row
    return not (event_id.translate(None, _HEX) or number.translate(None, _PLAIN))
