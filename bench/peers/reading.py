"""Read a record of ``facts`` with nothing of the product but its Avro files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Final

import fastavro

_FOLDER: Final = Path(__file__).parents[2] / "schemas"
_KEPT: Final = ("parent", "expires_at", "issued_at", "target", "effect")


class Reader:
    """Decodes framed values, as a plain consumer of Avro does."""

    def __init__(self) -> None:
        """Parse every schema once."""
        ids = json.loads((_FOLDER / "ids.json").read_text("utf-8"))
        self._schemas = {}
        for number, of in ids.items():
            path = _FOLDER / "released" / of["name"] / f"{of['version']}.avsc"
            schema = json.loads(path.read_text("utf-8"))
            self._schemas[int(number)] = (of["name"], fastavro.parse_schema(schema))

    def read(self, value: bytes) -> tuple[str, dict[str, Any]]:
        """Give the kind of a record, and its fields."""
        name, schema = self._schemas[int.from_bytes(value[1:5], "big")]
        buffer = io.BytesIO(value)
        buffer.seek(5)
        record: Any = fastavro.schemaless_reader(buffer, schema, None)
        return name, record

    def merged(
        self, value: bytes, known: dict[str, Any] | None
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Merge a record into what is known of its credential.

        Args:
            value: of the record.
            known: the state of the record's key; None for a new one.

        Returns:
            The new state, and what to send, which is something when it is dead.
        """
        kind, record = self.read(value)
        state = known or {}
        version = record["version"]
        if version > state.get(kind, 0):
            state[kind] = version
            for name in _KEPT:
                if name in record:
                    state[name] = record[name]
        if "effect" not in state:
            return state, None
        told = {
            "identifier": state.get("target"),
            "effect": state["effect"],
            "authority": record["authority"],
            "at": version,
        }
        return state, told
