"""The command ``rescind policy test``: containment rules on history."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from streams.cli.options import (
    Config,
    MappingFile,
    SourceName,
    TokenFile,
    Url,
    no_garbage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.services.backtest_report import RuleReport, WouldContain
    from streams.services.unread_input import ParseTally
    from streams.settings.server import Settings
    from streams.stages.containment.rules import ContainmentRule

CLEAN: Final = 0
LIVING: Final = 1
USAGE: Final = 2
UNREAD: Final = 3
SHOWN: Final = 20  # names of a rule in the table
COMMAND: Final = "policy test"
DEFAULT_SINCE: Final = "30d"

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="How far back findings of the server count, such as 7d; default: 30d.",
    ),
]
Logs = Annotated[
    list[Path] | None,
    typer.Option(
        "--logs",
        metavar="PATH",
        help="Log files and folders instead, gzip too; can be repeated.",
        exists=True,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, metavar="N", help="Processes that read the logs."),
]
Output = Annotated[
    Literal["table", "json"], typer.Option("--output", help="Form of the output.")
]

policy_app = typer.Typer(help="Try containment rules before they act.")


@policy_app.callback()
def policy() -> None:
    """Try containment rules before they act."""


@policy_app.command("test")
def on_history(  # noqa: PLR0913 - each is an option
    *,
    config: Config = None,
    since: Since = None,
    logs: Logs = None,
    source: SourceName = None,
    mapping: MappingFile = None,
    jobs: Jobs = None,
    output: Output = "table",
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Show what each rule would have done; exit code 1 if it hits what lives."""

    def tested() -> int:
        settings, rules = _rules(config)
        if not logs:
            back = since or DEFAULT_SINCE
            return _on_server(back, url, token_file, settings, rules, output)
        if since is not None:
            raise ValueError("--since is for the findings of a server: leave it out")
        return _on_logs(
            logs,
            source=source,
            mapping=mapping,
            jobs=jobs,
            settings=settings,
            rules=rules,
            output=output,
        )

    raise typer.Exit(_code_of(tested, config))


def _code_of(work: Callable[[], int], config: Path | None) -> int:
    """Do the work; say what is wrong in one sentence, and give the exit code."""
    from pydantic import ValidationError

    from streams.cli.output import complain
    from streams.clients.rescind import ClientError
    from streams.services.hunt_processes import HuntProcessError
    from streams.settings.errors import explained
    from streams.settings.server import Settings

    try:
        return work()
    except ValidationError as error:
        wrong = ValueError(explained(error, Settings, config))
        return complain(COMMAND, wrong, USAGE)
    except ClientError as error:
        return complain(COMMAND, error, error.code)
    except HuntProcessError as error:
        return complain(COMMAND, error, UNREAD)
    except (OSError, ValueError) as error:
        return complain(COMMAND, error, USAGE)


def _rules(config: Path | None) -> tuple[Settings, tuple[ContainmentRule, ...]]:
    from streams.settings.containment import rules_of
    from streams.settings.server import load

    settings = load(config)
    rules = rules_of(settings.containment)
    if not rules:
        where = config or "the environment"
        raise ValueError(f"{where} sets no rule in `containment`: nothing to test")
    return settings, rules


def _on_logs(  # noqa: PLR0913 - each by name
    logs: list[Path],
    *,
    source: str | None,
    mapping: Path | None,
    jobs: int | None,
    settings: Settings,
    rules: Sequence[ContainmentRule],
    output: str,
) -> int:
    from streams.cli.logs import ReadingBars, read_logs, tell_unread, vocabulary_of
    from streams.services.backtest import Backtest
    from streams.services.hunt_processes import LogChoice

    # Millions of small objects: to look through them takes a third of the time.
    with no_garbage():
        backtest = Backtest(
            vocabulary_of(mapping),
            issuer_logs=mapping is None,
            acting=settings.posture.agents.acting,
        )
        with ReadingBars() as bars:
            choice = LogChoice.of(source, mapping, logs)
            tally: ParseTally = read_logs(logs, choice, backtest, jobs, bars)
        report, found = backtest.test(rules)
    backtest.counts.read = tally.read
    counts = report.counts
    _print(found, output, {"events": counts.read, "uses": counts.access})
    if tally.unread:
        tell_unread(tally)
    code = _code(found)
    return UNREAD if code == CLEAN and tally.unread else code


