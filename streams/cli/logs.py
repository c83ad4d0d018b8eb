"""The commands on log files: ``rescind parse`` and ``rescind hunt``."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from agents_registry.identifiers import VOCABULARY, Identifier, Vocabulary, extend
from streams.cli.moments import refuse_number
from streams.cli.options import USAGE, no_garbage
from streams.cli.output import clean, complain
from streams.model.findings import SEVERITY, Finding, episode_id
from streams.model.records import DeadLetter, to_line
from streams.model.times import rfc3339, typed_time
from streams.services.event_id_conflicts import COLLISION
from streams.services.hunt import REALM, Hunt
from streams.services.hunt_processes import (
    HuntProcessError,
    HuntProcesses,
    LogChoice,
    read_alone,
)
from streams.services.log_blocks import bytes_to_read
from streams.services.parse import (
    chosen,
    files_of,
    kind_of,
    parse_paths,
    summary,
)
from streams.services.secret_names import PlainSecretError, SecretNames
from streams.services.typed_names import identifier_of, unknown_kind
from streams.services.unread_input import ParseTally, UnreadPiece
from streams.sources.mapped.mapping import MappingError, load_mapping

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import TaskID

    from streams.services.hunt import NamedCause, Report
    from streams.services.hunt_findings import Reuse

CLEAN: Final = 0
FOUND: Final = 1
UNREAD: Final = 3
NOWHERE: Final = dict.fromkeys(UnreadPiece._fields)  # of what was read
WORTH: Final = 32 << 20  # bytes read in twice the CPU time that a process's start takes
FILE_WIDTH: Final = 200  # columns where the output is no terminal


def parse(paths: list[Path], source: str | None, mapping: Path | None) -> int:
    """Write the records to standard output and the summary to standard error.

    Returns:
        The exit code: 0, or 2 when an argument is wrong.
    """
    counts: Counter[str] = Counter()
    tally = ParseTally()
    try:
        reader = chosen(source, mapping)
        for record in parse_paths(paths, reader, tally=tally):
            counts[kind_of(record)] += 1
            line = to_line(record) | NOWHERE
            if isinstance(record, DeadLetter) and record.reason != COLLISION:
                line |= {} if tally.last is None else tally.last._asdict()
            sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader (head, say) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, MappingError, ValueError) as error:
        sys.stdout.buffer.flush()
        return complain("parse", error, USAGE)
    sys.stderr.write(summary(counts, tally) + "\n")
    return 0


def hunt(  # noqa: PLR0913 - each by name
    paths: list[Path],
    *,
    source: str | None,
    mapping: Path | None,
    revoke: list[str],
    output: str,
    inclusive: bool,
    jobs: int | None,
) -> int:
    """Hunt over the paths and print the report.

    Args:
        paths: log files and folders.
        source: name of the source, None to recognise it file by file.
        mapping: a mapping file, instead of a source.
        revoke: ``kind:value@TIME`` causes of the operator.
        output: ``table``, ``json`` or ``ocsf``.
        inclusive: an access at exactly the time of a cause counts as after it.
        jobs: number of processes that read; None: one a core.

    Returns:
        The exit code: 0 nothing found, 1 findings, 2 a wrong argument, 3 nothing found
        in what could be read, or a process ended.
    """
    try:
        vocabulary = vocabulary_of(mapping)
        hunt = Hunt(vocabulary)
        for text in revoke:
            hunt.revoke(*operator_cause(text, vocabulary))
        # Millions of small objects: to look through them takes a third of the time.
        with no_garbage(), ReadingBars() as bars:
            tally = read_logs(
                paths, LogChoice.of(source, mapping, paths), hunt, jobs, bars
            )
    except HuntProcessError as error:
        return complain("hunt", error, UNREAD)
    except (OSError, MappingError, ValueError) as error:
        return complain("hunt", error, USAGE)
    hunt.counts.read, hunt.counts.idle = tally.read, tally.unknown.total()
    report = hunt.report(inclusive=inclusive)
    _PRINT[output](report)
    if tally.unread:
        tell_unread(tally)
    if report.findings:
        return FOUND
    return UNREAD if tally.unread else CLEAN


def read_logs(
    paths: list[Path],
    choice: LogChoice,
    hunt: Hunt,
    jobs: int | None,
    bars: ReadingBars,
) -> ParseTally:
    """Read in as many processes as are asked for, or worthwhile."""
    chosen(choice.source, choice.mapping)  # a wrong one is said before anything starts
    files = files_of(paths)
    wanted = worthwhile_processes(files) if jobs is None else jobs
    if wanted > 1 and all(file.is_file() for file in files):  # a pipe is read here
        return HuntProcesses(choice, hunt, bars).run(files, wanted)
    return read_alone(files, choice, hunt, bars)


def worthwhile_processes(files: list[Path]) -> int:
    """Count the processes that are worth their start, at most one a core."""
    size = sum(bytes_to_read(file) for file in files if file.is_file())
    return max(1, min(os.cpu_count() or 1, size // WORTH))


def operator_cause(
    text: str, vocabulary: Vocabulary | None = None
) -> tuple[Identifier, int]:
    """Read ``kind:value@TIME``, split at the last ``@``.

    Raises:
        ValueError: no identifier, or no time that can be read.
    """
    name, _, moment = text.rpartition("@")
    if not name:
        message = "--revoke: write kind:value@TIME, such as "
        message += "aws.access_key:AKIAEXAMPLE@2026-01-31T09:00:00Z"
        raise ValueError(message)
    refuse_number(moment, "--revoke kind:value@TIME:")
    try:
        time = typed_time(moment)
    except ValueError as error:
        message = f"--revoke kind:value@TIME: {moment!r} {error}"
        raise ValueError(message) from error
    if SecretNames().plain(name) is not None:
        raise PlainSecretError("--revoke takes the hash that `rescind why` prints")
    identifier = identifier_of(name)
    vocabulary = vocabulary or vocabulary_of(None)
    if identifier.kind not in vocabulary:
        raise ValueError(f"--revoke: {unknown_kind(identifier.kind, vocabulary)}")
    return identifier, time


def vocabulary_of(mapping: Path | None) -> Vocabulary:
    """Kinds and classes, with those that a mapping declares."""
    if mapping is None:
        return dict(VOCABULARY)
    declared = load_mapping(mapping.read_text(encoding="utf-8"), str(mapping)).kinds
    return extend(declared)


def as_json(report: Report) -> dict[str, Any]:
    """Stable public form of a report."""
    counts = report.counts
    return {
        "records": {
            "read": counts.read,
            "lifecycle": counts.lifecycle,
            "access": counts.access,
            "duplicate": counts.duplicate,
            "dead_letter": counts.dead_letter,
            "without_effect": counts.idle,
        },
        "issued": report.issued,
        "edges": report.edges,
        "causes": [_cause(named) for named in report.causes],
        "findings": [_finding(reuse) for reuse in report.findings],
    }


def as_findings(report: Report) -> list[Finding]:
    """Return the findings in the form that every output of the product takes."""
    return [
        Finding(
            id=episode_id(
                REALM, reuse.identifiers[0], reuse.kind, reuse.death.cause.fact_id
            ),
            kind=reuse.kind,
            severity=SEVERITY[reuse.kind],
            realm=REALM,
            presented=reuse.identifiers[0],
            outcome=reuse.outcome,
            via=reuse.via,
            path=reuse.death.path,
            cause=reuse.death.cause.fact_id,
            cause_at=reuse.death.cause.at,
            cause_effect=reuse.death.cause.effect.value,
            count=reuse.count,
            first_seen=reuse.first.time,
            last_seen=reuse.last.time,
            event_ids=tuple(reuse.event_ids[:100]),
            message=sentence(reuse),
        )
        for reuse in report.findings
    ]


def sentence(reuse: Reuse) -> str:
    """Say in one sentence what happened."""
    cause = reuse.death.cause
    did = "was still allowed" if reuse.outcome != "denied" else "was still presented"
    name = reuse.identifiers[0]
    ended = (
        f"its {cause.effect.value}"
        if reuse.via == "direct"
        else f"the {cause.effect.value} of {cause.target} above it"
    )
    times = "once" if reuse.count == 1 else f"{reuse.count} times"
    return f"{name} {did} {times} after {ended} at {rfc3339(cause.at)}"


def _cause(named: NamedCause) -> dict[str, Any]:
    return {
        "id": named.id,
        "effect": named.fact.effect.value,
        "reach": named.fact.reach.value,
        "identifiers": [list(identifier) for identifier in named.identifiers],
        "at": None if named.fact.stamped else rfc3339(named.fact.at),
        "event_id": named.event_id,
        "source": named.source,
    }


def _finding(reuse: Reuse) -> dict[str, Any]:
    return {
        "kind": reuse.kind.value,
        "via": reuse.via,
        "identifiers": [list(identifier) for identifier in reuse.identifiers],
        "at": rfc3339(reuse.first.time),
        "event_id": reuse.first.event_id,
        "outcome": reuse.outcome,
        "cause": reuse.death.cause.fact_id,
        "path": [list(identifier) for identifier in reuse.death.path],
        "count": reuse.count,
        "first_seen": rfc3339(reuse.first.time),
        "last_seen": rfc3339(reuse.last.time),
        "event_ids": reuse.event_ids,
    }


class ReadingBars:
    """A bar for each file that is being read, where errors go to a terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._shown = Progress(
            console=console, transient=True, disable=not console.is_terminal
        )
        self._tasks: dict[Path, TaskID] = {}
        self._done: Counter[Path] = Counter()

    def __enter__(self) -> Self:
        return self  # shown with the first bar: a fork must have no other thread

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    def __call__(self, file: Path, more: int, size: int) -> None:
        """Move the bar of a file; it goes when the file is read."""
        self._done[file] += more
        if self._done[file] >= size:
            if file in self._tasks:
                self._shown.remove_task(self._tasks.pop(file))
            return
        if file not in self._tasks:
            self._shown.start()
            self._tasks[file] = self._shown.add_task(escape(file.name), total=size)
        self._shown.update(self._tasks[file], completed=self._done[file])


