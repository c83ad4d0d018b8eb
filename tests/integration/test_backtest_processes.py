"""Rules of containment are tested on history by several processes as by one."""

from __future__ import annotations

import multiprocessing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from streams.model.findings import FindingKind
from streams.services import hunt_forks
from tests.unit.containing import AGENT, NOW, TOKEN, a_rule
from tests.unit.test_backtest import ANN, MINUTE, OTHER, STOP, Log

if TYPE_CHECKING:
    from streams.services.backtest_report import RuleReport

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("forks", [True, False])
def test_processes_find_what_one_finds(
    forks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what nobody declared, which is looked for beside."""
    monkeypatch.setattr(hunt_forks, "may_fork", lambda: forks)
    rules = STOP, a_rule("unknown", kinds=frozenset({FindingKind.UNKNOWN_CREDENTIAL}))

    def told(jobs: int) -> list[RuleReport]:
        log = Log(issuer_logs=False)
        log.issues(TOKEN, ANN, AGENT)
        log.says("revoke", TOKEN, NOW - MINUTE)
        log.uses(TOKEN, NOW)
        log.uses(OTHER, NOW)
        if jobs > 1:
            log.backtest.spread = partial(hunt_forks.judge_in_forks, shares=jobs)
            log.backtest.beside = hunt_forks.in_fork
        return log.test(*rules)

    stop, unknown = told(3)
    targets = [
        one.decision.target for each in (stop, unknown) for one in each.contained
    ]

    assert [AGENT, OTHER] == targets
    assert told(1) == [stop, unknown]
    assert not multiprocessing.active_children()
