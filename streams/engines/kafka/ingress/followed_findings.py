"""The findings of a realm as they lie in the topic: each as it was told last."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.errors import SchemaError
from streams.engines.kafka.finding_records import MILLISECOND, read_finding
from streams.engines.kafka.ingress.last_records import KeptRecord, LastRecords
from streams.engines.kafka.ingress.log_view import LogView
from streams.engines.kafka.records.accesses import OPEN
from streams.ports.findings_log import ListedFinding
from streams.process.aside import walked
from streams.stages.sentinel.episodes import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streams.settings.kafka import KafkaSettings

LARGEST: Final = 2**63 - 1
MOST: Final = 100_000  # findings; of some 1.1 kB each


class _KnownFinding(NamedTuple):
    """A finding as it was told last; ``at`` in ns."""

    open: bool
    at: int
    value: bytes


class FollowedFindings(LogView):
    """What is open, and what was closed within the time that the embedded server keeps.

    The place of a change is the offset behind its record, so a list can be continued
    at any process.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        realm: str,
        clock: Callable[[], int],
        most: int = MOST,
    ) -> None:
        super().__init__(settings, "findings", realm)
        self._clock = clock
        self._most = most
        self._prefix = f"{realm}/".encode()
        self._told: LastRecords[bytes, _KnownFinding] = LastRecords()
        self._closed: OrderedDict[bytes, int] = OrderedDict()
        self._left_out: set[bytes] = set()
        self._left_out_closed: OrderedDict[bytes, int] = OrderedDict()

    def begin(self) -> None:
        """Forget all."""
        self._told.clear()
        self._closed.clear()
        self._left_out.clear()
        self._left_out_closed.clear()

    async def take(self, records: Sequence[Any]) -> None:
        """Keep the records of the realm."""
        ours = (each for each in records if (each.key or b"").startswith(self._prefix))
        await walked(map(self._take, ours))

    def _take(self, record: Any) -> None:
        key, at = record.key, record.timestamp * MILLISECOND
        is_open = dict(record.headers).get(OPEN, b"1") != b"0"
        self._closed.pop(key, None)
        self._left_out.discard(key)
        self._left_out_closed.pop(key, None)
        if not is_open:
            self._closed[key] = at
        self._told.put(
            key, record.offset, _KnownFinding(is_open, at, record.value or b"")
        )
        self._forget()

    def _forget(self) -> None:
        """Let go what was closed long ago, and what is too much."""
        before = self._clock() - KEPT
        while self._closed:
            key, at = next(iter(self._closed.items()))
            if at >= before and len(self._told) <= self._most:
                break
            del self._closed[key]
            self._told.drop(key)
            if at >= before:
                self._left_out_closed[key] = at
        while self._left_out_closed and (
            next(iter(self._left_out_closed.values())) < before
        ):
            self._left_out_closed.popitem(last=False)  # it would have gone by now
        while len(self._told) > self._most and (first := self._told.first()):
            self._told.drop(first[0])
            self._left_out.add(first[0])

    async def page(self, after: int, limit: int) -> tuple[Sequence[ListedFinding], int]:
        """List findings that changed after a place; see `FindingsLog.page`.

        Raises:
            BehindError: not all is read that was told by now.
        """
        await self.catch_up()
        self._forget()
        found: list[ListedFinding] = []
        last = after - 1
        # A short page ends a list, so those that cannot be read are made up for.
        while rows := self._told.after(last, limit - len(found)):
            found += await asyncio.to_thread(_listed, rows)
            last = rows[-1].offset
        return found, len(self._left_out) + len(self._left_out_closed)

    async def before(self, place: int | None, limit: int) -> Sequence[ListedFinding]:
        """List findings that changed before a place; see `SearchedFindings.before`.

        Raises:
            BehindError: not all is read that was told by now.
        """
        await self.catch_up()
        self._forget()
        found: list[ListedFinding] = []
        last = LARGEST if place is None else place - 1
        while rows := self._told.before(last, limit - len(found)):
            found += await asyncio.to_thread(_listed, rows)
            last = rows[-1].offset
        return found

    async def find(self, identity: str) -> ListedFinding | None:
        """Look a finding up by its id; see `SearchedFindings.find`.

        Raises:
            BehindError: not all is read that was told by now.
        """
        await self.catch_up()
        self._forget()
        known = self._told.record(self._prefix + identity.encode())
        found = [] if known is None else _listed([known])
        return found[0] if found else None


def _listed(rows: Iterable[KeptRecord[_KnownFinding]]) -> list[ListedFinding]:
    found = []
    for offset, told in rows:
        try:
            finding = read_finding(told.value, ()).change.finding
        except SchemaError:
            continue  # notify puts it into the dead letters
        found.append(ListedFinding(offset + 1, told.open, finding))
    return found
