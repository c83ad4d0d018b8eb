"""The kit is right, and our own guard passes it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agents_registry.table_form import VERSION
from conformance.cases import Case, SuiteError, read, suite
from conformance.drivers import DriverError, Http, Program
from conformance.levels import passes, report, run
from conformance.reference import Reference
from conformance.tables import TableDriver
from tests.conformance.export import FOLDER, export, mixed
from tests.conformance.oracle import wrong_checks
from tests.conformance.recorded import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.contract

REFERENCE = [sys.executable, "-m", "conformance.reference"]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Give the whole suite."""
    return suite()


def test_the_rules_are_those_of_our_own_cases() -> None:
    """Written once: the export is run again and compared."""
    written = {path.name: path.read_text("utf-8") for path in FOLDER.glob("rule-*")}

    assert export() == written, "run .venv/bin/python -m tests.conformance.export"


@pytest.mark.long
async def test_the_recorded_cases_are_those_of_the_golden_suite() -> None:
    """The server is run again; what it makes of the events has not changed."""
    written = (FOLDER / "recorded.yaml").read_text("utf-8")

    assert await recorded() == written, (
        "run .venv/bin/python -m tests.conformance.export"
    )


def test_the_model_agrees_with_every_check(cases: list[Case]) -> None:
    """A kit with a wrong answer would teach a wrong guard."""
    wrong = [text for case in cases for text in wrong_checks(case)]

    assert [] == wrong


def test_every_case_has_a_name_of_its_own(cases: list[Case]) -> None:
    """A report that names a case names one."""
    names = Counter((case.group, case.name) for case in cases)

    assert [] == [name for name, count in names.items() if count > 1]


def test_our_guard_passes_the_full_suite(cases: list[Case]) -> None:
    """Over a pipe, as any guard is driven."""
    with Program(REFERENCE) as driver:
        tally = run(driver, cases)

    assert report(tally, "full")[1:] == [
        "level core: passed",
        "level full: passed",
    ]
    assert tally.cases == len(cases)
    assert tally.checks > 1000


ABOUT_TABLES = ("basics", "copies", "corrections", "feed", "lease")


@pytest.mark.parametrize(
    "groups",
    [pytest.param(ABOUT_TABLES, id="some"),
     pytest.param(None, id="all", marks=pytest.mark.long)],
)  # fmt: skip
def test_our_guard_passes_from_tables(groups: tuple[str, ...] | None) -> None:
    """Whatever snapshot a server would send is a table."""
    with Program(REFERENCE) as program:
        driver = CountingDriver(program)
        tally = run(TableDriver(driver), suite(list(groups) if groups else None))

    assert [] == tally.problems
    assert driver.tables >= len({case.name for case in suite(["copies"])})


class CountingDriver:
    """Counts the tables that go out to a guard."""

    def __init__(self, driver: Program) -> None:
        self.tables = 0
        self._driver = driver

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Pass a request on."""
        self.tables += '"type": "table"' in request.get("frame", "")
        return self._driver.ask(request)


class SilentDriver:
    """A guard that reads tables and remembers what came."""

    def __init__(self, **hello: object) -> None:
        self.hello = {"type": "hello", "position": None, **hello}
        self.got: list[str] = []

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Take a request."""
        if request["do"] == "connect":
            return {"hello": self.hello}
        if "bytes" in request:
            self.got.append("bytes")
        elif request["do"] == "receive":
            frame = request["frame"]
            known = "type" in frame
            self.got.append(json.loads(frame)["type"] if known else "text")
        return {"closed": False}


def chunk(**more: object) -> str:
    """Give a whole snapshot without facts, changed."""
    plain = {"type": "snapshot", "genesis": "g", "offset": 0, "vocabulary": None}
    return json.dumps(plain | {"facts": [], "more": False} | more)


@pytest.mark.parametrize(
    ("frames", "got"),
    [
        ([chunk()], ["table", "bytes"]),
        ([chunk(more=True), chunk()], ["table", "bytes"]),
        ([chunk(more=True), "no JSON"], ["snapshot", "text"]),
        ([chunk(more=True), chunk(genesis="h")], ["snapshot", "snapshot"]),
        ([chunk(facts=[{}])], ["snapshot"]),
        ([chunk(offset="0")], ["snapshot"]),
        ([chunk(more=None)], ["snapshot"]),
    ],
)
def test_only_what_a_server_would_send_goes_out_as_a_table(
    frames: list[str], got: list[str]
) -> None:
    """What a guard must refuse reaches it as it is written."""
    guard = SilentDriver(tables=[VERSION])
    driver = TableDriver(guard)
    driver.ask({"do": "connect", "connection": 1})
    for frame in frames:
        driver.ask({"do": "receive", "connection": 1, "frame": frame})

    seen = [one for number, one in enumerate(guard.got) if one != "bytes" or number < 2]
    assert got == seen


def test_a_guard_that_reads_no_tables_gets_facts() -> None:
    """Its hello does not say so."""
    guard = SilentDriver()
    driver = TableDriver(guard)
    driver.ask({"do": "connect", "connection": 1})
    driver.ask({"do": "receive", "connection": 1, "frame": chunk()})

    assert ["snapshot"] == guard.got


class Handler(BaseHTTPRequestHandler):
    reference = Reference()

    def do_POST(self) -> None:
        """Answer a request of the kit."""
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply = json.dumps(asyncio.run(self.reference.answer(request))).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args: Any) -> None:
        """Stay silent."""


