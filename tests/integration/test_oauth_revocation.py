"""Global token revocation and RFC 7009 at a running server."""

from __future__ import annotations

import base64
import functools
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from streams.model.keyed_names import keyed_identifier
from streams.model.times import rfc3339
from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

ISSUER, AUDIENCE = "https://idp.example", "https://us.example/gtr"
TYP = "global-token-revocation+jwt"
KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
PEPPER = b"0123456789abcdef"
USER = {"format": "iss_sub", "iss": ISSUER, "sub": "alice"}
FORM = "application/x-www-form-urlencoded"


def settings(folder: Path, *, pepper: bool = True) -> dict[str, Any]:
    """Give settings with one caller, and one client that may end tokens."""
    file = folder / "jwks.json"
    file.write_bytes(jwks("k"))
    caller = {
        "issuer": ISSUER, "audience": [AUDIENCE], "jwks": str(file),
        "authority": "idp",
    }  # fmt: skip
    made = values(folder)
    made["authorities"] |= {
        "idp": {"grants": [{"kind": "jwt.sub", "qualifier": f"{ISSUER}|"}]},
        "stranger": {"grants": [{"kind": "jwt.jti"}, {"kind": "secret"}]},
    }
    return {
        "authorities": made["authorities"],
        "global_revocation": {"okta": caller},
        "peppers": {"p1": {"value": base64.b64encode(PEPPER).decode()}} if pepper
        else {},
    }  # fmt: skip


def jwks(kid: str) -> bytes:
    """Give the keys of the caller's issuer."""
    algorithm: Any = jwt.get_algorithm_by_name("ES256")
    key = dict(algorithm.to_jwk(KEY.public_key(), as_dict=True)) | {"kid": kid}
    return orjson.dumps({"keys": [key]})


def assertion(key: Any = KEY, typ: str = TYP, kid: str = "k", **claims: Any) -> str:
    """Sign a caller's JWT."""
    now = int(time.time())
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": ISSUER, "jti": "j",
            "iat": now, "exp": now + 300} | claims  # fmt: skip
    body = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(body, key, "ES256", {"typ": typ, "kid": kid})


async def log_out(
    server: Server, subject: Any, token: str | None = None, name: str = "okta"
) -> int:
    """Ask for a global revocation; give the status."""
    headers = {"Authorization": f"Bearer {token or assertion()}"}
    url = f"{server.url}/v1/global-token-revocation/{name}"
    async with server.session.post(url, json=subject, headers=headers) as got:
        return got.status


async def why(server: Server, identifier: str) -> str:
    """Give what the server says of an identifier, as text."""
    _, answer = await server.get(f"/v1/why/{identifier}")
    return orjson.dumps(answer).decode()


def held(name: str) -> dict[str, Any]:
    """Give the declaration of a token of alice, issued now."""
    return {
        "identifier": f"jwt.jti:{name}", "parents": [f"jwt.sub:{ISSUER}|alice"],
        "issued_at": rfc3339(time.time_ns()),
    }  # fmt: skip


async def ended(server: Server, name: str) -> bool:
    """Tell whether a token is dead by a not_before."""
    return "not_before" in await why(server, f"jwt.jti:{name}")


