"""TLS, client certificates and tokens of an OpenID provider, at a running server."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from streams.apps.builders.access import ConfigurationError, access
from streams.http.auth import PROVEN
from streams.http.tls import ServedTls
from streams.settings.access import TlsSettings
from streams.settings.server import Settings
from tests.integration.oidc_provider import provider
from tests.integration.serving import running, until, values
from tests.unit.test_oidc import RULES, signed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

SOC = "soc@example.com"
CLIENT = {"san": "dns:x", "name": "x", "roles": ["viewer"]}
SPEAKER = CLIENT | {"authority": "no"}
TLS = {"certificate": "nowhere", "key": "x", "client_ca": "y"}


def write(folder: Path, ca: trustme.CA) -> None:
    """Write a certificate of the server, and who signs those of clients."""
    issued = ca.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    ca.cert_pem.write_to_path(folder / "ca.crt")


def secured(folder: Path) -> dict[str, Any]:
    """Give settings with TLS and two clients."""
    return {
        "tls": {
            "certificate": folder / "tls.crt",
            "key": folder / "tls.key",
            "client_ca": folder / "ca.crt",
            "clients": [
                {"san": f"email:{SOC}", "name": "soc", "roles": ["viewer"]},
                {"san": "dns:far.example.com", "name": "far", "roles": ["viewer"],
                 "realms": ["elsewhere"]},
            ],
        }
    }  # fmt: skip


def context_of(ca: trustme.CA, *names: str, by: trustme.CA | None = None) -> Any:
    """Give a client's context that trusts ``ca``, with a certificate for names."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if names:
        (by or ca).issue_cert(*names).configure_cert(context)
    return context


