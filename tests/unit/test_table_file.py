"""The file of tables is held to the code that made them."""

from __future__ import annotations

import shutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import pytest

import agents_registry
from agents_registry.identifiers import VOCABULARY
from agents_registry.registry import Registry
from streams.pipeline import table_file
from streams.stages.sentinel.revocation_offsets import Turns

pytestmark = pytest.mark.unit

CORE: Final = Path(agents_registry.__file__).parent
KINDS: Final = dict(VOCABULARY)


def started() -> Any:
    """Import the module as a process does that starts now."""
    spec = spec_from_file_location("table_file_anew", table_file.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wrote(module: Any, path: Path) -> None:
    """Have a process write its table."""
    realm = module.RealmSnapshot("r", Registry.build([], KINDS), {}, Turns(0, 0, []))
    content = module.pack([realm], genesis="g", vocabulary=KINDS, about={})
    path.write_bytes(b"".join(content))


def test_an_upgrade_below_a_process_does_not_rename_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first file may come long after: old rules made what is in it."""
    newer = tmp_path / "agents_registry"
    shutil.copytree(CORE, newer)
    (newer / "death.py").write_text("# mended", "utf-8")
    old, path = started(), tmp_path / "table"

    monkeypatch.setattr(agents_registry, "__file__", str(newer / "__init__.py"))
    wrote(old, path)
    assert old.read(path, "g", KINDS) is not None
    assert started().read(path, "g", KINDS) is None


def test_compiled_modules_alone_take_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All versions would have the same name."""
    monkeypatch.setattr(agents_registry, "__file__", str(tmp_path / "__init__.pyc"))
    found, path = started(), tmp_path / "table"
    wrote(found, path)

    assert found.read(path, "g", KINDS) is None
