"""The example mappings of access logs read their samples whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson
import pytest

from agents_registry.identifiers import Identifier
from streams.model.records import Access, DeadLetter, Lifecycle
from streams.model.times import rfc3339
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import MappingError, load_mapping

if TYPE_CHECKING:
    from pathlib import Path

    from streams.model.records import Record

pytestmark = pytest.mark.unit

PEER = "spiffe.id:spiffe://example.org/ns/agents/sa/planner"
KEY = "kong.credential:0f6ce5ae-0000-4000-8000-000000000001"
ALIAS = "litellm.key_alias:planner-key"
PRINT = "3d3f1a5e0c4b7a2d9e8f6c5b4a3d2e1f0a9b8c7d"
MCP = "mail.mcp.example.com"
ANSWERS = {
    "decisions": [
        ("9f2c-1", "jwt.jti:tok-1", "allowed", "pdp-eu/orders"),
        ("9f2c-2", "secret:s-1", "denied", "pdp-eu"),
        ("9f2c-3", "jwt.jti:tok-1", "allowed", "pdp-eu/beta/observing"),
    ],
    "envoy": [
        ("rq-1", "jwt.jti:tok-1", "allowed", "tools.example.com"),
        ("rq-2", "jwt.jti:tok-1", "denied", "tools.example.com"),
        ("rq-3", PEER, "allowed", "mesh.example.com"),
    ],
    "nginx": [
        ("5f1c", "jwt.jti:tok-1", "allowed", "api.example.com"),
        ("5f1d", "jwt.jti:tok-1", "denied", "api.example.com"),
        ("5f1f", f"nginx.certificate:{PRINT}", "allowed", "mesh.example.com"),
    ],
    "kong": [("a1", KEY, "allowed", "search"), ("a2", KEY, "allowed", "mail")],
    "litellm-proxy": [
        ("chat-1", ALIAS, "allowed", "small"), ("chat-2", ALIAS, "allowed", "small"),
        ("chat-3", ALIAS, "denied", "small"),
    ],
    "mcp-gateway": [
        ("m-1", "jwt.jti:tok-7", "allowed", MCP),
        ("m-2", "jwt.jti:tok-7", "allowed", MCP),
        ("m-3", "jwt.jti:tok-7", "allowed", MCP),
    ],
    "ocsf": [
        ("o-1", "ocsf.credential:cred-1", "allowed", "storage"),
        ("o-2", "ocsf.credential:cred-2", "denied", "storage"),
        ("o-3", "ocsf.credential:cred-3", "allowed", "portal"),
        ("o-4", "ocsf.credential:cred-1", "denied", "api.example.com"),
    ],
}  # fmt: skip
PARENTS = {
    "decisions": ["jwt.sub:https://idp.example.com/|agent-7"],
    "envoy": ["jwt.sub:https://idp.example.com/|agent-7"],
    "nginx": ["nginx.user:planner"],
    "kong": ["kong.consumer:c0000000-0000-4000-8000-000000000001"],
    "litellm-proxy": ["litellm.user:dana", "litellm.team:ops"],
    "mcp-gateway": [
        "jwt.sub:https://idp.example.com/|dana", "jwt.sub:https://idp.example.com/|planner",
    ],
    "ocsf": ["ocsf.user:u-7", "agent.id:planner"],
}  # fmt: skip
UNREAD = {"ocsf": 2}  # another class, and a logoff; elsewhere one line without a token


@pytest.mark.parametrize("name", ANSWERS)
def test_each_sample_gives_its_accesses_and_nothing_else(
    repository: Path, name: str
) -> None:
    """A line without a credential is counted, and no dead letter."""
    folder = repository / "examples/mappings"
    text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    source = Generic(load_mapping(text, f"{name}.yaml"))
    records = list(source.records((folder / f"{name}.ndjson").read_bytes()))

    uses = [one for one in records if isinstance(one, Access)]
    assert len(uses) == len(records)
    assert ANSWERS[name] == [
        (one.event_id, str(one.identifiers[0]), one.outcome, one.point) for one in uses
    ]
    assert PARENTS[name] == [str(one.identifier) for one in uses[0].parents]
    assert "2026-03-02T09:00:00.12Z" == rfc3339(uses[0].occurred_at)
    assert UNREAD.get(name, 1) == sum(source.unknown.values())


def test_envoys_tokens_tell_their_issue_time(repository: Path) -> None:
    """A watermark on the subject compares with it."""
    folder = repository / "examples/mappings"
    text = (folder / "envoy.yaml").read_text(encoding="utf-8")
    source = Generic(load_mapping(text, "envoy.yaml"))
    first, *_ = source.records((folder / "envoy.ndjson").read_bytes())
    assert isinstance(first, Access)
    assert "2026-03-02T08:55:00Z" == rfc3339(first.issued_at)


def test_decisions_tell_what_was_applied(repository: Path) -> None:
    """By the offset of their token; those of routes that observe tell nothing."""
    folder = repository / "examples/mappings"
    text = (folder / "decisions.yaml").read_text(encoding="utf-8")
    source = Generic(load_mapping(text, "decisions.yaml"))
    records = source.records((folder / "decisions.ndjson").read_bytes())

    assert [399, 401, None] == [
        each.applied for each in records if isinstance(each, Access)
    ]


@pytest.mark.parametrize(
    ("written", "applied"),
    [
        (17, 17), ("18", 18), ("g:0:17", 17), (0, 0), (True, None), (-1, None),
        (1.5, None), ("", None), (None, None), ("g:0:", None), ("\u0661", None),
        ({"a": 1}, None), ("9" * 18, int("9" * 18)), ("9" * 19, None),
    ],
)  # fmt: skip
def test_what_was_applied_is_a_natural_number(
    written: object, applied: int | None
) -> None:
    """Anything else would accuse the point of what it did not do."""
    text = """
