"""The server reads vendors' logs from APIs that behave as the vendors document."""

from __future__ import annotations

import functools
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from pydantic import ValidationError

from streams.model.times import SECOND, rfc3339
from streams.settings.server import Settings
from streams.sources.keycloak import poll as keycloak_feed
from tests.golden.answers import causes
from tests.integration.fake_vendors import graph, keycloak, okta, query_of, serving
from tests.integration.serving import running, until, values

if TYPE_CHECKING:
    from tests.integration.fake_vendors import Vendor
    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

AUTHORITIES = values(Path())["authorities"] | {
    "idp": {
        "grants": [
            {"kind": "okta.*"}, {"kind": "entra.*"}, {"kind": "keycloak.*"},
            {"kind": "jwt.jti"}, {"kind": "session.id"},
        ]
    }
}  # fmt: skip
SECRET = {"value": "s3cret"}


def ago(seconds: float) -> int:
    """Give a time (ns) before now."""
    return time.time_ns() - int(seconds * SECOND)


def polling(vendor: Vendor, kind: str, **more: Any) -> dict[str, Any]:
    """Give settings that poll a vendor quickly."""
    own: dict[str, Any] = {"client_id": "rescind", "client_secret": SECRET}
    if kind == "okta":
        own = {"token": SECRET}
    elif kind == "entra":
        own |= {"tenant": "tenant", "login": vendor.url}
    else:
        own["realm"] = "r"
    one = {
        "vendor": kind, "url": vendor.url, "authority": "idp", "allow_http": True,
        "interval": 0.02, **own, **more,
    }  # fmt: skip
    return {"polls": {"idp": one}, "authorities": AUTHORITIES}


def okta_event(kind: str, uuid: str, target: str, at: int) -> dict[str, Any]:
    """Give a System Log event about one user."""
    return {
        "uuid": uuid, "eventType": kind, "published": rfc3339(at),
        "outcome": {"result": "SUCCESS"}, "actor": {"id": "00uA", "type": "User"},
        "target": [{"id": target, "type": "User", "alternateId": f"{target}@x"}],
    }  # fmt: skip


def entra_event(activity: str, identity: str, user: str, at: int) -> dict[str, Any]:
    """Give a directory audit about one user."""
    return {
        "id": identity, "activityDisplayName": activity, "result": "success",
        "activityDateTime": rfc3339(at), "initiatedBy": {"user": {"id": "admin"}},
        "targetResources": [{"id": user, "type": "User"}],
    }  # fmt: skip


def keycloak_event(identity: str, user: str, at: int, **after: Any) -> dict[str, Any]:
    """Give an admin event that updates one user."""
    return {
        "id": identity, "time": at // 10**6, "realmId": "r", "authDetails": {},
        "operationType": "UPDATE", "resourceType": "USER",
        "resourcePath": f"users/{user}", "representation": orjson.dumps(after).decode(),
    }  # fmt: skip


async def dead(server: Server, identifier: str) -> bool:
    """Tell whether an identifier is denied for a cause."""
    _, why = await server.get(f"/v1/why/{identifier}")
    return not why["allowed"] and any(
        word in orjson.dumps(why).decode() for word in ("suspend", "revoke")
    )


async def rounds(vendor: Vendor, more: int = 3) -> None:
    """Wait for further requests of the log."""
    wanted = len(vendor.asked) + more
    await until(lambda: len(vendor.asked) >= wanted)


async def test_okta_is_read_page_by_page_and_goes_on_after_a_restart(
    tmp_path: Path,
) -> None:
    """Late events come behind the link; a restart asks for the next page only."""
    async with okta() as vendor:
        for number in range(5):
            vendor.events.append(
                okta_event("user.lifecycle.suspend", f"u{number}", f"00u{number}",
                           ago(100 - number))
            )  # fmt: skip
        settings = polling(vendor, "okta")
        async with running(tmp_path, **settings) as server:
            await until(lambda: dead(server, "okta.user:00u4"))
            for number in range(5):
                assert await dead(server, f"okta.user:00u{number}")
            # Stored now, though it says to be an hour old.
            late = okta_event("user.lifecycle.suspend", "l", "00uLate", ago(3000))
            vendor.events.append(late)
            await until(lambda: dead(server, "okta.user:00uLate"))
        assert "since" in query_of(vendor.asked[0])
        before = len(vendor.asked)
        vendor.events.append(
            okta_event("user.lifecycle.suspend", "w", "00uWhile", ago(1))
        )
        async with running(tmp_path, **settings) as server:
            await until(lambda: dead(server, "okta.user:00uWhile"))
            assert await dead(server, "okta.user:00u0")
        assert {"after": ["6"]} == query_of(vendor.asked[before])


