"""Health of a stage: what turns but does not move is not well."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.engines.kafka.ingress.writing import HEARTBEATS, Writing
from streams.engines.kafka.topics.topic_watch import TopicWatch
from streams.observability.progress import STILL_SECONDS, Progress
from streams.settings.kafka import KafkaSettings

pytestmark = pytest.mark.unit

LONG = int(STILL_SECONDS) + 2


def turned(
    progress: Progress, now: float, *, position: int, committed: int | None = None
) -> None:
    """Let a stage tell of a turn with one partition."""
    kept = position if committed is None else committed
    progress.turn(
        now=now,
        assigned=frozenset({0}),
        ready=True,
        waiting=0,
        positions={0: position},
        committed={0: kept},
    )


@pytest.mark.parametrize(("full", "live"), [(True, True), (False, False)])
def test_what_is_applied_counts_while_the_disk_has_no_room(
    *, full: bool, live: bool
) -> None:
    """A restart would meet the same disk, and lose what is in memory alone."""
    progress = Progress(full=full)
    for second in range(LONG):
        turned(progress, 100.0 + second, position=second, committed=0)
        progress.judge(100.0 + second, {0: second + 1})

    assert live is progress.live(100.0 + LONG)


def test_a_stage_without_room_that_reads_nothing_is_not_live() -> None:
    """A full disk is no excuse for a stage that stands."""
    progress = Progress(full=True)
    for second in range(LONG):
        turned(progress, 100.0 + second, position=3, committed=0)
        progress.judge(100.0 + second, {0: 5})

    assert not progress.live(100.0 + LONG)


def test_is_live_while_it_turns_without_lag() -> None:
    """A stage with nothing to do is well as long as its loop turns."""
    progress = Progress()
    for second in range(LONG):
        turned(progress, 100.0 + second, position=5)
        progress.judge(100.0 + second, {0: 5})
    assert progress.live(100.0 + LONG)
    assert 0 == progress.lag


def test_a_loop_that_does_not_turn_is_found_out() -> None:
    """With nothing to read too: it would not notice when there is."""
    progress = Progress()
    turned(progress, 100.0, position=5)
    for second in range(LONG):
        progress.judge(100.0 + second, {0: 5})
    assert not progress.live(100.0 + LONG)


def test_a_loop_that_never_turned_is_found_out() -> None:
    """It has from the first look on to do so."""
    progress = Progress()
    assert progress.live(100.0)
    progress.judge(100.0, {0: 5})
    assert progress.live(101.0)
    assert not progress.live(100.0 + LONG)


def test_a_lag_without_a_step_forward_is_not_well() -> None:
    """A loop that turns forever on the same position is found out, and forgiven."""
    progress = Progress()
    for second in range(LONG):
        turned(progress, 100.0 + second, position=5)
        progress.judge(100.0 + second, {0: 8})
    assert not progress.live(100.0 + LONG)
    assert 3 == progress.lag
    turned(progress, 101.0 + LONG, position=6)
    progress.judge(101.0 + LONG, {0: 8})
    assert progress.live(101.0 + LONG)


def test_positions_that_nobody_commits_are_no_step_forward() -> None:
    """Whoever takes over would begin where the commits stand."""
    progress = Progress()
    for second in range(LONG):
        turned(progress, 100.0 + second, position=5 + second, committed=5)
        progress.judge(100.0 + second, {0: 5 + second})
    assert not progress.live(100.0 + LONG)


def test_an_end_that_runs_away_is_well_while_commits_follow() -> None:
    """Heartbeats make every partition grow: that alone is no lag to complain of."""
    progress = Progress()
    for second in range(LONG):
        turned(progress, 100.0 + second, position=5 + second)
        progress.judge(100.0 + second, {0: 50 + second})
    assert progress.live(100.0 + LONG)


def test_a_long_piece_of_work_is_well_while_its_parts_get_done() -> None:
    """A million names of one revocation hold the commit, and a file takes long."""
    progress = Progress()
    turned(progress, 100.0, position=5)
    for second in range(LONG):
        progress.step()
        progress.judge(100.0 + second, {0: 8})
    assert progress.live(100.0 + LONG)


def test_a_broker_that_is_away_is_no_fault_of_the_stage() -> None:
    """And when it is back the stage has the whole time to get on."""
    progress = Progress()
    turned(progress, 100.0, position=5)
    progress.judge(100.0, {0: 8})
    for second in range(LONG):
        progress.judge(100.0 + second, None)
    progress.judge(100.0 + LONG, {0: 8})
    assert progress.live(100.0 + LONG)
    assert not progress.live(100.0 + 2 * LONG)


class ClusterMonitor:
    """What a cluster would say."""

    ends: dict[str, dict[int, int]]
    away = False

    def __init__(self) -> None:
        """Say nothing yet."""
        self.ends = {}

    def reached(self, now: float) -> bool:
        """Tell whether it answers."""
        del now
        return not self.away


def writing(acked_at: float | None, **raw: Any) -> tuple[Writing, ClusterMonitor, Any]:
    """Watch a heart and raw topics that a test moves."""
    heart = SimpleNamespace(acked_at=acked_at, silent=lambda _now: False)
    settings = KafkaSettings(bootstrap_servers="nowhere:1")
    watch = Writing(settings, cast("Any", heart), raw, TopicWatch(settings, (), {}))
    outlook = ClusterMonitor()
    watch.outlook = cast("Any", outlook)
    return watch, outlook, heart


def test_ingress_whose_writes_are_not_acked_by_a_broker_that_answers() -> None:
    """A producer that is stuck is ended; a broker that is away is waited for."""
    watch, outlook, heart = writing(None)
    watch.judge(100.0)
    heart.acked_at = 101.0
    watch.judge(101.0)
    outlook.away = True
    for second in range(LONG):
        watch.judge(102.0 + second)
    assert [] == watch.stalled(102.0 + LONG)
    outlook.away = False
    watch.judge(102.0 + LONG)
    assert [HEARTBEATS] == watch.stalled(102.0 + 2 * LONG)
    heart.acked_at = 103.0 + 2 * LONG
    watch.judge(heart.acked_at)
    assert [] == watch.stalled(heart.acked_at)


def test_a_raw_topic_that_is_not_read_on_is_named() -> None:
    """Its lag stands and nothing is committed, while its loop turns."""
    member = SimpleNamespace(assigned=frozenset({0}), polled_at=100.0, kept={0: 5})
    watch, outlook, heart = writing(100.0, idp=member)
    outlook.ends = {"idp": {0: 5}}
    for second in range(LONG):
        heart.acked_at = member.polled_at = 100.0 + second
        watch.judge(100.0 + second)
    assert [] == watch.stalled(100.0 + LONG)
    outlook.ends = {"idp": {0: 6}}
    for second in range(LONG, 2 * LONG):
        heart.acked_at = member.polled_at = 100.0 + second
        watch.judge(100.0 + second)
    assert ["idp"] == watch.stalled(100.0 + 2 * LONG)