def _on_server(
    since: str,
    url: str | None,
    token_file: Path | None,
    settings: Settings,
    rules: Sequence[ContainmentRule],
    output: str,
) -> int:
    from streams.apps.builders.sources import configured_sources
    from streams.clients.rescind import client
    from streams.model.times import duration
    from streams.services.told_findings import ToldFindings

    begun = time.time_ns() - duration(since)  # noqa: TID251 - the program's clock
    kinds, _ = configured_sources(settings)
    count, found = ToldFindings(client(url, token_file), begun, kinds).test(rules)
    _print(found, output, {"findings": count})
    code = _code(found)
    return UNREAD if code == CLEAN and any(each.unasked for each in found) else code


def _code(found: Sequence[RuleReport]) -> int:
    return LIVING if any(each.living for each in found) else CLEAN


def _print(found: Sequence[RuleReport], output: str, read: dict[str, int]) -> None:
    _PRINT[output](found, read)


def _print_json(found: Sequence[RuleReport], read: dict[str, int]) -> None:
    import orjson

    document: dict[str, Any] = {"read": read, "rules": [one.plain() for one in found]}
    sys.stdout.buffer.write(orjson.dumps(document) + b"\n")


def _print_table(found: Sequence[RuleReport], read: dict[str, int]) -> None:
    from streams.cli.output import clean, columns

    said = [f"{count:,} {name}" for name, count in read.items()]
    parts = [f"Tested on {', '.join(said)}."]
    for each in found:
        parts.append("")
        parts.append(clean(_head(each)))
        if each.untold:
            kinds = ", ".join(each.untold)
            parts.append(f"  not in this history, so not tested: {kinds}")
        if each.contained:
            heads = ("contains", "on a finding about", "from", "until", "reach", "hits")
            rows = [_row(one) for one in each.contained[:SHOWN]]
            parts.append(columns(heads, rows))
        if len(each.contained) > SHOWN:
            parts.append(f"  and {len(each.contained) - SHOWN} more: --output json")
    print("\n".join(parts))  # noqa: T201 - the program's own words


def _head(each: RuleReport) -> str:
    rule, results = each.rule, each.results
    said = ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in sorted(results.items())
    )
    hits = f"{each.living} living beside what it is about" if each.living else "nothing"
    unasked = f"; {each.unasked} below were not asked for" if each.unasked else ""
    return (
        f"{rule.name} ({rule.mode.value}, contains the {rule.contain.value}): "
        f"{said or 'no finding'}; would have hit {hits}{unasked}"
    )


def _row(one: WouldContain) -> tuple[object, ...]:
    from streams.cli.output import clean

    plain = one.plain()
    hits = ", ".join(
        f"{hit.identifier} ({_whose(hit.owner, other=hit.other)}, {hit.uses} uses)"
        for hit in one.bystanders[:SHOWN]
    )
    return (
        clean(plain["target"]), f"{plain['finding']}: {clean(plain['about'])}",
        plain["at"], plain["until"] or "it is lifted", plain["reach"],
        clean(hits) or "nothing",
    )  # fmt: skip


def _whose(owner: str | None, *, other: bool) -> str:
    if owner is None:
        return "owner unknown"
    return f"of {owner}, another owner" if other else f"of {owner}"


_PRINT: Final[dict[str, Callable[[Sequence[RuleReport], dict[str, int]], None]]] = {
    "table": _print_table,
    "json": _print_json,
}
