"""Answers in JSON."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web


def json_answer(document: Any) -> web.Response:
    """Response with a JSON body."""
    body = orjson.dumps(document)
    return web.Response(body=body, content_type="application/json")
