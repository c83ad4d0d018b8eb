"""All audit devices of a real OpenBao at once, through rotation and a killed server."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from enforcement.guard import Guard
from streams.pollers.logfiles import FilePlace
from streams.ports.keyed_store import part
from tests.integration.cli_server import environment
from tests.integration.forked_program import Forked, start
from tests.integration.openbao_server import OpenBaoServer
from tests.integration.serving import until, values

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SECRET = "a long random bearer token"
DEVICES = ("main", "post", "unix", "tcp")
POLICY = """
path "sys/audit-hash/main" { capabilities = ["update"] }
path "sys/audit-hash/post" { capabilities = ["update"] }
path "sys/leases"          { capabilities = ["read", "sudo"] }
"""
CONFIGURATION = """
audit "http" "post" {{
  options {{
    uri     = "{url}/v1/hooks/bao"
    headers = "{{\\"Authorization\\": [\\"Bearer {secret}\\"]}}"
  }}
}}
audit "socket" "unix" {{
  options {{
    address     = "{path}"
    socket_type = "unix"
  }}
}}
audit "socket" "tcp" {{
  options {{
    address = "{address}"
  }}
}}
"""


class Rescind:
    """A server in a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path, audit_log: Path) -> None:
        """Follow an audit log, and listen for the other devices."""
        self.folder = folder
        self.url = self.address = ""
        self.path = folder / "bao.sock"
        self._log = folder / "serve.log"
        settings = values(folder)
        grants = {"grants": [{"kind": "vault.*"}], "issuer_log": True}
        settings["authorities"] |= dict.fromkeys(DEVICES, grants)
        watch = {"path": str(audit_log), "source": "vault", "authority": "main",
                 "poll_seconds": 0.01}  # fmt: skip
        hook = {"vendor": "openbao", "authority": "post", "secret": {"value": SECRET}}
        self.settings = settings | {
            "watch": [watch],
            "hooks": {"bao": hook},
            "sockets": {
                name: {"listen": listen, "source": "vault", "authority": name}
                for name, listen in (
                    ("unix", f"unix:{self.path}"), ("tcp", "127.0.0.1:0"),
                )
            },
            "ready_file": str(folder / "ready"),
        }  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[subprocess.Popen[bytes] | Forked]:
        """Run the server until the context ends, then kill it."""
        ready, config = self.folder / "ready", self.folder / "rescind.json"
        ready.unlink(missing_ok=True)
        config.write_text(json.dumps(self.settings))
        with self._log.open("wb") as errors:
            process = start(
                "serve", "--config", config,
                cwd=self.folder,
                env=environment(self.folder),
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )  # fmt: skip
        try:
            await until(lambda: ready.exists() or process.poll() is not None)
            assert process.poll() is None, self._log.read_text()
            self.url = ready.read_text().strip()
            self._keep_addresses()
            yield process
        finally:
            process.kill()
            process.wait()

    def _keep_addresses(self) -> None:
        """Listen at the same ports the next time."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        bound = {
            line["socket"]: line["address"]
            for line in lines
            if line["event"] == "listening"
        }
        self.address = bound["tcp"]
        self.settings["sockets"]["tcp"]["listen"] = self.address
        port = int(self.url.rpartition(":")[2])
        self.settings["listen"] = {"host": "127.0.0.1", "port": port}

    def devices(self) -> str:
        """Give the devices that send to this server, as OpenBao's configuration."""
        return CONFIGURATION.format(
            url=self.url, secret=SECRET, path=self.path, address=self.address
        )

    async def get(self, path: str) -> Any:
        """Ask as a viewer."""
        headers = {"Authorization": "Bearer viewer"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(self.url + path) as got,
        ):
            return await got.json()

    async def revoke(self, identifier: str) -> tuple[int, dict[str, Any]]:
        """Revoke as an operator."""
        headers = {"Authorization": "Bearer revoker"}
        body = {"identifier": identifier}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.url}/v1/revocations", json=body) as got,
        ):
            return got.status, await got.json()

    def read_bytes_of(self, log: Path) -> int:
        """Give how many bytes of a log's files were taken in, by the saved places."""
        database = sqlite3.connect(self.folder / "data" / "rescind.db")
        with closing(database):
            query = "SELECT body FROM kept WHERE kind = 'place' AND name GLOB ?"
            rows = database.execute(query, (f"{part(str(log))}/*",)).fetchall()
        return sum(FilePlace.load(body).position for (body,) in rows)

    def said(self, event: str) -> bool:
        """Tell whether the server logged something."""
        return f'"{event}"' in self._log.read_text()

    def kept(self) -> bytes:
        """Give all bytes that the server has kept or logged."""
        files = [*(self.folder / "data").rglob("*"), self._log]
        return b"".join(file.read_bytes() for file in files if file.is_file())


