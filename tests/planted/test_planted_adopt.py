"""Bugs planted into what is derived of parents are caught by histories of tokens.

A wrong edge would end tokens that live, so each rule of the derivation has to matter.
"""

from __future__ import annotations

import random
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.identifiers import Identifier
from streams.sources.openbao import adopt as openbao
from tests.planted.copies import Change

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.planted

SOURCE = "streams/sources/openbao/adopt.py"
HISTORIES = 400
BUGS = {
    "of whatever entity": ("common.get(token.entity, ())", "(*common.values(), ())[0]"),
    "of several makers the first": ("if one in mine)", "if one in shared)"),
    "orphans too": ("if not token.orphan:", "if token:"),
    "tokens of a role too": ('and not text(token.data.get("role"))', ""),
    "in a namespace too": ("if whole and", "if"),
}  # fmt: skip


def change(name: str) -> Change:
    """Give the wrong line of a bug."""
    return Change(SOURCE, *BUGS[name])


CHANGES = [change(name) for name in BUGS]


def history(draw: random.Random) -> tuple[list[dict[str, Any]], list[int | None], bool]:
    """Give the tokens that a server has, who made each in truth, and if it is whole."""
    made: list[dict[str, Any]] = []
    maker: list[int | None] = []
    whole = draw.random() < 0.8
    for number in range(draw.randint(2, 8)):
        able = [n for n in range(number) if not made[n]["num_uses"]]
        parent = draw.choice([None, *able])
        entity, role = draw.choice(["", "e", "f"]), ""
        if parent is not None:
            role = draw.choice(["", "", "", "r"])  # a role may give another entity
            entity = entity if role else made[parent]["entity_id"]
        uses = draw.choice([0, 0, 0, 3])
        made.append({"entity_id": entity, "role": role, "num_uses": uses,
                     "orphan": parent is None})  # fmt: skip
        maker.append(parent)
    hidden = set() if whole else {n for n in range(len(made)) if draw.random() < 0.3}
    shown = [dict(data, number=n) for n, data in enumerate(made) if n not in hidden]
    return shown, maker, whole


def wrong(parents_of: Callable[..., Any]) -> int:
    """Count the derived parents that are no ancestors, over many histories."""
    draw, found = random.Random(7), 0
    for _ in range(HISTORIES):
        shown, maker, whole = history(draw)
        tokens = [
            openbao.VaultToken(
                Identifier("t", str(data["number"])), data, data["number"]
            )
            for data in shown
        ]
        for child, over in parents_of(tokens, whole=whole)[0].items():
            above, ancestors = maker[int(child.value)], set()
            while above is not None:
                ancestors.add(above)
                above = maker[above]
            found += int(over.value) not in ancestors
    return found


def test_nothing_wrong_is_derived() -> None:
    """Else what follows would say nothing."""
    assert 0 == wrong(openbao.parents_of)


@pytest.mark.parametrize("name", BUGS)
def test_a_wrong_line_is_caught(
    name: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the module with one wrong line derives a wrong parent."""
    text = change(name).made(repository)
    copy = ModuleType("streams.adopt.planted")
    monkeypatch.setitem(sys.modules, copy.__name__, copy)
    exec(compile(text, SOURCE, "exec"), vars(copy))  # noqa: S102

    assert wrong(copy.parents_of) > 0
