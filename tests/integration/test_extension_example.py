"""The example extension: a source and a sink that nothing in the tree knows."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from streams.services.parse import parse_paths
from streams.sources.catalogue import vendors
from tests.integration.serving import receiving, running, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
