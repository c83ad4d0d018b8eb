"""Serve LiteLLM's proxy; it says where, and ends with the end of its input."""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from litellm.proxy.proxy_server import app


async def main() -> None:
    """Serve until the input ends."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0))
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():  # noqa: ASYNC110 - has no event
        await asyncio.sleep(0.05)
    if server.started:
        port = server.servers[0].sockets[0].getsockname()[1]
        sys.stdout.write(f"listening on http://127.0.0.1:{port}\n")
        sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main())
