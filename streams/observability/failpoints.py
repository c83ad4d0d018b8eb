"""Named points where a test may kill the process; nothing without the variable.

``RESCIND_FAILPOINT=name`` or ``name:3`` sends SIGKILL to this very process when the
point is reached for the first or the third time.
"""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "RESCIND_FAILPOINT"
# Where older facts are packed into blocks.
PACKING_POINTS: Final = (
    "store.block_written",
    "store.block_printed",
    "store.rows_packed",
    "store.blocks_merging",
    "store.blocks_merged",
)
# Of the embedded engine.
POINTS: Final = (
    "store.job_queued",
    "store.before_begin",
    "store.after_begin",
    "store.fact_written",
    *PACKING_POINTS,
    "store.before_commit",
    "store.after_commit",
    "store.before_answer",
    "ingress.received",
    "ingress.admitted",
    "ingress.before_reply",
    "feed.before_delta",
    "feed.before_pong",
    "stages.fact_applied",
    "stages.before_slice",
    "stages.after_slice",
    "stages.before_access",
    "stages.after_access",
    "stages.after_signals",
    "notify.before_attempt",
    "notify.after_attempt",
    "notify.after_outcome",
    "tail.read",
    "tail.committed",
    "start.schema",
    "start.loaded",
)
# Of what ends at issuers, on either engine.
ACTUATOR_POINTS: Final = ("actuator.before_act", "actuator.acted")
# Of a table that is written into a file.
TABLE_POINTS: Final = ("table.writing", "table.written")
# Of a data folder of an earlier version.
UPGRADE_POINTS: Final = ("start.renamed",)
# Of an order whose time has come.
SCHEDULE_POINTS: Final = ("schedule.claimed",)
# Of the worker on Kafka, in the order in which a batch meets them.
WORKER_POINTS: Final = tuple(
    f"{stage}.{place}"
    for stage in ("registry", "sentinel")
    for place in ("loaded", "applied", "published", "acked", "saved", "committed")
)
AUDIT_POINTS: Final = ("audit.chained", "audit.acked", "audit.signed")
# Of the notify process on Kafka, besides those of the stage above.
NOTIFY_POINTS: Final = ("notify.taken", "notify.released")

_armed: list[tuple[str, int]] = []


def arm(text: str) -> None:
    """Set the point at which to die, ``name`` or ``name:count``; empty for none.

    Raises:
        ValueError: there is no such point.
    """
    name, _, count = text.partition(":")
    stages = WORKER_POINTS + AUDIT_POINTS + NOTIFY_POINTS + SCHEDULE_POINTS
    others = TABLE_POINTS + UPGRADE_POINTS
    if name and name not in POINTS + others + ACTUATOR_POINTS + stages:
        raise ValueError(f"no failpoint is called {name!r}")
    _armed[:] = [(name, int(count or 1))] if name else []


def failpoint(name: str) -> None:
    """Die here when this point is armed and was reached often enough."""
    if _armed and _armed[0][0] == name:
        _reached(*_armed[0])


def _reached(name: str, left: int) -> None:
    _armed[:] = [(name, left - 1)]
    if left == 1:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
