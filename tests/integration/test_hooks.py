"""Vendors push to a running server: handshakes, secrets, and events that count."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streams.engines.embedded import store
from streams.settings.server import load
from tests.integration.serving import running, values

if TYPE_CHECKING:
    from tests.integration.serving import Server

pytestmark = pytest.mark.integration

SECRET = "a long random secret"
HOOKS: dict[str, Any] = {
    "okta": {"vendor": "okta", "header": "X-Hook-Secret"},
    "graph": {"vendor": "graph"},
    "github": {"vendor": "github"},
}
OKTA = {
    "eventType": "com.okta.event_hook",
    "data": {"events": [{
        "uuid": "u1", "eventType": "user.lifecycle.suspend",
        "published": "2026-01-02T03:04:05.000Z", "outcome": {"result": "SUCCESS"},
        "actor": {"id": "00uA", "type": "User"},
        "target": [{"id": "00u1", "type": "User"}],
    }]},
}  # fmt: skip
INSTALLATION = {
    "action": "suspend", "installation": {"id": 7, "app_id": 5},
    "sender": {"id": 9, "login": "octo"},
}  # fmt: skip


def notification(state: str = SECRET, **more: Any) -> dict[str, Any]:
    """Give a body of Graph with one notification."""
    one = {"subscriptionId": "s1", "clientState": state} | more
    return {"value": [one]}


DELETED: dict[str, Any] = {
    "changeType": "deleted", "resource": "Users/user-1",
    "resourceData": {"id": "user-1", "@odata.type": "#Microsoft.Graph.User"},
}  # fmt: skip


def settings(folder: Path) -> dict[str, Any]:
    """Give settings with a hook for each vendor; one secret lies in a file."""
    file = folder / "secret"
    file.write_text(f"{SECRET}\n")
    hooks = {
        name: each | {"authority": "idp", "secret": {"value": SECRET}}
        for name, each in HOOKS.items()
    }
    hooks["github"]["secret"] = {"file": str(file)}
    grants = [{"kind": kind} for kind in ("okta.*", "entra.*", "github.*")]
    authorities = values(folder)["authorities"] | {"idp": {"grants": grants}}
    return {"hooks": hooks, "authorities": authorities}


async def push(
    server: Server, hook: str, body: Any, headers: dict[str, str] | None = None
) -> int:
    """Push a body; give the status of the answer."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    sent = {"Content-Type": "application/json"} | (headers or {})
    url = f"{server.url}/v1/hooks/{hook}"
    async with server.session.post(url, data=data, headers=sent) as got:
        return got.status


def signed(body: Any, secret: str = SECRET) -> dict[str, str]:
    """Sign a body as GitHub does."""
    mac = hmac.new(secret.encode(), orjson.dumps(body), hashlib.sha256)
    return {
        "X-Hub-Signature-256": f"sha256={mac.hexdigest()}",
        "X-GitHub-Event": "installation", "X-GitHub-Delivery": "d1",
    }  # fmt: skip


async def why(server: Server, identifier: str) -> str:
    """Give what the server says of an identifier, as text."""
    _, answer = await server.get(f"/v1/why/{identifier}")
    return orjson.dumps(answer).decode()


