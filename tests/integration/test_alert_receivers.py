"""A server and receivers of every type: what is found reaches all of them, once."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import trustme

from streams.apps.builders.alerting import alerting
from streams.cli import alerts as alert_commands
from streams.clients.rescind import Client
from streams.settings.server import Settings
from streams.sinks import http_delivery
from streams.stages.notify import retry
from streams.stages.notify.deliveries import Activity, AttemptOutcome
from streams.stages.notify.trial import trial
from tests.integration.fake_receivers import Receivers, endpoints, receivers
from tests.integration.serving import SECRET, Server, running, until
from tests.integration.test_http_delivery import now
from tests.integration.test_webhook_faults import _refused as cause_a_finding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture
async def there(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receivers]:
    """Give receivers that are up; Splunk is asked without pauses."""
    monkeypatch.setattr(http_delivery, "ASK_EVERY", 0.01)
    async with receivers() as each:
        yield each


async def test_a_finding_reaches_every_vendor_and_ends_there(
    tmp_path: Path, there: Receivers
) -> None:
    """In the form that each of them takes, from its beginning to its end."""
    alerts = {"endpoints": endpoints(there)}
    sentinel = {"silence": 0.5}
    async with running(tmp_path, alerts=alerts, sentinel=sentinel) as server:
        await cause_a_finding(server, 1)
        await until(lambda: there.webhook and there.slack and there.indexed)
        await until(lambda: there.incidents and there.alerts and there.syslog)
        (finding,) = await server.findings()
        await until(lambda: not any(there.incidents.values()))
        await until(lambda: any(text.startswith("CEF") for _, text in there.syslog[1:]))
        await until(lambda: any("No more news: " in text for text in there.slack))

    identity = finding["id"]
    assert set(there.incidents) == {identity}
    assert {e["finding_info"]["uid"] for e in there.webhook.values()} == {identity}
    assert there.indexed[0]["event"]["finding_info"]["uid"] == identity
    (alert,) = there.alerts.values()
    assert alert["labels"]["finding"] == identity
    assert there.slack[0].startswith("[HIGH] Statement from a source without authority")
    severity, text = there.syslog[0]
    assert (severity, f"externalId={identity}" in text) == (3, True)


async def test_one_that_hangs_holds_up_nobody(tmp_path: Path, there: Receivers) -> None:
    """While it holds all that it is given, the others get everything."""
    slow = {
        "type": "webhook",
        "url": f"{there.base}/hang",
        "secrets": [{"value": SECRET}],
        "allow_private": True,
        "timeout_seconds": 45,
    }
    soc = endpoints(there)["soc"]
    alerts = {"endpoints": {"slow": slow, "soc": soc}}
    async with running(tmp_path, alerts=alerts) as server:
        for number in range(40):
            await cause_a_finding(server, number)
        await until(lambda: len(there.webhook) == 40)

        assert not there.released.is_set()
        await until(lambda: there.hanging == 16)
        _, answer = await server.get("/v1/alerts")
        there.released.set()

    slow_one, soc_one = answer["endpoints"]
    assert (slow_one["name"], slow_one["waiting"]) == ("slow", 40)
    assert (soc_one["name"], soc_one["waiting"]) == ("soc", 0)


async def command(server: Server, name: str, *args: Any) -> int:
    """Run a command against a server, as `rescind alerts` does."""
    work = getattr(alert_commands, name)
    client = Client(server.url, "restorer" if name != "list_receivers" else "viewer")
    return int(await asyncio.to_thread(work, client, *args))


async def test_what_was_given_up_is_shown_and_replayed(
    tmp_path: Path,
    there: Receivers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With its id, over a restart, and once: what has arrived is no dead letter."""
    monkeypatch.setattr(retry, "ATTEMPTS", 1)
    there.flaky = [500]
    alerts = {"endpoints": {"soc": endpoints(there)["soc"]}}
    async with running(tmp_path, alerts=alerts) as server:
        await cause_a_finding(server, 1)

        async def letters() -> Any:
            return (await server.get("/v1/alerts"))[1]["dead_letters"]

        (letter,) = await until(letters)
    async with running(tmp_path, alerts=alerts) as server:
        assert there.webhook == {}
        assert await command(server, "list_receivers", "table") == 0
        assert await command(server, "send_again", None, "table") == 0
        await until(lambda: there.webhook)
        await until(lambda: _none_is_dead(server))
        assert await command(server, "send_again", "soc", "json") == 0

    out = capsys.readouterr().out
    assert list(there.webhook) == [letter["id"]]
    assert letter["reason"] == "exhausted: 500 after 1 attempts"
    assert letter["id"] in out
    assert "1 message on the way again" in out
    assert '{"replayed": 0}' in out


