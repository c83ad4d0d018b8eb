"""What the stages know, as rows of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import orjson

from streams.engines.embedded import hour_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping


class StageRows:
    """Rows of the stages within one transaction.

    Attributes:
        findings: some were added or changed.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        """Write to an open transaction."""
        self._db = db
        self.findings = False

    def put_named(
        self,
        table: Literal["guards", "used_scopes", "witnesses"],
        rows: Iterable[tuple[str, bytes | None]],
    ) -> None:
        """Save bodies by their names; None forgets one.

        Args:
            table: registered guards, the scopes that credentials use, or when guards
                had applied what.
            rows: names and bodies.
        """
        for name, body in rows:
            if body is None:
                query = f"DELETE FROM {table} WHERE name = ?"  # noqa: S608 - one of those
                self._db.execute(query, (name,))
            else:
                query = f"INSERT OR REPLACE INTO {table} VALUES (?, ?)"  # noqa: S608
                self._db.execute(query, (name, body))

    def put_uses(self, rows: Iterable[tuple[str, bytes | None]]) -> None:
        """Save remembered uses: key and body; None forgets one."""
        for key, body in rows:
            if body is None:
                self._db.execute("DELETE FROM uses WHERE key = ?", (key,))
            else:
                # The second column was of use to earlier versions.
                query = "INSERT OR REPLACE INTO uses VALUES (?, 0, ?)"
                self._db.execute(query, (key, body))

    def put_findings(self, rows: Iterable[tuple[str, bool, bytes]]) -> None:
        """Save findings as they are now: id, open, body."""
        first = self._last_change() + 1
        values = [
            (identity, changed, is_open, body)
            for changed, (identity, is_open, body) in enumerate(rows, first)
        ]
        self._db.executemany(
            "INSERT OR REPLACE INTO findings VALUES (?, ?, ?, ?)", values
        )
        hour_rows.put_findings(self._db, [(row[0], row[3]) for row in values])
        self.findings = self.findings or bool(values)

    def drop_findings(self, identities: Iterable[str]) -> None:
        """Drop findings; readers go on from the last change that they saw."""
        self.set_position("findings", self._last_change())
        gone = [(identity,) for identity in identities]
        self._db.executemany("DELETE FROM findings WHERE id = ?", gone)
        hour_rows.drop_findings(self._db, gone)

    def _last_change(self) -> int:
        """Return the number of the last change, which may be of a dropped one."""
        query = (
            "SELECT max((SELECT coalesce(max(changed), 0) FROM findings),"
            " (SELECT coalesce(max(position), 0) FROM positions"
            " WHERE stage = 'findings'))"
        )
        (last,) = self._db.execute(query).fetchone()
        return int(last)

    def put_deliveries(self, rows: Mapping[str, Any], dropped: Iterable[str]) -> None:
        """Save the changed rows of notify's state, and forget the dropped ones."""
        query = "DELETE FROM deliveries WHERE key = ?"
        self._db.executemany(query, [(key,) for key in dropped])
        self._db.executemany(
            "INSERT OR REPLACE INTO deliveries VALUES (?, ?)",
            [(key, orjson.dumps(row)) for key, row in rows.items()],
        )

    def bind_guard(self, name: str, credential: str) -> None:
        """Save whose name a guard's is; the last one bound comes last."""
        query = "INSERT OR REPLACE INTO guard_names VALUES (?, ?)"
        self._db.execute(query, (name, credential))

    def free_guards(self, names: Iterable[str]) -> None:
        """Forget whose some names are."""
        query = "DELETE FROM guard_names WHERE name = ?"
        self._db.executemany(query, [(name,) for name in names])

    def put_closures(self, rows: Iterable[tuple[int, str, str, bytes]]) -> None:
        """Save what is known of causes: offset, id, state, body."""
        values = [*rows]
        query = "INSERT OR REPLACE INTO closures VALUES (?, ?, ?, ?)"
        self._db.executemany(query, values)
        hour_rows.put_causes(self._db, [(row[0], row[1], row[3]) for row in values])

    def add_invalidations(self, rows: Iterable[tuple[str, str]], as_of: int) -> None:
        """Append (identifier, cause) pairs; a repeated pair is written once."""
        self._db.executemany(
            "INSERT INTO invalidations (identifier, cause, as_of) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [(identifier, cause, as_of) for identifier, cause in rows],
        )

    def set_position(self, stage: str, position: int) -> None:
        """Note how far a stage's outputs are on disk."""
        values = (stage, position)
        self._db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", values)
