"""How many CloudTrail events a hunt reads, joins and judges in a CPU-second."""

from __future__ import annotations

import gc
import os
import time
from collections import defaultdict, deque
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import orjson

from bench.report import Row, rate
from bench.rounds import apart, cpu_of, spread
from streams.services.hunt import Hunt
from streams.services.hunt_processes import (
    HuntProcesses,
    LogChoice,
    read_alone,
)
from streams.services.log_blocks import FilePart
from streams.services.parse import LogReader
from streams.services.unread_input import ParseTally
from tests.generators.cloudtrail import ACCOUNT, as_lines, generate

ROUNDS: Final = 5
ACCOUNTS: Final = {"tiny": 2, "small": 8, "full": 40}
EVENTS: Final = {"tiny": 300, "small": 2_500, "full": 5_000}  # of each account
ENDING: Final = {"no ending": 0, "few endings": 1, "many endings": 10}  # of ten
LEAST_A_SECOND: Final = 60_000


class Split(NamedTuple):
    """CPU-seconds of one hunt; ``add`` is reading and adding, without parsing."""

    parse: float
    add: float
    report: float
    causes: int
    findings: int


def rows(scale: str) -> list[Row]:
    """Measure logs of many accounts in which none, few and all end credentials."""
    found: list[Row] = []
    gc.disable()  # as the command does
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "log"
            for what, of_ten in ENDING.items():  # each as a command of its own is
                apart(partial(_write, file, scale, of_ten))
                found += apart(partial(_hunting, what, file))
            found.append(_command(file, scale))
    finally:
        gc.enable()
    return found


def _write(file: Path, scale: str, of_ten: int) -> None:
    """Write a log; of every ten accounts some end credentials (1 event in 40)."""
    parts = []
    for number in range(ACCOUNTS[scale]):
        quiet = number % 10 >= of_ten
        world = generate(Random(number), EVENTS[scale], quiet=quiet)
        name = str(int(ACCOUNT) + number).encode()
        parts.append(as_lines(world.events).replace(ACCOUNT.encode(), name))
    file.write_bytes(b"".join(parts))


def _hunting(what: str, file: Path) -> list[Row]:
    """Compare with the plainest reader: JSON, and times in lists by access key."""
    log = file.read_bytes()
    count = log.count(b"\n")
    _hunt(file)
    splits, ratios, peers = [], [], []
    for _ in range(ROUNDS):
        first, other, again, last = (
            _hunt(file), cpu_of(lambda: _read(log)), cpu_of(lambda: _read(log)),
            _hunt(file),
        )  # fmt: skip
        splits += [first, last]
        peers.append((other + again) / 2)
        ratios.append((sum(first[:3]) + sum(last[:3])) / (other + again))
    whole = median(sum(split[:3]) for split in splits)
    causes, findings = splits[0].causes, splits[0].findings
    parse, add, report = (median(s[part] for s in splits) for part in range(3))
    size = f"{count:,} events, {causes:,} causes, {findings:,} findings"
    return [
        Row(
            what=f"{what}: {size}",
            value=rate(count / whole),
            cpu=sum(sum(split[:3]) for split in splits),
            peer=f"JSON + lists by key, {rate(count / median(peers))}",
            ratio=spread(ratios),
            target=f">= {rate(LEAST_A_SECOND)}",
            met=count / whole >= LEAST_A_SECOND,
        ),
        Row(
            what="  of it an event: parse + add + report",
            value=" + ".join(f"{t / count * 1e6:.1f}" for t in (parse, add, report))
            + " us",
        ),
    ]


def _hunt(file: Path) -> Split:
    """Hunt as the command does in one process: secrets are looked for, ids compared."""
    reader = LogReader("cloudtrail", [file], ParseTally())
    parse = cpu_of(lambda: deque(reader.batches(FilePart(file)), maxlen=0))
    hunt = Hunt()
    whole = cpu_of(lambda: read_alone([file], _choice(file), hunt, None))
    started = time.process_time_ns()
    report = hunt.report()
    judge = (time.process_time_ns() - started) / 1e9
    return Split(parse, whole - parse, judge, len(report.causes), len(report.findings))


def _choice(file: Path) -> LogChoice:
    return LogChoice.of(None, None, [file])


def _command(file: Path, scale: str) -> Row:
    """Compare two processes, which read a file in parts, with one; by the clock."""
    count = file.read_bytes().count(b"\n")
    two, one, ratios = [], [], []
    for _ in range(1 if scale == "tiny" else ROUNDS):
        sides = _wall(file, 1), _wall(file, 2), _wall(file, 2), _wall(file, 1)
        one += [sides[0], sides[3]]
        two += [sides[1], sides[2]]
        ratios.append((sides[1][0] + sides[2][0]) / (sides[0][0] + sides[3][0]))
    (clock, cpu), (alone, cpu_alone) = (
        [median(each[part] for each in side) for part in range(2)]
        for side in (two, one)
    )
    return Row(
        what=f"  the command in 2 processes, {clock:.1f} s by the clock",
        value=f"{rate(count / cpu)} of CPU",
        cpu=sum(each[1] for each in two),
        peer=f"in 1: {alone:.1f} s, {rate(count / cpu_alone)} of CPU",
        ratio=spread(ratios),
    )


def _wall(file: Path, jobs: int) -> tuple[float, float]:
    """Seconds of a hunt by the clock and of CPU, with the start of its processes."""
    gc.collect()
    times, clock = os.times(), time.monotonic()
    hunt = Hunt()
    if jobs == 1:
        read_alone([file], _choice(file), hunt, None)
    else:
        HuntProcesses(_choice(file), hunt).run([file], jobs)
    hunt.report()
    spent = sum(os.times()[:4]) - sum(times[:4])
    return time.monotonic() - clock, spent


def _read(log: bytes) -> dict[str, list[tuple[str, str]]]:
    """Do the least that any join over these lines must do."""
    uses: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in log.splitlines():
        event = orjson.loads(line)
        key = event["userIdentity"].get("accessKeyId")
        if key is not None:
            uses[key].append((event["eventTime"], event["eventID"]))
    return uses
