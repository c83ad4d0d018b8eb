"""Sessions, users and clients are ended at a real Keycloak; its introspection tells.

Only with `make e2e-keycloak`: it needs a Keycloak, which the default suite must not.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from agents_registry.identifiers import Identifier
from streams.actuators.keycloak.settings import KeycloakActuator
from streams.actuators.ways import WayActuator
from streams.model.endings import Alive, EndStep, EndTarget, WantedEnd
from tests.integration.serving import until
from tests.recordings.keycloak.realm import (
    Realm,
    Server,
    claims_of,
    make_client,
    make_user,
    next_second,
    throwaway,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.e2e, pytest.mark.live, pytest.mark.timeout(300)]

ACTING = "rescind-acting"
# What docs/issuers.md asks an operator for.
ROLES = ("manage-users", "view-users", "query-users", "manage-clients", "view-clients",
         "view-realm")  # fmt: skip


async def grant(realm: Realm, client: str) -> None:
    """Give the service account of a client the rights to act."""
    (management,) = await realm.admin("GET", "/clients?clientId=realm-management")
    below = f"/clients/{management['id']}/roles"
    roles = [await realm.admin("GET", f"{below}/{role}") for role in ROLES]
    own = f"/clients/{realm.clients[client]}/service-account-user"
    account = await realm.admin("GET", own)
    path = f"/users/{account['id']}/role-mappings/clients/{management['id']}"
    await realm.admin("POST", path, roles)


@asynccontextmanager
async def acting() -> AsyncIterator[tuple[Realm, WayActuator]]:
    """Make a realm, and an actuator with the least rights in it."""
    async with throwaway(Server.from_environment()) as realm:
        for name in ("app", "svc-a", "svc-b", "svc-c", "rs", ACTING):
            await make_client(realm, name)
        for name in ("ann", "bob"):
            await make_user(realm, name)
        await grant(realm, ACTING)
        made = KeycloakActuator.model_validate({
            "vendor": "keycloak", "authority": "keycloak", "url": realm.server.url,
            "allow_http": True, "realm": realm.name, "client_id": ACTING,
            "client_secret": {"value": realm.secrets[ACTING]},
        }).actuator("keycloak", time.time_ns)  # fmt: skip
        assert isinstance(made, WayActuator)
        try:
            yield realm, made
        finally:
            await made.close()


async def ended(actuator: WayActuator, target: EndTarget) -> None:
    """Probe, act until the probe says dead; then once more, as after a crash."""
    back = target.wanted is WantedEnd.RESTORED
    before = Alive.DEAD if back else Alive.ALIVE
    assert (await actuator.probe(target)).found is before

    async def done() -> bool:
        step = await actuator.plan(target)
        assert isinstance(step, EndStep)
        answer = await actuator.act(step)
        assert answer.done, answer
        assert (await actuator.act(step)).done
        return (await actuator.probe(target)).found is not before

    await until(done, 10)


async def active(realm: Realm, *labels: str) -> list[str]:
    """Give the labels whose tokens Keycloak honours."""
    return [label for label in labels if await realm.active(label)]


async def test_what_is_ended_is_honoured_no_more() -> None:
    """A session alone, then a user's tokens up to a time, then the user."""
    async with acting() as (realm, actuator):
        for label in ("first", "second"):
            await realm.login(label, "ann")
        await realm.login("bobs", "bob")
        every = ("first", "second", "bobs")
        assert list(every) == await active(realm, *every)

        session = Identifier("session.id", realm.claims("first")["sid"])
        user = Identifier("keycloak.user", realm.users["ann"])
        await ended(actuator, EndTarget(session, requires=(user,)))
        assert ["second", "bobs"] == await active(realm, *every)

        await ended(actuator, EndTarget(user, not_before=time.time_ns()))
        assert ["bobs"] == await active(realm, *every)
        await next_second()
        await realm.login("third", "ann")
        assert ["third"] == await active(realm, "third")

        lent = EndTarget(user, wanted=WantedEnd.SUSPENDED)
        await ended(actuator, lent)
        assert [] == await active(realm, "third")
        await ended(actuator, evolve(lent, wanted=WantedEnd.RESTORED))
        assert ["third"] == await active(realm, "third")
        found = await realm.admin("GET", f"/users/{realm.users['ann']}")
        assert ("ann@example.test", "Example") == (found["email"], found["lastName"])

        await ended(actuator, EndTarget(user))
        assert ["bobs"] == await active(realm, *every, "third")


