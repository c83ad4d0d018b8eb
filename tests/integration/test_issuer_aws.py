"""Access keys, users and roles are ended at moto's server, which speaks IAM and STS.

moto stores policies and evaluates none of them here; that a stored policy denies is
AWS' word ("Revoke IAM role temporary security credentials").
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from moto.server import ThreadedMotoServer

from agents_registry.identifiers import Identifier
from streams.actuators.aws.iam import action
from streams.actuators.aws.policies import OLDER, older_than
from streams.actuators.aws.settings import AwsActuator
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, NoWay, WantedEnd
from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.integration

ACCOUNT = "123456789012"
USER = Identifier("aws.user", f"arn:aws:iam::{ACCOUNT}:user/agents/planner")
ROLE = Identifier("aws.role", f"arn:aws:iam::{ACCOUNT}:role/planner")
PASSWORD = Identifier("aws.login_profile", USER.value)
TRUST = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Give the URL of a server that speaks IAM and STS."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
async def aws(moto: str) -> AsyncIterator[WayActuator]:
    """Give the actuator of the account."""
    made = settings(moto).actuator("aws", time.time_ns)
    assert isinstance(made, WayActuator)
    yield made
    await made.close()


def settings(url: str, **more: Any) -> AwsActuator:
    """Give the settings of the account."""
    return AwsActuator.model_validate({
        "vendor": "aws", "authority": "aws", "account": ACCOUNT, "url": url,
        "sts": url, "allow_http": True, "key_id": "AKIAACTS", "key": {"value": "s"},
        **more,
    })  # fmt: skip


async def iam(aws: WayActuator, name: str, **parameters: str) -> str:
    """Call IAM; give the body."""
    answer = await aws.api.send(action(name, **parameters))
    assert answer.status == 200, answer.body
    return answer.body.decode()


async def user_with_key(aws: WayActuator, name: str = "planner") -> Identifier:
    """Make a user with a password and an access key."""
    await iam(aws, "CreateUser", UserName=name, Path="/agents/")
    await iam(aws, "CreateLoginProfile", UserName=name, Password="Hunter2!")
    body = await iam(aws, "CreateAccessKey", UserName=name)
    key = body.partition("<AccessKeyId>")[2].partition("<")[0]
    return Identifier("aws.access_key", key)


async def ended(aws: WayActuator, target: EndTarget) -> EndStep:
    """Probe, plan, act and probe again, as an ending does."""
    back = target.wanted is WantedEnd.RESTORED
    before, after = (Alive.DEAD, Alive.ALIVE) if back else (Alive.ALIVE, Alive.DEAD)
    assert (await aws.probe(target)).found is before
    step = await aws.plan(target)
    assert isinstance(step, EndStep)
    for _ in range(2):  # a crash repeats it
        assert (await aws.act(step)).done
        assert (await aws.probe(target)).found is after
    return step


async def test_a_key_is_made_inactive_and_given_back(aws: WayActuator) -> None:
    """Suspended, and active again after the lift."""
    target = EndTarget(await user_with_key(aws, "lifted"), wanted=WantedEnd.SUSPENDED)
    await ended(aws, target)
    await ended(aws, evolve(target, wanted=WantedEnd.RESTORED))


async def test_a_user_ends_with_its_keys_and_its_password(aws: WayActuator) -> None:
    """What it holds is told after its end, and ended too."""
    key = await user_with_key(aws)
    await ended(aws, EndTarget(USER))
    children = [each async for each in aws.children(EndTarget(USER))]
    assert {key, PASSWORD} == set(children)
    for each in children:
        await ended(aws, EndTarget(each))
    assert [] == [each async for each in aws.children(EndTarget(USER))]


async def test_a_user_ends_up_to_a_time_with_its_older_keys(aws: WayActuator) -> None:
    """And with its older password; a key from after that time is left alone."""
    old = await user_with_key(aws, "again")
    name = Identifier("aws.user", f"arn:aws:iam::{ACCOUNT}:user/agents/again")
    since = EndTarget(name, not_before=time.time_ns())
    await asyncio.sleep(1.1)  # IAM tells of whole seconds
    new = await iam(aws, "CreateAccessKey", UserName="again")
    await iam(
        aws, "PutUserPolicy", UserName="again", PolicyName=OLDER,
        PolicyDocument=older_than(time.time_ns()),
    )  # fmt: skip
    assert (await aws.probe(since)).found is Alive.ALIVE  # by its key and password

    step = await ended(aws, since)

    assert "DeleteAccessKey" in step.act
    assert "DeleteLoginProfile" in step.act
    left = await iam(aws, "ListAccessKeys", UserName="again")
    assert old.value not in left
    assert new.partition("<AccessKeyId>")[2].partition("<")[0] in left
    assert "<Status>Active" in left


async def test_a_key_is_kept_where_that_is_set(aws: WayActuator, moto: str) -> None:
    """It is inactive then, and looked into later; else it is deleted."""
    key = await user_with_key(aws, "kept")
    keeping = settings(moto, delete_keys=False).actuator("aws", time.time_ns)
    assert isinstance(keeping, WayActuator)
    try:
        assert (await ended(keeping, EndTarget(key))).act == "UpdateAccessKey"
    finally:
        await keeping.close()
    assert (await ended(aws, EndTarget(key))).act == "DeleteAccessKey"


async def test_older_sessions_of_a_role_are_denied(aws: WayActuator) -> None:
    """By a policy whose time is never put back."""
    await iam(aws, "CreateRole", RoleName="planner", AssumeRolePolicyDocument=TRUST)
    now = time.time_ns()
    later = EndTarget(ROLE, not_before=now)
    await ended(aws, later)
    earlier = evolve(later, not_before=now - 60 * SECOND)
    assert (await aws.probe(earlier)).found is Alive.DEAD
    step = await aws.plan(earlier)
    assert isinstance(step, EndStep)
    assert step.data == ()
    await ended(aws, evolve(later, not_before=now + 60 * SECOND))


async def test_a_suspended_role_keeps_what_ended_before(aws: WayActuator) -> None:
    """A lift gives the role back, and no session that had ended."""
    lent = Identifier("aws.role", f"arn:aws:iam::{ACCOUNT}:role/lent")
    await iam(aws, "CreateRole", RoleName="lent", AssumeRolePolicyDocument=TRUST)
    since = EndTarget(lent, not_before=time.time_ns())
    await ended(aws, since)
    suspended = EndTarget(lent, wanted=WantedEnd.SUSPENDED)
    await ended(aws, suspended)
    await ended(aws, evolve(suspended, wanted=WantedEnd.RESTORED))
    assert (await aws.probe(since)).found is Alive.DEAD


@pytest.mark.parametrize(
    ("identifier", "told"),
    [
        (f"aws.role:arn:aws:iam::{'9' * 12}:role/planner", "another account"),
        (f"aws.user:arn:aws:iam::{ACCOUNT}:root", "root user"),
        ("aws.access_key:ASIAIOSFODNN7EXAMPLE", "temporary"),
    ],
)
async def test_what_cannot_be_ended_is_said(
    aws: WayActuator, identifier: str, told: str
) -> None:
    """With what ends it instead, and no request changes anything."""
    found = await aws.plan(EndTarget(Identifier.parse(identifier)))
    assert isinstance(found, NoWay)
    assert told in found.reason


async def test_a_role_that_is_gone_may_have_sessions(aws: WayActuator) -> None:
    """Nobody can say that they are dead until all of them must have expired."""
    gone = Identifier("aws.role", f"arn:aws:iam::{ACCOUNT}:role/gone")
    assert (await aws.probe(EndTarget(gone))).found is Alive.UNKNOWN
    old = EndTarget(gone, not_before=time.time_ns() - 37 * 3600 * SECOND)
    assert (await aws.probe(old)).found is Alive.DEAD


async def test_the_policy_is_the_one_that_the_console_writes(aws: WayActuator) -> None:
    """As the user guide has it, under a name of our own."""
    name = f"arn:aws:iam::{ACCOUNT}:role/read"
    await iam(aws, "CreateRole", RoleName="read", AssumeRolePolicyDocument=TRUST)
    await ended(aws, EndTarget(Identifier("aws.role", name), not_before=3 * SECOND + 1))
    body = await iam(
        aws, "GetRolePolicy", RoleName="read", PolicyName="RescindDenyOlderSessions"
    )
    assert "DateLessThan" in body
    assert "1970-01-01T00%3A00%3A04Z" in body
