"""What is no proof at a Microsoft Entra tenant, and what an act leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, WantedEnd
from streams.model.times import SECOND
from streams.outbound.answers import RequestError
from tests.issuers.cases import CASES
from tests.issuers.directories import OLD, FakeEntra
from tests.issuers.fake import json

pytestmark = pytest.mark.unit

USER = EndTarget(Identifier("entra.user", "u"))
APP = EndTarget(Identifier("entra.application", "app-2"))
KEY = EndTarget(Identifier("entra.app_credential", "k-3"))
REFUSED = json({"error": {"code": "Authorization_RequestDenied"}}, 403)


def made() -> tuple[WayActuator, FakeEntra]:
    """Make a tenant and its actuator."""
    actuator, issuer = CASES["entra entra.user"].made()
    assert isinstance(issuer, FakeEntra)
    return actuator, issuer


async def acted(actuator: WayActuator, target: EndTarget) -> bool:
    """Plan and act; whether it was done."""
    step = await actuator.plan(target)
    assert isinstance(step, EndStep)
    return (await actuator.act(step)).done


async def test_sessions_from_before_live_though_the_user_is_disabled() -> None:
    """Whoever enables it again has them back."""
    actuator, issuer = made()
    issuer.users["accountEnabled"] = False
    dated = evolve(USER, not_before=issuer.now)

    assert (await actuator.probe(dated)).found is Alive.ALIVE
    issuer.now += SECOND
    assert await acted(actuator, dated)
    assert (await actuator.probe(dated)).found is Alive.DEAD
    assert issuer.users["accountEnabled"] is False


async def test_a_user_whose_sessions_were_not_revoked_has_not_ended() -> None:
    """It is disabled, and the second call was refused."""
    actuator, issuer = made()
    step = await actuator.plan(USER)
    assert isinstance(step, EndStep)
    issuer.planned = [None, REFUSED]
    assert not (await actuator.act(step)).done

    probed = await actuator.probe(USER)
    assert (probed.found, "not revoked" in probed.reason) == (Alive.ALIVE, True)

    assert await acted(actuator, USER)
    assert (await actuator.probe(USER)).found is Alive.DEAD


async def test_a_user_who_was_suspended_before_ends_with_its_sessions() -> None:
    """The suspend left them; sessions revoked long ago are no later ones."""
    actuator, issuer = made()
    assert await acted(actuator, evolve(USER, wanted=WantedEnd.SUSPENDED))
    assert issuer.users["signInSessionsValidFromDateTime"] == OLD

    assert (await actuator.probe(USER)).found is Alive.ALIVE
    assert await acted(actuator, USER)
    assert (await actuator.probe(USER)).found is Alive.DEAD
    assert issuer.users["signInSessionsValidFromDateTime"] != OLD


async def test_an_act_of_long_ago_proves_nothing_today() -> None:
    """Nor does one that this process does not remember: it is made once more."""
    actuator, issuer = made()
    assert await acted(actuator, USER)
    issuer.now += 3601 * SECOND

    assert (await actuator.probe(USER)).found is Alive.ALIVE
    assert await acted(actuator, USER)
    assert (await actuator.probe(USER)).found is Alive.DEAD


@pytest.mark.parametrize("left", ["passwordCredentials", "keyCredentials"])
async def test_an_application_logs_in_by_its_service_principal(left: str) -> None:
    """Graph adds passwords and keys there too."""
    actuator, issuer = made()
    issuer.federated = []
    for holder in (issuer.app, issuer.principal):
        holder |= {"passwordCredentials": [], "keyCredentials": []}
    assert (await actuator.probe(APP)).found is Alive.DEAD
    issuer.principal[left] = [{"keyId": "k-9"}]

    assert (await actuator.probe(APP)).found is Alive.ALIVE
    assert await acted(actuator, APP)
    assert issuer.principal[left] == []
    assert (await actuator.probe(APP)).found is Alive.DEAD


@pytest.mark.parametrize("of", ["app", "principal"])
@pytest.mark.parametrize("member", ["passwordCredentials", "keyCredentials"])
@pytest.mark.parametrize("wrong", [None, "missing"])
async def test_a_record_without_its_credentials_is_strange(
    of: str, member: str, wrong: str | None
) -> None:
    """It has none only where it says so."""
    actuator, issuer = made()
    issuer.federated = []
    for holder in (issuer.app, issuer.principal):
        holder |= {"passwordCredentials": [], "keyCredentials": []}
    record: dict[str, Any] = getattr(issuer, of)
    record[member] = wrong
    if wrong:
        del record[member]

    for target in (APP, KEY, evolve(KEY, seen=True)):
        with pytest.raises(RequestError, match=member):
            await actuator.probe(target)


async def test_an_application_without_its_app_id_is_strange() -> None:
    """Its service principal cannot be found."""
    actuator, issuer = made()
    del issuer.app["appId"]
    with pytest.raises(RequestError, match="appId"):
        await actuator.probe(APP)


async def test_a_key_that_was_added_meanwhile_stays() -> None:
    """The list is read again right before it is written."""
    actuator, issuer = made()
    step = await actuator.plan(KEY)
    assert isinstance(step, EndStep)
    issuer.app["keyCredentials"] = [*issuer.app["keyCredentials"], {"keyId": "new"}]

    assert (await actuator.act(step)).done
    assert issuer.app["keyCredentials"] == [{"keyId": "k-4"}, {"keyId": "new"}]


async def test_a_list_of_keys_that_cannot_be_read_is_not_written() -> None:
    """A limit is told as one."""
    actuator, issuer = made()
    step = await actuator.plan(KEY)
    assert isinstance(step, EndStep)
    issuer.planned = [json({}, 429, **{"retry-after": "7"})]

    answer = await actuator.act(step)
    assert (answer.done, answer.retry_after, issuer.acts()) == (False, 7.0, [])


@pytest.mark.parametrize(
    "kind", ["user", "service_principal", "application", "app_credential"]
)
async def test_what_the_tenant_does_not_have_may_be_of_another_one(kind: str) -> None:
    """Logs name users and keys of other tenants; what was seen here is dead."""
    actuator, _ = made()
    target = EndTarget(Identifier(f"entra.{kind}", "elsewhere"))

    probed = await actuator.probe(target)
    assert (probed.found, "another" in probed.reason) == (Alive.UNKNOWN, True)
    with pytest.raises(RequestError, match="another"):
        await actuator.plan(target)
    assert (await actuator.probe(evolve(target, seen=True))).found is Alive.DEAD


@pytest.mark.parametrize(
    ("above", "found"),
    [
        ("entra.application:app-2", Alive.DEAD),
        ("entra.application:elsewhere", Alive.UNKNOWN),
        ("entra.application:sp-2", Alive.UNKNOWN),
        ("entra.service_principal:sp-2", Alive.UNKNOWN),
    ],
)
async def test_a_credential_is_gone_where_its_application_is(
    above: str, found: Alive
) -> None:
    """The principal of another tenant's application is here, and its keys are not."""
    actuator, _ = made()
    name = Identifier("entra.app_credential", "elsewhere")
    target = EndTarget(name, requires=(Identifier.parse(above),))

    assert actuator.kinds()["entra.app_credential"].placed
    assert (await actuator.probe(target)).found is found
