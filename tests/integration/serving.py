"""A running server for tests: its settings, its tokens, and calls to it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from attrs import define, field

from streams.apps.builders import http_listener
from streams.apps.embedded import Served, serve
from streams.http import server as server_of
from streams.settings.server import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest

    from streams.engines.embedded.store import Store

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ROLES = {
    "aws": ["ingest"],
    "stranger": ["ingest"],
    "viewer": ["viewer"],
    "revoker": ["revoker"],
    "restorer": ["restorer"],
    "guard": ["guard"],
}
DEADLINE = 60.0


def listening(monkeypatch: pytest.MonkeyPatch) -> list[web.Application]:
    """Give the list of all applications of servers that begin to listen from now on."""
    apps: list[web.Application] = []

    async def listen(app: web.Application, *more: Any, **named: Any) -> Any:
        apps.append(app)
        return await server_of.listen(app, *more, **named)

    monkeypatch.setattr(http_listener, "listen", listen)
    return apps


def values(folder: Path, **more: Any) -> dict[str, Any]:
    """Give settings with one token for each role; a token is its own name."""
    tokens = [
        {
            "name": name,
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "roles": roles,
            "authority": name if "ingest" in roles else None,
        }
        for name, roles in ROLES.items()
    ]
    return {
        "data_dir": str(folder / "data"),
        "listen": {"host": "127.0.0.1", "port": 0},
        "tokens": tokens,
        "authorities": {
            "aws": {"grants": [{"kind": "aws.*"}], "issuer_log": True},
            "vault": {"grants": [{"kind": "vault.*"}], "issuer_log": True},
            "stranger": {"grants": [{"kind": "jwt.jti"}]},
        },
        "sources": {
            "cloudtrail": {"format": "cloudtrail"},
            "vault": {"format": "openbao", "point": "vault"},
        },
        **more,
    }


@define
class Server:
    """A running server and a client of it."""

    url: str
    served: Served
    session: aiohttp.ClientSession

    async def post(
        self, path: str, token: str, body: bytes | dict[str, Any]
    ) -> tuple[int, Any]:
        """Post bytes or JSON; give status and decoded answer."""
        data = {"json": body} if isinstance(body, dict) else {"data": body}
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.post(self.url + path, headers=headers, **data) as got:
            return got.status, await got.json(content_type=None)

    async def get(self, path: str, token: str = "viewer") -> tuple[int, Any]:
        """Get JSON; give status and decoded answer."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.get(self.url + path, headers=headers) as got:
            return got.status, await got.json(content_type=None)

    async def findings(self) -> list[dict[str, Any]]:
        """Give all findings."""
        _, answer = await self.get("/v1/findings")
        return list(answer["findings"])


@asynccontextmanager
async def running(
    folder: Path,
    clock: Callable[[], int] = time.time_ns,
    *,
    loaded: bool = True,
    **more: Any,
) -> AsyncIterator[Server]:
    """Run a server in this process until the context ends.

    Args:
        folder: for its data.
        clock: that it goes by.
        loaded: begin when its table is complete.
        **more: settings.
    """
    settings = Settings(**values(folder, **more))
    stop = asyncio.Event()
    started: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        server = tasks.create_task(
            serve(settings, stop=stop, started=started.set_result, clock=clock)
        )
        try:
            async with asyncio.timeout(DEADLINE):
                both: tuple[asyncio.Future[Any], ...] = (server, started)
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            served = started.result() if started.done() else await failed(server)
            async with aiohttp.ClientSession() as session:
                if loaded:
                    async with asyncio.timeout(DEADLINE):
                        await served.stages.loaded.wait()
                yield Server(served.url, served, session)
        finally:
            stop.set()


async def failed(server: asyncio.Task[None]) -> Served:
    """Raise what ended the server before it served."""
    await server
    raise AssertionError("the server ended before it served")


async def listed(store: Store) -> list[tuple[Any, ...]]:
    """Give the identifiers that causes condemned, each with the cause's id."""
    query = "SELECT identifier, cause FROM invalidations ORDER BY offset LIMIT 10000"
    return await store.read(query)


async def until(condition: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Wait until a condition (plain or async) gives something true; give that.

    The longer it takes, the less often it is asked: each question costs CPU.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            await asyncio.sleep(min(0.05, max(0.005, (clock() - began) / 20)))


@define
class Receiver:
    """A webhook receiver that keeps what it got."""

    url: str = ""
    got: list[tuple[str, dict[str, Any]]] = field(factory=list)
    statuses: list[int] = field(factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Keep id and body; answer with the next planned status, else 204."""
        self.got.append((request.headers["webhook-id"], await request.json()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver until the context ends."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield receiver
    finally:
        await runner.cleanup()


def webhook(receiver: Receiver) -> dict[str, Any]:
    """Give webhook settings that point at a receiver."""
    return {"url": receiver.url, "secrets": [SECRET], "allow_private": True}


def created_key(key: str, user: str, at: str, event_id: str) -> dict[str, Any]:
    """Give a CloudTrail event that makes an access key."""
    return _iam("CreateAccessKey", user, at, event_id) | {
        "requestParameters": {"userName": user},
        "responseElements": {
            "accessKey": {
                "accessKeyId": key, "status": "Active", "userName": user,
                "createDate": "Jul 10, 2023 12:09:47 PM",
            }
        },
    }  # fmt: skip


def deleted_key(key: str, user: str, at: str, event_id: str) -> dict[str, Any]:
    """Give a CloudTrail event that deletes an access key."""
    return _iam("DeleteAccessKey", user, at, event_id) | {
        "requestParameters": {"userName": user, "accessKeyId": key},
        "responseElements": None,
    }


def used_key(
    key: str, user: str, at: str, event_id: str, error: str | None = None
) -> dict[str, Any]:
    """Give a CloudTrail event of a call that a key signed."""
    event = _iam("ListBuckets", user, at, event_id)
    event["eventSource"] = "s3.amazonaws.com"
    event |= {"sourceIPAddress": "192.0.2.1", "userAgent": "aws-cli/2"}
    event["userIdentity"] = {
        "type": "IAMUser", "principalId": "AIDAEXAMPLE" + user.upper(),
        "arn": f"arn:aws:iam::111122223333:user/{user}",
        "accountId": "111122223333", "accessKeyId": key, "userName": user,
    }  # fmt: skip
    if error:
        event["errorCode"] = error
    return event


def _iam(name: str, user: str, at: str, event_id: str) -> dict[str, Any]:
    del user
    return {
        "eventVersion": "1.08", "eventSource": "iam.amazonaws.com", "eventName": name,
        "eventTime": at, "eventID": event_id, "awsRegion": "us-east-1",
        "recipientAccountId": "111122223333", "eventType": "AwsApiCall",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDAEXAMPLEADMIN",
            "arn": "arn:aws:iam::111122223333:user/admin",
            "accountId": "111122223333", "accessKeyId": "AKIAEXAMPLEADMIN0000",
            "userName": "admin",
        },
    }  # fmt: skip
