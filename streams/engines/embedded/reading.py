"""Reads of the file: on connections of their own, in threads of their own."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from agents_registry.facts import Fact
from schemas.codec import decode_fact
from streams.engines.embedded.fact_rows import EVER, facts_between

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Stored(NamedTuple):
    """A fact of the log and its offset."""

    offset: int
    fact: Fact


class Reading:
    """A connection for reads, and the threads that use it in turns."""

    def __init__(self, path: Path, name: str, threads: int = 2) -> None:
        """Open the file; ``name`` is that of the threads."""
        self.db = connect(path)
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._turn = threading.Lock()

    def read(self, query: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
        """Run a query in this thread."""
        with self._turn:
            return self.db.execute(query, tuple(values)).fetchall()

    def close(self) -> None:
        """Wait for what is being read, and close the file."""
        self.threads.shutdown()
        self.db.close()


def facts_of(reader: Reading, start: int, limit: int) -> list[Stored]:
    """Facts from an offset on, at most ``limit``, and fewer where they are large."""
    rows = facts_between(reader.read, start, EVER, limit)
    return [Stored(row.offset, decode_fact(row.value)) for row in rows]


def connect(path: Path) -> sqlite3.Connection:
    """Open the file as every connection to it is opened."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA busy_timeout = 10000")
    return db
