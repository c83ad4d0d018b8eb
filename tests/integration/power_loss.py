"""What the disk holds after a power cut: of each file of SQLite, what was synced last.

Files are written through SQLite's own file system interface, a table of functions in
its library. Three of them are replaced here: opening, to learn which file is which,
syncing, after which the file is copied as it is, and deleting, after which there is no
copy. What is written and not synced is in no copy either.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import shutil
import threading
from contextlib import contextmanager
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_int,
    c_int64,
    c_void_p,
    cast,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where SQLite is built into Python it has no file, and may be hidden.
_LIBRARY: Final = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
seen_from_here = pytest.mark.skipif(
    not hasattr(_LIBRARY, "sqlite3_vfs_find"),
    reason="this Python hides its SQLite; one with a shared library shows it",
)
OK: Final = 0
_METHODS: Final = 18  # of a file, up to version 3 of the interface

# SQLite keeps the name that a file was opened by, so it must go through as it came.
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
_Size = CFUNCTYPE(c_int, c_void_p, POINTER(c_int64))
_Read = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)


class _FileSystem(Structure):
    """The beginning of ``sqlite3_vfs``."""

    _fields_ = (
        ("version", c_int),
        ("file_size", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
    )


class _Methods(Structure):
    """``sqlite3_io_methods``: closing, reading, writing, truncating, syncing, more."""

    _fields_ = (("version", c_int), ("methods", c_void_p * _METHODS))


_READ, _SYNC, _SIZE = 1, 4, 5  # places among the methods


def _content(file: int, methods: _Methods) -> bytes:
    """Read a file by the handle that is open: closing another one drops its locks."""
    size = c_int64()
    _Size(methods.methods[_SIZE])(file, ctypes.byref(size))
    content = ctypes.create_string_buffer(max(1, size.value))
    _Read(methods.methods[_READ])(file, content, size.value, 0)
    return content.raw[: size.value]


class Disk:
    """What of a folder's SQLite files is on the disk for certain.

    Attributes:
        synced: file name to its content when it was synced last.
    """

    def __init__(self, folder: Path) -> None:
        """Begin with nothing synced."""
        self.folder = folder
        self.synced: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._kept: list[Any] = []  # what C points to

    def lose_power(self, into: Path) -> Path:
        """Give a folder with what is left."""
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(mode=0o700)
        with self._lock:
            for name, content in self.synced.items():
                (into / name).touch(mode=0o600)
                (into / name).write_bytes(content)
        return into

    def deleted(self, name: bytes) -> None:
        """Forget a file: its folder is synced when the next file begins."""
        path = Path(name.decode())
        if path.parent == self.folder:
            with self._lock:
                self.synced.pop(path.name, None)

    def opened(self, name: bytes | None, file: int) -> None:
        """Watch a file that was just opened, if it is one of the folder."""
        path = Path(name.decode()) if name else None
        if path is None or path.parent != self.folder:
            return
        pointer = cast(file, POINTER(POINTER(_Methods)))
        own = _Methods.from_buffer_copy(pointer.contents.contents)
        sync = _Sync(own.methods[_SYNC])

        def watched(of: int, flags: int) -> int:
            code: int = sync(of, flags)
            if code == OK:
                with self._lock:
                    self.synced[path.name] = _content(of, own)
            return code

        replaced = _Sync(watched)
        own.methods[_SYNC] = cast(replaced, c_void_p).value
        pointer[0] = ctypes.pointer(own)
        self._kept += [own, sync, replaced]


@contextmanager
def watched_disk(folder: Path) -> Iterator[Disk]:
    """Watch the SQLite files that this process opens in a folder meanwhile."""
    find = _LIBRARY.sqlite3_vfs_find
    find.restype = POINTER(_FileSystem)
    system = find(None).contents
    before, disk = (system.open, system.delete), Disk(folder)
    really_open, really_delete = _Open(before[0]), _Delete(before[1])

    def opening(vfs: int, name: int | None, file: int, flags: int, given: int) -> int:
        code: int = really_open(vfs, name, file, flags, given)
        if code == OK:
            disk.opened(c_char_p(name).value, file)
        return code

    def deleting(vfs: int, name: bytes, sync_folder: int) -> int:
        code: int = really_delete(vfs, name, sync_folder)
        if code == OK:
            disk.deleted(name)
        return code

    replaced = _Open(opening), _Delete(deleting)
    system.open, system.delete = (cast(one, c_void_p).value for one in replaced)
    try:
        yield disk
    finally:
        system.open, system.delete = before
