"""Say which seed the random worlds came from, also when all is well.

What runs thousands of random worlds is left out of coverage: measured it takes three
times as long, and a line that nothing else runs would be covered by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import settings

from tests.property.agreement import EXAMPLES, SEED

if TYPE_CHECKING:
    import pytest

UNMEASURED: Final = {
    "test_agreement", "test_arrivals", "test_closure", "test_dialect_replays",
    "test_dialect_values", "test_envelope_cuts", "test_hunt_truth",
    "test_sample_replays",
}  # fmt: skip


# RESCIND_EXAMPLES says how many; `make test-long` runs them again, with more.
RANDOM_WORLDS: Final = {
    "test_agreement", "test_arrivals", "test_cause_book", "test_clearance",
    "test_console_graph", "test_containment", "test_containment_worlds",
    "test_dead_bits", "test_deaths", "test_fast_join", "test_interned_names",
    "test_kafka_notifier", "test_kafka_takeovers", "test_lineages", "test_plans",
    "test_posture", "test_shared_table", "test_sweep", "test_verdict_dependencies",
}  # fmt: skip


# An example that takes long on a machine with other work is no wrong one. `make test`
# has fewer, and `make test-long` runs every test with examples again.
settings.register_profile(
    "untimed", settings(), deadline=None, max_examples=min(100, max(40, EXAMPLES // 10))
)
settings.load_profile("untimed")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Leave modules out of coverage, and mark those of random worlds."""
    if item.path.stem in UNMEASURED:
        item.add_marker("no_cover")
    if item.path.stem in RANDOM_WORLDS:
        item.add_marker("worlds")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed and the number of examples of this run."""
    terminalreporter.write_line(
        f"random worlds: RESCIND_SEED={SEED} RESCIND_EXAMPLES={EXAMPLES}"
    )
