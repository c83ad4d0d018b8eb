"""The command ``rescind conformance run``: the suite against one guard."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from streams.cli.output import complain

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from conformance.drivers import Driver
    from conformance.levels import Level

_FAILED: Final = 1
_USAGE: Final = 2

conformance_app = typer.Typer(
    name="conformance",
    help="Test a guard that is written in any language.",
    no_args_is_help=True,
)


@conformance_app.callback()
def conformance() -> None:
    """Test a guard that is written in any language (docs/writing-a-guard.md)."""


@conformance_app.command(name="run")
def run_suite(
    program: Annotated[
        list[str] | None,
        typer.Argument(
            help="After --: the program that drives the guard under test.",
            metavar="-- PROGRAM ARGS",
        ),
    ] = None,
    *,
    http: Annotated[
        str | None,
        typer.Option(
            "--http",
            metavar="URL",
            help="URL of the guard under test, instead of a program.",
        ),
    ] = None,
    level: Annotated[
        Literal["core", "full"],
        typer.Option("--level", help="The level that decides the exit code."),
    ] = "full",
    group: Annotated[
        list[str] | None,
        typer.Option("--group", help="Only this group of cases; can be repeated."),
    ] = None,
    tables: Annotated[
        bool,
        typer.Option("--tables", help="Send tables to a guard that reads them."),
    ] = False,
) -> None:
    """Run the suite against a guard; exit code 0 if it passes the level."""
    raise typer.Exit(run(program or [], http, level, group, tables=tables))


def run(
    program: list[str],
    url: str | None,
    level: Level,
    groups: list[str] | None,
    *,
    tables: bool = False,
) -> int:
    """Print the report.

    Args:
        program: to start, with its arguments; empty when there is a URL.
        url: of a guard that answers over HTTP.
        level: that decides the exit code.
        groups: of cases; None for all.
        tables: go out instead of snapshots, to a guard that reads them.

    Returns:
        The exit code: 0, 1 when the level was not passed, 2 when nothing was tested.
    """
    from conformance.cases import SuiteError, suite
    from conformance.drivers import DriverError
    from conformance.levels import passes, report
    from conformance.levels import run as play
    from conformance.tables import TableDriver

    try:
        cases = suite(groups)
        with _driver(program, url) as driver:
            tally = play(TableDriver(driver) if tables else driver, cases)
    except (SuiteError, DriverError) as error:
        return complain("conformance", error, _USAGE)
    sys.stdout.write("".join(f"{line}\n" for line in report(tally, level, groups)))
    return 0 if passes(tally, level) else _FAILED


def _driver(program: list[str], url: str | None) -> AbstractContextManager[Driver]:
    from conformance.drivers import DriverError, Http, Program

    if bool(program) == (url is not None):
        raise DriverError("give either a program after -- or --http URL")
    return Program(program) if url is None else nullcontext(Http(url))
