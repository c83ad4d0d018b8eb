"""The time for expiry, in virtual time: what had expired does not live again."""

from __future__ import annotations

import pytest
from attrs import define, field

from enforcement.steady import SECOND, SteadyClock

TRUE = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND


@define
class Machine:
    """A machine whose wall clock may be wrong when its guard begins, and later."""

    shift: int = 0
    up: int = HOUR
    clock: SteadyClock = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin the guard."""
        self.clock = SteadyClock(lambda: self.true + self.shift, lambda: self.up)

    @property
    def true(self) -> int:
        """Give the time that it is."""
        return TRUE + self.up

    def off(self, told: int | None = None) -> int:
        """Go on for a while; give how far the guard's time is ahead of the true one."""
        self.up += 10 * SECOND
        if told is not None:
            self.clock.witness(self.true + told)
        self.up += SECOND
        return self.clock() - self.true


WITNESSED = pytest.mark.parametrize("told", [None, 0])


@WITNESSED
@pytest.mark.parametrize("back", [SECOND // 2, SECOND, HOUR, 30 * 24 * HOUR])
def test_a_clock_set_back_revives_nothing(back: int, told: int | None) -> None:
    """The time goes on as if nothing had happened."""
    machine = Machine()
    assert machine.off(told) == 0
    machine.shift = -back
    assert machine.off(told) == 0
    machine.shift = 0
    assert machine.off(told) == 0


@WITNESSED
def test_a_jump_ahead_and_back_denies_no_longer_than_it_lasts(told: int | None) -> None:
    """With a witness not even while it lasts."""
    machine = Machine()
    assert machine.off(told) == 0
    machine.shift = HOUR
    assert machine.off(told) == (HOUR if told is None else 0)
    machine.shift = 0
    assert machine.off(told) == 0


def test_a_machine_that_began_ahead_is_mended_with_a_witness() -> None:
    """Two of three: its clock of now, and the server's."""
    machine = Machine(shift=HOUR)
    assert machine.off() == HOUR
    machine.shift = 0
    assert machine.off() == HOUR, "it may as well have been set back"
    assert machine.off(0) == 0


def test_a_machine_that_is_behind_lets_nothing_expired_pass() -> None:
    """It was set back while the guard was down: the witness is later than both."""
    machine = Machine(shift=-HOUR)
    assert machine.off() == -HOUR
    assert machine.off(0) == 0
    assert machine.clock.offset == -HOUR
    machine.shift = 0
    assert machine.off(0) == 0


def test_a_witness_that_is_behind_brings_nothing_back() -> None:
    """Whoever serves a guard may be wrong too."""
    machine = Machine()
    assert machine.off(0) == 0
    assert machine.off(-HOUR) == 0


def test_two_that_are_wrong_apart_outvote_nothing() -> None:
    """A server behind and a clock set back: the carried time is the latest."""
    machine = Machine()
    assert machine.off(0) == 0
    machine.shift = -HOUR
    assert machine.off(-2 * HOUR) == 0


def test_a_witness_that_was_ahead_is_forgotten_with_its_error() -> None:
    """It denies on the safe side, and not for ever."""
    machine = Machine()
    assert machine.off(HOUR) == HOUR
    assert machine.off(0) == 0


def test_small_corrections_never_turn_it_back() -> None:
    """A wall clock that is slewed ahead and set right again stands still meanwhile."""
    machine = Machine()
    times = []
    for shift in (0, SECOND, SECOND // 2, -SECOND, SECOND):
        machine.shift = shift
        times.append(machine.clock())
    assert times == sorted(times)


def test_the_machine_slept() -> None:
    """The clock of the lease counts sleep, and so does the carried time."""
    machine = Machine()
    machine.up += 8 * HOUR
    assert machine.off() == 0


def test_between_two_glances_the_time_goes_on_by_itself() -> None:
    """The wall clock is read some hundred times a second, whoever asks how often."""
    read = [0]

    def wall() -> int:
        read[0] += 1
        return TRUE + machine.up + machine.shift

    machine = Machine()
    machine.clock = SteadyClock(wall, lambda: machine.up)
    before, times = read[0], []
    for _ in range(1000):
        machine.up += SECOND // 100_000
        times.append(machine.clock())

    assert times == [TRUE + HOUR + n * SECOND // 100_000 for n in range(1, 1001)]
    assert 2 <= read[0] - before <= 4
    machine.shift = HOUR
    machine.up += SECOND // 100
    assert TRUE + machine.up + HOUR == machine.clock()
    machine.clock.witness(TRUE + machine.up)
    assert TRUE + machine.up == machine.clock()
