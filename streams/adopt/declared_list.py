"""Read a person's own list of credentials, CSV or JSON."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final

from streams.model.declared_entry import FIELDS, LISTS
from streams.stages.ingest.declared import DeclarationError, facts_of_list
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMA: Final = "a comma is missing"
_BOOLEANS: Final = {
    "": False, "false": False, "no": False, "0": False,
    "true": True, "yes": True, "1": True,
}  # fmt: skip
# Where a list is only checked nothing is said on anybody's behalf.
_NOBODY: Final = Origin(authority="", realm="", received_at=0)


def read_list(path: Path) -> list[dict[str, Any]]:
    """Read and check a list of declared credentials.

    CSV has a line of column names, of which ``identifier`` is needed; several values
    of one column are separated by ``;``. JSON is a list of objects with the fields of
    `streams.stages.ingest.declared.facts_of_list`.

    Raises:
        ValueError: something cannot be read; the text names the line.
        OSError: the file cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")  # spreadsheets begin with a byte order mark
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    parse = _json if text.lstrip().startswith(("[", "{")) else _csv
    entries = []
    for line, entry in parse(text, str(path)):
        try:
            facts_of_list([entry], _NOBODY)
        except DeclarationError as error:
            what = str(error).removeprefix("entry 1: ")
            raise ValueError(f"{path}, line {line}: {what}") from error
        entries.append(entry)
    if not entries:
        raise ValueError(f"{path}: there are no credentials in it")
    return entries


def _csv(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        heads = [head.strip() for head in next(rows, [])]
        if "identifier" not in heads or set(heads) - FIELDS:
            wrong = sorted(set(heads) - FIELDS)
            known = ", ".join(sorted(FIELDS))
            told = f"no column is called {wrong[0]!r}" if wrong else "no identifier"
            message = f"{name}, line 1: {told}; name the columns by {known}"
            raise ValueError(message)
        for head in heads:
            if heads.count(head) > 1:
                text = f"{name}, line 1: two columns are called {head!r}: keep one"
                raise ValueError(text)
        before = rows.line_num
        for row in rows:
            line, before = before + 1, rows.line_num
            if any(cell.strip() for cell in row):
                yield line, _entry(heads, row, f"{name}, line {line}")
    except csv.Error as error:
        raise ValueError(f"{name}, line {rows.line_num}: not CSV: {error}") from error


def _entry(heads: list[str], row: list[str], where: str) -> dict[str, Any]:
    if len(row) != len(heads):
        message = f"{where}: {len(row)} columns instead of {len(heads)}"
        raise ValueError(message)
    entry: dict[str, Any] = {}
    for head, cell in zip(heads, map(str.strip, row), strict=True):
        if head == "root":
            if cell.lower() not in _BOOLEANS:
                raise ValueError(f"{where}: root is true or false")
            entry[head] = _BOOLEANS[cell.lower()]
        elif head in LISTS:
            values = [value.strip() for value in cell.split(";")]
            if any(values):
                entry[head] = [value for value in values if value]
        elif cell:
            entry[head] = cell
    return entry


def _json(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """Yield the entries of a list with the lines that they begin on."""
    decoder = json.JSONDecoder()
    place = _skip(text, 0)
    if text[place] != "[":
        raise ValueError(f"{name}, line 1: JSON is a list of objects, [{{...}}, ...]")
    place = _skip(text, place + 1)
    line, counted = 1, 0
    try:
        while text[place : place + 1] != "]":
            line += text.count("\n", counted, place)
            counted = place
            entry, end = decoder.raw_decode(text, place)
            yield line, entry
            place = _skip(text, end)
            if text[place : place + 1] == ",":
                place = _skip(text, place + 1)
            elif text[place : place + 1] != "]":
                raise json.JSONDecodeError(COMMA, text, place)
    except json.JSONDecodeError as error:
        why = COMMA if error.msg == COMMA else "look at commas, quotes, brackets"
        if not text[error.pos :].strip():
            why = "it breaks off"
        message = f"{name}, line {error.lineno}: not JSON: {why}"
        raise ValueError(message) from error


def _skip(text: str, place: int) -> int:
    while text[place : place + 1].isspace():
        place += 1
    return place
