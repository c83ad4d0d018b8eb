"""The dead letters of a realm as they lie in the topic; repeats of a day are one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from schemas.codec import in_force
from schemas.errors import SchemaError
from streams.engines.kafka.ingress.last_records import LastRecords
from streams.engines.kafka.ingress.log_view import LogView
from streams.model.times import DAY
from streams.process.aside import walked

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from streams.settings.kafka import KafkaSettings
    from streams.settings.limits import DeadLetterSettings

SINGLE = "notify"  # each of its letters names a finding that was not delivered

log = structlog.get_logger()


class FollowedDeadLetters(LogView):
    """The letters of a realm, and those of no realm that lie in its partition.

    Those are records that could not be read; nothing of their bytes is in them.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        realm: str,
        clock: Callable[[], int],
        kept: DeadLetterSettings,
    ) -> None:
        """Set up; `run` reads, and ``kept`` says for how long and how many."""
        super().__init__(settings, "dlq", realm)
        self._clock = clock
        self._keep = int(kept.keep_days * DAY)
        self._most = kept.most
        self._rows: LastRecords[Hashable, dict[str, Any]] = LastRecords()

    def begin(self) -> None:
        """Forget all."""
        self._rows.clear()

    async def take(self, records: Sequence[Any]) -> None:
        """Keep the letters, each within the row of its day."""
        await walked(map(self._take, records))

    def _take(self, record: Any) -> None:
        try:
            name, _, letter = in_force().decode(record.value or b"")
        except SchemaError as error:
            log.warning("not_readable", offset=record.offset, error=str(error))
            return
        if name == "dead_letter" and letter["realm"] in ("", self.realm):
            self._add(record, letter)

    def _add(self, record: Any, letter: Mapping[str, Any]) -> None:
        key, new = _fold(record, letter), _row(record.offset, letter)
        known = self._rows.get(key)
        if known is not None:
            placed = letter["partition"] is not None
            if placed and letter["offset"] <= known["last_position"]:
                return  # written again, since its place was read again
            changed = ("offset", "last_at", "last_position")
            new = known | {name: new[name] for name in changed}
            new["count"] += letter["count"]
        self._rows.put(key, record.offset, new)
        self._forget()

    def _forget(self) -> None:
        before = self._clock() - self._keep
        while first := self._rows.first():
            key, row = first
            if row["last_at"] >= before and len(self._rows) <= self._most:
                return
            self._rows.drop(key)

    async def page(self, after: int, limit: int) -> Sequence[dict[str, Any]]:
        """List letters that are new or grew after an offset; see `DeadLetterLog.page`.

        Raises:
            BehindError: not all is read that was written by now.
        """
        await self.catch_up()
        self._forget()
        return [row.kept for row in self._rows.after(after, limit)]

    async def newest(self, before: int, limit: int) -> Sequence[dict[str, Any]]:
        """List letters before an offset; see `DeadLetterLog.newest`.

        Raises:
            BehindError: not all is read that was written by now.
        """
        await self.catch_up()
        self._forget()
        return [row.kept for row in self._rows.before(before, limit)]


def _fold(record: Any, letter: Mapping[str, Any]) -> Hashable:
    """Key of the row that a letter belongs to."""
    if letter["authority"] == SINGLE:
        return (record.key,)
    names = "authority", "source", "reason", "partition"
    return (letter["at"] // DAY, *(letter[name] for name in names))


def _row(offset: int, letter: Mapping[str, Any]) -> dict[str, Any]:
    """Row of one letter, as the API has it."""
    last = letter["last_offset"]
    row = {
        "offset": offset,
        "at": letter["at"],
        "source": letter["source"],
        "authority": letter["authority"],
        "reason": letter["reason"],
        "position": letter["offset"],
        "length": letter["length"],
        "digest": letter["digest"] or "",
        "event_id": letter["event_id"],
        "count": letter["count"],
        "last_at": letter["at"],
        "last_position": letter["offset"] if last is None else last,
    }
    if letter["partition"] is not None:
        row["partition"] = letter["partition"]
    return row
