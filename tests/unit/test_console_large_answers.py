"""Large answers of the API are read like small ones, in turns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from streams.console.api import Api
from streams.outbound.answers import HttpAnswer
from streams.process.large_json import LARGE
from tests.unit.test_large_json import LEAST_TURNS, beside

pytestmark = pytest.mark.unit


def answering(body: bytes, status: int = 200) -> Api:
    """Give the client of an API that gives one answer."""

    async def request(*_: Any, **__: Any) -> HttpAnswer:
        return HttpAnswer({}, body, status)

    http: Any = SimpleNamespace(request=request)
    return Api(http, "http://127.0.0.1", "t")


async def test_a_large_answer_is_taken_apart_in_turns() -> None:
    """And says the same; one call on it would hold the loop of guards up."""
    row = {"a": 'ü\u202e"\\', "b": [1, -2.5, None, True], "c": {}}
    small, large = {"rows": [row]}, {"rows": [row] * (LARGE // 10)}
    for body, least in ((small, 0), (large, LEAST_TURNS)):
        answer, turns = await beside(answering(orjson.dumps(body)).get("x"))
        assert (answer.body, answer.problem) == (body, None)
        assert turns > least


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"1," * LARGE + b"1]", b"{" * LARGE, b"\xff" * LARGE,
        b'{"a":NaN}' + b" " * LARGE, b'{"a":1e400}' + b" " * LARGE,
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_a_problem(body: bytes) -> None:
    """However large it is."""
    answer = await answering(body).get("x")
    assert answer.problem is not None
    assert answer.problem.title == "The answer is not Rescind's"
    problem = orjson.dumps({"title": "busy", "detail": "x" * LARGE})
    refused = await answering(problem, 503).get("x")
    assert refused.problem is not None
    assert (refused.status, refused.problem.title) == (503, "busy")
