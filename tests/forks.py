"""Tests in several processes, forked from one that has collected them.

Loaded by `pytest -p tests.forks --forks N`. With pytest-xdist each process imports and
collects all tests; here one does. `tests.shares` decides what is dealt out. A
process takes the next share once it has done one, so none holds tests that another one
could run. Coverage is measured with pytest-xdist, which it knows.
"""

from __future__ import annotations

import gc
import mmap
import os
import pickle
import signal
import struct
import tempfile
import traceback
import uuid
from itertools import groupby
from multiprocessing import Pipe, connection
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
from _pytest.runner import CallInfo  # as pytest-xdist does

from tests.shares import share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from _pytest.capture import CaptureManager

_NUMBER: Final = struct.Struct("=i")
_PATIENCE: Final = 30  # seconds for fixtures to end, once somebody stops the run
_NONE: Final = -1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how many processes."""
    parser.addoption("--forks", type=int, default=0, help="processes that run tests")


def pytest_configure(config: pytest.Config) -> None:
    """Run the tests in processes, where more than one is asked for."""
    if (forks := config.getoption("forks")) > 1 and not config.option.collectonly:
        config.pluginmanager.register(Forks(config, forks), "forks")


class Forks:
    """The process that collects, forks those that run, and reports."""

    def __init__(self, config: pytest.Config, forks: int) -> None:
        """Learn how many to fork."""
        self._config = config
        self._forks = forks
        self._shares: list[list[pytest.Item]] = []
        self._workers: dict[connection.Connection, tuple[int, int]] = {}
        self._told: set[str] = set()  # tests
        # Place of the test that each one runs: who dies has no time to tell it.
        self._places = mmap.mmap(-1, forks * _NUMBER.size)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Deal out all tests, and report each as if it had run here."""
        if (
            session.testsfailed
            and not self._config.option.continue_on_collection_errors
        ):
            return None  # says so
        root = self._config.rootpath
        grouped = groupby(session.items, lambda item: share(item.nodeid, root))
        self._shares = [list(items) for _, items in grouped]
        os.environ["PYTEST_XDIST_TESTRUNUID"] = uuid.uuid4().hex
        self._config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        with tempfile.TemporaryFile() as todo:
            # All of them read on at one offset, which the kernel keeps.
            todo.write(b"".join(map(_NUMBER.pack, range(len(self._shares)))))
            todo.flush()
            os.lseek(todo.fileno(), 0, os.SEEK_SET)
            try:
                for number in range(min(self._forks, len(self._shares))):
                    self._fork(session, number, todo.fileno())
                self._report(session, todo.fileno())
            finally:
                self._end()
        for item in session.items:
            if item.nodeid not in self._told:
                self._fail(item, "no process told how it went")
        return True

    def _fork(
        self,
        session: pytest.Session,
        number: int,
        todo: int,
        first: Sequence[pytest.Item] = (),
    ) -> None:
        _NUMBER.pack_into(self._places, number * _NUMBER.size, _NONE)
        here, there = Pipe(duplex=False)
        if process := os.fork():
            there.close()
            self._workers[here] = (number, process)
            return
        code = 1
        try:
            here.close()
            worker = Worker(session, number, there, self._shares, self._places)
            worker.run(todo, first)
            code = 0
        except BaseException:  # noqa: BLE001 - no one else could tell it
            traceback.print_exc()
        finally:
            # Nothing of the process that forked is to be done twice.
            os._exit(code)

    def _report(self, session: pytest.Session, todo: int) -> None:
        hook = self._config.hook
        while self._workers:
            for each in connection.wait([*self._workers]):
                assert isinstance(each, connection.Connection)
                if (data := _received(each)) is None:
                    self._ended(session, each, todo)
                    continue
                report = hook.pytest_report_from_serializable(
                    config=self._config, data=data
                )
                self._told.add(report.nodeid)
                hook.pytest_runtest_logreport(report=report)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)

    def _ended(
        self, session: pytest.Session, worker: connection.Connection, todo: int
    ) -> None:
        number, process = self._workers.pop(worker)
        worker.close()
        _, status = os.waitpid(process, 0)
        if not status:
            return
        (place,) = _NUMBER.unpack_from(self._places, number * _NUMBER.size)
        if place == _NONE:
            raise session.Interrupted("a process that runs tests did not start")
        item = session.items[place]
        code = os.waitstatus_to_exitcode(status)
        self._fail(item, f"exit code {code} of the process that ran it")
        (its,) = (share for share in self._shares if item in share)
        self._fork(session, number, todo, its[its.index(item) + 1 :])

    def _fail(self, item: pytest.Item, text: str) -> None:
        report = pytest.TestReport(
            item.nodeid, item.location, {}, "failed", text, "call"
        )  # fmt: skip
        self._told.add(item.nodeid)
        self._config.hook.pytest_runtest_logreport(report=report)

    def _end(self) -> None:
        """Let those that still run end their fixtures: brokers and servers."""
        for _, process in self._workers.values():
            os.kill(process, signal.SIGINT)
        for worker, (_, process) in self._workers.items():
            while patient := worker.poll(_PATIENCE):
                if _received(worker) is None:
                    break
            if not patient:
                os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            worker.close()
        self._workers.clear()


