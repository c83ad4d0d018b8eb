"""Guards behind relays that read another feed: an embedded server, then two relays."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from enforcement import Guard, Lapse, Reason
from enforcement.clocks import boottime
from streams.apps.builders.relayed_realms import Relaying
from streams.apps.onward import onward
from streams.model.times import SECOND
from streams.settings.relay import RelaySettings
from streams.settings.server import Settings
from tests.integration.cut_proxy import CutProxy
from tests.integration.go_guard import BUILD_SECONDS, built
from tests.integration.node_guard import FOLDER, NODE
from tests.integration.serving import Server, running, until, values
from tests.integration.test_closure import guards, reached
from tests.integration.working import task_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

LEASE = 1.0
CHECK = str(FOLDER / "check.ts")
IN_GO = [pytest.mark.long, pytest.mark.timeout(BUILD_SECONDS)]
PARENT, CHILD, OTHER = (f"vault.accessor:{n}" for n in ("parent", "child", "other"))


@asynccontextmanager
async def passing(
    folder: Path, upstream: str, token: str = "guard", **more: Any
) -> AsyncIterator[Relaying]:
    """Run a relay in this process until the context ends."""
    file = folder / "upstream.token"
    file.write_text(f"{token}\n", "utf-8")
    own = RelaySettings(upstream=upstream, upstream_token=file)
    settings = Settings(**values(folder, **more))
    async with task_of(
        lambda stop, told: onward(settings, own, stop=stop, started=told)
    ) as started:
        yield started


def guard_of(url: str, **more: Any) -> Guard:
    """Give a guard behind a relay, not yet entered."""
    return Guard(url, "guard", name="orders", lease=LEASE, jitter=lambda: 0.2, **more)


async def declared(server: Server) -> None:
    """Declare a family, and another one."""
    body = {
        "credentials": [
            {"identifier": PARENT},
            {"identifier": CHILD, "parents": [PARENT]},
            {"identifier": OTHER},
        ]
    }
    assert 201 == (await server.post("/v1/adopt", "restorer", body))[0]


async def ended(server: Server, name: str) -> dict[str, Any]:
    """Revoke something."""
    body = {"identifier": name, "reason": "leak"}
    status, answer = await server.post("/v1/revocations", "revoker", body)
    assert 201 == status
    return dict(answer)


async def test_a_revocation_is_denied_two_relays_on_and_closure_names_the_guard(
    tmp_path: Path,
) -> None:
    """The server knows the guard as if it were connected to it."""
    async with (
        running(tmp_path) as server,
        passing(tmp_path, server.url) as first,
        passing(tmp_path, first.url) as second,
    ):
        await declared(server)
        async with guard_of(second.url) as guard:
            assert await guard.ready(10)
            await until(lambda: guard.check(CHILD).allowed)
            told = await reached(
                server, (await ended(server, PARENT))["id"], "closed"
            )  # fmt: skip
            assert (1, []) == (told["applied"], told["fenced"])
            assert guard.check(CHILD).reason is Reason.REVOKED
            assert guard.check(OTHER).allowed
            row = (await guards(server))["orders"]
            assert ("fail_closed", 1000) == (row["mode"], row["lease_ms"])
        assert "orders" not in await guards(server)

        async def ready() -> bool:
            async with server.session.get(f"{second.url}/healthz/ready") as got:
                return got.status == 200

        await until(ready)


@pytest.mark.parametrize("language", ["ts", pytest.param("go", marks=IN_GO)])
async def test_guards_of_other_languages_begin_with_the_relays_table(
    tmp_path: Path, language: str
) -> None:
    """Their facts cross the way to the server once."""
    go = language == "go"
    command = [built("./cmd/rescind-check", tmp_path)] if go else [NODE, CHECK]
    async with (
        running(tmp_path) as server,
        passing(tmp_path, server.url) as first,
        passing(tmp_path, first.url) as second,
    ):
        await declared(server)
        log = second.realms._realms["default"].log
        await until(lambda: log.serves and log.end >= 3)
        process = await asyncio.create_subprocess_exec(
            *command,
            env={
                "RESCIND_URL": second.url,
                "RESCIND_TOKEN": "guard",
                "RESCIND_GUARD": "orders",
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None

        async def check(name: str) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{name}\n".encode())
            return dict(json.loads(await process.stdout.readline()))

        async def allows() -> bool:
            return bool((await check(CHILD))["allowed"])

        await until(allows)
        told = await reached(server, (await ended(server, PARENT))["id"], "closed")
        assert (1, []) == (told["applied"], told["fenced"])
        assert "revoked" == (await check(CHILD))["reason"]
        process.stdin.close()
        await process.wait()


async def test_guards_deny_within_a_lease_of_a_cut_and_miss_nothing(
    tmp_path: Path,
) -> None:
    """Between the server and the first of two relays, which both go on."""
    async with (
        running(tmp_path) as server,
        CutProxy(int(server.url.rpartition(":")[2])).listening() as proxy,
        passing(tmp_path, f"http://127.0.0.1:{proxy.port}") as first,
        passing(tmp_path, first.url) as second,
    ):
        await declared(server)
        async with guard_of(second.url) as guard:
            await until(lambda: guard.check(CHILD).allowed)
            proxy.cut()
            cut = boottime()
            await ended(server, PARENT)
            await until(lambda: isinstance(guard.check(OTHER).reason, Lapse))
            assert guard.standing.deadline <= cut + LEASE * SECOND
            proxy.heal()
            await until(lambda: guard.check(OTHER).allowed)
            assert guard.check(CHILD).reason is Reason.REVOKED


async def test_a_server_that_is_gone_and_comes_back_is_found_by_its_port(
    tmp_path: Path,
) -> None:
    """The relays keep their guards' way, and no lease."""
    async with CutProxy(1).listening() as proxy:
        upstream = f"http://127.0.0.1:{proxy.port}"
        async with passing(tmp_path, upstream) as relay, guard_of(relay.url) as guard:
            async with running(tmp_path) as server:
                proxy.port_of_server = int(server.url.rpartition(":")[2])
                await declared(server)
                await until(lambda: guard.check(CHILD).allowed)
            await until(lambda: isinstance(guard.check(CHILD).reason, Lapse))
            async with running(tmp_path) as server:
                proxy.port_of_server = int(server.url.rpartition(":")[2])
                await ended(server, PARENT)
                await until(lambda: guard.check(OTHER).allowed)
                assert guard.check(CHILD).reason is Reason.REVOKED


