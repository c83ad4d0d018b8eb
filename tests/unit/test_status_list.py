"""Token Status Lists: the published vectors, and what the table makes of an entry."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_registry.facts import (
    SECOND,
    Cause,
    Edge,
    Effect,
    Fact,
    Lift,
    Node,
    Renewal,
)
from agents_registry.identifiers import Identifier
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.stages.status.status_list import (
    Status,
    StatusEntry,
    StatusList,
    judging_at,
    judging_now,
    policy_for,
)

pytestmark = pytest.mark.unit

ROOT = Identifier("vault.accessor", "root")
TOKEN = Identifier("jwt.jti", "of the child")
PERSON = Identifier("person.id", "ann")
AGENT = Identifier("agent.id", "bot")

# Sections 4.1 and 4.2: bits, statuses, the packed bytes and their compressed form.
SMALL = {
    "one bit": (
        1,
        [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1],
        "b9a3",
        "78dadbb918000217015d",
        "eNrbuRgAAhcBXQ",
    ),
    "two bits": (
        2,
        [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3],
        "c944f9",
        "78da3be9f2130003df0207",
        "eNo76fITAAPfAgc",
    ),
}
# Appendix C: lists of 2^20 entries with these set, their compressed form with {n} for
# n times the letter A, and how many bytes that has.
LARGE = {
    "C.1": (
        1,
        dict.fromkeys(
            (0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534,
             1000345),
            1,
        ),
        (
            "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQ{19}IBylgQ{53}"
            "XG9I{9}PwsJ{15}vhsS{12}7KpL{21}JsLCQ{11}Djel{11}KjDMAQ{4}CAZC8L2AEb"
        ),
        189,
    ),
    "C.2": (
        2,
        {0: 1, 1993: 2, 25460: 1, 159495: 3, 495669: 1, 554353: 1, 645645: 2,
         723232: 1, 854545: 1, 934534: 2, 1000345: 3},
        (
            "eNrt2zENACEQAEEuoaBABP5VIO01fCjIHTMStt9ovGVI{6}BAbiEB{41}EB5WwI{106}"
            "ID0ugQ{17}QG12Sg{27}OCSIQE{23}D8ExI{41}wJEuAQ{23}MB9SwI{19}CoYUo{14}"
            "EBqH81gAQw"
        ),
        317,
    ),
    "C.3": (
        4,
        {0: 1, 1993: 2, 35460: 3, 459495: 4, 595669: 5, 754353: 6, 845645: 7,
         923232: 8, 924445: 9, 934534: 10, 1004534: 11, 1000345: 12, 1030203: 13,
         1030204: 14, 1030205: 15},
        (
            "eNrt0EENgDAQADAIHwImkIIEJEwCUpCEBBQRHOy35Li1EjoOQGabAg{19}"
            "CC1SQE{271}BADrsC{86}DoxaE{102}IIoCg{56}CArpwK{49}GhqVkAzlwI{5}"
            "iGVR{42}Bx3AoAgLpVAQ{14}wM89rwM{11}jsA9xMBMA"
        ),
        584,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_packs_the_examples_of_the_draft(name: str) -> None:
    """Bit for bit: from the least significant bit of the first byte on."""
    bits, statuses, array, compressed, lst = SMALL[name]
    made = StatusList(bits, len(statuses))
    for index, status in enumerate(statuses):
        made[index] = status

    assert array == made.array.hex()
    assert {"bits": bits, "lst": lst} == made.to_json()
    assert compressed == unbased(lst).hex()


@pytest.mark.parametrize("name", LARGE)
def test_packs_the_vectors_of_the_appendix(name: str) -> None:
    """Lists of a million entries, whatever order their statuses come in."""
    bits, statuses, short, length = LARGE[name]
    lst = re.sub(r"\{(\d+)\}", lambda run: "A" * int(run[1]), short)
    made = StatusList(bits, 1 << 20)
    for index, status in reversed(statuses.items()):
        made[index] = status

    assert length == len(unbased(lst))
    assert zlib.decompress(unbased(lst)) == bytes(made.array)
    assert {"bits": bits, "lst": lst} == made.to_json()


@given(st.sampled_from([1, 2, 4, 8]), st.data())
def test_a_status_is_read_where_it_was_set(bits: int, data: st.DataObject) -> None:
    """A reader that spells the bits out finds each status, set last, and no other."""
    size = data.draw(st.integers(1, 40))
    index, status = st.integers(0, size - 1), st.integers(0, (1 << bits) - 1)
    wanted = [0] * size
    made = StatusList(bits, size)
    for at, value in data.draw(st.lists(st.tuples(index, status))):
        made[at] = wanted[at] = value
    array = zlib.decompress(unbased(made.to_json()["lst"]))

    assert len(made) >= size
    assert wanted == [spelled(array, bits, at) for at in range(size)]


@pytest.mark.parametrize(("bits", "size"), [(3, 8), (0, 8), (1, 0), (1, 1 << 25)])
def test_refuses_a_list_that_cannot_be(bits: int, size: int) -> None:
    """Widths are 1, 2, 4 and 8, and a list has a bound."""
    with pytest.raises(ValueError, match="a status"):
        StatusList(bits, size)


def test_refuses_what_does_not_fit() -> None:
    """Nothing is cut off in silence, and no index wraps around."""
    made = StatusList(1, 8)

    with pytest.raises(ValueError, match="does not fit"):
        made[0] = 2
    for index in (-1, 8):
        with pytest.raises(IndexError):
            made[index] = 1


def test_a_revoked_ancestor_makes_the_child_invalid() -> None:
    """The list says what a guard would: the walk goes up from the credential."""
    facts = [fact(Edge, child=TOKEN, parent=ROOT), cause(ROOT, Effect.REVOKE)]

    assert now(facts) is Status.INVALID
    assert now(facts[:1]) is Status.VALID
    assert now([]) is Status.VALID


@pytest.mark.parametrize(
    ("effect", "status"),
    [
        (Effect.REVOKE, Status.INVALID),
        (Effect.SUSPEND, Status.SUSPENDED),
        (Effect.NARROW, Status.SUSPENDED),
        (Effect.NOT_BEFORE, Status.INVALID),
    ],
)
def test_what_can_be_lifted_is_suspended(effect: Effect, status: Status) -> None:
    """A reader that knows no scope may not take a narrowed token for a whole one."""
    facts = [fact(Edge, child=TOKEN, parent=ROOT), cause(ROOT, effect)]

    assert status is now(facts)
    assert Status.VALID is now(facts, entry=StatusEntry((PERSON,), 0))


def test_a_lifted_suspend_is_valid_again() -> None:
    """Nothing of a status is stored, so nothing must be undone."""
    lift = fact(Lift, 20, target=TOKEN)

    assert now([cause(TOKEN, Effect.SUSPEND), lift]) is Status.VALID


@pytest.mark.parametrize("names", [(TOKEN, PERSON), (PERSON, TOKEN)])
def test_the_worst_of_an_entrys_names_counts(names: tuple[Identifier, ...]) -> None:
    """What is for good outweighs what may be lifted, whatever comes first."""
    facts = [cause(TOKEN, Effect.SUSPEND), cause(PERSON, Effect.REVOKE)]

    assert now(facts, entry=StatusEntry(names, 0)) is Status.INVALID


def test_the_chain_of_an_entry_is_walked() -> None:
    """No fact links the token to the agent that acts; its claims do."""
    entry = StatusEntry((TOKEN,), 5 * SECOND, (AGENT,))
    facts = [cause(AGENT, Effect.REVOKE)]

    assert now(facts, entry=entry) is Status.INVALID
    assert (
        finish(judging_at(Registry.build(facts), entry, 10 * SECOND)) is Status.INVALID
    )
    assert finish(judging_at(Registry.build(facts), entry, 9 * SECOND)) is Status.VALID


def test_the_time_of_issue_of_an_entry_counts() -> None:
    """A password was reset before this token was issued, so it lives."""
    facts = [
        fact(Edge, child=TOKEN, parent=PERSON),
        cause(PERSON, Effect.NOT_BEFORE),
    ]
    old, new = StatusEntry((TOKEN,), 9 * SECOND), StatusEntry((TOKEN,), 11 * SECOND)

    assert now(facts, entry=old) is Status.INVALID
    assert now(facts, entry=new) is Status.VALID
    table = Registry.build(facts)
    assert finish(judging_at(table, old, 15 * SECOND)) is Status.INVALID
    assert finish(judging_at(table, new, 15 * SECOND)) is Status.VALID


def test_an_expired_parent_ends_it_now_and_not_in_the_past() -> None:
    """Expiry is the token's own business in history (section 7.1)."""
    facts = [
        fact(Node, node=TOKEN),
        fact(Renewal, node=TOKEN, expires_at=50 * SECOND),
    ]

    assert now(facts, at=49) is Status.VALID
    assert now(facts, at=50) is Status.INVALID
    entry = StatusEntry((TOKEN,), 0)
    assert finish(judging_at(Registry.build(facts), entry, 60 * SECOND)) is Status.VALID


