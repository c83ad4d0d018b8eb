"""Each source is one folder with a descriptor that has no hole."""

from __future__ import annotations

import ast
import re
from importlib import metadata
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import attrs
import pytest

from agents_registry.identifiers import NodeClass
from streams.apps.builders.access import ConfigurationError
from streams.apps.builders.sources import configured_sources
from streams.model.extensions import ExtensionError, loaded
from streams.settings.server import Settings
from streams.sources import catalogue
from streams.sources.adopting.adoption import Adoption
from streams.sources.catalogue import FOLDERS, own, source, vendors
from streams.sources.descriptor import Descriptor, ReaderSettings
from streams.sources.hooking import HookVendor
from streams.sources.polling.settings import PollSettings

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


def holes(of: Descriptor, repository: Path) -> list[str]:
    """Name what a descriptor lacks, or what it points at that is not there."""
    page = repository / "docs/sources" / of.page
    pages = [*(repository / "docs/sources").glob("*.md"), repository / "docs/adopt.md"]
    text = "".join(each.read_text("utf-8") for each in pages)
    listed = (repository / "docs/sources/README.md").read_text("utf-8")
    samples = repository / of.samples
    found = {
        "reader": callable(loaded(of.reader)().records),
        "name": getattr(loaded(of.reader), "name", of.name) == of.name,
        "kinds": set(of.kinds.values()) <= {each.value for each in NodeClass},
        "page": of.page in listed and page.is_file(),
        "samples": any(path.is_file() for path in samples.glob("*")),
        "recognised": of.line is not None or not of.speaks({}),
    }
    if of.configured:
        made = loaded(of.configured)(ReaderSettings())
        found["configured"] = type(made) is loaded(of.reader)
    for name, where in of.hooks.items():
        hook = loaded(where)
        found[f"hook {name}"] = issubclass(hook, HookVendor) and (
            hook.source in vendors()
            and re.search(rf"vendor: {name}\b", text) is not None
        )
    for name, where in of.polls.items():
        poll = loaded(where)
        found[f"poll {name}"] = issubclass(poll, PollSettings) and (
            get_args(poll.model_fields["vendor"].annotation) == (name,)
            and re.search(rf"vendor: {name}\b", text) is not None
        )
    for name, where in of.adopts.items():
        adoption = loaded(where)
        given = [*signature(adoption.read).parameters][1:]
        found[f"adopt {name}"] = isinstance(adoption, Adoption) and (
            given == [option.name for option in adoption.options]
            and all(each.help.endswith(".") for each in adoption.options)
            and f"rescind adopt {name}" in text
        )
    return [what for what, good in found.items() if not good]


@pytest.mark.parametrize("name", own())
def test_no_descriptor_has_a_hole(name: str, repository: Path) -> None:
    """What it names loads, is of its kind, and is documented."""
    assert holes(own()[name], repository) == []


@pytest.mark.parametrize(
    ("hole", "changes"),
    [
        ("page", {"page": "nowhere.md"}),
        ("name", {"reader": "streams.sources.auth0.auth0:Auth0"}),
        ("kinds", {"kinds": {"okta.thing": "thing"}}),
        ("samples", {"samples": "tests/samples/nowhere"}),
        ("recognised", {"speaks": lambda _: True}),
        ("configured", {"configured": "streams.sources.github.github:configured"}),
        ("hook okta", {"hooks": {"okta": "streams.sources.okta.okta:Okta"}}),
        ("hook acme", {"hooks": {"acme": "streams.sources.okta.hook:OktaHook"}}),
        ("poll acme", {"polls": {"acme": "streams.sources.okta.poll:OktaPoll"}}),
        ("adopt acme", {"adopts": {"acme": "streams.sources.okta.adopt:ADOPT"}}),
    ],
)
def test_a_hole_is_seen(hole: str, changes: dict[str, Any], repository: Path) -> None:
    """Each kind of it, in a descriptor that is whole otherwise."""
    assert holes(attrs.evolve(own()["okta"], **changes), repository) == [hole]


def test_each_module_of_a_folder_is_named(repository: Path) -> None:
    """A hook, a poll or a list that no descriptor names would never be used."""
    for folder, of in zip(FOLDERS, own().values(), strict=True):
        named = {*of.hooks.values(), *of.polls.values(), *of.adopts.values()}
        for path in (repository / "streams/sources" / folder).glob("*.py"):
            tree = ast.parse(path.read_text("utf-8"))
            for node in tree.body:
                if offers(node):
                    module = f"streams.sources.{folder}.{path.stem}"
                    assert f"{module}:{offers(node)}" in named


def offers(node: ast.stmt) -> str:
    """Name what a statement of a module defines for a descriptor; empty: nothing."""
    if isinstance(node, ast.ClassDef):
        bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
        names = {
            ast.unparse(n.target) for n in node.body if isinstance(n, ast.AnnAssign)
        }
        hook = bases & {"HookVendor", "HeaderHook"}
        return node.name if hook or "vendor" in names else ""
    target = node.target if isinstance(node, ast.AnnAssign) else None
    named = isinstance(target, ast.Name) and target.id == "ADOPT"
    return "ADOPT" if named else ""


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
        (attrs.evolve(ACME, hooks={"github_secrets": "x:Y"}), "hook 'github_secrets'"),
        (attrs.evolve(ACME, polls={"m365": "x:Y"}), "poll 'm365'"),
        (attrs.evolve(ACME, adopts={"okta": "x:Y"}), "adopt 'okta'"),
    ],
)
def test_what_cannot_be_used_is_said(
    brought: dict[str, Any], wrong: object, told: str
) -> None:
    """With the name of the entry point, and no traceback of a library."""
    brought["acme"] = wrong

    with pytest.raises(ExtensionError, match=rf"source acme \(acme:VENDOR\).*{told}"):
        vendors()


def test_a_server_does_not_start_without_what_somebody_installed(
    brought: dict[str, Any],
) -> None:
    """It would be deaf without a word; even where no setting names it."""
    settings = Settings(realm="r")
    configured_sources(settings)
    brought["acme"] = ImportError("no module named acme")
    vendors.cache_clear()

    with pytest.raises(ConfigurationError, match=r"source acme .* does not load"):
        configured_sources(settings)


def test_a_reader_that_does_not_load_is_said(brought: dict[str, Any]) -> None:
    """By the name of the source."""
    brought["acme"] = Descriptor(name="acme", reader="no_such_module:Acme", page="x")

    with pytest.raises(ExtensionError, match="source acme: its reader no_such_module"):
        source("acme")
