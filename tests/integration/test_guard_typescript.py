"""The guard in TypeScript: it passes its level, and obeys a real server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
import subprocess
import time
from asyncio.subprocess import PIPE
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import ClientPayloadError, ClientSession

from agents_registry.facts import Cause, Effect, Node
from agents_registry.identifiers import Identifier
from agents_registry.table_form import LIMITED
from conformance.cases import read, suite
from conformance.drivers import Program
from conformance.levels import passes, report, run
from conformance.tables import TableDriver
from streams.http import tables
from streams.http.feed import FeedServer
from tests.conformance.export import mixed
from tests.contract.feed_server import ScriptedFeed
from tests.contract.test_guard_table import packed
from tests.core_lives import compare
from tests.integration.cli_server import environment, serving, until
from tests.integration.node_guard import (
    BUILD_SECONDS,
    FOLDER,
    NODE,
    built,
    compile_types,
    node,
)
from tests.integration.serving import running
from tests.integration.serving import until as until_async
from tests.integration.test_closure import guards, reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

CREDENTIAL = "guard-credential-of-the-tests"
LEASE = 1.0  # seconds
OPERATIONS = 20_000
PARENT, CHILD, OTHER = (f"vault.accessor:{n}" for n in ("parent", "child", "other"))


@pytest.mark.long
@pytest.mark.timeout(120)
def test_what_is_built_is_a_package(tmp_path: Path) -> None:
    """Node refuses TypeScript in node_modules: what is published is compiled."""
    package = built(tmp_path / "package")
    program = (
        "import { Guard } from 'rescind-guard';"
        "const guard = new Guard(10n ** 9n, () => 1n, () => 1n);"
        "console.log(guard.check({ identifiers: ['jwt.jti:a'] }).allowed)"
    )

    said = node("--input-type=module", "-e", program, folder=package)
    types = (package / "dist/index.d.ts").read_text()

    assert "false\n" == said
    assert "guardOf" in types


@pytest.mark.long
@pytest.mark.parametrize("tabled", [False, True])
def test_it_passes_level_core(*, tabled: bool) -> None:
    """Every denial of the suite, and every allowance of its level."""
    driver = [NODE, str(FOLDER / "driver.ts")]
    with Program(driver) as program:
        tally = run(TableDriver(program) if tabled else program, suite())

    lines = report(tally, "core")
    assert "level core: passed" in lines, lines


@pytest.mark.long
def test_a_copy_of_a_lift_that_came_before_decides() -> None:
    """It was received before the cause: the copy that came later ends nothing."""
    with Program([NODE, str(FOLDER / "driver.ts")]) as program:
        tally = run(program, read("mixed", mixed([3645])))

    assert passes(tally, "core"), report(tally, "core")


@pytest.mark.campaign
@pytest.mark.parametrize("tabled", [False, True])
def test_it_is_safe_in_many_random_worlds(*, tabled: bool) -> None:
    """What it leaves out it denies."""
    driver = [NODE, str(FOLDER / "driver.ts")]
    with Program(driver) as program:
        worlds = read("mixed", mixed(range(5000)))
        tally = run(TableDriver(program) if tabled else program, worlds)

    assert passes(tally, "core"), report(tally, "core")


@pytest.mark.long
async def test_it_allows_nothing_that_the_guard_in_python_denies() -> None:
    """In random lives; ``python -m tests.core_lives`` runs more of them."""
    with Program([NODE, str(FOLDER / "driver.ts")]) as program:
        tally = await compare(program, OPERATIONS)

    assert OPERATIONS / 3 < tally.checks
    assert tally.allowed > tally.checks / 40


def test_it_asks_for_facts_where_it_refused_a_table() -> None:
    """The same table would be refused for ever: as announced, or when it is whole."""
    snapshot = {
        "type": "snapshot",
        "genesis": "g",
        "offset": 0,
        "facts": [],
        "more": False,
    }
    message, content = packed([])
    message["type"] = "table"
    version = message | {"version": LIMITED + 1}
    with Program([NODE, str(FOLDER / "driver.ts")]) as program:

        def ask(do: str, **content: object) -> dict[str, Any]:
            return program.ask(
                {"do": do, "clock": 1, "wall": 1, "connection": 1, **content}
            )

        def refuses(announced: dict[str, Any]) -> bool:
            assert "tables" in ask("connect")["hello"]
            bad = base64.b64encode(b"x" * len(content)).decode()
            if ask("receive", frame=json.dumps(announced))["closed"]:
                return True
            return bool(ask("receive", bytes=bad)["closed"])

        for announced in (version, message):
            ask("reset", settings={"lease_ms": 1000})
            assert refuses(announced)
            assert "tables" not in ask("connect")["hello"]
            ask("receive", frame=json.dumps(snapshot))
            ask("receive", frame="no JSON")
            assert "tables" in ask("connect")["hello"]


@pytest.mark.parametrize(
    ("name", "number"), [("ring", 0), ("ring", 2), ("parent", -2), ("parent", 2)]
)
def test_it_refuses_a_table_with_numbers_that_are_no_places(
    name: str, number: int
) -> None:
    """A ring comes back, and a parent is in the table."""
    said: dict[str, Any] = {"authority": "vault", "version": 1, "received_at": 1}
    nodes = [Node(node=Identifier.parse(of), **said) for of in (PARENT, CHILD)]
    message, content = packed(nodes)
    sizes = {section: size for section, _, size in message["sections"]}
    start = sum(list(sizes.values())[: list(sizes).index(f"lineage.{name}")]) + 4
    wrong = content[:start] + struct.pack("<i", number) + content[start + 4 :]
    frame = json.dumps(message | {"type": "table"})
    times = {"clock": 1, "wall": 1, "connection": 1}
    with Program([NODE, str(FOLDER / "driver.ts")]) as program:
        for sent, closed in ((content, False), (wrong, True)):
            program.ask({"do": "reset", "settings": {"lease_ms": 1000}, **times})
            program.ask({"do": "connect", **times})
            assert not program.ask({"do": "receive", "frame": frame, **times})["closed"]
            part = {"bytes": base64.b64encode(sent).decode(), **times}
            assert closed is program.ask({"do": "receive", **part})["closed"]


class Guard:
    """The example's own program: a name in, a verdict out."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def leave(self) -> None:
        """End its input, and so the guard."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def check(self, name: str) -> dict[str, Any]:
        """Ask about an identifier."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        verdict: dict[str, Any] = json.loads(self._process.stdout.readline())
        return verdict

    def allows(self, name: str) -> bool:
        """Tell whether it allows an identifier."""
        return bool(self.check(name)["allowed"])


