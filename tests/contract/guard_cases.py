"""What the tests of guards on a feed share: facts, a guard, and waiting."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.facts import Cause, Edge, Effect, Fact, Node
from agents_registry.identifiers import Identifier
from enforcement import Guard, Mode
from tests.contract.feed_server import CREDENTIAL, ScriptedFeed

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND
LEASE = 0.4
GRACE = 0.05
PARENT = Identifier("vault.accessor", "parent")
CHILD = Identifier("vault.accessor", "child")
OTHER = Identifier("vault.accessor", "other")
SAID: dict[str, Any] = {
    "authority": "vault",
    "version": NOW,
    "received_at": NOW,
    "ingress_key": "i1",
}


def node(identifier: Identifier) -> Node:
    """Say that an identifier exists."""
    return Node(**SAID, node=identifier, issued_at=NOW)


def revoke(identifier: Identifier) -> Cause:
    """Say that an identifier is revoked."""
    return Cause(**SAID, target=identifier, effect=Effect.REVOKE, at=NOW)


EDGE = Edge(**SAID, child=CHILD, parent=PARENT)
FAMILY: list[Fact] = [node(PARENT), node(CHILD), EDGE]


def connect(
    server: ScriptedFeed, credential: str = CREDENTIAL, lease: float = LEASE
) -> Guard:
    """Give a guard of a server, not yet entered."""
    return Guard(
        server.url,
        credential,
        name="g",
        routes={mode.value: mode for mode in Mode},
        lease=lease,
        live_sessions=True,
        jitter=lambda: 0.2,
    )


async def until(condition: Callable[[], object], within: float = 30.0) -> float:
    """Wait for a condition; give the seconds until it was last asked in vain.

    Asked of a denial this is when a guard last allowed, however late a busy machine
    lets the test see the first denial.
    """
    start = asked = in_vain = time.monotonic()
    while not condition():
        in_vain = asked
        if asked - start > within:
            pytest.fail(f"not within {within} s")
        await asyncio.sleep(0.001)
        asked = time.monotonic()
    return in_vain - start


def allows(guard: Guard, identifier: Identifier = CHILD) -> bool:
    """Ask a guard."""
    return guard.check(identifier).allowed
