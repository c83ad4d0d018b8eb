"""Rules of containment of the settings, held against kinds and authorities."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from streams.apps.builders.access import ConfigurationError
from streams.services.typed_names import unknown_kind
from streams.settings.containment import rules_of
from streams.stages.ingest.entitlement import CONTAINMENT, OPERATORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Vocabulary
    from streams.settings.server import Settings
    from streams.stages.containment.rules import ContainmentRule


def containment_rules(
    settings: Settings, vocabulary: Vocabulary
) -> tuple[ContainmentRule, ...]:
    """Rules, in the order of the settings.

    Raises:
        ConfigurationError: one could never act, since it names what there is not.
    """
    rules = rules_of(settings.containment)
    known = {*settings.authorities, OPERATORS, CONTAINMENT}
    if wrong := [text for rule in rules for text in _faults(rule, vocabulary, known)]:
        raise ConfigurationError("\n".join(wrong))
    return rules


def _faults(
    rule: ContainmentRule, vocabulary: Vocabulary, authorities: set[str]
) -> Iterator[str]:
    what = f"containment {rule.name}"
    for pattern in rule.identifiers:
        if not any(fnmatchcase(kind, pattern) for kind in vocabulary):
            yield f"{what}: identifiers: {unknown_kind(pattern, vocabulary)}"
    for name in sorted(rule.authorities - authorities):
        there = ", ".join(sorted(authorities))
        yield f"{what}: no authority is called {name!r}: there are {there}"
