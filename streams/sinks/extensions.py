"""Sinks of other distributions, which name them as entry points."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Final

from streams.sinks.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.sinks.links import Links

GROUP: Final = "rescind.sinks"


def sink(name: str, url: str, options: Mapping[str, str], links: Links) -> Sink:
    """Make the sink that an entry point names.

    Args:
        name: of the entry point. It is called with the three that follow.
        url: where it posts; a secret.
        options: of the settings.
        links: what alerts point to.

    Raises:
        ValueError: there is no such entry point, it does not load, or it refuses the
            options or returns no sink.
    """
    points = metadata.entry_points(group=GROUP)
    if name not in points.names:
        known = ", ".join(sorted(points.names)) or "none; install its distribution"
        text = f"no sink {name!r} among the entry points {GROUP}: there is {known}"
        raise ValueError(text)
    point = points[name]
    try:
        made = point.load()(url, options, links)
    except (AttributeError, ImportError, TypeError) as error:
        text = f"sink {name} ({point.value}) does not load: {error}"
        raise ValueError(text) from error
    if not isinstance(made, Sink):
        text = f"sink {name} ({point.value}) is no streams.sinks.sink.Sink"
        raise ValueError(text)  # noqa: TRY004 - of the settings
    return made
