"""Cut a CSV export into rows, and find the column that holds each event as JSON.

The M365 audit search exports its events so: one row an event, all of it as JSON text
in the column ``AuditData``. The header says nothing that the rows do not, so a block
of a long file is read without it. A table whose columns are the event's fields is told
as what it is: which column means what only its vendor knows.

Source: RFC 4180; Microsoft Purview, "Export, configure, and view audit log records".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = rb'"?[A-Za-z][\w .()/-]*+"?'
_HEADER: Final = re.compile(
    rb"(%b(?:[,;\t]%b){3,})[ \t]*\r?(?:\n|\Z)" % (_NAME, _NAME), re.ASCII
)
_DOUBLED: Final = re.compile(rb'[^{\[]{0,4096}?[,;\t]"\{""')
_COLUMN: Final = re.compile(rb'(?:^|[,;\t])"(\{(?:[^"]++|"")*+)"')
_LONGEST: Final = 1 << 20  # bytes of a row


def is_table(data: bytes, start: int) -> bool:
    """Whether an input begins like a CSV export."""
    return bool(_DOUBLED.match(data, start) or _HEADER.match(data, start))


def rows(data: bytes, start: int) -> Iterator[tuple[int, int, bytes | None]]:
    """Offset, length and JSON text of each row; None where it has no such text.

    A line break within quotes is part of a row. The header is left out.
    """
    header = _HEADER.match(data, start)
    position = header.end() if header else start
    while position < len(data):
        end = _row_end(data, position)
        row = data[position:end].rstrip(b"\r\n")
        if row.strip():
            found = _COLUMN.search(row)
            text = found[1].replace(b'""', b'"') if found else None
            yield position, len(row), text
        position = end


def _row_end(data: bytes, start: int) -> int:
    """Offset behind a row: of the first line at which all quotes are closed.

    A quote that is never closed costs its own line.
    """
    first = position = data.find(b"\n", start) + 1 or len(data)
    while data.count(b'"', start, position) % 2:
        if position >= len(data) or position - start > _LONGEST:
            return first
        position = data.find(b"\n", position) + 1 or len(data)
    return position
