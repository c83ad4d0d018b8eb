"""Which tokens of a vault live, by what an audit device calls them."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from attrs import define, evolve, field

from agents_registry.identifiers import Identifier
from streams.actuators.actuator import Alive, EndStep, EndTarget
from streams.actuators.openbao.endings import OpenBaoEndings
from streams.actuators.openbao.tokens import TokenNames
from streams.actuators.openbao.vault import VaultRequests
from streams.outbound.answers import HttpAnswer, RequestError

pytestmark = pytest.mark.unit


@define(eq=False)
class FakeVault(VaultRequests):
    """A vault with tokens; the salt is of its audit device."""

    living: list[str] = field(factory=list, init=False)
    salt: str = field(default="s", init=False)
    none: HttpAnswer | None = field(default=None, init=False)
    below: HttpAnswer | None = field(default=None, init=False)
    team: list[str] | None = field(default=None, init=False)

    async def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        namespace: str = "",
    ) -> HttpAnswer:
        """Answer as a vault does; only its root has a namespace in it."""
        if path == "sys/namespaces":
            here = None if namespace else self.below
            return here or said({"errors": []}, 404)
        if namespace:
            return self._team(method)
        if path.startswith("identity/entity/id/"):
            return said({"errors": []}, 404)
        if method == "LIST":
            if self.none is not None:
                return self.none
            return said({"data": {"keys": self.living}})
        assert body is not None
        if path == "auth/token/lookup-accessor":
            lives = body["accessor"] in self.living
            gone = said({"errors": ["invalid accessor"]}, 403)
            return said({"data": {}}) if lives else gone
        return said({"data": {"hash": self.hashed(body["input"])}})

    def _team(self, method: str) -> HttpAnswer:
        if self.team is None:
            return said({"errors": ["permission denied"]}, 403)
        if method == "LIST":
            return said({"data": {"keys": self.team}})
        return said({"data": {"disabled": False}})

    def hashed(self, accessor: str) -> str:
        """Name of a token in the log."""
        digest = hashlib.sha256(f"{self.salt}{accessor}".encode()).hexdigest()
        return f"hmac-sha256:{digest}"


def said(body: dict[str, Any], status: int = 200) -> HttpAnswer:
    """Answer with JSON."""
    return HttpAnswer({}, orjson.dumps(body), status)


def token(name: str) -> EndTarget:
    """Token of a name."""
    return EndTarget(Identifier("vault.accessor", name))


def acting(**more: Any) -> tuple[FakeVault, OpenBaoEndings]:
    """Make an actuator and its vault, with two tokens."""
    vault = FakeVault(base="http://vault", token=lambda: "t")
    vault.living = ["a", "b"]
    return vault, OpenBaoEndings(vault, TokenNames(vault, "file", **more))


async def test_what_was_listed_once_is_asked_for_by_its_accessor() -> None:
    """That it ended since is told by the vault, and needs no witness."""
    vault, by = acting()
    name = vault.hashed("a")
    assert (await by.probe(token(name))).found is Alive.ALIVE
    vault.living = ["b"]
    await by.probe(token("hmac-sha256:other"))

    found = await by.probe(token(name))

    assert (found.found, found.known_by) == (Alive.DEAD, None)


async def test_a_name_of_no_token_needs_a_witness() -> None:
    """It may be a name of another device."""
    vault, by = acting()

    found = await by.probe(token("hmac-sha256:other"))

    names = frozenset(Identifier("vault.accessor", vault.hashed(one)) for one in "ab")
    assert (found.found, found.known_by) == (Alive.DEAD, names)


async def test_a_device_that_is_made_anew_has_other_names() -> None:
    """No name from before counts any more, and none is told to be dead by it."""
    vault, by = acting()
    before = vault.hashed("a")
    await by.probe(token(before))
    vault.salt = "another"
    await by.probe(token("hmac-sha256:other"))

    found = await by.probe(token(before))

    assert found.known_by is not None
    assert Identifier("vault.accessor", before) not in found.known_by
    assert (await by.probe(token(vault.hashed("a")))).found is Alive.ALIVE


async def test_a_hashed_name_is_no_accessor() -> None:
    """Settings that say so would have every token probed dead."""
    _, by = acting(hashed=False)

    with pytest.raises(RequestError, match="hmac_accessor"):
        await by.probe(token("hmac-sha256:other"))


@pytest.mark.parametrize("body", [b"<html>", b'{"errors":["no handler"]}', b"[]"])
async def test_a_page_that_says_404_is_no_list(body: bytes) -> None:
    """Only the vault's own word says that no token lives."""
    vault, by = acting()
    vault.none = HttpAnswer({}, body, 404)

    with pytest.raises(RequestError, match="404"):
        await by.probe(token("hmac-sha256:other"))

    vault.none = said({"errors": []}, 404)
    assert (await by.probe(token("hmac-sha256:other"))).known_by == frozenset()