async def test_authentic_pushes_are_on_disk_when_they_are_answered(
    tmp_path: Path,
) -> None:
    """A restart right after the answer still denies."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        header = {"X-Hook-Secret": SECRET}
        assert 202 == await push(server, "okta", OKTA, header)
        assert 202 == await push(server, "graph", notification(**DELETED))
        assert 202 == await push(server, "github", INSTALLATION, signed(INSTALLATION))
    async with running(tmp_path, **settings(tmp_path)) as server:
        for name in ("okta.user:00u1", "entra.user:user-1", "github.installation:7"):
            assert 'cause":{' in await why(server, name)


async def test_what_is_not_authentic_changes_nothing_and_is_counted(
    tmp_path: Path,
) -> None:
    """401 for each vendor's way to be wrong; nothing of a secret is said."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        good = signed(INSTALLATION)
        two = notification(**DELETED)
        two["value"] += notification("wrong", **DELETED)["value"]
        for hook, body, headers in (
            ("okta", OKTA, {}),
            ("okta", OKTA, {"X-Hook-Secret": "wrong"}),
            ("okta", OKTA, {"X-Hook-Secret": ""}),
            ("okta", OKTA, {"Authorization": SECRET}),
            ("graph", notification("wrong", **DELETED), {}),
            ("graph", two, {}),
            ("graph", b"", {}),
            ("graph", {"value": []}, {}),
            ("github", INSTALLATION, {}),
            ("github", INSTALLATION, signed(INSTALLATION, "wrong")),
            ("github", INSTALLATION | {"action": "deleted"}, good),
        ):
            assert 401 == await push(server, hook, body, headers)
        assert 404 == await push(server, "nobody", OKTA)
        for name in ("okta.user:00u1", "entra.user:user-1", "github.installation:7"):
            said = await why(server, name)
            assert "suspend" not in said
            assert "revoke" not in said
        async with server.session.get(f"{server.url}/metrics") as got:
            metrics = await got.text()
    for hook, times in (("okta", 4), ("graph", 4), ("github", 3)):
        line = f'rescind_source_requests_total{{result="refused",source="hook:{hook}"}}'
        assert f"{line} {times}.0" in metrics


async def test_handshakes_are_answered_as_the_vendors_ask(tmp_path: Path) -> None:
    """Okta's challenge as JSON, Graph's token as plain text and never as HTML."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        url = f"{server.url}/v1/hooks"
        challenge = {"X-Okta-Verification-Challenge": "abc"}
        async with server.session.get(f"{url}/okta", headers=challenge) as got:
            assert (200, {"verification": "abc"}) == (got.status, await got.json())
        async with server.session.get(f"{url}/okta") as got:
            assert 405 == got.status
        async with server.session.get(f"{url}/github", headers=challenge) as got:
            assert 405 == got.status
        token = {"validationToken": "Validation: <b>1</b> & more"}
        async with server.session.post(f"{url}/graph", params=token) as got:
            assert (200, token["validationToken"]) == (got.status, await got.text())
            assert "text/plain" == got.content_type
        async with server.session.post(f"{url}/okta", params=token) as got:
            assert 401 == got.status


async def test_what_graph_says_of_a_subscription_is_kept(tmp_path: Path) -> None:
    """Missed notifications are a finding, for revocations may be among them."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        for event in ("reauthorizationRequired", "missed", "subscriptionRemoved"):
            body = notification(lifecycleEvent=event)
            assert 202 == await push(server, "graph", body)
        _, letters = await server.get("/v1/dlq")
        text = orjson.dumps(letters).decode()
        assert 2 == text.count("events_lost")
        assert 1 == text.count("subscription_expires")


async def test_a_form_of_github_is_refused_in_words(tmp_path: Path) -> None:
    """415: its records would be lost one by one."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        headers = signed(INSTALLATION) | form
        assert 415 == await push(server, "github", INSTALLATION, headers)


async def test_a_hook_whose_secret_is_not_there_is_a_wrong_setting(
    tmp_path: Path,
) -> None:
    """The server says so before it serves."""
    missing = settings(tmp_path)
    (tmp_path / "secret").write_text(" \n")
    with pytest.raises(BaseExceptionGroup) as raised:
        async with running(tmp_path, **missing):
            pass
    assert "hook github" in str(raised.value.exceptions[0])


def test_a_secret_of_the_environment_joins_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not shown."""
    file = tmp_path / "settings.yaml"
    file.write_text("hooks: {okta: {vendor: okta, authority: idp}}\n")
    monkeypatch.setenv("RESCIND_HOOKS__OKTA__SECRET__VALUE", SECRET)
    loaded = load(file)
    assert SECRET == loaded.hooks["okta"].secret.reveal()
    assert SECRET not in repr(loaded)


async def test_what_cannot_be_written_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and the vendor repeats."""
    async with running(tmp_path, **settings(tmp_path)) as server:
        header = {"X-Hook-Secret": SECRET}
        with monkeypatch.context() as full:
            full.setattr(store, "MAX_WAITING", 0)
            assert 503 == await push(server, "okta", OKTA, header)
        assert "suspend" not in await why(server, "okta.user:00u1")
        assert 202 == await push(server, "okta", OKTA, header)
