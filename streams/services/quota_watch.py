"""Tell as a finding which authority says more than its quota, once an hour."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from attrs import define, field

from agents_registry.facts import HOUR
from streams.model.findings import FindingKind
from streams.services.intake import NotWrittenError, tell
from streams.stages.ingest.dead_letters import REASONS
from streams.stages.ingest.source_notices import SourceNotice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streams.services.ingest import Intake
    from streams.stages.ingest.ingress import Origin

LOOK_SECONDS: Final = 1.0
FACTS: Final = (
    "it sends more than its quota of a second or a day; its revocations are still "
    "taken in, unless `causes_per_second` is set for it and used up too; everything "
    "else is refused (429) until it sends less"
)
LETTERS: Final = (
    f"its input could not be read for more than {REASONS} different reasons in a day; "
    "further ones are only counted"
)

log = structlog.get_logger()


@define(eq=False)
class QuotaWatch:
    """Compares the counts of a log with what was told.

    Attributes:
        log: has the counts, and is written to.
        origin: gives the origin of what we say ourselves, now.
    """

    log: Intake
    origin: Callable[[], Origin]
    _seen: dict[tuple[str, str], int] = field(factory=dict)
    _told: dict[tuple[str, str], int] = field(factory=dict)

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except NotWrittenError as error:
                log.warning("not_written", error=type(error).__name__)

    async def look(self) -> None:
        """Report authorities over their quota, at most once an hour.

        Raises:
            NotWrittenError: it could not be written.
        """
        origin = self.origin()
        now, counts = origin.received_at, dict(self._counts())
        due = [
            key
            for key, count in counts.items()
            if count > self._seen.get(key, 0)
            and now - self._told.get(key, now - HOUR) >= HOUR
        ]
        if not due:
            return
        signals = [
            SourceNotice(FindingKind.OVER_QUOTA, now, detail).signal(authority)
            for authority, detail in due
        ]
        await tell(self.log, signals, origin)
        for key in due:
            log.warning("over_quota", authority=key[0], count=counts[key])
            self._seen[key], self._told[key] = counts[key], now

    def _counts(self) -> Iterator[tuple[tuple[str, str], int]]:
        quotas = self.log.quotas
        for authority, count in ({} if quotas is None else quotas.exceeded).items():
            yield (authority, FACTS), count
        for authority, count in self.log.stated.reasons.exceeded.items():
            yield (authority, LETTERS), count
