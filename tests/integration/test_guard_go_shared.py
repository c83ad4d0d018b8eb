"""The guard in Go that reads the table of its host's agent."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import threading
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Edge, Effect, Lift, Node, Renewal
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from conformance.drivers import Program
from enforcement.shared import writing
from enforcement.shared.layout import DEADLINE, OF_VERSION, STATE, SharedFile
from enforcement.shared.publishing import SharedReplica
from enforcement.shared.writing import TableWriter
from tests.integration.cli_server import environment
from tests.integration.go_guard import BUILD_SECONDS, MODULE, built, go
from tests.integration.go_shared import compare
from tests.integration.serving import running
from tests.integration.test_guard_examples import AGENT, TEAM, revoke
from tests.integration.test_shared_guard import LIMIT, agent_process
from tests.planted.copies import Change
from tests.property.shared_tables import SAID
from tests.unit.test_shared_standing import Fed
from tests.unit.test_shared_table import NOW, SECOND, TOKEN, said, suspended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from agents_registry.facts import Fact

pytestmark = [
    pytest.mark.integration,
    pytest.mark.long,
    pytest.mark.no_cover,
    pytest.mark.timeout(2 * BUILD_SECONDS),
]

STEPS = 4_000
CHAIN = 300  # names
ROUNDS = 4_000
SEED = 5
DRIVER = "./cmd/shared-driver"
TABLE, FILE = "guards/go/internal/shared/table.go", "guards/go/shared.go"
PART = "guards/go/internal/table/borrowed.go"
ROW = "guards/go/internal/table/borrowed_row.go"
BUGS = {
    "a value counts for ever": Change(TABLE, "value <= late ||", "late < 0 ||"),
    "a value counts for a clock that went back": Change(
        TABLE, "q.Now < t.word(wordSince) ||", ""
    ),
    "values of another generation count": Change(
        TABLE,
        "t.word(wordGeneration)|named != current",
        "false",
    ),
    "declared scopes are not looked at": Change(
        TABLE, "q.Scope != nil && bits&scopesAbove != 0", "false"
    ),
    "a row stands alone": Change(ROW, 'if fields["before"] == nil {', "if true {"),
    "a lift is not read": Change(ROW, 'f.at("lifts").items() {', "[]row{} {"),
    "causes of an attribute are not read": Change(
        PART, "at < len(b.held); at++ {", "at < 0; at++ {"
    ),
    "a cause ends by a clock that is ahead": Change(
        "guards/go/internal/table/causes.go",
        "now-untilTolerance >= *cause.until",
        "now >= *cause.until",
    ),
    "a cause of kinds acts on its own target alone": Change(
        "guards/go/internal/table/limited.go",
        "for _, above := range up.from(at) {",
        "for _, above := range append(up.from(at)[:0], at) {",
    ),
    "the horizon is not read": Change(
        TABLE, "if told != math.MinInt64 {", "if told == math.MaxInt64 {"
    ),
}
TOPICS = {
    "the horizon is not read": "horizon",
    "a cause of kinds acts on its own target alone": "kinds",
    "a value counts for a clock that went back": "ends",
    "values of another generation count": "everything",
}
MEANWHILE = Change(
    TABLE,
    "return t.word(wordChanges) == since ||",
    "return t.word(wordChanges) >= since ||",
)
# Seen by the tests of leases and files.
NARROW = {
    "the lease of another boot counts": Change(
        FILE, "if err := t.RequireHost(); err != nil {", "if false {"
    ),
    "readers may fail open beside an agent that says no": Change(
        FILE, "g.opens && t.Mode == string(FailClosed)", "false"
    ),
    "the lease of another clock counts": Change(
        FILE, "if seen.Deadline > g.judge.clock()+t.Lease {", "if false {"
    ),
    "tables of logs that are gone are not read": Change(
        TABLE,
        "if place := t.word(wordKept); place != 0 {",
        "if place := t.word(wordKept); place < 0 {",
    ),
    "a narrow of a log that is gone expires": Change(
        TABLE, "earliest.Now = 0", "earliest.Now = q.Now"
    ),
    "a file that everybody may write to is read": Change(
        "guards/go/internal/shared/map_linux.go", "stat.Mode&unix.S_IWOTH != 0", "false"
    ),
    "another version is read": Change(
        "guards/go/internal/shared/file.go", "t.word(wordVersion) != version", "false"
    ),
    "another file is not looked for": Change(
        FILE, "t == nil || g.judge.clock() >= t.Deadline()", "t == nil"
    ),
}
CHANGES = [*BUGS.values(), *NARROW.values(), MEANWHILE]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the guard as it is asked by tests."""
    return built(DRIVER, tmp_path_factory.mktemp("go"))


def test_it_says_what_the_rules_say(driver: str) -> None:
    """Over random worlds, between writes and in the middle of them."""
    with Program([driver]) as program:
        taken, counts, complaint = compare(program, SEED, STEPS)

    assert complaint is None
    assert taken >= STEPS
    assert counts.checks / 10 < counts.allowed < counts.checks
    assert 0 < counts.torn < counts.checks / 5


