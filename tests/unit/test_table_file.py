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
from streams.stages.sentinel.revocation_offsets import Accepted, Turns

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


def wrote(module: Any, path: Path, **accepted: Accepted) -> None:
    """Have a process write its table."""
    table, turns = Registry.build([], KINDS), Turns(0, 0, [])
    realm = module.RealmSnapshot("r", table, accepted, turns)
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


def test_what_causes_have_in_common_is_in_memory_once(tmp_path: Path) -> None:
    """As where facts were merged: few people end most of what is ended."""
    path = tmp_path / "table"
    one = Accepted(1, 2, "person.id:p", "an authority", "a reason", "e1")
    other = one._replace(offset=3, event_id=None)
    wrote(table_file, path, one=one, other=other)
    file = table_file.read(path, "g", KINDS)
    assert file is not None
    (realm,) = file.realms()

    assert {"one": one, "other": other} == realm.accepted
    first, second = (realm.accepted[each] for each in ("one", "other"))
    assert first.actor is second.actor
    assert first.authority is second.authority
    assert first.reason is second.reason
