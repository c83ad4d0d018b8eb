"""What a running server refuses of a pushed SET: how, and that nothing changed."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hmac
import json
from typing import TYPE_CHECKING, Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from streams.http import push as pushing
from tests.integration.serving import running, until
from tests.transmitter import AUDIENCE, CAEP, Transmitter, transmitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

THEIRS = ec.generate_private_key(ec.SECP256R1())
REVOKED = CAEP + "session-revoked"
FAR = 4_102_444_800  # 2100


def claims(sender: Transmitter, **changed: Any) -> dict[str, Any]:
    """Give claims that would revoke token tok-1."""
    return {
        "iss": sender.url, "aud": AUDIENCE, "iat": 1_772_442_000, "jti": "j1",
        "sub_id": {"format": "jwt_id", "iss": sender.url, "jti": "tok-1"},
        "events": {REVOKED: {}},
    } | changed  # fmt: skip


def packed(value: bytes) -> bytes:
    """Encode a part of a token."""
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def hand_made(sender: Transmitter, payload: bytes, **header: Any) -> bytes:
    """Sign any bytes with the transmitter's key, as no library would."""
    head = {"typ": "secevent+jwt", "kid": "k1", "alg": "ES256"} | header
    signing = packed(json.dumps(head).encode()) + b"." + packed(payload)
    algorithm: Any = jwt.get_algorithm_by_name("ES256")
    return signing + b"." + packed(algorithm.sign(signing, sender.keys["k1"]))


def made(sender: Transmitter, **changed: Any) -> bytes:
    """Sign changed claims with the transmitter's key."""
    return hand_made(sender, orjson.dumps(claims(sender, **changed)))


def headed(sender: Transmitter, **header: Any) -> bytes:
    """Sign good claims under a changed header."""
    return hand_made(sender, orjson.dumps(claims(sender)), **header)


def with_hmac(sender: Transmitter) -> bytes:
    """Sign with the public key as the secret of HS256."""
    public = sender.keys["k1"].public_key()
    spki = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signing = headed(sender, alg="HS256").rpartition(b".")[0]
    return signing + b"." + packed(hmac.digest(spki, signing, "sha256"))


def with_own_key(sender: Transmitter, **header: Any) -> bytes:
    """Sign with a key that the token itself brings along."""
    head = {"typ": "secevent+jwt", "kid": "k1"} | header
    return jwt.encode(claims(sender), THEIRS, "ES256", head).encode()


def unsigned(sender: Transmitter) -> bytes:
    """Say that there is no signature, and have one byte of it."""
    return headed(sender, alg="none").rpartition(b".")[0] + b".YQ"


def twice(sender: Transmitter) -> bytes:
    """Have a first issuer for one reader and a second for another."""
    body = orjson.dumps(claims(sender))
    return hand_made(sender, body.replace(b"{", b'{"iss":"https://evil.example",', 1))


REFUSED: dict[str, tuple[Callable[[Transmitter], bytes], str]] = {
    "alg none": (unsigned, "invalid_key"),
    "HS256 with the public key": (with_hmac, "invalid_key"),
    "another typ": (lambda one: headed(one, typ="at+jwt"), "invalid_request"),
    "no typ": (lambda one: headed(one, typ=None), "invalid_request"),
    "unknown kid": (lambda one: headed(one, kid="k9"), "invalid_key"),
    "another key": (with_own_key, "invalid_key"),
    "jku": (lambda one: with_own_key(one, jku=f"{one.url}/jwks?jku"), "invalid_key"),
    "x5u": (lambda one: with_own_key(one, x5u=f"{one.url}/jwks?x5u"), "invalid_key"),
    "exp": (lambda one: made(one, exp=FAR), "invalid_request"),
    "sub": (lambda one: made(one, sub="agent-1"), "invalid_request"),
    "another aud": (lambda one: made(one, aud="https://else.example"),
                    "invalid_audience"),
    "another iss": (lambda one: made(one, iss="https://evil.example"),
                    "invalid_issuer"),
    "a key twice": (twice, "invalid_request"),
    "1 MB": (lambda one: made(one, txn="x" * 740_000), "invalid_request"),
    "10,000 deep": (lambda one: hand_made(one, b'{"a":' * 10_000 + b"1" +
                                          b"}" * 10_000), "invalid_request"),
    "future iat": (lambda one: made(one, iat=FAR), "invalid_request"),
}  # fmt: skip


