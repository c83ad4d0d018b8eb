"""LiteLLM's proxy, with the rows of its keys in memory.

Run as ``python -m bench.gateways.litellm_program CONFIG``, with keys and their aliases
in ``LITELLM_KEYS`` (``KEY=ALIAS``, by blanks). It says where it listens. A line of the
input is a key whose row is deleted as another proxy does it, so that this one is told
nothing; it is answered by ``deleted``. The end of the input ends it. The table takes
the place of Postgres behind Prisma, whose engine no package carries; everything else is
the proxy.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

os.environ["CONFIG_FILE_PATH"] = sys.argv[1]

import uvicorn
from litellm.proxy import proxy_server
from litellm.proxy._types import LiteLLM_VerificationTokenView, hash_token


class Keys:
    """The table of keys."""

    def __init__(self, rows: dict[str, str]) -> None:
        """Take keys and their aliases."""
        self._rows = {hash_token(key): alias for key, alias in rows.items()}

    async def get_data(self, token: str | None = None, **_: Any) -> Any:
        """Read a row as `PrismaClient.get_data` does."""
        alias = self._rows.get(token or "")
        if alias is None:
            return None
        return LiteLLM_VerificationTokenView(token=token, key_alias=alias, models=[])

    def delete(self, key: str) -> None:
        """Delete a row."""
        del self._rows[hash_token(key)]


async def main() -> None:
    """Serve until the input ends."""
    rows = dict(each.split("=") for each in os.environ["LITELLM_KEYS"].split())
    keys = Keys(rows)
    config = uvicorn.Config(proxy_server.app, host="127.0.0.1", port=0)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110 - has no event
        await asyncio.sleep(0.05)
    proxy_server.prisma_client = keys
    if server.started:
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"listening on http://127.0.0.1:{port}", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        keys.delete(line)
        print("deleted", flush=True)
    proxy_server.prisma_client = None
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main())
