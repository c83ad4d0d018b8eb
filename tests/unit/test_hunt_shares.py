"""A hunt's report does not depend on who reads which part of the logs, and when."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import streams.services.log_blocks
from streams.model.keyed_names import LEAST_BYTES
from streams.model.records import DeadLetter
from streams.services import hunt_processes, hunt_uses
from streams.services.hunt import Hunt, Report
from streams.services.hunt_excerpts import places
from streams.services.hunt_processes import (
    LogChoice,
    LogShare,
    PartRead,
    joined,
    read_alone,
)
from streams.services.log_blocks import FilePart
from streams.services.parse import parse_paths
from tests.generators.cloudtrail import as_archive, as_document, as_lines, generate

if TYPE_CHECKING:
    from pathlib import Path

    from streams.services.hunt_excerpts import Excerpt

pytestmark = pytest.mark.unit

PEPPER = bytes(LEAST_BYTES)


def split(random: Random, folder: Path) -> list[Path]:
    """Write the events of a world to files of all forms, some of them twice."""
    events: list[dict[str, Any]] = generate(Random(random.random()), 400).events
    # Two contents of one id, in any two files.
    events += [event | {"userAgent": "edited"} for event in random.sample(events, 5)]
    events += random.sample(events, 30)
    random.shuffle(events)
    files: list[Path] = []
    while events:
        some = [events.pop() for _ in range(min(len(events), random.randint(1, 90)))]
        write = random.choice((as_lines, as_lines, as_document, as_archive))
        file = folder / f"{len(files)}.log"
        file.write_bytes(write(some) + random.choice((b"", b"", b"\n\n{torn\n{torn\n")))
        files.append(file)
    return files


def read_by_three(
    random: Random, files: list[Path], choice: LogChoice
) -> tuple[Report, dict[tuple[str, str], tuple[Any, int]]]:
    """Let three shares read parts in any order, and merge what they give in any."""
    done: Counter[Path] = Counter()

    def progress(file: Path, more: int, size: int) -> None:
        assert file.stat().st_size == size
        done[file] += more

    shares = [LogShare(choice, progress) for _ in range(3)]
    hunt, here = Hunt(), [places() for _ in shares]
    waiting = [FilePart(file) for file in files]
    given: list[list[Excerpt]] = [[], [], []]
    read: list[PartRead] = []
    while waiting:
        part = waiting.pop(random.randrange(len(waiting)))
        who = random.randrange(3)
        given[who] += shares[who].read(part, cut=True)
        read.append(shares[who].done(part))
        waiting += read[-1].left
    for who, share in enumerate(shares):
        given[who].append(share.close())
    while any(given):
        who = random.choice([who for who in range(3) if given[who]])
        hunt.merge(given[who].pop(0), here[who])
    hunt.counts.read = sum(share.tally.read for share in shares)
    assert any(each.part.start for each in read)
    assert {file: file.stat().st_size for file in files} == done
    read.sort(key=lambda each: (files.index(each.part.file), each.part.start))
    return hunt.report(), told(joined(read))


def told(unread: dict[Any, Any]) -> dict[tuple[str, str], tuple[Any, int]]:
    """Give the place of the first unread piece and their number, by file and reason."""
    return {key: (each.first, each.pieces) for key, each in unread.items()}


@pytest.mark.parametrize("seed", range(4))
def test_the_report_is_the_same_whoever_reads_what(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large files of lines are cut; repeats and conflicts lie in any two files."""
    monkeypatch.setattr(streams.services.log_blocks, "BLOCK", 7_000)
    monkeypatch.setattr(streams.services.log_blocks, "_TAIL", 300)
    monkeypatch.setattr(hunt_processes, "MOST_RECORDS", 7)  # an event may lie in two
    random = Random(seed)
    files = split(random, tmp_path)
    choice = LogChoice(None, None, files, PEPPER)
    alone = Hunt()
    tally = read_alone(files, choice, alone, None)
    alone.counts.read = tally.read
    report = alone.report()

    letters = sum(isinstance(one, DeadLetter) for one in parse_paths(files))
    assert letters == report.counts.dead_letter
    assert report.findings
    assert report.counts.duplicate
    monkeypatch.setattr(hunt_uses, "AT_ONCE", 60)
    monkeypatch.setattr(hunt_uses, "IN_MEMORY", 5_000)
    assert (report, told(tally.unread)) == read_by_three(random, files, choice)


def test_others_may_begin_before_the_first_block_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be read apart is known with the first excerpt, and told once."""
    monkeypatch.setattr(streams.services.log_blocks, "BLOCK", 7_000)
    monkeypatch.setattr(hunt_processes, "MOST_RECORDS", 1)
    file = tmp_path / "log"
    file.write_bytes(as_lines(generate(Random(1), 60).events))
    share = LogShare(LogChoice(None, None, [file], PEPPER))
    excerpts = share.read(FilePart(file), cut=True)
    next(excerpts)
    left = share.left()

    assert len(left) > 1
    assert next(excerpts, None) is not None  # the block goes on
    assert [] == share.left()
    assert list(excerpts)
    assert () == tuple(share.done(FilePart(file)).left)
    assert file.stat().st_size > left[-1].start > left[0].start > 0


@pytest.mark.parametrize(
    ("platform", "threads", "method"),
    [("linux", 1, "fork"), ("linux", 2, "spawn"), ("darwin", 1, "spawn")],
)
def test_processes_are_forks_where_a_fork_is_whole(
    platform: str, threads: int, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fork lacks the threads of its parent, and macOS does not like it."""
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("threading.active_count", lambda: threads)

    assert method == hunt_processes.start_context().get_start_method()
