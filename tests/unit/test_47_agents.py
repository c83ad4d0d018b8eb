"""47 agents act and 3 are known: 44 findings, 44 names in the inventory, no others.

Through every dialect that tells of accesses and every shipped mapping. Each line is one
of our samples with the names of an agent of its own in it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import pytest

from agents_registry.facts import Node, OwnerSet
from agents_registry.identifiers import VOCABULARY, Identifier, extend
from agents_registry.registry import Registry
from agents_registry.steps import finish
from streams.model.findings import FindingKind
from streams.model.records import Access
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import Mapping, load_mapping
from streams.stages.access.agent_kinds import NO_AGENTS
from streams.stages.ingest.admission import Entitlements, admit
from streams.stages.ingest.entitlement import Grant
from streams.stages.ingest.ingress import Origin
from streams.stages.posture.posture import Limits, Posture
from streams.stages.sentinel.sentinel import Sentinel
from streams.stages.sentinel.tolerances import Tolerances
from tests.golden.answers import ANSWERS, SAMPLES, read, reader
from tests.noted import note
from tests.unit.alert_story import MINUTE, Story, called, issued

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.facts import Fact
    from streams.model.findings import Finding
    from streams.stages.sentinel.episode import Episode

pytestmark = pytest.mark.unit

S: Final = 1_000_000_000
AGENTS: Final = 47
MAPPINGS: Final = Path(__file__).parents[2] / "examples" / "mappings"


class Dialect(NamedTuple):
    """A way to write an access.

    Attributes:
        file: with a line of it.
        source: that reads it; empty: the mapping beside the file.
        kind: of what is told of.
        numbered: texts of the line that each agent has its own of.
    """

    file: Path
    source: str
    kind: str
    numbered: tuple[str, ...]


def mapped(name: str, kind: str, *numbered: str) -> Dialect:
    """Give the dialect of a shipped mapping."""
    return Dialect(MAPPINGS / f"{name}.ndjson", "", kind, numbered)


def built_in(source: str, file: str, kind: str, *numbered: str) -> Dialect:
    """Give a built-in dialect, by one of its samples."""
    return Dialect(SAMPLES / file, source, kind, numbered)


DIALECTS: Final = {
    "agent-gateway": mapped(
        "agent-gateway", "gateway.agent", "mailer", "tok-mailer-1"
    ),
    "decisions": mapped("decisions", "jwt.sub", "agent-7", "tok-1"),
    "envoy, token": mapped("envoy", "jwt.sub", "agent-7", "tok-1"),
    "envoy, SPIFFE id": mapped("envoy", "spiffe.id", "sa/planner"),
    "kong": mapped("kong", "kong.consumer", "c0000000-0000-4000-8000-000000000001",
                   "0f6ce5ae-0000-4000-8000-000000000001"),
    "litellm-proxy": mapped("litellm-proxy", "litellm.key_alias", "planner-key"),
    "mcp-gateway": mapped("mcp-gateway", "jwt.sub", "planner", "tok-7"),
    "nginx, token": mapped("nginx", "nginx.user", "planner", "tok-1"),
    "nginx, certificate": mapped("nginx", "nginx.certificate",
                                 "3d3f1a5e0c4b7a2d9e8f6c5b4a3d2e1f0a9b8c7d"),
    "ocsf": mapped("ocsf", "agent.id", "planner", "cred-1", "u-7"),
    "anthropic": built_in("anthropic", "anthropic/activities.jsonl",
                          "anthropic.api_key", "apikey_01KqPlanner"),
    "auth0": built_in("auth0", "auth0/stream.json", "jwt.jti", "kqManagementJti01"),
    "cloudtrail": built_in("cloudtrail", "aws/access-keys.json", "aws.user",
                           "/ines", "AKIAQSZUEAETKHMSPTTI"),
    "cloudtrail, session": built_in("cloudtrail", "aws/sessions.json", "aws.access_key",
                                    "ASIADCLUGPJDIKLMPFAU"),
    "cloudtrail, console": built_in("cloudtrail", "aws/logins.jsonl", "aws.user",
                                    "agents/leaver"),
    "entra": built_in("entra", "entra/sign-ins.jsonl", "entra.service_principal",
                      "09c62ba0-f650-5418-8da7-78e76f51ef99",
                      "d116a43c-fc21-5727-ae00-c912e2b29b00"),
    "entra, managed identity": built_in("entra", "entra/sign-ins.jsonl",
                                        "entra.service_principal",
                                        "c17da185-863b-5eae-871c-b7462ef6ee7d",
                                        "09c62ba0-f650-5418-8da7-78e76f51ef99"),
    "entra, session": built_in("entra", "entra/sign-ins.jsonl", "entra.session",
                               "e45114a8-b8f1-5af2-b816-9927c9560802"),
    "entra, unified log": built_in("entra", "entra/unified-usage.jsonl",
                                   "entra.session",
                                   "16bc9d42-88b5-53ad-a034-874ed23bb264"),
    "github": built_in("github", "github/audit-log.jsonl", "github.token", "62000220",
                       "ASPVZA"),
    "github, exported": built_in("github", "github/exported.jsonl", "github.token",
                                 "62000220", "ASPVZA"),
    "keycloak": built_in("keycloak", "keycloak/refresh.jsonl", "session.id",
                         "9a5d3a7c-2b61-5f0e-8f0f-6a1c2b3d4e5f"),
    "kubernetes, GKE": built_in("kubernetes", "kubernetes/gke.jsonl",
                                "k8s.service_account", "agents:runner"),
    "kubernetes, EKS": built_in("kubernetes", "kubernetes/eks.json", "aws.access_key",
                                "ASIAKESTRELADMIN0001"),
    "kubernetes": built_in("kubernetes", "kubernetes/aks.jsonl", "k8s.service_account",
                           "agents:planner", "c8ae223d-ce2a-5d44-8cf0-708e6b01e3a0"),
    "okta": built_in("okta", "okta/system-log.json", "okta.api_token",
                     "00Tkq8provisioner05d7"),
    "okta, app": built_in("okta", "okta/system-log.json", "okta.app",
                          "0oakq5plannerAgent5d7"),
    "okta, session": built_in("okta", "okta/system-log.json", "okta.session",
                              "102miraFirstSession01"),
    "openai": built_in("openai", "openai/audit-logs.json", "openai.service_account",
                       "sa-kqPlanner", "key_kqAdmin01"),
    "openbao": built_in("openbao", "openbao/vault.jsonl", "vault.accessor",
                        "8b501718eab1582683a78f1a2ed36a2f8b501718eab1582683a78f1a2ed36",
                        "96bddd16a1dd5cabbd2362f1d1f39ef096bddd16a1dd5cabbd2362f1d1f39ef"),
}  # fmt: skip


# What only the mapping knows as a principal is the log's own to speak of.
OWN: Final = {("kong", False), ("nginx, token", False)}


def events(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of a file: a line each, or the longest list in a document."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        yield from map(orjson.loads, data.splitlines())
        return
    if isinstance(document, list):
        yield from document
        return
    lists = [each for each in document.values() if isinstance(each, list)]
    for each in max(lists, key=len, default=[document]):
        yield orjson.loads(each["message"]) if "message" in each else each


@cache
def mapping(dialect: Dialect) -> Mapping:
    """Load a shipped mapping, once for its hundreds of lines."""
    file = dialect.file.with_suffix(".yaml")
    return load_mapping(file.read_text("utf-8"), file.name)


def uses(dialect: Dialect, line: bytes) -> list[Access]:
    """Read the accesses of a line that were allowed."""
    if dialect.source:
        source: Any = reader(dialect.source)
    else:
        source = Generic(mapping(dialect))
    records = [each for each in source.records(line) if isinstance(each, Access)]
    return [each for each in records if each.outcome != "denied"]


def numbered(text: str, number: int) -> str:
    """Give a text of the same length with a number in it, in digits that are hex."""
    quoted = text.endswith('"')
    body = text.strip('"')
    digits = f"{number:02}"
    changed = (body + "-" if len(body) < 5 else body[:-2]) + digits
    return f'"{changed}"' if quoted else changed


def lines(dialect: Dialect) -> list[bytes]:
    """Give an access of each agent: a line of the sample, with names of its own."""
    for event in events(dialect.file.read_bytes()):
        text = orjson.dumps(event).decode()
        if dialect.numbered[0] not in text:
            continue
        if any(dialect.kind in kinds_of(use) for use in uses(dialect, text.encode())):
            break
    else:
        raise AssertionError("no line of the sample is an access")
    found = []
    for number in range(AGENTS):
        line = text
        for each in dialect.numbered:
            line = line.replace(each, numbered(each, number))
        found.append(line.encode())
    return found


def shown_by(use: Access) -> tuple[Identifier, ...]:
    """Give all names of a line."""
    return (*use.actor, *use.identifiers, *(p.identifier for p in use.parents))


def kinds_of(use: Access) -> set[str]:
    """Give the kinds of all names of a line."""
    return {each.kind for each in shown_by(use)}


def named(dialect: Dialect, line: bytes) -> Identifier:
    """Give who is told of: the name of the kind that the line shows."""
    (use,) = uses(dialect, line)
    return next(each for each in shown_by(use) if each.kind == dialect.kind)


def kinds(dialect: Dialect) -> dict[str, Any]:
    """Give the vocabulary with the kinds of a mapping."""
    if dialect.source:
        return dict(VOCABULARY)
    return extend(mapping(dialect).kinds)


def told(
    dialect: Dialect, sent: list[bytes], known: list[Identifier], rights: Entitlements
) -> tuple[list[Finding], list[str]]:
    """Adopt some names, take lines in twice; give findings and inventory."""
    registry, now = Registry(kinds(dialect)), 1_800_000_000 * S
    limits = Limits(60 * S)
    sentinel = Sentinel("r", Tolerances(0, S, 10**18, 10**18, posture=limits))
    posture = Posture(limits)
    posture.follow(registry)

    def put(fact: Fact) -> None:
        registry.apply(fact)
        note(sentinel, fact, 0)
        posture.note(fact)

    common: dict[str, Any] = {"authority": "operators", "version": 1, "received_at": 1}
    for each in [*known, Identifier("agent.id", "somebody")]:
        put(Node(node=each, **common))
        put(OwnerSet(node=each, owners=(Identifier("person.id", "ann"),), **common))
    episodes: dict[str, Episode] = {}
    for line in sent * 2:
        origin = Origin("source", "r", now)
        taken = admit(uses(dialect, line), origin, rights, fresh=f"{now}", point="door")
        for fact in taken.facts:
            put(fact)
        outputs = finish(sentinel.observe(taken.accesses, registry, now))
        assert not outputs.episodes
        assert not outputs.acted
        now += S
    now += 60 * S
    while sentinel.unsettled(now):
        outputs = finish(sentinel.settle(registry, now))
        episodes |= outputs.episodes
        episodes |= finish(sentinel.see_agents(outputs.acted, registry, now)).episodes
    for _ in range(2):
        while posture.waiting(now):
            signals = finish(posture.step(now))
            episodes |= finish(sentinel.report(signals, registry, now)).episodes
        now += 120 * S
    findings = [each.finding for each in episodes.values()]
    return findings, [each.name for each in sentinel.undeclared()]


@pytest.mark.parametrize(
    ("name", "entitled"),
    [
        (each, may)
        for each in DIALECTS
        for may in (True, False)
        if (each, may) not in OWN
    ],
)
def test_44_findings_and_44_names(name: str, *, entitled: bool) -> None:
    """Whether or not the log's owner may speak of what its lines name.

    The three are adopted with what they present.
    """
    dialect = DIALECTS[name]
    sent = lines(dialect)
    names = [named(dialect, line) for line in sent]
    assert len(set(names)) == AGENTS
    presented = [uses(dialect, line)[0].identifiers for line in sent[:3]]
    known = [*names[:3], *(each for some in presented for each in some)]
    rights = Entitlements((Grant("*"),) if entitled else ())

    findings, inventory = told(dialect, sent, known, rights)

    wanted = sorted(map(str, names[3:]))
    assert sorted(inventory) == wanted
    credential = kinds(dialect)[dialect.kind].value == "credential"
    kind = "unknown_credential" if credential else "unknown_agent"
    told_of = [str(each.presented) for each in findings if each.kind.value == kind]
    assert sorted(told_of) == wanted
    # People whom the lines name besides, and nobody declared, are told as such.
    others = {each.kind for each in findings if str(each.presented) not in wanted}
    assert others <= {FindingKind.UNMAPPED}
    assert len(findings) == len({each.presented for each in findings})


def test_every_shipped_mapping_is_among_them() -> None:
    """A new one comes with a dialect here."""
    tried = {each.file.stem for each in DIALECTS.values() if not each.source}
    assert tried == {file.stem for file in MAPPINGS.glob("*.yaml")}


def test_every_form_of_an_access_in_our_samples_is_among_them() -> None:
    """By what is presented; people and parts of a platform are no agents."""
    tried = {
        (each.source, uses(each, line)[0].identifiers[0].kind)
        for each in DIALECTS.values()
        if each.source
        for line in lines(each)[:1]
    }
    shown = {
        (answer["source"], use.identifiers[0].kind)
        for name, answer in ANSWERS.items()
        for use in read(name)[0]
        if isinstance(use, Access) and use.outcome != "denied"
    }
    assert {each for each in shown if each[1] not in NO_AGENTS} <= tried


@pytest.mark.parametrize("issued_before", [True, False])
def test_posture_adds_nothing_to_what_is_told_of_them(
    repository: Path, *, issued_before: bool
) -> None:
    """Nobody asks for the owner of what nobody declared, nor tells of it twice."""
    story = Story(repository)
    story.set_up()
    bots = [f"bot-{number:02}" for number in range(AGENTS - 3)]
    if issued_before:
        story.send("agent-gateway", *(issued(f"tok-{bot}", bot) for bot in bots))
    story.send("agent-gateway", *(called(f"tok-{b}", b, "09:20:42") for b in bots))
    story.wait(0)
    for _ in range(6):
        story.wait(10 * MINUTE)

    told = sorted((f.kind.value, str(f.presented)) for f in story.findings.values())
    assert [("unknown_agent", f"gateway.agent:{bot}") for bot in bots] == told

    story.declare({"identifier": "gateway.agent:bot-00"})
    story.wait(0)
    story.wait(20 * MINUTE)
    assert "gateway.agent:bot-00" == str(story.found(FindingKind.OWNERLESS).presented)
