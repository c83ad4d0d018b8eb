"""Large answers of the API are read like small ones, in a thread that lets go."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from streams.console import api as client
from streams.console.api import Api
from streams.console.large_answers import LARGE, object_of
from streams.outbound.answers import HttpAnswer

pytestmark = pytest.mark.unit


def answering(body: bytes, status: int = 200) -> Api:
    """Give the client of an API that gives one answer."""

    async def request(*_: Any, **__: Any) -> HttpAnswer:
        return HttpAnswer({}, body, status)

    http: Any = SimpleNamespace(request=request)
    return Api(http, "http://127.0.0.1", "t")


async def test_a_large_answer_is_taken_apart_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And says the same; one call on it would hold the loop of guards up."""
    threads: list[threading.Thread] = []

    def noted(body: bytes) -> dict[str, Any] | None:
        threads.append(threading.current_thread())
        return object_of(body)

    monkeypatch.setattr(client, "object_of", noted)
    row = {"a": 'ü\u202e"\\', "b": [1, -2.5, None, True], "c": {}}
    small, large = {"rows": [row]}, {"rows": [row] * (LARGE // 40)}
    assert (await answering(orjson.dumps(small)).get("x")).body == small
    assert not threads
    answer = await answering(orjson.dumps(large)).get("x")
    assert (answer.body, answer.problem) == (large, None)
    assert threads
    assert threading.current_thread() not in threads


@pytest.mark.parametrize(
    "body", [b"[" + b"1," * LARGE + b"1]", b"{" * LARGE, b"\xff" * LARGE]
)
async def test_what_is_no_answer_is_a_problem(body: bytes) -> None:
    """However large it is."""
    answer = await answering(body).get("x")
    assert answer.problem is not None
    assert answer.problem.title == "The answer is not Rescind's"
    problem = orjson.dumps({"title": "busy", "detail": "x" * LARGE})
    refused = await answering(problem, 503).get("x")
    assert refused.problem is not None
    assert (refused.status, refused.problem.title) == (503, "busy")
