"""A server process of the crash test: forked warm, armed, and killed from within."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from streams.apps.embedded import serve
from streams.engines.embedded import (
    fact_lookup,
    fact_rows,
    kept_table,
    merging,
    packed_facts,
    packing,
)
from streams.observability import failpoints
from streams.process.lifecycle import configure_logging
from streams.settings.server import Settings


def main(values: dict[str, Any], failpoint: str) -> None:
    """Serve until killed or terminated.

    Args:
        values: of the settings.
        failpoint: where to die, empty for nowhere.
    """
    configure_logging(logging.CRITICAL)
    failpoints.arm(failpoint)
    kept_table.KEEP_AFTER = 3  # type: ignore[misc]
    # Facts are packed behind their writers, a few at once.
    for module in (fact_lookup, fact_rows, merging, packed_facts, packing):
        module.PLACES = 4  # type: ignore[attr-defined]
    packing.LEAST_FACTS = 1  # type: ignore[misc]
    packing.KEEP = 3  # type: ignore[misc]
    packing.LOOK_SECONDS = 0.02  # type: ignore[misc]
    asyncio.run(serve(Settings(**values)))
