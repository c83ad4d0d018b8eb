"""The public keys of the issuers: where they are read from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yarl import URL

from streams.outbound.client import RequestLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.outbound.client import HttpClient

BOUNDS: Final = RequestLimits(seconds=5.0, largest=1 << 20)


def fetcher(jwks: str, client: HttpClient) -> Callable[[], Awaitable[bytes]]:
    """Return a function that reads a JWKS from its file or URL."""

    async def from_url() -> bytes:
        return (await client.request("GET", URL(jwks), bounds=BOUNDS)).ok().body

    async def from_file() -> bytes:
        return await asyncio.to_thread(Path(jwks).read_bytes)

    return from_url if "://" in jwks else from_file
