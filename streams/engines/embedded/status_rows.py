"""Entries of status lists, as rows of the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3


class NewList(NamedTuple):
    """How a status list is begun.

    Attributes:
        name: unique over all logs.
        genesis: of the log that is being written.
        bits: of one status.
        size: how many indices.
        at: the time (ns).
        draw: gives a random number below another one.
    """

    name: str
    genesis: str
    bits: int
    size: int
    at: int
    draw: Callable[[int], int]


class StatusRows:
    """Status lists within one transaction."""

    _db: sqlite3.Connection

    def add_status_entry(self, body: bytes, new: NewList) -> tuple[str, int]:
        """Assign an entry a random index that no other entry ever had.

        A list is closed when half of it is given: a free index is then found in two
        draws, and the rest hides how many there are. It is closed by a restore, too:
        the indices that were given since the backup are not known any more.

        Args:
            body: of the entry.
            new: how a list is begun, where none is open.

        Returns:
            The list's name and the index.
        """
        number, name, size = self._open_list(new)
        query = "INSERT INTO status_entries VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        index = new.draw(size)
        while not self._db.execute(query, (number, index, body)).rowcount:
            index = new.draw(size)
        query = "UPDATE status_lists SET given = given + 1 WHERE number = ?"
        self._db.execute(query, (number,))
        return name, index

    def _open_list(self, new: NewList) -> tuple[int, str, int]:
        query = (
            "SELECT number, name, size FROM status_lists"
            " WHERE genesis = ? AND 2 * given < size ORDER BY number DESC LIMIT 1"
        )
        row = self._db.execute(query, (new.genesis,)).fetchone()
        if row is not None:
            return int(row[0]), str(row[1]), int(row[2])
        query = (
            "INSERT INTO status_lists (name, genesis, bits, size, given, created_at)"
            " VALUES (?, ?, ?, ?, 0, ?) RETURNING number"
        )
        values = (new.name, new.genesis, new.bits, new.size, new.at)
        (number,) = self._db.execute(query, values).fetchone()
        return number, new.name, new.size
