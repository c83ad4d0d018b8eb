"""The guard in Go on a feed: what it denies, how it comes back, what it reports."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from agents_registry.facts import Cause, Effect, Fact, Node, Withdraw, fact_id
from agents_registry.identifiers import Identifier
from streams.http import tables
from streams.http.feed import FeedServer
from tests.contract.feed_server import CREDENTIAL, ScriptedFeed
from tests.integration.cli_server import environment
from tests.integration.go_guard import BUILD_SECONDS, built
from tests.integration.serving import running, until
from tests.integration.test_closure import guards, look, reached

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    pytest.mark.long,
    pytest.mark.no_cover,
    pytest.mark.timeout(BUILD_SECONDS),
]

PARENT, CHILD, OTHER = (f"vault.accessor:{n}" for n in ("parent", "child", "other"))
SAID: dict[str, Any] = {"authority": "vault", "version": 1, "received_at": 1}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the program that answers an identifier with a verdict."""
    return built("./cmd/rescind-check", tmp_path_factory.mktemp("go"))


@define
class GoGuard:
    """A guard in a process of its own."""

    process: asyncio.subprocess.Process

    async def check(self, name: str) -> dict[str, Any]:
        """Ask about an identifier."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{name}\n".encode())
        answer: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return answer

    async def allows(self, name: str) -> bool:
        """Tell whether it allows an identifier."""
        return bool((await self.check(name))["allowed"])

    async def gives(self, name: str, reason: str) -> bool:
        """Tell whether that is the reason of its verdict."""
        return bool(reason == (await self.check(name))["reason"])


@asynccontextmanager
async def guarding(
    program: str, folder: Path, url: str, credential: str, **more: str
) -> AsyncIterator[GoGuard]:
    """Run a guard until the context ends; it takes its leave, and ends well."""
    own = {"RESCIND_URL": url, "RESCIND_TOKEN": credential, "RESCIND_GUARD": "orders"}
    with (folder / "guard.log").open("a") as log:
        process = await asyncio.create_subprocess_exec(
            program,
            env=environment(folder, **own, **more),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        yield GoGuard(process)
        assert process.stdin is not None
        process.stdin.close()
        assert 0 == await process.wait(), (folder / "guard.log").read_text()
    finally:
        if process.returncode is None:
            process.kill()


def node(name: str) -> Node:
    """Give the fact that something exists."""
    return Node(node=Identifier.parse(name), **SAID)


def revoke(name: str) -> Cause:
    """Give the fact that ends something."""
    target = Identifier.parse(name)
    return Cause(target=target, effect=Effect.REVOKE, at=1, **SAID)


def withdraw(fact: Fact, name: str) -> Withdraw:
    """Give the fact that takes another one back."""
    return Withdraw(
        fact_id=fact_id(fact).hex(),
        kind=fact.NAME,
        target=Identifier.parse(name),
        **SAID,
    )


async def adopted(server: Any) -> None:
    """Make a parent with a child, and another credential, known."""
    names = [
        {"identifier": PARENT},
        {"identifier": CHILD, "parents": [PARENT]},
        {"identifier": OTHER},
    ]
    body: dict[str, object] = {"credentials": names}
    assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]


async def ended(server: Any, name: str) -> str:
    """Revoke something; give the revocation's id."""
    body = {"identifier": name, "reason": "leaked"}
    status, answer = await server.post("/v1/revocations", "revoker", body)
    assert 201 == status, answer
    return str(answer["id"])


async def test_it_denies_the_child_of_a_revoked_parent(
    program: str, tmp_path: Path
) -> None:
    """And the server knows that it does; without the server it denies everything."""
    async with running(tmp_path) as server:
        await adopted(server)
        async with guarding(program, tmp_path, server.url, "guard") as guard:
            await until(lambda: guard.allows(CHILD))
            assert await guard.gives("vault.accessor:unknown", "unknown_credential")

            revocation = await ended(server, PARENT)
            closed = await reached(server, revocation, "closed")
            assert await guard.gives(CHILD, "revoked")
            assert await guard.allows(OTHER)
            seen = (await guards(server))["orders"]

            assert (1, []) == (closed["applied"], closed["fenced"])
            assert ("fail_closed", 1000) == (seen["mode"], seen["lease_ms"])
        assert "orders" not in await guards(server)

        # Who has gone is no member of what comes later.
        later = await look(server, await ended(server, OTHER))
        assert (0, []) == (later["applied"], later["laggards"])