async def _none_is_dead(server: Server) -> bool:
    return not (await server.get("/v1/alerts"))[1]["dead_letters"]


async def test_the_test_tries_every_receiver_out(
    tmp_path: Path, there: Receivers, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says who took it, and leaves no incident and no dead letter behind."""
    gone = {
        "type": "webhook",
        "url": f"{there.base}/gone",
        "secrets": [{"value": SECRET}],
        "allow_private": True,
    }
    alerts = {"endpoints": endpoints(there, gone=gone)}
    async with running(tmp_path, alerts=alerts) as server:
        assert await command(server, "send_tests", None, "table") == 1
        assert await command(server, "send_tests", "pager", "json") == 0
        for token, status in (("viewer", 403), ("nobody", 401)):
            for action in ("test", "replay"):
                assert (await server.post(f"/v1/alerts/{action}", token, {}))[0] == (
                    status
                )
        body = {"endpoint": "nobody"}
        status, problem = await server.post("/v1/alerts/test", "restorer", body)
        assert (status, problem["title"]) == (404, "unknown endpoint")
        assert await _none_is_dead(server)

    out = capsys.readouterr().out
    assert "gone did NOT take it: it answered 410" in out
    for name in ("soc", "chat", "pager", "siem", "metrics", "log"):
        assert f"{name} took it" in out
    assert not any(there.incidents.values())
    assert "Test of alerts, ignore it" in there.slack[0]


async def attempt(settings: dict[str, Any]) -> AttemptOutcome:
    """Make one attempt at the one endpoint of settings."""
    made = alerting(Settings(alerts={"endpoints": {"one": settings}}))
    return await made.ways["one"](trial("one", "r", Activity.CREATE, now()), now())


async def test_the_log_says_when_a_receiver_fails_and_when_it_is_back(
    there: Receivers,
) -> None:
    """Once each, with its name and no secret."""
    soc = endpoints(there)["soc"]
    post = alerting(Settings(alerts={"endpoints": {"soc": soc}})).poster(now)
    there.flaky = [500, 503]
    with structlog.testing.capture_logs() as said:
        for _ in range(4):
            await post(trial("soc", "r", Activity.CREATE, now()))

    assert [(each["log_level"], each["receiver"]) for each in said] == [
        ("warning", "soc"),
        ("info", "soc"),
    ]
    assert said[0]["why"] == 500
    assert SECRET not in str(said)


@pytest.mark.parametrize("kind", ["chat", "pager", "siem", "metrics", "log"])
async def test_no_sink_connects_to_what_is_not_public(
    there: Receivers, kind: str
) -> None:
    """Without allow_private: the name is public, and leads to this machine."""
    settings = endpoints(there)[kind] | {"allow_private": False}
    for name in ("url", "base"):
        if isinstance(settings.get(name), str):
            settings[name] = "https://localhost"
    if kind == "chat":
        settings["url"] = {"value": "https://localhost/services/T0/B0/x"}
    if kind == "log":
        settings |= {"tls": True, "port": 6514, "host": "localhost"}

    assert await attempt(settings) == AttemptOutcome(error="refused_address")


async def test_syslog_over_tls_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    """And nobody else: a certificate of a stranger ends the attempt."""
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    trusted, untrusted = tmp_path / "ca.pem", tmp_path / "other.pem"
    authority.cert_pem.write_to_path(str(trusted))
    stranger.cert_pem.write_to_path(str(untrusted))
    async with receivers(context) as each:
        settings = endpoints(each)["log"] | {"tls": True, "host": "127.0.0.1"}
        refused = await attempt(settings | {"ca_file": str(untrusted)})
        taken = await attempt(settings | {"ca_file": str(trusted), "form": "json"})
        await until(lambda: each.syslog)

    assert refused == AttemptOutcome(error="unreachable")
    assert taken == AttemptOutcome(status=202)
    assert each.syslog[0][1].startswith('{"activity_id":1')


async def test_splunk_that_never_acknowledges_has_not_got_it(
    there: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its 200 says only that the event was well formed."""
    settings = endpoints(there)["siem"] | {"timeout_seconds": 0.3}

    assert (await attempt(settings)).accepted
    monkeypatch.setattr(http_delivery, "ASK_EVERY", 60.0)
    assert await attempt(settings) == AttemptOutcome(error="timeout")
    wrong = settings | {"token": {"value": "wrong"}}
    assert await attempt(wrong) == AttemptOutcome(status=403)