async def test_a_maker_that_ended_is_a_witness_for_what_it_made() -> None:
    """Its name was made of an accessor, by the device as it is now."""
    vault, by = acting()
    await by.probe(token(vault.hashed("a")))
    vault.living = ["b"]

    found = await by.probe(token("hmac-sha256:child"))

    assert found.known_by is not None
    assert Identifier("vault.accessor", vault.hashed("a")) in found.known_by


FORBIDDEN = said({"errors": ["1 error occurred:\n\t* permission denied\n\n"]}, 403)
TEAM = said({"data": {"keys": ["team/"], "key_info": {"team/": {"id": "x1"}}}})
ENTITY = EndTarget(Identifier("vault.entity", "e.x1"))


async def test_what_a_list_lacks_may_live_in_another_namespace() -> None:
    """One audit device names the tokens of all namespaces."""
    vault, by = acting()
    vault.below, vault.team = TEAM, ["c.x1"]

    assert (await by.probe(token(vault.hashed("c.x1")))).found is Alive.ALIVE
    assert (await by.probe(ENTITY)).found is Alive.ALIVE
    assert (await by.probe(token("hmac-sha256:other"))).found is Alive.DEAD
    step = await by.plan(token(vault.hashed("c.x1")))
    assert isinstance(step, EndStep)
    assert step.data == ({"accessor": "c.x1"}, "team")


@pytest.mark.parametrize(
    ("below", "right"),
    [
        (FORBIDDEN, "list sys/namespaces"),
        (TEAM, "(list team/auth/token/accessors|read team/identity/entity/id/)"),
    ],
)
async def test_without_a_right_nothing_is_proven_by_absence(
    below: HttpAnswer, right: str
) -> None:
    """The reason names the right; what was found lives and ends as before."""
    vault, by = acting()
    vault.below = below

    for target in (token("hmac-sha256:other"), ENTITY, evolve(ENTITY, seen=True)):
        with pytest.raises(RequestError, match=right):
            await by.probe(target)
    with pytest.raises(RequestError, match="allowed to list"):
        assert not [each async for each in by.children(ENTITY)]
    assert (await by.probe(token(vault.hashed("a")))).found is Alive.ALIVE


async def test_a_vault_without_namespaces_needs_no_list_of_them() -> None:
    """The community edition of Vault has no such path."""
    vault, by = acting()
    vault.below = said({"errors": ["1 error occurred:\n\t* unsupported path\n\n"]}, 404)

    assert (await by.probe(token("hmac-sha256:other"))).found is Alive.DEAD
    assert (await by.probe(ENTITY)).found is Alive.DEAD


@pytest.mark.parametrize("body", [b"<html>", b'{"errors":["namespace not found"]}'])
async def test_a_page_that_says_404_is_no_list_of_namespaces(body: bytes) -> None:
    """Only the vault's own word says that it has none."""
    vault, by = acting()
    vault.below = HttpAnswer({}, body, 404)

    with pytest.raises(RequestError, match="404"):
        await by.probe(token("hmac-sha256:other"))


async def test_a_namespace_in_the_settings_proves_nothing_of_others() -> None:
    """Unless it was found there before."""
    vault, by = acting()
    vault.namespace = "admin"

    for target in (token("hmac-sha256:other"), ENTITY):
        with pytest.raises(RequestError, match="another one"):
            await by.probe(target)
    assert (await by.probe(evolve(ENTITY, seen=True))).found is Alive.DEAD