class Bao:
    """Calls to the real server that do not halt the test's own loop."""

    def __init__(self, server: OpenBaoServer) -> None:
        """Call a server."""
        self.server = server
        self.root = server.root_token

    async def call(self, method: str, path: str, /, by: str, **body: Any) -> Any:
        """Make a call that has to succeed."""
        done = await asyncio.to_thread(self.server.call, method, path, by, body or None)
        assert done.status < 300, (path, done)
        return done.body

    async def token(self, caller: str) -> dict[str, str]:
        """Make a token under another one."""
        path = "auth/token/create"
        made = await self.call("POST", path, caller, policies=["root"])
        return dict(made["auth"])

    async def names(self, accessor: str) -> list[str]:
        """Give what the log of each device calls a token, the file's first."""
        hashed = [
            await asyncio.to_thread(self.server.hash, accessor, device)
            for device in DEVICES
        ]
        return [f"vault.accessor:{each}" for each in hashed]


class Scene:
    """The two servers, a guard, and what they are asked."""

    def __init__(self, rescind: Rescind, bao: Bao, guard: Guard) -> None:
        """Play with them."""
        self.rescind = rescind
        self.bao = bao
        self.guard = guard
        self.log = bao.server.audit_log
        self.second = self.log.with_name("audit.log.1")

    def all_are(self, names: list[str], *, allowed: bool) -> bool:
        """Tell whether the guard says the same of all names."""
        return {self.guard.check(name).allowed for name in names} == {allowed}

    async def rotate(self) -> dict[str, str]:
        """Rotate the log as logrotate does; give a token of the moment between."""
        self.log.rename(self.second)
        between = await self.bao.token(self.bao.root)
        self.bao.server.reopen()
        await until(self.log.exists)
        return between

    async def end(self, token: dict[str, str]) -> None:
        """Revoke a token at the vault."""
        path = "auth/token/revoke"
        await self.bao.call("POST", path, self.bao.root, token=token["client_token"])

    async def is_exact(self) -> bool:
        """Tell whether each line of the file was taken in once, as its device says."""
        folder = self.log.parent
        files = [self.log.with_name("audit.log.2"), self.log]
        lines = b"".join(file.read_bytes() for file in files)
        packed = (folder / "audit.log.1.gz").read_bytes()
        lines += gzip.decompress(packed)
        size = await asyncio.to_thread(self.rescind.read_bytes_of, self.log)
        return len(lines) == size

    async def dead(self, name: str) -> bool:
        """Tell whether the server counts a credential as ended."""
        return bool((await self.rescind.get(f"/v1/why/{name}")).get("dead"))