async def test_a_relay_lets_in_who_the_server_lets_in_and_into_no_other_realm(
    tmp_path: Path,
) -> None:
    """Both of them ask for the token."""
    async with (
        running(tmp_path) as server,
        passing(tmp_path, server.url) as relay,
        aiohttp.ClientSession() as session,
    ):

        async def asked(token: str, realm: str = "default") -> int:
            url, headers = f"{relay.url}/v1/feed", {"Authorization": f"Bearer {token}"}
            try:
                async with session.ws_connect(
                    url, headers=headers, params={"realm": realm}
                ):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

        await until(lambda: relay.realms._realms["default"].log.proven)
        assert 101 == await asked("guard")
        assert 401 == await asked("nobody")
        assert 403 == await asked("viewer")
        assert 403 == await asked("guard", "globex")


async def test_a_guard_that_reads_no_table_begins_with_the_servers_facts(
    tmp_path: Path,
) -> None:
    """Its connection is passed on whole."""
    async with (
        running(tmp_path) as server,
        passing(tmp_path, server.url) as first,
        passing(tmp_path, first.url) as second,
        aiohttp.ClientSession() as session,
    ):
        await declared(server)
        await until(lambda: second.realms._realms["default"].log.proven)
        async with session.ws_connect(
            f"{second.url}/v1/feed", headers={"Authorization": "Bearer guard"}
        ) as feed:
            await feed.send_json({"type": "hello", "guard": "plain"})
            await feed.send_json({"type": "ping", "seq": 1})
            kinds: set[str] = set()
            async with asyncio.timeout(10):
                while not {"snapshot", "pong"} <= kinds:
                    message = await feed.receive_json()
                    kinds.add(message["type"])
                    if message["type"] == "pong":
                        assert 0 < message["remaining_ms"] <= 1000
            async with session.get(f"{second.url}/metrics") as got:
                assert "rescind_guards 1.0" in await got.text()
