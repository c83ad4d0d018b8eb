"""The names of metrics: conventions, bounds, and the table in the docs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from streams.metrics import LABELS, METRICS, Count, Distribution, table

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

# What Prometheus and its operator put on every series themselves.
TARGET = {"container", "endpoint", "instance", "job", "namespace", "pod", "service"}
FOREIGN_UNITS = ("_ms", "_millis", "_milliseconds", "_minutes", "_percent", "_kb")


def test_names_follow_the_conventions_of_prometheus() -> None:
    """One prefix, lower case, base units; the library appends _total."""
    names = [each.name for each in METRICS]
    assert len(set(names)) == len(names)
    for each in METRICS:
        assert re.fullmatch(r"rescind(_[a-z0-9]+)+", each.name)
        assert not each.name.endswith(("_total", *FOREIGN_UNITS))
        assert each.text.endswith((".", ";"))
        assert each.exposed[0].endswith("_total") == isinstance(each, Count)
        if isinstance(each, Distribution):
            assert each.name.endswith("_seconds")
            assert sorted(each.buckets) == list(each.buckets)


def test_every_label_has_its_bound() -> None:
    """No label without a bound, and no bound without a label."""
    assert LABELS.keys() == {label for each in METRICS for label in each.labels}
    assert not LABELS.keys() & TARGET
    assert not LABELS.keys() & {"realm", "identifier", "credential", "point", "guard"}


def test_the_docs_have_the_table(repository: Path) -> None:
    """What docs/metrics.md says is what the module says."""
    text = (repository / "docs/metrics.md").read_text("utf-8")
    _, _, rest = text.partition("<!-- made of streams/metrics.py -->\n")
    told, _, _ = rest.partition("<!-- end -->\n")
    assert table() == told
