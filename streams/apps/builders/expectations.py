"""Which sources the settings name, and for how long each of them may be silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.apps.builders.access import ConfigurationError
from streams.sources.polling.feeds import seconds
from streams.stages.ingest.source_health import Expected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.settings.server import Settings

# A poll that gets no answer is silent after so many rounds, but not before this time.
ROUNDS: Final = 20
SHORTEST: Final = 300.0  # seconds


def expected_sources(settings: Settings, slack: float = 0.0) -> dict[str, Expected]:
    """Return the sources that are listed before they first speak.

    Others (the name in ``POST /v1/events/NAME``, a directory) are once they did, or
    where the settings expect them.

    Args:
        settings: of the process.
        slack: seconds more, where it takes time to learn what another process heard.

    Raises:
        ConfigurationError: an expectation is of a source that is not there.
    """
    known = dict(_configured(settings))
    speaking = {
        *(f"events:{name}" for name in settings.sources),
        *(f"{kind}:{each.name}" for kind in ("scim", "rfc7009")
          for each in settings.tokens),
    }  # fmt: skip
    for name, silent in settings.silent_seconds.items():
        if name.startswith("ssf:"):
            text = f"silent_seconds: {name} has its own, under ssf"
            raise ConfigurationError(text)
        if name not in known and name not in speaking:
            text = f"silent_seconds: no source {name!r}; `rescind sources` lists them"
            raise ConfigurationError(text)
        answer = known[name].answer if name in known else 0
        known[name] = Expected(event=seconds(silent + slack), answer=answer)
    return known


def _configured(settings: Settings) -> Iterator[tuple[str, Expected]]:
    for kind, named in (
        ("hook", settings.hooks),
        ("socket", settings.sockets),
        ("ssf", settings.ssf),
        ("global_revocation", settings.global_revocation),
    ):
        for name in named:
            yield f"{kind}:{name}", Expected()
    for watch in settings.watch:
        yield f"watch:{watch.path}", Expected()
    for raw in settings.raw_topics:
        yield f"topic:{raw.topic}", Expected()
    for name in settings.queues:
        yield f"queue:{name}", Expected(answer=seconds(SHORTEST))
    for name, poll in settings.polls.items():
        patience = seconds(max(SHORTEST, ROUNDS * poll.interval))
        for feed in poll.feeds(name):
            yield f"poll:{feed.name}", Expected(answer=patience)