def tell_unread(tally: ParseTally) -> None:
    """Print what could not be read, by file and reason, where errors go."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    table = Table("not read", "line", "pieces", "why")
    for column in table.columns:
        column.overflow = "fold"
    for (file, reason), unread in sorted(tally.unread.items()):
        first = unread.first
        line = str(first.line) if first.line else ""
        shown = (file, line, str(unread.pieces), reason)
        table.add_row(*map(escape, map(clean, shown)))
    console.print(table)


def _print_json(report: Report) -> None:
    sys.stdout.buffer.write(orjson.dumps(as_json(report)) + b"\n")


def _print_ocsf(report: Report) -> None:
    from streams.sinks.ocsf import event
    from streams.stages.notify.deliveries import Activity

    for finding in as_findings(report):
        made = event(finding, Activity.CREATE, at=finding.last_seen, uid=finding.id)
        sys.stdout.buffer.write(orjson.dumps(made) + b"\n")


def _print_table(report: Report) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    counts = report.counts
    console.print(
        f"{counts.read} events read: {counts.lifecycle} lifecycle, {counts.access} "
        f"access, {counts.duplicate} duplicate, {counts.dead_letter} dead letters, "
        f"{counts.idle} that change no authority; "
        f"{report.issued} credentials issued, {report.edges} lineage edges, "
        f"{len(report.causes)} causes",
        highlight=False,
    )
    if not report.findings:
        where = " in what could be read" if counts.dead_letter else ""
        console.print(f"No dead credential was presented{where}.")
        return
    table = Table("what", "credential", "times", "first seen", "last seen", "why")
    for column in table.columns:
        column.overflow = "fold"
    for reuse in report.findings:
        cause = reuse.death.cause
        table.add_row(
            reuse.kind.value.replace("_", " "),
            str(reuse.identifiers[0]),
            str(reuse.count),
            rfc3339(reuse.first.time),
            rfc3339(reuse.last.time),
            f"{cause.effect.value} of {cause.target} at {rfc3339(cause.at)}",
        )
    console.print(table)


_PRINT: Final = {"table": _print_table, "json": _print_json, "ocsf": _print_ocsf}