@pytest.fixture
def url() -> Iterator[str]:
    """Give the address of our guard, served over HTTP."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_guard_can_be_driven_over_http(url: str) -> None:
    """The same requests, posted."""
    tally = run(Http(url), suite(["lease", "token"]))

    assert passes(tally, "full"), tally.problems


def test_the_command_says_what_was_passed(repository: Path) -> None:
    """As the author of a guard runs it."""
    command = [sys.executable, "-c", "from streams.cli.main import main; main()"]
    asked = [*command, "conformance", "run", "--group", "basics", "--", *REFERENCE]
    result = subprocess.run(
        asked, cwd=repository, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert "level full: passed, in basics alone\n" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either a program"),
        (["--http", "http://127.0.0.1:1", "--", "true"], "give either a program"),
        (["--", "/no/such/program"], "cannot start /no/such/program"),
        (["--", "true"], "the program ended"),
        (["--", "echo", "[]"], "not an object"),
        (["--", "echo", "hello"], "not JSON"),
        (["--", "echo", '{"error": "no settings"}'], "no settings"),
        (["--http", "ftp://guard"], "not an http address"),
        (["--http", "http://127.0.0.1:1/"], "http://127.0.0.1:1/: "),
        (["--group", "nonsense", "--", "true"], "no group nonsense: there are ahead"),
    ],
)
def test_what_cannot_be_tested_is_said(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2: nothing is known of this guard."""
    from typer.testing import CliRunner  # noqa: PLC0415

    from streams.cli.main import app  # noqa: PLC0415

    one_group = ["conformance", "run", "--group", "token"]
    result = CliRunner().invoke(app, [*one_group, *arguments])

    assert result.exit_code == 2
    assert said in result.output


class Scripted:
    """A guard that gives one answer to every check."""

    def __init__(self, **verdict: Any) -> None:
        self.verdict = verdict
        self.seq = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a request of the kit."""
        self.seq += 1
        hello = {"type": "hello", "guard": "g", "genesis": None, "position": None}
        replies: dict[str, dict[str, Any]] = {
            "connect": {"hello": hello},
            "ping": {"ping": {"type": "ping", "seq": self.seq}},
            "receive": {"closed": False},
            "check": self.verdict,
        }
        return replies.get(request["do"], {})


def test_a_guard_that_denies_everything_is_safe_and_of_no_level() -> None:
    """It answers no check that core allows."""
    tally = run(Scripted(allowed=False, reason="closed"), suite(["basics"]))
    lines = report(tally, "core")

    assert not passes(tally, "core")
    assert not [line for line in lines if line.startswith("UNSAFE")]


def test_a_guard_that_allows_everything_is_unsafe() -> None:
    """That comes first in the report."""
    tally = run(Scripted(allowed=True), suite(["basics"]))
    lines = report(tally, "core")

    assert lines[0].startswith("UNSAFE: basics: ")
    assert lines[-2].startswith("level core: not passed")


def test_an_answer_that_is_no_verdict_is_no_denial() -> None:
    """A typing error in a driver must not look like a careful guard."""
    tally = run(Scripted(allow=False), suite(["lease"]))

    assert not passes(tally, "core")


def test_a_program_that_dies_is_started_again() -> None:
    """One crash is a problem of one case."""
    dies = "import sys; print('{}', flush=True); sys.stdin.readline(); sys.exit()"
    with Program([sys.executable, "-c", dies]) as driver:
        assert driver.ask({"do": "reset"}) == {}
        with pytest.raises(DriverError):
            driver.ask({"do": "check"})
        with pytest.raises(DriverError):
            driver.ask({"do": "check"})
        assert driver.ask({"do": "reset"}) == {}


def test_a_program_that_falls_silent_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No run hangs on a guard that does."""
    monkeypatch.setattr("conformance.drivers.TIMEOUT", 0.01)
    silent = "import sys; sys.stdin.read()"
    with (
        Program([sys.executable, "-c", silent]) as driver,
        pytest.raises(DriverError, match="no answer within"),
    ):
        driver.ask({"do": "reset"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cases: [{name: a, facts: [], cheks: []}]", "unknown: cheks"),
        ("cases: [{name: a, checks: [{check: a:b}]}]", "allow or deny"),
        ("cases: [{name: a, checks: [{check: a:b, allow: yes}]}]", "core or full"),
        ("cases: [{name: a, steps: [{hop: 1}]}]", "not a step"),
        ("cases: [{name: a, facts: []}]", "facts and checks, or a log and steps"),
        (
            "cases: [{name: a, log: [{fact: x}], steps: [{sync: 1}]}]",
            "unknown kind of fact",
        ),
        (
            "cases: [{name: a, log: [{of: x, fact: withdraw}], steps: [{sync: 1}]}]",
            "KeyError",
        ),
    ],
)
def test_a_file_that_says_what_the_kit_does_not_know_is_refused(
    content: str, said: str
) -> None:
    """A misspelt key would be a check that never runs."""
    with pytest.raises(SuiteError, match=said):
        list(read("wrong", yaml.safe_load(content)))


@pytest.mark.campaign
def test_our_guard_passes_many_random_worlds() -> None:
    """Each in three orders of arrival, over the feed."""
    with Program(REFERENCE) as driver:
        tally = run(driver, read("mixed", mixed(range(5000))))

    assert passes(tally, "full"), report(tally, "full")
