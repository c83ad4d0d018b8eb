"""Sinks of other distributions, which name them as entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.model.extensions import ExtensionError, extensions
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
        ExtensionError: there is no such entry point, it does not load, or it returns no
            sink.
        ValueError: it refuses the options.
    """
    known = extensions(GROUP)
    if name not in known:
        listed = ", ".join(sorted(known)) or "none; install its distribution"
        raise ExtensionError(f"no sink {name!r}: there is {listed}")
    try:
        made = known[name].load()(url, options, links)
    except TypeError as error:
        raise ExtensionError(f"{known[name]} cannot be called: {error}") from error
    if not isinstance(made, Sink):
        raise ExtensionError(f"{known[name]} is no streams.sinks.sink.Sink")
    return made
