"""The peer on quixstreams: accesses joined with causes by their credential.

Run as ``python -m bench.peers.quix_join BOOTSTRAP INPUT OUTPUT GROUP FOLDER``. Causes
and accesses lie in one topic, keyed by credential, so that the state of a key sees
both; uses are counted by point and minute, and reported once where they are dead. A
line that comes twice is not recognised, and a late edge is nothing to it.
"""

from __future__ import annotations

import sys
from typing import Any

from bench.peers import quix_app

MINUTE = 60 * 10**9


def joined(value: dict[str, Any], state: Any) -> dict[str, Any] | None:
    """Join one record with what is known of its credential."""
    known = state.get("known") or {"revoked": None, "seen": {}}
    at = value["at"]
    told = None
    if "event_id" not in value:  # a statement: it exists, or it ended
        if value["revoked"] and (known["revoked"] is None or at < known["revoked"]):
            known["revoked"] = at
    else:
        key = f"{value['point']}/{at // MINUTE}"
        first, _, count = known["seen"].get(key, (at, at, 0))
        known["seen"][key] = (first, at, count + 1)
        if known["revoked"] is not None and at > known["revoked"]:
            told = value
    state.set("known", known)
    return told


if __name__ == "__main__":
    quix_app.run(joined, "json", *sys.argv[1:])
