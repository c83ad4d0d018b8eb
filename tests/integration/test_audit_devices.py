"""Lines of an audit device over a socket and over HTTP: cut, refused, in two pieces."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streams.apps.builders.access import ConfigurationError
from streams.apps.embedded import serve
from streams.pollers import socket_listener as line_server
from streams.pollers.socket_listener import AddressError
from streams.settings.server import Settings
from tests.integration.serving import running, until, values
from tests.unit.openbao_lines import auth, dead_token, line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

SECRET = "a long random bearer token"
ROOT = auth("root")


def lines(*given: dict[str, Any]) -> bytes:
    """Give lines as a device writes them."""
    return b"".join(orjson.dumps(each) + b"\n" for each in given)


def created(name: str) -> list[dict[str, Any]]:
    """Give request and response of a call that makes a token."""
    request = {"id": f"create-{name}"}
    path = "auth/token/create"
    return [
        line(path, ROOT, kind="request", request=request),
        line(path, ROOT, request=request, response={"auth": auth(name)}),
    ]


async def knows(server: Server, name: str) -> bool:
    """Tell whether a token is known to live."""
    _, why = await server.get(f"/v1/why/vault.accessor:hmac-sha256:{name}-accessor")
    return bool(why.get("reason") == "lives")


def uses(folder: Path) -> int:
    """Count the accesses that were taken in."""
    with closing(sqlite3.connect(folder / "data" / "rescind.db")) as database:
        blocks = database.execute("SELECT block FROM access").fetchall()
    return sum(len(json.loads(block)) for (block,) in blocks)


async def gaps(server: Server) -> list[str]:
    """Give what may be missing, by its source."""
    found = await server.findings()
    return [each["presented"] for each in found if each["kind"] == "source_gap"]


def socket(listen: str, **more: Any) -> dict[str, Any]:
    """Give settings with one socket."""
    given = {"listen": listen, "source": "vault", "authority": "vault"}
    return {"sockets": {"bao": given | more}}


async def test_a_line_that_was_cut_is_told_and_its_call_is_one(tmp_path: Path) -> None:
    """A call goes on over a new connection; what was cut is a dead letter."""
    path = tmp_path / "bao.sock"
    request, response = created("a")
    async with running(tmp_path, **socket(f"unix:{path}", mode="0660")) as server:
        mode = path.stat().st_mode & 0o777
        _, first = await asyncio.open_unix_connection(path)
        first.write(lines(*created("before")) + lines(request) + lines(response)[:-60])
        first.close()
        await until(lambda: _letters(server))
        _, second = await asyncio.open_unix_connection(path)
        second.write(lines(response)[:-1])  # whole but for its end
        second.close()
        await until(lambda: knows(server, "a"))
        await until(lambda: gaps(server))
        (letter,) = await _letters(server)

        assert 0o660 == mode
        assert letter["reason"].startswith("line_cut")
        assert letter["length"] == len(lines(response)) - 60
        assert await knows(server, "before")
        assert 2 == uses(tmp_path)  # by root: one for each call
        assert ["source:socket:bao"] == await gaps(server)
    assert not path.exists()


async def test_whoever_may_not_connect_is_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket proves nothing of who speaks, so the address has to be allowed."""
    bound = _bound(monkeypatch)
    given = socket("127.0.0.1:0", allow_from=["10.0.0.0/8"])
    async with running(tmp_path, **given) as server:
        answer, stranger = await asyncio.open_connection(*bound())
        stranger.write(lines(*created("a")))
        closed = False
        try:
            closed = await answer.read() == b""
        except ConnectionResetError:
            closed = True
        stranger.close()
        _, known = await server.post("/v1/events/vault", "aws", b"")

        assert closed
        assert known["accepted"] == 0
        assert not await knows(server, "a")
        assert 0 == uses(tmp_path)


