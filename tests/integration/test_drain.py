"""A server that stops answers what is under way, and lets its guards go last."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest

from streams.apps.embedded import Served, serve
from streams.settings.server import Settings
from tests.integration.serving import until, values

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

HELLO = {"type": "hello", "guard": "g"}
ORDER = b'{"identifier": "jwt.jti:a"}'


async def half_an_order(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin to send a revocation, and send the half of it."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"Host: {host}\r\nAuthorization: Bearer revoker\r\nContent-Length: "
    head += f"{len(ORDER)}\r\nContent-Type: application/json\r\nExpect: 100-continue"
    writer.write(f"POST /v1/revocations HTTP/1.1\r\n{head}\r\n\r\n".encode())
    # It says so once it reads the body: from then on the request is under way.
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    writer.write(ORDER[:10])
    return reader, writer


async def refused(url: str) -> bool:
    """Tell whether nobody is accepted any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", url.rpartition(":")[2])
    except (ConnectionRefusedError, ConnectionResetError):
        # Reset: it was waiting to be accepted when the listener was closed.
        return True
    writer.close()
    await writer.wait_closed()
    return False


async def pong(socket: aiohttp.ClientWebSocketResponse, seq: int) -> None:
    """Ask for the proof of a lease, and wait for it."""
    await socket.send_json({"type": "ping", "seq": seq})
    while json.loads(await socket.receive_str(timeout=20)).get("seq") != seq:
        pass


async def test_a_guard_keeps_its_lease_while_requests_are_answered(
    tmp_path: Path,
) -> None:
    """Or every order that is under way would lengthen a denial by its own time."""
    stop = asyncio.Event()
    started: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        settings = Settings(**values(tmp_path))
        server = tasks.create_task(
            serve(settings, stop=stop, started=started.set_result)
        )
        url = (await started).url
        guard = {"Authorization": "Bearer guard"}
        async with session.ws_connect(f"{url}/v1/feed", headers=guard) as socket:
            await socket.send_json(HELLO)
            await pong(socket, 1)
            reader, writer = await half_an_order(url)
            stop.set()
            await until(lambda: refused(url))
            await pong(socket, 2)
            writer.write(ORDER[10:])
            assert (await reader.readline()).startswith(b"HTTP/1.1 201")
            writer.close()
            # The order that was accepted last reached the guard before the end did.
            frames = []
            while (frame := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                frames.append(json.loads(frame.data))
            # A snapshot of before may come as late as that.
            told = [each["type"] for each in frames if each["type"] != "snapshot"]
            assert told == ["delta"]
            assert (frame.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1001)
        await server


async def test_a_listening_socket_is_closed_once_nothing_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a new connection with its number is taken for it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    started: asyncio.Future[Served] = loop.create_future()
    watched: list[bool] = []
    close = socket.socket.close

    def closing(closed: socket.socket) -> None:
        listens = closed.fileno() >= 0 and closed.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        )
        if listens:
            watched.append(loop.remove_reader(closed.fileno()))
        close(closed)

    settings = Settings(**values(tmp_path))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(settings, stop=stop, started=started.set_result))
        await started
        monkeypatch.setattr(socket.socket, "close", closing)
        stop.set()
    assert watched
    assert not any(watched)
