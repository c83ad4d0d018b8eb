"""How the guard's package is made: imports move below one roof, or are refused."""

from __future__ import annotations

import importlib

import pytest

import enforcement
import rescind_guard
from wheels.guard.build import RelocationError, relocated

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("source", "moved"),
    [
        (
            "from schemas.codec import edition",
            "from rescind_guard._vendor.schemas.codec",
        ),
        (
            "if True:\n    from enforcement import Guard",
            "rescind_guard._vendor.enforcement",
        ),
        (
            "import agents_registry as core",
            "import rescind_guard._vendor.agents_registry",
        ),
    ],
)
def test_imports_name_the_place_below_the_roof(source: str, moved: str) -> None:
    """As statements alone."""
    assert moved in relocated(source, "a.py")


@pytest.mark.parametrize(
    "source",
    [
        "from schemas_of_others import edition",
        "from streams import schemas",
        '"""Rules of `enforcement.standing`, and more."""',
        "import attrs",
    ],
)
def test_other_names_stay(source: str) -> None:
    """Also one that begins alike, and prose."""
    assert relocated(source, "a.py") == source


@pytest.mark.parametrize(
    "source",
    [
        'resources.files("agents_registry")',
        'import_module("enforcement.kafka")',
        "import attrs, schemas",
        "import enforcement.guard",
    ],
)
def test_what_would_find_a_customers_package_is_refused(source: str) -> None:
    """A name in a string, and statements that bind the top level."""
    with pytest.raises(RelocationError, match=r"a\.py:1"):
        relocated(source, "a.py")


def test_the_public_package_is_the_guard_of_the_tree() -> None:
    """Nothing is left out of it, and nothing is another."""
    assert rescind_guard.__all__ == enforcement.__all__
    for name in enforcement.__all__:
        assert getattr(rescind_guard, name) is getattr(enforcement, name)


@pytest.mark.parametrize("module", ["aiohttp", "asgi", "decisions", "grpc", "kafka"])
def test_each_part_has_a_public_place(module: str) -> None:
    """Under its own name."""
    public = importlib.import_module(f"rescind_guard.{module}")
    inner = importlib.import_module(f"enforcement.{module}")
    assert public.__all__
    assert all(getattr(public, name) is getattr(inner, name) for name in public.__all__)
