"""Tokens, leases and entities end in a real OpenBao, and its own answers prove it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.identifiers import Identifier
from streams.actuators.actuator import (
    Actuator,
    Alive,
    EndStep,
    EndTarget,
    NoWay,
    WantedEnd,
)
from streams.actuators.openbao.settings import OpenBaoActuator
from streams.outbound.answers import RequestError
from tests.integration.openbao_server import OpenBaoServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

OK = 200
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

POLICY = """
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "sys/audit-hash/main" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/leases/revoke" { capabilities = ["update"] }
path "identity/entity/id/*" { capabilities = ["read", "update"] }
path "sys/namespaces" { capabilities = ["list"] }
"""
# The same in a namespace right below that of the policy.
BELOW = "\n".join(
    line.replace('path "', 'path "+/')
    for line in POLICY.splitlines()
    if "audit-hash" not in line
)


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBaoServer]:
    """Run a vault with a policy of the least that the actuator needs."""
    with OpenBaoServer(tmp_path_factory.mktemp("bao")) as server:
        post(server, "sys/policies/acl/actuator", policy=POLICY)
        post(server, "sys/policies/acl/below", policy=BELOW)
        yield server


def post(bao: OpenBaoServer, path: str, token: str = "", **body: Any) -> dict[str, Any]:
    """Call the vault; root by default."""
    answer = bao.call("POST", path, token or bao.root_token, body)
    assert answer.status < 300, answer
    return answer.body


def made(bao: OpenBaoServer, token: str = "", **body: Any) -> dict[str, Any]:
    """Make a token."""
    found: dict[str, Any] = post(bao, "auth/token/create", token, ttl="1h", **body)[
        "auth"
    ]
    return found


@asynccontextmanager
async def acting(
    bao: OpenBaoServer, token: str = "", **more: str
) -> AsyncIterator[Actuator]:
    """Make the actuator, with a token of the policy, for a block."""
    own = token or made(bao, policies=["actuator"])["client_token"]
    settings = OpenBaoActuator.model_validate(
        {
            "vendor": "openbao", "authority": "vault", "url": bao.url,
            "allow_http": True, "device": "main", "token": {"value": own}, **more,
        }
    )  # fmt: skip
    by = settings.actuator("ours", lambda: 0)
    try:
        yield by
    finally:
        await by.close()


def named(bao: OpenBaoServer, token: dict[str, Any]) -> EndTarget:
    """Name a token as the audit log does."""
    return EndTarget(Identifier("vault.accessor", bao.hash(token["accessor"])))


def lives(bao: OpenBaoServer, token: dict[str, Any]) -> bool:
    """Whether the vault lets a token look itself up."""
    return (
        bao.call("GET", "auth/token/lookup-self", token["client_token"]).status == 200
    )


async def ended(by: Actuator, target: EndTarget) -> None:
    """Plan, act and probe."""
    assert Alive.ALIVE is (await by.probe(target)).found
    step = await by.plan(target)
    assert isinstance(step, EndStep)
    assert (await by.act(step)).done
    assert Alive.DEAD is (await by.probe(target)).found
    await by.act(step)  # again changes nothing
    assert Alive.DEAD is (await by.probe(target)).found


async def test_a_token_ends_by_its_hashed_accessor(bao: OpenBaoServer) -> None:
    """Its child ends with it in the vault."""
    parent = made(bao, policies=["root"])
    child = made(bao, parent["client_token"], policies=["default"])

    async with acting(bao) as by:
        await ended(by, named(bao, parent))

    assert [False, False] == [lives(bao, parent), lives(bao, child)]


async def test_what_revoke_orphan_left_is_ended_by_itself(bao: OpenBaoServer) -> None:
    """The vault ends the orphan of a dead parent with nothing; the actuator does."""
    parent = made(bao, policies=["root"])
    child = made(bao, parent["client_token"], policies=["default"])
    body = {"token": parent["client_token"]}
    bao.call("POST", "auth/token/revoke-orphan", bao.root_token, body)
    async with acting(bao) as by:
        assert Alive.DEAD is (await by.probe(named(bao, parent))).found
        assert lives(bao, child)

        await ended(by, named(bao, child))

    assert not lives(bao, child)


async def test_an_entity_is_disabled_and_given_back(bao: OpenBaoServer) -> None:
    """Its tokens are told of, and end one by one."""
    post(bao, "sys/auth/userpass", type="userpass")
    post(bao, "auth/userpass/users/ann", password="x", token_policies=["default"])
    login = bao.call("POST", "auth/userpass/login/ann", None, {"password": "x"}).body
    token = login["auth"]
    entity = Identifier("vault.entity", token["entity_id"])
    assert lives(bao, token)

    async with acting(bao) as by:
        await ended(by, EndTarget(entity, wanted=WantedEnd.SUSPENDED))

        assert not lives(bao, token)
        assert [named(bao, token).identifier] == [
            each async for each in by.children(EndTarget(entity))
        ]
        step = await by.plan(EndTarget(entity, wanted=WantedEnd.RESTORED))
        assert isinstance(step, EndStep)
        await by.act(step)
        assert Alive.ALIVE is (await by.probe(EndTarget(entity))).found
        assert lives(bao, token)
        await ended(by, named(bao, token))
        assert [] == [each async for each in by.children(EndTarget(entity))]


async def test_a_lease_is_revoked(bao: OpenBaoServer) -> None:
    """A lease of a token stands for one of any engine."""
    async with acting(bao) as by:
        before = leases(bao)
        made(bao)
        (new,) = leases(bao) - before
        lease = Identifier("vault.lease", f"auth/token/create/{new}")

        await ended(by, EndTarget(lease))


def leases(bao: OpenBaoServer) -> set[str]:
    """List leases of tokens."""
    path = "sys/leases/lookup/auth/token/create/"
    found = bao.call("LIST", path, bao.root_token).body.get("data", {})
    return set(found.get("keys", ()))


async def test_without_the_right_nothing_counts_as_dead(bao: OpenBaoServer) -> None:
    """A refusal and an unknown token are no proof."""
    token = made(bao, policies=["default"])
    target = named(bao, token)
    for own in (token["client_token"], "nonsense"):
        async with acting(bao, own) as by:
            with pytest.raises(RequestError, match="403"):
                await by.probe(target)
    assert lives(bao, token)
    async with acting(bao) as by:
        dated = EndTarget(target.identifier, not_before=1)
        assert isinstance(await by.plan(dated), NoWay)


TEAM = {"X-Vault-Namespace": "team"}


@pytest.fixture
def team(bao: OpenBaoServer) -> Iterator[dict[str, Any]]:
    """Make a namespace with a token, an entity and a lease in it."""
    post(bao, "sys/namespaces/team")
    root, body = bao.root_token, {"ttl": "1h", "policies": ["default"]}
    token = bao.call("POST", "auth/token/create", root, body, TEAM).body["auth"]
    entity = bao.call("POST", "identity/entity", root, {"name": "x"}, TEAM).body["data"]
    yield {"token": token, "entity": Identifier("vault.entity", entity["id"])}
    bao.call("DELETE", "sys/namespaces/team", root)
    while bao.call("GET", "sys/namespaces/team", root).status == OK:
        pass


async def test_what_lives_in_another_namespace_is_ended_there(
    bao: OpenBaoServer, team: dict[str, Any]
) -> None:
    """One audit device names the tokens of all namespaces."""
    own = made(bao, policies=["actuator", "below"])["client_token"]
    async with acting(bao, own) as by:
        await ended(by, named(bao, team["token"]))
        await ended(by, EndTarget(team["entity"]))
        gone = Identifier("vault.accessor", bao.hash("of no namespace"))
        assert Alive.DEAD is (await by.probe(EndTarget(gone))).found


async def test_what_lives_in_a_namespace_that_is_not_seen_is_not_dead(
    bao: OpenBaoServer, team: dict[str, Any]
) -> None:
    """The reason says which right is missing."""
    made(bao, policies=["default"])  # would be a witness
    async with acting(bao) as by:
        for target in (named(bao, team["token"]), EndTarget(team["entity"])):
            with pytest.raises(RequestError, match="must be allowed to"):
                await by.probe(target)


async def test_a_lease_of_the_root_namespace_is_not_dead_in_another_one(
    bao: OpenBaoServer, team: dict[str, Any]
) -> None:
    """That namespace does not find it, though it lives."""
    policy = {"policy": POLICY}
    bao.call("POST", "sys/policies/acl/actuator", bao.root_token, policy, TEAM)
    body = {"ttl": "1h", "policies": ["actuator"]}
    own = bao.call("POST", "auth/token/create", bao.root_token, body, TEAM).body["auth"]
    before = leases(bao)
    made(bao)
    (new,) = leases(bao) - before
    lease = Identifier("vault.lease", f"auth/token/create/{new}")

    async with acting(bao, own["client_token"], namespace="team") as by:
        with pytest.raises(RequestError, match="another one"):
            await by.probe(EndTarget(lease))
