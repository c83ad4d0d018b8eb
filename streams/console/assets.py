"""Files that the pages need, in memory: each under the hash of its content, packed.

htmx is vendored as published (see NOTICE); nothing comes from another host.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_SHOWN: Final = 16  # characters of a hash


@frozen
class ConsoleAsset:
    """One file.

    Attributes:
        path: below ``/console/static``; it changes with the content.
        packed: the content by gzip.
    """

    path: str
    media_type: str
    body: bytes = field(repr=False)
    packed: bytes = field(repr=False)


def assets(folder: Path = FOLDER) -> Mapping[str, ConsoleAsset]:
    """Read the files of a folder; they are found by their names."""
    return {
        file.name: _asset(file)
        for file in sorted(folder.iterdir())
        if file.suffix in _TYPES
    }


def _asset(file: Path) -> ConsoleAsset:
    body = file.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:_SHOWN]
    packed = gzip.compress(body, 9, mtime=0)
    return ConsoleAsset(f"{digest}/{file.name}", _TYPES[file.suffix], body, packed)
