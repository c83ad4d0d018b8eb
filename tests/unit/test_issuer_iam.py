"""What is no refusal and no proof at AWS: a limit, a key that lives on."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from streams.actuators.aws.policies import ALL, OLDER
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, WantedEnd
from streams.model.times import SECOND, rfc3339
from streams.outbound.answers import RequestError
from streams.outbound.waits import waiting
from tests.issuers.cases import CASES, SINCE
from tests.issuers.fake import json
from tests.issuers.iam import KEY, FakeIam, error

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


# ----------------------------------------------------------- a user up to a time


DATED = CASES["aws aws.user up to a time"]
NEW = str(rfc3339(SINCE + SECOND))
SAME = str(rfc3339(SINCE // SECOND * SECOND))


async def acted(actuator: WayActuator, target: EndTarget) -> None:
    """Plan and act."""
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    assert (await actuator.act(step)).done


@pytest.mark.parametrize("left", ["a key", "the password", "sessions"])
async def test_a_user_is_not_dead_up_to_a_time_while_something_older_lives(
    left: str,
) -> None:
    """A policy for older sessions denies no long-lived key and no new sign-in."""
    actuator, issuer = made("user up to a time")
    await acted(actuator, DATED.target)
    assert (await actuator.probe(DATED.target)).found is Alive.DEAD
    match left:
        case "a key":
            issuer.keys = {"AKIAUNKNOWNOLDKEY0000": "Active"}
        case "the password":
            issuer.password = True
        case _:
            issuer.policies.clear()
    issuer.asked.clear()

    probed = await actuator.probe(DATED.target)
    assert (probed.found, left in probed.reason) == (Alive.ALIVE, True)
    await acted(actuator, DATED.target)

    assert (await actuator.probe(DATED.target)).found is Alive.DEAD
    acts = {
        "a key": ["UpdateAccessKey", "DeleteAccessKey"],
        "the password": ["DeleteLoginProfile"],
        "sessions": ["PutUserPolicy"],
    }
    assert acts[left] == issuer.acts()


async def test_what_a_user_got_after_the_time_lives_on() -> None:
    """Its name was given again, with a key and a password of its own."""
    actuator, issuer = made("user up to a time")
    issuer.keys = {"AKIAOLD": "Active", "AKIASAME": "Inactive", "AKIANEW": "Active"}
    issuer.created = {"AKIANEW": NEW, "AKIASAME": SAME}
    issuer.password_of = NEW

    await acted(actuator, DATED.target)

    assert {"AKIANEW": "Active"} == issuer.keys
    assert issuer.password
    assert (await actuator.probe(DATED.target)).found is Alive.DEAD


async def test_a_users_older_keys_are_kept_where_that_is_set() -> None:
    """They are inactive then."""
    case = evolve(DATED, settings={**DATED.settings, "delete_keys": False})
    actuator, issuer = case.made()
    assert isinstance(issuer, FakeIam)
    await acted(actuator, DATED.target)
    assert {KEY: "Inactive"} == issuer.keys
    assert (await actuator.probe(DATED.target)).found is Alive.DEAD


@pytest.mark.parametrize("what", ["key", "password"])
async def test_a_credential_of_no_known_age_proves_nothing(what: str) -> None:
    """It may be one from before the time, or not; nothing is ended."""
    actuator, issuer = made("user up to a time")
    issuer.created = {KEY: ""} if what == "key" else {}
    issuer.password_of = "" if what == "password" else NEW
    for asked in (actuator.probe, actuator.plan):
        with pytest.raises(RequestError, match="when it was made"):
            await asked(DATED.target)
    assert [] == issuer.acts()


@pytest.mark.parametrize("kind", ["user", "role"])
async def test_a_suspended_name_is_not_dead_up_to_a_time(kind: str) -> None:
    """Its lift would give back what was issued before."""
    actuator, issuer = made(f"{kind} up to a time")
    target = CASES[f"aws aws.{kind} up to a time"].target
    suspended = evolve(target, not_before=None, wanted=WantedEnd.SUSPENDED)
    await acted(actuator, suspended)
    assert (await actuator.probe(suspended)).found is Alive.DEAD
    assert (await actuator.probe(target)).found is Alive.ALIVE
    await acted(actuator, target)
    assert (await actuator.probe(target)).found is Alive.DEAD
    assert {ALL, OLDER} == set(issuer.policies)
