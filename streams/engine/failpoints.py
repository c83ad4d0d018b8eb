"""Named points where a test may kill the process; nothing without the variable.

``RESCIND_FAILPOINT=name`` or ``name:3`` sends SIGKILL to this very process when the
point is reached for the first or the third time.
"""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "RESCIND_FAILPOINT"
POINTS: Final = (
    "store.job_queued",
    "store.before_begin",
    "store.after_begin",
    "store.fact_written",
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

_NAME, _, _count = os.environ.get(VARIABLE, "").partition(":")
_left = int(_count or 1)


def failpoint(name: str) -> None:
    """Die here when the environment says so."""
    if name == _NAME:
        _reached()


def _reached() -> None:
    global _left  # noqa: PLW0603 - one counter for the process, tests only
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
