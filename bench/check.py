"""What a check costs, against one look-up in a set; by shape: `bench.check_shapes`."""

from __future__ import annotations

import hmac
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import LIVES, judge
from bench import check_shapes
from bench.check_shapes import MOST_TIMES_A_SET
from bench.credentials import CHAIN, NOW, accessor, chains, register, token_hmac
from bench.report import Row
from bench.rounds import interleave
from enforcement.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents_registry.identifiers import Identifier
    from enforcement.verdict import Verdict

CREDENTIALS: Final = {"tiny": 1_400, "small": 100_000, "full": 1_000_000}
CHECKS: Final = {"tiny": 100, "small": 20_000, "full": 100_000}
MOST_OF_A_CHECK: Final = 1_000  # ns, of a guard
NAMES: Final = (accessor, token_hmac)
CLOCK: Final = NOW + 3_600_000_000_000
PEPPER: Final = bytes(range(32))


def rows(scale: str) -> list[Row]:
    """Measure checks of living credentials at depth 6, chosen at random."""
    count, checks = CREDENTIALS[scale], CHECKS[scale]
    registry = Registry()
    register(registry, count, chains)
    # A key is the kind and the value in one text, made once for each identifier.
    keys = {str(name(number)) for number in range(count) for name in NAMES}
    random = Random(1)
    leaves = [
        token_hmac(random.randrange(count // CHAIN) * CHAIN + CHAIN - 1)
        for _ in range(checks)
    ]
    return [
        _judging(registry, keys, leaves),
        *_guarding(registry, leaves),
        _hashing(leaves, keys),
        *check_shapes.rows(scale),
    ]


def _judging(registry: Registry, keys: set[str], leaves: list[Identifier]) -> Row:
    presented = [Presented((leaf,)) for leaf in leaves]
    measured = interleave(
        lambda: [judge(registry, each, now=CLOCK) for each in presented],
        _looking_up(leaves, keys),
    )
    ours = measured.ours_median / len(leaves) * 1e9
    peer = measured.peer_median / len(leaves) * 1e9
    return Row(
        what=f"judge, depth 6, {len(keys) // 2:,} credentials of 2 names",
        value=f"{ours:,.0f} ns",
        cpu=measured.cpu,
        peer=f"`key in set`, {peer:.0f} ns",
        ratio=measured.ratio,
        target=f"<= {MOST_TIMES_A_SET}x",
        met=measured.ratio[0] <= MOST_TIMES_A_SET,
    )


def _looking_up(leaves: list[Identifier], keys: set[str]) -> Callable[[], object]:
    """Give the peer: each key is ready, its hash is known, and it is found."""
    ready = [str(leaf) for leaf in leaves]
    assert keys.issuperset(ready)
    return lambda: [key in keys for key in ready]


def _guarding(registry: Registry, leaves: list[Identifier]) -> list[Row]:
    """Compare `Guard.check` (lease, clocks, counters) with the judging inside."""
    # The wall clock is that of the made-up realm.
    guard = Guard("http://localhost", "", name="bench", wall_clock=lambda: CLOCK)
    guard.standing.replica.registry = registry
    guard.standing.deadline = 2**63
    presented = [Presented((leaf,)) for leaf in leaves]
    assert guard.check(presented[0]).allowed
    assert judge(registry, presented[0], now=CLOCK) is LIVES
    texts = [str(leaf) for leaf in leaves]
    rows = []

    def checked(asked: Sequence[Presented | str]) -> list[Verdict]:
        return [guard.check(each) for each in asked]

    for what, asked in (("prepared", presented), ("given as texts", texts)):
        measured = interleave(
            partial(checked, asked),
            lambda: [judge(registry, each, now=CLOCK) for each in presented],
        )
        ours = measured.ours_median / len(leaves) * 1e9
        peer = measured.peer_median / len(leaves) * 1e9
        rows.append(
            Row(
                what=f"Guard.check of the same, {what} (lease, clocks, counters)",
                value=f"{ours:,.0f} ns",
                cpu=measured.cpu,
                peer=f"judge alone, {peer:,.0f} ns",
                ratio=measured.ratio,
                target=f"<= {MOST_OF_A_CHECK:,} ns" if asked is presented else "",
                met=ours <= MOST_OF_A_CHECK if asked is presented else None,
            )
        )
    return rows


def _hashing(leaves: list[Identifier], keys: set[str]) -> Row:
    """Hash a presented secret: HMAC-SHA256 cut to 16 bytes, in hex."""
    secrets = [f"hvs.{leaf.value * 5}".encode() for leaf in leaves]  # 89 bytes

    def hashed() -> list[str]:
        digest = hmac.digest
        return [digest(PEPPER, each, "sha256")[:16].hex() for each in secrets]

    measured = interleave(hashed, _looking_up(leaves, keys))
    ours = measured.ours_median / len(leaves) * 1e9
    peer = measured.peer_median / len(leaves) * 1e9
    return Row(
        what="hashing a presented secret (HMAC-SHA256, 16 bytes), apart",
        value=f"{ours:,.0f} ns",
        cpu=measured.cpu,
        peer=f"`key in set`, {peer:.0f} ns",
        ratio=measured.ratio,
    )