def test_history_is_what_causes_had_done_by_then() -> None:
    """The second of the cause counts as after it."""
    facts = [fact(Edge, child=TOKEN, parent=ROOT), cause(ROOT, Effect.SUSPEND)]
    table, entry = Registry.build(facts), StatusEntry((TOKEN,), 0)
    seen = [finish(judging_at(table, entry, at * SECOND)) for at in (9, 10, 11)]

    assert [Status.VALID, Status.SUSPENDED, Status.SUSPENDED] == seen


def test_an_entry_survives_storage() -> None:
    """What was stored is what is judged."""
    entry = StatusEntry((TOKEN, PERSON), 7, (AGENT,))
    stored = json.loads(json.dumps(entry.to_plain()))

    assert entry == StatusEntry.from_plain(stored)


def unbased(text: str) -> bytes:
    """Decode base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def spelled(array: bytes, bits: int, index: int) -> int:
    """Read a status off all bits in a row, written with the least significant first."""
    row = "".join(f"{byte:08b}"[::-1] for byte in array)
    return int(row[index * bits : (index + 1) * bits][::-1], 2)


def fact(kind: type[Fact], second: int = 1, **fields: Any) -> Fact:
    """Make a fact said and received at a second."""
    time = second * SECOND
    return kind(authority="vault", version=time, received_at=time, **fields)


def cause(target: Identifier, effect: Effect) -> Fact:
    """Make a cause at second 10."""
    mark = 10 * SECOND if effect is Effect.NOT_BEFORE else None
    return fact(
        Cause,
        10,
        at=10 * SECOND,
        event_id=f"{effect} {target}",
        target=target,
        effect=effect,
        not_before=mark,
    )


def now(facts: list[Fact], at: int = 30, entry: StatusEntry | None = None) -> Status:
    """Judge an entry of the child's token at a second."""
    table = Registry.build(facts)
    judged = StatusEntry((TOKEN,), 0) if entry is None else entry
    return finish(judging_now(table, judged, at * SECOND, policy_for(table)))
