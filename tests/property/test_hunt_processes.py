"""Hunts in several processes over random logs report what one process reports."""

from __future__ import annotations

import multiprocessing
from random import Random
from typing import TYPE_CHECKING

import orjson
import pytest

import streams.services.log_blocks
from streams.cli.logs import as_json
from streams.services import hunt, hunt_uses
from streams.services.hunt import Hunt
from streams.services.hunt_processes import HuntProcesses, LogChoice, read_alone
from tests.campaigns import some
from tests.generators.cloudtrail import as_archive, as_document, as_lines, generate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.property

SEEDS = some(range(40), range(4), pytest.mark.long)
NO_EVENTS = (b"", b"\n\n", b"{torn\n{torn\n", b'{"eventName": 1}\n', b"\0\0\n")


def logs_of(random: Random, folder: Path) -> list[Path]:
    """Write a world to files of all forms: in any order, with repeats and damage."""
    events = generate(Random(random.random()), random.choice((60, 250, 500))).events
    events += random.sample(events, 20)
    events += [event | {"userAgent": "edited"} for event in random.sample(events, 3)]
    if random.random() < 0.5:
        random.shuffle(events)
    files: list[Path] = []
    while events:
        some_of = [events.pop() for _ in range(min(len(events), random.randint(1, 99)))]
        write = random.choice((as_lines, as_lines, as_document, as_archive))
        file = folder / f"{len(files):03}.log"
        file.write_bytes(write(some_of) + random.choice(NO_EVENTS))
        files.append(file)
    return files


@pytest.mark.parametrize("seed", SEEDS)
def test_many_processes_report_what_one_does(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, with what could not be read and where it lies."""
    random = Random(seed)
    block = random.choice((9_000, 1 << 25))
    monkeypatch.setattr(streams.services.log_blocks, "BLOCK", block)
    monkeypatch.setattr(streams.services.log_blocks, "_PARTS", random.choice((2, 16)))
    monkeypatch.setattr(hunt, "NEIGHBOURS", random.choice((1, 64)))
    monkeypatch.setattr(hunt_uses, "IN_MEMORY", random.choice((9_000, 1 << 25)))
    files = logs_of(random, tmp_path)
    choice = LogChoice.of(None, None, files)
    alone, together = Hunt(), Hunt()
    right = read_alone(files, choice, alone, None)
    tally = HuntProcesses(choice, together).run(files, random.randint(2, 3))
    inclusive = random.random() < 0.5

    first, second = (
        orjson.dumps(as_json(each.report(inclusive=inclusive)))
        for each in (alone, together)
    )
    assert first == second
    assert (right.read, right.unknown) == (tally.read, tally.unknown)
    assert right.unread == tally.unread
    assert not multiprocessing.active_children()
