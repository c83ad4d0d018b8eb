"""All logs that we have recorded, into one live server and through ``hunt``."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import frozen

from agents_registry.identifiers import extend
from streams.model.records import ENDING_EFFECTS, Lifecycle
from streams.model.times import parse_time
from streams.services.hunt import Hunt
from streams.sources.mapped.generic import Generic
from streams.sources.mapped.mapping import load_mapping
from tests.golden.answers import ANSWERS, SAMPLES, reader
from tests.integration.serving import running, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.model.records import Record

ROOT: Final = Path(__file__).parents[2]
OURS: Final = {"scim", "ssf"}  # no logs: requests, and tokens that are signed
# Findings of use: each says that something ended was presented.
OF_USE: Final = frozenset(
    {
        "enforcement_failure",
        "enforcement_lag",
        "use_after_revocation",
        "blocked_attempt",
        "source_delay",
    }
)


@frozen
class Log:
    """One recorded log: how it is read, and by which source of the server."""

    name: str
    source: str
    data: bytes
    mapping: Path | None = None

    def records(self) -> list[Record]:
        """Read it alone."""
        if self.mapping is None:
            return list(reader(self.source).records(self.data))
        loaded = load_mapping(self.mapping.read_text("utf-8"), self.mapping.name)
        return list(Generic(loaded).records(self.data))


def recorded() -> list[Log]:
    """Give our own: samples of each dialect, recordings, and logs of mappings."""
    logs = [
        Log(name, one["source"], (SAMPLES / name).read_bytes())
        for name, one in ANSWERS.items()
        if one["source"] not in OURS
    ]
    for name, file in (
        ("kubernetes", ROOT / "tests/recordings/kubernetes/batches.jsonl"),
        ("openbao", ROOT / "examples/openbao/audit.log"),
    ):
        logs.append(Log(file.name, name, file.read_bytes()))
    recording = orjson.loads(
        (ROOT / "tests/recordings/keycloak/recording.json").read_bytes()
    )
    steps = recording["steps"]
    pages = [
        one
        for step in steps
        for kind in ("events", "admin_events")
        for one in reversed(step.get(kind, ()))
    ]
    lines = b"\n".join(map(orjson.dumps, pages))
    logs.append(Log("keycloak/recording.json", "keycloak", lines))
    for mapping in sorted(ROOT.glob("examples/mappings/*.yaml")):
        data = mapping.with_suffix(".ndjson").read_bytes()
        logs.append(Log(mapping.stem, mapping.stem, data, mapping))
    return logs


def settings(logs: Iterable[Log]) -> dict[str, Any]:
    """Give settings of a server with an authority of its own for each source."""
    sources: dict[str, Any] = {}
    authorities, tokens = {}, []
    for log in logs:
        given: dict[str, Any] = {"format": log.source, "point": log.source}
        if log.mapping is not None:
            given |= {"format": "generic", "mapping": str(log.mapping)}
        sources[log.source] = given
        authorities[log.source] = {
            "grants": [{"kind": "*"}],
            "issuer_log": log.mapping is None,
        }
    for name in [*sources, "viewer"]:
        ingests = name in sources
        tokens.append(
            {
                "name": name,
                "sha256": hashlib.sha256(name.encode()).hexdigest(),
                "roles": ["ingest" if ingests else "viewer"],
                "authority": name if ingests else None,
            }
        )
    pepper = {"a": {"value": "AAECAwQFBgcICQoLDA0ODxAREhM="}}
    return {"sources": sources, "authorities": authorities, "tokens": tokens,
            "peppers": pepper}  # fmt: skip


async def live(folder: Path, logs: list[Log]) -> list[dict[str, Any]]:
    """Send all of them to one server, and give its findings."""
    async with running(folder, **settings(logs)) as server:
        for log in logs:
            path = f"/v1/events/{log.source}"
            status, answer = await server.post(path, log.source, log.data)
            assert 202 == status, (log.name, answer)
        await until(lambda: server.served.stages.idle)
        _, answer = await server.get("/v1/findings?limit=100000")
        return list(answer["findings"])


def hunted(logs: Iterable[Log]) -> list[Found]:
    """Give what ``hunt`` finds in the logs of one system."""
    kinds = [load_mapping(one.mapping.read_text("utf-8"), "").kinds
             for one in logs if one.mapping is not None]  # fmt: skip
    hunt = Hunt(extend({name: kind for each in kinds for name, kind in each.items()}))
    for log in logs:
        for record in log.records():
            hunt.add(record)
    return [
        Found(
            str(each.identifiers[0]),
            str(each.death.cause.target),
            each.death.cause.at,
            each.first.time,
        )
        for each in hunt.report().findings
    ]


@frozen
class Found:
    """A finding of use: what was presented, what had ended and when; first use (ns)."""

    presented: str
    target: str
    ended_at: int
    first_seen: int


def of_use(findings: Iterable[dict[str, Any]]) -> list[Found]:
    """Give those findings of a server that say that something ended was presented."""
    return [
        Found(
            each["presented"],
            (each["path"] or [each["presented"]])[-1],
            parse_time(each["cause_at"]) or 0,
            parse_time(each["first_seen"]) or 0,
        )
        for each in findings
        if each["kind"] in OF_USE
    ]


def false(found: Iterable[Found], logs: Iterable[Log]) -> list[Found]:
    """Give what no log bears out, as readers give its records one by one.

    A record has to end the target at the time that the finding says, none may restore
    it between that and the use, and the use has to be later.
    """
    ends: dict[str, set[int]] = defaultdict(set)
    restores: dict[str, set[int]] = defaultdict(set)
    for log in logs:
        for record in log.records():
            if not isinstance(record, Lifecycle) or record.occurred_at is None:
                continue
            into = ends if record.effect in ENDING_EFFECTS else restores
            if record.effect in {"issue", "leak", None}:
                continue
            for name in record.identifiers:
                into[str(name)].add(record.occurred_at)
    return [
        each
        for each in found
        if each.ended_at not in ends[each.target]
        or each.first_seen < each.ended_at
        or any(each.ended_at < at <= each.first_seen for at in restores[each.target])
    ]
