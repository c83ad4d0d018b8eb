"""A model behind a gateway: it answers at once, or streams for as long as one reads."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from attrs import Factory, define

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PACE: Final = 0.05  # seconds from a piece to the next one
ANSWER: Final = {"id": "1", "created": 1, "model": "orders"}


@define
class Hold:
    """Keeps answers back.

    Attributes:
        over: set once they may be given.
        waiting: calls that waited.
    """

    over: asyncio.Event = Factory(asyncio.Event)
    waiting: int = 0


_HOLD: Final = web.AppKey("hold", Hold)


async def chat(request: web.Request) -> web.StreamResponse:
    """Answer as OpenAI's chat completions do."""
    body = await request.json()
    hold = request.app[_HOLD]
    hold.waiting += not hold.over.is_set()
    await hold.over.wait()
    if not body.get("stream"):
        message = {"role": "assistant", "content": "order 1"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return web.json_response(_answer("chat.completion", choice) | {"usage": usage})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    with suppress(ConnectionError):
        for number in count(1):  # LiteLLM ends a stream of equal pieces
            delta = {"role": "assistant", "content": f"order {number}"}
            piece = _answer("chat.completion.chunk", {"index": 0, "delta": delta})
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
            await asyncio.sleep(PACE)
    return response


def _answer(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {**ANSWER, "object": kind, "choices": [choice]}


@asynccontextmanager
async def serving_model(hold: Hold | None = None) -> AsyncIterator[str]:
    """Serve the model until the context ends; give its URL.

    Args:
        hold: keeps answers back while it is not over.
    """
    app = web.Application()
    if hold is None:
        hold = Hold()
        hold.over.set()
    app[_HOLD] = hold
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()
