"""The key cache of LiteLLM's proxy, over a table that another proxy changes.

Run as ``python -m bench.peers.litellm_keys``. Lines of the input are ``add KEY``,
``ask KEY``, which is answered by 1 or 0, and ``end PREFIX``, which deletes rows as
another proxy does, so that this one is told nothing; it is answered by their number.
The table takes the place of Postgres behind Prisma, whose engine no package carries;
the question, the cache and its settings are LiteLLM's.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from litellm.proxy._types import LiteLLM_VerificationTokenView, ProxyException
from litellm.proxy.auth.auth_checks import get_key_object
from litellm.proxy.proxy_server import user_api_key_cache


class Table:
    """The rows of keys."""

    def __init__(self) -> None:
        """Start with none."""
        self.keys: set[str] = set()

    async def get_data(self, token: str, **_: Any) -> Any:
        """Read a row as `PrismaClient.get_data` does."""
        if token not in self.keys:
            return None
        return LiteLLM_VerificationTokenView(token=token)

    def end(self, prefix: str) -> int:
        """Delete rows; give how many."""
        gone = {key for key in self.keys if key.startswith(prefix)}
        self.keys -= gone
        return len(gone)


async def allowed(table: Any, key: str) -> bool:
    """Ask as the proxy does before it serves a call."""
    try:
        await get_key_object(key, table, user_api_key_cache)
    except ProxyException:
        return False
    return True


async def main() -> None:
    """Do what the input says, to its end."""
    table = Table()
    while words := (await asyncio.to_thread(sys.stdin.readline)).split():
        if words[0] == "add":
            table.keys.add(words[1])
        elif words[0] == "ask":
            print(int(await allowed(table, words[1])), flush=True)
        else:
            print(table.end(words[1]), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
