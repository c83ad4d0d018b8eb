"""What is no refusal and no proof at AWS: a limit, a key that lives on."""

from __future__ import annotations

from typing import Any

import pytest

from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep
from streams.outbound.answers import RequestError
from streams.outbound.waits import waiting
from tests.issuers.cases import CASES
from tests.issuers.fake import json
from tests.issuers.iam import FakeIam, error

pytestmark = pytest.mark.unit


def made(name: str) -> tuple[WayActuator, FakeIam]:
    """Give the actuator and the issuer of a case."""
    actuator, issuer = CASES[f"aws aws.{name}"].made()
    assert isinstance(issuer, FakeIam)
    return actuator, issuer


# --------------------------------------------------------------------------- Limits


LIMITS = (
    "Throttling", "ThrottlingException", "RequestLimitExceeded",
    "TooManyRequestsException",
)  # fmt: skip


@pytest.mark.parametrize("code", LIMITS)
async def test_a_throttled_request_is_no_refusal(code: str) -> None:
    """AWS answers 400 and names no time; ours doubles until it answers again."""
    actuator, issuer = made("user")
    target = CASES["aws aws.user"].target
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    issuer.always = error(code, 400)

    waits: list[float | None] = [(await actuator.act(step)).retry_after]
    for _ in range(6):
        with pytest.raises(RequestError, match=code) as caught:
            await actuator.probe(target)
        assert caught.value.answer is not None
        waits.append(waiting(caught.value.answer.headers, issuer.now))

    assert [2, 4, 8, 16, 32, 60, 60] == waits
    issuer.always = None
    assert (await actuator.probe(target)).found is Alive.ALIVE
    issuer.always = error(code, 400)
    assert 2 == (await actuator.act(step)).retry_after


@pytest.mark.parametrize(
    "answer", [error("AccessDenied", 403), error("LimitExceeded", 409), json({}, 400)]
)
async def test_a_refusal_is_no_limit(answer: Any) -> None:
    """Neither is a quota of the account, which no wait helps against."""
    actuator, issuer = made("user")
    step = await actuator.plan(CASES["aws aws.user"].target)
    assert isinstance(step, EndStep)
    issuer.always = answer
    assert (await actuator.act(step)).retry_after is None
