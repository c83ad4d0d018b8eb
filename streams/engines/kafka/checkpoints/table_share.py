"""The tables of partitions where every worker finds them: a folder, or an object store.

Whoever may write there could leave a revocation out. So a table counts only with a MAC,
whose key the workers alone have; it covers the name, too. See
docs/adr/0102-what-starts-takes-a-table-and-reads-the-rest.md.
"""

from __future__ import annotations

import hashlib
import hmac
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

MAC: Final = 32  # bytes
LEAST_KEY: Final = 32

log = structlog.get_logger()


class UnusableShareError(ValueError):
    """The place of tables cannot be used."""


class TableShare:
    """Tables by their names.

    A table replaces the one before as a whole, or is cut off and then refused.
    """

    def __init__(self, url: str, key: bytes, prefix: str) -> None:
        """Set up; nothing is read or written yet.

        Args:
            url: of the folder, as fsspec reads it: ``s3://bucket/folder``, a path.
            key: of the MACs.
            prefix: of the names, for one cluster and layout.

        Raises:
            UnusableShareError: fsspec, or what it needs for this URL, is not installed;
                or the key is short.
        """
        if len(key) < LEAST_KEY:
            raise UnusableShareError(f"the key is shorter than {LEAST_KEY} bytes")
        try:
            import fsspec  # noqa: PLC0415 - an extra

            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            text = (
                f"{error}; install rescind[tables], and the package of an object store"
            )
            raise UnusableShareError(text) from error
        self._key = key
        self._start = f"{root.rstrip('/')}/{prefix}"
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._writing: dict[str, Future[None]] = {}

    def close(self) -> None:
        """Wait for no table that is being written: one that is cut off is refused."""
        self._writer.shutdown(wait=False, cancel_futures=True)

    def put(self, name: str, content: Iterable[bytes]) -> None:
        """Have a table written while work goes on; one at a time of each name."""
        before = self._writing.get(name)
        if before is None or before.done():
            self._writing[name] = self._writer.submit(self._put, name, content)

    def get(self, name: str) -> bytes | None:
        """Content of a table; None where there is none that a worker wrote."""
        try:
            data: bytes = self._files.cat_file(self._path(name))
        except Exception as error:  # noqa: BLE001
            # The boundary to any file system: the log has it all.
            log.info("no_shared_table", table=name, why=repr(error))
            return None
        content = data[MAC:]
        if not hmac.compare_digest(data[:MAC], self._mac(name, [content])):
            log.warning("shared_table_refused", table=name)
            return None
        return content

    def _put(self, name: str, content: Iterable[bytes]) -> None:
        path = self._path(name)
        partial = f"{path}.partial"
        parts = list(content)
        try:
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            with self._files.open(partial, "wb") as file:
                file.write(self._mac(name, parts))
                for part in parts:
                    file.write(part)
            self._files.mv(partial, path)
        except Exception as error:  # noqa: BLE001
            # As above: who starts with nothing reads the log.
            log.warning("table_not_shared", table=name, why=repr(error))

    def _path(self, name: str) -> str:
        return f"{self._start}{name}.table"

    def _mac(self, name: str, content: Iterable[Any]) -> bytes:
        key = hashlib.blake2b(self._key, digest_size=MAC).digest()
        digest = hashlib.blake2b(digest_size=MAC, key=key)
        told = self._path(name).rpartition("/")[2].encode()
        digest.update(len(told).to_bytes(4, "little") + told)
        for part in content:
            digest.update(part)
        return digest.digest()
