"""Answers to requests that fail, and to those whose client is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from streams.http import problems

if TYPE_CHECKING:
    from aiohttp import web

pytestmark = pytest.mark.unit

RESET = aiohttp.ClientConnectionResetError("Cannot write to closing transport")


def asked(*, closing: bool, at_all: bool = True) -> Any:
    """Give a request, as far as an error looks at it."""
    transport = SimpleNamespace(is_closing=lambda: closing)
    return SimpleNamespace(
        transport=transport if at_all else None, method="GET", query={}, path="/"
    )


@pytest.mark.parametrize(
    ("request_", "error", "logged"),
    [
        (asked(closing=True), RESET, []),
        (asked(closing=True, at_all=False), RESET, []),
        (asked(closing=False), RESET, ["request_failed"]),
        (asked(closing=True), KeyError("a fault"), ["request_failed"]),
    ],
)
async def test_a_client_that_left_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, request_: Any, error: Exception, logged: list[str]
) -> None:
    """A guard that looks for another connection leaves those that are not answered."""
    monkeypatch.setattr(problems, "_unknown_query", lambda _: None)

    async def handler(_: web.Request) -> web.StreamResponse:
        raise error

    with capture_logs() as lines:
        answer = await problems._answered(request_, handler)
    assert answer.status == (500 if logged else 400)
    assert logged == [line["event"] for line in lines]
