"""Recipes for gateways that no test can run: what they must say to deny."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

CHECK = '"http://127.0.0.1:8760/v1/check"'


def test_every_endpoint_of_krakend_asks(repository: Path) -> None:
    """One that does not is open, and its script sees no header that is not passed."""
    folder = repository / "examples" / "gateways" / "krakend"
    endpoints = json.loads((folder / "krakend.json").read_text())["endpoints"]
    script = (folder / "rescind.lua").read_text()

    assert endpoints
    for each in endpoints:
        asks = each["extra_config"]["modifier/lua-proxy"]
        assert asks["sources"] == ["rescind.lua"]
        assert asks["pre"] == "ask_rescind(request.load())"
        assert each["input_headers"] == ["Authorization"]
        assert each["output_encoding"] == "no-op"
        assert each["timeout"] == "60s"
    assert f"CHECK = {CHECK}" in script
    assert "function ask_rescind(r)" in script


def test_kong_asks_before_every_route(repository: Path) -> None:
    """The plugin is bound to no service and no route."""
    text = (repository / "examples" / "gateways" / "kong" / "kong.yaml").read_text()
    (plugin,) = yaml.safe_load(text)["plugins"]

    assert set(plugin) == {"name", "config"}
    (function,) = plugin["config"]["access"]
    assert CHECK in function
    assert "if not answer then" in function


@pytest.mark.parametrize("name", ["krakend", "kong"])
def test_a_recipe_that_was_not_run_says_so(repository: Path, name: str) -> None:
    """In its first lines, and where it is named."""
    page = (repository / "examples" / "gateways" / name / "README.md").read_text()
    guide = (repository / "docs" / "pdp.md").read_text()

    assert "**This recipe was not run.**" in page[:800]
    assert f"examples/gateways/{name}/README.md" in guide
