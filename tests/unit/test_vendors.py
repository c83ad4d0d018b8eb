"""Each source is one folder with a descriptor that has no hole."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streams.model.extensions import ExtensionError
from streams.sources import catalogue
from streams.sources.catalogue import FOLDERS, source, vendors
from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

# What all read with, a mapping, and a protocol whose requests the server takes.
NO_VENDORS = {"adopting", "mapped", "polling", "reading", "scim"}
ACME = Descriptor(name="acme", reader="streams.sources.okta.okta:Okta", page="x")


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Give the table of what another distribution's entry points name."""
    points: dict[str, Any] = {}

    def load(point: metadata.EntryPoint) -> Any:
        found = points[point.name]
        if isinstance(found, Exception):
            raise found
        return found

    def entry_points(group: str) -> list[metadata.EntryPoint]:
        assert group == "rescind.sources"
        return [metadata.EntryPoint(name, "acme:VENDOR", group) for name in points]

    monkeypatch.setattr(metadata.EntryPoint, "load", load)
    monkeypatch.setattr(metadata, "entry_points", entry_points)
    vendors.cache_clear()
    yield points
    vendors.cache_clear()


def test_each_folder_is_asked() -> None:
    """None is forgotten in the order of the descriptors."""
    folders = {path.parent.name for path in Path(catalogue.__file__).parent.glob("*/*")}
    assert set(FOLDERS) == folders - NO_VENDORS - {"__pycache__"}


@pytest.mark.parametrize("name", vendors())
def test_no_descriptor_has_a_hole(name: str, repository: Path) -> None:
    """Its reader loads, and what it points at is there."""
    of = vendors()[name]

    assert callable(source(name).records)
    assert (repository / "docs/sources" / of.page).is_file()
    assert of.page in (repository / "docs/sources/README.md").read_text("utf-8")
    assert any(path.is_file() for path in (repository / of.samples).iterdir())
    assert of.line is not None or not of.speaks({})


def test_a_source_of_another_distribution_is_one_of_them(
    brought: dict[str, Any],
) -> None:
    """After ours, by its own name."""
    brought["acme"] = ACME

    assert list(vendors())[-1] == "acme"
    assert type(source("acme")) is type(source("okta"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (ImportError("no module named acme"), "no module named acme"),
        ("a text", "is no streams.sources.descriptor"),
        (Descriptor(name="okta", reader="acme:Acme", page="x"), "already"),
    ],
)
def test_what_cannot_be_used_is_said(
    brought: dict[str, Any], wrong: object, told: str
) -> None:
    """With the name of the entry point, and no traceback of a library."""
    brought["acme"] = wrong

    with pytest.raises(ExtensionError, match=rf"source acme \(acme:VENDOR\).*{told}"):
        vendors()


def test_a_reader_that_does_not_load_is_said(brought: dict[str, Any]) -> None:
    """By the name of the source."""
    brought["acme"] = Descriptor(name="acme", reader="no_such_module:Acme", page="x")

    with pytest.raises(ExtensionError, match="source acme: its reader no_such_module"):
        source("acme")
