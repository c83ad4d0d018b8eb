"""The worker of containment on the embedded server; none where no rule is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.apps.builders.containment_rules import containment_rules
from streams.engines.embedded.current import CurrentTable
from streams.engines.embedded.findings_log import StoredFindings
from streams.services.containment import ContainmentWorker
from streams.stages.containment.containment import Containment

if TYPE_CHECKING:
    from streams.apps.builders.embedded_context import EmbeddedContext
    from streams.apps.builders.inputs import Inputs
    from streams.engines.embedded.stages import Stages


def embedded_containment(
    about: EmbeddedContext, taking: Inputs, stages: Stages
) -> ContainmentWorker | None:
    """Worker of the embedded server; it decides in the event loop of the analysis."""
    rules = containment_rules(about.settings, taking.described.vocabulary)
    if not rules:
        return None
    return ContainmentWorker(
        stage=Containment(rules, speaks=taking.speakers.entitled),
        findings=StoredFindings(about.store),
        kept=about.kept,
        intake=taking.ports.intake,
        tables=CurrentTable(stages, about.store),
        aside=about.analysis.run,
        own=taking.speakers.own,
    )
