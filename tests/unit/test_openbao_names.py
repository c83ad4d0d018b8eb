"""Which tokens of a vault live, by what an audit device calls them."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from attrs import define, field

from agents_registry.identifiers import Identifier
from streams.actuators.actuator import Alive, EndTarget
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

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> HttpAnswer:
        """Answer as a vault does."""
        if method == "LIST":
            if self.none is not None:
                return self.none
            return said({"data": {"keys": self.living}})
        assert body is not None
        if path == "auth/token/lookup-accessor":
            if body["accessor"] in self.living:
                return said({"data": {}})
            return said({"errors": ["invalid accessor"]}, 403)
        return said({"data": {"hash": self.hashed(body["input"])}})

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
