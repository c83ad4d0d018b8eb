"""The example extension: a vendor and a sink that nothing in the tree knows."""

from __future__ import annotations

import functools
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml
from aiohttp import web
from pydantic import ValidationError
from typer.testing import CliRunner

from streams.cli.main import app
from streams.services.parse import parse_paths
from streams.settings.server import Settings
from streams.sources.catalogue import vendors
from tests.integration.fake_vendors import serving
from tests.integration.serving import receiving, running, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.serving import Server

pytestmark = pytest.mark.integration


@pytest.fixture
def extension(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Install the example as an installer does: its package, and what it names."""
    folder = repository / "examples/extension"
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    site = tmp_path / "site"
    info = site / "acme_rescind-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: 1.0\n"
    )
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {at}" for name, at in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (site / "acme_rescind").symlink_to(folder / "acme_rescind")
    monkeypatch.syspath_prepend(str(site))
    vendors.cache_clear()
    yield folder
    vendors.cache_clear()
    # Else the next test would look for the rest of the package in this one's folder.
    for name in [each for each in sys.modules if each.split(".")[0] == "acme_rescind"]:
        del sys.modules[name]


def test_its_log_is_recognised_and_read(extension: Path) -> None:
    """Six events: two begin, one ends, two uses, and one that changes nothing."""
    records = list(parse_paths([extension / "audit.jsonl"], None))

    assert [type(each).__name__ for each in records] == [
        "Lifecycle", "Lifecycle", "Lifecycle", "Access", "Access", "Lifecycle",
    ]  # fmt: skip


async def test_a_use_in_its_log_ends_as_an_alert_in_its_form(
    extension: Path, tmp_path: Path
) -> None:
    """Through a server whose settings name both."""
    log = (extension / "audit.jsonl").read_bytes()
    async with receiving() as receiver:
        chat = {
            "type": "extension", "sink": "acme-chat", "url": {"value": receiver.url},
            "options": {"room": "incidents"}, "allow_private": True,
        }  # fmt: skip
        more: dict[str, Any] = {
            "alerts": {"endpoints": {"chat": chat}},
            "sources": {"acme": {"format": "acme", "point": "acme"}},
            "authorities": {
                "aws": {"grants": [{"kind": "acme.token"}], "issuer_log": True},
                "stranger": {"grants": []},
            },
        }
        async with running(tmp_path, **more) as server:
            status, _ = await server.post("/v1/events/acme", "aws", log)
            assert status == 202
            await until(lambda: receiver.got)

    (_, message), *_ = receiver.got
    assert message["room"] == "incidents"
    assert "acme.token:t-1" in message["text"]


MORE: dict[str, Any] = {
    "sources": {"acme": {"format": "acme", "point": "acme"}},
    "authorities": {
        "acme": {
            "grants": [{"kind": "acme.token"}, {"kind": "agent.id"}],
            "issuer_log": True,
        },
        "aws": {"grants": []},
        "stranger": {"grants": []},
    },
}


async def test_its_webhook_and_its_api_end_tokens(
    extension: Path, tmp_path: Path
) -> None:
    """By the secret of the one, and the key of the other."""
    first, *_, last = (extension / "audit.jsonl").read_bytes().splitlines()
    del last
    ends = orjson.loads(first) | {"id": "e-90", "act": "token.revoked", "token": "t-90"}
    asked: list[web.Request] = []

    async def audit(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response([ends])

    async with serving(("GET", "/audit/main", audit)) as api:
        poll = {
            "vendor": "acme", "authority": "acme", "url": api, "allow_http": True,
            "workspace": "main", "key": {"value": "k"}, "interval": 0.05,
        }  # fmt: skip
        hook = {"vendor": "acme", "authority": "acme", "secret": {"value": "s"}}
        more = MORE | {"polls": {"asked": poll}, "hooks": {"pushed": hook}}
        async with running(tmp_path, **more) as server:
            url, pushed = f"{server.url}/v1/hooks/pushed", ends | {"token": "t-91"}
            statuses = []
            for secret in ("no", "s"):
                headers = {"X-Acme-Secret": secret}
                async with server.session.post(url, json=pushed, headers=headers) as it:
                    statuses.append(it.status)
            for token in ("t-90", "t-91"):
                await until(functools.partial(dead, server, f"acme.token:{token}"))

    assert [401, 202] == statuses
    assert "Bearer k" == asked[0].headers["authorization"]


async def dead(server: Server, name: str) -> bool:
    """Tell whether a name was revoked."""
    _, answer = await server.get(f"/v1/why/{name}")
    return bool(answer.get("reason") == "revoked")


def test_what_it_brings_is_a_setting_and_a_command(extension: Path) -> None:
    """With errors by place, and its own options."""
    settings = yaml.safe_load((extension / "rescind.yaml").read_text("utf-8"))
    read = Settings.model_validate({k: settings[k] for k in ("hooks", "polls")})
    (log,) = read.polls["asked"].feeds("asked")
    assert ("asked/audit", "acme") == (log.name, log.source)

    wrong = settings["polls"] | {"asked": settings["polls"]["asked"] | {"interval": -1}}
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate({"polls": wrong})
    assert ("polls", "asked", "interval") == raised.value.errors()[0]["loc"]

    files = ["acme", str(extension / "tokens.json"), "--dry-run"]
    done = CliRunner().invoke(app, ["adopt", *files, "--workspace", "x"])
    assert done.exit_code == 0, done.output
    assert "acme.token:t-7" in done.output
