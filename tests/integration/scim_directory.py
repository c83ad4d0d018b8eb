"""Two directories that provision into a server under test."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import orjson

from tests.integration.serving import values

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server


def settings(folder: Path, **scim: Any) -> dict[str, Any]:
    """Give settings with two directories."""
    authorities = values(folder)["authorities"]
    grants = [{"kind": "scim.user"}, {"kind": "scim.agent"}, {"kind": "okta.user"}]
    for name in ("aws", "stranger"):
        authorities[name] = {"grants": grants}
    return {"scim": {"external_kind": "okta.user"} | scim, "authorities": authorities}


async def call(
    server: Server, method: str, path: str, body: Any = None, token: str = "stranger"
) -> tuple[int, Any]:
    """Send a request; give status and decoded answer."""
    headers = {"Authorization": f"Bearer {token}"}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/scim+json"
        data = io.BytesIO(body if isinstance(body, bytes) else orjson.dumps(body))
    url = f"{server.url}/scim/v2/{path}"
    async with server.session.request(method, url, data=data, headers=headers) as got:
        answer = await got.read()
        if answer:
            assert "application/scim+json" == got.content_type
        return got.status, orjson.loads(answer) if answer else None