async def test_every_device_tells_in_time_and_nothing_is_lost(tmp_path: Path) -> None:
    """A parent's end reaches its child by each device; the file forgets nothing."""
    folder = tmp_path / "bao"
    folder.mkdir()
    rescind = Rescind(tmp_path, folder / "audit.log")
    async with AsyncExitStack() as cleanup:
        first = await cleanup.enter_async_context(rescind.running())
        devices = rescind.devices()
        bao = Bao(cleanup.enter_context(OpenBaoServer(folder, devices)))
        guard = await cleanup.enter_async_context(Guard(rescind.url, "guard", name="g"))
        scene = Scene(rescind, bao, guard)
        parent = await bao.token(bao.root)
        child = await bao.token(parent["client_token"])
        known = [*await bao.names(child["accessor"])]
        between = await scene.rotate()
        known += await bao.names(between["accessor"])
        await until(lambda: scene.all_are(known, allowed=True))

        first.kill()
        first.wait()
        told_to_nobody = await while_nobody_reads(scene)
        await cleanup.enter_async_context(rescind.running())
        await until(lambda: scene.dead(told_to_nobody))
        await until(lambda: scene.all_are(known, allowed=True))
        await scene.end(parent)
        await scene.end(between)
        await until(lambda: scene.all_are(known, allowed=False))
        found = (await rescind.get("/v1/findings"))["findings"]
        gaps = {each["presented"] for each in found if each["kind"] == "source_gap"}
        assert {"source:socket:unix", "source:socket:tcp"} == gaps

        await check_names_in_plain_text(scene)
        await check_a_lease(scene)
        assert [] == (await rescind.get("/v1/dlq"))["dead_letters"]
        assert not rescind.said("irrevocable_not_listed")
        await until(scene.is_exact)


async def while_nobody_reads(scene: Scene) -> str:
    """End a token and rotate twice; only a packed file tells of it. Give its child."""
    bao = scene.bao
    parent = await bao.token(bao.root)
    child = await bao.token(parent["client_token"])
    await scene.end(parent)
    scene.second.rename(scene.log.with_name("audit.log.2"))
    await scene.rotate()
    packed = scene.second.with_name("audit.log.1.gz")
    packed.write_bytes(gzip.compress(scene.second.read_bytes()))
    scene.second.unlink()
    await bao.call("PUT", "sys/policies/acl/rescind", bao.root, policy=POLICY)
    made = await bao.call("POST", "auth/token/create", bao.root, policies=["rescind"])
    token = {"value": made["auth"]["client_token"]}
    scene.rescind.settings["vaults"] = {
        device: {
            "url": bao.server.url, "allow_http": True, "authority": device,
            "device": device, "token": token, "irrevocable_seconds": 1,
        }
        for device in ("main", "post")
    }  # fmt: skip
    return (await bao.names(child["accessor"]))[0]


async def check_names_in_plain_text(scene: Scene) -> None:
    """Give orders that name what the vault's commands show, not what its log shows."""
    bao, rescind = scene.bao, scene.rescind
    one, two = await bao.token(bao.root), await bao.token(bao.root)
    known = [(await bao.names(each["accessor"]))[0] for each in (one, two)]
    await until(lambda: scene.all_are(known, allowed=True))
    status, answer = await rescind.revoke(f"vault.accessor:{one['accessor']}")
    by_secret, _ = await rescind.revoke(f"vault.token_hmac:{two['client_token']}")
    await until(lambda: scene.all_are(known, allowed=False))
    kept = rescind.kept()

    assert (201, 201) == (status, by_secret)
    assert (await bao.names(one["accessor"]))[:2] == answer["identifiers"]
    assert known[0].encode() in kept
    assert one["accessor"].encode() not in kept
    assert two["client_token"].encode() not in kept


async def check_a_lease(scene: Scene) -> None:
    """End a lease under its HMAC; it is dead under its id."""
    bao = scene.bao
    otp = {"key_type": "otp", "default_user": "ops", "cidr_list": "10.0.0.0/8"}
    await bao.call("POST", "sys/mounts/ssh", bao.root, type="ssh")
    await bao.call("POST", "ssh/roles/hosts", bao.root, **otp)
    made = await bao.call("POST", "ssh/creds/hosts", bao.root, ip="10.1.2.3")
    name = f"vault.lease:{made['lease_id']}"
    await until(lambda: scene.guard.check(name).allowed)
    await bao.call("PUT", "sys/leases/revoke", bao.root, lease_id=made["lease_id"])
    await until(lambda: not scene.guard.check(name).allowed)
