"""What can be wrong with bytes or records at the wire."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final


class Fault(StrEnum):
    """Constant names of what is wrong, for metrics and dead letters."""

    UNKNOWN_SCHEMA = "unknown_schema"
    MISFIT = "misfit"
    NOT_FRAMED = "not_framed"
    UNKNOWN_ID = "unknown_id"
    UNDECODABLE = "undecodable"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_A_FACT = "not_a_fact"


# What a record of a newer version looks like to an older one.
NEWER: Final = frozenset({Fault.UNKNOWN_ID, Fault.UNKNOWN_SYMBOL})


class SchemaError(Exception):
    """Bytes that are no record we can read, or a record that fits no schema.

    A reader that meets one must not serve as if the record had not been: it was a
    statement about authority, perhaps a revocation. The text holds none of the bytes,
    so it may stand in a dead letter.
    """

    retriable: ClassVar[bool] = False

    def __init__(self, code: Fault, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
