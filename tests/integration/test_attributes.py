"""Who is known by an e-mail address alone: from the directory to the guard."""

from __future__ import annotations

import base64
import functools
import time
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from enforcement import Guard
from streams.model.findings import Severity
from tests.integration.scim_directory import call
from tests.integration.serving import running, until, values
from tests.integration.test_oauth_revocation import log_out
from tests.integration.test_oauth_revocation import settings as callers
from tests.integration.test_ssf_push import ISSUER, push, signed, stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

ANN, BOB = (Identifier("jwt.sub", f"{ISSUER}|{name}") for name in ("ann", "bob"))
MAIL = {"format": "email", "email": "Ann@example.com"}
BASE = "https://schemas.openid.net/secevent/"
DISABLED, ENABLED = (
    f"{BASE}risc/event-type/account-{word}" for word in ("disabled", "enabled")
)
DIRECTORY = {"grants": [{"kind": "scim.user"}, {"kind": "jwt.sub"}]}
SCIM = {"external_kind": "jwt.sub", "external_prefix": f"{ISSUER}|"}
REVOKED = f"{BASE}caep/event-type/session-revoked"


def settings(folder: Path, *, pepper: bool = True) -> dict[str, Any]:
    """Give settings with a directory, whose users tokens name, and a stream."""
    authorities = values(folder)["authorities"]
    authorities["aws"] = DIRECTORY
    authorities["stranger"] = {"grants": [{"kind": "attribute.email"}]}
    return {
        "authorities": authorities,
        "scim": SCIM,
        "peppers": {"p": {"value": base64.b64encode(bytes(16)).decode()}}
        if pepper
        else {},
        **stream(folder),
    }


async def say(server: Server, event: str, jti: str, at: float) -> None:
    """Push an event about who is known by the address."""
    token = signed(jti=jti, iat=int(at), sub_id=MAIL, events={event: {}})
    assert (202, b"") == await push(server, token)


async def made(server: Server) -> None:
    """Provision two users, one of whom has the address."""
    for name in ("ann", "bob"):
        body = {
            "userName": name,
            "externalId": name,
            "emails": [{"value": f"{name}@example.com"}],
        }
        status, _ = await call(server, "POST", "Users", body, token="aws")
        assert 201 == status


def allows(guard: Guard, name: Identifier) -> bool:
    """Tell whether a guard allows a verified token of a user, issued an hour ago."""
    issued_at = time.time_ns() - 3600 * 10**9
    token = Identifier("jwt.jti", f"t-{name.value}")
    return guard.check(Presented((token, name), issued_at)).allowed


async def finding(server: Server, kind: str, *, open_: bool = True) -> dict[str, Any]:
    """Give the finding of a kind on an attribute; empty where there is none."""
    for each in await server.findings():
        if each["kind"] == kind and bool(each["open"]) is open_:
            return each
    return {}


async def test_tokens_of_a_user_known_by_an_address_are_denied_and_allowed_again(
    tmp_path: Path,
) -> None:
    """A disabled account, enabled again; then all sessions; nobody else's."""
    async with (
        running(tmp_path, **settings(tmp_path)) as server,
        Guard(server.url, "guard", name="g", lease=30.0) as guard,
    ):
        await made(server)
        await until(lambda: allows(guard, ANN))
        start = time.time() - 3  # a restore dated ahead is none, by however little
        await say(server, DISABLED, "j1", start)
        await until(lambda: not allows(guard, ANN))
        assert allows(guard, BOB)
        await say(server, ENABLED, "j2", start + 2)
        await until(lambda: allows(guard, ANN))
        await say(server, REVOKED, "j3", start + 2)
        await until(lambda: not allows(guard, ANN))
        assert allows(guard, BOB)
        assert [] == await server.findings()
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file():
            assert b"@example.com" not in file.read_bytes(), file


async def test_a_revocation_of_nobody_is_a_finding(tmp_path: Path) -> None:
    """The address is known to no system: 202, and people are told."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        await say(server, REVOKED, "j1", time.time())
        find = functools.partial(finding, server, "revocation_not_applied")
        found = await until(find)
    assert found["presented"].startswith("attribute.email:")
    assert Severity.CRITICAL == found["severity"]


async def test_without_a_pepper_people_are_told(tmp_path: Path) -> None:
    """202, a dead letter that says what to set, and a critical finding."""
    async with running(tmp_path, **settings(tmp_path, pepper=False)) as server:
        await made(server)
        await say(server, DISABLED, "j1", time.time())
        find = functools.partial(finding, server, "revocation_not_applied")
        found = await until(find)
        _, letters = await server.get("/v1/dlq")
    assert Severity.CRITICAL == found["severity"]
    assert "needs_pepper" in str(letters)
    assert "@example.com" not in str((letters, found))


async def test_a_provider_may_log_out_whom_it_names_by_an_address(
    tmp_path: Path,
) -> None:
    """204 with a pepper and the grant; 403 without the grant."""
    given = callers(tmp_path)
    grants = given["authorities"]["idp"]["grants"]
    async with running(tmp_path / "without", **given) as server:
        assert 403 == await log_out(server, {"sub_id": MAIL})
    grants.append({"kind": "attribute.email"})
    given["authorities"]["aws"] = DIRECTORY
    given["scim"] = SCIM
    async with (
        running(tmp_path / "with", **given) as server,
        Guard(server.url, "guard", name="g", lease=30.0) as guard,
    ):
        await made(server)
        await until(lambda: allows(guard, ANN))
        assert 204 == await log_out(server, {"sub_id": MAIL})
        await until(lambda: not allows(guard, ANN))
        assert allows(guard, BOB)
