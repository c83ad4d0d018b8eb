"""What is used is counted once, and what ends is ended, whoever of the owners died."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from agents_registry.steps import finish
from streams.engines.kafka import finding_records
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.model.findings import FindingKind
from streams.stages.sentinel.prior_findings import PriorFindings
from tests.property.agreement import EXAMPLES, SEED
from tests.property.takeovers import SILENT, Life
from tests.unit.test_kafka_taking_over import OTHER, SILENCE, S

pytestmark = pytest.mark.property

WORLDS = EXAMPLES // 50
MOST = 600  # within so many a planted bug shows


def wrong(seed: int) -> str | None:
    """Live through one world; say what is wrong in the end, None where nothing is."""
    with TemporaryDirectory() as folder, ExitStack() as files:
        life = Life(Random(seed), Path(folder), files)
        life.live()
        check = receipts if life.receipts else counts
        said = check(life) or ends(life)
        return None if said is None else f"seed {seed}: {said}"


def counts(life: Life) -> str | None:
    """Hold what was told against what happened."""
    told: Counter[Any] = Counter()
    ids: Counter[Any] = Counter()
    for each in life.last():
        finding = each.finding
        name = SILENT if finding.kind is SILENT else finding.presented
        told[finding.realm, name] += finding.count
        ids.update((finding.realm, name, one) for one in finding.event_ids)
    dead = [use for use in life.uses if use[1] != OTHER or life.revoked]
    happened: Counter[Any] = Counter((realm, name) for realm, name, _ in dead)
    happened.update((realm, SILENT) for realm in life.silences)
    if told != happened:
        return f"told {told}, happened {happened}"
    happened = Counter(use for use in dead if use[2] is not None)
    return None if ids == happened else f"told {ids}, happened {happened}"


def receipts(life: Life) -> str | None:
    """Hold failures against what the guard had applied."""
    failed: Counter[str] = Counter()
    less: Counter[str] = Counter()
    for each in life.last():
        if each.finding.kind is not SILENT:
            failure = each.finding.kind is FindingKind.ENFORCEMENT_FAILURE
            (failed if failure else less).update(each.finding.event_ids)
            if len(each.finding.event_ids) != each.finding.count:
                return f"told more than its ids: {each.finding}"
    if {*failed.values(), *less.values()} > {1}:
        return f"told twice: {failed}, {less}"
    happened = {use[2] for use in life.uses if use[1] != OTHER or life.revoked}
    if happened != failed.keys() | less.keys():
        return f"told {failed}, {less}, happened {happened}"
    if life.knew_at is None:
        return None
    known = {one for one, at in life.times.items() if at > life.knew_at}
    claimed = failed.keys() & life.times.keys()
    return None if known == claimed else f"claimed {claimed}, known {known}"


def ends(life: Life) -> str | None:
    """Hold what is open against what goes on."""
    still = [each for each in life.last() if each.open]
    keys = Counter((each.finding.realm, *each.key) for each in still)
    if keys and max(keys.values()) > 1:
        return f"open twice: {keys}"
    silent = {each.finding.realm for each in still if each.finding.kind is SILENT}
    if silent != {realm for realm, lasts in life.silent.items() if lasts}:
        return f"told {silent}, happened {life.silent}"
    life.now += SILENCE + S
    finish(life.worker.tidy(life.now))
    life.write()
    left = [e for e in life.last() if e.open and e.finding.kind is not SILENT]
    return f"never ended: {left}" if left else None


def test_each_use_is_told_once() -> None:
    """Over deaths in a row, with and without files, and topics that are made anew."""
    assert [None] * WORLDS == [wrong(SEED + number) for number in range(WORLDS)]


@pytest.mark.campaign
def test_each_use_is_told_once_over_many_worlds() -> None:
    """The same, for long."""
    assert not any(map(wrong, range(20_000)))


BUGS: dict[str, tuple[Any, str, Any]] = {
    "a finding forgets how far it was judged": (
        OwnedPartition, "judged_of", lambda self, _: self.position,
    ),
    "the commit alone is trusted": (finding_records, "JUDGED", "nowhere"),
    "a file is gone on from too early": (OwnedPartition, "_caught_up", True),
    "what is told is not held against lines": (
        OwnedPartition, "_recall", lambda *_: None,
    ),
    "what was told is forgotten": (PriorFindings, "kind_of", lambda *_: None),
    "an end of another log is known": (
        PriorFindings, "outlived", lambda self, finding, _: self.knew(finding),
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_shows(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    """The comparison can fail."""
    monkeypatch.setattr(*BUGS[bug])

    assert any(map(wrong, range(MOST)))
