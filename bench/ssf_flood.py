"""Good security event tokens keep their latency while a flood of bad ones comes.

Open loop: each good token is due at a time, whatever became of the one before. The
flood comes from a process of its own, at the same stream and with the same bearer
token as the good ones, or with none that is known. Quiet and flooded blocks take turns.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.processes import Part, end, line, part
from bench.propagation import url_of
from bench.report import Row, rate
from bench.rounds import spread

GOOD: Final = 50  # tokens a second
BAD: Final = {"tiny": 200, "small": 5000, "full": 5000}  # a second
ROUNDS: Final = {"tiny": 1, "small": 2, "full": 6}
BLOCK: Final = {"tiny": 5, "small": 100, "full": 150}  # good tokens
SETTLE: Final = {"tiny": 0.1, "small": 0.5, "full": 1.0}  # seconds of flood before
DEADLINE: Final = 60.0
MOST: Final = 3.0  # times the quiet p99
ISSUER, AUDIENCE = "https://idp.example.com", "https://us.example.com"
TYPE: Final = "application/secevent+jwt"
TOKEN: Final = "transmitter"  # noqa: S105 - of the benchmark alone
EVENT: Final = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"


def rows(scale: str) -> list[Row]:
    """Measure the good ones alone and under two floods."""
    key = rsa.generate_private_key(65537, 2048)
    return [
        _measured(scale, key, what, bearer)
        for what, bearer in (
            ("bad signatures of the same caller", TOKEN),
            ("strangers", "nobody"),
        )
    ]


def _measured(scale: str, key: rsa.RSAPrivateKey, what: str, bearer: str) -> Row:
    with tempfile.TemporaryDirectory() as name, ExitStack() as parts:
        folder = Path(name)
        ready = folder / "ready"
        settings = _settings(folder, ready, key)
        server = parts.enter_context(
            part("bench.propagation_parts", "server", settings)
        )
        url = url_of(ready, server)
        request = folder / "request"
        request.write_bytes(_request(url, _broken(_signed(key, "bad")), bearer))
        address = urlsplit(url)
        flood = parts.enter_context(
            part(
                "bench.ssf_flood_parts",
                str(address.hostname),
                str(address.port),
                str(request),
                str(BAD[scale]),
            )
        )
        assert line(flood) == "ready"
        quiet, flooded = asyncio.run(_rounds(scale, url, flood, key))
        offered = end(flood, DEADLINE)
        server.terminate()
        cpu = end(server, DEADLINE)["cpu"]
    ratios = [one / other for one, other in zip(flooded, quiet, strict=True)]
    ratio = spread(ratios)
    came = offered["offered"] / max(offered["seconds"], 0.001)
    answered = offered["answered"] / max(offered["seconds"], 0.001)
    return Row(
        what=(
            f"p99 of {GOOD} good tokens/s under {rate(came)} of {what} "
            f"({rate(answered)} answered), ms"
        ),
        value=f"{median(flooded):.2f}",
        cpu=cpu,
        peer=f"without the flood {median(quiet):.2f}",
        ratio=ratio,
        target=f"<= {MOST:g} x",
        met=ratio[0] <= MOST,
    )


async def _rounds(
    scale: str, url: str, flood: Part, key: rsa.RSAPrivateKey
) -> tuple[list[float], list[float]]:
    """Give the p99 (ms) of each round without and with the flood; ABBA."""
    quiet, flooded = [], []
    count = BLOCK[scale]
    blocks = [
        [_signed(key, f"{number}-{place}") for place in range(count)]
        for number in range(ROUNDS[scale] * 4 + 1)
    ]
    async with aiohttp.ClientSession() as session:
        await _block(session, url, blocks.pop())  # opens connections, is not counted
        for _ in range(ROUNDS[scale]):
            first = await _block(session, url, blocks.pop())
            await _say(flood, "start")
            await asyncio.sleep(SETTLE[scale])
            second = await _block(session, url, blocks.pop())
            third = await _block(session, url, blocks.pop())
            await _say(flood, "stop")
            await asyncio.sleep(SETTLE[scale])
            last = await _block(session, url, blocks.pop())
            quiet.append(_p99([*first, *last]))
            flooded.append(_p99([*second, *third]))
    return quiet, flooded


async def _say(flood: Part, command: str) -> None:
    assert flood.stdin is not None
    flood.stdin.write(f"{command}\n")
    flood.stdin.flush()
    assert await asyncio.to_thread(line, flood) == command


async def _block(
    session: aiohttp.ClientSession, url: str, tokens: list[bytes]
) -> list[float]:
    """Push each token when it is due; give the times to its 202 (ms)."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": TYPE}
    taken: list[float] = []
    start = time.monotonic() + 0.02

    async def push(token: bytes, due: float) -> None:
        target = f"{url}/v1/ssf/push/idp"
        async with session.post(target, data=token, headers=headers) as answer:
            await answer.read()
            assert answer.status == 202
        taken.append((time.monotonic() - due) * 1000)

    async with asyncio.TaskGroup() as tasks:
        for place, token in enumerate(tokens):
            due = start + place / GOOD
            await asyncio.sleep(due - time.monotonic())
            tasks.create_task(push(token, due))
    return taken


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[98]


def _signed(key: rsa.RSAPrivateKey, jti: str) -> bytes:
    claims = {
        "iss": ISSUER, "aud": AUDIENCE, "iat": 1_772_442_000, "jti": jti,
        "sub_id": {"format": "jwt_id", "iss": ISSUER, "jti": jti},
        "events": {EVENT: {"event_timestamp": 1_772_442_000}},
    }  # fmt: skip
    header = {"typ": "secevent+jwt", "kid": "k1"}
    return jwt.encode(claims, key, "RS256", header).encode()


def _broken(token: bytes) -> bytes:
    """Change the signature: only all of the crypto tells that it is bad."""
    head, signature = token.rsplit(b".", 1)
    return head + b"." + signature[::-1]


def _request(url: str, token: bytes, bearer: str) -> bytes:
    head = (
        f"POST /v1/ssf/push/idp HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n"
        f"Authorization: Bearer {bearer}\r\nContent-Type: {TYPE}\r\n"
        f"Content-Length: {len(token)}\r\n\r\n"
    )
    return head.encode() + token


def _settings(folder: Path, ready: Path, key: rsa.RSAPrivateKey) -> str:
    algorithm: Any = jwt.get_algorithm_by_name("RS256")
    public = dict(algorithm.to_jwk(key.public_key(), as_dict=True)) | {"kid": "k1"}
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [public]}), "utf-8")
    settings = {
        "data_dir": str(folder / "data"),
        "ready_file": str(ready),
        "listen": {"port": 0},
        "tokens": [
            {
                "name": TOKEN,
                "sha256": hashlib.sha256(TOKEN.encode()).hexdigest(),
                "roles": ["ingest"],
                "authority": "idp",
            }
        ],
        "authorities": {"idp": {"grants": [{"kind": "jwt.jti"}]}},
        "ssf": {"idp": {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": str(jwks)}},
    }
    path = folder / "settings.yaml"
    path.write_text(json.dumps(settings), "utf-8")  # JSON is YAML, too
    return str(path)
