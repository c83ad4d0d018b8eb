"""What came of the run of everything hostile, and the lines that tell it."""

from __future__ import annotations

from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from attrs import define, field, frozen

from bench.report import Row
from bench.waits import Waits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.hostile_point import PointWatch

LEASE: Final = 1.0
TURN: Final = 0.02  # seconds that a loop may be held


class Late(NamedTuple):
    """A turn of an event loop that came late: when it was over, by how much (s).

    Attributes:
        waited: how much of it the thread waited for a core.
        worked: how much of it the thread worked.
    """

    at: float
    late: float
    waited: float
    worked: float = 0.0


@frozen
class Loss:
    """A lease that a guard did not hold for a while.

    Attributes:
        guard: its process.
        began: monotonic, in seconds.
        waits: how long the guard, and those by which it proves its lease, waited for
            a core since the last ping that could have prevented it (s).
        held: the longest that a loop of the server was late meanwhile, without its
            waits for a core, and which.
        why: what the guard wanted when it began; empty: it cannot tell.
    """

    guard: str
    began: float
    seconds: float
    waits: dict[str, float]
    held: tuple[float, str]
    why: str

    @property
    def starved(self) -> bool:
        """Tell whether it was held, had the guard and one other had cores of their own.

        A broker's waits are not seen, and count for nothing here.
        """
        others = [each for name, each in self.waits.items() if name != self.guard]
        return self.seconds <= self.waits[self.guard] + min(others, default=0.0)


@define(eq=False)
class Tally:
    """What came of it.

    Attributes:
        accepted: when each revocation was accepted (monotonic), by its family.
        took: seconds from sending until the acceptance.
        repeated: requests that had to be sent again.
        guards: what each guard tells; see `bench.hostile_guards`.
        callers: what each caller tells; see `bench.hostile_callers`.
        holds: longest callback of each event loop of the server (s), and which.
        late_turns: of those loops, as (loop, `Late`).
        waits: of the main threads for a core.
        resident: memory of each process at its height, in bytes.
        load: average of the machine, in the last minute.
        point: who asks a decision point; None: there is none.
    """

    accepted: dict[int, float] = field(factory=dict)
    took: list[float] = field(factory=list)
    repeated: int = 0
    guards: list[dict[str, Any]] = field(factory=list)
    callers: dict[str, dict[str, Any]] = field(factory=dict)
    holds: dict[str, tuple[float, str]] = field(factory=dict)
    late_turns: list[tuple[str, Late]] = field(factory=list)
    waits: Waits = field(factory=lambda: Waits({}))
    resident: dict[str, int] = field(factory=dict)
    load: float = 0.0
    point: PointWatch | None = None

    @property
    def losses(self) -> list[Loss]:
        """Give each loss of a lease, with what may have cost it."""
        return [
            self._loss(guard["process"], *each)
            for guard in self.guards
            for each in zip(guard["began"], guard["losses"], guard["why"], strict=True)
        ]

    def _loss(self, guard: str, began: float, seconds: float, why: str) -> Loss:
        start, end = began - LEASE, began + seconds
        waits = self.waits.between(start, end)
        path = {n: s for n, s in waits.items() if n == guard or n in self.proving}
        held = [
            (each.late - each.waited, loop)
            for loop, each in self.late_turns
            if start < each.at < end + LEASE
        ]
        return Loss(guard, began, seconds, path, max(held, default=(0.0, "")), why)

    @property
    def proving(self) -> frozenset[str]:
        """Name the processes by which a guard proves its lease: any of them will do."""
        return frozenset(n for n in self.resident if not n.startswith("pdp"))

    @property
    def seen(self) -> Iterator[tuple[float, float, float]]:
        """Give when a family was accepted, allowed last and denied, for each guard."""
        for guard in self.guards:
            for number, (allowed, denied) in guard["families"].items():
                yield self.accepted[int(number)], allowed, denied

    @property
    def late(self) -> int:
        """Count what was allowed later than one lease after its acceptance."""
        return sum(allowed > at + LEASE for at, allowed, _ in self.seen)

    @property
    def unproven(self) -> int:
        """Count what was never denied since it is revoked."""
        return sum(not denied for _, _, denied in self.seen)


