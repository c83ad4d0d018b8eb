"""The peer on quixstreams: uses of credentials, allowed while their state is alive.

Run as ``python -m bench.peers.quix_uses BOOTSTRAP INPUT OUTPUT GROUP FOLDER``. States
and uses lie in one topic, keyed by credential; a use is a number.
"""

from __future__ import annotations

import sys
from typing import Any

from bench.peers import quix_app


def decided(value: bytes, state: Any) -> dict[str, Any] | None:
    """Keep a state, or decide about a use."""
    if not value.isdigit():
        state.set("life", value.decode())
        return None
    return {"ask": value.decode(), "allowed": state.get("life") == "alive"}


if __name__ == "__main__":
    quix_app.run(decided, "bytes", *sys.argv[1:])
