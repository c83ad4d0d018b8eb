"""A check that somebody watches says that it holds only where each link was read."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents_registry.steps import finish
from streams.services.audit_heads import HeadKey
from streams.services.chain_check import ChainCheck, CheckState
from streams.stages.audit.chain import START, BrokenChainError, Head
from tests.property.test_audit_chain import KEY, exported

pytestmark = pytest.mark.unit

PEM = KEY.public_pem()
OTHER = HeadKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))


def begun(lines: list[dict[str, Any]], **more: Any) -> ChainCheck:
    """Begin a check of an export that ends with a head."""
    return ChainCheck.begin(lines[-1]["head"], [PEM], **more)


def checked(
    lines: list[dict[str, Any]], size: int = 1, served: Any = None, **more: Any
) -> ChainCheck:
    """Check an export in pages of so many lines, as the server gives them."""
    check, pages = begun(lines, **more), lines if served is None else served
    for start in range(0, len(pages), size):
        page = pages[start : start + size]
        more_of = start + size < len(pages)
        after = max([line.get("sequence", 0) for line in page]) if more_of else None
        finish(check.take(page, after))
        if check.state is not CheckState.RUNNING:
            break
    return check


@pytest.mark.parametrize("size", [1, 2, 5, 99])
def test_a_whole_chain_holds_up_to_its_last_head(size: int) -> None:
    """And the check says from where to where, and against which heads."""
    lines = exported()
    check = checked(lines, size, kept=[lines[3]["head"]], own_key=True)
    assert (CheckState.HOLDS, "") == (check.state, check.why)
    assert (1, 6, 8, 0) == (check.first, check.verified, check.lines, check.bare)
    assert check.end == check.head
    assert check.own_key
    assert [2 + 1] == [head.sequence for head in check.kept]


@pytest.mark.parametrize("gone", range(8))
def test_a_line_that_was_not_read_is_never_verified(gone: int) -> None:
    """Whichever it is: a middle head alone may be missing, and nothing hangs on it."""
    lines = exported()
    served = lines[:gone] + lines[gone + 1 :]
    check = checked(lines, 2, served)
    middle_head = "head" in lines[gone] and gone < len(lines) - 1
    wanted = CheckState.HOLDS if middle_head else None
    assert check.state is wanted or (
        wanted is None and check.state in (CheckState.BROKEN, CheckState.INCOMPLETE)
    )


def test_a_changed_line_is_named() -> None:
    """What was verified before it is said, and no more."""
    lines = copy.deepcopy(exported())
    lines[4]["fact"]["authority"] = "somebody"
    check = checked(lines)
    assert (CheckState.BROKEN, 3) == (check.state, check.verified)
    assert "entry 4 was changed" in check.why


def test_what_a_server_leaves_out_at_the_end_is_incomplete() -> None:
    """The head of the beginning names more than the pages brought."""
    lines = exported()
    check = checked(lines, 99, served=lines[:4])
    assert (CheckState.INCOMPLETE, 3) == (check.state, check.verified)
    assert "names entry 6" in check.why


def test_a_check_begins_behind_a_head_that_was_kept() -> None:
    """Pages may begin in front of it; what lies there is not said to be verified."""
    lines = exported()
    check = checked(lines, 3, start=lines[3]["head"])
    assert (CheckState.HOLDS, 4, 6) == (check.state, check.first, check.verified)


def test_pruned_records_are_counted() -> None:
    """Of them only the hash is left to be verified."""
    lines = copy.deepcopy(exported())
    del lines[0]["value"], lines[0]["fact"]
    check = checked(lines)
    assert (CheckState.BROKEN, 1) == (check.state, check.bare)
    assert "no pruning says so" in check.why


def test_heads_of_other_signers_are_refused_at_once() -> None:
    """Nothing can be proved with them, and no key can be read out of nonsense."""
    lines = exported()
    foreign = OTHER.sign(Head("r", "g1", 0, START, 9))
    with pytest.raises(BrokenChainError):
        begun(lines, kept=[foreign])
    with pytest.raises(BrokenChainError):
        begun(lines, start="nonsense")
    with pytest.raises(ValueError, match="not a public key"):
        ChainCheck.begin(lines[-1]["head"], ["nonsense"])
    lines = [*lines[:-1], {"head": foreign}]
    assert checked([*exported()], 99, served=lines).state is CheckState.NO_KEY