async def asked(
    url: str, context: ssl.SSLContext, token: str = "", **headers: str
) -> int:
    """Ask for the findings over a connection of its own; give the status."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(f"{url}/v1/findings", headers=headers) as got,
    ):
        return got.status


async def test_a_client_certificate_is_who_its_name_says(tmp_path: Path) -> None:
    """One of another signer is not even heard; one that nobody knows may nothing."""
    ca, stranger = trustme.CA(), trustme.CA()
    write(tmp_path, ca)
    given = secured(tmp_path)
    given["tls"]["minimum"] = "1.3"
    async with running(tmp_path, **given) as run:
        url = run.url
        assert url.startswith("https://")
        assert await asked(url, context_of(ca)) == 401
        assert await asked(url, context_of(ca), "viewer") == 200
        assert await asked(url, context_of(ca, SOC)) == 200
        assert await asked(url, context_of(ca, "nobody.example.com")) == 401
        assert await asked(url, context_of(ca, "far.example.com")) == 403
        # A page that has a browser send it does not have its holder's rights.
        for page in (
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            assert await asked(url, context_of(ca, SOC), **page) == 401
        assert await asked(url, context_of(ca), "viewer", Origin="null") == 200
        # A token that is sent counts, however good the certificate is.
        assert await asked(url, context_of(ca, SOC), "nobody") == 401
        assert await asked(url, context_of(ca, SOC), "guard") == 403
        with pytest.raises((aiohttp.ClientError, OSError)):
            await asked(url, context_of(ca, SOC, by=stranger))
        old = context_of(ca)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((aiohttp.ClientError, OSError)):
            await asked(url, old)


async def test_a_renewed_certificate_is_served_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is a new signer of clients; broken files change nothing."""
    monkeypatch.setattr("streams.http.tls.LOOK_SECONDS", 0.01)
    first, second = trustme.CA(), trustme.CA()
    write(tmp_path, first)
    async with running(tmp_path, **secured(tmp_path)) as run:
        assert await asked(run.url, context_of(first, SOC)) == 200
        (tmp_path / "tls.key").write_text("broken", "utf-8")
        assert await asked(run.url, context_of(first, SOC)) == 200
        write(tmp_path, second)

        async def renewed() -> bool:
            try:
                return await asked(run.url, context_of(second, SOC)) == 200
            except (aiohttp.ClientError, OSError):
                return False

        await until(renewed)
        with pytest.raises((aiohttp.ClientError, OSError)):
            await asked(run.url, context_of(second, SOC, by=first))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_outlives_the_signer_of_a_client(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A client that was verified is verified again on its next connection."""
    ca = trustme.CA()
    write(tmp_path, ca)
    served = ServedTls(TlsSettings(**secured(tmp_path)["tls"]))
    client = context_of(ca, SOC)
    client.maximum_version = version
    first = handshake(client, served.context)
    second = handshake(client, served.context, first.session)

    assert not second.session_reused


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, session: Any = None
) -> ssl.SSLObject:
    """Connect two ends in memory; give the client's, which read what came after."""
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    back, forth = (ours, theirs), (theirs, ours)
    end = client.wrap_bio(*back, server_hostname="127.0.0.1", session=session)
    other = server.wrap_bio(*forth, server_side=True)
    for step in (end.do_handshake, other.do_handshake) * 3:
        with suppress(ssl.SSLWantReadError):
            step()
    other.write(b"x")
    assert end.read(1) == b"x"
    return end


@pytest.mark.parametrize(
    ("names", "ends", "said"),
    [
        ([("URI", "spiffe://example.com/soc")], "2099", None),
        ([("URI", "spiffe://example.com/soc")], "2020", "expired"),
        ([("DNS", "spiffe://example.com/soc")], "2099", "known here"),
        ([("URI", "spiffe://example.com/soc"), ("DNS", "two.com")], "2099", "of two"),
    ],
)
async def test_a_certificate_has_one_name_and_an_end(
    tmp_path: Path, names: list[tuple[str, str]], ends: str, said: str | None
) -> None:
    """Also on a connection that outlives it."""
    write(tmp_path, trustme.CA())
    given = secured(tmp_path)
    given["tls"]["clients"] = [
        {"san": "uri:spiffe://example.com/soc", "name": "soc", "roles": ["viewer"]},
        {"san": "dns:two.com", "name": "two", "roles": ["viewer"]},
    ]
    entry = access(Settings(**values(tmp_path, **given)), time.time_ns)
    app = web.Application()
    entry.guard(app)
    peer = {"notAfter": f"Jan  1 00:00:00 {ends} GMT", "subjectAltName": tuple(names)}
    transport = mock.Mock()
    transport.get_extra_info = lambda name, *_: peer if name == "peercert" else None
    request = make_mocked_request("GET", "/", transport=transport)
    (proving,) = app.middlewares
    answer = web.Response()
    told: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        told.append(request[PROVEN])
        return answer

    assert await proving(request, handler) is answer
    if said is None:
        assert told[0].name == "soc"
    else:
        assert said in told[0].detail


async def test_a_token_of_a_discovered_issuer_has_the_roles_of_its_groups(
    tmp_path: Path,
) -> None:
    """A bad one says why; an open route does not mind."""
    rules = RULES | {"allow_private": True, "roles": RULES["roles"][:2]}
    async with provider() as issuer:
        corp = rules | {"issuer": issuer}
        async with running(tmp_path, oidc={"corp": corp}) as run:
            now = time.time()
            times: dict[str, Any] = {"iss": issuer, "iat": now, "exp": now + 60}
            good = signed(**times)
            order = {"identifier": "agent.id:x", "reason": "r"}
            assert (await run.post("/v1/revocations", good, order))[0] == 201
            assert (await run.get("/v1/dlq", good))[0] == 403
            late = signed(**times | {"exp": now - 60})
            status, answer = await run.get("/v1/dlq", late)
            assert (status, answer["title"]) == (401, "token refused")
            assert "expired" in answer["detail"]
            headers = {"Authorization": f"Bearer {late}"}
            live = f"{run.url}/healthz/live"
            async with run.session.get(live, headers=headers) as got:
                assert got.status == 200
            far = signed(**times | {"groups": ["lead"]})
            assert (await run.post("/v1/adopt", far, {"credentials": []}))[0] == 403


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"issuer": "https://other.example.com", "jwks_uri": "x"}, "another issuer"),
        ({"issuer": "http://127.0.0.1"}, "no jwks_uri"),
        (None, "answers 404"),
    ],
)
async def test_a_discovery_document_that_is_wrong_gives_no_keys(
    tmp_path: Path, document: dict[str, Any] | None, said: str
) -> None:
    """Nobody gets in by it, and the log says why."""
    app = web.Application()

    async def discovery(_: web.Request) -> web.Response:
        return web.json_response(document)

    if document is not None:
        app.router.add_get("/.well-known/openid-configuration", discovery)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        roles = RULES["roles"][:1]
        corp = RULES | {"issuer": issuer, "allow_private": True, "roles": roles}
        settings = Settings(**values(tmp_path, oidc={"corp": corp}))
        entry = access(settings, time.time_ns)
        with capture_logs() as logged:
            async with entry.running():
                await until(lambda: entry.sets[0].failed)
        assert said in logged[0]["error"]
        assert not entry.sets[0].loaded
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Authorization", "Basic x")], 401),
        ([("Authorization", "Bearer viewer"), ("Authorization", "Bearer aws")], 401),
        ([("Authorization", "Bearer viewer")], 200),
    ],
)
async def test_one_header_one_credential(
    tmp_path: Path, headers: list[tuple[str, str]], status: int
) -> None:
    """Whoever sends two could show one to a proxy and the other to us."""
    async with (
        running(tmp_path) as run,
        run.session.get(f"{run.url}/v1/findings", headers=headers) as got,
    ):
        assert got.status == status


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"oidc": {"aws": RULES}, "tokens": "aws:x"}, "such names are for holders"),
        ({"oidc": {"a": RULES, "b": RULES}}, "stands twice"),
        ({"oidc": {"a": RULES}, "authorities": {}}, "no authority 'okta'"),
        ({"oidc": {"a": RULES | {"jwks": "nowhere"}}}, "oidc a: nowhere"),
        ({"tls": {"certificate": "nowhere", "key": "x"}}, "tls: nowhere"),
        ({"tls": TLS | {"clients": [CLIENT, CLIENT]}}, "dns:x stands twice"),
        (
            {"tls": TLS | {"clients": [CLIENT | {"authority": "no"}]}},
            "no authority 'no'",
        ),
    ],
)
def test_wrong_settings_say_what_is_wrong(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    """Before anything is served."""
    given = values(tmp_path) | {
        "authorities": {"okta": {"grants": []}, "vault": {"grants": []}}
    }
    token = {"sha256": "0" * 64, "roles": ["viewer"]}
    named = more.pop("tokens", None)
    if named is not None:
        more["tokens"] = [token | {"name": named}]
    with pytest.raises(ConfigurationError, match=said):
        access(Settings(**given | more), time.time_ns)


def test_clients_need_somebody_who_vouches_for_them() -> None:
    """Refused where the settings are read."""
    with pytest.raises(ValueError, match="clients need client_ca"):
        TlsSettings(certificate="a", key="b", clients=[CLIENT])
