"""A transmitter pushes SETs to a running server, as RFC 8935 says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from streams.apps.builders.access import ConfigurationError
from streams.apps.embedded import serve
from streams.settings.server import Settings
from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

ISSUER, AUDIENCE = "https://idp.example.com/", "https://us.example.com/ssf"
EVENT = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
CLAIMS: dict[str, Any] = {
    "iss": ISSUER, "jti": "j1", "iat": 1_772_442_000, "aud": AUDIENCE,
    "sub_id": {"format": "jwt_id", "iss": ISSUER, "jti": "tok-1"},
    "events": {EVENT: {"event_timestamp": 1_772_442_000}},
}  # fmt: skip
OLD, NEW = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def jwks(**keys: Any) -> bytes:
    """Give public keys by kid as a JWKS."""
    algorithm: Any = jwt.get_algorithm_by_name("ES256")
    listed = [
        dict(algorithm.to_jwk(key.public_key(), as_dict=True)) | {"kid": kid}
        for kid, key in keys.items()
    ]
    return orjson.dumps({"keys": listed})


def signed(key: Any = OLD, kid: str = "old", **claims: Any) -> bytes:
    """Sign a SET."""
    header = {"typ": "secevent+jwt", "kid": kid}
    return jwt.encode(CLAIMS | claims, key, "ES256", header).encode()


def stream(folder: Path) -> dict[str, Any]:
    """Give the settings of one stream, and write its keys."""
    file = folder / "jwks.json"
    file.write_bytes(jwks(old=OLD))
    one = {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": str(file)}
    return {"ssf": {"idp": one}}


async def push(
    server: Server, token: bytes, *, bearer: str = "stranger", **headers: str
) -> tuple[int, bytes]:
    """Push a SET; give status and body of the answer."""
    sent = {"Authorization": f"Bearer {bearer}",
            "Content-Type": "application/secevent+jwt"} | headers  # fmt: skip
    url = f"{server.url}/v1/ssf/push/idp"
    async with server.session.post(url, data=token, headers=sent) as got:
        return got.status, await got.read()


async def ended(server: Server) -> dict[str, Any]:
    """Give why the token is denied, once the table holds its end; empty before."""
    _, why = await server.get("/v1/why/jwt.jti:tok-1")
    return why if why["cause"] else {}


async def test_a_pushed_set_denies_its_token_and_may_come_again(
    tmp_path: Path,
) -> None:
    """202 with an empty body, twice; the cause is one."""
    async with running(tmp_path, **stream(tmp_path)) as server:
        assert (202, b"") == await push(server, signed())
        assert (202, b"") == await push(server, signed())
        why = await until(lambda: ended(server))
    assert not why["allowed"]
    assert "revoke" in orjson.dumps(why).decode()


async def test_refused_sets_get_the_code_of_the_rfc_and_change_nothing(
    tmp_path: Path,
) -> None:
    """400 with err and description, in English."""
    async with running(tmp_path, **stream(tmp_path)) as server:
        for token, err in (
            (signed(key=NEW), "invalid_key"),
            (signed(kid="nobody"), "invalid_key"),
            (signed(iss="https://evil.example"), "invalid_issuer"),
            (signed(aud="https://evil.example"), "invalid_audience"),
            (signed(exp=2_000_000_000), "invalid_request"),
            (b"nonsense", "invalid_request"),
            (b"x" * (1 << 20), "invalid_request"),
        ):
            status, body = await push(server, token)
            assert (400, err) == (status, orjson.loads(body)["err"])
        plain = {"Content-Type": "text/plain"}
        assert 400 == (await push(server, signed(), **plain))[0]
        assert 401 == (await push(server, signed(), bearer="nobody"))[0]
        assert 403 == (await push(server, signed(), bearer="viewer"))[0]
        assert 404 == (await server.post("/v1/ssf/push/x", "stranger", b""))[0]
        _, why = await server.get("/v1/why/jwt.jti:tok-1")
    assert "revoke" not in orjson.dumps(why).decode()


async def test_rotated_keys_are_read_once_they_are_needed(tmp_path: Path) -> None:
    """And then not again for a minute."""
    async with running(tmp_path, **stream(tmp_path)) as server:
        (tmp_path / "jwks.json").write_bytes(jwks(old=OLD, new=NEW))
        assert 202 == (await push(server, signed(NEW, "new")))[0]
        (tmp_path / "jwks.json").write_bytes(jwks(newest=NEW))
        assert 400 == (await push(server, signed(NEW, "newest")))[0]
        assert 202 == (await push(server, signed()))[0]


@pytest.mark.parametrize("content", [None, b"<html>"])
async def test_a_stream_without_keys_is_a_wrong_setting(
    tmp_path: Path, content: bytes | None
) -> None:
    """The server says so before it serves."""
    settings = stream(tmp_path)
    if content is None:
        (tmp_path / "jwks.json").unlink()
    else:
        (tmp_path / "jwks.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="ssf idp"):
        await serve(Settings(**values(tmp_path, **settings)))


async def test_signed_tokens_are_no_plain_source(tmp_path: Path) -> None:
    """Read as plain events nobody would verify their signature."""
    settings = Settings.model_validate(
        values(tmp_path, sources={"idp": {"format": "ssf"}})
    )
    with pytest.raises(ConfigurationError, match="verified stream"):
        await serve(settings)


async def test_a_transmitter_without_a_header_speaks_by_its_signature(
    tmp_path: Path,
) -> None:
    """Where the stream allows that; a wrong header is still refused."""
    settings = stream(tmp_path)
    settings["ssf"]["idp"] |= {"authority": "stranger", "without_bearer": True}
    async with running(tmp_path, **settings) as server:
        url = f"{server.url}/v1/ssf/push/idp"
        headers = {"Content-Type": "application/secevent+jwt"}
        for token, status in ((signed(key=NEW), 400), (signed(), 202)):
            async with server.session.post(url, data=token, headers=headers) as got:
                assert status == got.status
        assert 401 == (await push(server, signed(), bearer="nobody"))[0]
        why = await until(lambda: ended(server))
    assert "stranger" == why["cause"]["authority"]


async def test_a_token_of_another_authority_does_not_push(tmp_path: Path) -> None:
    """What it pushes would be said in the name of the other one."""
    settings = stream(tmp_path)
    settings["ssf"]["idp"] |= {"authority": "stranger"}
    async with running(tmp_path, **settings) as server:
        assert 403 == (await push(server, signed(), bearer="aws"))[0]
        assert 202 == (await push(server, signed()))[0]


async def test_an_open_stream_needs_an_authority(tmp_path: Path) -> None:
    """Somebody must answer for what is pushed."""
    settings = stream(tmp_path)
    settings["ssf"]["idp"] |= {"without_bearer": True}
    with pytest.raises(ConfigurationError, match="authority"):
        await serve(Settings(**values(tmp_path, **settings)))
