"""Where a watched file is read from, by a process that takes it over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.pollers.file_tailer import FileTailer, FollowedPath
from streams.pollers.logfiles import FilePlace
from streams.ports.keyed_store import PLACE, part

WATCHED = Path("/var/log/app.log")
LEFT = [
    FilePlace(0, "/var/log/app.log.2", 12, 70, 10, b"\x01", 1),
    FilePlace(1, "/var/log/app.log.1", 11, 50, 10, b"\x02", 2),
    FilePlace(2, "/var/log/app.log", 13, 5, 5, b"\x03", 3),
]


class Kept:
    """Keeps what is put, until an end of the process after so many."""

    def __init__(self, most: int) -> None:
        """Begin with the places of a server without a name."""
        self.bodies = {f"{part(str(WATCHED))}/{each.number}": each for each in LEFT}
        self.most = most

    def items(self, kind: str) -> dict[str, bytes]:
        """Give all."""
        assert kind == PLACE
        return {name: each.dump() for name, each in self.bodies.items()}

    async def put(self, _: str, name: str, body: bytes, *, patient: bool) -> None:
        """Keep one; what is refused for a moment arrives behind later ones."""
        assert patient
        await asyncio.sleep(0 if name.endswith("/2") else 0.001)
        if not self.most:
            raise asyncio.CancelledError
        self.most -= 1
        self.bodies[name] = FilePlace.load(body)


def places(kept: Kept) -> list[FilePlace]:
    """Give the places that a process finds."""
    nothing: Any = SimpleNamespace()
    followed = FollowedPath(WATCHED, "app", nothing, nothing)
    tailer = FileTailer(
        followed, cast("Any", kept), nothing, nothing, owner="ingress-0"
    )
    return asyncio.run(tailer._places())


@pytest.mark.parametrize("most", range(len(LEFT)))
def test_an_end_while_places_are_taken_over_leaves_no_older_file_unknown(
    most: int,
) -> None:
    """A file that is older than all that are known would never be read."""
    kept = Kept(most)
    with pytest.raises(asyncio.CancelledError):
        places(kept)

    kept.most = len(LEFT)
    assert LEFT[: most or len(LEFT)] == places(kept)