name: shop
event: {type: what, time: at}
rules:
  - name: call
    record: access
    identifiers: [{kind: jwt.jti, path: key}]
    applied: applied
"""
    line = {"what": "x", "at": 1772442000, "key": "k", "applied": written}
    source = Generic(load_mapping(text, "shop.yaml"))
    (use,) = source.records(orjson.dumps(line))

    assert isinstance(use, Access)
    assert applied == use.applied


@pytest.mark.parametrize("lists", ["", "in: [a], not_in: [b],"])
def test_a_condition_has_one_list(lists: str) -> None:
    """In or not_in; the message says so."""
    text = f"""
name: shop
event: {{type: what}}
rules:
  - name: call
    record: access
    when: {{where: [{{{lists} path: key}}]}}
    identifiers: [{{kind: jwt.jti, path: key}}]
"""
    with pytest.raises(MappingError, match="one list, in or not_in"):
        load_mapping(text, "shop.yaml")


EXAMPLES = re.compile(
    r"```yaml\n(name: .*?)```\n\n```json\n(.*?)```\n\n(\|.*?)\n\n", re.DOTALL
)


def worked(repository: Path) -> list[tuple[str, str, str]]:
    """Give mapping, lines and answers of each worked example of the page."""
    page = (repository / "docs/sources/access-logs.md").read_text(encoding="utf-8")
    return EXAMPLES.findall(page)


def row(record: Record) -> list[str]:
    """Write a record as the page's tables do."""
    if isinstance(record, DeadLetter):
        return ["dead letter", record.reason.partition(":")[0], "", ""]
    parents = ", ".join(str(one.identifier) for one in record.parents)
    kind = "access" if isinstance(record, Access) else "lifecycle"
    return [kind, str(record.effect), str(record.identifiers[0]), parents]


def test_the_worked_examples_give_what_the_page_says(repository: Path) -> None:
    """Three of them; each line of each table."""
    examples = worked(repository)
    assert 3 == len(examples)
    for text, lines, table in examples:
        source = Generic(load_mapping(text, "access-logs.md"))
        found = [row(one) for one in source.records(lines.encode())]
        written = [
            [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)]
            for line in table.splitlines()[2:]
        ]
        assert [cells[1:-1] for cells in written] == found


# The log of a guard's decisions knows no connection.
PLACELESS: Final = {"decisions"}


@pytest.mark.parametrize("name", sorted({*ANSWERS, "agent-gateway"} - PLACELESS))
def test_each_access_tells_where_it_came_from(repository: Path, name: str) -> None:
    """An alert names the address; one rule without it has alerts without one."""
    text = (repository / f"examples/mappings/{name}.yaml").read_text("utf-8")
    mapping = load_mapping(text, f"{name}.yaml")

    uses = [rule for rule in mapping.rules if rule.record == "access"]
    assert uses
    assert [] == [rule.label for rule in uses if rule.address is None]


def test_an_owner_that_an_issuer_names_is_one(repository: Path) -> None:
    """A text alone is shown in alerts of uses; it makes nobody the owner."""
    files = sorted((repository / "examples/mappings").glob("*.yaml"))
    assert files
    for file in files:
        rules = load_mapping(file.read_text("utf-8"), file.name).rules
        texts = [each for each in rules if each.record == "lifecycle" and each.owner]
        assert [] == [f"{file.stem}: {each.label}" for each in texts]


def test_the_gateways_log_makes_an_owner(repository: Path) -> None:
    """Of the token that its event issues."""
    folder = repository / "examples/mappings"
    mapping = load_mapping(
        (folder / "agent-gateway.yaml").read_text("utf-8"), "agent-gateway.yaml"
    )
    lines = (folder / "agent-gateway.ndjson").read_bytes()
    owners = {
        owner
        for record in Generic(mapping).records(lines)
        if isinstance(record, Lifecycle)
        for owner in record.owners
    }
    assert {Identifier("person.id", "dana")} == owners