async def test_a_server_that_is_back_is_used(program: str, tmp_path: Path) -> None:
    """Also by a guard that had lost its lease."""
    async with running(tmp_path) as server:
        await adopted(server)
        port = int(server.url.rsplit(":", 1)[1])
        one = guarding(program, tmp_path, server.url, "guard")
        guard = await one.__aenter__()
        await until(lambda: guard.allows(CHILD))
    await until(lambda: guard.gives(CHILD, "no_lease"))

    async with running(tmp_path, listen={"host": "127.0.0.1", "port": port}) as server:
        await until(lambda: guard.allows(CHILD))
        await ended(server, PARENT)
        await until(lambda: guard.gives(CHILD, "revoked"))
        await one.__aexit__(None, None, None)


async def test_it_goes_on_where_it_was_after_a_cut(
    program: str, tmp_path: Path
) -> None:
    """A pulled cable costs no snapshot."""
    feed = ScriptedFeed(log=[node(CHILD)])
    async with (
        feed.listening(),
        guarding(program, tmp_path, feed.url, CREDENTIAL) as guard,
    ):
        await until(lambda: guard.allows(CHILD))
        feed.cut()
        await until(lambda: len(feed.hellos) > 1)
        await feed.append(revoke(CHILD))
        await until(lambda: guard.gives(CHILD, "revoked"))

    first, second = feed.hellos[:2]
    assert (None, None) == (first["genesis"], first["position"])
    assert (feed.genesis, 1) == (second["genesis"], second["position"])
    assert first["receipt"]["instance"] == second["receipt"]["instance"]
    assert first["receipt"]["sequence"] < second["receipt"]["sequence"]


async def test_another_line_is_made_beside_a_silent_one(
    program: str, tmp_path: Path
) -> None:
    """Long before the silent one is given up, and from the same position."""
    feed = ScriptedFeed(log=[node(CHILD)])
    async with (
        feed.listening(),
        guarding(program, tmp_path, feed.url, CREDENTIAL) as guard,
    ):
        await until(lambda: guard.allows(CHILD))
        feed.answers = False
        silent = feed.pings
        await until(lambda: len(feed.hellos) > 1)
        # Twenty pings go into the silence after which a line is given up.
        assert feed.pings - silent < 15
        feed.answers = True
        await until(lambda: guard.allows(CHILD))

    assert 1 == feed.hellos[1]["position"]


async def test_a_withdrawn_node_is_gone_with_the_next_table(
    program: str, tmp_path: Path
) -> None:
    """Another connection builds it, while the first one goes on."""
    known = node(CHILD)
    feed = ScriptedFeed(log=[known, node(OTHER)])
    async with (
        feed.listening(),
        guarding(program, tmp_path, feed.url, CREDENTIAL) as guard,
    ):
        await until(lambda: guard.allows(CHILD))
        await feed.append(withdraw(known, CHILD))
        await until(lambda: guard.gives(CHILD, "unknown_credential"))
        await until(lambda: guard.allows(OTHER))

    assert [None, None] == [hello["position"] for hello in feed.hellos]


async def test_a_refused_credential_never_allows(program: str, tmp_path: Path) -> None:
    """And the reason can be read, without the credential."""
    feed = ScriptedFeed(log=[node(CHILD)])
    log = tmp_path / "guard.log"
    async with (
        feed.listening(),
        guarding(program, tmp_path, feed.url, "wrong-one") as guard,
    ):
        await until(lambda: "401" in log.read_text())

        assert await guard.gives(CHILD, "not_caught_up")
    assert "wrong-one" not in log.read_text()


async def test_it_starts_from_a_table(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fact is sent that is in it, and what comes later finds its names."""
    monkeypatch.setattr(tables, "FROM_FACTS", 1)
    monkeypatch.setattr(FeedServer, "_snapshot", None)
    async with running(tmp_path) as server:
        await adopted(server)
        async with guarding(program, tmp_path, server.url, "guard") as guard:
            await until(lambda: guard.allows(CHILD))
            await ended(server, PARENT)
            await until(lambda: guard.gives(CHILD, "revoked"))


async def test_a_guard_that_fails_open_gets_its_lease(
    program: str, tmp_path: Path
) -> None:
    """The server waits for its first receipt."""
    async with running(tmp_path) as server:
        await adopted(server)
        mode = {"RESCIND_MODE": "fail_open"}
        async with guarding(program, tmp_path, server.url, "guard", **mode) as guard:
            await until(lambda: guard.allows(CHILD))
