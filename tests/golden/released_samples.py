"""Record one record of each published schema, as its bytes were when it was published.

Run as a module, ``python -m tests.golden.released_samples``, after a schema has got an
id: what is recorded already is left alone.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Final

import fastavro

from schemas.codec import FOLDER, HEADER, MAGIC, published

FILE: Final = Path(__file__).with_name("released_records.json")
# Texts read as identifiers, since some of them are.
JTI: Final = "jwt.jti:"
SIMPLE: Final[dict[str, Any]] = {
    "long": 1_800_000_000_123_456_789, "int": 7, "boolean": True, "double": 0.5,
    "bytes": b"\x01\x02",
}  # fmt: skip


def schema_of(name: str, version: int) -> dict[str, Any]:
    """Read a published schema."""
    path = FOLDER / "released" / name / f"{version}.avsc"
    return dict(json.loads(path.read_text("utf-8")))


def sample(schema: dict[str, Any]) -> dict[str, Any]:
    """Give a record of a schema: the same in each run, with nothing left out."""
    named: dict[str, Any] = {}

    def value(of: Any, name: str) -> Any:
        if isinstance(of, list):
            return value(next(each for each in of if each != "null"), name)
        if isinstance(of, str):
            return (
                value(named[of], name)
                if of in named
                else SIMPLE.get(of, f"{JTI}{name}")
            )
        if "name" in of:
            named[of["name"]] = of
        if of["type"] == "record":
            return {f["name"]: value(f["type"], f["name"]) for f in of["fields"]}
        if of["type"] == "enum":
            return of["symbols"][1]  # the first one stands for the unknown
        if of["type"] == "array":
            return [value(of["items"], name)]
        return value(of["type"], name)

    return legal(dict(value(schema, "")))


def legal(record: dict[str, Any]) -> dict[str, Any]:
    """Change what a reader of facts checks."""
    if "until" in record and "kinds" in record:
        # What ends for good has no end and no limit, which a reader checks.
        record |= {"effect": "suspend", "kinds": ["jwt.jti"]}
    if "where" in record:
        record["where"] = ["label.team:pay"]
    if "labels" in record:
        record["labels"] = ["label.team:pay"]
    return record


def framed(schema_id: int, schema: dict[str, Any]) -> bytes:
    """Give the bytes of a sample as they lie in a topic."""
    buffer = io.BytesIO()
    buffer.write(HEADER.pack(MAGIC, schema_id))
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), sample(schema))
    return buffer.getvalue()


def record() -> None:
    """Add what is missing in the file."""
    known = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    for schema_id, of in published().items():
        body = framed(schema_id, schema_of(of.name, of.version))
        known.setdefault(str(schema_id), {"name": of.name, "bytes": body.hex()})
    text = json.dumps(known, indent=1, sort_keys=False)
    FILE.write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    record()
