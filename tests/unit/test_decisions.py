"""Decisions as lines: what a guard knew when it answered, and no more than it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from enforcement.decisions import decision
from enforcement.token import Token
from enforcement.verdict import Mode, Verdict
from streams.pdp.decider import Decision
from streams.pdp.decision_log import DecisionLog

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

LIVES = Verdict(allowed=True, reason=Reason.LIVES, mode=Mode.FAIL_CLOSED)
DEAD = Verdict(allowed=False, reason=Reason.REVOKED, mode=Mode.FAIL_OPEN)
SEEN = Verdict(allowed=True, reason=Reason.REVOKED, mode=Mode.OBSERVE, observed=True)
NAMES = (Identifier("jwt.jti", "t"), Identifier("jwt.sub", "i|a"))


@pytest.mark.parametrize(
    ("verdict", "point", "outcome", "applied"),
    [
        (LIVES, "orders", "allowed", "g:2:7"),
        (DEAD, "orders", "denied", "g:2:7"),
        (SEEN, "orders/observing", "allowed", None),
    ],
)
def test_a_line_says_what_was_decided(
    verdict: Verdict, point: str, outcome: str, applied: str | None
) -> None:
    """A route that observes is a point of its own, and blames nobody."""
    line = decision(
        Presented(NAMES), verdict, point="orders", at=5, event_id="e",
        applied=Token("g", 2, 7),
    )  # fmt: skip

    assert (point, outcome, applied) == (
        line["point"],
        line["outcome"],
        line.get("applied"),
    )
    assert {"jwt.jti": ["t"], "jwt.sub": ["i|a"]} == line["presented"]
    assert ("e", 5, verdict.reason.value) == (line["id"], line["at"], line["reason"])


def test_what_cannot_be_read_names_nothing() -> None:
    """Nor is anything said of a log that was not read yet."""
    line = decision("nonsense", DEAD, point="p", at=1, event_id="e", applied=None)

    assert {} == line["presented"]
    assert "applied" not in line


def test_the_log_of_a_decision_point(tmp_path: Path) -> None:
    """A line each, under ids of their own; a file that was moved is made anew."""
    path = tmp_path / "decisions.ndjson"
    log = DecisionLog(path, "pdp", lambda: 9, "abc")
    asked = Decision(
        allowed=True, reason="lives", verdict=LIVES, presented=NAMES, route="orders"
    )
    log.write(asked)
    log.write(Decision(allowed=False, reason="malformed"))
    path.rename(tmp_path / "old")
    log.write(asked)
    log.close()
    lines = (tmp_path / "old").read_bytes() + path.read_bytes()

    assert [("abc-1", "pdp/orders"), ("abc-2", "pdp/orders")] == [
        (line["id"], line["point"]) for line in map(orjson.loads, lines.splitlines())
    ]


def test_a_disk_that_is_full_stops_no_decision(tmp_path: Path) -> None:
    """What was lost is counted."""
    folder = tmp_path / "away"
    folder.mkdir()
    log = DecisionLog(folder / "decisions.ndjson", "pdp", lambda: 9, "abc")
    (folder / "decisions.ndjson").unlink()
    folder.rmdir()
    log.write(Decision(allowed=True, reason="lives", verdict=LIVES, presented=NAMES))
    log.close()

    assert 1 == log.lost
