"""Token introspection (RFC 7662): active or not, and to whom it tells."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from streams.model.keyed_names import keyed_identifier
from tests.contract.test_pdp_authzen import client
from tests.pdp import AT, ISSUER, Point, node, point, revoke, sub, token

pytestmark = pytest.mark.contract

AGENT, BOSS = sub("agent"), sub("boss")
OPAQUE = keyed_identifier("secret", "opaque-one", b"0123456789abcdef")
BEARER = {"Authorization": "Bearer caller"}


async def introspect(
    known: Point, headers: dict[str, str] | None = None, **form: str
) -> tuple[int, Any]:
    """Ask; give status and answer."""
    sent = BEARER if headers is None else headers
    async with (
        client(known) as made,
        made.post("/v1/introspect", data=form, headers=sent) as answer,
    ):
        assert answer.status != 200 or answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.json(content_type=None)


async def test_an_active_token_comes_with_its_claims() -> None:
    """Those of section 2.2 and the actors; nothing else of what the token says."""
    text = token("agent", "boss", client_id="app", email="a@example.com")

    status, answer = await introspect(point(node(AGENT)), token=text)

    assert status == 200
    assert answer == {
        "active": True, "token_type": "Bearer", "iss": ISSUER, "sub": "agent",
        "jti": "jti-agent", "aud": "api", "iat": AT - 10, "exp": AT + 600,
        "scope": "read", "client_id": "app", "act": {"sub": "boss"},
    }  # fmt: skip


REFUSED = {
    "expired": token("agent", exp=AT - 1), "forged": token("agent")[:-4] + "AAAA",
    "malformed": "a.b.c", "empty": "", "noise": "\u00e9 \n",
}  # fmt: skip
DENIED = {
    "revoked": token("agent", "boss"), "unknown": token("stranger"),
    "opaque": "opaque-two",
}  # fmt: skip


@pytest.mark.parametrize("text", (REFUSED | DENIED).values(), ids=REFUSED | DENIED)
async def test_what_is_denied_is_inactive_and_nothing_more(text: str) -> None:
    """The holder of a dead token learns no claim (section 2.2)."""
    known = point(node(AGENT), node(BOSS), revoke(BOSS))

    assert await introspect(known, token=text) == (200, {"active": False})


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
async def test_where_nothing_is_enforced_a_bad_token_is_still_inactive(
    text: str,
) -> None:
    """Nobody may take an unverified claim for a verified one."""
    known = point(node(AGENT), mode="observe")

    assert await introspect(known, token=text) == (200, {"active": False})


async def test_an_opaque_token_is_active_without_claims() -> None:
    """Its keyed hash is known, and nobody else's business."""
    status, answer = await introspect(
        point(node(OPAQUE)), token="opaque-one", token_type_hint="access_token"
    )

    assert (status, answer) == (200, {"active": True, "token_type": "Bearer"})


async def test_a_client_may_send_its_password() -> None:
    """Name and token as HTTP Basic (RFC 6749 section 2.3.1)."""
    known = point(node(AGENT))
    for name, word, expected in (
        ("gateway", "caller", 200),
        ("gateway", "other", 401),
        ("other", "caller", 401),
    ):
        headers = {"Authorization": aiohttp.encode_basic_auth(name, word)}
        assert (await introspect(known, headers, token="a.b.c"))[0] == expected


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer other", "Basic !", "Digest caller", "Basic w6k="]
)
async def test_a_stranger_is_401(header: str) -> None:
    """A token is nobody's business who cannot say who he is (section 2.1)."""
    status, answer = await introspect(
        point(node(AGENT)), {"Authorization": header}, token=token("agent")
    )

    assert status == 401
    assert "active" not in answer


async def test_without_callers_nobody_is_answered() -> None:
    """The default: there is no token that nobody set."""
    status, _ = await introspect(point(node(AGENT), callers=[]), token=token("agent"))

    assert status == 401


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"token=a&token=b", "application/x-www-form-urlencoded"),
        (b'{"token": "a"}', "application/json"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
    ],
)
async def test_one_token_in_a_form_or_400(body: bytes, kind: str) -> None:
    """With the error code of RFC 6749 section 5.2."""
    headers = BEARER | {"Content-Type": kind}
    async with (
        client(point(node(AGENT))) as made,
        made.post("/v1/introspect", data=body, headers=headers) as answer,
    ):
        assert answer.status == 400
        assert (await answer.json(content_type=None))["error"] == "invalid_request"
