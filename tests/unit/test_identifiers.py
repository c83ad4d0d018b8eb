"""Names, their classes, and facts in plain form."""

from __future__ import annotations

from typing import Any

import pytest

from agents_registry.facts import Node, from_plain, to_plain
from agents_registry.flaws import flaws_of
from agents_registry.identifiers import (
    VOCABULARY,
    Identifier,
    NodeClass,
    extend,
)
from agents_registry.registry import Registry

pytestmark = pytest.mark.unit

NODE = Node(
    authority="vault", version=1, received_at=1, node=Identifier("vault.accessor", "a")
)


def test_a_value_may_hold_colons() -> None:
    """An ARN is one value."""
    arn = "arn:aws:iam::111122223333:user/ci"

    assert Identifier("aws.user", arn) == Identifier.parse(f"aws.user:{arn}")


@pytest.mark.parametrize("text", ["", "aws.user", "aws.user:", ":x", "k:" + "x" * 257])
def test_a_text_that_names_nothing_is_refused(text: str) -> None:
    """The error says how to write one."""
    with pytest.raises(ValueError, match=r"kind:value|1 to 256 bytes"):
        Identifier.parse(text)


@pytest.mark.parametrize("value", ["", "a" * 257, "é" * 129, "\ud800"])
def test_a_value_of_an_illegal_length_is_refused(value: str) -> None:
    """In bytes of UTF-8; what cannot be written so has none."""
    assert Identifier("jwt.jti", "é" * 128).checked()
    assert Identifier("jwt.jti", "a" * 256).checked()
    with pytest.raises(ValueError, match=r"1 to 256 bytes|surrogates"):
        Identifier("jwt.jti", value).checked()


def test_a_mapping_file_declares_kinds() -> None:
    """The class follows from the kind, and cannot be changed by a declaration."""
    extended = extend({"acme.badge": "credential", "aws.user": "principal"})

    assert NodeClass.CREDENTIAL is extended["acme.badge"]
    assert VOCABULARY.keys() < extended.keys()
    with pytest.raises(ValueError, match=r"aws\.user is a principal"):
        extend({"aws.user": "credential"})
    with pytest.raises(ValueError, match="robot"):
        extend({"acme.badge": "robot"})


@pytest.mark.parametrize(
    "change",
    [
        {"fact": "rumour"},
        {"node": 7},
        {"node": "nothing"},
        {"surprise": 1},
        {"version": None, "authority": None, "fact": "edge"},
    ],
)
def test_a_plain_form_with_an_error_is_refused(change: dict[str, Any]) -> None:
    """A fact is read whole or not at all."""
    with pytest.raises(ValueError, match=r"fact|identifier"):
        from_plain(to_plain(NODE) | change)


def test_nothing_is_wrong_with_a_name_that_no_fact_names() -> None:
    """There is no flaw to show; whether it is let in is the policy's question."""
    assert [] == flaws_of(Registry(), Identifier("vault.accessor", "new"), now=0)
