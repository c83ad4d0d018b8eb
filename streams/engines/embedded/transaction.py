"""What a job may write, all of it in the one transaction that it runs in."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.engines.embedded import dead_letters
from streams.engines.embedded.log_rows import LogRows
from streams.engines.embedded.readable_spans import is_damage
from streams.engines.embedded.stage_rows import StageRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streams.engines.embedded.chain import Chain
    from streams.model.records import DeadLetter
    from streams.ports.keyed_store import Put


class Mark(NamedTuple):
    """A place in a transaction to go back to."""

    ends: tuple[int, int, int]
    kept: int
    dead_letters: int


class Transaction:
    """One open transaction, which the jobs of a group share.

    Attributes:
        log: facts, accesses and signals.
        stages: what the stages know.
        audit: what operators did, and the chain.
        kept: bodies that were put or forgotten.
        dead_letters: pieces for which there are new ones.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        chain: Chain,
        ends: tuple[int, int, int],
    ) -> None:
        """Continue the logs at their next offsets, see `LogRows`, and the audit."""
        self._db = db
        self.log = LogRows(db, chain, ends)
        self.stages = StageRows(db)
        self.audit = chain
        self.kept: list[Put] = []
        self.dead_letters = 0

    def run(
        self, job: Callable[[Transaction], Any]
    ) -> tuple[Any, BaseException | None]:
        """Run one job so that its failure leaves the others of the group alone.

        Returns:
            What it answers, and why it failed, where it did.

        Raises:
            sqlite3.Error: the file itself fails: the whole group does.
        """
        mark = self.mark()
        try:
            answer = job(self)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            # A block or a page that is damaged is the affair of who needs it.
            self.back_to(mark)
            return None, error
        except Exception as error:  # noqa: BLE001 - boundary: goes to the job's caller
            self.back_to(mark)
            return None, error
        self.release()
        return answer, None

    def mark(self) -> Mark:
        """Set a savepoint."""
        self._db.execute("SAVEPOINT job")
        return Mark(self.log.ends(), len(self.kept), self.dead_letters)

    def back_to(self, mark: Mark) -> None:
        """Undo everything since the savepoint."""
        self._db.execute("ROLLBACK TO job")
        self.release()
        self.log.back_to(mark.ends)
        del self.kept[mark.kept :]
        self.dead_letters = mark.dead_letters

    def release(self) -> None:
        """Drop the savepoint; what was written stays in the transaction."""
        self._db.execute("RELEASE job")

    def add_dead_letters(
        self,
        letters: Sequence[DeadLetter],
        *,
        authority: str,
        at: int,
        single: bool = False,
    ) -> None:
        """Keep why bytes could not be used; see `dead_letters.add`."""
        self.dead_letters += dead_letters.add(
            self._db, letters, authority, at, single=single
        )

    def forget_dead_letters(self, before: int, most: int) -> int:
        """Delete old ones and what is above ``most``; see `dead_letters.forget`."""
        return dead_letters.forget(self._db, before, most)

    def keep(self, puts: Iterable[Put]) -> None:
        """Keep bodies under their kinds and names; None forgets one."""
        for put in puts:
            if put.body is None:
                query = "DELETE FROM kept WHERE kind = ? AND name = ?"
                self._db.execute(query, put[:2])
            else:
                self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", put)
            self.kept.append(put)
