"""The rules of docs/containment.md contain nothing that lives in any recorded log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from agents_registry.identifiers import extend
from streams.services.backtest import Backtest
from streams.settings.containment import rules_of
from streams.settings.server import Settings
from streams.sources.mapped.mapping import load_mapping
from tests.golden.replayed import recorded
from tests.golden.test_no_false_findings import by_system

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.services.backtest_report import RuleReport
    from streams.stages.containment.rules import ContainmentRule
    from tests.golden.replayed import Log

pytestmark = pytest.mark.golden

PAGE: Final = Path(__file__).parents[2] / "docs/containment.md"


def documented() -> tuple[ContainmentRule, ...]:
    """Give the rules of the page, which are settings that can be used."""
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return rules_of(Settings(**yaml.safe_load(block)).containment)


def history_of(logs: Iterable[Log]) -> list[RuleReport]:
    """Test the rules on the logs of one system."""
    loaded = [
        load_mapping(log.mapping.read_text("utf-8"), "")
        for log in logs
        if log.mapping is not None
    ]
    kinds = extend({n: kind for each in loaded for n, kind in each.kinds.items()})
    backtest = Backtest(kinds, issuer_logs=not loaded)
    for log in logs:
        for record in log.records():
            backtest.add(record)
    return backtest.test(documented())[1]


def hits(reports: Iterable[RuleReport]) -> list[object]:
    """Give what the rules would have hit, the contained name itself too."""
    return [one for each in reports for act in each.contained for one in act.hits]


def test_nothing_that_lives_is_contained_in_our_logs() -> None:
    """And the rules do something there: what they contain is not used afterwards."""
    found = [history_of(logs) for logs in by_system(recorded())]

    assert [] == [one for reports in found for one in hits(reports)]
    acted = {each.rule.name for reports in found for each in reports if each.contained}
    assert {"leaked", "dead-in-use", "foreign"} <= acted
