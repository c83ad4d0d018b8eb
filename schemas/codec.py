"""Write and read the records of the log: Avro behind the Confluent framing.

A value is one zero byte, the schema's id as four bytes big-endian, and the Avro
binary datum (Confluent wire format). Records are written with the newest published
version of their schema; any published version is read, and resolved to the newest.

The ids are the bundled ones of ``ids.json``. A deployment with a schema registry
makes its own `Codec` from the ids that the registry gave to the same schemas.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import struct
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException

from agents_registry.facts import FACTS, from_plain, to_plain
from schemas.compiled import Compiler, Unusual
from schemas.errors import Fault, SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastavro.types import Schema

    from agents_registry.facts import Fact
    from schemas.compiled import Reader

FOLDER: Final = Path(__file__).parent
MAGIC: Final = 0
HEADER: Final = struct.Struct(">bI")
# The default symbol of every enum: what a newer writer says and we cannot read.
UNKNOWN: Final = "unknown"
_ENUMS: Final = ("relation", "effect", "reach")
# What fastavro raises on a datum of another shape or on bytes of another schema.
_MISFITS: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    SchemaParseException,
    SchemaResolutionError,
)


class Published(NamedTuple):
    """One published version of a schema; ``sha256`` is that of its file."""

    name: str
    version: int
    sha256: str


class Decoded(NamedTuple):
    """A record as it was read, and the id of the schema that it was written with."""

    name: str
    schema_id: int
    record: dict[str, Any]


def published() -> dict[int, Published]:
    """Read the bundled ids: schema id to the published version that it names."""
    table = json.loads((FOLDER / "ids.json").read_text("utf-8"))
    return {int(schema_id): Published(**entry) for schema_id, entry in table.items()}


@functools.cache
def edition() -> str:
    """Say which schemas this version of Rescind has published."""
    return hashlib.sha256((FOLDER / "ids.json").read_bytes()).hexdigest()


class Codec:
    """Encode and decode records; parses every published schema once, when made.

    Args:
        ids: schema id to published version. An id is never given twice.
        folder: where ``<name>/<version>.avsc`` lie.
    """

    def __init__(
        self, ids: Mapping[int, Published], folder: Path = FOLDER / "released"
    ) -> None:
        self._writers: dict[int, tuple[str, Schema]] = {}
        self._newest: dict[str, int] = {}
        self._readers: dict[bytes, Reader] = {}
        for schema_id, of in sorted(ids.items(), key=lambda entry: entry[1].version):
            path = folder / of.name / f"{of.version}.avsc"
            self._newest[of.name] = schema_id
            self.learn(schema_id, of.name, json.loads(path.read_text("utf-8")))
        compiler = Compiler()
        for name, schema_id in self._newest.items():
            schema = cast("dict[str, Any]", self._writers[schema_id][1])
            reader = compiler.reader(name, schema)
            if reader is not None:
                self._readers[HEADER.pack(MAGIC, schema_id)] = reader

    def learn(self, schema_id: int, name: str, schema: Schema) -> None:
        """Add a schema that others write with, e.g. one that a registry knows.

        Its records are read as the newest version that this codec was made with.

        Raises:
            SchemaError: ``unknown_schema`` where we have none of that name, or where
                the schema itself is none.
        """
        if name not in self._newest:
            raise SchemaError(Fault.UNKNOWN_SCHEMA, f"no schema is called {name!r}")
        try:
            self._writers[schema_id] = (name, fastavro.parse_schema(schema))
            self._readers.pop(HEADER.pack(MAGIC, schema_id), None)
        except _MISFITS as error:
            message = f"schema id {schema_id} is no Avro schema ({_kind(error)})"
            raise SchemaError(Fault.UNKNOWN_SCHEMA, message) from error

    def knows(self, schema_id: int) -> bool:
        """Whether records with this id can be read."""
        return schema_id in self._writers

    def encode(self, name: str, record: Mapping[str, Any]) -> bytes:
        """Framed bytes of a record.

        Args:
            name: of the schema, as the file is called: ``node``, ``receipt``, ...
            record: its fields; keys that the schema does not have are left out.

        Raises:
            SchemaError: ``unknown_schema``, or ``misfit`` where a field is missing
                or of another type.
        """
        if name not in self._newest:
            raise SchemaError(Fault.UNKNOWN_SCHEMA, f"no schema is called {name!r}")
        schema_id = self._newest[name]
        _, schema = self._writers[schema_id]
        buffer = io.BytesIO()
        buffer.write(HEADER.pack(MAGIC, schema_id))
        try:
            fastavro.schemaless_writer(buffer, schema, record)
        except _MISFITS as error:
            message = f"the record does not fit schema {name} ({_kind(error)})"
            raise SchemaError(Fault.MISFIT, message) from error
        return buffer.getvalue()

    def fact(self, data: bytes) -> Fact | None:
        """Read a fact as most are, fast; None says nothing: ask `decode` what it is."""
        reader = self._readers.get(data[: HEADER.size])
        if reader is None:
            return None
        try:
            return reader(data)
        except (Unusual, IndexError, ValueError):
            return None

    def decode(self, data: bytes) -> Decoded:
        """Read framed bytes, resolved to the newest version of their schema.

        Raises:
            SchemaError: ``not_framed``, ``unknown_id``, or ``undecodable``.
        """
        schema_id = id_of(data)
        if schema_id is None:
            message = "no zero byte and schema id in front: not one of our records"
            raise SchemaError(Fault.NOT_FRAMED, message)
        if schema_id not in self._writers:
            message = f"schema id {schema_id} is none of ours: upgrade this reader"
            raise SchemaError(Fault.UNKNOWN_ID, message)
        name, writer = self._writers[schema_id]
        newest = self._newest[name]
        # Resolution costs, and is nothing where writer and reader are the same.
        reader = None if newest == schema_id else self._writers[newest][1]
        buffer = io.BytesIO(data)
        buffer.seek(HEADER.size)
        try:
            record = fastavro.schemaless_reader(buffer, writer, reader)
        except _MISFITS as error:
            message = f"no {name} datum of schema id {schema_id} ({_kind(error)})"
            raise SchemaError(Fault.UNDECODABLE, message) from error
        if buffer.tell() != len(data):
            message = f"bytes are left over behind the {name} record"
            raise SchemaError(Fault.UNDECODABLE, message)
        return Decoded(name, schema_id, cast("dict[str, Any]", record))


@functools.cache
def bundled() -> Codec:
    """Codec with the bundled ids."""
    return Codec(published())


_IN_FORCE: Final[ContextVar[Codec | None]] = ContextVar("codec", default=None)


def in_force() -> Codec:
    """Codec of this task: that of a schema registry, or the bundled one."""
    return _IN_FORCE.get() or bundled()


def use(codec: Codec) -> None:
    """Have this task and all that it starts write and read with a codec."""
    _IN_FORCE.set(codec)


def id_of(data: bytes) -> int | None:
    """Return the schema id in front of a record; None where there is none."""
    if len(data) < HEADER.size or data[0] != MAGIC:
        return None
    _, schema_id = HEADER.unpack_from(data)
    return int(schema_id)


def encode_fact(fact: Fact, codec: Codec | None = None) -> bytes:
    """Framed bytes of a fact.

    Raises:
        SchemaError: ``misfit``, e.g. a time beyond 64 bits.
    """
    return (codec or in_force()).encode(fact.NAME, to_plain(fact))


def decode_fact(data: bytes, codec: Codec | None = None) -> Fact:
    """Read the fact that `encode_fact` wrote, in this or another version.

    Raises:
        SchemaError: ``not_framed``, ``unknown_id`` or ``undecodable``; ``not_a_fact``
            for a record of another kind or with a field that no fact may have;
            ``unknown_symbol`` where a newer writer says what we have no word for.
    """
    codec = codec or in_force()
    fact = codec.fact(data)
    return fact_of(codec.decode(data)) if fact is None else fact


def fact_of(decoded: Decoded) -> Fact:
    """Fact that a decoded record is.

    Raises:
        SchemaError: ``not_a_fact`` or ``unknown_symbol``, as `decode_fact`.
    """
    name, _, record = decoded
    if name not in FACTS:
        raise SchemaError(Fault.NOT_A_FACT, f"a {name} record is no fact")
    for field in _ENUMS:
        if record.get(field) == UNKNOWN:
            message = (
                f"the {field} of this {name} is newer than this reader: upgrade it, "
                "and deny until then"
            )
            raise SchemaError(Fault.UNKNOWN_SYMBOL, message)
    try:
        return from_plain({"fact": name, **record})
    except ValueError as error:
        message = f"a field of this {name} holds what no fact may hold"
        raise SchemaError(Fault.NOT_A_FACT, message) from error


def _kind(error: Exception) -> str:
    # The text of the error may quote the bytes, which a dead letter must not hold.
    return type(error).__name__
