"""No line of an export can be changed, removed, put in or moved without being found."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents_registry.facts import Cause, Edge, Effect, Node
from agents_registry.identifiers import Identifier
from schemas.codec import decode_fact, encode_fact
from streams.services.audit_heads import HeadKey, head_reader
from streams.stages.audit import chain as audit_chain
from streams.stages.audit import proof as audit_proof
from streams.stages.audit.chain import Head, RecordPlace
from tests.planted.copies import Change

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents_registry.facts import Fact

    AccessColumns = list[dict[str, Any]]

pytestmark = pytest.mark.property

KEY = HeadKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
READ_HEAD = head_reader([KEY.private.public_key()])
AGENT, TOKEN = Identifier("vault.accessor", "agent"), Identifier("vault.accessor", "é")


def facts() -> list[Fact]:
    """Give facts of several kinds."""
    return [
        Node(authority="a", version=1, received_at=17 * 10**17 + 1, node=AGENT),
        Edge(authority="a", version=2, received_at=2, child=TOKEN, parent=AGENT),
        Cause(authority="operators", event_id="e", version=3, received_at=3,
              ingress_key="ann", target=AGENT, effect=Effect.REVOKE, at=3),
        Node(authority="a", version=4, received_at=4, node=TOKEN, root=True),
    ]  # fmt: skip


def exported() -> AccessColumns:
    """Give an export: four facts, two acts, a head in the middle and one at the end."""
    lines: AccessColumns = []
    previous = audit_chain.START
    for offset, fact in enumerate(facts()):
        place, value = RecordPlace("g1", "r", offset), encode_fact(fact)
        entry = audit_chain.fact_entry(previous, place, f"k{offset}", value, fact)
        previous = audit_chain.hash_of(entry)
        sequence = sum("entry" in line for line in lines) + 1
        lines.append(audit_chain.fact_line(sequence, entry, previous, value, fact))
        if offset % 2:
            entry = audit_chain.act_entry(
                previous, place, at=5, actor="ann", action="revoke", detail=["ab"]
            )
            previous = audit_chain.hash_of(entry)
            lines.append(audit_chain.act_line(sequence + 1, entry, previous))
            lines.append({"head": KEY.sign(Head("r", "g1", sequence + 1, previous, 9))})
    return lines


def verified(
    lines: AccessColumns, module: ModuleType = audit_proof, known: tuple[str, ...] = ()
) -> str:
    """Give what is said against an export, nothing where it holds."""
    verifier = module.ChainVerifier(READ_HEAD, decode_fact, map(READ_HEAD, known))
    try:
        for line in lines:
            verifier.take(line)
        verifier.end()
    except audit_chain.BrokenChainError as error:
        return str(error)
    return ""


def changes(value: Any) -> Iterator[Any]:
    """Give a value with one change, at every place in it."""
    if isinstance(value, dict):
        for name, member in value.items():
            rest = {k: v for k, v in value.items() if k != name}
            yield rest
            yield from (rest | {name: changed} for changed in changes(member))
        yield value | {"more": 1}
    elif isinstance(value, list):
        yield [*value, *value]
        yield value[1:]
    elif isinstance(value, str):
        for at in {0, len(value) // 2, len(value) - 1} if value else ():
            other = "B" if value[at] == "A" else "A"
            yield value[:at] + other + value[at + 1 :]
        yield value + "A"
        yield None
    else:
        yield value + 1
        yield value != 1
        yield str(value)


def renumbered(lines: AccessColumns, *, rehashed: bool = False) -> AccessColumns:
    """Give lines as somebody would leave them who covers what was done."""
    lines, sequence, previous = copy.deepcopy(lines), 0, audit_chain.START
    for line in lines:
        if "entry" in line:
            sequence += 1
            line["sequence"] = sequence
            if rehashed:
                line["entry"]["previous"] = previous
                previous = line["hash"] = audit_chain.hash_of(line["entry"])
    return lines


def tampered(lines: AccessColumns) -> Iterator[tuple[int, AccessColumns]]:
    """Give every way to tamper with an export once, and where it first shows."""
    entries = [at for at, line in enumerate(lines) if "entry" in line]
    for at, line in enumerate(lines):
        for changed in changes(line):
            yield at, [*lines[:at], changed, *lines[at + 1 :]]
        for to in range(at + 1, len(lines)):
            swapped = list(lines)
            swapped[at], swapped[to] = swapped[to], swapped[at]
            yield at, swapped
            if {at, to} <= set(entries):
                yield at, renumbered(swapped)
                yield at, renumbered(swapped, rehashed=True)
    for at in entries:
        without = [*lines[:at], *lines[at + 1 :]]
        yield at, without
        yield at, renumbered(without)
        yield at, renumbered(without, rehashed=True)
        for of in entries:
            more = [*lines[:at], lines[of], *lines[at:]]
            yield at, more
            yield at, renumbered(more)
            yield at, renumbered(more, rehashed=True)
        forged = copy.deepcopy(lines)
        entry = forged[at]["entry"]
        entry["authority" if "fact_key" in entry else "actor"] = "mallory"
        forged[at]["hash"] = audit_chain.hash_of(forged[at]["entry"])
        yield at, forged
        yield at, renumbered(forged, rehashed=True)
        if "fact" in lines[at]:
            bare = {k: lines[at][k] for k in ("sequence", "entry", "hash")}
            yield at, [*lines[:at], bare, *lines[at + 1 :]]
    # What one fact says in the place of another, whose hash is left as it is.
    first, other = (dict(lines[at]) for at in entries[:2])
    said = {name: other[name] for name in ("value", "fact")}
    yield entries[0], [first | said, *lines[1:]]
    whole_heads = {at + 1 for at, line in enumerate(lines) if "head" in line}
    for end in set(range(len(lines))) - whole_heads:
        yield end, lines[:end]


def unnoticed(module: ModuleType) -> int:
    """Count what a verifier lets through."""
    return sum(not verified(lines, module) for _, lines in tampered(exported()))


def test_an_export_holds() -> None:
    """A head in the middle may be missing: the last one holds all before it."""
    lines = exported()

    assert not verified(lines)
    assert not verified([line for line in lines[:-1] if "entry" in line] + lines[-1:])
    assert not verified([{"head": KEY.sign(Head("r", "g1", 0, "", 1))}])


def test_whatever_is_done_to_one_line_is_found() -> None:
    """Also where hashes and numbers are made anew, since nobody else can sign."""
    assert 700 < sum(1 for _ in tampered(exported()))
    assert 0 == unnoticed(audit_proof)


def test_the_first_entry_that_does_not_fit_is_named() -> None:
    """By its number, for each that is changed or taken out."""
    lines = exported()
    for at, line in enumerate(lines):
        if "entry" in line:
            changed = copy.deepcopy(lines)
            changed[at]["entry"]["offset"] += 100
            number = f"entry {line['sequence']}"

            assert verified(changed).startswith(f"{number} was changed")
            assert verified(lines[:at] + lines[at + 1 :])[: len(number)] == number


def test_a_cut_behind_a_head_is_found_by_a_later_head_alone() -> None:
    """The older export was true once; a head that was kept elsewhere says more."""
    lines = exported()
    cut, kept = lines[:4], lines[-1]["head"]

    assert "head" in cut[-1]
    assert not verified(cut)
    assert verified(cut, known=(kept,)).startswith("truncated: it ends with entry 3")
    assert not verified(lines, known=(kept, cut[-1]["head"]))


def test_a_chain_that_was_made_anew_does_not_hold_an_older_head() -> None:
    """Whoever has the key can sign another chain, and not the one that was kept."""
    lines = exported()
    lines[0]["entry"]["authority"] = "mallory"
    lines = renumbered(lines, rehashed=True)
    for at in (3, len(lines) - 1):
        before = lines[at - 1]
        head = Head("r", "g1", before["sequence"], before["hash"], 9)
        lines[at] = {"head": KEY.sign(head)}

    assert not verified(lines)
    assert "names another hash for entry 3" in verified(
        lines, known=(exported()[3]["head"],)
    )


def test_another_key_signs_nothing() -> None:
    """Nor does an unsigned head, nor one of another type."""
    stranger = HeadKey(Ed25519PrivateKey.generate())
    head = READ_HEAD(exported()[-1]["head"])

    assert "no key given has signed" in verified(
        [*exported()[:-1], {"head": stranger.sign(head)}]
    )


def pruned(named: set[int], gone: set[int]) -> AccessColumns:
    """Give an export whose last act says that some facts were pruned; some are gone."""
    lines = exported()
    for line in lines:
        if line.get("sequence") in gone:
            del line["value"], line["fact"]
    last = next(line for line in reversed(lines) if "entry" in line)
    detail = audit_chain.pruning(sorted(named), ["ab"], lines[-1]["head"])
    entry = audit_chain.act_entry(
        last["hash"], RecordPlace("g1", "r", 9), at=9, actor="ann", action="prune",
        detail=detail,
    )  # fmt: skip
    sequence, hash_ = last["sequence"] + 1, audit_chain.hash_of(entry)
    head = Head("r", "g1", sequence, hash_, 9)
    return [
        *lines,
        audit_chain.act_line(sequence, entry, hash_),
        {"head": KEY.sign(head)},
    ]


@pytest.mark.parametrize("number", range(16))
def test_a_fact_is_gone_where_a_pruning_names_it_and_nowhere_else(number: int) -> None:
    """Whichever of the four facts are pruned, and whichever are gone."""
    of_facts = [line["sequence"] for line in exported() if "fact" in line]
    sets = [{each for n, each in enumerate(of_facts) if m >> n & 1} for m in range(16)]
    for gone in sets:
        named = sets[number]
        said = verified(pruned(named, gone))
        missing = gone - named
        expected = f"entry {min(missing)}: its fact is gone" if missing else ""

        assert said.startswith(expected)
        assert bool(said) is bool(missing)


def test_a_pruning_names_runs_of_entries() -> None:
    """From the first to the last of what lies together, and nothing between."""
    line = audit_chain.pruning([1, 2, 4, 5, 6, 9], ["ab"], "head")

    assert [[1, 2], [4, 6], [9, 9]] == line[audit_chain.PRUNED]
    assert [] == audit_chain.pruning([], [], "head")[audit_chain.PRUNED]


CHANGES = [
    Change("streams/stages/audit/proof.py", right, wrong)
    for right, wrong in (
        ("if got != due or isinstance(got, bool):", "if False:"),
        ('hash_of(entry) != line.get("hash")', "False"),
        ('if entry.get("previous") != self.hash:', "if False:"),
        ("and head.hash != self.hash:", "and False:"),
        ("if head.sequence != self.sequence:", "if False:"),
        ('hashed == entry.get("value_hash")', "True"),
        ('and canonical(fact) == canonical(line.get("fact"))', ""),
        ("self.signed.sequence != self.sequence:", "False:"),
    )
]


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.right)
def test_a_verifier_that_skips_a_check_is_found(
    change: Change, repository: Path
) -> None:
    """Each check is needed: without it something is let through."""
    module = ModuleType(audit_proof.__name__)
    exec(change.made(repository), module.__dict__)  # noqa: S102 - our own module

    assert unnoticed(module)
