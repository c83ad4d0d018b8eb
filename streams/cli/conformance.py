"""The command ``rescind conformance run``: the suite against one guard."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from conformance.cases import SuiteError, suite
from conformance.drivers import DriverError, Http, Program
from conformance.levels import passes, report
from conformance.levels import run as play
from streams.cli.plain_text import to_stderr

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from conformance.drivers import Driver
    from conformance.levels import Level

_FAILED: Final = 1
_USAGE: Final = 2


def run(
    program: list[str], url: str | None, level: Level, groups: list[str] | None
) -> int:
    """Print the report.

    Args:
        program: to start, with its arguments; empty when there is a URL.
        url: of a guard that answers over HTTP.
        level: that decides the exit code.
        groups: of cases; None for all.

    Returns:
        The exit code: 0, 1 when the level was not passed, 2 when nothing was tested.
    """
    try:
        cases = suite(groups)
        with _driver(program, url) as driver:
            tally = play(driver, cases)
    except (SuiteError, DriverError) as error:
        to_stderr("conformance", error)
        return _USAGE
    sys.stdout.write("".join(f"{line}\n" for line in report(tally, level, groups)))
    return 0 if passes(tally, level) else _FAILED


def _driver(program: list[str], url: str | None) -> AbstractContextManager[Driver]:
    if bool(program) == (url is not None):
        raise DriverError("give either a program after -- or --http URL")
    return Program(program) if url is None else nullcontext(Http(url))
