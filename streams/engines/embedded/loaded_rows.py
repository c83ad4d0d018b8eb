"""What the file holds of the sentinel's state, read for a start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.engines.embedded.store import Store

LOADED: Final = 5000  # rows read from the file at once
_TABLES: Final = (
    ("findings", "id", "body"),
    ("uses", "key", "key, body"),
    ("used_scopes", "name", "name, body"),
)


@define
class LoadedRows:
    """The rows of a realm, by their tables; each is given once."""

    realm: str
    _of: dict[str, list[tuple[Any, ...]]] = Factory(dict)

    async def read(self, store: Store) -> None:
        """Read all of them, some at a time."""
        for table, key, columns in _TABLES:
            rows = self._of[table] = []
            query = (
                f"SELECT {columns}, {key} FROM {table} WHERE {key} > ?"  # noqa: S608 - constant names
                f" ORDER BY {key} LIMIT {LOADED}"
            )
            last = ""
            while some := await store.read(query, last):
                rows += (row[:-1] for row in some)
                last = some[-1][-1]

    def episodes(self) -> Iterable[tuple[str, bytes]]:
        """Realm and body of every episode."""
        return ((self.realm, body) for (body,) in self._of.pop("findings", ()))

    def uses(self) -> Mapping[str, list[tuple[str, bytes]]]:
        """Name and body of all remembered uses, by their realms."""
        return {self.realm: self._of.pop("uses", [])}

    def used_scopes(self, realm: str) -> Iterable[tuple[str, bytes]]:  # noqa: ARG002 - the one
        """Name and body of the recorded use of scopes."""
        return self._of.pop("used_scopes", ())
