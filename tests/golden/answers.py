"""Our samples of vendors' events, and what is right about each: `tests/samples`.

Each folder has an ``answers.yaml``: by file the source that reads it, the records in
the file's order, and how often an event type came that changes nothing. A record is
its effect and what it is about, then every member that says something: ``use`` and
``deny`` are accesses, ``letter`` the code of a dead letter, ``none`` an event without
an effect. An identifier is ``kind:value``; several names of one node are a list. A
member that is not written is empty.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
import yaml

from agents_registry.facts import Cause, Relation
from streams.model.records import Access, DeadLetter, Lifecycle, Record
from streams.model.times import rfc3339
from streams.sources.catalogue import source
from streams.sources.github.github import GitHub
from streams.sources.litellm.litellm import LiteLlm
from streams.sources.scim.scim import ScimRequest
from streams.sources.scim.scim import records as scim_records
from streams.sources.stream import open_stream
from streams.stages.ingest.ingress import Origin, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents_registry.facts import Fact
    from streams.sources import Source

SAMPLES: Final = Path(__file__).parents[1] / "samples"
ORIGIN: Final = Origin("issuer", "realm", received_at=1_800_000_000 * 10**9)
DELIVERY: Final = {
    "X-GitHub-Delivery": "5f0c0d9a-3c3e-11f0-9d0e-8d0d2c3f4a5b",
    "X-GitHub-Hook-Installation-Target-Type": "integration",
    "X-GitHub-Hook-Installation-Target-ID": "330441",
}


def keyed(digest: bytes) -> str:
    """Stand in for the keyed hash of a token's digest."""
    return f"keyed-{digest.hex()[:12]}"


def _answers(file: Path) -> dict[str, dict[str, Any]]:
    # Texts alone: a time or a number is compared as it is written.
    found: dict[str, dict[str, Any]] = yaml.load(
        file.read_text(encoding="utf-8"),
        yaml.CBaseLoader,  # noqa: S506 - makes no objects at all
    )
    return {f"{file.parent.name}/{name}": answer for name, answer in found.items()}


ANSWERS: Final[dict[str, dict[str, Any]]] = {
    name: answer
    for file in sorted(SAMPLES.glob("*/answers.yaml"))
    for name, answer in _answers(file).items()
}


def reader(name: str) -> Source:
    """Give a new reader of a source; those that need a key have one."""
    if name == "github":
        return GitHub(keyed=[keyed])
    return LiteLlm(keyed) if name == "litellm" else source(name)


def requests(name: str) -> list[ScimRequest]:
    """Give the SCIM requests of a sample in their order."""
    lines = map(orjson.loads, (SAMPLES / name).read_bytes().splitlines())
    return [
        ScimRequest(one["method"], one["path"], one.get("body", "").encode(),
                one.get("assigned"))
        for one in lines
    ]  # fmt: skip


def read(name: str) -> tuple[list[Record], Mapping[str, int]]:
    """Read a sample as its own source; give its records and what was only counted."""
    answer = ANSWERS[name]
    if answer["source"] == "scim":
        return [one for each in requests(name) for one in scim_records(each)], {}
    data, of = (SAMPLES / name).read_bytes(), reader(answer["source"])
    if isinstance(of, GitHub) and "event" in answer:
        headers = DELIVERY | {"X-GitHub-Event": answer["event"]}
        return list(of.records_of(data, headers)), of.unknown
    stream = open_stream(of)
    return [*stream.feed(data), *stream.close()], stream.unknown


def facts(name: str) -> list[Fact]:
    """Give the facts of a sample."""
    return [
        fact
        for record in read(name)[0]
        if not isinstance(record, DeadLetter)
        for fact in facts_of(record, ORIGIN, fresh_id="fresh")
    ]


def causes(name: str) -> set[Cause]:
    """Give the causes of a sample, each once."""
    return {fact for fact in facts(name) if isinstance(fact, Cause)}


def written(record: Record) -> dict[str, Any]:
    """Write a record as an answer."""
    if isinstance(record, DeadLetter):
        return {"letter": record.reason.partition(":")[0]}
    said: dict[str, Any] = {
        record.effect or "none": _list(map(str, record.identifiers)) or "nobody",
        "at": rfc3339(record.occurred_at),
        "requires": _parents(record, Relation.REQUIRES),
        "created_by": _parents(record, Relation.CREATED_BY),
        "owner": record.owner,
        "actor": _list(map(str, record.actor)),
        "scope": None if record.scope is None else list(record.scope),
        "expires": rfc3339(record.expires_at),
        "issued": rfc3339(record.issued_at),
        "reason": record.reason,
        "ties": _list(f"{tie.child} -> {tie.parent}" for tie in record.ties),
    }
    if isinstance(record, Access):
        said["point"] = record.point
    else:
        said |= _of_lifecycle(record)
    return {key: one for key, one in said.items() if one}


def _of_lifecycle(record: Lifecycle) -> dict[str, Any]:
    return {
        "owned_by": _list(map(str, record.owners)),
        "aspect": record.aspect,
        "earlier_than": rfc3339(record.not_before),
        "reach": "" if record.reach == "subtree" else record.reach,
        "device": record.device,
        "tenant": record.tenant,
    }


def _parents(record: Lifecycle | Access, relation: Relation) -> Any:
    return _list(str(p.identifier) for p in record.parents if p.relation is relation)


def _list(names: Iterable[str]) -> Any:
    """Write one name alone, several as a list, none as nothing."""
    found = list(names)
    return found[0] if len(found) == 1 else found or None
