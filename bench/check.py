"""What a check costs: by shape and depth, of a guard, and while facts come."""

from __future__ import annotations

import gc
import hmac
from functools import partial
from typing import TYPE_CHECKING, Final

from agents_registry.presentation import Presented
from agents_registry.verdict import LIVES, judge
from bench.check_shapes import (
    CLOCK,
    ROUNDS,
    SHAPES,
    long_lineage,
    of_shape,
    presented_of,
    realms,
    while_facts_come,
)
from bench.report import Row
from bench.rounds import apart, interleave
from enforcement.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents_registry.registry import Registry
    from enforcement.verdict import Verdict

LEAVES: Final = {"tiny": 64, "small": 40_000, "full": 500_000}  # of two names each
FEW: Final = {"tiny": 64, "small": 4_000, "full": 4_000}
CHAINS: Final = {"tiny": 8, "small": 96, "full": 96}
DEPTHS: Final = {"tiny": (0, 6), "small": (6, 100), "full": (0, 6, 50, 100)}
CHECKS: Final = {"tiny": 50, "small": 2_000, "full": 20_000}
LONG: Final = {"tiny": 400, "small": 4_000, "full": 4_000}
GUARDED: Final = 6  # the depth at which a guard is asked, too
MOST_OF_A_CHECK: Final = 1_000  # ns, of a guard
PEPPER: Final = bytes(range(32))


def rows(scale: str) -> list[Row]:
    """Measure every shape at every depth, then what is long, changes, and is small."""
    try:
        return list(_rows(scale))
    finally:
        gc.unfreeze()


def _rows(scale: str) -> Iterator[Row]:
    chains, checks = CHAINS[scale], CHECKS[scale]
    few = apart(partial(_of_few, scale))
    for depth, realm in realms(chains, LEAVES[scale], DEPTHS[scale]):
        gc.freeze()  # as a service does with its table
        for shape in SHAPES:
            yield of_shape(realm, shape, f"depth {depth}", checks)
        if depth == GUARDED:
            presented = presented_of(realm, SHAPES[0], checks)
            yield from _guarding(realm.registry, presented)
            yield _hashing(presented)
    yield from few


def _of_few(scale: str) -> list[Row]:
    """Measure what is long, changes, and is small, in a table of few names."""
    checks, few = CHECKS[scale], FEW[scale]
    ((_, realm),) = realms(CHAINS[scale], few, (GUARDED,))
    where = f"{2 * few:,} names, depth {GUARDED}"
    return [
        long_lineage(LONG[scale]),
        while_facts_come(realm, min(checks, 10_000)),
        *(of_shape(realm, shape, where, checks) for shape in SHAPES),
    ]


def _guarding(registry: Registry, presented: Sequence[Presented]) -> Iterator[Row]:
    """Compare `Guard.check` (lease, clocks, counters) with the judging inside."""
    # The wall clock is that of the made-up realm.
    guard = Guard("http://localhost", "", name="bench", wall_clock=lambda: CLOCK)
    guard.standing.replica.registry = registry
    guard.standing.deadline = 2**63
    assert guard.check(presented[0]).allowed
    assert judge(registry, presented[0], now=CLOCK) is LIVES
    texts = [str(each.identifiers[0]) for each in presented]

    def checked(asked: Sequence[Presented | str]) -> list[Verdict]:
        return [guard.check(each) for each in asked]

    def checked_anew() -> list[Verdict]:
        return [guard.check(Presented(each.identifiers)) for each in presented]

    for what, check in (
        ("", partial(checked, presented)),
        (", given as texts", partial(checked, texts)),
        (", each time a new object", checked_anew),
    ):
        measured = interleave(
            check,
            lambda: [judge(registry, each, now=CLOCK) for each in presented],
            ROUNDS,
        )
        ours = measured.ours_median / len(presented) * 1e9
        peer = measured.peer_median / len(presented) * 1e9
        yield Row(
            what=f"Guard.check of plain{what} (lease, clocks, counters)",
            value=f"{ours:,.0f} ns",
            cpu=measured.cpu,
            peer=f"judge alone, {peer:,.0f} ns",
            ratio=measured.ratio,
            target="" if what else f"<= {MOST_OF_A_CHECK:,} ns",
            met=None if what else ours <= MOST_OF_A_CHECK,
        )


def _hashing(presented: Sequence[Presented]) -> Row:
    """Hash a presented secret: HMAC-SHA256 cut to 16 bytes, in hex."""
    secrets = [f"hvs.{each.identifiers[0].value * 5}".encode() for each in presented]

    def hashed() -> list[str]:
        digest = hmac.digest
        return [digest(PEPPER, each, "sha256")[:16].hex() for each in secrets]

    measured = interleave(hashed, hashed, ROUNDS)
    return Row(
        what="hashing a presented secret (HMAC-SHA256, 16 bytes), apart",
        value=f"{measured.ours_median / len(secrets) * 1e9:,.0f} ns",
        cpu=measured.cpu,
    )
