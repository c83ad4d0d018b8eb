"""Zero allows after an enforced ack, at real guard processes under load."""

from __future__ import annotations

import asyncio

import pytest

from bench.enforced import measured

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.no_cover,
    pytest.mark.usefixtures("unmeasured"),
]


@pytest.mark.parametrize(
    ("causes", "guards"), [(100, 3), pytest.param(625, 8, marks=pytest.mark.long)]
)
async def test_nothing_is_allowed_after_an_enforced_ack(
    causes: int, guards: int
) -> None:
    """In each pair of a revocation and a guard."""
    tally = await asyncio.to_thread(measured, causes, guards)

    assert (tally.pairs, tally.before) == (causes * guards, causes * guards)
    assert tally.allowed == 0


@pytest.mark.campaign
@pytest.mark.timeout(0)
async def test_nothing_is_allowed_in_a_million_pairs() -> None:
    """The same, a hundred times; `python -m bench enforced` does 100,000."""
    tally = await asyncio.to_thread(measured, 125_000, 8)

    assert (tally.pairs, tally.before) == (1_000_000, 1_000_000)
    assert tally.allowed == 0


@pytest.mark.long
async def test_guards_that_lose_a_cause_are_caught() -> None:
    """The pairs are really checked: one of these causes is lost, at two guards."""
    tally = await asyncio.to_thread(measured, 200, 2, "forgets")

    assert (tally.pairs, tally.allowed) == (400, 2)
