"""The command ``rescind parse``: records as lines, a summary for the person."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

import orjson

from streams.cli.output import to_stderr
from streams.model.records import DeadLetter, to_line
from streams.services.event_id_conflicts import COLLISION
from streams.services.parse import (
    ParseTally,
    UnreadPiece,
    kind_of,
    parse_paths,
    summary,
)
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import MappingError, load_mapping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.sources import Source

_USAGE: Final = 2
NOWHERE: Final = dict.fromkeys(UnreadPiece._fields)  # of what was read


def run(paths: list[Path], source: str | None, mapping: Path | None) -> int:
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
        to_stderr("parse", error)
        return _USAGE
    sys.stderr.write(summary(counts, tally) + "\n")
    return 0


def chosen(
    source: str | None, mapping: Path | None
) -> str | Callable[[], Source] | None:
    """Source that the options name: a name, a maker, or None to guess.

    Raises:
        ValueError: both options are given, or the mapping has an error.
    """
    if mapping is None:
        return source
    if source is not None:
        message = "give either --source or --mapping: a mapping is a source"
        raise ValueError(message)
    loaded = load_mapping(mapping.read_text(encoding="utf-8"), str(mapping))
    return lambda: Generic(loaded)
