"""A copy of the product with a wrong line in it, and what is run on the copy.

Most of what a process that looks for a planted bug does is its start. So the compiled
modules are copied too, no plugin is loaded that the tests do not need, and nothing is
measured: lines of a changed copy are no coverage of the product.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

GUARD: Final = ("agents_registry", "enforcement")
PRODUCT: Final = (*GUARD, "schemas", "streams")
_PLUGINS: Final = ("-p", "pytest_asyncio.plugin", "-p", "pytest_timeout")
# Another worker may be writing a compiled module, under such a name at first.
_SKIPPED: Final = shutil.ignore_patterns("*.pyc.*")


def copied(repository: Path, folder: Path, *names: str) -> Path:
    """Copy files and folders of the repository to the same places in a folder."""
    for name in names:
        source, copy = repository / name, folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=_SKIPPED)
        else:
            shutil.copy2(source, copy)
    return folder


def copied_with_shared(repository: Path, folder: Path, *names: str) -> Path:
    """Copy what is there of these, and the modules that all tests share."""
    there = [each for each in names if (repository / each).exists()]
    shared = (repository / "tests").glob("*.py")
    modules = [str(path.relative_to(repository)) for path in shared]
    return copied(repository, folder, *there, *modules)


class Change(NamedTuple):
    """A wrong line. A module that plants some lists them as its CHANGES.

    Attributes:
        file: from the root of the repository.
        right: the text of the file that is replaced; it stands there exactly once.
        wrong: the text that takes its place.
    """

    file: str
    right: str
    wrong: str

    def made(self, root: Path) -> str:
        """Give the text of the file below a folder, with the wrong line.

        Raises:
            LookupError: the right text does not stand there exactly once, so that a
                bug never quietly stops being planted.
        """
        text = (root / self.file).read_text("utf-8")
        if (times := text.count(self.right)) != 1:
            raise LookupError(f"{self.file} has {times} times {self.right!r}")
        return text.replace(self.right, self.wrong)


def plant(folder: Path, *changes: Change) -> None:
    """Write wrong lines into a copy.

    Raises:
        LookupError: the text of one does not stand exactly once in its file.
    """
    for change in changes:
        path = folder / change.file
        path.write_text(change.made(folder), "utf-8")
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
            compiled.unlink()


def run(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; it finds the modules of the copy first."""
    of_this_run = ("COV", "PYTEST")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(of_this_run)}
    here = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=inherited | here | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_tests(
    folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run tests of a copy up to their first failure."""
    return run(
        folder, "-m", "pytest", "-x", "-q", *_PLUGINS, *arguments,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **environment,
    )  # fmt: skip


def passed(result: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether tests ran and none failed; print what they said."""
    print(result.stdout, result.stderr)  # noqa: T201 - shown when the caller fails
    return result.returncode == 0


def caught(result: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether a test failed (and was no error of import); print what it said."""
    print(result.stdout, result.stderr)  # noqa: T201 - shown when the caller fails
    return result.returncode == 1 and "1 failed" in result.stdout
