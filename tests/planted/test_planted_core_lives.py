"""Bugs planted into the guard in TypeScript are caught by its random lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from conformance.drivers import Program
from tests.core_lives import compare
from tests.integration.node_guard import NODE
from tests.planted.copies import Change, copied, plant

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.planted, pytest.mark.timeout(120)]

FOLDER: Final = "guards/typescript"
GUARD, TABLE = f"{FOLDER}/guard.ts", f"{FOLDER}/table.ts"
OPERATIONS: Final = 20_000
BUGS: Final = {
    "no lease is needed": Change(
        GUARD, "if (now >= this.deadline()) reason", "if (false) reason"
    ),
    "a lease from the arrival of the pong": Change(
        GUARD,
        "this.sent.get(natural(seq)) ?? -this.lease",
        "this.sent.has(natural(seq)) ? now : -this.lease",
    ),
    "the server's remaining lease is ignored": Change(
        GUARD, "least(remaining, this.lease)", "this.lease"
    ),
    "a proof of what is not applied yet": Change(
        GUARD, "p.end <= (this.position ?? -1n)", "true"
    ),
    "a token above what is applied": Change(
        GUARD, "|| BigInt(offset) > (this.position ?? -1n)", ""
    ),
    "an ending that waits for nobody": Change(
        TABLE, "now < f.until + AHEAD", "now < f.until - AHEAD"
    ),
    "an owner that is being proved lives": Change(
        TABLE, "(proving.includes(node) || !sets", "(!proving.includes(node) && !sets"
    ),
    "a label is no parent": Change(
        TABLE, '...this.newest("label_set", n).flatMap((f) => f.labels), ', ""
    ),
    "an issue time of any name": Change(TABLE, "all.some((t) => t <= mark)", "false"),
}
CHANGES: Final = tuple(BUGS.values())


@pytest.mark.parametrize("name", BUGS)
async def test_a_guard_that_allows_too_much_is_caught(
    repository: Path, tmp_path: Path, name: str
) -> None:
    """Within fewer lives than the right one lives through."""
    copied(repository, tmp_path, FOLDER)
    plant(tmp_path, BUGS[name])

    with (
        Program([NODE, str(tmp_path / FOLDER / "driver.ts")]) as program,
        pytest.raises(AssertionError, match=r"proves|allowed|applied|partition|table"),
    ):
        await compare(program, OPERATIONS)
