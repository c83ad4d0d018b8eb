"""The guard in Go: it passes its own tests and the whole suite."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from conformance.cases import suite
from conformance.drivers import Program
from conformance.levels import report, run
from conformance.tables import TableDriver
from tests.guard_lives import compare
from tests.integration.go_guard import BUILD_SECONDS, MODULE, TOOLS, built, go

OPERATIONS = 20_000
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
async def test_it_answers_as_the_guard_in_python_does(driver: str) -> None:
    """In random lives; ``python -m tests.guard_lives`` runs more of them."""
    with Program([driver]) as program:
        pair = await compare(program, OPERATIONS)

    # The lives are worth something: both answers are frequent.
    assert OPERATIONS / 2 < pair.checks
    assert pair.checks / 10 < pair.allowed < pair.checks / 2
