"""What the load of a fleet found, and the table of it."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from attrs import Factory, define

from bench.load_closures import CLOSED, unnamed
from bench.load_fleet import GuardSlot
from bench.load_tally import alerts_lost, sent_accepted
from bench.report import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.load_allows import Allows
    from bench.load_closures import Answered
    from bench.load_fleet import Slot
    from bench.load_tally import Tally


@define(eq=False)
class Everywhere:
    """What was found.

    Attributes:
        slots: the processes.
        allows: what the guards allowed.
        tally: of the alerts, and of the acceptance.
        answers: closures of what an operator revoked.
        given_up: what could not be done in its time, in words.
        untaken: requests that nobody took.
    """

    slots: list[Slot]
    allows: Allows
    tally: Tally
    answers: list[Answered] = Factory(list)
    given_up: list[str] = Factory(list)
    untaken: int = 0

    @property
    def guards(self) -> list[Slot]:
        """Places of all that closure has to name."""
        return [slot for slot in self.slots if slot.role in {"guard", "pdp"}]

    @property
    def away(self) -> list[str]:
        """Names of those that were not killed, or did not come back."""
        return [slot.name for slot in self.slots if not slot.ended]


def lines(found: Everywhere, load: str) -> Iterator[Row]:
    """Lines of the table: what must be so, how long it took, and what is missing."""
    yield _late(found.allows, load)
    for name, said in found.allows.guards.items():
        seconds = sorted(said.last.values())
        at = ", ".join(f"{1e3 * each:.0f}" for each in _quantiles(seconds))
        checks, lapsed = _living(found, name)
        yield Row(
            what=f"  {name}: accepted -> last allowed, ms, p50, p99, most",
            value=at or "never allowed after it",
            peer=f"{len(said.last):,} names; no lease in {lapsed:,} of {checks:,}",
        )
    lost = sum(len(said.lost) for said in found.allows.guards.values())
    ended = sum(said.ended for said in found.allows.guards.values())
    yield Row(
        what="  allowed when all was over",
        value=f"{lost:,} of {ended + lost:,}",
        target="0",
        met=not lost and ended > 0,
    )
    yield _named(found)
    yield alerts_lost(found.tally)
    yield sent_accepted(found.tally)
    yield _killed(found)
    yield _given_up(found)
    for each in found.given_up:
        yield Row(what=f"  {each}", value="given up")


def _late(allows: Allows, load: str) -> Row:
    late = len(list(allows.late()))
    proven = sum(said.proven for said in allows.guards.values())
    lapsed = sum(said.lapsed for said in allows.guards.values())
    return Row(
        what=f"allowed one lease after the acceptance, {load}",
        value=f"{late:,} of {proven + lapsed + late:,}",
        peer=f"{lapsed:,} of them denied for want of a lease",
        target="0",
        met=late == 0 and proven > 0,
    )


def _named(found: Everywhere) -> Row:
    answers = found.answers
    closed = [each.seconds for each in answers if each.state == CLOSED]
    missing = list(unnamed(answers, found.guards))
    fenced = sum(len(each.fenced) for each in answers)
    took = f"{median(closed):.2f} s, {max(closed):.2f} s at most" if closed else "never"
    return Row(
        what=f"closed, and each of {len(found.guards)} guards named that served",
        value=f"{len(closed):,} of {len(answers):,}, {len(missing)} not named",
        peer=f"{took}; fenced {fenced:,} times",
        target="all",
        met=bool(answers) and len(closed) == len(answers) and not missing,
    )


def _killed(found: Everywhere) -> Row:
    times = [(each, slot.name) for slot in found.slots for each in slot.ended]
    most, slowest = max(times, default=(0.0, "none"))
    away = found.away
    load = f"{found.tally.over - found.tally.began:.0f} s of load"
    return Row(
        what=f"killed and started again, of {len(found.slots)} processes",
        value=f"{len(times)}, {most:.1f} s at most ({slowest})",
        peer=f"{load}; not back: {', '.join(away)}" if away else load,
        target="each",
        met=not away and len(times) == len(found.slots),
    )


def _given_up(found: Everywhere) -> Row:
    return Row(
        what="parts given up, and requests that nobody took",
        value=f"{len(found.given_up)}, {found.untaken}",
        target="none",
        met=not found.given_up and not found.untaken,
    )


def _living(found: Everywhere, name: str) -> tuple[int, int]:
    (slot,) = (each for each in found.slots if each.name == name)
    assert isinstance(slot, GuardSlot)
    return sum(each[0] for each in slot.lapses), sum(each[1] for each in slot.lapses)


def _quantiles(ordered: list[float]) -> list[float]:
    if not ordered:
        return []
    last = len(ordered) - 1
    return [ordered[round(part * last)] for part in (0.5, 0.99, 1.0)]
