"""The example for FastAPI without its guard: tokens are verified, and that is all."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from fastapi_app import events, presented  # type: ignore[import-not-found]

app = FastAPI()


def verified(request: Request) -> None:
    """Refuse a token that is forged or has expired."""
    if presented(request.scope) is None:
        raise HTTPException(401)


@app.get("/orders")
async def orders(request: Request) -> list[str]:
    """Answer at once."""
    verified(request)
    return ["order 1"]


@app.get("/events")
async def stream(request: Request) -> StreamingResponse:
    """Send an event a second."""
    verified(request)
    response: StreamingResponse = await events()
    return response