class Worker:
    """A process that runs tests."""

    def __init__(
        self,
        session: pytest.Session,
        number: int,
        back: connection.Connection,
        shares: list[list[pytest.Item]],
        places: mmap.mmap,
    ) -> None:
        """Make what the processes must not share this one's own."""
        self._session = session
        self._number = number
        self._back = back
        self._shares = shares
        self._places = places
        self._ends = False
        self._following: list[pytest.Item] = []  # of the share that it does
        self._config = config = session.config
        self._place = {item: place for place, item in enumerate(session.items)}
        os.environ["PYTEST_XDIST_WORKER"] = _name(number)
        temporary: Any = config._tmp_path_factory  # type: ignore[attr-defined]
        folder = temporary.getbasetemp() / f"popen-{_name(number)}"
        folder.mkdir(mode=0o700, exist_ok=True)
        temporary._basetemp = folder
        terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
        terminal._tw._file = open(os.devnull, "w")  # noqa: SIM115, PTH123 - to the end
        capture: CaptureManager | None
        capture = config.pluginmanager.get_plugin("capturemanager")
        if capture is not None:
            # The files that catch output would be those of all processes.
            capture.stop_global_capturing()
            capture.start_global_capturing()
            capture.suspend_global_capture()
        config.pluginmanager.unregister(name="forks")
        config.pluginmanager.register(self, "forked")

    def run(self, todo: int, first: Sequence[pytest.Item]) -> None:
        """Run shares until there is none left, then end the fixtures of the session."""
        item = None
        self._following[:] = first
        # Also where whoever started the run ignores it, which is inherited.
        signal.signal(signal.SIGINT, self._stop)
        try:
            for item in self._items(todo):
                _NUMBER.pack_into(
                    self._places, self._number * _NUMBER.size, self._place[item]
                )
                self._config.hook.pytest_runtest_protocol(
                    item=item, nextitem=self._next(item)
                )
                if self._session.shouldfail or self._session.shouldstop:
                    break
        finally:
            # First, and no call, before which a signal would be heard.
            self._ends = True
            if item is not None:
                self._end(item)
            self._back.close()

    def _stop(self, *_: object) -> None:
        """End the test that runs, and leave the end of fixtures alone."""
        session = self._session
        if not (self._ends or session.shouldfail or session.shouldstop):
            raise KeyboardInterrupt

    def _items(self, todo: int) -> Iterator[pytest.Item]:
        while True:
            while self._following:
                yield self._following.pop(0)
            if not (number := os.read(todo, _NUMBER.size)):
                return
            self._following[:] = self._shares[_NUMBER.unpack(number)[0]]

    def _next(self, item: pytest.Item) -> Any:
        """Test to keep fixtures for; after a share those of the session alone."""
        if self._following:
            return self._following[0]
        return SimpleNamespace(listchain=lambda: [item.session])

    def _end(self, last: pytest.Item) -> None:
        gc.collect()
        call = CallInfo.from_call(
            lambda: self._session._setupstate.teardown_exact(None),
            "teardown",
        )
        if call.excinfo is not None:
            self.pytest_runtest_logreport(
                pytest.TestReport.from_item_and_call(last, call)
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell the process that reports; set-up and teardown where they matter.

        The session knows by then whether it was to be the last test here.
        """
        if (
            report.when != "call"
            and report.passed
            and not self._config.option.durations
        ):
            return
        data = self._config.hook.pytest_report_to_serializable(
            config=self._config, report=report
        )
        self._back.send_bytes(pickle.dumps(data))


def _received(worker: connection.Connection) -> Any:
    """Wait for what a process tells next; None once it has ended."""
    try:
        return worker.recv()
    except EOFError:
        return None


def _name(number: int) -> str:
    return f"gw{number}"
