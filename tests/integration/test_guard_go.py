"""The guard in Go: it passes its own tests and the whole suite."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import to_plain
from conformance.cases import suite
from conformance.drivers import Program
from conformance.levels import report, run
from conformance.tables import TableDriver
from conformance.verdicts import Gravity
from tests.contract.test_guard_table import packed
from tests.guard_lives import CLASSES, compare
from tests.integration.go_guard import BUILD_SECONDS, MODULE, TOOLS, built, go
from tests.planted.copies import Change
from tests.second_worlds import CONTAINERS, CREDENTIALS, PRINCIPALS, Maker

if TYPE_CHECKING:
    from pathlib import Path

OPERATIONS = 20_000
TABLE = "guards/go/internal/table/table.go"
LABELS = "guards/go/internal/table/labels.go"
LIMITED = "guards/go/internal/table/limited.go"
CLOSURE = "guards/go/internal/table/closure.go"
BUGS = {
    "labels are not required": Change(
        CLOSURE, "if t.flags[node]&labelled != 0 {", "if false {"
    ),
    "a label set that fell is believed": Change(
        LABELS, "t.owners.put(node, inDoubt, 0, []int32{})", "_ = inDoubt"
    ),
    "of tied label sets one counts": Change(
        LABELS,
        "for _, set := range said.tied {",
        "for _, set := range said.tied[:1] {",
    ),
}
CONDITIONS = {
    "what an owner has is not found": Change(
        TABLE, "t.selecting[number] = node", "_ = number"
    ),
    "another name of an owner is nobody": Change(
        LIMITED, "names[other] = true", "names[start] = true"
    ),
    "what meets a label is its first member alone": Change(
        LIMITED,
        "for _, at := range c.newWalk(c.downs).from(place) {",
        "for _, at := range c.newWalk(c.downs).from(place)[1:2] {",
    ),
}
CHANGES = [*BUGS.values(), *CONDITIONS.values()]
pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.no_cover]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the guard as a guard under test."""
    return built("./cmd/conformance-driver", tmp_path_factory.mktemp("go"))


@pytest.mark.timeout(2 * BUILD_SECONDS)
@pytest.mark.parametrize("module", ["", "grpcguard"])
def test_its_own_tests_pass(module: str) -> None:
    """With the race detector where there is the C compiler that it needs."""
    go("vet", "./...", folder=MODULE / module)
    races = ["-race"] if shutil.which("gcc") or shutil.which("clang") else []
    go("test", *races, "./...", folder=MODULE / module)


def test_it_is_formatted() -> None:
    """By gofmt, as everything in Go is."""
    gofmt = next(TOOLS.parent.glob("lib/python*/site-packages/go/bin/gofmt"))
    run = subprocess.run(
        [gofmt, "-l", MODULE], capture_output=True, text=True, check=True
    )

    assert "" == run.stdout


@pytest.mark.timeout(BUILD_SECONDS)
@pytest.mark.parametrize("tabled", [False, True])
def test_it_passes_level_full(driver: str, *, tabled: bool) -> None:
    """From facts and from tables."""
    with Program([driver]) as program:
        tally = run(TableDriver(program) if tabled else program, suite())

    lines = report(tally, "full")
    assert "level full: passed" in lines, lines


@pytest.mark.timeout(BUILD_SECONDS)
@pytest.mark.parametrize("name", [*BUGS, *CONDITIONS])
def test_a_wrong_line_about_labels_and_conditions_is_seen(
    name: str, repository: Path, tmp_path: Path
) -> None:
    """By the cases about them."""
    copy = tmp_path / "guards/go"
    shutil.copytree(MODULE, copy)
    change = (BUGS | CONDITIONS)[name]
    (tmp_path / change.file).write_text(change.made(repository), "utf-8")
    program = str(tmp_path / "driver")
    go("build", "-o", program, "./cmd/conformance-driver", folder=copy)
    with Program([program]) as driver:
        tally = run(driver, suite(["labels", "conditions"]))

    assert any(one.gravity is Gravity.UNSAFE for one in tally.problems)


def test_a_table_that_was_damaged_is_refused_or_answers(driver: str) -> None:
    """No number in it leads out of the table, and no ring goes on for ever."""
    random = Random(7)
    maker = Maker(random, (*CREDENTIALS, *PRINCIPALS, *CONTAINERS))
    facts = maker.facts(60)
    message, content = packed(facts)
    # Rows are JSON, in which most of what is damaged is none any more.
    columns = sum(size for _, form, size in message["sections"] if form != "rows")
    announced = json.dumps({**message, "type": "table", "vocabulary": CLASSES})
    later = [to_plain(fact) for fact in maker.facts(40)]
    delta = json.dumps({"type": "delta", "from": 4, "to": 5, "facts": later})
    taken = 0
    with Program([driver]) as program:

        def ask(do: str, **fields: object) -> dict[str, Any]:
            return program.ask(
                {"do": do, "clock": 1, "wall": 1, "connection": 1, **fields}
            )

        for _ in range(500):
            damaged = bytearray(content)
            for _ in range(random.choice((1, 1, 2, 4))):
                place = random.randrange(random.choice((columns, len(damaged))))
                damaged[place] = random.randrange(256)
            settings = {"lease_ms": 1000, "mode": "fail_open", "unknown": {}}
            ask("reset", settings=settings)
            ask("connect")
            assert not ask("receive", frame=announced)["closed"]
            part = base64.b64encode(damaged).decode()
            if ask("receive", bytes=part)["closed"]:
                continue
            taken += 1
            for frame in (None, delta):
                if frame:
                    ask("receive", frame=frame)
                for name in maker.names:
                    presented = {"identifiers": [str(name)], "issued_at": None}
                    shown = {"presented": {**presented, "chain": []}}
                    assert not ask("check", scope="n|a", at_least=None, **shown)[
                        "allowed"
                    ]  # nothing is proven

    assert 40 < taken < 460


@pytest.mark.timeout(BUILD_SECONDS)
async def test_it_answers_as_the_guard_in_python_does(driver: str) -> None:
    """In random lives; ``python -m tests.guard_lives`` runs more of them."""
    with Program([driver]) as program:
        pair = await compare(program, OPERATIONS)

    # The lives are worth something: both answers are frequent.
    assert OPERATIONS / 2 < pair.checks
    assert pair.checks / 10 < pair.allowed < pair.checks / 2
