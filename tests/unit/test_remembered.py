"""Uses are remembered in pieces: joined, found, saved, and forgotten whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson
import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from agents_registry.steps import finish
from streams.stages.access import columns
from streams.stages.access.columns import U64, AccessColumns, joined, prints_of
from streams.stages.access.index import FAN, AccessIndex
from streams.stages.access.joining import SINGLES
from streams.stages.access.segment import IN_FLIGHT, MINUTE, REPORTED, Merged, Segment
from streams.stages.access.uses import AccessEvent

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.unit

DAY = 24 * 60 * MINUTE
TOKEN = Identifier("vault.accessor", "t")
OTHER = Identifier("vault.accessor", "ö")
HASH = Identifier("vault.token_hmac", "h")


def use(
    at: int = 5,
    event_id: str | None = "e",
    names: tuple[Identifier, ...] = (TOKEN,),
    point: str = "door",
) -> AccessEvent:
    """Give a use."""
    return AccessEvent(names, point, "allowed", at, event_id)


def rows(remembered: AccessIndex, name: Identifier = TOKEN) -> list[AccessEvent]:
    """Give the remembered uses of a credential."""
    prints = np.array([prints_of(name)[0]], U64)
    found = remembered.find(prints)
    return [piece.lines.use(row) for piece, of in found for row in of.tolist()]


def told(remembered: AccessIndex) -> list[Merged]:
    """Give first and number of all rows, each row once."""
    return [
        piece.merged.get(row, Merged(int(piece.lines.at[row]), 1))
        for piece in remembered
        for row in range(len(piece))
    ]


def saved(remembered: AccessIndex, before: dict[str, bytes]) -> dict[str, bytes]:
    """Give what is saved after a step."""
    after = before.copy()
    for key, body in finish(remembered.changes()).items():
        if body is None:
            after.pop(key)
        else:
            after[key] = body
    return after


def test_uses_come_back_from_columns_as_they_were() -> None:
    """All fields, several identifiers, and texts that are not ASCII."""
    uses = [
        AccessEvent((OTHER, HASH), "p", "denied", -7, None, "Zoë", 3, ("r|x", "r|y")),
        AccessEvent((TOKEN,), "", None, 2**62, "e\n[]"),
        AccessEvent((HASH,), "p", "unknown", 0, "é", None, None, ()),
    ]
    lines = AccessColumns.of(uses)
    again = AccessColumns.read(
        lines.points, lines.columns() | {"point": lines.point.tobytes()}
    )

    assert uses == [again.use(row) for row in range(3)]
    assert uses[::-2] == [
        one for lines in [again.chosen([2, 0])] for one in map(lines.use, (0, 1))
    ]
    assert [uses[0], uses[2]] == again.scoped()
    assert uses * 2 == [joined([lines, again]).use(row) for row in range(6)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": b"\2\2"},
        {"outcome": b"\7"},
        {"names": b"\0\0"},
        {"names": b"\2\0"},
        {"ends": b"\0\0\0\0"},
        {"at": b"1234567"},
        {"texts": b"[]"},
        {"checks": b"12345678" * 2},
    ],
)
def test_columns_that_do_not_fit_are_refused(wrong: dict[str, bytes]) -> None:
    """A block is read whole, or it is poison."""
    good = AccessColumns.of([use()]).columns()
    AccessColumns.read(("p",), good)

    with pytest.raises(ValueError, match=r"column|print|buffer|element"):
        AccessColumns.read(("p",), good | wrong)


@pytest.mark.parametrize(
    "text", [b'["a:b"]', b"1\n[]", b'["ab"]\n[]', b"[\n[", b"[1]\n[]"]
)
def test_a_text_that_is_no_access_is_an_error(text: bytes) -> None:
    """It is read only when somebody has to know."""
    good = AccessColumns.of([use()])
    ends = np.array([len(text)], columns.U32)
    lines = AccessColumns.read(
        ("p",), good.columns() | {"texts": text, "ends": ends.tobytes()}
    )

    with pytest.raises(ValueError, match="a row holds no access"):
        lines.use(0)


def test_what_cannot_be_written_is_an_error() -> None:
    """A lone surrogate is no text; nobody presents nothing."""
    with pytest.raises(ValueError, match="no text"):
        AccessColumns.of([use(event_id=None)._replace(owner="\ud800")])
    with pytest.raises(ValueError, match="presents"):
        AccessColumns.of([use(names=())])


def test_a_time_of_another_century_is_the_last_one() -> None:
    """A log line says what it likes."""
    assert columns.LATEST == AccessColumns.of([use(at=10**30)]).use(0).at


def test_pieces_are_joined_and_found_after_a_restart() -> None:
    """There are few pieces whatever came in, and each use is in one."""
    remembered, files = AccessIndex(DAY), dict[str, bytes]()
    for number in range(FAN * FAN + 3):
        names = (TOKEN, HASH) if number % 7 == 0 else (OTHER,)
        remembered.add(AccessColumns.of([use(number * MINUTE, "e", names)]), number)
        files = saved(remembered, files)
    again = AccessIndex(DAY)
    again.restore(files.items())

    assert len(list(remembered)) < 2 * FAN
    assert files.keys() == {piece.key for piece in again}
    for each in (remembered, again):
        at = [one.at // MINUTE for one in rows(each, HASH)]
        assert list(range(0, FAN * FAN + 3, 7)) == at
    again.add(AccessColumns.of([use()]), 5)
    assert len({piece.key for piece in again}) == len(list(again))


def test_a_burst_takes_few_rows_and_none_is_lost() -> None:
    """In a minute some are kept one by one, of the rest first, last and how many."""
    remembered = AccessIndex(DAY)
    each = 10
    for number in range(FAN):
        start = number * each
        batch = [use(at, f"e{at}") for at in range(start, start + each)]
        remembered.add(AccessColumns.of([*batch, use(start, "x", (OTHER,))]), 0)
        finish(remembered.changes())
    (piece,) = remembered

    assert SINGLES + FAN == len(remembered)
    assert FAN * each + FAN == sum(times for _, times in told(remembered))
    ((row, of),) = piece.merged.items()
    assert (SINGLES - 1, FAN * each - 1) == (of.first, piece.lines.use(row).at)
    again = Segment.load(piece.key, piece.dump(), None)
    assert piece.merged == again.merged


def test_a_burst_keeps_apart_what_was_told_and_what_was_counted() -> None:
    """What was reported is not needed; what was in flight may be reported yet."""
    remembered = AccessIndex(DAY)
    marks = (0, IN_FLIGHT, REPORTED)
    for number in range(FAN):
        batch = [use(100 * number + n, f"{number}/{n}") for n in range(9)]
        piece = remembered.add(AccessColumns.of(batch), 0)
        for row in range(9):
            remembered.mark(piece, row, marks[row % 3])
        finish(remembered.changes())
    (piece,) = remembered
    times = {
        mark: sum(
            piece.merged.get(row, Merged(0, 1)).times
            for row in range(len(piece))
            if piece.marks[row] == mark
        )
        for mark in marks
    }

    assert (3 * FAN, 3 * FAN) == (times[0], times[IN_FLIGHT])
    assert times[REPORTED] < 3 * FAN
    assert len(piece) <= SINGLES + 1


def test_a_line_that_comes_again_in_a_burst_is_not_counted_twice() -> None:
    """Also where it came in another piece."""
    remembered = AccessIndex(DAY)
    for _ in range(FAN):
        batch = [use(at, f"e{at}") for at in range(SINGLES + 8)]
        remembered.add(AccessColumns.of(batch), 0)
        finish(remembered.changes())

    assert SINGLES + 8 == sum(times for _, times in told(remembered))


def test_a_burst_keeps_scopes_apart() -> None:
    """A use may be beyond its scopes by a fact that comes later."""
    remembered = AccessIndex(DAY)
    for number in range(FAN):
        batch = [
            use(5, f"{number}/{n}{scope}")._replace(scopes=(scope,))
            for n in range(4)
            for scope in ("a|x", "a|y")
        ]
        remembered.add(AccessColumns.of(batch), 0)
        finish(remembered.changes())
    (piece,) = remembered

    assert {("a|x",), ("a|y",)} == {piece.lines.use(row).scopes for row in piece.merged}


def test_scopes_that_cannot_be_read_stop_no_join() -> None:
    """The line is told of when it is judged."""
    lines = AccessColumns.of([use(5, "e")._replace(scopes=("a|x",))])
    broken = evolve(lines, texts=lines.texts.replace(b'"a|x"', b'!a|x"'))

    assert ("['a|x']", "") == (lines.scopes(0), broken.scopes(0))


def test_bursts_whose_prints_collide_stay_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows are joined by what they say, not by what they are found by."""
    monkeypatch.setattr(columns, "prints_of", lambda _: (1, 1))
    remembered = AccessIndex(DAY)
    for number in range(FAN):
        batch = [
            use(5, f"{number}/{n}", (name,))
            for n in range(3)
            for name in (TOKEN, OTHER)
        ]
        remembered.add(AccessColumns.of(batch), 0)
        finish(remembered.changes())
    (piece,) = remembered

    assert 2 * SINGLES == len(piece)
    assert {TOKEN, OTHER} == {
        piece.lines.use(row).identifiers[0] for row in piece.merged
    }


