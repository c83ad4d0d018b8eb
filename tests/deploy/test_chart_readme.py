"""The chart's README has the values as they are, and each example."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.values_table import put_in, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.contract


def leaves(values: Any, at: str = "") -> Iterator[str]:
    """Give the path of each value that holds no other, as YAML itself reads it."""
    if not isinstance(values, dict) or not values:
        yield at
        return
    for name, each in values.items():
        yield from leaves(each, f"{at}.{name}" if at else name)


def test_the_table_is_made_of_the_values(chart_folder: Path) -> None:
    """RESCIND_UPDATE_SNAPSHOTS=1 makes it anew."""
    values = (chart_folder / "values.yaml").read_text("utf-8")
    file = chart_folder / "README.md"
    made = put_in(file.read_text("utf-8"), values)
    if os.environ.get("RESCIND_UPDATE_SNAPSHOTS"):
        file.write_text(made, "utf-8")
    assert made == file.read_text("utf-8")


def test_no_value_is_left_out(chart_folder: Path) -> None:
    """Each stands in a row of its own, or in the one of its map."""
    values = (chart_folder / "values.yaml").read_text("utf-8")
    listed = {path for path, default, _ in rows(values) if default}
    for leaf in leaves(yaml.safe_load(values)):
        steps = leaf.split(".")
        assert {".".join(steps[: n + 1]) for n in range(len(steps))} & listed, leaf


def test_each_example_is_named(chart_folder: Path) -> None:
    """In the list of what there is to copy from."""
    text = (chart_folder / "README.md").read_text("utf-8")
    named = text.partition("values to copy from: ")[2].partition(".")[0]
    files = (chart_folder / "ci").glob("*-values.yaml")
    assert sorted(named.replace("\n", " ").split(", ")) == sorted(
        each.name.removesuffix("-values.yaml") for each in files
    )
