"""Hunts in several processes: the same report, and never half of one."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from pathlib import Path
from random import Random
from threading import Event
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from streams.cli import logs
from streams.cli.main import app
from streams.services import hunt_forks, hunt_processes
from streams.services.hunt import Hunt
from streams.services.hunt_forks import in_fork, judge_in_forks
from streams.services.hunt_processes import HuntProcesses, LogChoice, read_alone
from streams.services.parse import files_of
from tests.generators.cloudtrail import as_archive, as_lines, generate
from tests.integration.cli_server import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

pytestmark = pytest.mark.integration

VAULT = Path(__file__).parents[2] / "examples" / "openbao" / "audit.log"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write logs of two systems, a vault's in pieces that part its pairs."""
    events = generate(Random(1), 300).events
    for number in range(6):
        write = as_archive if number % 2 else as_lines
        (tmp_path / f"aws.{number}").write_bytes(write(events[number::6] + events[:9]))
    (tmp_path / "torn").write_bytes(b"\n{torn\n" + as_lines(events[:3]))
    lines = VAULT.read_bytes().splitlines(keepends=True)
    for number in range(0, len(lines), 7):
        part = tmp_path / f"vault.{number:04}"
        part.write_bytes(b"".join(lines[number : number + 7]))
    return tmp_path


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_three_processes_find_what_one_finds(
    method: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts, causes, findings, and what could not be read, where it lies."""
    context = multiprocessing.get_context(method)
    monkeypatch.setattr(hunt_processes, "start_context", lambda: context)
    files = files_of([folder])
    choice = LogChoice.of(None, None, [folder])
    alone, together = Hunt(), Hunt()
    right = read_alone(files, choice, alone, None)
    news: list[Path] = []
    tally = HuntProcesses(
        choice, together, lambda file, _done, _size: news.append(file)
    ).run(files, 3)

    assert alone.report() == together.report()
    assert alone.report().findings
    assert (right.read, right.unknown) == (tally.read, tally.unknown)
    assert right.unread == tally.unread
    assert set(files) == set(news)
    assert not multiprocessing.active_children()


def test_two_processes_read_one_large_file(tmp_path: Path) -> None:
    """In parts, of which the second begins before the first is read."""
    events = generate(Random(2), 90).events
    file = tmp_path / "large"
    lines = as_lines(events).splitlines()
    file.write_bytes(b"\n".join(line.ljust(900_000) for line in lines))
    choice = LogChoice.of(None, None, [file])
    alone, together = Hunt(), Hunt()
    right = read_alone([file], choice, alone, None)
    done: Counter[Path] = Counter()

    def progress(file: Path, more: int, size: int) -> None:
        assert file.stat().st_size == size
        done[file] += more

    tally = HuntProcesses(choice, together, progress).run([file], 2)

    assert alone.report() == together.report()
    assert (len(events), right) == (tally.read, tally)
    assert {file: file.stat().st_size} == done


def hunted(folder: Path, *options: str) -> Result:
    """Hunt by the command, in two processes."""
    return CliRunner().invoke(app, ["hunt", str(folder), "--jobs", "2", *options])


def test_what_no_process_can_read_is_told_as_ever(tmp_path: Path) -> None:
    """The exit code and the table by file and reason."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"\n{torn\n")
    result = hunted(tmp_path, "--output", "json")

    assert 3 == result.exit_code
    assert 2 == json.loads(result.stdout)["records"]["dead_letter"]
    for name in ("a", "b"):
        assert str(tmp_path / name) in result.stderr


def hunt_until_killed(folder: Path, told: Path) -> None:
    """Hunt in two processes; write their numbers once they read, and go no further."""

    def stop(file: Path, more: int, size: int) -> None:
        write_children(told)
        Event().wait()

    choice = LogChoice.of(None, None, [folder])
    HuntProcesses(choice, Hunt(), stop).run(files_of([folder]), 2)


def test_no_process_outlives_a_main_one_that_is_killed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Forks hold no end of a pipe open that would hide it."""
    told = tmp_path_factory.mktemp("told") / "pids"
    end_with_main(told, lambda: hunt_until_killed(folder, told))


def test_no_fork_that_judges_outlives_a_main_one_that_is_killed(tmp_path: Path) -> None:
    """Though it has more to say than a pipe holds."""
    end_with_main(tmp_path / "pids", lambda: judge_until_killed(tmp_path / "pids"))


def judge_until_killed(told: Path) -> None:
    """Judge in two forks; write their numbers, and go no further."""

    def judge(share: int, _: int) -> list[bytes]:
        if not share:
            write_children(told)
            Event().wait()
        return [bytes(1 << 22)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hunt_forks, "may_fork", lambda: True)
        judge_in_forks(judge, shares=3)


@pytest.mark.parametrize("forks", [True, False])
def test_what_a_fork_lost_is_judged_here(
    forks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where memory is short; and where no fork is whole, all of it."""
    monkeypatch.setattr(hunt_forks, "may_fork", lambda: forks)
    here = os.getpid()

    def judge(share: int, shares: int) -> list[int]:
        if share == 1 and os.getpid() != here:
            os._exit(1)
        return [*range(10)][share::shares]

    assert [*range(10)] == sorted(judge_in_forks(judge, shares=3))
    assert not multiprocessing.active_children()


def test_what_a_fork_began_and_lost_is_done_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Though nobody waits for it, it ends with its context."""
    monkeypatch.setattr(hunt_forks, "may_fork", lambda: True)
    here = os.getpid()

    def work() -> list[bool]:
        if os.getpid() != here:
            os._exit(1)
        return [True]

    with in_fork(work) as result, in_fork(lambda: [os.getpid()]) as other:
        assert [True] == result()
        assert [here] != other()
    with in_fork(Event().wait):
        assert multiprocessing.active_children()

    assert not multiprocessing.active_children()


def end_with_main(told: Path, work: Callable[[], None]) -> None:
    """Kill a process in its work; the two that it made have to end."""
    main = multiprocessing.get_context("fork").Process(target=work)
    main.start()
    until(told.exists)
    main.kill()
    main.join()

    pids = [int(pid) for pid in told.read_text().split()]
    assert 2 == len(pids)
    try:
        until(lambda: not any(map(runs, pids)))
    finally:
        for pid in filter(runs, pids):
            os.kill(pid, signal.SIGKILL)


def write_children(told: Path) -> None:
    """Write the numbers of this process's own."""
    pids = [str(each.pid) for each in multiprocessing.active_children()]
    told.with_suffix(".new").write_text(" ".join(pids))
    told.with_suffix(".new").rename(told)


def runs(pid: int) -> bool:
    """Tell whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # nobody may have asked how it ended


@pytest.mark.long
def test_a_process_that_dies_is_an_error_that_names_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where memory is short: nothing is said of credentials."""

    def kill(_bars: object, file: Path, _done: int, _size: int) -> None:
        if file.name.startswith("aws"):
            for process in multiprocessing.active_children():
                assert process.pid is not None
                os.kill(process.pid, signal.SIGKILL)

    monkeypatch.setattr(logs.ReadingBars, "__call__", kill)
    result = hunted(folder)

    assert (3, "") == (result.exit_code, result.stdout)
    assert f"{folder}" in result.stderr
    assert "SIGKILL" in result.stderr
    assert not multiprocessing.active_children()


@pytest.mark.long
def test_an_interrupted_hunt_leaves_no_process(folder: Path) -> None:
    """Whenever it comes."""

    def interrupt(file: Path, more: int, size: int) -> None:
        raise KeyboardInterrupt

    choice = LogChoice.of(None, None, [folder])
    with pytest.raises(KeyboardInterrupt):
        HuntProcesses(choice, Hunt(), interrupt).run(files_of([folder]), 2)

    assert not multiprocessing.active_children()
