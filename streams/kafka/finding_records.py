"""Read the records of the topic ``findings``, as the notify stage takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from schemas.codec import in_force
from schemas.errors import Fault, SchemaError
from streams.findings import Finding
from streams.kafka.payloads import OPEN
from streams.stages import episodes
from streams.stages.notify import Change

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = tuple(field.name for field in attrs.fields(Finding))


@frozen
class FindingRecord:
    """A finding as it was at one revision of its episode.

    Attributes:
        identity: the same whenever and by whomever it is read.
        change: for the notify stage; its order comes from the revision.
    """

    identity: str
    change: Change


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
        finding = episodes.from_plain({name: record[name] for name in _FIELDS})
    except (KeyError, TypeError, ValueError) as error:
        message = "a field of this finding cannot be read"
        raise SchemaError(Fault.UNDECODABLE, message) from error
    order = 2 * int(revision) - 1 if revision.isdecimal() else 0
    closed = told.get(OPEN, b"1") == b"0"
    return FindingRecord(identity, Change(finding, closed, max(0, order)))
