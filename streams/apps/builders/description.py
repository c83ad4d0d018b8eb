"""What the settings say of sources, read and checked before anything is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from streams.apps.builders.expectations import expected_sources
from streams.apps.builders.sources import check, configured_sources, configured_streams

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents_registry.identifiers import Vocabulary
    from streams.http.events import ConfiguredSource
    from streams.settings.server import Settings
    from streams.ssf.receiver import StreamVerifier
    from streams.stages.ingest.source_health import Expected


@frozen
class Described:
    """The sources that the settings describe, checked.

    Attributes:
        vocabulary: the class of each kind.
        sources: of events and logs, by name.
        verifiers: of signed tokens, by the name of their stream.
        expected: how long each source may be silent.
    """

    settings: Settings
    vocabulary: Vocabulary
    sources: dict[str, ConfiguredSource]
    verifiers: Mapping[str, StreamVerifier]
    expected: Mapping[str, Expected]


def described(settings: Settings, slack: float = 0.0) -> Described:
    """Read what the settings say of sources.

    Args:
        settings: of the process.
        slack: seconds more that a source may be silent, where it takes time to learn
            what another process heard.

    Raises:
        ConfigurationError: they contradict themselves.
    """
    vocabulary, sources = configured_sources(settings)
    check(settings, sources)
    verifiers = configured_streams(settings)
    expected = expected_sources(settings, slack)
    return Described(settings, vocabulary, sources, verifiers, expected)
