"""All pages: a line each."""

from __future__ import annotations

from typing import Final

from streams.console.pages import (
    actuators,
    audit,
    credential,
    find,
    guards,
    insights,
    inventory,
    now,
    receivers,
    sources,
)

KINDS: Final = (
    now.KIND,
    find.KIND,
    credential.KIND,
    inventory.KIND,
    guards.KIND,
    sources.KIND,
    receivers.KIND,
    actuators.KIND,
    actuators.ONE,
    audit.KIND,
    insights.KIND,
)