async def test_a_user_is_logged_out_and_again_later(tmp_path: Path) -> None:
    """Two requests are two causes: the second reaches what was issued between."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        for name, body in (("t1", {"sub_id": USER}), ("t2", {"subject": USER})):
            declared = {"credentials": [held(name)]}
            assert 201 == (await server.post("/v1/adopt", "restorer", declared))[0]
            assert "not_before" not in await why(server, f"jwt.jti:{name}")
            assert 204 == await log_out(server, body)
            await until(functools.partial(ended, server, name))
        declared = {"credentials": [held("t3")]}
        assert 201 == (await server.post("/v1/adopt", "restorer", declared))[0]
        assert "not_before" not in await why(server, "jwt.jti:t3")
        # The issuer rotated its key: the file is read again for the new one.
        (tmp_path / "jwks.json").write_bytes(jwks("k2"))
        assert 204 == await log_out(server, {"sub_id": USER}, assertion(kid="k2"))
        assert 401 == await log_out(server, {"sub_id": USER}, assertion(kid="k3"))


async def test_a_wrong_caller_changes_nothing(tmp_path: Path) -> None:
    """401 for each way to be wrong, and it is counted."""
    now = int(time.time())
    async with running(tmp_path, **settings(tmp_path)) as server:
        wrong = (
            assertion(key=OTHER),
            assertion(typ="JWT"),
            assertion(typ="secevent+jwt"),
            assertion(iss="https://evil.example"),
            assertion(aud="https://evil.example"),
            assertion(exp=now - 120),
            assertion(exp=None),
            assertion(iat=now + 600),
            jwt.encode({"iss": ISSUER}, "k" * 32, "HS256", {"typ": TYP, "kid": "k"}),
            "nonsense",
        )
        for token in wrong:
            assert 401 == await log_out(server, {"sub_id": USER}, token)
        assert 404 == await log_out(server, {"sub_id": USER}, name="nobody")
        url = f"{server.url}/v1/global-token-revocation/okta"
        async with server.session.post(url, json={"sub_id": USER}) as got:
            assert 401 == got.status
        assert (0,) == (await _facts(server))
        async with server.session.get(f"{server.url}/metrics") as got:
            metrics = await got.text()
    source = "global_revocation:okta"
    line = f'rescind_source_requests_total{{result="refused",source="{source}"}}'
    assert f"{line} {len(wrong) + 1}.0" in metrics


async def test_who_cannot_be_named_is_said_and_found(tmp_path: Path) -> None:
    """422 and a critical finding; 403 outside the grants; 400 without a subject."""
    async with running(tmp_path, **settings(tmp_path, pepper=False)) as server:
        email = {"format": "email", "email": "a@example.com"}
        assert 422 == await log_out(server, {"sub_id": email})
        foreign = USER | {"iss": "https://other.example"}
        assert 403 == await log_out(server, {"sub_id": foreign})
        empty: tuple[Any, ...] = ({}, [], {"sub_id": "alice"}, {"sub_id": {}})
        for body in empty:
            assert 400 == await log_out(server, body)
        assert (0,) == (await _facts(server))
        _, letters = await server.get("/v1/dlq")
    text = orjson.dumps(letters).decode()
    assert "needs_pepper" in text
    assert "a@example.com" not in text


async def revoke(
    server: Server, data: Any, auth: str = "Bearer stranger", kind: str = FORM
) -> tuple[int, Any]:
    """Hand in a token; give status and decoded answer."""
    headers = {"Authorization": auth, "Content-Type": kind}
    url = f"{server.url}/v1/oauth/revoke"
    async with server.session.post(url, data=data, headers=headers) as got:
        body = await got.read()
        return got.status, orjson.loads(body) if body else None


async def says(server: Server, identifier: str) -> bool:
    """Tell whether the server says that an identifier is revoked."""
    return "revoke" in await why(server, identifier)


async def test_tokens_are_ended_by_name_and_never_kept(tmp_path: Path) -> None:
    """A JWT by its jti, an opaque one by its keyed hash; unknown ones are 200 too."""
    opaque = "opaque-token-of-a-client"
    signed = jwt.encode({"jti": "tok-9"}, KEY, "ES256")
    async with running(tmp_path, **settings(tmp_path)) as server:
        assert (200, None) == await revoke(server, {"token": signed})
        basic = aiohttp.encode_basic_auth("stranger", "stranger")
        hint = {"token": opaque, "token_type_hint": "refresh_token"}
        assert (200, None) == await revoke(server, hint, basic)
        assert (200, None) == await revoke(server, hint, basic)
        await until(functools.partial(says, server, "jwt.jti:tok-9"))
        name = str(keyed_identifier("secret", opaque, PEPPER))
        await until(functools.partial(says, server, name))
    for file in (tmp_path / "data").rglob("*"):
        held = file.read_bytes()
        assert opaque.encode() not in held
        assert signed.encode() not in held


async def test_what_is_held_is_not_said_to_be_revoked(tmp_path: Path) -> None:
    """It reaches more than its authority may end alone."""
    given = settings(tmp_path)
    for name in ("idp", "stranger"):
        given["authorities"][name] |= {"blast_limit": 1, "over_limit": "hold"}
    async with running(tmp_path, **given) as server:
        family = [held(name) for name in ("a", "b")]
        family += [held(name) | {"parents": ["jwt.jti:a"]} for name in ("c", "d")]
        declared = {"credentials": family}
        assert 201 == (await server.post("/v1/adopt", "restorer", declared))[0]
        token = jwt.encode({"jti": "a"}, KEY, "ES256")

        assert 202 == await log_out(server, {"sub_id": USER})
        status, answer = await revoke(server, {"token": token})

        assert (202, False) == (status, answer["accepted"])
        assert not await says(server, "jwt.jti:c")


async def test_refusals_of_the_revocation_endpoint(tmp_path: Path) -> None:
    """In the words of RFC 6749 and 7009, and nothing changes."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        one = {"token": "t"}
        other = aiohttp.encode_basic_auth("aws", "stranger")
        for data, auth, kind, expected in (
            (one, "Bearer nobody", FORM, (401, "invalid_client")),
            (one, "Basic ?", FORM, (401, "invalid_client")),
            (one, other, FORM, (401, "invalid_client")),
            (one, "", FORM, (401, "invalid_client")),
            (one, "Bearer viewer", FORM, (400, "unauthorized_client")),
            (one, "Bearer aws", FORM, (400, "unauthorized_client")),
            ({}, "Bearer stranger", FORM, (400, "invalid_request")),
            (b"token=a&token=b", "Bearer stranger", FORM, (400, "invalid_request")),
            (b"token", "Bearer stranger", FORM, (400, "invalid_request")),
            (b"{}", "Bearer stranger", "application/json", (400, "invalid_request")),
        ):
            status, body = await revoke(server, data, auth, kind)
            assert expected == (status, body["error"])
        assert (0,) == (await _facts(server))


async def test_without_a_pepper_an_opaque_token_is_not_supported(
    tmp_path: Path,
) -> None:
    """200 would say that it works no more."""
    async with running(tmp_path, **settings(tmp_path, pepper=False)) as server:
        status, body = await revoke(server, {"token": "opaque"})
        assert (400, "unsupported_token_type") == (status, body["error"])
        signed = jwt.encode({"jti": "tok-9"}, KEY, "ES256")
        assert (200, None) == await revoke(server, {"token": signed})


async def _facts(server: Server) -> Any:
    return (server.served.stages.store.end,)