def test_pieces_that_lie_hours_apart_are_not_joined() -> None:
    """Else what is old would stay because of what is new."""
    remembered = AccessIndex(DAY)
    for number in range(FAN):
        remembered.add(AccessColumns.of([use(number)]), number * DAY // FAN)
        finish(remembered.changes())
    remembered.forget(DAY // 2)

    assert FAN // 2 == len(remembered)


def test_what_is_too_much_is_forgotten_the_oldest_first() -> None:
    """Memory is bounded, and what was lost is told."""
    remembered = AccessIndex(DAY, most=5)
    for number in range(8):
        remembered.add(AccessColumns.of([use(number)]), number)
        if number == 2:
            finish(remembered.changes())

    assert 2 == remembered.forget(1)
    assert [3, 4, 5, 6, 7] == [one.at for one in rows(remembered)]
    dropped = {k for k, body in finish(remembered.changes()).items() if body is None}
    assert {f"p{number:012}" for number in range(3)} == dropped


@pytest.mark.parametrize("before", range(7))
def test_what_is_young_enough_stays_to_the_last_ns(before: int) -> None:
    """A piece goes once its newest row is older than asked, and not one ns sooner."""
    remembered = AccessIndex(DAY, most=6)
    for number in range(6):
        remembered.add(AccessColumns.of([use(number)]), number)

    assert 0 == remembered.forget(before)
    assert list(range(before, 6)) == [one.at for one in rows(remembered)]


def test_a_piece_stays_as_long_as_its_newest_row() -> None:
    """What was joined goes whole, so what is old stays beside what is young."""
    remembered = AccessIndex(DAY)
    for number in range(FAN):
        remembered.add(AccessColumns.of([use(number, f"e{number}")]), number)
        finish(remembered.changes())
    (piece,) = remembered

    assert (0, FAN - 1) == (piece.oldest, piece.newest)
    assert 0 == remembered.forget(FAN - 1)
    assert FAN == len(rows(remembered))
    remembered.forget(FAN)
    assert [] == rows(remembered)


def test_what_is_old_makes_room_for_what_is_young() -> None:
    """Rows that are due anyway leave the bound to the others."""
    remembered = AccessIndex(DAY, most=3)
    for number in range(6):
        remembered.add(AccessColumns.of([use(number)]), number)

    assert 0 == remembered.forget(3)
    assert [3, 4, 5] == [one.at for one in rows(remembered)]


def buckets() -> Iterable[tuple[str, bytes]]:
    """Give uses as earlier versions saved them: a row a credential and minute."""
    for name, singles in (
        ("vault.accessor:t", [[5, "e", 5, 1, True], [6, None, 6, 1, False]]),
        ("vault.token_hmac:h", [[9, "z", 7, 3, False]]),
    ):
        plain = [[name], "door", "allowed", 0, 77, "ann", singles]
        yield f"{name}\0\0door\0allowed\0{0}", orjson.dumps(plain)


def test_what_earlier_versions_saved_is_taken_over() -> None:
    """As one piece, and their rows go."""
    remembered = AccessIndex(DAY)
    before = dict(buckets())
    remembered.restore(before.items())
    after = saved(remembered, before)
    (piece,) = remembered

    assert (77, 77, 3) == (piece.oldest, piece.newest, len(piece))
    assert [REPORTED, 0, 0] == piece.marks.tolist()
    assert {2: Merged(7, 3)} == piece.merged
    assert "ann" == piece.lines.use(2).owner
    assert after.keys() == {piece.key, f"{piece.key}m"}
    again = AccessIndex(DAY)
    again.restore(after.items())
    assert rows(remembered) == rows(again)


def test_many_large_pieces_are_joined_in_steps() -> None:
    """What is remembered meanwhile is all there, as before the join."""
    remembered = AccessIndex(DAY)
    for number in range(FAN):
        at = number * MINUTE
        uses = [
            AccessEvent(
                (Identifier("vault.accessor", f"{n}"),), "p", "allowed", at, None
            )
            for n in range(20)
        ]
        remembered.add(AccessColumns.of(uses), at)
    counts = [len(remembered) for _ in remembered.changes()]

    assert len(counts) >= 3
    assert set(counts) == {len(remembered)} == {FAN * 20}
    assert 1 == len(list(remembered))