async def test_limits_and_faults_cost_time_and_no_event(tmp_path: Path) -> None:
    """429, 500, nonsense and a link to another host: asked again, nothing is lost."""

    def limited(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "0"})

    def broken(_: web.Request) -> web.Response:
        return web.Response(status=500)

    def nonsense(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    def astray(_: web.Request) -> web.Response:
        event = okta_event("user.lifecycle.suspend", "x", "00uEvil", ago(1))
        link = f'<{elsewhere.url}/api/v1/logs?after=1>; rel="next"'
        return web.json_response([event], headers={"Link": link})

    def moved(_: web.Request) -> web.Response:
        there = {"Location": f"{elsewhere.url}/api/v1/logs?after=1"}
        return web.Response(status=302, headers=there)

    async with okta() as vendor, okta() as elsewhere:
        vendor.planned = [limited, broken, nonsense, astray, moved]
        for name in ("00u1", "00u2", "00u3"):
            vendor.events.append(
                okta_event("user.lifecycle.suspend", name, name, ago(50))
            )
        async with running(tmp_path, **polling(vendor, "okta")) as server:
            await until(lambda: dead(server, "okta.user:00u3"))
            assert await dead(server, "okta.user:00u1")
            assert not await dead(server, "okta.user:00uEvil")
            assert [] == elsewhere.asked
            async with server.session.get(f"{server.url}/metrics") as got:
                metrics = await got.text()
        name = 'rescind_source_requests_total{result="failed",source="poll:idp/logs"}'
        assert f"{name} 5.0" in metrics
        assert "s3cret" not in (tmp_path / "data" / "rescind.db").read_bytes().decode(
            "latin-1"
        )


async def test_a_link_that_okta_forgot_is_replaced_by_the_time(tmp_path: Path) -> None:
    """410 for the place: the log is read again from the newest event on."""

    def forgotten(_: web.Request) -> web.Response:
        return web.Response(status=410)

    async with okta() as vendor:
        vendor.events.append(okta_event("user.lifecycle.suspend", "a", "00u1", ago(50)))
        async with running(tmp_path, **polling(vendor, "okta")) as server:
            await until(lambda: dead(server, "okta.user:00u1"))
            vendor.events.append(
                okta_event("user.lifecycle.suspend", "b", "00u2", ago(1))
            )
            before = len(vendor.asked)
            vendor.planned = [forgotten]
            await until(lambda: dead(server, "okta.user:00u2"))
        assert any("since" in query_of(path) for path in vendor.asked[before:])


async def test_a_wrong_token_takes_nothing_in(tmp_path: Path) -> None:
    """401 from the vendor is counted and asked again."""
    async with okta() as vendor:
        vendor.events.append(okta_event("user.lifecycle.suspend", "a", "00u1", ago(50)))
        wrong = {"value": "another"}
        settings = polling(vendor, "okta", token=wrong)
        async with running(tmp_path, **settings) as server:
            await rounds(vendor)
            assert not await dead(server, "okta.user:00u1")


async def test_what_okta_keeps_no_more_is_a_finding(tmp_path: Path) -> None:
    """A server that slept longer than the retention says what it may have missed."""
    async with okta() as vendor:
        settings = polling(vendor, "okta")
        async with running(tmp_path, **settings) as server:
            await rounds(vendor)
            assert [] == await server.findings()
        soon = polling(vendor, "okta", retention=1e-9)
        async with running(tmp_path, **soon) as server:
            found = await until(server.findings)
            _, told = await server.get("/v1/sources")
    assert "source_gap" == found[0]["kind"]
    assert "source:poll:idp/logs" == found[0]["presented"]
    assert told["sources"][0]["gap"]


async def test_entra_is_read_in_windows_that_overlap(tmp_path: Path) -> None:
    """Late events inside the overlap count; a token that ended is asked anew."""
    async with graph() as vendor:
        for number in range(5):
            vendor.events.append(
                entra_event("Disable account", f"e{number}", f"user-{number}",
                            ago(100 - number))
            )  # fmt: skip
        async with running(tmp_path, **polling(vendor, "entra")) as server:
            await until(lambda: dead(server, "entra.user:user-0"))
            assert await dead(server, "entra.user:user-4")
            vendor.good = "Bearer another"
            vendor.events.append(
                entra_event("Disable account", "late", "user-late", ago(600))
            )
            await until(lambda: dead(server, "entra.user:user-late"))
            facts = server.served.stages.store.end
            await rounds(vendor)
            again = server.served.stages.store.end
    assert vendor.tokens >= 2
    assert facts == again


async def test_one_id_with_two_contents_counts_twice(tmp_path: Path) -> None:
    """What was read is known by its content, not by its id."""
    async with graph() as vendor:
        vendor.events = [
            entra_event("Disable account", "same", "user-1", ago(50)),
            entra_event("Disable account", "same", "user-2", ago(50)),
            entra_event("Disable account", "same", "user-2", ago(50)),
        ]
        async with running(tmp_path, **polling(vendor, "entra")) as server:
            await until(lambda: dead(server, "entra.user:user-1"))
            await until(lambda: dead(server, "entra.user:user-2"))


async def test_keycloak_events_of_both_logs_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Disable and re-enable; pages shift while they are read; ahead clocks too."""
    monkeypatch.setattr(keycloak_feed, "MAX", 2)
    async with keycloak() as vendor:
        vendor.events = [
            keycloak_event("a1", "alice", ago(100), enabled=False),
            keycloak_event("b1", "bob", ago(90), enabled=False),
            keycloak_event("b2", "bob", ago(80), enabled=True),
            keycloak_event("c1", "carol", ago(70), enabled=False),
            {"id": "u1", "time": ago(60) // 10**6, "realmId": "r", "type": "LOGOUT",
             "clientId": "c", "userId": "dave", "sessionId": "s-1", "details": {}},
        ]  # fmt: skip

        def insert(_: web.Request) -> web.Response:
            vendor.events.append(keycloak_event("e1", "erin", ago(1), enabled=False))
            raise web.HTTPServiceUnavailable

        vendor.planned = [None, None, None, insert]
        async with running(tmp_path, **polling(vendor, "keycloak")) as server:
            for name in ("keycloak.user:alice", "keycloak.user:carol",
                         "keycloak.user:erin", "session.id:s-1"):  # fmt: skip
                await until(functools.partial(dead, server, name))
            assert not await dead(server, "keycloak.user:bob")
            # Its clock runs ten minutes ahead: the watermark must not follow it.
            vendor.events.append(
                keycloak_event("f1", "frank", ago(-600), enabled=False)
            )
            await until(lambda: dead(server, "keycloak.user:frank"))
            vendor.events.append(keycloak_event("g1", "grace", ago(0), enabled=False))
            await until(lambda: dead(server, "keycloak.user:grace"))


async def test_a_poll_of_an_unknown_authority_is_a_wrong_setting(
    tmp_path: Path,
) -> None:
    """The server says so before it serves."""
    async with okta() as vendor:
        settings = polling(vendor, "okta", authority="nobody")
        with pytest.raises(BaseExceptionGroup) as raised:
            async with running(tmp_path, **settings):
                pass
    assert "poll idp: no authority 'nobody'" in str(raised.value.exceptions[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://idp.example", "allow_http": False},
        {"url": "https://user:word@idp.example"},
        {"url": "file:///etc/passwd"},
        {"token": {}},
        {"token": {"value": "a", "file": "b"}},
    ],
)
async def test_unusable_polls_are_wrong_settings(wrong: dict[str, Any]) -> None:
    """No secret goes over plain HTTP, and each has one place."""
    one = {"vendor": "okta", "authority": "idp", "token": SECRET} | wrong
    one.setdefault("url", "https://org.okta.example")
    with pytest.raises(ValidationError):
        Settings.model_validate({"polls": {"idp": one}})


async def test_a_round_goes_on_where_a_restart_cut_it(tmp_path: Path) -> None:
    """No page is left out, and none that was written is asked for again."""

    def down(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async with graph() as vendor:
        vendor.events = [
            entra_event("Disable account", f"e{n}", f"user-{n}", ago(100 - n))
            for n in range(6)
        ]
        vendor.planned = [None, None, *[down] * 1000]
        settings = polling(vendor, "entra")
        async with running(tmp_path, **settings) as server:
            await until(lambda: dead(server, "entra.user:user-2"))
            assert not await dead(server, "entra.user:user-1")
        vendor.planned, before = [], len(vendor.asked)
        async with running(tmp_path, **settings) as server:
            for number in range(6):
                name = f"entra.user:user-{number}"
                await until(functools.partial(dead, server, name))
        assert ["4"] == query_of(vendor.asked[before])["$skiptoken"]


async def test_a_whole_system_log_comes_through_a_poll(
    tmp_path: Path, samples: Path
) -> None:
    """Two events of one uuid are two causes; the later end of a user stands."""
    async with okta() as vendor:
        vendor.events = orjson.loads((samples / "okta/system-log.json").read_bytes())
        vendor.limit = 3
        settings = polling(vendor, "okta", first=20 * 365 * 86_400)
        query = "SELECT count(*) FROM recent_facts WHERE key >= x'07' AND key < x'08'"
        async with running(tmp_path, **settings) as server:
            store = server.served.stages.store

            async def all_causes() -> bool:
                return [(len(causes("okta/system-log.json")),)] == await store.read(
                    query
                )

            await until(all_causes)
            await until(lambda: dead(server, "okta.user:00ukq2jonasVeld15d7"))


async def test_a_vendor_that_gives_no_token_is_asked_again(tmp_path: Path) -> None:
    """A wrong client secret, a login that talks nonsense: counted, and no end."""
    answers = ["", "[]", "{}", '{"access_token": 1}', '{"access_token": "a\\nb"}',
               '{"access_token": "a", "expires_in": "soon"}']  # fmt: skip

    async def login(_: web.Request) -> web.Response:
        if answers:
            return web.Response(text=answers.pop())
        raise web.HTTPUnauthorized

    async with (
        graph() as vendor,
        serving(("POST", "/tenant/oauth2/v2.0/token", login)) as url,
    ):
        settings = polling(vendor, "entra", login=url)
        async with running(tmp_path, **settings) as server:
            await until(functools.partial(failed, server, 8))
        assert [] == vendor.asked
        wrong = polling(vendor, "entra", client_secret={"value": "wrong"})
        async with running(tmp_path, **wrong) as server:
            await until(functools.partial(failed, server, 2))
        assert 0 == vendor.tokens


async def test_a_vendor_that_is_not_there_ends_no_server(tmp_path: Path) -> None:
    """And what happens there meanwhile is read once it is."""
    async with okta() as vendor:
        nowhere = polling(vendor, "okta", first=0)
        nowhere["polls"]["idp"]["url"] = "http://127.0.0.1:1"
        async with running(tmp_path, **nowhere) as server:
            await until(functools.partial(failed, server, 2))
        vendor.events.append(okta_event("user.lifecycle.suspend", "a", "00u1", ago(0)))
        async with running(tmp_path, **polling(vendor, "okta", first=0)) as server:
            await until(lambda: dead(server, "okta.user:00u1"))


async def failed(server: Server, times: int) -> bool:
    """Tell whether requests failed so often."""
    async with server.session.get(f"{server.url}/metrics") as got:
        found = re.search(
            r'\{result="failed",source="[^"]*"\} ([\d.]+)', await got.text()
        )
    return found is not None and float(found[1]) >= times