@contextmanager
def guarding(folder: Path, url: str, token: str = CREDENTIAL) -> Iterator[Guard]:
    """Run the example until the context ends."""
    with (
        (folder / "guard.log").open("w") as errors,
        subprocess.Popen(
            [NODE, FOLDER / "check.ts"],
            env=environment(folder, RESCIND_URL=url, RESCIND_TOKEN=token),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield Guard(process)
        finally:
            process.kill()


def test_it_denies_the_child_of_a_revoked_parent(tmp_path: Path) -> None:
    """One server, one revocation, and the server's end."""
    token = {
        "name": "guard",
        "sha256": hashlib.sha256(CREDENTIAL.encode()).hexdigest(),
        "roles": ["guard"],
    }
    (tmp_path / "rescind.yaml").write_text(yaml.safe_dump({"tokens": [token]}))
    (tmp_path / "list.csv").write_text(
        f"identifier,parents\n{PARENT},\n{CHILD},{PARENT}\n{OTHER},\n"
    )
    with ExitStack() as stack:
        with serving(tmp_path, "--config", "rescind.yaml") as server:
            assert 0 == server.ask("adopt", "list.csv")[0]
            guard = stack.enter_context(guarding(tmp_path, server.url))
            until(lambda: guard.allows(CHILD))
            assert not guard.allows("vault.accessor:unknown")

            assert 0 == server.ask("revoke", PARENT)[0]
            over = time.monotonic() + LEASE  # it was accepted before
            while time.monotonic() < over:
                guard.check(CHILD)
            assert not guard.allows(CHILD)
            until(lambda: guard.check(CHILD)["reason"] == "revoked")
            until(lambda: guard.allows(OTHER))

        until(lambda: guard.check(OTHER)["reason"] == "no_lease")


async def test_closure_names_it_until_it_takes_its_leave(tmp_path: Path) -> None:
    """It is a member from its registration on, with the terms that it serves under."""
    async with running(tmp_path) as server:
        body: dict[str, object] = {"credentials": [{"identifier": OTHER}]}
        assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]
        with guarding(tmp_path, server.url, "guard") as guard:
            await until_async(lambda: guard.allows(OTHER))
            ended = {"identifier": OTHER, "reason": "leak"}
            status, answer = await server.post("/v1/revocations", "revoker", ended)
            assert 201 == status
            told = await reached(server, answer["id"], "closed")
            assert (1, []) == (told["applied"], told["fenced"])
            row = (await guards(server))["guard-ts"]
            assert ("fail_closed", 1000, True) == (
                row["mode"], row["lease_ms"], row["live_sessions"],
            )  # fmt: skip
            assert not guard.allows(OTHER)
            guard.leave()

            async def gone() -> bool:
                return not await guards(server)

            await until_async(gone)


async def test_it_goes_on_where_it_was_after_a_cut(tmp_path: Path) -> None:
    """A pulled cable costs no snapshot."""
    name = Identifier.parse(CHILD)
    said: dict[str, Any] = {"authority": "vault", "version": 1, "received_at": 1}
    feed = ScriptedFeed(log=[Node(node=name, **said)])
    async with feed.listening():
        with guarding(tmp_path, feed.url) as guard:
            await until_async(lambda: guard.allows(CHILD))
            feed.cut()
            await until_async(lambda: len(feed.hellos) > 1 and guard.allows(CHILD))
            await feed.append(Cause(target=name, effect=Effect.REVOKE, at=1, **said))
            await until_async(lambda: guard.check(CHILD)["reason"] == "revoked")

    first, second = feed.hellos[:2]
    assert (None, None) == (first["genesis"], first["position"])
    assert (feed.genesis, 1) == (second["genesis"], second["position"])


async def test_another_line_is_made_beside_a_silent_one(tmp_path: Path) -> None:
    """Long before the silent one is given up, and from the same position."""
    known = Node(
        node=Identifier.parse(CHILD), authority="vault", version=1, received_at=1
    )
    feed = ScriptedFeed(log=[known])
    async with feed.listening():
        with guarding(tmp_path, feed.url) as guard:
            await until_async(lambda: guard.allows(CHILD))
            feed.answers = False
            silent = feed.pings
            await until_async(lambda: len(feed.hellos) > 1)
            # Twenty pings go into the silence after which a line is given up.
            assert feed.pings - silent < 15
            feed.answers = True
            await until_async(lambda: guard.allows(CHILD))

    assert 1 == feed.hellos[1]["position"]


@pytest.mark.long
@pytest.mark.timeout(2 * BUILD_SECONDS)
def test_its_own_tests_pass(tmp_path: Path) -> None:
    """Feed, sessions and middleware, with the Express and Fastify that are pinned."""
    package = built(tmp_path / "package")
    compile_types(package, "-p", "tests")
    tests = sorted(str(path) for path in (package / "tests").glob("*.test.ts"))
    assert tests
    node("--test", "--test-timeout=30000", *tests, folder=package)


@pytest.mark.long
@pytest.mark.timeout(2 * BUILD_SECONDS)
@pytest.mark.parametrize("kind", ["express", "fastify"])
async def test_a_response_is_cut_when_a_real_server_says_so(
    tmp_path: Path, kind: str
) -> None:
    """Its parent is revoked; the next request is refused."""
    app = built(tmp_path / "package") / "tests/app.ts"
    async with running(tmp_path) as server, ClientSession() as client:
        body: dict[str, object] = {
            "credentials": [
                {"identifier": PARENT},
                {"identifier": CHILD, "parents": [PARENT]},
            ]
        }
        assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]
        own = {"RESCIND_URL": server.url, "RESCIND_TOKEN": "guard"}
        process = await asyncio.create_subprocess_exec(
            NODE, app, kind, env=environment(tmp_path, **own), stdout=PIPE
        )
        try:
            assert process.stdout is not None
            url = (await process.stdout.readline()).decode().strip()
            headers = {"Authorization": f"Bearer {CHILD}"}

            async def answers(status: int) -> bool:
                async with client.get(f"{url}/short", headers=headers) as response:
                    return status == response.status

            await until_async(lambda: answers(200))
            async with client.get(f"{url}/long", headers=headers) as response:
                assert b"begun\n" == await response.content.readline()
                body = {"identifier": PARENT, "reason": "leaked"}
                assert 201 == (await server.post("/v1/revocations", "revoker", body))[0]
                with pytest.raises(ClientPayloadError):
                    await response.content.read()
            assert await answers(401)
        finally:
            process.kill()
            await process.wait()


async def test_it_starts_from_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fact is sent that is in it, and what comes later finds its names."""
    monkeypatch.setattr(tables, "FROM_FACTS", 1)
    monkeypatch.setattr(FeedServer, "_snapshot", None)
    identifiers: list[dict[str, Any]] = [
        {"identifier": PARENT},
        {"identifier": CHILD, "parents": [PARENT]},
    ]
    async with running(tmp_path) as server:
        body: dict[str, object] = {"credentials": identifiers}
        assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]
        with guarding(tmp_path, server.url, "guard") as guard:
            await until_async(lambda: guard.allows(CHILD))
            body = {"identifier": PARENT, "reason": "leaked"}
            assert 201 == (await server.post("/v1/revocations", "revoker", body))[0]
            await until_async(lambda: guard.check(CHILD)["reason"] == "revoked")
