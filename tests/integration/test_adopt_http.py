"""Asking a system over HTTP: pages, limits, faults, and where the credential goes."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from aiohttp import web

from streams.adopt.system_calls import TRIES, System, checked_base, run
from streams.clients.rescind import REFUSED, UNREACHABLE, ClientError
from streams.outbound.client_credentials import ClientCredentials
from streams.sources.adopting.listing import Listing, ListingError
from streams.sources.adopting.walk import ListRequest
from streams.sources.okta import adopt as okta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp.typedefs import Handler

    from streams.sources.adopting.walk import Walk


pytestmark = pytest.mark.integration

SECRET = {"Authorization": "SSWS secret"}
PAGES = 12


def user(number: int) -> dict[str, Any]:
    """Give a user as Okta lists it."""
    return {"id": f"u{number}", "status": "ACTIVE", "profile": {}}


class Okta:
    """An organisation of some pages of users; planned answers come first."""

    def __init__(self, *planned: web.Response) -> None:
        """Answer as planned, then well."""
        self.planned = list(planned)
        self.asked: list[web.Request] = []
        self.fails_at = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        self.asked.append(request)
        if self.planned:
            return self.planned.pop(0)
        if self.fails_at and self.fails_at in request.path_qs:
            return web.Response(status=500)
        if request.path != "/api/v1/users":
            return web.json_response([])
        page = int(request.query.get("after", "0"))
        answer = web.json_response([user(page * 200 + n) for n in range(200)])
        here = request.url.origin()
        # A header for each link, as Okta writes them, next not the last.
        if page + 1 < PAGES:
            more = f"{here}/api/v1/users?after={page + 1}"
            answer.headers.add("Link", f'<{more}>; rel="next"')
        answer.headers.add("Link", f'<{here}/api/v1/users?limit=200>; rel="self"')
        return answer


@asynccontextmanager
async def serving(
    handle: Handler, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve on a free port; give the base URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_thousands_of_users_over_pages_and_a_rate_limit() -> None:
    """It waits as long as it is asked to, and goes on where it was."""
    limits = [
        web.Response(status=429, headers={"Retry-After": "7"}),
        web.Response(status=429, headers={
            "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "1000",
            "Date": "Thu, 01 Jan 1970 00:16:30 GMT",
        }),
        web.Response(status=503),
    ]  # fmt: skip
    system, waits = Okta(*limits), []

    async def pause(seconds: float) -> None:
        waits.append(seconds)

    async with serving(system.handle) as base:
        listing = await run(okta.walk(base), System(base, SECRET), pause)

    assert 2 * 200 * PAGES == len(listing.entries())  # users, and their sessions
    assert [7.0, 10.0, 4.0] == waits
    assert {"SSWS secret"} == {each.headers["Authorization"] for each in system.asked}


async def test_a_page_that_fails_half_way_ends_it_all() -> None:
    """After some tries; the error says how far it came, and nothing is told."""
    system = Okta()
    system.fails_at = "after=5"

    async def pause(_: float) -> None:
        pass

    async with serving(system.handle) as base:
        with pytest.raises(
            ClientError, match=r"users: status 500 \(after 5 ans"
        ) as got:
            await run(okta.walk(base), System(base, SECRET), pause)

    assert UNREACHABLE == got.value.code
    assert 5 + TRIES == len(system.asked)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (web.Response(status=401), "credential is not taken"),
        (web.Response(status=403), "may not read this"),
        (web.Response(status=302, headers={"Location": "https://evil"}), "status 302"),
        (web.Response(status=429, headers={"Retry-After": "3600"}), "to wait 3600 s"),
    ],
    ids=["401", "403", "302", "429"],
)
async def test_what_no_repetition_helps_ends_at_once(
    answer: web.Response, said: str
) -> None:
    """Redirects would take the credential along; an hour is too long to wait."""
    system = Okta(answer)

    async def pause(_: float) -> None:
        raise AssertionError("it waits")

    async with serving(system.handle) as base:
        with pytest.raises(ClientError, match=said):
            await run(okta.walk(base), System(base, SECRET), pause)

    assert 1 == len(system.asked)


async def test_only_the_named_authority_is_trusted(tmp_path: Path) -> None:
    """TLS is checked; --ca names who may sign."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    system = Okta()

    async def pause(_: float) -> None:
        pass

    async with serving(system.handle, context) as base:
        with pytest.raises(ClientError, match="not trusted"):
            await run(okta.walk(base), System(base, SECRET), pause)
        assert [] == system.asked
        trusted = System(base, SECRET, tmp_path / "ca.pem")
        assert (await run(okta.walk(base), trusted, pause)).entries()


async def test_access_tokens_are_got_as_a_client_and_forms_are_signed() -> None:
    """A secret that is not taken is told; a signature covers what is posted."""
    asked: list[tuple[str, str, bytes]] = []

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        asked.append((request.path, request.headers.get("Authorization", ""), body))
        if request.path != "/token":
            return web.json_response([])
        if b"client_secret=right" not in body:
            return web.Response(status=401)
        return web.json_response({"access_token": "t", "expires_in": 60})

    async def pause(_: float) -> None:
        raise AssertionError("it waits")

    def tokens(base: str, secret: str) -> ClientCredentials:
        url = f"{base}/token"
        return ClientCredentials(url, "rescind", lambda: secret, lambda: 0.0)

    def form() -> Walk:
        yield [ListRequest("", form="Action=A")]
        return Listing()

    def sign(url: str, body: bytes) -> dict[str, str]:
        return {"Authorization": f"{url} {body.decode()}"}

    async with serving(handle) as base:
        good = System(base, tokens=tokens(base, "right"))
        await run(okta.walk(base), good, pause)
        bearers = {given for path, given, _ in asked if path != "/token"}
        bad = System(base, tokens=tokens(base, "wrong"))
        with pytest.raises(
            ClientError, match="no access token: the token endpoint answers 401"
        ) as got:
            await run(okta.walk(base), bad, pause)
        await run(form(), System(base, sign=sign), pause)

    assert {"Bearer t"} == bearers
    assert REFUSED == got.value.code
    assert ("/", f"{base}/ Action=A", b"Action=A") == asked[-1]


@pytest.mark.parametrize(
    "url",
    ["http://vault.example:8200", "vault:8200", "https://", "https://u:p@host",
     "https://host?x", "https://[", "ftp://127.0.0.1"],
)  # fmt: skip
def test_the_credential_leaves_this_machine_by_tls_alone(url: str) -> None:
    """And only to a URL that says one place."""
    with pytest.raises(ListingError) as got:
        checked_base(url)
    assert "u:p" not in str(got.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8200/", "http://[::1]:1", "http://localhost", "https://h/x"],
)
def test_loopback_needs_no_tls(url: str) -> None:
    """For a vault on this machine."""
    assert url.rstrip("/") == checked_base(url)
