"""The form of a table: documented, recorded, and refused where it is another one."""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agents_registry import name_segments, table_form
from agents_registry import names as names_of_a_table
from agents_registry.facts import Cause, Effect, OwnerSet, Renewal, from_plain
from agents_registry.identifiers import Identifier
from agents_registry.inventory import table
from agents_registry.registry import Registry
from agents_registry.table_bounds import check_bounds
from agents_registry.table_form import (
    COLUMNS,
    DERIVED,
    OTHERS,
    ROWS,
    VERSION,
    Section,
    pack,
    unpack,
)
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents_registry.facts import Fact

    Content = Callable[[int], bytes]

pytestmark = pytest.mark.unit

SAMPLE = Path(ROOT, "tests/samples/table-1.json")


@pytest.fixture(scope="module")
def sample() -> dict[str, Any]:
    """Give the facts and the table that were recorded."""
    return dict(orjson.loads(SAMPLE.read_bytes()))


@pytest.fixture
def parts() -> tuple[list[Section], list[bytes]]:
    """Give the table without facts."""
    return pack(Registry().dump(), orjson.dumps)


def reading(content: bytes) -> Content:
    """Give bytes some at a time."""
    return BytesIO(content).read


def sections_of(sample: dict[str, Any]) -> tuple[list[Section], Content]:
    """Read a recorded table."""
    sections = [Section(*each) for each in sample["sections"]]
    return sections, reading(base64.b64decode(sample["content"]))


def test_the_same_facts_make_the_recorded_table(sample: dict[str, Any]) -> None:
    """Other bytes are another version: guards of other releases read this one."""
    facts = [from_plain(fact) for fact in sample["facts"]]
    recorded = unpack(*sections_of(sample))
    sections, pieces = pack(Registry.build(facts).dump(), orjson.dumps)

    assert VERSION == sample["version"]
    assert recorded == unpack(sections, reading(b"".join(pieces)))
    assert all(recorded.values()), "the sample says nothing of some section"


def test_a_recorded_table_is_read(sample: dict[str, Any]) -> None:
    """As a guard does that a server of another release feeds."""
    registry = Registry.load(
        unpack(*sections_of(sample)), Registry().lineage.vocabulary
    )
    built = Registry.build(from_plain(fact) for fact in sample["facts"])

    now = max(fact["received_at"] for fact in sample["facts"])
    assert table(built, now) == table(registry, now)


def test_what_follows_from_the_rest_need_not_be_read(sample: dict[str, Any]) -> None:
    """One row of it may be as long as the table; it comes out the same."""
    sections, content = sections_of(sample)
    plain = unpack(sections, content, passed=DERIVED)
    assert not plain.keys() & DERIVED
    vocabulary = Registry().lineage.vocabulary
    made = Registry.load(plain, vocabulary).dump()
    given = Registry.load(unpack(*sections_of(sample)), vocabulary).dump()

    for name in DERIVED:
        assert given[name], "the sample says nothing of it"
        one, other = (
            {row[0]: sorted(row[1]) for row in of[name]} for of in (made, given)
        )
        assert one == other
    assert all(made[name] == given[name] for name in given.keys() - DERIVED)


