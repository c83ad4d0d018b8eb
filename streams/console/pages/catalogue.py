"""All pages: a line each."""

from __future__ import annotations

from typing import Final

from streams.console.pages import (
    actuators,
    approvals,
    audit,
    contain,
    credential,
    find,
    findings,
    guards,
    insights,
    inventory,
    now,
    receivers,
    revocations,
    sources,
)

KINDS: Final = (
    now.KIND,
    find.KIND,
    credential.KIND,
    findings.LIST,
    findings.ONE,
    revocations.LIST,
    revocations.ONE,
    contain.KIND,
    approvals.KIND,
    inventory.KIND,
    guards.KIND,
    sources.KIND,
    receivers.KIND,
    actuators.KIND,
    actuators.ONE,
    audit.KIND,
    insights.KIND,
)
