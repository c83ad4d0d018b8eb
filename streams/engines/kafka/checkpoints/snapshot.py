"""The tables of one partition in a local file, so that a restart need not merge again.

A file holds what `Registry.dump` gives of each realm, how far the journal had got by
then, and for which genesis, vocabulary, core and schemas it holds. It counts only where
all of that fits and the checksum is right; else the tables are made from the journal,
or from the topic. See docs/adr/0012-snapshot-form.md.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import structlog

import agents_registry
import schemas
from agents_registry.registry import Registry
from schemas.codec import edition
from streams.engines.kafka.checkpoints.journal import JournalTip
from streams.process.private_folder import create_private
from streams.stages.sentinel.revocation_offsets import Accepted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.identifiers import Vocabulary

MAGIC: Final = b"rescind1"
DIGEST: Final = 32
FORM: Final = 2  # of what is told of a realm

log = structlog.get_logger()


class RealmSnapshot(NamedTuple):
    """A realm as it was: its table, and when and where its causes were accepted."""

    realm: str
    registry: Registry
    accepted: dict[str, Accepted]


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
    parts: list[bytes] = []
    told = []
    for name, registry, accepted in realms:
        sections = []
        for section, of in registry.dump().items():
            raw = isinstance(of, bytes)
            parts.append(of if raw else orjson.dumps(of))
            sections.append((section, raw, len(parts[-1])))
        causes = {identity: list(each) for identity, each in accepted.items()}
        told.append({"realm": name, "accepted": causes, "sections": sections})
    head = {
        "fits": _fits(genesis, vocabulary),
        "position": position,
        "tip": [tip.at, tip.end, tip.checksum.hex()],
        "headers": [header.hex() for header in headers],
        "realms": told,
    }
    start = orjson.dumps(head)
    content = [len(start).to_bytes(4, "little"), start, *parts]
    return [MAGIC, _digest(genesis, content), *content]


def write(path: Path, content: Iterable[bytes]) -> None:
    """Put a file in the place of the one before, as a whole.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_suffix(".partial")
    create_private(partial)
    with partial.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read(path: Path, genesis: str, vocabulary: Vocabulary) -> Snapshot | None:
    """Read a file; None where there is none that holds for this log and this core."""
    try:
        data = memoryview(path.read_bytes())
    except OSError:
        return None
    start = len(MAGIC) + DIGEST
    content = data[start:]
    if bytes(data[:start]) != MAGIC + _digest(genesis, [content]):
        log.warning("snapshot_dropped", file=path.name)
        return None
    size = int.from_bytes(content[:4], "little")
    head = orjson.loads(content[4 : 4 + size])
    if head["fits"] != _fits(genesis, vocabulary):
        log.info("snapshot_of_another_version", file=path.name)
        return None
    at, end, checksum = head["tip"]
    return Snapshot(
        head["position"],
        JournalTip(at, end, bytes.fromhex(checksum)),
        [bytes.fromhex(header) for header in head["headers"]],
        _realms(head["realms"], content[4 + size :], vocabulary),
    )


def _realms(
    told: Iterable[Mapping[str, Any]], rest: memoryview, vocabulary: Vocabulary
) -> list[RealmSnapshot]:
    realms = []
    for realm in told:
        plain: dict[str, Any] = {}
        for section, raw, size in realm["sections"]:
            part, rest = rest[:size], rest[size:]
            plain[section] = bytes(part) if raw else orjson.loads(part)
        registry = Registry.load(plain, vocabulary)
        causes = realm["accepted"].items()
        accepted = {identity: Accepted(*each) for identity, each in causes}
        realms.append(RealmSnapshot(realm["realm"], registry, accepted))
    return realms


def _digest(genesis: str, content: Iterable[bytes | memoryview]) -> bytes:
    """Checksum keyed with the genesis: that of another log never fits."""
    digest = hashlib.blake2b(digest_size=DIGEST, key=genesis.encode()[:64])
    for part in content:
        digest.update(part)
    return digest.digest()


def _fits(genesis: str, vocabulary: Vocabulary) -> str:
    """Name the log, the classes of kinds, the machine's byte order and the code."""
    kinds = sorted((kind, of.value) for kind, of in vocabulary.items())
    told = orjson.dumps([FORM, genesis, kinds, sys.byteorder, edition(), _core()])
    return hashlib.sha256(told).hexdigest()


@functools.cache
def _core() -> str:
    """Name the core and the codec by their code.

    A table that other rules made must not be taken up, nor one of facts that were read
    in another way: a newer version may read more of the same bytes.
    """
    digest = hashlib.sha256()
    for package in (agents_registry.__file__, schemas.__file__):
        for path in sorted(Path(package).parent.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
