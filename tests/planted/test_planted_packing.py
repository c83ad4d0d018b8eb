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
PROOF: Final = "streams/engines/embedded/block_proof.py"
COPIES: Final = "streams/engines/embedded/packed_copies.py"
PRINTS: Final = "streams/engines/embedded/packed_prints.py"
LOGS: Final = "streams/engines/embedded/log_rows.py"
TRANSACTION: Final = "streams/engines/embedded/transaction.py"
CHECK: Final = "streams/engines/embedded/log_check.py"
MERGING: Final = "streams/engines/embedded/merging.py"
SPANS: Final = "streams/engines/embedded/readable_spans.py"
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
        ROWS, "if end < EVER and missing > 0 and", "if end < EVER and False and"
    ),
    "readers go on without a fact unless they ask": Change(
        ROWS, "    gaps: bool = False,", "    gaps: bool = True,"
    ),
    "the audit ends where a fact is missing": Change(
        PAGES, "keys=True, gaps=True)", "keys=True)"
    ),
    "what was pruned is missed": Change(
        ROWS, "_pruned(read, start, end) != missing", "missing"
    ),
    "a block says by its ids alone whether it is read": Change(
        ROWS, "({END} > ?3 OR {CHANGED})", "{END} > ?3"
    ),
    "pruned facts are looked for behind their entries": Change(
        ROWS, "low = int(found[0][0]) + 1", "low = int(found[0][0]) + 2"
    ),
    "keys are read whatever their checksum": Change(
        BLOCK, "    if summed != _sum_of(", "    if False and summed != _sum_of("
    ),
    "that there is none is said of keys that were changed": Change(
        LOOKUP, "            hold_keys(each)\n", "            pass\n"
    ),
    "that there is none is said of keys without a checksum": Change(
        LOOKUP, "            proven_facts(each)\n", "            pass\n"
    ),
    "a fact is found by a key that is not its own": Change(
        PROOF, "    if said != (", "    if False and said != ("
    ),
    "a copy is known by a key that is not its own": Change(
        COPIES, "        proven_fact(*fact)\n", ""
    ),
    "a copy of what nobody can read is dropped": Change(
        COPIES,
        "            self._facts[span] = unpack(block)\n",
        "            from streams.engines.embedded.fact_block import keys_of\n\n"
        "            self._facts[span] = keys_of(block)\n",
    ),
    "the writer looks for copies as long as it takes": Change(
        COPIES, "limit is not None and limit.is_over()", "False"
    ),
    "each job has time of its own to look for copies": Change(
        LOGS, "held(short, known, self._looking)", "held(short, known, LookTime())"
    ),
    "a job that looked aside finds nothing": Change(
        COPIES, "prints[k] in taken and k in known.held}", "k in ()}"
    ),
    "a damaged block fails all jobs of a group": Change(
        TRANSACTION, "            if not is_damage(error):", "            if True:"
    ),
    "a read holds as many bytes as there are": Change(
        ROWS, "READ_BYTES if size is None else size", "EVER"
    ),
    "what was not read is well": Change(
        CHECK, "        elif self.whole_at is None:", "        elif False:"
    ),
    "nothing is left to read from the first slice on": Change(
        CHECK, "max((blocks or 0) - passed, 0) if first else 0", "0"
    ),
    "a place that cannot be read is passed over": Change(
        CHECK, "                if not broken:", "                if False:"
    ),
    "what was found is forgotten when the next look begins": Change(
        CHECK, "for each in (*before, *found)", "for each in found"
    ),
    "a look has a count and no time": Change(
        CHECK, " or timer() >= until:", " or False:"
    ),
    "keys without a checksum are not compared by a look": Change(
        CHECK, "        proven_facts(FactBlock.of(*columns))", "        pass"
    ),
    "blocks are merged that were changed meanwhile": Change(
        PACKED, "        if there != [", "        if False and there != ["
    ),
    "a merged block is put beside its parts": Change(
        PACKED,
        'self._db.execute("DELETE FROM fact_blocks WHERE start BETWEEN ? AND ?", span)',
        "pass",
    ),
    "a page that is damaged ends the work": Change(
        SPANS, "if not is_damage(error) and _code(error) != sqlite3.SQLITE_IOERR:",
        "if not isinstance(error, BlockError):",
    ),
    "a block of which a part cannot be read ends what is merged": Change(
        MERGING, "            if not is_damage(error):", "            if True:"
    ),
    "what lies before a damaged page is passed over": Change(
        SPANS, "        if half < PLACES:", "        if True:"
    ),
    "a file that does not tell has no blocks": Change(
        CHECK, "                    return None\n", "                    return 0\n"
    ),
    "a row has no place in a merged block": Change(
        MERGING, "if not within and is_packable(key, value):", "if False:"
    ),
    "a merge takes a key for its fact's": Change(
        MERGING, "found = proven_facts(block)", "found = unpack(block)"
    ),
    "who looks while blocks are merged misses one": Change(
        LOOKUP, "(start - PLACES, start + SLICE,", "(start - 1, start + SLICE,"
    ),
    "small blocks stay small": Change(
        MERGING, "        if len(run) > 1:", "        if False:"
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
        COPIES, "if self._holds(key, prints[key]):", "if False:"
    ),
    "a print stands for its fact": Change(
        COPIES, "if fact is None or fact.key != key:", "if fact is None:"
    ),
    "prints have no secret": Change(
        PRINTS, "digest_size=8, key=secret", "digest_size=8"
    ),
    "a block that cannot be read fails who writes": Change(
        COPIES, "except BlockError as error:", "except KeyError as error:"
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
        SPANS, "await self._store.study(part)",
        "await self._store.write(lambda tx: part(tx.audit._read))",
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
LOG: Final = ("tests/integration/test_packing.py", "tests/property/test_packed_log.py")
MERGED: Final = "tests/integration/test_merged_blocks.py"
DAMAGED: Final = "tests/integration/test_damaged_pages.py"
COPIED_FACTS: Final = "tests/integration/test_packed_copies.py"
# Tests that are the nearest, and go first.
AREAS: Final = {
    CHECK: ("tests/integration/test_log_check.py",),
    MERGING: (MERGED, DAMAGED),
    SPANS: (DAMAGED,),
    PACKED: (MERGED,),
    LOOKUP: (COPIED_FACTS, MERGED),
    PROOF: (COPIED_FACTS,),
    COPIES: (COPIED_FACTS,),
    LOGS: (COPIED_FACTS,),
    TRANSACTION: (COPIED_FACTS,),
}
QUICK: Final = ("blocks behind the last that was read are passed over",)


@pytest.mark.parametrize("name", some(BUGS, QUICK))
def test_a_fact_that_is_lost_or_doubled_is_caught(
    repository: Path, tmp_path: Path, name: str
) -> None:
    """A test fails on the changed copy, by what it asserts."""
    copied(repository, tmp_path, *COPIED)
    plant(tmp_path, BUGS[name])

    near = AREAS.get(BUGS[name].file, ())
    tests = (*near, "tests/unit/test_fact_block.py", *LOG)
    assert caught(run_tests(tmp_path, *tests, "-x"))