@pytest.mark.parametrize("kind", ["keycloak.client", "keycloak.client_uuid"])
@pytest.mark.parametrize("up_to_a_time", [True, False])
async def test_what_was_exchanged_ends_with_its_client(
    kind: str, *, up_to_a_time: bool
) -> None:
    """Tokens of a service account, and what others made of them, and no other ones."""
    async with acting() as (realm, actuator):
        await realm.service("root", "svc-a")
        await realm.exchange("child", "svc-b", "root")
        await realm.exchange("grandchild", "svc-c", "child")
        await realm.service("other", "svc-b")
        every = ("root", "child", "grandchild", "other")
        assert list(every) == await active(realm, *every)
        about: dict[str, Any] = await realm.admin("GET", "/")
        own = "svc-a" if kind == "keycloak.client" else realm.clients["svc-a"]
        since = time.time_ns() if up_to_a_time else None
        target = EndTarget(Identifier(kind, f"{about['id']}|{own}"), not_before=since)
        subject = claims_of(realm.tokens["root"])["sub"]

        await ended(actuator, target)

        assert ["other"] == await active(realm, *every)
        assert subject == claims_of(realm.tokens["grandchild"])["sub"]
        if up_to_a_time:
            await next_second()
            await next_second()
            await realm.service("later", "svc-a")
            assert ["later"] == await active(realm, "later")
            assert (await actuator.probe(target)).found is Alive.DEAD


async def test_a_lift_gives_a_client_back_as_the_suspend_found_it() -> None:
    """Its other attributes stay, and its account that was disabled before too."""
    async with acting() as (realm, actuator):
        about: dict[str, Any] = await realm.admin("GET", "/")
        place = f"/clients/{realm.clients['svc-a']}"
        before: dict[str, Any] = await realm.admin("GET", place)
        target = EndTarget(
            Identifier("keycloak.client", f"{about['id']}|svc-a"),
            wanted=WantedEnd.SUSPENDED,
        )
        back = evolve(target, wanted=WantedEnd.RESTORED)
        account = await realm.admin("GET", f"{place}/service-account-user")

        await ended(actuator, target)
        await ended(actuator, back)

        await realm.service("lives", "svc-a")
        assert ["lives"] == await active(realm, "lives")
        after: dict[str, Any] = await realm.admin("GET", place)
        after["attributes"].pop("rescind.disabled")
        assert before == after

        user = f"/users/{account['id']}"
        await realm.admin("PUT", user, {"enabled": False})
        await ended(actuator, target)
        await ended(actuator, back)
        assert (await realm.admin("GET", place))["enabled"] is True
        assert (await realm.admin("GET", user))["enabled"] is False


async def test_a_credential_without_rights_proves_nothing() -> None:
    """It is refused, and nothing counts as dead."""
    async with acting() as (realm, _):
        weak = KeycloakActuator.model_validate({
            "vendor": "keycloak", "authority": "keycloak", "url": realm.server.url,
            "allow_http": True, "realm": realm.name, "client_id": "svc-a",
            "client_secret": {"value": realm.secrets["svc-a"]},
        }).actuator("keycloak", time.time_ns)  # fmt: skip
        try:
            with pytest.raises(Exception, match="status 403"):
                await weak.probe(EndTarget(Identifier("session.id", "s")))
            with pytest.raises(Exception, match="status 403"):
                await weak.probe(EndTarget(Identifier("keycloak.user", "u")))
        finally:
            await weak.close()


async def test_a_session_without_a_client_is_alive_until_it_is_deleted() -> None:
    """What is deleted takes its part along; the user's list still has the session."""
    async with acting() as (realm, actuator):
        await realm.login("online", "ann")
        user, session = realm.users["ann"], realm.claims("online")["sid"]
        await realm.admin("DELETE", f"/clients/{realm.clients['app']}")
        (left,) = await realm.admin("GET", f"/users/{user}/sessions")
        assert (session, {}) == (left["id"], left.get("clients", {}))
        name = Identifier("session.id", session)
        about: dict[str, Any] = await realm.admin("GET", "/")
        here = (Identifier("keycloak.realm", about["id"]),)
        unowned = await actuator.probe(EndTarget(name, requires=here))
        assert unowned.found is Alive.UNKNOWN

        holder = (Identifier("keycloak.user", user),)
        await ended(actuator, EndTarget(name, requires=holder))

        assert [] == await realm.admin("GET", f"/users/{user}/sessions")