def wrong(repository: Path, tmp_path: Path, change: Change) -> str:
    """Build the guard with a wrong line; give its program."""
    copy = tmp_path / "guards/go"
    shutil.copytree(MODULE, copy)
    path = tmp_path / change.file
    path.write_text(change.made(repository), "utf-8")
    program = str(tmp_path / "driver")
    go("build", "-o", program, DRIVER, folder=copy)
    return program


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_seen(name: str, repository: Path, tmp_path: Path) -> None:
    """By an answer that no table gave."""
    with Program([wrong(repository, tmp_path, BUGS[name])]) as program:
        topics = [TOPICS[name]] if name in TOPICS else []
        found = (compare(program, SEED + n, STEPS, *topics)[2] for n in range(3))
        assert any(found)


def asked_meanwhile(program: Program, path: Path) -> set[str]:
    """Ask about a token below two names of which one is suspended at any moment.

    The second one stands at the end of a long chain, and facts come all the time: who
    reads the first at one moment and the second at a later one finds both free.

    Returns:
        The reasons that were given.
    """
    one, two = Identifier("agent.id", "one"), Identifier("agent.id", "two")
    chain = [TOKEN, *(Identifier("session.id", f"c{n}") for n in range(CHAIN)), two]
    facts: list[Fact] = [said(Node, 0, node=name) for name in (one, *chain)]
    facts += [said(Edge, 0, child=a, parent=b) for a, b in pairwise(chain)]
    facts += [said(Edge, 0, child=TOKEN, parent=one), suspended(one, 1)]
    replica = SharedReplica()
    replica.registry = Registry.build(facts)
    writer = TableWriter(replica.registry, path, SAID)
    replica.writers = (writer,)
    for _ in writer.building():
        pass
    writer.file.words[STATE], writer.file.words[DEADLINE] = 7, 1 << 62

    def change() -> None:
        free, held = two, one
        for version in range(2, ROUNDS):
            replica._apply(suspended(free, version), 0)
            replica._apply(said(Lift, version, target=held), 0)
            free, held = held, free

    thread = threading.Thread(target=change)
    assert program.ask({"do": "open", "path": str(path), "clock": 0}) == {}
    thread.start()
    reasons = set()
    while thread.is_alive() and "lives" not in reasons:
        reply = program.ask({"do": "check", "clock": 0, "names": [str(TOKEN)]})
        reasons.add(reply["reason"])
    thread.join()
    reply = program.ask({"do": "check", "clock": 0, "names": [str(TOKEN)]})
    return reasons | {reply["reason"]}


def test_what_it_says_stands_at_one_moment(driver: str, tmp_path: Path) -> None:
    """Facts come while it reads."""
    with Program([driver]) as program:
        reasons = asked_meanwhile(program, tmp_path / "table")

    assert "lives" not in reasons
    assert "suspended" in reasons


def test_a_reader_of_several_moments_is_seen(repository: Path, tmp_path: Path) -> None:
    """By what was never allowed."""
    with Program([wrong(repository, tmp_path, MEANWHILE)]) as program:
        tables = (tmp_path / f"table{number}" for number in range(8))
        assert any("lives" in asked_meanwhile(program, each) for each in tables)


class Reader:
    """The guard in Go, at the file and the clock of an agent."""

    def __init__(self, program: Program, fed: Fed, mode: str = "fail_closed") -> None:
        self._program, self._fed, self._mode = program, fed, mode

    def open(self) -> str:
        """Read the file anew; give what is wrong with it."""
        reply = self._program.ask({
            "do": "open", "path": str(self._fed.path), "mode": self._mode,
            "clock": self._fed.now,
        })  # fmt: skip
        return str(reply.get("trouble", ""))

    def reason(self, *, scope: str = "", at_least: str = "") -> str:
        """Ask about the token; give why."""
        reply = self._program.ask({
            "do": "check", "clock": self._fed.now, "names": [str(TOKEN)],
            "scope": scope, "at_least": at_least,
        })  # fmt: skip
        return str(reply["reason"])


@pytest.fixture
def fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fed:
    """Give an agent without a table."""
    monkeypatch.setattr(writing, "SPARE_NAMES", 4096)
    (tmp_path / "shared").mkdir()
    return Fed(tmp_path / "shared/table")


@pytest.fixture
def reader(driver: str, fed: Fed) -> Iterator[Reader]:
    """Give a guard that has not found a table yet."""
    with Program([driver]) as program:
        found = Reader(program, fed)
        assert "no such file" in found.open()
        yield found