def test_a_long_row_is_told_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million credentials of one owner are one row; the bytes stay as they were."""
    owner = Identifier("person.id", "p")
    said: dict[str, Any] = {"authority": "a", "version": 1, "received_at": 1}
    names = [Identifier("jwt.jti", f"{n}") for n in range(20)]
    whole = Registry.build(OwnerSet(**said, node=n, owners=(owner,)) for n in names)
    expected = pack(whole.dump(), orjson.dumps)
    monkeypatch.setattr(table_form, "AT_ONCE", 6)
    longest = 0

    def dumps(of: Any) -> bytes:
        nonlocal longest
        if isinstance(of, list):
            inner = (len(row[1]) for row in of if isinstance(row, tuple) and row[1:]
                     and isinstance(row[1], list))  # fmt: skip
            longest = max(longest, len(of), *inner, 0)
        return orjson.dumps(of)

    sections, pieces = pack(whole.dump(), dumps)
    assert longest <= 6

    def told(of: tuple[list[Section], list[bytes]], name: str) -> list[Any]:
        pairs = zip(*of, strict=True)
        return [row for at, piece in pairs if at.name == name
                for row in orjson.loads(piece)]  # fmt: skip

    for name in ("owned", "owners"):
        assert told(expected, name) == told((sections, pieces), name)


def test_whoever_takes_a_table_up_rests_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a few names, rows and pieces of columns: others have their turn."""
    monkeypatch.setattr(table_form, "_PIECE", 1 << 14)
    owner = Identifier("person.id", "p")
    said: dict[str, Any] = {"authority": "a", "version": 1, "received_at": 1}
    names = [Identifier("jwt.jti", f"{n:0100}") for n in range(2_000)]
    facts: list[Fact] = [OwnerSet(**said, node=n, owners=(owner,)) for n in names]
    facts += (Cause(**said, target=n, effect=Effect.REVOKE, at=1) for n in names)
    facts += (Renewal(**said, node=n, expires_at=9) for n in names)
    sections, parts = pack(Registry.build(facts).dump(), orjson.dumps)
    rests = Counter[str]()

    def rest() -> None:
        rests[sys._getframe(1).f_code.co_filename.rpartition("/")[2]] += 1

    plain = unpack(sections, BytesIO(b"".join(parts)).read, passed=DERIVED, rest=rest)
    check_bounds(plain, rest)
    loaded = Registry.load(plain, Registry().lineage.vocabulary, rest)

    assert len(names) + 1 == len(loaded.lineage)
    size = len(plain["lineage.names"])
    assert rests["table_form.py"] == len(sections) + -(-size // (1 << 14))
    assert rests["names.py"] >= 2 * size // names_of_a_table._PIECE
    assert rests["table_bounds.py"] >= 10
    assert rests["steps.py"] >= 6 * len(names) // 64  # owners, causes; each twice


def test_room_for_names_is_made_a_little_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A million names take thousands of segments, which are many milliseconds."""
    names = names_of_a_table.NameTable()
    for number in range(5_000):
        names.intern(Identifier("jwt.jti", str(number)))
    segment, since, longest = name_segments.NameSegment, 0, 0

    def unchained(numbers: array[int], bits: int) -> Any:
        nonlocal since, longest
        since += 1
        longest = max(longest, since)
        return segment(bytearray(256), bytearray(1), numbers, bytearray((1,)), bits)

    def rest() -> None:
        nonlocal since
        since = 0

    monkeypatch.setattr(segment, "unchained", unchained)
    monkeypatch.setattr(names_of_a_table, "FULL", 10)
    taken = names_of_a_table.NameTable()
    taken.restore(names.dump(), rest)

    assert 64 == longest
    assert len(taken) == len(names)


def test_the_page_lists_every_section() -> None:
    """Whoever writes a reader has that page alone."""
    page = Path(ROOT, "docs/table-format.md").read_text("utf-8")
    told = {
        name: kind
        for names, kind in re.findall(
            r"^\| (`[a-z_.`, ]+`) \| `(\w+)` \|", page, re.MULTILINE
        )
        for name in re.findall(r"[a-z_.]+", names)
    }

    types = {name: COLUMNS.get(name, ROWS) for name in COLUMNS.keys() | OTHERS}
    assert types == {name: of for name, of in told.items() if name in types}
    assert f"version **{VERSION}**" in page


@pytest.mark.parametrize(
    "change",
    [
        Section("lineage.flags", "i32", 0),
        Section("lineage.flags", "u8", 0),
        Section("lineage.colour", ROWS, 2),
        Section("owners", "u8", 0),
    ],
)
def test_refuses_what_is_no_section(
    parts: tuple[list[Section], list[bytes]], change: Section
) -> None:
    """Another type, a column that is there twice, an unknown name."""
    sections, pieces = parts
    with pytest.raises(ValueError, match="section"):
        unpack([*sections, change], reading(b"".join([*pieces, b"[]"])))


@pytest.mark.parametrize("name", ["owners", "lineage.ring"])
def test_refuses_a_table_without_a_section(
    parts: tuple[list[Section], list[bytes]], name: str
) -> None:
    """What is missing may be a denial."""
    pairs = [pair for pair in zip(*parts, strict=True) if pair[0].name != name]
    with pytest.raises(ValueError, match=name):
        unpack([each for each, _ in pairs], reading(b"".join(of for _, of in pairs)))


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "lineage.names"])
def test_refuses_a_column_of_another_length(sample: dict[str, Any], name: str) -> None:
    """A check would meet a number that nothing stands for."""
    sections, _ = sections_of(sample)
    content = base64.b64decode(sample["content"])
    start = sum(
        each.size for each in sections[: [each.name for each in sections].index(name)]
    )
    shorter = [
        each._replace(size=each.size - 8) if each.name == name else each
        for each in sections
    ]
    with pytest.raises(ValueError, match="bytes"):
        unpack(shorter, reading(content[:start] + content[start + 8 :]))


def test_long_rows_are_in_several_sections(
    sample: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No single call of JSON holds the process for long."""
    monkeypatch.setattr(table_form, "AT_ONCE", 2)
    plain = unpack(*sections_of(sample))
    sections, pieces = pack(plain, orjson.dumps)

    causes = [section for section in sections if section.name == "causes"]
    assert (len(plain["causes"]) + 1) // 2 == len(causes)
    assert plain == unpack(sections, reading(b"".join(pieces)))
