"""Deltas as bytes, made once for all guards that stand at the same place of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.http.text_frames import text_frame

if TYPE_CHECKING:
    from streams.services.feed_ports import FedLog

TOGETHER: Final = 64 << 10  # bytes from which on no other frame is added to a write


class SharedFrames:
    """Frames of a log as it ends now; they are made anew when it goes on."""

    def __init__(self, log: FedLog) -> None:
        self._log = log
        self._end = -1
        self._made: dict[int, tuple[bytes, int]] = {}

    def since(self, position: int) -> tuple[bytes, int]:
        """Frames from a position on, and up to where: as far as they are at hand."""
        if self._end != self._log.end:
            self._end = self._log.end
            self._made.clear()
        made = self._made.get(position)
        if made is None:
            made = self._made[position] = self._join(position)
        return made

    def drop(self) -> None:
        """Forget all: the log is another one."""
        self._end = -1
        self._made.clear()

    def _join(self, position: int) -> tuple[bytes, int]:
        frames, size = [], 0
        while position < self._end and size < TOGETHER:
            frame = self._log.frame(position)
            if frame is None:
                break
            frames.append(text_frame(frame.text.encode()))
            size += len(frames[-1])
            position = frame.end
        return b"".join(frames), position