def lines(tally: Tally, load: str) -> Iterator[Row]:
    """Give the lines of the table: what must be so, and what it took."""
    losses = tally.losses
    starved = [each for each in losses if each.starved]
    total = sum(each.seconds for each in losses)
    yield Row(
        what=f"leases lost by {len(tally.guards)} guards beside a load of {load}",
        value=f"{len(losses)}, {total * 1e3:.0f} ms",
        peer=f"load of the machine {tally.load:.1f}",
        target="0",
        met=not losses and bool(tally.guards),
    )
    yield Row(
        what="  of them beyond what their processes waited for a core",
        value=f"{len(losses) - len(starved)}",
        peer="all on the same cores: callers at nice 19, guards at -10 if run by root",
        target="0",
        met=len(losses) == len(starved) and bool(tally.guards),
    )
    for each in losses:
        held, loop = each.held
        waits = ", ".join(f"{n} {s * 1e3:.0f}" for n, s in sorted(each.waits.items()))
        yield Row(
            what=f"  lost by one in {each.guard}",
            value=f"{each.seconds * 1e3:.0f} ms",
            peer=(f"{each.why}; " if each.why else "")
            + f"ms without a core: {waits}"
            + (f"; {loop} loop late by itself {held * 1e3:.0f} ms" if loop else ""),
        )
    for guard in tally.guards:
        yield Row(
            what="  shortest rest of a lease",
            value=f"{guard['shortest'] * 1e3:.0f} ms",
            peer=f"longest pause of the guard itself {guard['pause'] * 1e3:.0f} ms",
        )
    if (point := tally.point) is not None:
        yield Row(
            what="what lives, denied by the decision point",
            value=f"{point.denied.total():,} of {point.asked:,}",
            peer=f"slowest answer {point.slowest:.1f} s {'; '.join(point.denied)[:90]}",
            target="0",
            met=not point.denied and point.asked > 0,
        )
    seen = [*tally.seen]
    before = sum(allowed > 0 for _, allowed, _ in seen)
    yield Row(
        what="allowed one lease after the acceptance",
        value=f"{tally.late} of {len(seen):,}",
        peer=f"{before:,} of them allowed before",
        target="0",
        met=not tally.late and before > 0,
    )
    yield Row(
        what="  never denied, since it is revoked",
        value=f"{tally.unproven} of {len(seen):,}",
        target="0",
        met=not tally.unproven,
    )
    yield Row(
        what="  accepted -> denied by a guard, ms",
        value=_ms(denied - at for at, _, denied in seen if denied),
    )
    yield Row(
        what="  sent -> accepted, ms",
        value=_ms(tally.took),
        peer=f"{tally.repeated} requests repeated",
    )
    checks, denied = (sum(g[key] for g in tally.guards) for key in ("checks", "denied"))
    yield Row(what="what lives, denied", value=f"{denied:,} of {checks:,}")
    for thread, (held, what) in tally.holds.items():
        yield Row(
            what=f"longest hold: {thread}", value=f"{held * 1e3:.0f} ms of CPU",
            peer=what[:90],
        )  # fmt: skip
    for thread in sorted({loop for loop, _ in tally.late_turns}):
        own = [
            each.late - each.waited for loop, each in tally.late_turns if loop == thread
        ]
        late = [each for each in own if each > TURN]
        worked = [each.worked for loop, each in tally.late_turns if loop == thread]
        yield Row(
            what=f"turns of the {thread} loop late by itself",
            value=f"{len(late)}, longest {max(own) * 1e3:.0f} ms",
            peer=f"by more than {TURN * 1e3:.0f} ms beyond its waits for a core; "
            f"most work in one {max(worked) * 1e3:.0f} ms",
        )
    for name, size in tally.resident.items():
        yield Row(what=f"memory of {name} at its height", value=f"{size / 1e6:.0f} MB")


def answers(tally: Tally) -> Iterator[Row]:
    """Give how each caller was answered."""
    for name, told in tally.callers.items():
        given = sorted(told["answers"].items())
        counted = ", ".join(f"{count:,} x {status}" for status, count in given)
        yield Row(
            what=f"caller {name}",
            value=f"{told['rounds']} rounds",
            peer=f"{counted or 'nothing'}; slowest {told['slowest']:.1f} s",
        )


def _ms(values: Iterable[float]) -> str:
    found = sorted(each * 1e3 for each in values)
    if len(found) < 2:
        return "not seen"
    cuts = quantiles(found, n=100, method="inclusive")
    return f"p50 {cuts[49]:.0f}, p99 {cuts[98]:.0f}, max {found[-1]:.0f}"