async def test_an_endless_line_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one dead letter, and costs the lines around it nothing."""
    bound = _bound(monkeypatch)
    async with running(tmp_path, **socket("127.0.0.1:0")) as server:
        _, writer = await asyncio.open_connection(*bound())
        writer.write(lines(*created("a")))
        writer.write(b"x" * (3 * line_server.LONGEST_LINE) + b"\n")
        writer.write(lines(*created("b")))
        await until(lambda: knows(server, "b"))
        writer.close()
        reasons = [each["reason"] for each in await _letters(server)]

        assert await knows(server, "a")
        assert ["line_too_long"] == [each.partition(":")[0] for each in reasons]
        assert [] == await gaps(server)


async def test_silent_and_endless_connections_are_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that says nothing for long keeps its place; one more gets none.

    What a connection holds in memory is a line of legal length at most.
    """
    bound, most = _bound(monkeypatch), line_server.MOST_CONNECTIONS
    async with running(tmp_path, **socket("127.0.0.1:0")) as server:
        opened = [await asyncio.open_connection(*bound()) for _ in range(most)]
        for _, writer in opened[1:]:
            writer.write(b"x" * line_server.LONGEST_LINE)
            await writer.drain()
        refused, late = await asyncio.open_connection(*bound())
        try:
            gone = await refused.read() == b""
        except ConnectionResetError:
            gone = True
        opened[0][1].write(lines(*created("a")))
        await until(lambda: knows(server, "a"))
        for each in (late, opened[-1][1]):
            each.close()

        async def heard() -> bool:
            _, again = await asyncio.open_connection(*bound())
            again.write(lines(*created("b")))
            again.close()
            return await knows(server, "b")

        await until(heard)
        for _, writer in opened[:-1]:
            writer.close()

        assert gone
        assert all(not reader.at_eof() for reader, _ in opened[:-1])


async def test_a_silent_stop_is_a_gap_after_the_next_start(tmp_path: Path) -> None:
    """Nobody knows what was said to nobody; before a first word there is no gap."""
    path = tmp_path / "bao.sock"
    found = []
    for name in ("a", "b"):
        async with running(tmp_path, **socket(f"unix:{path}")) as server:
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(lines(*created(name)))
            await until(lambda: knows(server, name))  # noqa: B023 - awaited here
            await until(lambda: server.served.stages.idle)
            found.append(await gaps(server))
            writer.close()

    assert [[], ["source:socket:bao"]] == found


async def test_the_http_device_is_heard_by_its_token_alone(tmp_path: Path) -> None:
    """Each line is a request; the two of a call are one use."""
    hook = {"vendor": "openbao", "authority": "vault", "secret": {"value": SECRET}}
    async with running(tmp_path, hooks={"bao": hook}) as server:

        async def push(body: bytes, header: str) -> int:
            headers = {"Authorization": header}
            url = f"{server.url}/v1/hooks/bao"
            async with server.session.post(url, data=body, headers=headers) as got:
                return got.status

        request, response = created("a")
        bad = ["", SECRET, f"Bearer {SECRET}x", f"Basic {SECRET}", "Bearer "]
        refused = {await push(lines(response), each) for each in bad}
        nothing = uses(tmp_path), await knows(server, "a")
        taken = [await push(lines(each), f"Bearer {SECRET}") for each in (request,)]
        taken.append(await push(lines(response), f"bearer {SECRET}"))
        await until(lambda: knows(server, "a"))
        taken.append(await push(lines(dead_token("x", "dead")), f"Bearer {SECRET}"))

        assert {401} == refused
        assert (0, False) == nothing
        assert [202, 202, 202] == taken
        assert 2 == uses(tmp_path)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"listen": "unix:/nowhere/x"}, "socket bao: cannot listen at /nowhere/x: No"),
        ({"listen": "unix:/nowhere/x", "source": "none"}, "socket bao: no source"),
        ({"listen": "unix:/nowhere/x", "authority": "none"}, "socket bao: no auth"),
    ],
)
async def test_settings_that_name_nothing_are_refused(
    tmp_path: Path, given: dict[str, str], text: str
) -> None:
    """Before anything is served."""
    each = {"source": "vault", "authority": "vault"} | given
    with pytest.raises((AddressError, ConfigurationError), match=text):
        await serve(Settings(**values(tmp_path, sockets={"bao": each})))


async def _letters(server: Server) -> list[dict[str, Any]]:
    _, answer = await server.get("/v1/dlq")
    return list(answer["dead_letters"])


def _bound(monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[str, str]]:
    """Learn the port that a socket got."""
    made: list[line_server.SocketListener] = []
    begin = line_server.SocketListener.__init__

    def noted(self: line_server.SocketListener, *given: Any) -> None:
        begin(self, *given)
        made.append(self)

    monkeypatch.setattr(line_server.SocketListener, "__init__", noted)

    def address() -> tuple[str, str]:
        host, _, port = made[0].address.rpartition(":")
        return host, port

    return address
