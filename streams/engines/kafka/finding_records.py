"""Read the records of the topic ``findings``.

The notify stage takes each. Who takes partitions up without what their last owner knew
takes of each finding the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs
from attrs import frozen

from schemas.codec import in_force
from schemas.errors import Fault, SchemaError
from streams.engines.kafka.client.log_reader import reading
from streams.engines.kafka.records.accesses import OPEN
from streams.engines.kafka.records.outputs import JUDGED, REOPENED
from streams.engines.kafka.records.schema_registry import learn_ids
from streams.model.findings import Finding
from streams.stages.notify.notify import FindingChange
from streams.stages.sentinel import saved_episodes
from streams.stages.sentinel.episode import Episode
from streams.stages.sentinel.episodes import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streams.settings.kafka import KafkaSettings

MILLISECOND: Final = 1_000_000
STEP: Final = 1000  # records
MOST_DIGITS: Final = 18
_FIELDS = tuple(field.name for field in attrs.fields(Finding))


@frozen
class FindingRecord:
    """A finding as it was at one revision of its episode.

    Attributes:
        identity: the same whenever and by whomever it is read.
        change: for the notify stage; its order comes from the revision.
    """

    identity: str
    change: FindingChange


class Held(NamedTuple):
    """An episode as it was told last.

    Attributes:
        judged: every access below this offset was judged by then.
    """

    episode: Episode
    judged: int


def read_finding(
    value: bytes | None, headers: Iterable[tuple[str, bytes]]
) -> FindingRecord:
    """Read one record of the topic ``findings``.

    Raises:
        SchemaError: it is none that we can read.
    """
    name, _, record = in_force().decode(value or b"")
    if name != "finding":
        raise SchemaError(Fault.NOT_A_FACT, f"a {name} record has no place in findings")
    told = dict(headers)
    identity = told.get("ce_id", b"").decode("utf-8", "replace")
    _, _, revision = identity.rpartition("/")
    try:
        finding = saved_episodes.from_plain({name: record[name] for name in _FIELDS})
    except (KeyError, TypeError, ValueError) as error:
        message = "a field of this finding cannot be read"
        raise SchemaError(Fault.UNDECODABLE, message) from error
    order = 2 * _number(revision.encode()) - 1
    closed = told.get(OPEN, b"1") == b"0"
    return FindingRecord(identity, FindingChange(finding, closed, max(0, order)))


async def read_episodes(
    settings: KafkaSettings, numbers: Iterable[int], now: int, step: Callable[[], None]
) -> list[Held]:
    """Read what was told, as it stands now, from partitions of ``findings``.

    That is what is open, and what was closed so lately that it is remembered. What is
    held at a time is one record of each finding.

    Args:
        settings: of the cluster and the layout.
        numbers: of the partitions.
        now: ns.
        step: called now and then.

    Raises:
        KafkaError: the cluster cannot be asked.
    """
    records = await last_records(settings, numbers, step)
    found = (_held(record, now) for record in records)
    return [held for held in found if held is not None]


async def last_records(
    settings: KafkaSettings,
    numbers: Iterable[int],
    step: Callable[[], None] = lambda: None,
) -> list[Any]:
    """Last record of each finding in some partitions, ready to be read.

    Raises:
        KafkaError: the cluster cannot be asked, or we may not read them.
    """
    last: dict[bytes, Any] = {}
    async with reading(settings) as reader:
        for number in numbers:
            bounds = await reader.bounds("findings", number)
            async for record in reader.records("findings", number, *bounds):
                last[record.key] = record
                if not record.offset % STEP:
                    step()
    await learn_ids(record.value for record in last.values())
    return list(last.values())


def _held(record: Any, now: int) -> Held | None:
    """Read the last record of a finding; None where nobody needs it any more."""
    told = dict(record.headers)
    closed, touched = told.get(OPEN) == b"0", record.timestamp * MILLISECOND
    if closed and touched < now - KEPT:
        return None
    try:
        change = read_finding(record.value, record.headers).change
    except SchemaError:
        return None  # notify puts it into the dead letters
    # Earlier versions say neither how often nor how far.
    reopened, judged = _number(told.get(REOPENED)), _number(told.get(JUDGED))
    return Held(told_episode(change, reopened, min(touched, now)), judged)


def _number(text: bytes | None) -> int:
    """Read a number of a header; 0 where there is none, or none of ours."""
    if text is None or not text.isdigit() or len(text) > MOST_DIGITS:
        return 0
    return int(text)


def told_episode(change: FindingChange, reopened: int, touched: int) -> Episode:
    """Episode that a change is of, as `read_finding` gave it.

    Args:
        change: the last of the finding.
        reopened: how many episodes were known that were before.
        touched: when it was told (ns).
    """
    return Episode(
        change.finding,
        reopened,
        touched,
        revision=(change.order + 1) // 2,
        open=not change.closed,
    )
