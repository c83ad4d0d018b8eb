"""Leaked tokens of many acts share one request, and each gets its answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import define, field

from streams.actuators.calls import Call
from streams.actuators.github.bulk import MOST, BulkRevocation
from streams.outbound.answers import HttpAnswer, RequestError
from tests.issuers.fake import json

pytestmark = pytest.mark.unit


@define
class Api:
    """Notes how many tokens each request had."""

    answer: HttpAnswer | RequestError = field(factory=lambda: json({}, 202))
    sent: list[list[str]] = field(factory=list)

    async def send(self, call: Call) -> HttpAnswer:
        """Answer, or give none."""
        self.sent.append(call.json["credentials"])
        if isinstance(self.answer, RequestError):
            raise self.answer
        return self.answer


@define
class Moment:
    """Is over when a test says so."""

    over: asyncio.Event = field(factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
        """Wait for it."""
        assert seconds > 0
        await self.over.wait()


def call(token: str) -> Call:
    """Give the call of an act."""
    body = {"credentials": [token]}
    return Call("revoke the token", "POST", "/credentials/revoke", json=body)


async def revoked(api: Any, *tokens: str) -> list[HttpAnswer | BaseException]:
    """Revoke all of them at once."""
    moment = Moment()
    bulk = BulkRevocation(api, moment.wait)
    tasks = [asyncio.create_task(bulk.send(call(token))) for token in tokens]
    await asyncio.sleep(0)
    moment.over.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_acts_of_a_moment_share_a_request() -> None:
    """Also two of the same token."""
    api = Api()
    answers = await revoked(api, "a", "b", "a")
    assert [202] * 3 == [one.status for one in answers if isinstance(one, HttpAnswer)]
    assert [["a", "b"]] == api.sent


async def test_no_request_has_more_than_github_takes() -> None:
    """What is left over waits for its moment."""
    api = Api()
    await revoked(api, *(str(number) for number in range(MOST + 5)))
    assert [MOST, 5] == [len(some) for some in api.sent]
    assert MOST + 5 == len({token for some in api.sent for token in some})


async def test_a_later_act_is_a_request_of_its_own() -> None:
    """Nothing is kept of those before."""
    api, moment = Api(), Moment()
    moment.over.set()
    bulk = BulkRevocation(api, moment.wait)  # type: ignore[arg-type]
    for token in ("a", "b"):
        await bulk.send(call(token))
    assert [["a"], ["b"]] == api.sent


async def test_all_of_them_hear_that_there_is_no_answer() -> None:
    """And a limit."""
    failed = await revoked(Api(RequestError("timeout")), "a", "b")
    assert ["timeout"] * 2 == [str(one) for one in failed]
    limited = await revoked(Api(json({}, 403)), "a", "b")
    assert [403] * 2 == [one.status for one in limited if isinstance(one, HttpAnswer)]


async def test_an_act_that_is_given_up_takes_no_other_with_it() -> None:
    """The others are answered."""
    api, moment = Api(), Moment()
    bulk = BulkRevocation(api, moment.wait)  # type: ignore[arg-type]
    first, second = (asyncio.create_task(bulk.send(call(t))) for t in ("a", "b"))
    await asyncio.sleep(0)
    first.cancel()
    moment.over.set()
    assert 202 == (await second).status
    assert first.cancelled()
