"""The tables of realms in a local file, so that a restart need not merge again.

A file holds what `Registry.dump` gives of each realm, what the engine needs to go on
from there, and for which genesis, vocabulary, core and schemas it holds. It counts only
where all of that fits and the checksum is right; else the tables are made from the log.
See docs/adr/0012-snapshot-form.md and docs/adr/0092-a-table-beside-the-log.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import structlog
from attrs import frozen

import agents_registry
import schemas
from agents_registry import table_form
from agents_registry.parts import PartedDict
from agents_registry.registry import Registry
from agents_registry.table_form import Section
from enforcement.table import make_chains
from schemas.codec import edition
from streams.observability.failpoints import failpoint
from streams.process.private_folder import create_private
from streams.stages.sentinel.revocation_offsets import Accepted, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from agents_registry.identifiers import Vocabulary

MAGIC: Final = b"rescind1"
DIGEST: Final = 32
FORM: Final = 6  # of what is told of a realm

log = structlog.get_logger()


def _code() -> str | None:
    """Name the core, the codec and the schemas by their files; None without sources.

    A table that other rules made must not be taken up, nor one of facts that were read
    in another way: a newer version may read more of the same bytes.
    """
    digest = hashlib.sha256(edition().encode())
    for package in (agents_registry.__file__, schemas.__file__):
        sources = sorted(Path(package).parent.glob("*.py"))
        if not sources:
            return None
        for path in sources:
            digest.update(path.read_bytes())
    return digest.hexdigest()


# Of the code that runs: an upgrade in place changes the files below a process.
CODE: Final = _code()


class RealmSnapshot(NamedTuple):
    """A realm as it was.

    Attributes:
        realm: its name.
        registry: its table.
        accepted: when and where its causes were accepted, by their ids.
        turns: what `RevocationOffsets.turns` gives.
    """

    realm: str
    registry: Registry
    accepted: PartedDict[str, Accepted]
    turns: Turns


@frozen
class TableFile:
    """A file that is whole, and fits.

    Attributes:
        about: what the engine put down beside the tables.
    """

    about: dict[str, Any]
    _told: list[dict[str, Any]]
    _rest: memoryview
    _vocabulary: Vocabulary

    def realms(self) -> list[RealmSnapshot]:
        """Make the tables; takes about half a second for a million names.

        Any thread may. The chains of names are made in threads behind that.
        """
        realms, rest = [], self._rest

        def content(size: int) -> bytes:
            nonlocal rest
            piece, rest = bytes(rest[:size]), rest[size:]
            return piece

        for realm in self._told:
            sections = [Section(*each) for each in realm["sections"]]
            plain = table_form.unpack(sections, content, orjson.loads)
            registry = Registry.load(plain, self._vocabulary)
            make_chains(registry)
            accepted: PartedDict[str, Accepted] = PartedDict()
            for size in realm["accepted"]:
                rows = orjson.loads(content(size))
                accepted.fill((one, Accepted(*each).interned()) for one, *each in rows)
            turned = [
                row for size in realm["turned"] for row in orjson.loads(content(size))
            ]
            turns = Turns(realm["floor"], realm["rebuilt"], turned)
            realms.append(RealmSnapshot(realm["realm"], registry, accepted, turns))
        return realms


def pack(
    realms: Iterable[RealmSnapshot],
    *,
    genesis: str,
    vocabulary: Vocabulary,
    about: Mapping[str, Any],
) -> list[bytes]:
    """Content of a file; the tables must not change meanwhile.

    Args:
        realms: all that it is to hold.
        genesis: of the log.
        vocabulary: of the tables.
        about: what the engine needs beside the tables, as JSON can hold it.
    """
    parts: list[bytes] = []
    told = []
    for name, registry, accepted, turns in realms:
        sections, pieces = table_form.pack(registry.dump(), orjson.dumps)
        causes = [*_rows((identity, *each) for identity, each in accepted.items())]
        turned = [*_rows(turns.turned)]
        parts += (*pieces, *causes, *turned)
        told.append(
            {
                "realm": name,
                "sections": [tuple(section) for section in sections],
                "accepted": [len(piece) for piece in causes],
                "floor": turns.floor,
                "rebuilt": turns.rebuilt,
                "turned": [len(piece) for piece in turned],
            }
        )
    head = {"fits": _fits(genesis, vocabulary), "about": about, "realms": told}
    start = orjson.dumps(head)
    content = [len(start).to_bytes(4, "little"), start, *parts]
    return [MAGIC, _digest(genesis, content), *content]


def _rows(rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    """Yield rows as JSON, some at a time: other threads get their turn."""
    waiting = iter(rows)
    while some := list(itertools.islice(waiting, table_form.AT_ONCE)):
        yield orjson.dumps(some)


def write(path: Path, content: Iterable[bytes]) -> None:
    """Put a file in the place of the one before, as a whole.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_suffix(".partial")
    create_private(partial)
    with partial.open("wb") as file:
        for part in content:
            file.write(part)
            failpoint("table.writing")
        file.flush()
        os.fsync(file.fileno())
    failpoint("table.written")
    partial.replace(path)


def put(
    path: Path, content: Iterable[bytes], first: Callable[[], None] = lambda: None
) -> None:
    """Write a table, or go on without: the log has it all, the next start takes longer.

    Half a table does not stay: it would fill the disk on which there was no room.

    Args:
        path: see `write`.
        content: see `write`.
        first: what must be on the disk before; it raises OSError too.
    """
    try:
        first()
        write(path, content)
    except OSError as error:
        log.warning("snapshot_not_written", error=str(error))
        with contextlib.suppress(OSError):
            path.with_suffix(".partial").unlink()


def read(path: Path, genesis: str, vocabulary: Vocabulary) -> TableFile | None:
    """Read a file; None where there is none that holds for this log and this core."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return parse(data, path.name, genesis, vocabulary)


def parse(
    data: bytes, name: str, genesis: str, vocabulary: Vocabulary
) -> TableFile | None:
    """Read the content of a file; None where it does not hold for this log and core."""
    if CODE is None:
        return None
    start = len(MAGIC) + DIGEST
    content = memoryview(data)[start:]
    if data[:start] != MAGIC + _digest(genesis, [content]):
        log.warning("snapshot_dropped", file=name)
        return None
    size = int.from_bytes(content[:4], "little")
    head = orjson.loads(content[4 : 4 + size])
    if head["fits"] != _fits(genesis, vocabulary):
        log.info("snapshot_of_another_version", file=name)
        return None
    return TableFile(head["about"], head["realms"], content[4 + size :], vocabulary)


def _digest(genesis: str, content: Iterable[bytes | memoryview]) -> bytes:
    """Checksum keyed with the genesis: that of another log never fits."""
    digest = hashlib.blake2b(digest_size=DIGEST, key=genesis.encode()[:64])
    for part in content:
        digest.update(part)
    return digest.digest()


def _fits(genesis: str, vocabulary: Vocabulary) -> str:
    """Name the log, the classes of kinds, the machine's byte order and the code."""
    kinds = sorted((kind, of.value) for kind, of in vocabulary.items())
    told = orjson.dumps([FORM, genesis, kinds, sys.byteorder, CODE])
    return hashlib.sha256(told).hexdigest()