async def push(
    server: Server, token: bytes, **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Push a SET; give status, error body and headers of the answer."""
    sent = {
        "Authorization": "Bearer stranger", "Content-Type": pushing.CONTENT_TYPE,
    } | headers  # fmt: skip
    url = f"{server.url}/v1/ssf/push/idp"
    async with server.session.post(url, data=token, headers=sent) as got:
        body = await got.read()
        return got.status, orjson.loads(body) if body else {}, dict(got.headers)


def pushed(sender: Transmitter) -> dict[str, Any]:
    """Give the settings of a pushed stream whose keys come over HTTP."""
    return {"ssf": {"idp": sender.settings(token_env="")}}


@pytest.mark.parametrize("name", REFUSED)
async def test_is_refused_with_its_code_and_changes_nothing(
    tmp_path: Path, name: str
) -> None:
    """No fact, no dead letter, no signal; and a good one is taken after it."""
    make, err = REFUSED[name]
    async with (
        transmitting() as sender,
        running(tmp_path, **pushed(sender)) as server,
    ):
        status, body, headers = await push(server, make(sender))
        assert (400, err) == (status, body.get("err"))
        assert {"err", "description"} == body.keys()
        assert "example" not in body["description"]
        assert "application/json" in headers["Content-Type"]
        assert "en" == headers["Content-Language"]
        store = server.served.stages.store
        assert (0, 0) == (store.end, store.signals_end)
        assert [] == (await server.get("/v1/dlq"))[1]["dead_letters"]
        assert 202 == (await push(server, made(sender)))[0]
        assert store.end > 0
    assert not any("jku" in path or "x5u" in path for _, path in sender.calls)


async def test_unknown_kids_cost_one_look_at_the_keys(tmp_path: Path) -> None:
    """However many come: the first reading, and at most one for all of them."""
    async with (
        transmitting() as sender,
        running(tmp_path, **pushed(sender)) as server,
    ):
        assert 202 == (await push(server, made(sender)))[0]
        for number in range(100):
            status, body, _ = await push(server, headed(sender, kid=f"k{number + 2}"))
            assert (400, "invalid_key") == (status, body["err"])
            if number == pushing.TOLERATED - 2:
                break
        assert sender.fetched == 1


async def test_a_packed_body_is_not_unpacked(tmp_path: Path) -> None:
    """Megabytes of blanks in a kilobyte, of a sender whom only the body would prove."""
    async with (
        transmitting() as sender,
        running(tmp_path, **pushed(sender)) as server,
    ):
        bomb = gzip.compress(b" " * (8 << 20))
        packed_so = {"Content-Encoding": "gzip"}
        status, _, _ = await push(server, bomb, **packed_so)
        assert 415 == status


async def test_many_bad_ones_are_slowed_and_good_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where both come from the same caller."""
    monkeypatch.setattr(pushing, "TOLERATED", 2.0)
    monkeypatch.setattr(pushing, "FORGIVEN", 0.0)
    monkeypatch.setattr(pushing, "DELAY_SECONDS", 3600.0)
    monkeypatch.setattr(pushing, "MOST_WAITING", 1)
    async with (
        transmitting() as sender,
        running(tmp_path, **pushed(sender)) as server,
    ):
        bad = made(sender, aud="https://else.example")
        for _ in range(2):
            assert 400 == (await push(server, bad))[0]
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(push(server, bad))

            async def three() -> bool:
                _, answer = await server.get("/v1/ssf")
                return bool(answer["streams"][0]["refused"] == 3)

            await until(three)
            assert not waiting.done()
            assert 202 == (await push(server, made(sender)))[0]
            # No room to wait: answered at once, and the connection is closed.
            status, _, headers = await push(server, bad)
            assert (400, "close") == (status, headers.get("Connection"))
            assert not waiting.done()
            waiting.cancel()
