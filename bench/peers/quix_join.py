"""The peer on quixstreams: accesses joined with causes by their credential.

Run as ``python -m bench.peers.quix_join BOOTSTRAP INPUT OUTPUT GROUP FOLDER``. Causes
and accesses lie in one topic, keyed by credential, so that the state of a key sees
both; uses are counted by point and minute, and reported once where they are dead. A
line that comes twice is not recognised, and a late edge is nothing to it.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application

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


def main(bootstrap: str, source: str, output: str, group: str, folder: str) -> None:
    """Work until SIGTERM."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        state_dir=folder,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        producer_extra_config={"acks": "all", "enable.idempotence": True},
        loglevel="WARNING",
    )
    records = app.topic(source, value_deserializer="json", key_deserializer="bytes")
    told = app.topic(output, value_serializer="json", key_serializer="bytes")
    stream = app.dataframe(records).apply(joined, stateful=True)
    stream.filter(lambda value: value is not None).to_topic(told)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
