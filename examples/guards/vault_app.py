"""An aiohttp service whose callers present a token of Vault or OpenBao.

pip install rescind-guard
export RESCIND_URL=https://rescind.internal RESCIND_GUARD_TOKEN=...
export VAULT_ADDR=https://vault.internal VAULT_TOKEN=... AUDIT_DEVICE=file
python vault_app.py

Rescind knows a token by the hash that the audit device writes. The service's own
VAULT_TOKEN needs one right: ``path "sys/audit-hash/file" {capabilities = ["update"]}``.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from rescind_guard import Guard, Identifier, Presented
from rescind_guard.aiohttp import protect

VAULT = os.environ["VAULT_ADDR"]
DEVICE = os.environ.get("AUDIT_DEVICE", "file")
REMEMBERED_SECONDS = 300  # that Vault found a token valid; the guard is asked each time
MOST_REMEMBERED = 10_000

guard = Guard(
    os.environ["RESCIND_URL"],
    os.environ["RESCIND_GUARD_TOKEN"],
    name="orders-vault",
    live_sessions=True,
)
SESSION = web.AppKey("session", aiohttp.ClientSession)
known: dict[bytes, tuple[float, Presented]] = {}  # by the digest of the token


async def presented(request: web.Request) -> Presented | None:
    """Give what a caller presents, once Vault has found it valid."""
    token = request.headers.get("X-Vault-Token", "")
    if not token:
        return None
    digest = hashlib.sha256(token.encode()).digest()
    until, found = known.get(digest, (0.0, None))
    if found is not None and time.monotonic() < until:
        return found
    seconds, found = await looked_up(request.app[SESSION], token)
    if found is not None:
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        known[digest] = (time.monotonic() + seconds, found)
    return found


async def looked_up(
    session: aiohttp.ClientSession, token: str
) -> tuple[float, Presented | None]:
    """Ask Vault for a token: for how long it may be remembered, and what it presents.

    An error of Vault ends the request with 500: nothing is allowed.
    """
    address = f"{VAULT}/v1/auth/token/lookup-self"
    async with session.get(address, headers={"X-Vault-Token": token}) as got:
        if got.status == 403:
            return 0.0, None
        got.raise_for_status()
        said = (await got.json())["data"]
    own = {"X-Vault-Token": os.environ["VAULT_TOKEN"]}
    address = f"{VAULT}/v1/sys/audit-hash/{DEVICE}"
    async with session.post(address, headers=own, json={"input": token}) as got:
        got.raise_for_status()
        hashed = (await got.json())["data"]["hash"]
    who = (Identifier("vault.token_hmac", hashed),)
    issued_at = said["creation_time"] * 1_000_000_000
    seconds = min(REMEMBERED_SECONDS, said["ttl"] or REMEMBERED_SECONDS)
    return seconds, Presented(who, issued_at=issued_at)


async def orders(_: web.Request) -> web.Response:
    """Answer at once."""
    return web.json_response(["order 1"])


async def running(app: web.Application) -> AsyncIterator[None]:
    """Run the guard, and a client of Vault, while the application serves."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with guard, aiohttp.ClientSession(timeout=timeout) as app[SESSION]:
        await guard.ready(10)
        yield


app = web.Application()
protect(app, guard, presented)
app.cleanup_ctx.append(running)
app.router.add_get("/orders", orders)

if __name__ == "__main__":
    host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8080")
    web.run_app(app, host=host, port=int(port))
