"""The peer on quixstreams: state with a changelog, and an output for each cause.

Run as ``python -m bench.peers.quix BOOTSTRAP INPUT OUTPUT GROUP FOLDER``.
"""

from __future__ import annotations

import sys
from typing import Any

from bench.peers import quix_app
from bench.peers.reading import Reader


def main(*given: str) -> None:
    """Work until SIGTERM."""
    reader = Reader()

    def work(value: bytes, state: Any) -> dict[str, Any] | None:
        kept, told = reader.merged(value, state.get("life"))
        state.set("life", kept)
        return told

    quix_app.run(work, "bytes", *given)


if __name__ == "__main__":
    main(*sys.argv[1:])
