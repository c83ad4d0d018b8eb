"""Logs as lists: what was allowed becomes known, what the log ends does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import Relation
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.lineage import CREDENTIAL, KNOWN
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import judge
from streams.adopt import used
from streams.model.records import Access, Lifecycle, Parent
from streams.services.parse import parse_paths
from streams.stages.ingest.declared import facts_of_list
from streams.stages.ingest.ingress import Origin, facts_of
from tests.unit.adopting import by_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from streams.model.records import Outcome, Record

pytestmark = pytest.mark.unit

AT = 10**18
RECORDED = Path(__file__).resolve().parents[2] / "examples" / "openbao" / "audit.log"
KEY, OTHER = Identifier("aws.access_key", "A"), Identifier("aws.access_key", "B")
USER = Identifier("aws.user", "u")


def use(name: Identifier, outcome: Outcome | None = "allowed", **more: Any) -> Access:
    """Give a use."""
    return Access("s", None, "use", AT, (name,), 0, outcome, **more)


def change(effect: str, *names: Identifier, **more: Any) -> Lifecycle:
    """Give a change."""
    return Lifecycle("s", None, effect, effect, AT, names, 0, **more)


def read(records: Iterable[Record], now: int = 2 * AT) -> used.UsedLog:
    """Read a log."""
    log = used.UsedLog(VOCABULARY, now)
    for record in records:
        log.add(record)
    return log


def test_every_allowed_credential_is_an_entry_with_what_it_hangs_on() -> None:
    """Once, however often it was used; what was only refused stays unknown."""
    parents = (Parent(*USER, Relation.REQUIRES),)
    uses = [use(KEY, parents=parents)] * 3
    refused = use(KEY, "denied", parents=parents)
    listing = read([refused, *uses, use(OTHER, "denied"), use(OTHER, None)]).listing()

    assert {
        "aws.access_key:A": {"identifier": "aws.access_key:A",
                             "parents": ["aws.user:u"]},
        "aws.user:u": {"identifier": "aws.user:u"},
    } == by_name(listing)  # fmt: skip
    assert 1 == listing.left_out[used.REFUSED]


@pytest.mark.parametrize("effect", ["revoke", "suspend", "not_before"])
@pytest.mark.parametrize("target", [KEY, USER])
def test_what_the_log_ends_is_left_out(effect: str, target: Identifier) -> None:
    """Itself or above, and wherever in the log that stands."""
    records: list[Record] = [
        change(effect, target),
        use(KEY, parents=(Parent(*USER, Relation.REQUIRES),)),
        use(OTHER),
    ]
    for ordered in (records, records[::-1]):
        listing = read(ordered).listing()

        assert {"aws.access_key:B"} == by_name(listing).keys()
        assert 1 == listing.left_out[used.DEAD]


def test_the_last_word_on_owners_and_expiry_counts() -> None:
    """Whatever the order of lines; relations of parents are kept."""
    first = change("issue", KEY, expires_at=3 * AT, owners=(USER,),
                   parents=(Parent(*OTHER, Relation.ENDS_WITH_PARENT),))  # fmt: skip
    renewed = first._replace(effect=None, expires_at=4 * AT, occurred_at=AT + 1,
                             owners=())  # fmt: skip
    for records in ([first, renewed], [renewed, first]):
        entry = by_name(read(records).listing())["aws.access_key:A"]

        assert ["aws.access_key:B"] == entry["ends_with_parent"]
        assert "2096-10-02T07:06:40Z" == entry["expires_at"]
        assert ["aws.user:u"] == entry["owners"]
    assert {} == by_name(read([first], 5 * AT).listing())  # expired by then


def test_no_adopted_log_allows_what_the_log_itself_denies() -> None:
    """Of a vault's recorded log: adopted, and replayed as its source told it."""
    records = list(parse_paths([RECORDED]))
    now = max(r.occurred_at for r in records if r.occurred_at is not None)
    origin = Origin(authority="openbao", realm="r", received_at=now, issuer_log=True)
    replayed = Registry.build([f for r in records for f in _facts(r, origin)])
    adopted = Registry.build(
        facts_of_list(read(records, now).listing().entries(), origin)
    )

    lineage, allowed, denied = replayed.lineage, 0, 0
    for node in range(len(lineage)):
        if not lineage.flags[node] & CREDENTIAL:
            continue
        name = Presented((lineage.identifier(node),))
        if judge(adopted, name, now=now).allowed:
            assert judge(replayed, name, now=now).allowed
            allowed += bool(lineage.flags[node] & KNOWN)
        else:
            denied += 1
    assert allowed > 10
    assert denied > 10


def _facts(record: Record, origin: Origin) -> Iterable[Any]:
    return facts_of(record, origin) if isinstance(record, Access | Lifecycle) else ()