async def follow(fed: Fed, reader: Reader) -> None:
    """Go through leases, tokens, a condemned table, and a log that is gone."""
    assert reader.reason() == "not_caught_up"
    replica = await fed.begin("g", 5)
    assert reader.reason() == "not_caught_up"
    fed.prove(5)
    assert reader.reason() == "lives"
    assert reader.reason(at_least="g:0:5") == "lives"
    for token in ("g:0:6", "h:0:5", "g:1:5", "g:0"):
        assert reader.reason(at_least=token) == "not_yet_applied"
    narrow = said(
        Cause, 1, target=TOKEN, effect=Effect.NARROW, at=NOW, scopes=("api|read",)
    )
    expiry = said(Renewal, 1, node=TOKEN, expires_at=NOW + 2 * SECOND)
    for number, fact in enumerate((narrow, expiry), 6):
        replica._apply(fact, number - 1)
        replica.position = number
        fed.standing.refresh()
    assert reader.reason(scope="api|write") == "narrowed"
    fed.now = SECOND
    assert reader.reason(scope="api|read") == "no_lease"
    fed.prove(7)
    assert reader.reason(scope="api|read") == "lives"
    fed.standing.meet("h")
    assert reader.reason(scope="api|read") == "not_caught_up"
    await fed.begin("h", 1)
    fed.prove(1)
    assert reader.reason(scope="api|read") == "lives"
    fed.now = 3 * SECOND
    fed.prove(1)
    assert reader.reason(scope="api|write") == "narrowed"
    assert reader.reason(scope="api|read") == "lives"
    fed.now = SECOND  # the lease is of another clock
    assert reader.reason(scope="api|read") == "no_lease"


async def test_it_has_the_lease_that_stands_beside_the_table(
    fed: Fed, reader: Reader
) -> None:
    """And looks for another file once it is over."""
    await follow(fed, reader)


async def test_it_refuses_what_is_no_table_of_this_host(
    fed: Fed, reader: Reader, driver: str
) -> None:
    """By version, boot, rights and mode."""
    await refuse(fed, reader, driver)


async def refuse(fed: Fed, reader: Reader, driver: str) -> None:
    """Show a guard files that it must not read."""
    await fed.begin("g", 5)
    fed.prove(5)
    assert reader.open() == ""
    with Program([driver]) as program:
        assert "fail closed" in Reader(program, fed, "fail_open").open()
    fed.path.chmod(0o642)
    assert "everybody may write" in reader.open()
    fed.path.chmod(0o640)
    words = fed.standing.replica.writers[0].file.words
    words[OF_VERSION] += 1
    assert "version 2" in reader.open()
    words[OF_VERSION] -= 1
    file, _ = SharedFile.opened(fed.path)
    boot = file.description["boot_id"].encode()
    whole = fed.path.read_bytes()
    fed.path.write_bytes(whole.replace(boot, b"0" * len(boot)))
    assert "another boot" in reader.open()
    assert reader.reason() == "not_caught_up"
    for size in (100, 5000):
        fed.path.write_bytes(whole[:size])
        assert "not a shared table" in reader.open()


@pytest.mark.parametrize("name", NARROW)
async def test_a_wrong_line_about_leases_and_files_is_seen(
    name: str, repository: Path, tmp_path: Path, fed: Fed
) -> None:
    """By the two tests above."""
    program = wrong(repository, tmp_path / "wrong", NARROW[name])
    shown: list[Callable[[Fed, Reader], Awaitable[None]]] = [
        follow,
        lambda own, found: refuse(own, found, program),
    ]
    seen = 0
    for number, show in enumerate(shown):
        own = Fed(fed.path.with_name(f"{number}"))
        with Program([program]) as opened:
            found = Reader(opened, own)
            found.open()
            try:
                await show(own, found)
            except AssertionError:
                seen += 1
    assert seen


@asynccontextmanager
async def checking(
    program: str, folder: Path, table: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the program that answers an identifier with a verdict."""
    process = await asyncio.create_subprocess_exec(
        program,
        env=environment(folder, RESCIND_TABLE=str(table)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_it_survives_its_agent(tmp_path: Path) -> None:
    """A killed agent costs one lease; the file of the next one is found."""
    program = built("./cmd/rescind-check", tmp_path)
    table = tmp_path / "table"

    async with running(tmp_path) as server:
        declared = [{"identifier": TEAM}, {"identifier": AGENT, "parents": [TEAM]}]
        body: dict[str, Any] = {"credentials": declared}
        assert (await server.post("/v1/adopt", "restorer", body))[0] == 201
        async with checking(program, tmp_path, table) as reader:

            async def given(wanted: str) -> None:
                assert reader.stdin is not None
                assert reader.stdout is not None
                async with asyncio.timeout(LIMIT):
                    reason = ""
                    while reason != wanted:
                        reader.stdin.write(f"{AGENT}\n".encode())
                        reason = json.loads(await reader.stdout.readline())["reason"]

            await given("not_caught_up")
            async with agent_process(server, table) as agent:
                await given("lives")
                agent.send_signal(signal.SIGKILL)
                await agent.wait()
                await given("no_lease")
            async with agent_process(server, table):
                await given("lives")
                await revoke(server)
                await given("revoked")
