"""What closure told of a partition: who takes it up goes on from there.

Nothing of closure lies on a disk; the topic ``findings`` has what was said last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.errors import SchemaError
from streams.engines.kafka.finding_records import (
    MILLISECOND,
    last_records,
    read_finding,
    told_episode,
)
from streams.model.findings import FindingKind, episode_id
from streams.stages.closure.results import GUARD

if TYPE_CHECKING:
    from streams.model.findings import Finding
    from streams.settings.kafka import KafkaSettings
    from streams.stages.sentinel.episode import Episode

MOST_REOPENED: Final = 1000  # of one target


async def told(settings: KafkaSettings, number: int) -> list[Episode]:
    """Read the findings of closure in a partition, each as it stands now.

    A realm's findings lie in the partition of the number that its facts lie in. Closed
    ones count too, however old: the ids of closure hang on no clock.

    Raises:
        KafkaError: the cluster cannot be asked, or we may not read them.
    """
    found = map(episode_of, await last_records(settings, [number]))
    return [episode for episode in found if episode is not None]


def episode_of(record: Any) -> Episode | None:
    """Read the last record of a finding; None where it is none of closure."""
    try:
        change = read_finding(record.value, record.headers).change
    except SchemaError:
        return None  # notify puts it into the dead letters
    finding = change.finding
    ours = finding.kind is FindingKind.CLOSURE_PARTIAL
    if not ours and finding.presented.kind != GUARD:
        return None
    if (reopened := _reopened(finding)) is None:
        return None
    return told_episode(change, reopened, record.timestamp * MILLISECOND)


def _reopened(finding: Finding) -> int | None:
    """Return the number of earlier findings on the same, as the id tells."""
    about = finding.realm, finding.presented, finding.kind, finding.point
    for number in range(MOST_REOPENED):
        if episode_id(*about, reopened=number) == finding.id:
            return number
    return None
