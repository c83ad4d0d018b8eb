"""The file of one notify process: what it told, what it tries again, and when.

That nothing is lost does not hang on it: a finding is committed only once its messages
are settled, so without the file they are sent anew, with the ids that they had. The
file keeps their schedule over a restart, and their numbers in one sequence.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import orjson

from streams.process.private_folder import FOLDER_MODE, create_private
from streams.stages.notify.state import (
    ANNOUNCED,
    DEAD,
    DELIVERY,
    GROUP,
    Buried,
    DeliveryState,
    buried_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from streams.stages.notify.deliveries import Announced

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (
  key TEXT PRIMARY KEY, finding TEXT NOT NULL, body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rows_of_finding ON rows (finding);
CREATE TABLE IF NOT EXISTS taken (
  partition INTEGER, offset INTEGER, identity TEXT NOT NULL,
  PRIMARY KEY (partition, offset)
) WITHOUT ROWID;
"""
_OF_FINDINGS = (
    "SELECT key, body FROM rows WHERE finding IN (SELECT value FROM json_each(?))"
)
_MEMBERS = (
    "SELECT key, body FROM rows WHERE key GLOB 'announced/*'"
    " AND json_extract(CAST(body AS TEXT), '$.waiting') IS NOT NULL AND"
    " json_extract(CAST(body AS TEXT), '$.group') IN (SELECT value FROM json_each(?))"
)
_REPEATED = (
    "SELECT key, body FROM rows WHERE key GLOB 'announced/*'"
    " AND json_extract(CAST(body AS TEXT), '$.told') IS NOT NULL"
)


class DeliveryFile:
    """One SQLite file; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        create_private(path)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        # A power cut may take the last rows: then messages are sent once more.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def save(
        self,
        put: Mapping[str, Mapping[str, Any]],
        dropped: Iterable[str],
        taken: Iterable[tuple[int, int, str]] = (),
        committed: Mapping[int, int] | None = None,
    ) -> None:
        """Save what changed, in one transaction.

        Args:
            put: key to row, as `deliveries.changes` gives them.
            dropped: keys.
            taken: partition, offset and identity of records that the rows hold.
            committed: partition to what its group committed: records below it never
                come again.
        """
        rows = [
            (key, finding, orjson.dumps(row))
            for key, row in put.items()
            if (finding := _finding_of(key, row))
        ]
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", rows)
        query = "DELETE FROM rows WHERE key = ?"
        self._db.executemany(query, [(key,) for key in dropped])
        self._db.executemany("INSERT OR REPLACE INTO taken VALUES (?, ?, ?)", taken)
        query = "DELETE FROM taken WHERE partition = ? AND offset < ?"
        self._db.executemany(query, (committed or {}).items())
        self._db.execute("COMMIT")

    def of_findings(self, findings: Iterable[str]) -> DeliveryState:
        """State that is kept of findings."""
        return self._state(_OF_FINDINGS, orjson.dumps([*findings]).decode())

    def gathered(self) -> DeliveryState:
        """Return the groups of posture findings, their summaries, and their members."""
        query = "SELECT finding FROM rows WHERE key GLOB ?"
        groups = [name for (name,) in self._db.execute(query, (GROUP + "*",))]
        members = self._state(_MEMBERS, orjson.dumps(groups).decode())
        return self.of_findings(groups).joined(members)

    def open_ones(self) -> Mapping[str, Announced]:
        """Return the findings that are open and to be repeated, by their id."""
        return self._state(_REPEATED).announced

    def _state(self, query: str, *values: str) -> DeliveryState:
        rows = self._db.execute(query, values)
        return DeliveryState.of_bodies(rows)

    def buried(self, limit: int) -> list[Buried]:
        """Messages given up that have not arrived since, the oldest first."""
        query = "SELECT body FROM rows WHERE key GLOB ? LIMIT ?"
        rows = self._db.execute(query, (DEAD + "*", limit)).fetchall()
        return buried_of(rows)

    def took(self, partition: int, offset: int, identity: str) -> bool:
        """Whether a record was taken in before."""
        query = "SELECT identity FROM taken WHERE partition = ? AND offset = ?"
        rows = self._db.execute(query, (partition, offset)).fetchall()
        return rows == [(identity,)]


def _finding_of(key: str, row: Mapping[str, Any]) -> str:
    """Return the finding of a row; none for a disabled receiver.

    A start is a new chance for such a receiver, so there is nothing to keep of it.
    """
    for prefix in (ANNOUNCED, GROUP):
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    has_finding = key.startswith((DELIVERY, DEAD))
    return str(row["finding"]["id"]) if has_finding else ""
