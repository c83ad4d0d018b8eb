"""Logs that go on: the files and sockets of the settings, and how they are read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from streams.pollers.file_tailer import FollowedPath
from streams.pollers.socket_listener import SocketListening
from streams.settings.server import Listen, address
from streams.sources.stream import Continuing, Pairing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.http.events import ConfiguredSource, Speakers
    from streams.services.reading import RecordReader
    from streams.settings.sources import WatchSettings


def following(
    watch: WatchSettings, sources: dict[str, ConfiguredSource], speakers: Speakers
) -> FollowedPath:
    """Follower of a watched path."""
    configured = sources[watch.source]
    key = f"watch:{watch.path.name}"
    return FollowedPath(
        path=watch.path,
        source=watch.source,
        make=_maker(configured),
        speaker=partial(speakers.speaker, watch.authority, key),
        point=configured.point,
        poll_seconds=watch.poll_seconds,
    )


def listening(
    sources: dict[str, ConfiguredSource], speakers: Speakers
) -> Iterator[SocketListening]:
    """Return the listeners for the sockets of the settings."""
    for name, given in speakers.settings.sockets.items():
        configured = sources[given.source]
        path = given.listen.removeprefix("unix:")
        at = address(path) if path == given.listen else Listen(host="")
        yield SocketListening(
            name=name,
            source=given.source,
            make=_maker(configured),
            speaker=partial(speakers.speaker, given.authority, f"socket:{name}"),
            point=configured.point,
            path=None if at.host else Path(path),
            mode=int(given.mode, 8),
            host=at.host,
            port=at.port,
            allowed=given.allow_from,
        )


def _maker(configured: ConfiguredSource) -> Callable[[], RecordReader]:
    """Maker of readers that go on from piece to piece."""
    paired = isinstance(configured.make(), Pairing)
    return partial(Continuing, configured.make) if paired else configured.make
