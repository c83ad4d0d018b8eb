"""The clock of the embedded server, held to its guards', in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field
from structlog.testing import capture_logs

from streams.model.times import SECOND
from streams.process.server_clock import MILLISECOND, MOST, PINGS, ServerClock

TRUE = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND


@define
class Machine:
    """A server that has been up for an hour; its wall clock may be wrong."""

    shift: int = 0
    up: int = HOUR
    clock: ServerClock = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make its clock."""
        self.clock = ServerClock(lambda: self.true + self.shift, lambda: self.up)

    @property
    def true(self) -> int:
        """Give the time that it is."""
        return TRUE + self.up

    @property
    def off(self) -> int:
        """Give how far the time that counts is ahead of the true one."""
        return self.clock() - self.true

    def pings(self, *shifts: int, late: int = 0, count: int = PINGS) -> list[str]:
        """Hear guards, each of a credential of its own; give what was logged."""
        for _ in range(count):
            for number, shift in enumerate(shifts):
                told = (self.true + shift - late) // MILLISECOND
                self.clock.hear(f"credential-{number}", f"guard-{number}", told)
            self.up += SECOND // 4
        with capture_logs() as logs:
            self.clock.judge()
        return [each["event"] for each in logs]


@pytest.mark.parametrize("shift", [HOUR, -HOUR, 3 * SECOND])
def test_three_credentials_outvote_a_clock_that_was_always_wrong(shift: int) -> None:
    """The time is the guards', and the server says so, once."""
    machine = Machine(shift)
    assert machine.off == shift, "nobody was heard yet"
    assert ["clock_wrong"] == machine.pings(0, 0, 0)
    assert [] == machine.pings(0, 0, 0)
    assert abs(machine.off) <= MILLISECOND
    direction = "ahead of" if shift > 0 else "behind"
    text = f"clock {abs(shift) / SECOND:.1f} s {direction} the guards'"
    assert machine.clock.fault == text
    machine.shift = 0
    assert ["clock_right"] == machine.pings(0, 0, 0)
    assert machine.off == 0
    assert machine.clock.fault is None


@pytest.mark.parametrize("guards", [1, 2, 3])
def test_a_clock_that_is_set_is_found_out_at_once(guards: int) -> None:
    """Two of three clocks say so: the guards', and the time carried on."""
    machine = Machine()
    machine.pings(*[0] * guards)
    machine.shift = HOUR
    assert abs(machine.off) <= MILLISECOND
    assert ["clock_wrong"] == machine.pings(*[0] * guards)
    machine.shift = 0
    assert ["clock_right"] == machine.pings(*[0] * guards)


@pytest.mark.parametrize("shifts", [(HOUR,), (HOUR, HOUR), (HOUR, HOUR, 0, 0)])
def test_too_few_decide_nothing(shifts: tuple[int, ...]) -> None:
    """The server says that they differ, and goes by its own."""
    machine = Machine()
    assert ["clocks_differ"] == machine.pings(*shifts)
    assert (machine.off, machine.clock.fault) == (0, None)
    assert machine.clock.offset < 0


def test_one_liar_among_three_moves_nothing() -> None:
    """The median over credentials counts."""
    machine = Machine()
    assert [] == machine.pings(HOUR, 0, 0)
    assert machine.off == 0


def test_a_credential_has_one_vote() -> None:
    """However many guards it registers, and it is not kept in memory without bound."""
    machine = Machine()
    machine.pings(0, 0)
    ahead = (machine.true + HOUR) // MILLISECOND
    for number in range(10 * MOST):
        machine.clock.hear("liar", f"guard-{number}", ahead)
    machine.clock.judge()
    assert (machine.off, machine.clock.fault) == (0, None)
    assert sum(map(len, machine.clock._guards.values())) == MOST + 2


def test_late_pings_are_no_wrong_clock() -> None:
    """What waited while the server was held tells an earlier time than it is."""
    machine = Machine()
    assert [] == machine.pings(0, 0, 0)
    assert [] == machine.pings(0, 0, 0, late=5 * SECOND, count=PINGS - 1)
    assert abs(machine.clock.offset) <= SECOND // 4


def test_a_mended_clock_is_believed_again() -> None:
    """What was carried on since a wrong start counts no more."""
    machine = Machine(HOUR)
    machine.pings(0)
    machine.shift = 0
    machine.pings(0)
    machine.up += 2 * 60 * SECOND
    assert [] == machine.pings(HOUR)[1:]
    assert machine.off == 0


def test_a_clock_that_is_set_without_guards_is_said_and_believed() -> None:
    """Whether it was set right or wrong nobody can say."""
    machine = Machine()
    machine.shift = HOUR
    assert ["clock_was_set"] == machine.pings()
    assert (machine.off, machine.clock.fault) == (HOUR, None)
    assert ["clock_wrong"] == machine.pings(0), "the guard is back, and says which"
    machine.up += 10 * 60 * SECOND
    assert ["clock_was_set"] == machine.pings(), "silent guards have no vote"


@pytest.mark.parametrize("told", [None, True, "1", 1.5, 0, -1, 1 << 43, 10**400])
def test_what_is_no_time_tells_nothing(told: Any) -> None:
    """A guard may send anything."""
    machine = Machine()
    machine.clock.hear("a", "g", told)
    machine.clock.judge()
    assert machine.clock.offset == 0
