"""No secret that comes in anywhere is stored, logged or shown, whoever sends it.

Events are salted: each object of each event gets members as vendors name what is
secret. Then the data folder, the log and every answer are searched for them.
"""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from streams.process.lifecycle import configure_logging
from tests.generators.samples import DIALECTS, MAPPINGS
from tests.integration.fake_vendors import okta
from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

MARK = "PLANTED"
NAMES = (
    "access_token", "authorization", "Authorization", "client_secret", "clientSecret",
    "cookie", "hashed_token", "password", "private_key", "refresh_token", "secret",
    "secretText", "token", "x-api-key",
)  # fmt: skip
# Plain hashes are secrets too: LiteLLM's of the sample's key, GitHub's of its token.
DIGESTS = [hashlib.sha256(one).digest() for one in (b"sk-0", b"token 0")]
HIDDEN = [MARK, *map(bytes.hex, DIGESTS)] + [
    base64.b64encode(one).decode() for one in DIGESTS
]
BUILT_IN = sorted(name for name, one in DIALECTS.items() if "," not in name)


def salted(value: Any) -> Any:
    """Give an event with secrets in each of its objects."""
    if isinstance(value, list):
        return [salted(one) for one in value]
    if not isinstance(value, dict):
        return value
    more = {name: f"{MARK}-{name}" for name in NAMES if name not in value}
    return {name: salted(inner) for name, inner in value.items()} | more


def salted_body(name: str) -> bytes:
    """Give a round of a dialect: good, torn, and no events at all."""
    dialect = DIALECTS[name]
    body = dialect.write([salted(one) for one in dialect.make(0)])
    junk = f'{{"token":"{MARK}-a"}}\n{MARK}-b\n["{MARK}-c"]\n{{"x":"{MARK}-d'.encode()
    return body + junk


def settings(folder: Path) -> dict[str, Any]:
    """Give settings with every source, each granted all that is there."""
    made = values(folder)
    kinds = [f"{kind}.*" for kind in (
        "aws", "okta", "entra", "github", "gitguardian", "k8s", "keycloak", "jwt",
        "litellm", "openai", "anthropic", "auth0", "vault", "spiffe", "scim",
        "session", "x509",
    )]  # fmt: skip
    grants = [{"kind": kind} for kind in [*kinds, "secret"]]
    sources: dict[str, Any] = {}
    for name in BUILT_IN:
        if name.startswith("mapping "):
            stem = name.removeprefix("mapping ")
            file = MAPPINGS / f"{stem}.yaml"
            sources[stem] = {"format": "generic", "mapping": str(file), "point": stem}
        elif name != "ssf":
            sources[name] = {"format": name, "point": name}
    made["authorities"] |= {"aws": {"grants": grants}, "stranger": {"grants": grants}}
    return {
        "sources": sources, "authorities": made["authorities"], "scim": {},
        "peppers": {"p": {"value": base64.b64encode(MARK.encode() * 4).decode()}},
    }  # fmt: skip


async def everything_said(server: Server) -> str:
    """Give every answer that shows what came in."""
    found = []
    for path in ("/v1/dlq", "/v1/findings", "/v1/sources", "/v1/ssf", "/metrics",
                 "/v1/inventory", "/v1/alerts"):  # fmt: skip
        headers = {"Authorization": "Bearer viewer"}
        async with server.session.get(server.url + path, headers=headers) as got:
            found.append(await got.text())
    return "\n".join(found)


def kept(folder: Path, of: str = "data") -> Iterator[tuple[str, bytes]]:
    """Give all files of the data folder."""
    for file in sorted((folder / of).rglob("*")):
        if file.is_file():
            yield file.name, file.read_bytes()


async def test_no_secret_of_an_event_is_kept_or_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From every source, every endpoint and a poll; whole, torn, or refused."""
    configure_logging(0)
    key = ec.generate_private_key(ec.SECP256R1())
    signed = jwt.encode({"jti": "t1", "token": f"{MARK}-e"}, key, "ES256")
    form = "application/x-www-form-urlencoded"
    async with okta() as vendor:
        vendor.good = f"SSWS {MARK}-f"
        events = DIALECTS["okta"].make(0)
        vendor.events += [salted(one) for one in events]
        poll = {
            "vendor": "okta", "url": vendor.url, "authority": "aws", "interval": 0.02,
            "allow_http": True, "token": {"value": f"{MARK}-f"},
            "first": time.time() - 1,
        }  # fmt: skip
        made = settings(tmp_path) | {"polls": {"p": poll}}
        async with running(tmp_path, **made) as server:
            taken = 0
            for name in made["sources"]:
                dialect = name if name in DIALECTS else f"mapping {name}"
                path, body = f"/v1/events/{name}", salted_body(dialect)
                status, answer = await server.post(path, "stranger", body)
                assert 202 == status
                taken += bool(answer["accepted"])
            assert taken == len(made["sources"])
            for token, auth in (
                (f"{MARK}-g", "stranger"), (signed, "stranger"), (f"{MARK}-h", "nope"),
                (f"{MARK}-i", f"{MARK}-j"),
            ):  # fmt: skip
                async with server.session.post(
                    f"{server.url}/v1/oauth/revoke", data=f"token={token}",
                    headers={"Authorization": f"Bearer {auth}", "Content-Type": form},
                ) as got:  # fmt: skip
                    assert got.status in (200, 401)
            user = {"userName": "alice", "password": f"{MARK}-k", "active": False}
            async with server.session.post(
                f"{server.url}/scim/v2/Users", json=salted(user),
                headers={"Authorization": "Bearer stranger"},
            ) as got:  # fmt: skip
                assert 201 == got.status
                assert MARK not in await got.text()
            await until(lambda: len(vendor.asked) > len(events) / vendor.limit + 1)
            await until(server.findings)
            shown = await everything_said(server)
            files = list(kept(tmp_path))
    said = capsys.readouterr()
    structlog.reset_defaults()
    files += list(kept(tmp_path))
    assert any(b"00u" in data for _, data in files), "nothing was written"
    places = [("answers", shown.encode()), ("log", (said.out + said.err).encode())]
    for hidden in HIDDEN:
        found = [name for name, data in places + files if hidden.encode() in data]
        assert [] == found, hidden
