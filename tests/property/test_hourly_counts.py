"""Counts by hour that are kept are those of a naive count, on both engines."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.identifiers import Identifier
from streams.engines.embedded import hour_rows
from streams.engines.embedded.data_folder import make_tables
from streams.engines.embedded.hourly_counts import summed, timed
from streams.engines.embedded.stage_rows import StageRows
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.times import SECOND
from streams.services.hourly_counts import (
    HOUR,
    CountedFinding,
    CountedRevocation,
    FindingState,
    HourlyIndex,
    HourlyTotals,
    hour_of,
)
from streams.stages.closure.closure import CauseOutcome, ProofState
from streams.stages.closure.denials import DenialTimes
from streams.stages.closure.results import Result, Revocation, row
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.episode import Episode
from tests.hourly_model import summary

if TYPE_CHECKING:
    from streams.engines.embedded.hour_rows import CountedRows

pytestmark = pytest.mark.property

REALM = "default"
HOURS = 30
YEAR = 10**9 // HOUR * HOUR
TIMES = st.integers(0, HOURS * 60).map(lambda minute: (YEAR + minute * 60) * SECOND)
AUTHORITIES = st.sampled_from([None, "okta", "vault"])


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    """One state of one of few findings."""
    number, first = draw(st.integers(0, 8)), draw(TIMES)
    kinds = [FindingKind.BLOCKED_ATTEMPT, FindingKind.USE_AFTER_REVOCATION]
    return Episode(
        Finding(
            id=f"{number:032x}",
            kind=kinds[number % 2],
            severity=Severity(2),
            realm=REALM,
            presented=Identifier("jwt.jti", str(number)),
            point="p",
            first_seen=first,
            last_seen=first,
            message="it was used",
            authority=[None, "okta", "vault"][number % 3],
        ),
        0,
        first + draw(st.integers(0, 5 * HOUR)) * SECOND,
        open=draw(st.booleans()),
    )


@st.composite
def causes(draw: st.DrawFn) -> Result:
    """One of few causes, at one of two places of the log."""
    number, copy = draw(st.integers(0, 8)), draw(st.integers(0, 1))
    at = (YEAR + number * HOUR * 3) * SECOND
    accepted = at + (number * 1700 + copy * 4000) * SECOND
    offset = number + 10 * copy
    effect = ["revoke", "suspend"][number % 2]
    authority = [None, "okta"][number % 2]
    cause = Revocation(
        offset, f"{number:064x}", "jwt.jti:x", effect, at, accepted,
        authority=authority,
    )  # fmt: skip
    outcome = CauseOutcome(offset, draw(st.sampled_from(ProofState)))
    return Result(cause, outcome, accepted + draw(st.integers(0, 10**10)))


SPANS = st.tuples(
    st.integers(-2, HOURS).map(lambda hour: YEAR + hour * HOUR), st.integers(1, 9)
)


def stored(rows: list[Any]) -> sqlite3.Connection:
    """Write findings and causes as the stages do."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    make_tables(db)
    write = StageRows(db)
    for each in rows:
        if isinstance(each, Episode):
            body = orjson.dumps(saved_episodes.save(each))
            write.put_findings([(each.finding.id, each.open, body)])
        elif isinstance(each, str):
            write.drop_findings([each])
        else:
            write.put_closures([row(each)])
    return db


def counts(db: sqlite3.Connection, since: int, step: int) -> dict[str, Any]:
    """Count by the columns of a file."""

    def rows(query: str) -> CountedRows:
        return db.execute(query, (since,)).fetchall()

    total = HourlyTotals(since, step)
    told = summed(total, rows(hour_rows.CAUSES), rows(hour_rows.FINDINGS))
    times = DenialTimes(since * SECOND, step)
    return told | {"denials": timed(times, rows(hour_rows.DENIALS))}


