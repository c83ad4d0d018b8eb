"""Facts that are lost, doubled, hidden or changed where they are packed are caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.campaigns import some
from tests.planted.copies import PRODUCT, Change, caught, copied, plant, run_tests

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(120)]

COPIED: Final = (
    *PRODUCT,
    "pyproject.toml",
    "tests/conftest.py",
    "tests/contract",
    "tests/integration",
    "tests/property",
    "tests/unit",
)
BLOCK: Final = "streams/engines/embedded/fact_block.py"
ROWS: Final = "streams/engines/embedded/fact_rows.py"
LOOKUP: Final = "streams/engines/embedded/fact_lookup.py"
PACKED: Final = "streams/engines/embedded/packed_facts.py"
PACKING: Final = "streams/engines/embedded/packing.py"
PAGES: Final = "streams/engines/embedded/chain_pages.py"
FOLDER: Final = "streams/engines/embedded/data_folder.py"
CHAIN: Final = "streams/engines/embedded/chain.py"
BUGS: Final = {
    "blocks behind the last that was read are passed over": Change(
        ROWS, "            return _Window(found, start)", "            break"
    ),
    "two blocks at one offset are read": Change(
        ROWS, "        if start < until:", "        if False:"
    ),
    "two facts at one offset are read": Change(
        ROWS, "if len({each.offset for each in found}) != len(found):", "if False:"
    ),
    "readers go on without a fact": Change(
        ROWS, "if last < EVER and missing > 0 and", "if last < EVER and False and"
    ),
    "what was pruned is missed": Change(
        ROWS, "_pruned(read, start, last) != missing", "missing"
    ),
    "a block says by its ids alone whether it is read": Change(
        ROWS, "({END} > ?3 OR {CHANGED})", "{END} > ?3"
    ),
    "no copy is found where a block was changed": Change(
        LOOKUP, "(instr({{0}}, ?) OR {CHANGED})", "instr({{0}}, ?)"
    ),
    "a copy of what nobody can read is dropped": Change(
        PACKED,
        "            facts = unpack(block)\n"
        "            self._keys[start] = "
        "{place: each.key for place, each in facts.items()}",
        "            from streams.engines.embedded.fact_block import keys_of\n\n"
        "            self._keys[start] = keys_of(block)",
    ),
    "a read holds as many bytes as there are": Change(
        ROWS, "most = READ_BYTES if size is None else size", "most = EVER"
    ),
    "a block of text is read": Change(
        ROWS, "typeof(ids) || typeof(tails) || typeof(body) = 'blobblobblob'", "1"
    ),
    "a block ends where its facts say it": Change(
        BLOCK, "if len(block.ids) % ID or block.places > PLACES:", "if False:"
    ),
    "something stands behind a block": Change(
        BLOCK, "stream.eof and not stream.unused_data and len(content) <= most",
        "stream.eof",
    ),
    "something stands behind the values": Change(
        BLOCK, "first + sum(sizes) != len(content)", "first > len(content)"
    ),
    "a place without a fact has an id": Change(
        BLOCK, "if (code == _GONE) is not (told == _NOBODY):", "if False:"
    ),
    "what takes back may be in a block": Change(
        BLOCK, "        if tail[0] in STAY:", "        if False:"
    ),
    "what takes back is packed": Change(
        BLOCK, "        and key[0] not in STAY\n", ""
    ),
    "large facts are packed": Change(BLOCK, "        and len(value) <= LARGE\n", ""),
    "copies of what is packed are written": Change(
        PACKED, "if each in taken and self._holds(key, each)", "if False"
    ),
    "a print stands for its fact": Change(
        PACKED, "if self._key_at(row[0]) == key:", "if self._key_at(row[0]):"
    ),
    "prints have no secret": Change(
        PACKED, "digest_size=8, key=secret", "digest_size=8"
    ),
    "a block that cannot be read fails who writes": Change(
        PACKED, "except BlockError as error:", "except KeyError as error:"
    ),
    "rows are not compared with their block": Change(
        PACKED, "if not same or over", "if over"
    ),
    "a block is put over another": Change(PACKED, "over is not None or ", ""),
    "the last fact is packed": Change(PACKED, " or last < made.end", ""),
    "a pruned fact stays in its block": Change(
        CHAIN, "        PackedFacts(self._db).forget(gone)\n", ""
    ),
    "a block is made by the writer": Change(
        PACKING, "await self._store.study(look)",
        "await self._store.write(lambda tx: look(tx.audit._read))",
    ),
    "blocks are large however slow the file is": Change(
        PACKING, "held > HELD_SECONDS", "False"
    ),
    "a fact without an entry is not named": Change(
        PAGES, "        if offset not in chained and", "        if False and"
    ),
    "facts behind the last entry are not named": Change(
        PAGES, "last if more else max(last, end)", "last"
    ),
    "a block that cannot be read is passed over by the audit": Change(
        PAGES, "return _found_before(read, _Found(facts, start, str(error)), end)",
        "return _Found(facts, end)",
    ),
    "an earlier version finds an empty log": Change(
        FOLDER, "        db.execute(_REFUSAL)\n", ""
    ),
}  # fmt: skip
CHANGES: Final = tuple(BUGS.values())
QUICK: Final = ("blocks behind the last that was read are passed over",)


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_fact_that_is_lost_or_doubled_is_caught(
    repository: Path, tmp_path: Path, name: str
) -> None:
    """A test fails on the changed copy, by what it asserts."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name])

    tests = (
        "tests/unit/test_fact_block.py",
        "tests/integration/test_packing.py",
        "tests/property/test_packed_log.py",
    )
    assert caught(run_tests(tmp_path, *tests, "-x"))
