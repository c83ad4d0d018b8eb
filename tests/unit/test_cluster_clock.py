"""The clock of a process on Kafka, in virtual time."""

from __future__ import annotations

import pytest
from attrs import define, field
from structlog.testing import capture_logs

from streams.engines.kafka.clock.cluster_clock import MILLISECOND, SECOND, ClusterClock

TRUE = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND


@define
class Machine:
    """A machine that has been up for an hour; its wall clock may be wrong."""

    up: int = HOUR
    shift: int = 0
    clock: ClusterClock = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make its clock."""
        self.clock = ClusterClock(lambda: self.true + self.shift, lambda: self.up)

    @property
    def true(self) -> int:
        """Give the time that it is."""
        return TRUE + self.up

    def rounds(
        self, count: int = 1, *, took: int = 0, brokers: tuple[int, ...] = (0,)
    ) -> None:
        """Let rounds of heartbeats be acked, by leaders whose clocks may be wrong."""
        for _ in range(count):
            sent = self.up
            self.up += took
            at = [(self.true - took // 2 + off) // MILLISECOND for off in brokers]
            self.clock.measured(sent, self.up, dict(enumerate(at)))
            self.up += SECOND // 4


@pytest.mark.parametrize("shift", [HOUR, -HOUR, 30 * HOUR, 3 * SECOND])
def test_a_wrong_clock_is_replaced_and_said(shift: int) -> None:
    """The time is the brokers', to a millisecond."""
    machine = Machine(shift=shift)
    assert machine.clock() == machine.true + shift, "nothing is measured yet"
    with capture_logs() as logs:
        machine.rounds(3)
    assert abs(machine.clock() - machine.true) <= MILLISECOND
    direction = "ahead of" if shift > 0 else "behind"
    text = f"clock {abs(shift) / SECOND:.1f} s {direction} the brokers'"
    assert machine.clock.fault == text
    assert ["clock_wrong"] == [each["event"] for each in logs], "it says so once"
    machine.shift = 0
    with capture_logs() as logs:
        machine.rounds()
    assert ["clock_right"] == [each["event"] for each in logs]
    assert machine.clock() == machine.true


def test_a_clock_that_is_set_is_found_out_at_once() -> None:
    """Between two rounds the time goes on by the clock that nobody sets."""
    machine = Machine()
    machine.rounds()
    machine.shift = -HOUR
    machine.up += 10 * SECOND
    assert abs(machine.clock() - machine.true) <= MILLISECOND


@pytest.mark.parametrize("shift", [0, 1_999 * MILLISECOND, -1_999 * MILLISECOND])
def test_within_the_limit_the_clock_is_its_own(shift: int) -> None:
    """Nothing jumps by what the measuring may be off."""
    machine = Machine(
        shift=shift - (shift > 0) * MILLISECOND + (shift < 0) * MILLISECOND
    )
    machine.rounds(3)
    assert machine.clock() == machine.true + machine.shift
    assert machine.clock.fault is None


def test_one_broker_of_three_with_a_wrong_clock_moves_nothing() -> None:
    """The median over the leaders counts."""
    machine = Machine()
    machine.rounds(3, brokers=(0, HOUR, 0))
    assert machine.clock() == machine.true
    assert machine.clock.fault is None


def test_a_broker_that_is_asked_often_has_one_voice() -> None:
    """A process may write to its partition alone, and to the others now and then."""
    machine = Machine()
    machine.rounds(brokers=(HOUR, 0, 0))
    for _ in range(40):
        machine.rounds(brokers=(HOUR,))
    assert machine.clock() == machine.true
    assert machine.clock.fault is None


def test_a_slow_round_tells_nothing() -> None:
    """It may have been appended at any time of it."""
    machine = Machine(shift=HOUR)
    machine.rounds(took=2 * SECOND)
    faults = [machine.clock.fault]
    machine.rounds(took=SECOND // 2)
    assert [True, False] == [each is None for each in (*faults, machine.clock.fault)]
    assert abs(machine.clock() - machine.true) <= SECOND // 4


def test_a_topic_with_the_times_of_its_writers_measures_nothing() -> None:
    """As older versions laid it out."""
    machine = Machine(shift=HOUR)
    machine.rounds(brokers=())
    assert (machine.clock(), machine.clock.offset) == (machine.true + HOUR, 0)