def naively(rows: list[Any], since: int, step: int) -> dict[str, Any]:
    """Count what is left of the rows."""
    episodes: dict[str, Episode] = {}
    results: dict[int, Result] = {}
    for each in rows:
        if isinstance(each, Episode):
            episodes[each.finding.id] = each
        elif isinstance(each, str):
            episodes.pop(each, None)
        else:
            results[each.cause.offset] = each
    ordered = [results[offset] for offset in sorted(results)]
    firsts: dict[str, Result] = {}
    for each in ordered:
        firsts.setdefault(each.cause.id, each)
    told = summary(
        REALM,
        [
            (
                CountedRevocation(
                    REALM, each.cause.authority or "", each.cause.effect, each.cause.id
                ),
                hour_of(each.cause.at),
            )
            for each in ordered
        ],
        [
            (
                CountedFinding(REALM, it.authority or "", it.kind.value, it.id),
                hour_of(it.first_seen),
                FindingState(0, _seconds(each)),
            )
            for each in episodes.values()
            for it in (each.finding,)
        ],
        since,
        step,
    )
    times = DenialTimes(since * SECOND, step)
    for each in firsts.values():
        times.take(each)
    return told | {"denials": times.rows()}


def _seconds(episode: Episode) -> float | None:
    lasted = (episode.touched - episode.finding.first_seen) / SECOND
    return None if episode.open else round(max(0.0, lasted), 3)


@given(
    st.lists(st.one_of(episodes(), causes(), st.integers(0, 8).map("{:032x}".format))),
    SPANS,
)
def test_the_file_counts_as_its_bodies_say(
    rows: list[Any], span: tuple[int, int]
) -> None:
    """Whatever was written, changed and dropped; also in a file that had no columns."""
    # A cause is followed in the order of the log.
    rows.sort(key=lambda each: each.cause.offset if isinstance(each, Result) else -1)
    wanted = naively(rows, *span)
    with closing(stored(rows)) as db:
        assert wanted == counts(db, *span)
        for table in ("finding_hours", "cause_hours"):
            db.execute(f"DELETE FROM {table}")  # noqa: S608 - one of those
        db.execute("DELETE FROM positions WHERE stage = 'hours'")
        make_tables(db)
        assert wanted == counts(db, *span)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([REALM, "other"]),
            st.integers(0, 5),
            st.integers(0, HOURS),
            st.integers(0, 4),
            st.one_of(st.none(), st.integers(0, 90).map(float)),
        )
    ),
    SPANS,
)
def test_the_index_counts_as_its_records_say(
    given_: list[tuple[str, int, int, int, float | None]], span: tuple[int, int]
) -> None:
    """In any order, with repeats, and with findings that move to an earlier hour."""
    index = HourlyIndex(HOURS * HOUR * 2)
    revoked, found = [], []
    for realm, number, hour, revision, seconds in given_:
        begin = YEAR + hour * HOUR
        cause = CountedRevocation(realm, "okta", "revoke", str(number))
        revoked.append((cause, begin))
        index.take_cause(cause, begin)
        finding = CountedFinding(realm, "", f"kind-{number % 2}", str(number))
        state = FindingState(revision, seconds)
        found.append((finding, begin, state))
        index.take_finding(finding, begin, state)
    total = HourlyTotals(*span)
    for _ in index.summed(REALM, total):
        pass
    assert summary(REALM, revoked, found, *span) == total.answer()


def test_old_hours_are_forgotten() -> None:
    """With the findings and causes in them."""
    index = HourlyIndex(2 * HOUR)
    for hour in (YEAR, YEAR + HOUR, YEAR + 5 * HOUR):
        index.take_cause(CountedRevocation(REALM, "", "revoke", str(hour)), hour)
        finding = CountedFinding(REALM, "", "unmapped", str(hour))
        index.take_finding(finding, hour, FindingState(1, None))
    total = HourlyTotals(0, 1)
    for _ in index.summed(REALM, total):
        pass
    told = total.answer()
    assert [1, 1] == [len(told["revocations"]), len(told["findings"])]
