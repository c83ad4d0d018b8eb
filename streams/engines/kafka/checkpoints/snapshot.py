"""The tables of one partition in a local file, so that a restart need not merge again.

Beside the tables it holds how far the journal had got by then. It counts only where the
journal is whole up to there; see `streams.pipeline.table_file` for all else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streams.engines.kafka.checkpoints.journal import JournalTip
from streams.pipeline import table_file
from streams.pipeline.table_file import RealmSnapshot, TableFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from agents_registry.identifiers import Vocabulary


class Snapshot(NamedTuple):
    """What a file holds: all below ``position``, which is all up to ``tip``."""

    position: int
    tip: JournalTip
    headers: list[bytes]
    realms: list[RealmSnapshot]


def pack(
    realms: Iterable[RealmSnapshot],
    *,
    genesis: str,
    vocabulary: Vocabulary,
    position: int,
    tip: JournalTip,
    headers: Iterable[bytes],
) -> list[bytes]:
    """Content of a file; the tables must not change meanwhile.

    Args:
        realms: all of the partition.
        genesis: of the log.
        vocabulary: of the tables.
        position: every record below it is in them.
        tip: the journal's last frame by then.
        headers: what stands in front of the values of the journal up to there.
    """
    about = {
        "position": position,
        "tip": [tip.at, tip.end, tip.checksum.hex()],
        "headers": [header.hex() for header in headers],
    }
    return table_file.pack(realms, genesis=genesis, vocabulary=vocabulary, about=about)


def read(path: Path, genesis: str, vocabulary: Vocabulary) -> Snapshot | None:
    """Read a file; None where there is none that holds for this log and this core."""
    return _taken(table_file.read(path, genesis, vocabulary))


def parse(
    data: bytes, name: str, genesis: str, vocabulary: Vocabulary
) -> Snapshot | None:
    """Read the content of a file of another worker, whose journal is not here."""
    return _taken(table_file.parse(data, name, genesis, vocabulary))


def _taken(file: TableFile | None) -> Snapshot | None:
    if file is None:
        return None
    at, end, checksum = file.about["tip"]
    return Snapshot(
        file.about["position"],
        JournalTip(at, end, bytes.fromhex(checksum)),
        [bytes.fromhex(header) for header in file.about["headers"]],
        file.realms(),
    )
